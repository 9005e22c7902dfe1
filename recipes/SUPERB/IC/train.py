#!/usr/bin/env python3
"""SUPERB intent classification: action, object and location of a command.

> python train.py hparams/train.yaml --upstream hubert_base --data_folder DIR

DIR holds data/train_data.csv and wavs; see README.md for other data, budgets, and
the numbers to expect.

Authors
 * The s3prl_sb developers, 2026
"""

import sys

from s3prl_sb.brains.intents import IntentBrain, intent_splits
from s3prl_sb.brains.running import train_and_test
from s3prl_sb.corpora.fluent_speech_commands import (
    prepare_fluent_speech_commands,
    prepare_intent_tables,
)
from s3prl_sb.startup.experiment import start


class IntentClassification(IntentBrain):
    """Three slots; the accuracy of all at once."""

    task = "SUPERB/IC"


def prepare(hparams):
    """Writes the manifests."""
    if hparams["train_csv"]:
        prepare_intent_tables(
            hparams["train_csv"],
            hparams["valid_csv"],
            hparams["test_csv"],
            hparams["save_folder"],
            slots=hparams["slots"],
            skip_prep=hparams["skip_prep"],
        )
    else:
        prepare_fluent_speech_commands(
            hparams["data_folder"],
            hparams["save_folder"],
            slots=hparams["slots"],
            skip_prep=hparams["skip_prep"],
        )


if __name__ == "__main__":
    hparams, run_opts = start(sys.argv[1:], prepare)
    splits, slots = intent_splits(hparams)
    num_values = sum(map(len, slots.values()))
    modules = {"head": hparams["head"](num_classes=num_values)}
    train_and_test(
        IntentClassification, hparams, run_opts, splits, modules, slots=slots
    )
