"""What runs in S3PRL's environment is no test."""

collect_ignore = ["s3prl_models.py", "s3prl_waveform_models.py"]
