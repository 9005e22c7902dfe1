#!/usr/bin/env python3
"""LibriSpeech speakers by utterances: which of 251 speaks, from the mean over time.

> python train.py hparams/train.yaml --upstream hubert_base --data_folder DIR

DIR holds LibriSpeech and the lists of CPC; see README.md for other data, budgets, and
the numbers to expect.

Authors
 * The s3prl_sb developers, 2026
"""

import sys

from s3prl_sb.brains.classification import ClassificationBrain, classification_splits
from s3prl_sb.brains.running import train_and_test
from s3prl_sb.corpora.cpc_librispeech import prepare_cpc_librispeech
from s3prl_sb.dataio.tables import prepare_tables
from s3prl_sb.startup.experiment import start


class SpeakerByUtterance(ClassificationBrain):
    """251 speakers; accuracy over utterances."""

    task = "LibriSpeech/speaker_utterance"
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
        return
    prepare_cpc_librispeech(
        hparams["data_folder"],
        hparams["save_folder"],
        labels="speakers",
        train_list=hparams["train_list"],
        test_list=hparams["test_list"],
        valid_share=hparams["valid_share"],
        split_seed=hparams["split_seed"],
        skip_prep=hparams["skip_prep"],
    )


if __name__ == "__main__":
    hparams, run_opts = start(sys.argv[1:], prepare)
    splits, labels = classification_splits(hparams)
    modules = {"head": hparams["head"](num_classes=len(labels))}
    train_and_test(
        SpeakerByUtterance, hparams, run_opts, splits, modules, labels=labels
    )
