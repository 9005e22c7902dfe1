#!/usr/bin/env python3
"""LibriSpeech ABX: how well hidden states discriminate phones.

> python train.py hparams/train.yaml --upstream hubert_base --data_folder DIR

DIR is LibriSpeech, with the .item files of the ZeroSpeech challenge. Nothing is
trained: the best hidden state is chosen on one part and tested on another. See
README.md for other data, and the numbers to expect.

Authors
 * The s3prl_sb developers, 2026
"""

import sys
from pathlib import Path

from s3prl_sb.analysis.discrimination import DiscriminationBrain, chosen_layers
from s3prl_sb.analysis.item_tables import (
    SPLITS,
    prepare_item_tables,
    prepare_librispeech_items,
)
from s3prl_sb.dataio import manifest
from s3prl_sb.startup.experiment import start


class PhoneDiscrimination(DiscriminationBrain):
    """Triphones of one speaker, and of several; ABX error."""

    task = "LibriSpeech/ABX"


def prepare(hparams):
    """Checks what is to be measured, and writes the manifests."""
    chosen_layers(hparams)
    if hparams["test_csv"]:
        prepare_item_tables(
            hparams["valid_csv"],
            hparams["test_csv"],
            hparams["valid_items"],
            hparams["test_items"],
            hparams["save_folder"],
            skip_prep=hparams["skip_prep"],
        )
    else:
        prepare_librispeech_items(
            hparams["data_folder"],
            hparams["save_folder"],
            valid_split=hparams["valid_split"],
            test_split=hparams["test_split"],
            items=hparams["items"],
            aligned=hparams["aligned"],
            skip_prep=hparams["skip_prep"],
        )


if __name__ == "__main__":
    hparams, run_opts = start(sys.argv[1:], prepare)
    brain = PhoneDiscrimination(hparams, run_opts)
    folder = Path(hparams["save_folder"])
    brain.measure({name: manifest.read(folder / f"{name}.json") for name in SPLITS})
