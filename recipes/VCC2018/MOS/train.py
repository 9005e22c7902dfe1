#!/usr/bin/env python3
"""VCC2018 mean opinion scores: how natural is an utterance, from 1 to 5.

> python train.py hparams/train.yaml --upstream hubert_base --data_folder DIR

DIR holds Converted_speech_of_submitted_systems, VCC2018_Results and S3PRL's lists; see
README.md for other data, budgets, and what to expect.

Authors
 * The s3prl_sb developers, 2026
"""

import sys

from s3prl_sb.brains.opinion_scores import (
    OpinionScoreBrain,
    modules_for,
    opinion_score_splits,
)
from s3prl_sb.brains.running import train_and_test
from s3prl_sb.corpora.vcc2018 import prepare_vcc2018
from s3prl_sb.dataio.utterance_values import prepare_value_tables
from s3prl_sb.startup.experiment import start


class OpinionScores(OpinionScoreBrain):
    """One score an utterance; squared error and correlations."""

    task = "VCC2018/MOS"


def prepare(hparams):
    """Writes the manifests."""
    if hparams["train_csv"]:
        prepare_value_tables(
            hparams["train_csv"],
            hparams["valid_csv"],
            hparams["test_csv"],
            hparams["save_folder"],
            skip_prep=hparams["skip_prep"],
        )
        return
    prepare_vcc2018(
        hparams["data_folder"],
        hparams["save_folder"],
        skip_prep=hparams["skip_prep"],
    )


if __name__ == "__main__":
    hparams, run_opts = start(sys.argv[1:], prepare)
    splits, judges = opinion_score_splits(hparams)
    values = [record["value"] for record in splits["train"].data.values()]
    modules = modules_for(hparams["head"](num_classes=1), judges, values)
    options = {"choose_by": hparams["choose_by"]}
    train_and_test(OpinionScores, hparams, run_opts, splits, modules, **options)
