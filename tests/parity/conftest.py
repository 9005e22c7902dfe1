"""Scripts for S3PRL's environment are not tests."""

collect_ignore = [
    "make_distillation.py",
    "make_patches.py",
    "s3prl_models.py",
    "s3prl_pretraining.py",
    "s3prl_waveform_models.py",
]
