#!/usr/bin/env python3
"""Frame labels of three manifests that lie in data_folder."""

import shutil
import sys
from pathlib import Path

from s3prl_sb.brains.frames import FrameBrain, frame_splits
from s3prl_sb.brains.running import train_and_test
from s3prl_sb.dataio import manifest
from s3prl_sb.startup.experiment import start


class Frames(FrameBrain):
    """Labels of frames; accuracy."""

    task = "frames_toy"


def prepare(hparams):
    """Copies the manifests."""
    Path(hparams["save_folder"]).mkdir(parents=True, exist_ok=True)
    for path in manifest.paths_in(hparams["data_folder"]).values():
        shutil.copy(path, hparams["save_folder"])


if __name__ == "__main__":
    hparams, run_opts = start(sys.argv[1:], prepare)
    splits, labels = frame_splits(hparams)
    modules = {"head": hparams["head"](num_classes=len(labels))}
    train_and_test(Frames, hparams, run_opts, splits, modules, labels=labels)
