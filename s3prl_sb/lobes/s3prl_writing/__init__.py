"""Checkpoints in S3PRL's own formats, written from our networks."""
