"""Classification of utterances with any number of labels, such as sounds in a clip.

Authors
 * The s3prl_sb developers, 2026
"""

from pathlib import Path

import speechbrain as sb
import torch
import torch.nn.functional as F

from s3prl_sb.brains.base import SSLBrain
from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.clip_labels import BETWEEN, EncodeLabels, labels_of
from s3prl_sb.dataio.splits import make_splits, read_splits
from s3prl_sb.metrics.contributions import Entry, label_f1, of_scores
from s3prl_sb.metrics.measures import Measures
from s3prl_sb.metrics.multi_label import (
    average_precisions,
    best_threshold,
    label_measures,
    macro_f1,
)
from s3prl_sb.startup.configuration import RecipeError
from s3prl_sb.storage.csv_files import write_csv

SHOWN = 5  # labels of an utterance whose scores predictions.csv has


class MultiLabelBrain(SSLBrain):
    """Brain for any number of labels per utterance, trained with binary cross-entropy.

    The validation set chooses the threshold of the probabilities, from the recipe's
    ``thresholds``; the checkpoint stores it, and the test uses it. No threshold is
    involved in the average precision and in the area under the ROC curve.

    Arguments
    ---------
    labels : list of str
        All labels, in the order of their indices.
    choose_by : str, optional
        Validation metric that chooses checkpoint and learning rate:
        "mean_average_precision", "d_prime", "auc" or "macro_f1".
    **kwargs
        See :class:`~s3prl_sb.brains.base.SSLBrain`. The module ``head`` maps features
        and relative lengths to [batch, labels]; ``hparams`` has ``thresholds``.
    """

    metric = "mean_average_precision"

    def __init__(self, labels, choose_by=None, **kwargs):
        super().__init__(**kwargs)
        self.labels, self.metric = labels, choose_by or self.metric
        self.threshold = float(self.hparams.thresholds[0])

    def start_stage(self, stage):
        """Starts collecting predictions."""
        self.ids, self.collected = [], []

    def compute_objectives(self, predictions, batch, stage):
        """Returns the loss; in evaluation, collects the predictions."""
        true = batch.labels_encoded[0]
        if stage != sb.Stage.TRAIN:
            self.ids += batch.id
            self.collected.append((predictions.float().sigmoid().cpu(), true.cpu()))
        return self.loss(predictions, true)

    def loss(self, predictions: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
        """Returns the training loss; override it for another loss.

        Arguments
        ---------
        predictions : torch.Tensor
            [batch, labels], output of ``head``.
        true : torch.Tensor
            [batch, labels], 0 or 1.

        Returns
        -------
        torch.Tensor
            A scalar.
        """
        return F.binary_cross_entropy_with_logits(predictions, true)

    def stage_stats(self, stage):
        """Returns the metrics, means over labels; in validation, also chooses the
        threshold."""
        scores, true = map(torch.cat, zip(*self.collected))
        self.scores, self.true = scores, true = scores, true > 0
        if stage == sb.Stage.VALID:
            self.threshold = best_threshold(scores, true, self.hparams.thresholds)
        elif "threshold" in self.best:
            self.threshold = self.best["threshold"]
        return {
            **label_measures(scores, true),
            "macro_f1": macro_f1(scores > self.threshold, true),
            "threshold": self.threshold,
        }

    def contributions(self) -> dict[str, Entry]:
        """Returns what each utterance contributes to the metrics of the test."""
        found, true = self.scores > self.threshold, self.true
        counts = [side.int().numpy() for side in (found & true, found, true)]
        return {**of_scores(self.scores, true), "macro_f1": label_f1(*counts)}

    def measures(self):
        """Returns the contributions."""
        return Measures.build(self.unit, self.ids, self.contributions())

    def write_predictions(self):
        """Writes ``predictions.csv``, and ``labels.csv`` with the average precision of
        each label."""
        folder, rows = Path(self.hparams.output_folder), []
        for name, scores, true in zip(self.ids, self.scores, self.true):
            order = scores.argsort(descending=True, stable=True)[:SHOWN].tolist()
            best = [f"{self.labels[i]} {scores[i]:.6f}" for i in order]
            predicted = scores > self.threshold
            texts = (*map(self._joined, (true, predicted)), BETWEEN.join(best))
            rows.append([name, *texts])
        names = ["id", "labels", "prediction", "scores"]
        write_csv(folder / "predictions.csv", names, rows)
        precisions = average_precisions(self.scores, self.true)
        counts = self.true.sum(0).tolist()
        measured = [f"{p:.6f}" if n else "" for p, n in zip(precisions, counts)]
        names = ["label", "utterances", "average_precision"]
        rows = list(zip(self.labels, counts, measured))
        write_csv(folder / "labels.csv", names, rows)

    def _joined(self, holds):
        """Returns the labels that hold, as a text."""
        return BETWEEN.join(self.labels[i] for i in holds.nonzero().flatten().tolist())

    def interface(self):
        """Returns a tagger with these labels and the chosen threshold."""
        return {
            "class": "s3prl_sb.inference.tagger.Tagger",
            "head": {"num_classes": len(self.labels)},
            "hparams": {"labels": self.labels, "threshold": self.threshold},
        }


def multi_label_splits(hparams):
    """Returns the three datasets of a recipe whose records have ``labels``.

    Arguments
    ---------
    hparams : dict
        Settings, see :func:`s3prl_sb.brains.classification.classification_splits`.

    Returns
    -------
    splits : dict
        "train", "valid", "test" to
        :class:`~s3prl_sb.dataio.dataset.ManifestDataset`, whose examples have ``id``,
        ``sig`` and ``labels_encoded``.
    labels : list of str
        Sorted labels of all sets; one that does not occur in a set does not count in
        its metrics.

    Raises
    ------
    RecipeError
        For ``train_per_class``: an utterance has no class.
    """
    if hparams.get("train_per_class") is not None:
        raise RecipeError(
            "train_per_class: utterances with any number of labels have no class. Give "
            "train_fraction or train_hours."
        )
    records = read_splits(hparams)
    whole = manifest.read(manifest.paths_in(hparams["save_folder"])["train"])
    everything = (whole, *(records[name] for name in ("valid", "test")))
    labels = sorted(set().union(*map(labels_of, everything)))
    pipes, keys = [EncodeLabels(labels)], ["id", "sig", "labels_encoded"]
    return make_splits(hparams, records, pipes, keys), labels
