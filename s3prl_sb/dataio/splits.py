"""Training, validation and test set of a recipe, from manifests to datasets.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.dataio import conditions, few_shot, manifest
from s3prl_sb.dataio.dataset import ManifestDataset


def read_splits(hparams, key=None):
    """Reads the manifests of a recipe, with an optional few-shot training set.

    Arguments
    ---------
    hparams : dict
        ``save_folder`` with ``train.json``, ``valid.json`` and ``test.json``;
        ``train_fraction``, and for classes ``train_per_class``, for few-shot
        training; ``seed``.
    key : str, optional
        Label that holds the class, for few-shot training per class. Default: no
        classes.

    Returns
    -------
    dict
        "train", "valid" and "test" to ``{id: record}``.
    """
    paths = manifest.paths_in(hparams["save_folder"])
    records = {split: manifest.read(path) for split, path in paths.items()}
    few = {
        "fraction": hparams.get("train_fraction"),
        "per_class": hparams.get("train_per_class"),
        "seed": hparams["seed"],
    }
    if key is None:
        # A single class.
        marked = {name: {"all": True} for name in records["train"]}
        kept = few_shot.subset(marked, key="all", **few)
        records["train"] = {name: records["train"][name] for name in kept}
    else:
        records["train"] = few_shot.subset(records["train"], key=key, **few)
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
