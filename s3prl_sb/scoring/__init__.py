"""A finished experiment, scored on another list: ``s3prl-sb score``."""
