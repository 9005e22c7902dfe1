#!/usr/bin/env python3
"""SUPERB speaker identification: which of the speakers of VoxCeleb1 speaks.

> python train.py hparams/train.yaml --upstream hubert_base --data_folder DIR

DIR holds dev/wav, test/wav and iden_split.txt; see README.md for other data,
budgets, and the numbers to expect.

Authors
 * The s3prl_sb developers, 2026
"""

import sys

from s3prl_sb.brains.classification import ClassificationBrain, classification_splits
from s3prl_sb.brains.running import train_and_test
from s3prl_sb.corpora.voxceleb1 import prepare_voxceleb1_sid
from s3prl_sb.dataio.tables import prepare_tables
from s3prl_sb.startup.experiment import start


class SpeakerIdentification(ClassificationBrain):
    """1,251 speakers; accuracy."""

    task = "SUPERB/SID"
    unit = "speaker"


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
        prepare_voxceleb1_sid(
            hparams["data_folder"],
            hparams["save_folder"],
            split_file=hparams["split_file"],
            skip_prep=hparams["skip_prep"],
        )


if __name__ == "__main__":
    hparams, run_opts = start(sys.argv[1:], prepare)
    splits, labels = classification_splits(hparams)
    modules = {"head": hparams["head"](num_classes=len(labels))}
    train_and_test(
        SpeakerIdentification, hparams, run_opts, splits, modules, labels=labels
    )
