#!/usr/bin/env python3
"""ML-SUPERB speech recognition: one language, or many together.

> python train.py hparams/train.yaml --upstream hubert_base --data_folder DIR

DIR is ML-SUPERB, with a folder for each source and language. The thirteen sets of the
monolingual track get a run each; see README.md for the multilingual track, other data,
and the numbers to expect.

Authors
 * The s3prl_sb developers, 2026
"""

import sys

from s3prl_sb.brains.folds import read_settings, run_parts
from s3prl_sb.brains.multilingual import MultilingualBrain, mark_of
from s3prl_sb.brains.parts import Parts
from s3prl_sb.brains.running import train_and_test
from s3prl_sb.corpora import ml_superb
from s3prl_sb.dataio.characters import characters_in
from s3prl_sb.dataio.pipes import EncodeTokens
from s3prl_sb.dataio.splits import make_splits, read_splits
from s3prl_sb.dataio.tables import prepare_tables
from s3prl_sb.startup.experiment import start

#: The mean is over languages, of which some have several sets.
SETS = Parts("language", tuple(ml_superb.MONOLINGUAL), group=ml_superb.language_of)


class MultilingualRecognition(MultilingualBrain):
    """Characters by CTC; character error rate."""

    task = "ML-SUPERB/ASR"


def find(language, hparams):
    """Raises an error if a set is not there."""
    ml_superb.find_language(hparams["data_folder"], language)


def prepare(hparams):
    """Writes the manifests of a set, or of all languages."""
    if hparams["train_csv"]:
        prepare_tables(
            hparams["train_csv"],
            hparams["valid_csv"],
            hparams["test_csv"],
            hparams["save_folder"],
            required=("text", "language") if hparams["lid_token"] else ("text",),
            categories=(),
            skip_prep=hparams["skip_prep"],
        )
        return
    ml_superb.prepare_ml_superb(
        hparams["data_folder"],
        hparams["save_folder"],
        language=hparams["language"],
        languages=hparams["languages"],
        duration=hparams["duration"],
        longest=hparams["longest"],
        skip_prep=hparams["skip_prep"],
    )


def train(argv):
    """Trains and tests on one set, or on all languages together."""
    hparams, run_opts = start(argv, prepare)
    records = read_splits(hparams)
    records, options = MultilingualRecognition.targets_of(records, hparams)
    languages = sorted(set(options["languages"].values()))
    marks = [mark_of(language) for language in languages if hparams["lid_token"]]
    tokenizer = hparams["tokenizer"] or characters_in(hparams["save_folder"], marks)
    keys = ["id", "sig", "tokens_list", "tokens", "reference"]
    splits = make_splits(hparams, records, [EncodeTokens(tokenizer)], keys)
    modules = {"head": hparams["head"](num_classes=len(tokenizer))}
    options["tokenizer"] = tokenizer
    train_and_test(
        MultilingualRecognition, hparams, run_opts, splits, modules, **options
    )


if __name__ == "__main__":
    together = read_settings(sys.argv[1:], ("language",))["language"]
    if together == ml_superb.MULTILINGUAL:
        train(sys.argv[1:])
    else:
        run_parts(sys.argv[1:], train, SETS, find)
