"""Classification of utterances: keywords, speakers, emotions.

Authors
 * The s3prl_sb developers, 2026
"""

import csv
import io
from pathlib import Path

import speechbrain as sb
import torch
import torch.nn.functional as F
from speechbrain.dataio.encoder import CategoricalEncoder

from s3prl_sb.brains import plots
from s3prl_sb.brains.base import SSLBrain
from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.pipes import EncodeCategory
from s3prl_sb.dataio.splits import make_splits, read_splits
from s3prl_sb.metrics.classification import (
    accuracy,
    balanced_accuracy,
    confusion_matrix,
)
from s3prl_sb.startup.configuration import RecipeError
from s3prl_sb.storage.files import write_text


class ClassificationBrain(SSLBrain):
    """Brain for one label per utterance, trained with cross-entropy.

    Arguments
    ---------
    labels : list of str
        All labels, in the order of their indices.
    choose_by : str, optional
        Validation metric that chooses checkpoint and learning rate: "accuracy", or
        "balanced_accuracy" if the test set has other class frequencies than the
        validation set. Both are measured. Default: that of the class.
    **kwargs
        See :class:`~s3prl_sb.brains.base.SSLBrain`. The module ``head`` maps
        features and relative lengths to [batch, labels].
    """

    metric = "accuracy"

    def __init__(self, labels, choose_by=None, **kwargs):
        super().__init__(**kwargs)
        self.labels, self.metric = labels, choose_by or self.metric

    def compute_forward(self, batch, stage):
        """Returns logits [batch, labels]."""
        batch = batch.to(self.device)
        features, lens = self.compute_features(batch)
        return self.modules["head"](features, lens)

    def compute_objectives(self, predictions, batch, stage):
        """Returns the loss; in evaluation, collects the predictions."""
        true = batch.label_encoded
        if stage != sb.Stage.TRAIN:
            scores, predicted = F.softmax(predictions.float(), dim=-1).max(-1)
            self.seen["id"] += batch.id
            self.seen["true"].append(true.cpu())
            self.seen["predicted"].append(predicted.cpu())
            self.seen["score"].append(scores.cpu())
        return self.loss(predictions, true)

    def loss(self, predictions: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
        """Returns the training loss; override it for another loss.

        Arguments
        ---------
        predictions : torch.Tensor
            [batch, labels], output of ``head``.
        true : torch.Tensor
            [batch], indices of the correct labels.

        Returns
        -------
        torch.Tensor
            A scalar.
        """
        return F.cross_entropy(predictions, true)

    def start_stage(self, stage):
        """Starts collecting predictions."""
        self.seen = {"id": [], "true": [], "predicted": [], "score": []}

    def stage_stats(self, stage):
        """Returns the accuracy over utterances, and the mean over classes."""
        self.true, self.predicted = (
            torch.cat(self.seen[key]) for key in ("true", "predicted")
        )
        pair = self.predicted, self.true
        return {
            "accuracy": accuracy(*pair),
            "balanced_accuracy": balanced_accuracy(*pair),
        }

    def write_predictions(self):
        """Writes ``predictions.csv`` and the confusion matrix."""
        folder = Path(self.hparams.output_folder)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["id", "label", "prediction", "score"])
        scores = torch.cat(self.seen["score"])
        rows = zip(self.seen["id"], self.true, self.predicted, scores)
        for utterance, label, guess, score in rows:
            names = self.labels[label], self.labels[guess]
            writer.writerow([utterance, *names, f"{score:.6f}"])
        write_text(folder / "predictions.csv", text.getvalue())
        counts = confusion_matrix(self.predicted, self.true, len(self.labels))
        path, title = folder / "confusion_matrix.png", plots.heading(self)
        plots.confusion_matrix(path, counts, self.labels, title)

    def interface(self):
        """Returns a classifier with these labels."""
        return {
            "class": "s3prl_sb.inference.classifier.Classifier",
            "head": {"num_classes": len(self.labels)},
            "hparams": {"labels": self.labels},
        }


def classification_splits(hparams):
    """Returns the three datasets of a classification recipe, and the labels.

    Arguments
    ---------
    hparams : dict
        Settings: ``save_folder`` with ``train.json``, ``valid.json`` and ``test.json``;
        ``train_pipes`` and ``eval_pipes``; ``train_fraction`` and
        ``train_per_class`` for few-shot training.

    Returns
    -------
    splits : dict
        "train", "valid", "test" to
        :class:`~s3prl_sb.dataio.dataset.ManifestDataset`, whose examples have
        ``id``, ``sig`` and ``label_encoded``.
    labels : list of str
        Sorted labels of the training set.
    """
    records = read_splits(hparams, key="label")
    every = manifest.read(Path(hparams["save_folder"]) / "train.json").values()
    labels = sorted({record["label"] for record in every})
    encoder = CategoricalEncoder()
    encoder.expect_len(len(labels))
    encoder.update_from_iterable(labels)
    for split, utterances in records.items():
        unknown = sorted({r["label"] for r in utterances.values()} - set(labels))
        if unknown:
            raise RecipeError(
                f"{hparams['save_folder']}/{split}.json has labels that do not "
                f"occur in training: {', '.join(unknown[:10])}. Remove these "
                "utterances or give them training examples."
            )
    pipes = [EncodeCategory(encoder)]
    return make_splits(hparams, records, pipes, ["id", "sig", "label_encoded"]), labels
