#!/usr/bin/env python3
"""SUPERB slot filling: the words of a request, and which of them fill slots.

> python train.py hparams/train.yaml --upstream hubert_base --data_folder DIR

DIR is Audio SNIPS, with all.iob.snips.txt; see README.md for other data, and the
numbers to expect.

Authors
 * The s3prl_sb developers, 2026
"""

import sys

from s3prl_sb.brains.running import train_and_test
from s3prl_sb.brains.slot_filling import SlotFillingBrain
from s3prl_sb.corpora.audio_snips import prepare_audio_snips
from s3prl_sb.dataio.pipes import EncodeTokens
from s3prl_sb.dataio.slots import prepare_slot_tables, with_slots
from s3prl_sb.dataio.splits import make_splits, read_splits
from s3prl_sb.startup.experiment import start


class SlotFilling(SlotFillingBrain):
    """39 slots; F1 of slot types, character errors of slot values."""

    task = "SUPERB/SF"


def prepare(hparams):
    """Writes the manifests."""
    options = {key: hparams[key] for key in ("characters", "skip_prep")}
    if hparams["train_csv"]:
        prepare_slot_tables(
            hparams["train_csv"],
            hparams["valid_csv"],
            hparams["test_csv"],
            hparams["save_folder"],
            **options,
        )
    else:
        prepare_audio_snips(
            hparams["data_folder"],
            hparams["save_folder"],
            train_speakers=hparams["train_speakers"],
            valid_speakers=hparams["valid_speakers"],
            test_speakers=hparams["test_speakers"],
            **options,
        )


if __name__ == "__main__":
    hparams, run_opts = start(sys.argv[1:], prepare)
    records, slots = with_slots(read_splits(hparams), hparams["characters"])
    tokenizer = hparams["tokenizer"](slots=slots)
    keys = ["id", "sig", "tokens_list", "tokens", "reference"]
    splits = make_splits(hparams, records, [EncodeTokens(tokenizer)], keys)
    modules = {"head": hparams["head"](num_classes=len(tokenizer))}
    train_and_test(SlotFilling, hparams, run_opts, splits, modules, tokenizer=tokenizer)
