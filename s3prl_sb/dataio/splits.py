"""Training, validation and test set of a recipe, from manifests to datasets.

Authors
 * The s3prl_sb developers, 2026
"""

import logging

from s3prl_sb.dataio import conditions, few_shot, manifest
from s3prl_sb.dataio.dataset import ManifestDataset
from s3prl_sb.schema.combinations import AMOUNTS

logger = logging.getLogger(__name__)


def is_few_shot(hparams):
    """Returns whether a recipe trains on a part of its training set."""
    return any(hparams.get(name) is not None for name in AMOUNTS)


def read_splits(hparams, key=None):
    """Reads the manifests of a recipe, with an optional few-shot training set.

    Arguments
    ---------
    hparams : dict
        ``save_folder`` with ``train.json``, ``valid.json`` and ``test.json``;
        ``train_fraction``, ``train_per_class`` (for classes) or ``train_hours`` for
        few-shot training; ``seed``.
    key : str, optional
        Label that holds the class: a few-shot training set has every class. Default:
        no classes.

    Returns
    -------
    dict
        "train", "valid" and "test" to ``{id: record}``.
    """
    paths = manifest.paths_in(hparams["save_folder"])
    records = {split: manifest.read(path) for split, path in paths.items()}
    if is_few_shot(hparams):
        # An argument of subset is named like its key.
        amount = {name.removeprefix("train_"): hparams.get(name) for name in AMOUNTS}
        whole = records["train"]
        part = few_shot.subset(whole, **amount, seed=hparams["seed"], key=key)
        logger.info("Training set: %s", few_shot.described(part, whole))
        records["train"] = part
    return records


def make_splits(hparams, records, pipes, output_keys):
    """Makes datasets of manifests.

    Arguments
    ---------
    hparams : dict
        ``train_pipes`` and ``eval_pipes``, which make the waveforms, and the keys of
        the conditions, see :mod:`s3prl_sb.dataio.conditions`.
    records : dict
        Result of :func:`read_splits`.
    pipes : list of callable
        Additional pipes for all sets, which make the targets.
    output_keys : list of str
        Items of an example.

    Returns
    -------
    dict
        Names to :class:`~s3prl_sb.dataio.dataset.ManifestDataset`.

    Example
    -------
    >>> hparams = {"train_pipes": [], "eval_pipes": []}
    >>> splits = make_splits(hparams, {"test": {"a": {"text": "no"}}}, [], ["text"])
    >>> splits["test"][0]
    {'text': 'no'}
    """
    splits = {}
    for split, utterances in records.items():
        first = [*hparams["train_pipes" if split == "train" else "eval_pipes"]]
        if split == "train":
            first += conditions.train_pipes(hparams)
        elif split == "test":
            first += conditions.test_pipes(hparams)
        splits[split] = ManifestDataset(utterances, [*first, *pipes], output_keys)
    return splits
