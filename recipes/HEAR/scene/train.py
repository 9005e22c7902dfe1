#!/usr/bin/env python3
"""Labels of clips: HEAR's scene tasks, and other corpora of sounds.

> python train.py hparams/train.yaml --upstream hubert_base --data_folder DIR

DIR is a task of HEAR as downloaded, a tar or its folder; see README.md for other
corpora, single folds, other data, budgets, and the numbers to expect.

Authors
 * The s3prl_sb developers, 2026
"""

import sys

from s3prl_sb.brains.clip_labels import ClipBrain, clip_task
from s3prl_sb.brains.fitting import FittingBrain
from s3prl_sb.brains.folds import cross_validate
from s3prl_sb.brains.grid import searched
from s3prl_sb.brains.multi_label import MultiLabelBrain
from s3prl_sb.brains.passes import with_passes
from s3prl_sb.brains.running import train_and_test
from s3prl_sb.corpora.clip_corpora import CLIP_CORPORA
from s3prl_sb.dataio.clip_labels import prepare_clip_tables
from s3prl_sb.startup.experiment import start


class OneLabel(FittingBrain, ClipBrain):
    """One label a clip; the metric is that of the corpus."""

    task = "HEAR/scene"


class AnyLabels(FittingBrain, MultiLabelBrain):
    """Any number of labels a clip; mean average precision."""

    task = "HEAR/scene"


def prepare(hparams):
    """Writes the manifests, of a fold where the corpus has folds."""
    folder, skip = hparams["save_folder"], {"skip_prep": hparams["skip_prep"]}
    if hparams["train_csv"]:
        prepare_clip_tables(
            hparams["train_csv"],
            hparams["valid_csv"],
            hparams["test_csv"],
            folder,
            **skip,
        )
        return
    fold = None if hparams["fold"] == "all" else hparams["fold"]
    corpus = CLIP_CORPORA[hparams["corpus"]]
    corpus.prepare(hparams["data_folder"], folder, fold=fold, **skip)


def train(argv):
    """Trains and tests on one fold, or on fixed splits."""
    hparams, run_opts = start(argv, prepare)
    brain_class, splits, options = clip_task(hparams, OneLabel, AnyLabels)
    hparams = with_passes(hparams, splits)
    modules = {"head": hparams["head"](num_classes=len(options["labels"]))}
    train_and_test(brain_class, hparams, run_opts, splits, modules, **options)


def folds(settings):
    """Returns the numbers of all folds of the corpus; None for fixed splits."""
    return CLIP_CORPORA[settings["corpus"]].folds(settings["data_folder"])


if __name__ == "__main__":
    cross_validate(sys.argv[1:], searched(train), folds)
