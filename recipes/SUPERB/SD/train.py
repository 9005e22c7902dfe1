#!/usr/bin/env python3
"""SUPERB speaker diarization: who of two speakers speaks when, Libri2Mix.

> python train.py hparams/train.yaml --upstream hubert_base --data_folder DIR

DIR holds the Kaldi folders data/train, data/dev and data/test; see README.md for
other data (meetings, your own), budgets, and the numbers to expect.

Authors
 * The s3prl_sb developers, 2026
"""

import sys

from s3prl_sb.brains.diarization import DiarizationBrain
from s3prl_sb.brains.running import train_and_test
from s3prl_sb.corpora.ami import prepare_ami_sd
from s3prl_sb.corpora.libri2mix import prepare_libri2mix_sd
from s3prl_sb.corpora.segment_tables import prepare_segment_tables
from s3prl_sb.dataio.speaker_activity import SpeakerActivity, check_median
from s3prl_sb.dataio.splits import make_splits, read_splits
from s3prl_sb.startup.experiment import start

CORPORA = {"libri2mix": prepare_libri2mix_sd, "ami": prepare_ami_sd}


class SpeakerDiarization(DiarizationBrain):
    """Diarization error rate, overlapped speech included, no collar."""

    task = "SUPERB/SD"


def prepare(hparams):
    """Checks the median filters, and writes the manifests."""
    for median in hparams["medians"]:
        check_median(median)
    save_folder, skip_prep = hparams["save_folder"], hparams["skip_prep"]
    if hparams["train_csv"]:
        prepare_segment_tables(
            hparams["train_csv"],
            hparams["valid_csv"],
            hparams["test_csv"],
            save_folder,
            skip_prep=skip_prep,
        )
        return
    read = CORPORA[hparams["corpus"]]
    read(hparams["data_folder"], save_folder, skip_prep=skip_prep)


if __name__ == "__main__":
    hparams, run_opts = start(sys.argv[1:], prepare)
    records = read_splits(hparams)
    activity = SpeakerActivity(hparams["upstream_model"], hparams["num_speakers"])
    splits = make_splits(hparams, records, [activity], ["id", "sig", "activity"])
    modules = {"head": hparams["head"]()}
    train_and_test(
        SpeakerDiarization, hparams, run_opts, splits, modules, references=records
    )
