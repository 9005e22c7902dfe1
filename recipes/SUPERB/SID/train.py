#!/usr/bin/env python3
"""SUPERB speaker identification: which of the speakers of VoxCeleb1 speaks.

> python train.py hparams/train.yaml --upstream hubert_base --data_folder DIR

DIR holds dev/wav, test/wav and iden_split.txt; see README.md for other data,
budgets, and the numbers to expect.

Authors
 * The s3prl_sb developers, 2026
"""

import sys

import speechbrain as sb
from speechbrain.utils.distributed import run_on_main

from s3prl_sb.brains.classification import ClassificationBrain, classification_splits
from s3prl_sb.corpora.voxceleb1 import prepare_voxceleb1_sid
from s3prl_sb.dataio.tables import prepare_tables
from s3prl_sb.experiment import load_recipe


class SpeakerIdentification(ClassificationBrain):
    """1,251 speakers; accuracy."""

    task = "SUPERB/SID"


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
        prepare_voxceleb1_sid(
            hparams["data_folder"],
            hparams["save_folder"],
            split_file=hparams["split_file"],
            skip_prep=hparams["skip_prep"],
        )


if __name__ == "__main__":
    hparams_file, run_opts, overrides = sb.parse_arguments(sys.argv[1:])
    sb.utils.distributed.ddp_init_group(run_opts)
    hparams = load_recipe(hparams_file, overrides)
    sb.create_experiment_directory(hparams["output_folder"], hparams_file, overrides)
    run_on_main(prepare, args=[hparams])

    splits, labels = classification_splits(hparams)
    brain = SpeakerIdentification(
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
