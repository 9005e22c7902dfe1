"""Intent classification: one label per slot of a spoken command.

Authors
 * The s3prl_sb developers, 2026
"""

from pathlib import Path

import speechbrain as sb
import torch
import torch.nn.functional as F

from s3prl_sb.brains import plots
from s3prl_sb.brains.labels import (
    LabelBrain,
    category_pipe,
    check_values,
    training_values,
)
from s3prl_sb.corpora.fluent_speech_commands import check_slots
from s3prl_sb.dataio.splits import make_splits, read_splits
from s3prl_sb.metrics.classification import accuracy, confusion_matrix
from s3prl_sb.metrics.contributions import mean
from s3prl_sb.metrics.measures import Measures
from s3prl_sb.storage.csv_files import write_csv


class IntentBrain(LabelBrain):
    """Brain for several slots per utterance, trained with the sum of cross-entropies.

    An utterance is correct if all slots are.

    Arguments
    ---------
    slots : dict
        Name of each slot to the list of its values, in the order of their indices.
    **kwargs
        See :class:`~s3prl_sb.brains.base.SSLBrain`. The module ``head`` maps features
        and relative lengths to [batch, values of all slots], slot after slot.
    """

    def __init__(self, slots, **kwargs):
        super().__init__(**kwargs)
        self.slots = slots

    def compute_objectives(self, predictions, batch, stage):
        """Returns the loss; in evaluation, collects the predictions."""
        logits = split_slots(predictions, self.slots)
        true = [getattr(batch, f"{slot}_encoded") for slot in self.slots]
        if stage != sb.Stage.TRAIN:
            best = [F.softmax(part.float(), dim=-1).max(-1) for part in logits]
            scores, predicted = (torch.stack(values, 1) for values in zip(*best))
            self.collect(batch, torch.stack(true, 1), predicted, scores.prod(1))
        return sum(F.cross_entropy(part, index) for part, index in zip(logits, true))

    def stage_stats(self, stage):
        """Returns the accuracy of whole intents, and of each slot."""
        self.join()
        whole = (self.predicted == self.true).all(1)  # both are [utterances, slots]
        stats = {"accuracy": accuracy(whole, torch.ones_like(whole))}
        for n, slot in enumerate(self.slots):
            right = accuracy(self.predicted[:, n], self.true[:, n])
            stats[f"accuracy_{slot}"] = right
        return stats

    def measures(self):
        """Returns which utterances, and which of their slots, are right."""
        right = self.predicted == self.true
        entries = {"accuracy": mean(right.all(1).long())}
        for slot, column in zip(self.slots, right.T):
            entries[f"accuracy_{slot}"] = mean(column.long())
        return Measures.build(self.unit, self.ids, entries)

    def write_predictions(self):
        """Writes ``predictions.csv``, and a confusion matrix for each slot."""
        folder = Path(self.hparams.output_folder)
        columns = [
            f"{slot}_{what}" for slot in self.slots for what in ("label", "prediction")
        ]
        utterances = zip(self.ids, self.true, self.predicted, self.scores)
        rows = []
        for utterance, true, predicted, score in utterances:
            names = [
                values[index]
                for values, *pair in zip(self.slots.values(), true, predicted)
                for index in pair
            ]
            rows.append([utterance, *names, f"{score:.6f}"])
        write_csv(folder / "predictions.csv", ["id", *columns, "score"], rows)
        for n, (slot, values) in enumerate(self.slots.items()):
            pair = self.predicted[:, n], self.true[:, n]
            counts = confusion_matrix(*pair, len(values))
            path = folder / f"confusion_matrix_{slot}.png"
            name = f"accuracy_{slot}"
            measures = {name: self.tested[name]} if name in self.tested else None
            title = plots.heading(self, measures)
            plots.confusion_matrix(path, counts, values, title)

    def interface(self):
        """Returns a classifier with these slots."""
        return {
            "class": "s3prl_sb.inference.intents.IntentClassifier",
            "head": {"num_classes": sum(map(len, self.slots.values()))},
            "hparams": {"slots": self.slots},
        }


def split_slots(logits, slots):
    """Splits logits by slots.

    Arguments
    ---------
    logits : torch.Tensor
        [batch, values of all slots].
    slots : dict
        Name of each slot to the list of its values.

    Returns
    -------
    tuple of torch.Tensor
        [batch, values] for each slot.

    Example
    -------
    >>> slots = {"action": ["on", "off"], "object": ["heat", "lights", "music"]}
    >>> [part.shape[1] for part in split_slots(torch.randn(4, 5), slots)]
    [2, 3]
    """
    return logits.split([len(values) for values in slots.values()], dim=-1)


def intent_splits(hparams):
    """Returns the three datasets of an intent recipe, and the values of the slots.

    Arguments
    ---------
    hparams : dict
        Settings: names of ``slots``; ``save_folder`` with ``train.json``,
        ``valid.json`` and ``test.json``; ``train_pipes`` and ``eval_pipes``;
        ``train_fraction`` and ``train_per_class`` for few-shot training, where
        a class is a whole intent.

    Returns
    -------
    splits : dict
        "train", "valid", "test" to
        :class:`~s3prl_sb.dataio.dataset.ManifestDataset`, whose examples have
        ``id``, ``sig`` and ``<slot>_encoded``.
    slots : dict
        Name of each slot to its sorted values in the training set.
    """
    folder = hparams["save_folder"]
    slots = training_values(folder, check_slots(hparams["slots"]))
    records = read_splits(hparams, key="labels")
    check_values(folder, records, slots)
    pipes = [category_pipe(values, slot) for slot, values in slots.items()]
    keys = ["id", "sig", *(f"{slot}_encoded" for slot in slots)]
    return make_splits(hparams, records, pipes, keys), slots
