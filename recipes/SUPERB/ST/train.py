#!/usr/bin/env python3
"""SUPERB-SG speech translation: CoVoST 2, from English speech to German text.

> python train.py hparams/train.yaml --upstream hubert_base --data_folder DIR

DIR is Common Voice in the source language, with CoVoST 2's tables; see README.md for
other languages and data, attention ASR, and the numbers to expect.

Authors
 * The s3prl_sb developers, 2026
"""

import sys

from s3prl_sb.brains.running import train_and_test
from s3prl_sb.brains.seq2seq import Seq2SeqBrain, head_sizes, text_splits
from s3prl_sb.corpora.covost2 import prepare_covost2
from s3prl_sb.dataio.translations import prepare_translation_tables
from s3prl_sb.startup.experiment import start


class SpeechTranslation(Seq2SeqBrain):
    """Texts by attention; BLEU of translations, error rates of transcriptions."""

    task = "SUPERB/ST"


def prepare(hparams):
    """Writes the manifests."""
    if hparams["train_csv"]:
        needed = {hparams["target"]}
        if hparams["ctc_weight"]:
            needed.add("transcription")
        prepare_translation_tables(
            hparams["train_csv"],
            hparams["valid_csv"],
            hparams["test_csv"],
            hparams["save_folder"],
            needed=sorted(needed),
            skip_prep=hparams["skip_prep"],
        )
    else:
        prepare_covost2(
            hparams["data_folder"],
            hparams["save_folder"],
            source=hparams["source_language"],
            target=hparams["target_language"],
            translations=hparams["translations"],
            skip_prep=hparams["skip_prep"],
        )


if __name__ == "__main__":
    hparams, run_opts = start(sys.argv[1:], prepare)
    splits, tokenizers = text_splits(hparams)
    modules = {"head": hparams["head"](**head_sizes(**tokenizers))}
    train_and_test(SpeechTranslation, hparams, run_opts, splits, modules, **tokenizers)
