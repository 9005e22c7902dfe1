"""Preparation of a pre-training run: lists in its ``save_folder``, then datasets.

Authors
 * The s3prl_sb developers, 2026
"""

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from s3prl_sb.errors import UserError, printable
from s3prl_sb.storage.files import FileError, read_json, write_json, write_text
from s3prl_sb.terminal import quantities
from s3prl_sb.unlabelled.dataset import Codes, UnlabelledDataset
from s3prl_sb.unlabelled.holding_out import apart, held_out
from s3prl_sb.unlabelled.index import HEADER, AudioIndex
from s3prl_sb.unlabelled.names import distinct
from s3prl_sb.unlabelled.scanning import scan
from s3prl_sb.unlabelled.sources import sources

logger = logging.getLogger(__name__)

STAMP = "lists.json"
SPLITS = ("train", "valid")
UNREADABLE = "unreadable.tsv"
#: Keys that the lists depend on.
KEYS = ("train_data", "valid_data", "valid_share", "min_seconds")
#: Share of unreadable files that is an error, where a recipe does not say.
UNREADABLE_SHARE = 0.01


class DataError(UserError, ValueError):
    """Data that cannot be trained on; the message names the key and the fix."""


def prepare(hparams: Mapping[str, Any]) -> None:
    """Writes the lists ``train`` and ``valid`` into ``save_folder``.

    The lists of an interrupted run are kept as they are: nothing is searched again.
    With ``skip_prep`` they must exist. Names of unreadable files go to
    ``train_data.unreadable.tsv`` and ``valid_data.unreadable.tsv``.

    Arguments
    ---------
    hparams : dict
        ``train_data``, see :mod:`s3prl_sb.unlabelled.sources`; ``valid_data``, or
        ``valid_share`` of ``train_data``; ``min_seconds``; ``unreadable_share``;
        ``save_folder``.

    Raises
    ------
    DataError
        If there is nothing to train on or to validate on, or too much of it cannot be
        read.

    Example
    -------
    >>> import tempfile, numpy, soundfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in "abc":
    ...         soundfile.write(f"{folder}/{name}.wav", numpy.zeros(16000), 16000)
    ...     hparams = {"train_data": folder, "valid_share": 0.3, "seed": 0}
    ...     hparams |= {"save_folder": folder + "/save", "sequence_seconds": 0.5}
    ...     prepare(hparams)
    ...     {name: len(each) for name, each in splits(hparams, 16000).items()}
    {'train': 2, 'valid': 1}
    """
    folder = Path(hparams["save_folder"])
    wanted = {key: _plain(hparams.get(key)) for key in KEYS}
    if hparams.get("skip_prep") or _is_prepared(folder, wanted):
        return
    if wanted["train_data"] is None:
        raise DataError("train_data is not set: --train_data FOLDER.")
    (folder / STAMP).unlink(missing_ok=True)
    for name in SPLITS:  # of other settings
        if (folder / name).exists():
            shutil.rmtree(folder / name)
    train = _scanned(hparams, "train_data", folder)
    if wanted["valid_data"] is not None:
        valid = _scanned(hparams, "valid_data", folder, beside=train)
        train = _apart(train, valid)
        valid = distinct(valid, train)
    else:
        train, valid = _divided(train, hparams.get("valid_share"))
        if valid is not None and len(train.places) > 1:  # one folder in another
            train = _apart(train, valid)
    for name, index in zip(SPLITS, (train, valid)):
        if index is not None:
            index.write(folder / name)
            _say(name, index)
    write_json(folder / STAMP, wanted)


def splits(
    hparams: Mapping[str, Any], sample_rate: int, codes: Codes | None = None
) -> dict[str, UnlabelledDataset]:
    """Opens the lists of :func:`prepare`.

    Arguments
    ---------
    hparams : dict
        See :func:`prepare`; and ``sequence_seconds``, ``seed`` and, for loudness,
        ``level``.
    sample_rate : int
        Rate of the network, Hz.
    codes : Codes, optional
        Units of the rows.

    Returns
    -------
    dict
        "train" and, if anything is held out, "valid" to datasets.
    """
    folder = Path(hparams["save_folder"])
    return {
        name: UnlabelledDataset(
            AudioIndex.open(folder / name),
            sample_rate,
            hparams.get("sequence_seconds"),
            hparams["seed"],
            level=hparams.get("level"),
            codes=codes,
        )
        for name in SPLITS
        if name == "train" or (folder / name / HEADER).is_file()
    }


def _plain(value):
    """Returns a value as JSON values."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    is_number = isinstance(value, (int, float)) or value is None
    return value if is_number else str(value)


def _is_prepared(folder, wanted):
    """Returns whether the lists of the same data are there; sound ones."""
    if not (folder / STAMP).is_file():
        return False
    try:
        for name in SPLITS:
            if name == "train" or (folder / name).exists():
                AudioIndex.open(folder / name)
        return read_json(folder / STAMP, kind=dict) == wanted
    except FileError:
        return False


def _scanned(hparams, key, folder, beside=None):
    """Returns the list of a key without short rows."""
    index, faults = scan(sources(hparams[key], key), beside)
    lost = sum(fault.utterances for fault in faults)
    total = len(index) + lost
    (folder / f"{key}.{UNREADABLE}").unlink(missing_ok=True)
    if faults:
        lines = [f"{printable(n)}\t{printable(why)}\n" for n, why, _ in faults]
        path = folder / f"{key}.{UNREADABLE}"
        write_text(path, "".join(lines))
        most = hparams.get("unreadable_share")
        most = UNREADABLE_SHARE if most is None else most
        # Those of whole shards and folders are an estimate.
        about = "" if lost == len(faults) else "about "
        worst = max(faults, key=lambda fault: fault.utterances)
        message = f"{key}: {about}{lost} of {total} files cannot be read, such as "
        message += f"{worst.name}: {worst.reason.rstrip('.')}. All of them: {path}"
        if not len(index) or lost > most * total:
            raise DataError(
                f"{message}\nThey are more than unreadable_share {most:g}. Get sound "
                "copies, or raise it."
            )
        logger.warning("%s", message)
    if not total:
        raise DataError(f"{key}: no audio in {hparams[key]}. Is it the right folder?")
    seconds = index.columns["samples"] / index.columns["rates"]
    shortest = hparams.get("min_seconds") or 0
    chosen = seconds >= shortest
    if not chosen.any():
        raise DataError(
            f"{key}: all {len(index)} files are shorter than min_seconds {shortest:g}; "
            f"the longest has {seconds.max():.2f} s. Lower it."
        )
    if not chosen.all():
        count = int((~chosen).sum())
        logger.info(
            "%s: %d files are shorter than %g s and left out", key, count, shortest
        )
        index = index.select(chosen)
    for share in index.shares:
        if share.first == share.stop:
            raise DataError(
                f"{key}: {share.name}: no audio of {shortest:g} s or more. Correct "
                "the path, or take the source out."
            )
    return index


def _divided(index, share):
    """Returns the lists to train and to validate on."""
    if not share:
        return index, None
    if not 0 < share < 1:
        raise DataError(f"valid_share {share} is not a share. Give one such as 0.02.")
    if len(index) < 2:
        raise DataError(
            "train_data has one file, so that none can be held out. Give valid_data."
        )
    chosen = held_out(index, share)
    train = index.select(~chosen)
    for part in train.shares:
        if part.first == part.stop:
            raise DataError(
                f"train_data: {part.name}: all of it would be held out. Give "
                "valid_data, or a smaller valid_share."
            )
    return train, index.select(chosen)


def _apart(train, valid):
    """Returns the list to train on without audio of the list to validate on."""
    chosen = apart(train, valid)
    if chosen.all():
        return train
    count = int((~chosen).sum())
    left = train.select(chosen)
    for share in left.shares:
        if share.first == share.stop:
            raise DataError(
                f"train_data: {share.name}: all of it is also in the audio to validate "
                "on. Give other valid_data, or valid_share instead of it."
            )
    logger.warning(
        "%d of %d rows of train_data are left out, because their audio is also what "
        "is validated on, such as %s",
        count,
        len(train),
        train.name(int(chosen.argmin())),
    )
    return left


def _say(name, index):
    hours = quantities.audio(index.hours * 3600)
    logger.info("%s: %d rows, %s (%s)", name, len(index), hours, index.digest[:8])
    if len(index.shares) > 1:
        total = sum(share.weight for share in index.shares)
        for share in index.shares:
            logger.info(
                "%s: %s: %d rows, %.3g %% of the batches",
                name,
                share.name,
                share.stop - share.first,
                100 * share.weight / total,
            )
