"""Recipes as their users start them: their arguments, and new interpreters."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from launching import REPOSITORY

KS = REPOSITORY / "recipes/SUPERB/KS"
SID = REPOSITORY / "recipes/SUPERB/SID"


def command(recipe, output, *options, hparams=None, **overrides):
    """The arguments of a recipe: ``train.py hparams/train.yaml --key value …``."""
    overrides = {
        "output_folder": output,
        "cache_folder": Path(output, "cache"),
        **overrides,
    }
    listed = [part for k, v in overrides.items() for part in (f"--{k}", str(v))]
    hparams = hparams or recipe / "hparams/train.yaml"
    return [
        str(recipe / "train.py"),
        str(hparams),
        "--noprogressbar",
        *options,
        *listed,
    ]


def run(argv, check=True, timeout=120):
    """Runs a recipe as a user would; gives its output. Leaves nothing running."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, *argv],
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        output = process.communicate(timeout=timeout)[0]
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    assert not check or process.returncode == 0, output[-4000:]
    return output
