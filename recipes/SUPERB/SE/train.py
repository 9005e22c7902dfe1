#!/usr/bin/env python3
"""SUPERB-SG speech enhancement: the speech of a noisy recording.

> python train.py hparams/train.yaml --upstream hubert_base --data_folder DIR

DIR holds clean_trainset_28spk_wav, noisy_trainset_28spk_wav and the same of testset;
see README.md for other data (your own pairs), budgets, and the numbers to expect.

Authors
 * The s3prl_sb developers, 2026
"""

import sys

from s3prl_sb.brains.masking import MaskingBrain, head_for, mixture_splits
from s3prl_sb.brains.running import train_and_test
from s3prl_sb.corpora.voicebank_demand import prepare_voicebank_demand
from s3prl_sb.dataio.source_tables import prepare_source_tables
from s3prl_sb.startup.experiment import start


class SpeechEnhancement(MaskingBrain):
    """One source; the checkpoint is chosen by PESQ."""

    task = "SUPERB/SE"
    metric = "pesq"
    validated = ("pesq",)


def prepare(hparams):
    """Writes the manifests."""
    save_folder, skip_prep = hparams["save_folder"], hparams["skip_prep"]
    if hparams["train_csv"]:
        prepare_source_tables(
            hparams["train_csv"],
            hparams["valid_csv"],
            hparams["test_csv"],
            save_folder,
            num_sources=1,
            skip_prep=skip_prep,
        )
        return
    prepare_voicebank_demand(
        hparams["data_folder"],
        save_folder,
        valid_speakers=hparams["valid_speakers"],
        skip_prep=skip_prep,
    )


if __name__ == "__main__":
    hparams, run_opts = start(sys.argv[1:], prepare)
    splits, num_sources = mixture_splits(hparams)
    modules = {"head": head_for(hparams, num_sources)}
    options = {"num_sources": num_sources}
    train_and_test(SpeechEnhancement, hparams, run_opts, splits, modules, **options)
