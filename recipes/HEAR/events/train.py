#!/usr/bin/env python3
"""Sound events in time: HEAR's event tasks, DESED, your own recordings.

> python train.py hparams/train.yaml --upstream hubert_base --data_folder DIR

DIR is an event task of HEAR as downloaded, a tar or its folder; see README.md for
DESED, single folds, other data, budgets, and the numbers to expect.

Authors
 * The s3prl_sb developers, 2026
"""

import sys

from s3prl_sb.brains.events import EventBrain, event_splits
from s3prl_sb.brains.folds import cross_validate
from s3prl_sb.brains.grid import searched
from s3prl_sb.brains.passes import with_passes
from s3prl_sb.brains.running import train_and_test
from s3prl_sb.corpora import hear
from s3prl_sb.corpora.desed import prepare_desed
from s3prl_sb.corpora.hear import prepare_hear_events
from s3prl_sb.corpora.segment_tables import prepare_segment_tables
from s3prl_sb.startup.experiment import start


class Events(EventBrain):
    """Onset F1, unless choose_by says otherwise."""

    task = "HEAR/events"


def prepare(hparams):
    """Writes the manifests, of a fold where the task has folds."""
    source, folder = hparams["data_folder"], hparams["save_folder"]
    skip = {"skip_prep": hparams["skip_prep"]}
    if hparams["train_csv"]:
        prepare_segment_tables(
            hparams["train_csv"],
            hparams["valid_csv"],
            hparams["test_csv"],
            folder,
            label="label",
            **skip,
        )
    elif hparams["corpus"] == "desed":
        prepare_desed(source, folder, **skip)
    else:
        fold = None if hparams["fold"] == "all" else hparams["fold"]
        prepare_hear_events(source, folder, fold=fold, **skip)


def train(argv):
    """Trains and tests on one fold, or on fixed splits."""
    hparams, run_opts = start(argv, prepare)
    splits, options = event_splits(hparams)
    hparams = with_passes(hparams, splits)
    modules = {"head": hparams["head"](num_classes=len(options["labels"]))}
    train_and_test(Events, hparams, run_opts, splits, modules, **options)


def folds(settings):
    """Returns the numbers of all folds of the task; None for fixed splits."""
    is_hear = settings["corpus"] == "hear"
    return hear.folds(settings["data_folder"]) if is_hear else None


if __name__ == "__main__":
    cross_validate(sys.argv[1:], searched(train), folds)
