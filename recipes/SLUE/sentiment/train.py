#!/usr/bin/env python3
"""SLUE sentiment: whether an utterance is negative, neutral or positive.

> python train.py hparams/train.yaml --upstream hubert_base --data_folder DIR

DIR is SLUE-VoxCeleb; see README.md for other data, and the numbers to expect.

Authors
 * The s3prl_sb developers, 2026
"""

import sys

from s3prl_sb.brains.classification import ClassificationBrain, classification_splits
from s3prl_sb.brains.running import train_and_test
from s3prl_sb.corpora.slue_voxceleb import prepare_slue_voxceleb
from s3prl_sb.dataio.tables import prepare_tables
from s3prl_sb.startup.experiment import start


class Sentiment(ClassificationBrain):
    """Three classes of sentiment; macro F1."""

    task = "SLUE/sentiment"


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
    prepare_slue_voxceleb(
        hparams["data_folder"],
        hparams["save_folder"],
        skip_prep=hparams["skip_prep"],
    )


if __name__ == "__main__":
    hparams, run_opts = start(sys.argv[1:], prepare)
    splits, labels = classification_splits(hparams)
    modules = {"head": hparams["head"](num_classes=len(labels))}
    options = {"labels": labels, "choose_by": hparams["choose_by"]}
    train_and_test(Sentiment, hparams, run_opts, splits, modules, **options)
