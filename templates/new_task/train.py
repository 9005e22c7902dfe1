#!/usr/bin/env python3
"""Spoken digits: which word is said. A template for a task of your own.

> python train.py hparams/train.yaml --data_folder DIR --upstream hubert_base

DIR holds <label>_<speaker>_<number>.wav. Killed, the same command goes on where it
was; with a graphics card or under torchrun it is the same command too.

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
    """One label an utterance. All that is particular to the task stands here.

    Its parent computes the features, logs, keeps the best checkpoint, resumes, and
    writes the results. Override what you need otherwise, one method at a time:

    * ``compute_forward(batch, stage)``: batch -> predictions;
    * ``loss(predictions, true)``: -> a scalar;
    * ``stage_stats``: other metrics; ``metric`` names the one that chooses.
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


def prepare(hparams):
    """Writes the manifests; once, however many processes there are."""
    prepare_digits(
        hparams["data_folder"],
        hparams["save_folder"],
        test_numbers=hparams["test_numbers"],
        valid_numbers=hparams["valid_numbers"],
    )


if __name__ == "__main__":
    hparams, run_opts = start(sys.argv[1:], prepare)
    splits, labels = classification_splits(hparams)
    # The yaml says which head; only the data say how many classes.
    modules = {"head": hparams["head"](num_classes=len(labels))}
    train_and_test(SpokenDigits, hparams, run_opts, splits, modules, labels=labels)
