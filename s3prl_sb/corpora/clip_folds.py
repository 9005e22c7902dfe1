"""Manifests of labelled clips, with fixed splits or with folds.

A corpus of clips gives each clip its place: ``split``, which is train, valid or test;
or ``fold``, a number from 1. Of k folds, fold f tests and fold f % k + 1 validates, as
in HEAR (Turian et al. 2022, https://arxiv.org/abs/2203.03022); the others train.

A clip has ``label``, a text; or ``labels``, any number of texts.

Authors
 * The s3prl_sb developers, 2026
"""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from s3prl_sb.audio import headers
from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.manifest import SPLITS
from s3prl_sb.dataio.tables import check_classes, skipped
from s3prl_sb.errors import ManifestError
from s3prl_sb.storage.files import FileError, read_json
from s3prl_sb.terminal.messages import few

logger = logging.getLogger(__name__)

MEASURES = "measures"  # in the stamp of a preparation


def write_clips(
    clips: Mapping[str, Mapping[str, Any]],
    save_folder: str,
    version: str,
    data_folder: str,
    fold: int | None = None,
    measures: Sequence[str] = ("accuracy",),
    places: Mapping[str, str] | None = None,
    unseen: bool = False,
) -> dict[str, str]:
    """Writes ``train.json``, ``valid.json`` and ``test.json`` of a corpus of clips.

    Arguments
    ---------
    clips : dict
        ``{id: record}`` with ``wav``, ``start``, ``stop``, ``label`` or ``labels``, and
        ``split`` or ``fold``; durations are added.
    save_folder : str
        Folder for the manifests. A finished preparation of the same clips is kept.
    version : str
        Version of the corpus' parser; another one makes finished preparations stale.
    data_folder : str
        Folder of the corpus.
    fold : int, optional
        Test fold, of clips with folds.
    measures : tuple of str
        Names of the corpus' metrics; the first one is that of the task.
    places : dict, optional
        ``{id: "file:line"}`` for errors.
    unseen : bool
        Whether a label may occur in validation or test alone: its clips count as errors
        of a model, and the log has a warning.

    Returns
    -------
    dict
        ``{"train": path, "valid": path, "test": path}``.

    Raises
    ------
    ManifestError
        For a fold that does not exist, a split without clips, and, without ``unseen``,
        a label that does not occur in training.

    Example
    -------
    >>> import numpy, soundfile
    >>> folder = str(getfixture("tmp_path"))
    >>> soundfile.write(folder + "/a.wav", numpy.zeros(8000), 16000)
    >>> record = manifest.whole_file(folder + "/a.wav", label="dog")
    >>> clips = {f"{n}": {**record, "fold": n} for n in (1, 2, 3)}
    >>> paths = write_clips(clips, folder + "/save", "mine/1", folder, fold=3)
    >>> [list(manifest.read(path)) for path in paths.values()]
    [['2'], ['1'], ['3']]
    >>> measures_of(folder + "/save")
    ['accuracy']
    """
    arguments = {
        "version": version,
        "data_folder": data_folder,
        "fold": fold,
        MEASURES: list(measures),
        "clips": _digest(clips),
    }
    if paths := manifest.finished(save_folder, arguments):
        return paths
    splits = split_clips(clips, data_folder, fold)
    labelled = all("label" in record for record in clips.values())
    if labelled and unseen:
        _warn_of_unseen(splits, data_folder)
    elif labelled:
        check_classes(splits, places=lambda split: places or {})
    for records in splits.values():
        headers.add_durations(records.values())
    required = ("label",) if labelled else ()
    return manifest.finish(splits, save_folder, arguments, required)


def prepare_clips(
    read: Callable[[str | None], tuple[str, dict, dict]],
    data_folder: str | None,
    save_folder: str,
    version: str,
    fold: int | None = None,
    skip_prep: bool = False,
    measures: Sequence[str] = ("accuracy",),
) -> dict[str, str]:
    """Reads a corpus of clips and writes its manifests, unless they are to be kept.

    Arguments
    ---------
    read : callable
        Parser: of ``data_folder``, it returns the folder of the corpus, its clips and
        their places, see :func:`write_clips`.
    data_folder : str
        Folder that the user gives.
    save_folder, version, fold, measures
        See :func:`write_clips`.
    skip_prep : bool
        Use the manifests in ``save_folder`` as they are.

    Returns
    -------
    dict
        ``{"train": path, "valid": path, "test": path}``.

    Raises
    ------
    ManifestError
        If the corpus is missing or faulty, see :func:`write_clips`.

    Example
    -------
    >>> paths = prepare_clips(None, None, "save", "mine/1", skip_prep=True)
    Traceback (most recent call last):
    ...
    s3prl_sb.errors.ManifestError: save/train.json: absent. Prepare with skip_prep: …
    """
    if skip_prep:
        return skipped(manifest.paths_in(save_folder))
    corpus, clips, places = read(data_folder)
    return write_clips(clips, save_folder, version, corpus, fold, measures, places)


def split_clips(
    clips: Mapping[str, Mapping[str, Any]], source: str, fold: int | None = None
) -> dict[str, dict[str, dict[str, Any]]]:
    """Returns the clips of each split.

    Arguments
    ---------
    clips, fold
        See :func:`write_clips`.
    source : str
        Place of the clips, for errors.

    Returns
    -------
    dict
        ``{"train": {id: record}, "valid": …, "test": …}``; records keep their fold.

    Raises
    ------
    ManifestError
        For a fold that does not exist, and a split without clips.
    """
    if not clips:
        raise ManifestError(f"{source}: has no clips. Is it the folder of the corpus?")
    roles: dict[Any, str]
    if any("split" in record for record in clips.values()):
        if fold is not None:
            raise ManifestError(f"{source}: has fixed splits. Leave out fold {fold}.")
        key, roles = "split", dict(zip(SPLITS, SPLITS))
    else:
        key, folds = "fold", {record["fold"] for record in clips.values()}
        roles = roles_of_folds(folds, fold)
    splits: dict[str, dict[str, dict[str, Any]]] = {name: {} for name in SPLITS}
    for name, record in clips.items():
        rest = {k: v for k, v in record.items() if k != "split"}
        splits[roles[record[key]]][name] = rest
    empty = [name for name, records in splits.items() if not records]
    if empty:
        raise ManifestError(
            f"{source}: there are no clips in {', '.join(empty)}. Is it there whole?"
        )
    return splits


def roles_of_folds(folds: set[int] | Sequence[int], fold: int | None) -> dict[Any, str]:
    """Returns the split that each fold belongs to.

    Arguments
    ---------
    folds : set of int
        Numbers of all folds.
    fold : int
        Test fold.

    Returns
    -------
    dict
        Folds to train, valid or test.

    Raises
    ------
    ManifestError
        If there is no such fold, or there are fewer than three.

    Example
    -------
    >>> roles_of_folds({1, 2, 3, 4}, 4)
    {1: 'valid', 2: 'train', 3: 'train', 4: 'test'}
    """
    numbers = sorted(folds)
    if fold not in numbers:
        raise ManifestError(
            f"fold: {fold!r}. There are {few(list(map(str, numbers)))}."
        )
    if len(numbers) < 3:
        raise ManifestError(
            f"folds: only {few(list(map(str, numbers)))}. Three are needed: to train, "
            "to validate and to test."
        )
    place = numbers.index(fold)
    valid = numbers[(place + 1) % len(numbers)]
    others = {number: "train" for number in numbers}
    return {**others, valid: "valid", fold: "test"}


def measures_of(save_folder: str) -> list[str]:
    """Returns the names of the metrics of the corpus that was prepared.

    Arguments
    ---------
    save_folder : str
        Folder of the manifests.

    Returns
    -------
    list of str
        The task's metric first; empty for manifests of other origins.
    """
    try:
        stamp = read_json(Path(save_folder) / manifest.STAMP, "a stamp", kind=dict)
        return [str(name) for name in stamp["arguments"].get(MEASURES, [])]
    except (FileError, KeyError, AttributeError):
        return []


def _warn_of_unseen(splits, source):
    """Logs a warning for labels that do not occur in training."""
    seen = {record["label"] for record in splits["train"].values()}
    for split in SPLITS[1:]:
        unseen = {record["label"] for record in splits[split].values()} - seen
        if unseen:
            message = "%s: labels of %s that do not occur in training: %s"
            logger.warning(message, source, split, few(sorted(unseen)))


def _digest(clips):
    """Returns the SHA-256 of a list of clips."""
    lines = (f"{name}\0{json.dumps(clips[name], sort_keys=True)}" for name in clips)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
