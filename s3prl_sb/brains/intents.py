"""Intent classification: one label per slot of a spoken command.

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
from s3prl_sb.corpora.fluent_speech_commands import check_slots
from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.pipes import EncodeCategory
from s3prl_sb.dataio.splits import make_splits, read_splits
from s3prl_sb.metrics.classification import accuracy, confusion_matrix
from s3prl_sb.startup.configuration import RecipeError
from s3prl_sb.storage.files import write_text


class IntentBrain(SSLBrain):
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

    metric = "accuracy"

    def __init__(self, slots, **kwargs):
        super().__init__(**kwargs)
        self.slots = slots

    def compute_forward(self, batch, stage):
        """Returns logits [batch, values]."""
        batch = batch.to(self.device)
        features, lens = self.compute_features(batch)
        return self.modules["head"](features, lens)

    def compute_objectives(self, predictions, batch, stage):
        """Returns the loss; in evaluation, collects the predictions."""
        logits = split_slots(predictions, self.slots)
        true = [getattr(batch, f"{slot}_encoded") for slot in self.slots]
        if stage != sb.Stage.TRAIN:
            best = [F.softmax(part.float(), dim=-1).max(-1) for part in logits]
            self.seen["id"] += batch.id
            self.seen["true"].append(torch.stack(true, 1).cpu())
            guesses = torch.stack([index for _, index in best], 1)
            self.seen["predicted"].append(guesses.cpu())
            scores = torch.stack([score for score, _ in best], 1).prod(1)
            self.seen["score"].append(scores.cpu())
        return sum(F.cross_entropy(part, index) for part, index in zip(logits, true))

    def start_stage(self, stage):
        """Starts collecting predictions."""
        self.seen = {"id": [], "true": [], "predicted": [], "score": []}

    def stage_stats(self, stage):
        """Returns the accuracy of whole intents, and of each slot."""
        self.true, self.predicted = (  # [utterances, slots]
            torch.cat(self.seen[key]) for key in ("true", "predicted")
        )
        whole = (self.predicted == self.true).all(1)
        stats = {"accuracy": accuracy(whole, torch.ones_like(whole))}
        for n, slot in enumerate(self.slots):
            right = accuracy(self.predicted[:, n], self.true[:, n])
            stats[f"accuracy_{slot}"] = right
        return stats

    def write_predictions(self):
        """Writes ``predictions.csv``, and a confusion matrix for each slot."""
        folder = Path(self.hparams.output_folder)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        columns = [
            f"{slot}_{what}" for slot in self.slots for what in ("label", "prediction")
        ]
        writer.writerow(["id", *columns, "score"])
        scores = torch.cat(self.seen["score"])
        rows = zip(self.seen["id"], self.true, self.predicted, scores)
        for utterance, true, predicted, score in rows:
            names = [
                values[index]
                for values, *pair in zip(self.slots.values(), true, predicted)
                for index in pair
            ]
            writer.writerow([utterance, *names, f"{score:.6f}"])
        write_text(folder / "predictions.csv", text.getvalue())
        for n, (slot, values) in enumerate(self.slots.items()):
            counts = confusion_matrix(
                self.predicted[:, n], self.true[:, n], len(values)
            )
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
    names, folder = check_slots(hparams["slots"]), Path(hparams["save_folder"])
    every = manifest.read(folder / "train.json").values()
    slots = {name: sorted({record[name] for record in every}) for name in names}
    splits = read_splits(hparams, key="labels")
    for split, records in splits.items():
        for slot, values in slots.items():
            unknown = sorted({record[slot] for record in records.values()} - {*values})
            if unknown:
                raise RecipeError(
                    f"{folder}/{split}.json has values of {slot} that do not occur in "
                    f"training: {', '.join(unknown[:10])}. Remove these utterances or "
                    "give them training examples."
                )
    pipes = []
    for slot, values in slots.items():
        encoder = CategoricalEncoder()
        encoder.expect_len(len(values))
        encoder.update_from_iterable(values)
        pipes.append(EncodeCategory(encoder, key=slot))
    keys = ["id", "sig", *(f"{slot}_encoded" for slot in slots)]
    return make_splits(hparams, splits, pipes, keys), slots
