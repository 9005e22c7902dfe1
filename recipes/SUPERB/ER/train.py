#!/usr/bin/env python3
"""SUPERB emotion recognition: neutral, happy, angry or sad.

> python train.py hparams/train.yaml --upstream hubert_base --data_folder DIR

DIR holds IEMOCAP's Session1 to Session5, each of which is tested on in turn; see
README.md for single folds, other data, budgets, and the numbers to expect.

Authors
 * The s3prl_sb developers, 2026
"""

import sys

from s3prl_sb.brains.classification import ClassificationBrain, classification_splits
from s3prl_sb.brains.folds import cross_validate
from s3prl_sb.brains.running import train_and_test
from s3prl_sb.corpora.iemocap import SESSIONS, prepare_iemocap
from s3prl_sb.dataio.tables import prepare_tables
from s3prl_sb.startup.experiment import start


class EmotionRecognition(ClassificationBrain):
    """Four emotions; accuracy."""

    task = "SUPERB/ER"


def prepare(hparams):
    """Writes the manifests of a fold."""
    if hparams["train_csv"]:
        prepare_tables(
            hparams["train_csv"],
            hparams["valid_csv"],
            hparams["test_csv"],
            hparams["save_folder"],
            skip_prep=hparams["skip_prep"],
        )
    else:
        prepare_iemocap(
            hparams["data_folder"],
            hparams["save_folder"],
            fold=hparams["fold"],
            skip_prep=hparams["skip_prep"],
        )


def train(argv):
    """Trains and tests on one fold."""
    hparams, run_opts = start(argv, prepare)
    splits, labels = classification_splits(hparams)
    modules = {"head": hparams["head"](num_classes=len(labels))}
    train_and_test(
        EmotionRecognition, hparams, run_opts, splits, modules, labels=labels
    )


if __name__ == "__main__":
    cross_validate(sys.argv[1:], train, folds=SESSIONS)
