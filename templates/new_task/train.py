#!/usr/bin/env python3
"""Spoken digits: which word is said. A template for a task of your own.

> python train.py hparams/train.yaml --data_folder DIR --upstream hubert_base

DIR holds <label>_<speaker>_<number>.wav. Killed, the same command goes on where it
was; with a graphics card or under torchrun it is the same command too.

Authors
 * Me, 2026
"""

import sys

import speechbrain as sb
import torch.nn.functional as F
from prepare import prepare_digits
from speechbrain.utils.distributed import run_on_main

from s3prl_sb.brains.classification import ClassificationBrain, classification_splits
from s3prl_sb.experiment import load_recipe


class SpokenDigits(ClassificationBrain):
    """One label an utterance. All that is particular to the task stands here.

    Its parent computes the features, logs, keeps the best checkpoint, resumes, and
    writes the results. Override what you need otherwise, one method at a time:

    * ``compute_forward(batch, stage)``: batch -> predictions;
    * ``loss(predictions, true)``: -> a scalar;
    * ``on_stage_end``: other metrics; ``metric`` names the one that chooses.
    """

    task = "digits"  # its name in results.json

    def loss(self, predictions, true):
        """Cross-entropy, in training with smoothed labels."""
        smoothing = self.hparams.label_smoothing if self.modules.training else 0.0
        return F.cross_entropy(
            predictions,  # [batch, labels]
            true,  # [batch]
            label_smoothing=smoothing,
        )


if __name__ == "__main__":
    hparams_file, run_opts, overrides = sb.parse_arguments(sys.argv[1:])
    sb.utils.distributed.ddp_init_group(run_opts)
    hparams = load_recipe(hparams_file, overrides)
    sb.create_experiment_directory(hparams["output_folder"], hparams_file, overrides)

    # Once, however many processes there are.
    run_on_main(
        prepare_digits,
        kwargs={
            "data_folder": hparams["data_folder"],
            "save_folder": hparams["save_folder"],
            "test_numbers": hparams["test_numbers"],
            "valid_numbers": hparams["valid_numbers"],
        },
    )
    splits, labels = classification_splits(hparams)

    brain = SpokenDigits(
        labels=labels,
        modules={
            "featurizer": hparams["featurizer"],
            # The yaml says which head; only the data say how many classes.
            "head": hparams["head"](num_classes=len(labels)),
        },
        hparams=hparams,
        run_opts=run_opts,
        checkpointer=hparams["checkpointer"],
    )
    brain.use_cache(splits)  # a frozen upstream runs over each utterance once
    brain.fit(
        hparams["epoch_counter"],
        splits["train"],
        splits["valid"],
        train_loader_kwargs=hparams["train_dataloader_opts"],
        valid_loader_kwargs=hparams["valid_dataloader_opts"],
    )
    brain.evaluate(splits["test"], test_loader_kwargs=hparams["test_dataloader_opts"])
