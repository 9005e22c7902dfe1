"""The verbs of ``s3prl-sb``."""
