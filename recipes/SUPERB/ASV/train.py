#!/usr/bin/env python3
"""SUPERB speaker verification: have two utterances of VoxCeleb1 one speaker?

> python train.py hparams/train.yaml --upstream hubert_base --data_folder DIR

DIR holds dev/wav, test/wav and veri_test.txt; see README.md for other data,
budgets, and the numbers to expect.

Authors
 * The s3prl_sb developers, 2026
"""

import sys

from s3prl_sb.brains.running import train_and_test
from s3prl_sb.brains.verification import VerificationBrain, verification_splits
from s3prl_sb.corpora.voxceleb1_asv import (
    prepare_trial_tables,
    prepare_voxceleb1_asv,
    trial_lists,
)
from s3prl_sb.startup.experiment import start


class SpeakerVerification(VerificationBrain):
    """Trained on 1,171 speakers; equal error rate."""

    task = "SUPERB/ASV"


def prepare(hparams):
    """Writes the manifests and the lists of trials."""
    if hparams["train_csv"]:
        prepare_trial_tables(
            hparams["train_csv"],
            hparams["valid_csv"],
            hparams["test_csv"],
            hparams["save_folder"],
            min_seconds=hparams["min_seconds"],
            skip_prep=hparams["skip_prep"],
        )
    else:
        prepare_voxceleb1_asv(
            hparams["data_folder"],
            hparams["save_folder"],
            trials_file=hparams["trials_file"],
            valid_speakers=hparams["valid_speakers"],
            valid_seed=hparams["valid_seed"],
            min_seconds=hparams["min_seconds"],
            skip_prep=hparams["skip_prep"],
        )


if __name__ == "__main__":
    hparams, run_opts = start(sys.argv[1:], prepare)
    splits, speakers, cohort = verification_splits(hparams)
    modules = {
        "head": hparams["head"](),
        "loss": hparams["loss"](num_classes=len(speakers)),
    }
    held_out = hparams["train_csv"] or hparams["valid_speakers"]
    train_and_test(
        SpeakerVerification,
        hparams,
        run_opts,
        splits,
        modules,
        trials=trial_lists(hparams["save_folder"]),
        cohort=cohort,
        choose="best" if held_out else "last",
    )
