#!/usr/bin/env python3
"""TIMIT phones by frames: which of 39 phones is spoken each 10 ms.

> python train.py hparams/train.yaml --upstream hubert_base --data_folder DIR

DIR holds TRAIN and TEST; see README.md for other data, variants, budgets, and the
numbers to expect.

Authors
 * The s3prl_sb developers, 2026
"""

import sys

from s3prl_sb.brains.frames import FrameBrain, frame_splits
from s3prl_sb.brains.running import train_and_test
from s3prl_sb.corpora.segment_tables import prepare_segment_tables
from s3prl_sb.corpora.timit import prepare_timit
from s3prl_sb.startup.experiment import start


class TimitPhones(FrameBrain):
    """39 phones; accuracy over frames."""

    task = "TIMIT/phones"


def prepare(hparams):
    """Writes the manifests."""
    if hparams["train_csv"]:
        prepare_segment_tables(
            hparams["train_csv"],
            hparams["valid_csv"],
            hparams["test_csv"],
            hparams["save_folder"],
            skip_prep=hparams["skip_prep"],
            label="label",
            overlaps=False,
        )
        return
    prepare_timit(
        hparams["data_folder"],
        hparams["save_folder"],
        test_speakers=hparams["test_speakers"],
        skip_prep=hparams["skip_prep"],
    )


if __name__ == "__main__":
    hparams, run_opts = start(sys.argv[1:], prepare)
    splits, labels = frame_splits(hparams)
    modules = {"head": hparams["head"](num_classes=len(labels))}
    train_and_test(TimitPhones, hparams, run_opts, splits, modules, labels=labels)
