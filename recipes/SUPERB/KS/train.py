#!/usr/bin/env python3
"""SUPERB keyword spotting: which of twelve words a second of audio is.

> python train.py hparams/train.yaml --upstream hubert_base --data_folder DIR

DIR holds speech_commands_v0.01 and speech_commands_test_set_v0.01; see
README.md for other data, budgets, and the numbers to expect.

Authors
 * The s3prl_sb developers, 2026
"""

import sys

from s3prl_sb.brains.classification import ClassificationBrain, classification_splits
from s3prl_sb.brains.running import train_and_test
from s3prl_sb.corpora.speech_commands import prepare_speech_commands
from s3prl_sb.dataio.tables import prepare_tables
from s3prl_sb.startup.experiment import start


class KeywordSpotting(ClassificationBrain):
    """Twelve words; accuracy."""

    task = "SUPERB/KS"


def chosen_by(hparams):
    """Returns the metric that chooses the checkpoint.

    SUPERB's validation set is 63 % _unknown_, its test set is balanced.
    """
    if hparams["choose_by"] != "auto":
        return hparams["choose_by"]
    superb = hparams["labels"] == "superb" and not hparams["train_csv"]
    return "balanced_accuracy" if superb else "accuracy"


def prepare(hparams):
    """Writes the manifests."""
    if hparams["train_csv"]:
        prepare_tables(
            hparams["train_csv"],
            hparams["valid_csv"],
            hparams["test_csv"],
            hparams["save_folder"],
            skip_prep=hparams["skip_prep"],
        )
    else:
        prepare_speech_commands(
            hparams["data_folder"],
            hparams["save_folder"],
            test_folder=hparams["test_folder"],
            version=hparams["version"],
            labels=hparams["labels"],
            skip_prep=hparams["skip_prep"],
        )


if __name__ == "__main__":
    hparams, run_opts = start(sys.argv[1:], prepare)
    splits, labels = classification_splits(hparams)
    modules = {"head": hparams["head"](num_classes=len(labels))}
    options = {"labels": labels, "choose_by": chosen_by(hparams)}
    train_and_test(KeywordSpotting, hparams, run_opts, splits, modules, **options)
