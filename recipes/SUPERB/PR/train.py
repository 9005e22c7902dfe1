#!/usr/bin/env python3
"""SUPERB phoneme recognition: which phones an utterance consists of.

> python train.py hparams/train.yaml --upstream hubert_base --data_folder DIR

DIR holds LibriSpeech and its lexicon; see README.md for other data, budgets,
and the numbers to expect.

Authors
 * The s3prl_sb developers, 2026
"""

import sys

from s3prl_sb.brains.ctc import CTCBrain
from s3prl_sb.brains.running import train_and_test
from s3prl_sb.corpora.lexicon import prepare_phone_tables
from s3prl_sb.corpora.librispeech import find_lexica, prepare_librispeech
from s3prl_sb.dataio.pipes import EncodeTokens
from s3prl_sb.dataio.splits import make_splits, read_splits
from s3prl_sb.metrics.contributions import error_rate
from s3prl_sb.metrics.transcription import edits_of_each
from s3prl_sb.startup.experiment import start


class PhonemeRecognition(CTCBrain):
    """Phones by CTC; phoneme error rate."""

    task = "SUPERB/PR"
    metric = "per"

    def contributions(self, hypotheses, references):
        """Returns {"per": edits and true phones of each utterance}."""
        return {"per": error_rate(edits_of_each(hypotheses, references))}


def prepare(hparams):
    """Writes the manifests."""
    options = {
        "unknown_words": hparams["unknown_words"],
        "phones": hparams["tokenizer"].arguments["symbols"],
        "skip_prep": hparams["skip_prep"],
    }
    if hparams["train_csv"]:
        prepare_phone_tables(
            hparams["train_csv"],
            hparams["valid_csv"],
            hparams["test_csv"],
            hparams["save_folder"],
            lexicon=hparams["lexicon"],
            **options,
        )
    else:
        lexicon = hparams["lexicon"]
        if not lexicon and not hparams["skip_prep"]:
            lexicon = find_lexica(hparams["data_folder"])
        prepare_librispeech(
            hparams["data_folder"],
            hparams["save_folder"],
            train_splits=hparams["train_splits"],
            valid_split=hparams["valid_split"],
            test_split=hparams["test_split"],
            lexicon=lexicon,
            librilight_folder=hparams["librilight_folder"],
            librilight_split=hparams["librilight_split"],
            **options,
        )


if __name__ == "__main__":
    hparams, run_opts = start(sys.argv[1:], prepare)
    tokenizer = hparams["tokenizer"]
    pipes = [EncodeTokens(tokenizer, key="phones")]
    keys = ["id", "sig", "tokens_list", "tokens", "reference"]
    splits = make_splits(hparams, read_splits(hparams), pipes, keys)
    modules = {"head": hparams["head"](num_classes=len(tokenizer))}
    train_and_test(
        PhonemeRecognition, hparams, run_opts, splits, modules, tokenizer=tokenizer
    )
