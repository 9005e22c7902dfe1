#!/usr/bin/env python3
"""SUPERB keyword spotting: which of twelve words a second of audio is.

> python train.py hparams/train.yaml --upstream hubert_base --data_folder DIR

DIR holds speech_commands_v0.01 and speech_commands_test_set_v0.01; see
README.md for other data, budgets, and the numbers to expect.

Authors
 * The s3prl_sb developers, 2026
"""

import sys

import speechbrain as sb
from speechbrain.utils.distributed import run_on_main

from s3prl_sb.brains.classification import ClassificationBrain, classification_splits
from s3prl_sb.corpora.speech_commands import prepare_speech_commands
from s3prl_sb.dataio.tables import prepare_tables
from s3prl_sb.experiment import load_recipe


class KeywordSpotting(ClassificationBrain):
    """Twelve words; accuracy."""

    task = "SUPERB/KS"


def prepare(hparams):
    """Writes the manifests."""
    if hparams["train_csv"]:
        prepare_tables(
            hparams["train_csv"],
            hparams["valid_csv"],
            hparams["test_csv"],
            hparams["save_folder"],
            skip_prep=hparams["skip_prep"],
        )
    else:
        prepare_speech_commands(
            hparams["data_folder"],
            hparams["save_folder"],
            test_folder=hparams["test_folder"],
            version=hparams["version"],
            labels=hparams["labels"],
            skip_prep=hparams["skip_prep"],
        )


if __name__ == "__main__":
    hparams_file, run_opts, overrides = sb.parse_arguments(sys.argv[1:])
    sb.utils.distributed.ddp_init_group(run_opts)
    hparams = load_recipe(hparams_file, overrides)
    sb.create_experiment_directory(hparams["output_folder"], hparams_file, overrides)
    run_on_main(prepare, args=[hparams])

    splits, labels = classification_splits(hparams)
    brain = KeywordSpotting(
        labels=labels,
        modules={
            "featurizer": hparams["featurizer"],
            "head": hparams["head"](num_classes=len(labels)),
        },
        hparams=hparams,
        run_opts=run_opts,
        checkpointer=hparams["checkpointer"],
    )
    brain.use_cache(splits)
    brain.fit(
        hparams["epoch_counter"],
        splits["train"],
        splits["valid"],
        train_loader_kwargs=hparams["train_dataloader_opts"],
        valid_loader_kwargs=hparams["valid_dataloader_opts"],
    )
    brain.evaluate(splits["test"], test_loader_kwargs=hparams["test_dataloader_opts"])
