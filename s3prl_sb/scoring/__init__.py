"""Scoring of a finished experiment on another list: ``s3prl-sb score``."""
