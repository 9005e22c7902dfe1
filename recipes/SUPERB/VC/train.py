#!/usr/bin/env python3
"""SUPERB-SG voice conversion: what anyone says, in the voice of one speaker.

> python train.py hparams/train.yaml --upstream hubert_base --data_folder DIR

DIR holds the folders of VCC2020's database; see README.md for other data, conversion to
any speaker (hparams/any_to_any.yaml), budgets, and the numbers to expect.

Authors
 * The s3prl_sb developers, 2026
"""

import sys

from s3prl_sb.brains.conversion import (
    ConversionBrain,
    conversion_splits,
    frame_ratio,
    target_statistics,
)
from s3prl_sb.brains.running import train_and_test
from s3prl_sb.corpora.conversion_tables import prepare_conversion_tables
from s3prl_sb.corpora.vcc2016 import prepare_vcc2016
from s3prl_sb.corpora.vcc2020 import prepare_vcc2020
from s3prl_sb.dataio.splits import read_splits
from s3prl_sb.startup.experiment import start

CORPORA = {"vcc2020": prepare_vcc2020, "vcc2016": prepare_vcc2016}


class VoiceConversion(ConversionBrain):
    """Mel-cepstral distortion and F0 of converted speech, to parallel utterances."""

    task = "SUPERB/VC"


def prepare(hparams):
    """Writes the manifests."""
    save_folder, skip_prep = hparams["save_folder"], hparams["skip_prep"]
    if hparams["train_csv"]:
        tables = (hparams[f"{split}_csv"] for split in ("train", "valid", "test"))
        prepare_conversion_tables(*tables, save_folder, skip_prep=skip_prep)
        return
    read, speaker = CORPORA[hparams["corpus"]], hparams["target_speaker"]
    read(hparams["data_folder"], save_folder, speaker, skip_prep=skip_prep)


if __name__ == "__main__":
    hparams, run_opts = start(sys.argv[1:], prepare)
    records, mel = read_splits(hparams), hparams["mel"]
    splits = conversion_splits(hparams, records)
    ratio = frame_ratio(hparams["upstream_model"], mel)
    head = hparams["head"](num_mels=mel.n_mels, ratio=ratio)
    head.set_statistics(*target_statistics(records["train"], hparams, run_opts))
    modules, test = {"head": head}, records["test"]
    train_and_test(VoiceConversion, hparams, run_opts, splits, modules, records=test)
