"""One Brain per task type."""
