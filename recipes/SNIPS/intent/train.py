#!/usr/bin/env python3
"""SNIPS: the intent of a request to an assistant.

> python train.py hparams/train.yaml --upstream hubert_base --data_folder DIR

DIR is Audio SNIPS as published, or SUPERB's copy; see README.md for its voices, other
data, budgets, and the numbers to expect.

Authors
 * The s3prl_sb developers, 2026
"""

import sys

from s3prl_sb.brains.classification import ClassificationBrain, classification_splits
from s3prl_sb.brains.running import train_and_test
from s3prl_sb.corpora.snips import prepare_snips
from s3prl_sb.dataio.tables import prepare_tables
from s3prl_sb.startup.experiment import start


class Intent(ClassificationBrain):
    """Seven intents of requests; accuracy."""

    task = "SNIPS/intent"


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
        return
    prepare_snips(
        hparams["data_folder"],
        hparams["save_folder"],
        train_speakers=hparams["train_speakers"],
        valid_speakers=hparams["valid_speakers"],
        test_speakers=hparams["test_speakers"],
        skip_prep=hparams["skip_prep"],
    )


if __name__ == "__main__":
    hparams, run_opts = start(sys.argv[1:], prepare)
    splits, labels = classification_splits(hparams)
    modules = {"head": hparams["head"](num_classes=len(labels))}
    train_and_test(Intent, hparams, run_opts, splits, modules, labels=labels)
