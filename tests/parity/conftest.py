"""Scripts for other environments are not tests."""

collect_ignore = [
    "s3prl_models.py",
    "s3prl_pretraining.py",
    "s3prl_waveform_models.py",
]
collect_ignore_glob = ["make_*.py"]
