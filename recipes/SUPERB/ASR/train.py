#!/usr/bin/env python3
"""SUPERB speech recognition: what LibriSpeech's readers say, in characters.

> python train.py hparams/train.yaml --upstream hubert_base --data_folder DIR

DIR holds train-clean-100, dev-clean and test-clean; see README.md for other data,
language models, and the numbers to expect.

Authors
 * The s3prl_sb developers, 2026
"""

import sys

from s3prl_sb.brains.running import train_and_test
from s3prl_sb.brains.transcription import TranscriptionBrain
from s3prl_sb.corpora.librispeech import prepare_librispeech
from s3prl_sb.dataio.pipes import EncodeTokens
from s3prl_sb.dataio.splits import make_splits, read_splits
from s3prl_sb.dataio.tables import prepare_tables
from s3prl_sb.startup.experiment import start


class SpeechRecognition(TranscriptionBrain):
    """Characters by CTC; word error rate and character error rate."""

    task = "SUPERB/ASR"
    metric = "wer"


def prepare(hparams):
    """Writes the manifests."""
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
    else:
        prepare_librispeech(
            hparams["data_folder"],
            hparams["save_folder"],
            train_splits=hparams["train_splits"],
            valid_split=hparams["valid_split"],
            test_split=hparams["test_split"],
            librilight_folder=hparams["librilight_folder"],
            librilight_split=hparams["librilight_split"],
            skip_prep=hparams["skip_prep"],
        )


if __name__ == "__main__":
    hparams, run_opts = start(sys.argv[1:], prepare)
    tokenizer, decoder = hparams["tokenizer"], None
    if hparams["lm"]:
        decoder = hparams["lm_decoding"](tokenizer)
    pipes = [EncodeTokens(tokenizer)]
    keys = ["id", "sig", "tokens_list", "tokens", "reference"]
    splits = make_splits(hparams, read_splits(hparams), pipes, keys)
    modules = {"head": hparams["head"](num_classes=len(tokenizer))}
    train_and_test(
        SpeechRecognition,
        hparams,
        run_opts,
        splits,
        modules,
        tokenizer=tokenizer,
        decoder=decoder,
    )
