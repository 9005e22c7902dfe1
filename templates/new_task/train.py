#!/usr/bin/env python3
"""Spoken digits: which word is said. A template for a task of your own.

> python train.py hparams/train.yaml --data_folder DIR --upstream hubert_base

DIR holds <label>_<speaker>_<number>.wav. After a kill, the same command resumes the
run; it also works with a graphics card, or under torchrun.

Authors
 * Me, 2026
"""

import sys

import torch.nn.functional as F
from prepare import prepare_digits

from s3prl_sb.brains.classification import ClassificationBrain, classification_splits
from s3prl_sb.brains.running import train_and_test
from s3prl_sb.startup.experiment import start


class SpokenDigits(ClassificationBrain):
    """One label per utterance. Everything specific to the task is here.

    The parent class computes the features, logs, keeps the best checkpoint, resumes,
    and writes the results. Override what should differ, one method at a time:

    * ``compute_forward(batch, stage)``: batch -> predictions;
    * ``loss(predictions, true)``: -> a scalar;
    * ``stage_stats``: other metrics; ``metric`` names the one that chooses the
      checkpoint.
    """

    task = "digits"  # its name in results.json

    def loss(self, predictions, true):
        """Returns the cross-entropy, in training with smoothed labels."""
        smoothing = self.hparams.label_smoothing if self.modules.training else 0.0
        return F.cross_entropy(
            predictions,  # [batch, labels]
            true,  # [batch]
            label_smoothing=smoothing,
        )


def prepare(hparams):
    """Writes the manifests; called by one process only."""
    prepare_digits(
        hparams["data_folder"],
        hparams["save_folder"],
        test_numbers=hparams["test_numbers"],
        valid_numbers=hparams["valid_numbers"],
    )


if __name__ == "__main__":
    hparams, run_opts = start(sys.argv[1:], prepare)
    splits, labels = classification_splits(hparams)
    # The YAML selects the head; only the data tell the number of classes.
    modules = {"head": hparams["head"](num_classes=len(labels))}
    train_and_test(SpokenDigits, hparams, run_opts, splits, modules, labels=labels)
