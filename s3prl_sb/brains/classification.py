"""Classification of utterances: keywords, speakers, emotions.

Authors
 * The s3prl_sb developers, 2026
"""

from pathlib import Path

import speechbrain as sb
import torch
import torch.nn.functional as F

from s3prl_sb.brains import plots
from s3prl_sb.brains.labels import (
    SPEAKER,
    LabelBrain,
    category_pipe,
    check_values,
    training_values,
)
from s3prl_sb.dataio.splits import is_few_shot, make_splits, read_splits
from s3prl_sb.metrics.classification import (
    accuracy,
    balanced_accuracy,
    confusion_matrix,
    macro_f1,
)
from s3prl_sb.metrics.contributions import Entry, of_classes, of_drawn_classes
from s3prl_sb.metrics.measures import Measures
from s3prl_sb.storage.csv_files import write_csv


class ClassificationBrain(LabelBrain):
    """Brain for one label per utterance, trained with cross-entropy.

    Arguments
    ---------
    labels : list of str
        All labels, in the order of their indices.
    choose_by : str, optional
        Validation metric that chooses checkpoint and learning rate: "accuracy";
        "macro_f1"; or "balanced_accuracy" if the test set has other class frequencies
        than the validation set. All are measured. Default: that of the class.
    **kwargs
        See :class:`~s3prl_sb.brains.base.SSLBrain`. The module ``head`` maps
        features and relative lengths to [batch, labels].
    """

    def __init__(self, labels, choose_by=None, **kwargs):
        super().__init__(**kwargs)
        self.labels, self.metric = labels, choose_by or self.metric

    def compute_objectives(self, predictions, batch, stage):
        """Returns the loss; in evaluation, collects the predictions."""
        true = batch.label_encoded
        if stage != sb.Stage.TRAIN:
            scores, predicted = F.softmax(predictions.float(), dim=-1).max(-1)
            self.collect(batch, true, predicted, scores)
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

    def stage_stats(self, stage):
        """Returns the accuracy over utterances, and means over classes."""
        self.join()
        return {
            "accuracy": accuracy(self.predicted, self.true),
            "balanced_accuracy": balanced_accuracy(self.predicted, self.true),
            "macro_f1": macro_f1(self.predicted, self.true),
        }

    def contributions(self) -> dict[str, Entry]:
        """Returns what each utterance contributes to the metrics of the test."""
        return of_classes(self.predicted, self.true)

    def measures(self):
        """Returns the contributions; if labels are speakers, these are drawn."""
        entries, units = self.contributions(), None
        if self.unit == SPEAKER:
            units = [self.labels[label] for label in self.true.tolist()]
            entries |= of_drawn_classes(self.predicted, self.true)
        return Measures.build(self.unit, self.ids, entries, units)

    def write_predictions(self):
        """Writes ``predictions.csv`` and the confusion matrix."""
        folder = Path(self.hparams.output_folder)
        columns = zip(self.ids, self.true, self.predicted, self.scores)
        rows = (
            [utterance, self.labels[label], self.labels[guess], f"{score:.6f}"]
            for utterance, label, guess, score in columns
        )
        names = ["id", "label", "prediction", "score"]
        write_csv(folder / "predictions.csv", names, rows)
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


def classification_splits(hparams, unseen=False):
    """Returns the three datasets of a classification recipe, and the labels.

    Arguments
    ---------
    hparams : dict
        Settings: ``save_folder`` with ``train.json``, ``valid.json`` and ``test.json``;
        ``train_pipes`` and ``eval_pipes``; ``train_fraction`` and
        ``train_per_class`` for few-shot training.
    unseen : bool
        Whether labels of validation and test that do not occur in training are classes
        as well. Their utterances count as errors; otherwise they are an error.

    Returns
    -------
    splits : dict
        "train", "valid", "test" to
        :class:`~s3prl_sb.dataio.dataset.ManifestDataset`, whose examples have
        ``id``, ``sig`` and ``label_encoded``.
    labels : list of str
        Sorted labels of the training set; with ``unseen``, of all sets.

    Raises
    ------
    RecipeError
        For a label that does not occur in training, without ``unseen``.
    """
    records = read_splits(hparams, key="label")
    folder = hparams["save_folder"]
    whole = None if is_few_shot(hparams) else records["train"]
    values = training_values(folder, ["label"], whole)
    if unseen:
        others = (r["label"] for each in records.values() for r in each.values())
        values["label"] = sorted({*values["label"], *others})
    check_values(folder, records, values)
    pipes, keys = [category_pipe(values["label"])], ["id", "sig", "label_encoded"]
    return make_splits(hparams, records, pipes, keys), values["label"]
