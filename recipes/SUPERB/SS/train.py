#!/usr/bin/env python3
"""SUPERB-SG source separation: the voices of a mixture, Libri2Mix.

> python train.py hparams/train.yaml --upstream hubert_base --data_folder DIR

DIR holds train-100, dev and test of Libri2Mix/wav16k/min; see README.md for other data
(your own mixtures), budgets, and the numbers to expect.

Authors
 * The s3prl_sb developers, 2026
"""

import sys

from s3prl_sb.brains.masking import MaskingBrain, head_for, mixture_splits
from s3prl_sb.brains.running import train_and_test
from s3prl_sb.corpora.libri2mix_separation import prepare_libri2mix_ss
from s3prl_sb.dataio.source_tables import prepare_source_tables
from s3prl_sb.startup.experiment import start


class SourceSeparation(MaskingBrain):
    """Several sources in any order; the checkpoint is chosen by SI-SDR improvement."""

    task = "SUPERB/SS"


def prepare(hparams):
    """Writes the manifests."""
    save_folder, skip_prep = hparams["save_folder"], hparams["skip_prep"]
    if hparams["train_csv"]:
        prepare_source_tables(
            hparams["train_csv"],
            hparams["valid_csv"],
            hparams["test_csv"],
            save_folder,
            skip_prep=skip_prep,
        )
        return
    prepare_libri2mix_ss(
        hparams["data_folder"],
        save_folder,
        mixture=hparams["mixture"],
        valid_mixtures=hparams["valid_mixtures"],
        skip_prep=skip_prep,
    )


if __name__ == "__main__":
    hparams, run_opts = start(sys.argv[1:], prepare)
    splits, num_sources = mixture_splits(hparams)
    modules = {"head": head_for(hparams, num_sources)}
    options = {"num_sources": num_sources}
    train_and_test(SourceSeparation, hparams, run_opts, splits, modules, **options)
