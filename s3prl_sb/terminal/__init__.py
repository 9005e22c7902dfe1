"""Output on the terminal: tables, messages, progress, logs."""
