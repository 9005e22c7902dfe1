#!/usr/bin/env python3
"""SUPERB-SG speech recognition out of domain: other languages, conversations.

> python train.py hparams/train.yaml --upstream hubert_base --data_folder DIR

DIR holds Common Voice's es, zh-CN and ar, and SBCSAE, a run each; see README.md.

Authors
 * The s3prl_sb developers, 2026
"""

import sys

from s3prl_sb.brains.folds import run_parts
from s3prl_sb.brains.parts import Parts
from s3prl_sb.brains.running import train_and_test
from s3prl_sb.brains.transcription import TranscriptionBrain
from s3prl_sb.corpora.common_voice import find_language, prepare_common_voice
from s3prl_sb.corpora.sbcsae import find_corpus, prepare_sbcsae
from s3prl_sb.dataio.characters import characters_in
from s3prl_sb.dataio.pipes import EncodeTokens
from s3prl_sb.dataio.splits import make_splits, read_splits
from s3prl_sb.dataio.tables import prepare_tables
from s3prl_sb.startup.experiment import start

CORPORA = Parts("language", ("es", "zh-CN", "ar", "sbcsae"), of_one=("lm", "lexicon"))


class OutOfDomainRecognition(TranscriptionBrain):
    """Characters by CTC; errors of words, or of characters in Chinese."""

    task = "SUPERB/OOD-ASR"
    metric = "error_rate"


def find(corpus, hparams):
    """Raises an error if a corpus is not there."""
    if corpus == "sbcsae":
        find_corpus(hparams["sbcsae_folder"] or hparams["data_folder"])
    else:
        find_language(hparams["data_folder"], corpus)


def prepare(hparams):
    """Writes the manifests of a corpus."""
    if hparams["train_csv"]:
        prepare_tables(
            hparams["train_csv"],
            hparams["valid_csv"],
            hparams["test_csv"],
            hparams["save_folder"],
            required=("text",),
            categories=(),
            skip_prep=hparams["skip_prep"],
        )
    elif hparams["language"] == "sbcsae":
        prepare_sbcsae(
            hparams["sbcsae_folder"] or hparams["data_folder"],
            hparams["save_folder"],
            skip_prep=hparams["skip_prep"],
        )
    else:
        prepare_common_voice(
            hparams["data_folder"],
            hparams["save_folder"],
            hparams["language"],
            accents=hparams["accents"],
            skip_prep=hparams["skip_prep"],
        )


def train(argv):
    """Trains and tests on one corpus."""
    hparams, run_opts = start(argv, prepare)
    tokenizer = hparams["tokenizer"] or characters_in(hparams["save_folder"])
    decoder = hparams["lm_decoding"](tokenizer) if hparams["lm"] else None
    keys = ["id", "sig", "tokens_list", "tokens", "reference"]
    splits = make_splits(hparams, read_splits(hparams), [EncodeTokens(tokenizer)], keys)
    modules = {"head": hparams["head"](num_classes=len(tokenizer))}
    more = {"tokenizer": tokenizer, "decoder": decoder}
    train_and_test(OutOfDomainRecognition, hparams, run_opts, splits, modules, **more)


if __name__ == "__main__":
    run_parts(sys.argv[1:], train, CORPORA, find)
