"""Scripts for S3PRL's environment are not tests."""

collect_ignore = [
    "s3prl_models.py",
    "s3prl_pretraining.py",
    "s3prl_waveform_models.py",
]
