#!/usr/bin/env python3
"""Universal recognition: who speaks, what is said, what sounds, when.

> python train.py hparams/train.yaml --upstream hubert_base --data_folder DIR

DIR is a folder of `s3prl-sb mix`, or holds real recordings; see README.md for the
layouts, the measures, and what was found.

Authors
 * The s3prl_sb developers, 2026
"""

import sys

from s3prl_sb.brains.recognition import RecognitionBrain
from s3prl_sb.brains.recognition_data import check_settings, recognition_splits
from s3prl_sb.brains.running import train_and_test
from s3prl_sb.corpora.scenes import prepare_scene_tables, prepare_scenes
from s3prl_sb.startup.experiment import start


class SceneRecognition(RecognitionBrain):
    """Speakers, words and events; the mean of the scores of the three."""

    task = "Scenes/recognition"


def prepare(hparams):
    """Checks the settings, and writes the manifests."""
    check_settings(hparams)
    save_folder, skip_prep = hparams["save_folder"], hparams["skip_prep"]
    if hparams["train_csv"]:
        prepare_scene_tables(
            hparams["train_csv"],
            hparams["valid_csv"],
            hparams["test_csv"],
            save_folder,
            skip_prep=skip_prep,
        )
        return
    prepare_scenes(hparams["data_folder"], save_folder, skip_prep=skip_prep)


if __name__ == "__main__":
    hparams, run_opts = start(sys.argv[1:], prepare)
    splits, known, sizes = recognition_splits(hparams)
    modules = {"head": hparams["head"](**sizes)}
    train_and_test(SceneRecognition, hparams, run_opts, splits, modules, **known)
