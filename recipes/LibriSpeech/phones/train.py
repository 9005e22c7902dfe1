#!/usr/bin/env python3
"""LibriSpeech phones by frames: which of 41 phones is spoken each 10 ms.

> python train.py hparams/train.yaml --upstream hubert_base --data_folder DIR

DIR holds LibriSpeech and the files of CPC; see README.md for other data, variants,
budgets, and the numbers to expect.

Authors
 * The s3prl_sb developers, 2026
"""

import sys

from s3prl_sb.brains.frames import FrameBrain, frame_splits
from s3prl_sb.brains.running import train_and_test
from s3prl_sb.corpora.cpc_librispeech import prepare_cpc_librispeech
from s3prl_sb.corpora.segment_tables import prepare_segment_tables
from s3prl_sb.startup.experiment import start


class LibriSpeechPhones(FrameBrain):
    """41 phones; accuracy over frames."""

    task = "LibriSpeech/phones"


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
    prepare_cpc_librispeech(
        hparams["data_folder"],
        hparams["save_folder"],
        labels="phones",
        train_list=hparams["train_list"],
        test_list=hparams["test_list"],
        alignments=hparams["alignments"],
        valid_share=hparams["valid_share"],
        split_seed=hparams["split_seed"],
        skip_prep=hparams["skip_prep"],
    )


if __name__ == "__main__":
    hparams, run_opts = start(sys.argv[1:], prepare)
    splits, labels = frame_splits(hparams)
    modules = {"head": hparams["head"](num_classes=len(labels))}
    train_and_test(LibriSpeechPhones, hparams, run_opts, splits, modules, labels=labels)
