"""Labels of classification tasks: their values, indices and predictions.

Authors
 * The s3prl_sb developers, 2026
"""

from pathlib import Path

import torch
from speechbrain.dataio.encoder import CategoricalEncoder

from s3prl_sb.brains.base import SSLBrain
from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.pipes import EncodeCategory
from s3prl_sb.startup.configuration import RecipeError

SPEAKER = "speaker"  #: unit of a Brain whose labels are speakers


class LabelBrain(SSLBrain):
    """Base class of Brains that predict labels of utterances."""

    metric = "accuracy"

    def start_stage(self, stage):
        """Starts collecting predictions."""
        self.ids, self.collected = [], []

    def collect(self, batch, true, predicted, scores):
        """Collects the predictions for a batch.

        Arguments
        ---------
        batch : speechbrain.dataio.batch.PaddedBatch
            The batch.
        true, predicted : torch.Tensor
            [batch] or [batch, labels of an utterance], indices of the labels.
        scores : torch.Tensor
            [batch], probabilities of the predictions.
        """
        self.ids += batch.id
        self.collected.append([each.cpu() for each in (true, predicted, scores)])

    def join(self):
        """Joins all batches of the stage to ``true``, ``predicted`` and ``scores``."""
        columns = zip(*self.collected)
        self.true, self.predicted, self.scores = map(torch.cat, columns)


def training_values(save_folder, keys, records=None):
    """Returns the values of keys in the whole training set, also of few-shot training.

    Arguments
    ---------
    save_folder : str
        Folder with ``train.json``.
    keys : list of str
        Keys of the records.
    records : dict, optional
        The whole training set, if it has been read already: it may be large.

    Returns
    -------
    dict
        Each key to its sorted values.
    """
    records = records or manifest.read(Path(save_folder) / "train.json")
    return {key: sorted({r[key] for r in records.values()}) for key in keys}


def check_values(save_folder, records, values):
    """Checks that the values in all splits occur in training.

    Arguments
    ---------
    save_folder : str
        Folder of the manifests, to name them.
    records : dict
        Splits to ``{id: record}``.
    values : dict
        From :func:`training_values`.

    Raises
    ------
    RecipeError
        If a value does not occur in training; names it.
    """
    for split, utterances in records.items():
        for key, trained in values.items():
            unknown = sorted({r[key] for r in utterances.values()} - set(trained))
            if unknown:
                what = "labels" if key == "label" else f"values of {key}"
                raise RecipeError(
                    f"{save_folder}/{split}.json has {what} that do not occur in "
                    f"training: {', '.join(unknown[:10])}. Remove these utterances or "
                    "give them training examples."
                )


def category_pipe(values, key="label"):
    """Returns a pipe that maps a value to its index.

    Arguments
    ---------
    values : list of str
        All values, in the order of their indices.
    key : str
        Key of the records.

    Returns
    -------
    s3prl_sb.dataio.pipes.EncodeCategory

    Example
    -------
    >>> category_pipe(["no", "yes"]).encode("yes")
    1
    """
    encoder = CategoricalEncoder()
    encoder.expect_len(len(values))
    encoder.update_from_iterable(values)
    return EncodeCategory(encoder, key)
