#!/usr/bin/env python3
"""ML-SUPERB language identification, by CTC with one token.

> python train.py hparams/train.yaml --upstream hubert_base --data_folder DIR

DIR is ML-SUPERB, with a folder for each source and language; see README.md for other
data, and the numbers to expect.

Authors
 * The s3prl_sb developers, 2026
"""

import sys

from s3prl_sb.brains.multilingual import LanguageBrain
from s3prl_sb.brains.running import train_and_test
from s3prl_sb.corpora.ml_superb import prepare_ml_superb
from s3prl_sb.dataio.pipes import EncodeTokens
from s3prl_sb.dataio.splits import make_splits, read_splits
from s3prl_sb.dataio.tables import prepare_tables
from s3prl_sb.startup.experiment import start


class LanguageIdentification(LanguageBrain):
    """The language of an utterance; accuracy."""

    task = "ML-SUPERB/LID"


def prepare(hparams):
    """Writes the manifests."""
    if hparams["train_csv"]:
        prepare_tables(
            hparams["train_csv"],
            hparams["valid_csv"],
            hparams["test_csv"],
            hparams["save_folder"],
            required=("language",),
            categories=("language",),
            skip_prep=hparams["skip_prep"],
        )
        return
    prepare_ml_superb(
        hparams["data_folder"],
        hparams["save_folder"],
        languages=hparams["languages"],
        duration=hparams["duration"],
        longest=hparams["longest"],
        skip_prep=hparams["skip_prep"],
    )


if __name__ == "__main__":
    hparams, run_opts = start(sys.argv[1:], prepare)
    records = read_splits(hparams)
    records, options = LanguageIdentification.targets_of(records, hparams)
    languages = sorted(set(options["languages"].values()))
    options["tokenizer"] = hparams["tokenizer"](symbols=languages)
    keys = ["id", "sig", "tokens_list", "tokens", "reference"]
    pipes = [EncodeTokens(options["tokenizer"])]
    splits = make_splits(hparams, records, pipes, keys)
    modules = {"head": hparams["head"](num_classes=len(options["tokenizer"]))}
    brain = LanguageIdentification, hparams, run_opts
    train_and_test(*brain, splits, modules, **options)
