"""The three sets of a recipe: from manifests to datasets.

Authors
 * The s3prl_sb developers, 2026
"""

from pathlib import Path

from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.dataset import ManifestDataset

SPLITS = ("train", "valid", "test")


def read_splits(hparams, key=None):
    """The manifests of a recipe, the training set cut down if so wished.

    Arguments
    ---------
    hparams : dict
        ``save_folder`` with ``train.json``, ``valid.json`` and ``test.json``;
        ``train_fraction``, and where there are classes ``train_per_class``, for
        few-shot training; ``seed``.
    key : str, optional
        The label that tells the classes, of which few-shot training takes some
        each. Default: there are none.

    Returns
    -------
    dict
        "train", "valid" and "test" to ``{id: record}``.
    """
    folder = Path(hparams["save_folder"])
    records = {split: manifest.read(folder / f"{split}.json") for split in SPLITS}
    few = {
        "fraction": hparams.get("train_fraction"),
        "per_class": hparams.get("train_per_class"),
        "seed": hparams["seed"],
    }
    if key is None:
        # One class that holds all.
        marked = {name: {"all": True} for name in records["train"]}
        kept = manifest.subset(marked, key="all", **few)
        records["train"] = {name: records["train"][name] for name in kept}
    else:
        records["train"] = manifest.subset(records["train"], key=key, **few)
    return records


def make_splits(hparams, records, pipes, output_keys):
    """Datasets over manifests.

    Arguments
    ---------
    hparams : dict
        ``train_pipes`` and ``eval_pipes``, which make the waveforms.
    records : dict
        From :func:`read_splits`.
    pipes : list of callable
        More of them, for all sets: those that make the targets.
    output_keys : list of str
        Items that an example consists of.

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
    for split, found in records.items():
        first = hparams["train_pipes" if split == "train" else "eval_pipes"]
        splits[split] = ManifestDataset(found, [*first, *pipes], output_keys)
    return splits
