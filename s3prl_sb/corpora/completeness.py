"""Checks that a corpus is present, and complete by its published numbers.

Authors
 * The s3prl_sb developers, 2026
"""

import logging
import os
from pathlib import Path

from s3prl_sb.audio.audio_names import Listed, hint
from s3prl_sb.audio.headers import audio_info
from s3prl_sb.dataio.manifest import SPLITS
from s3prl_sb.errors import ManifestError

logger = logging.getLogger(__name__)

TOY = "toy.json"  # in the folder of a toy, which is small on purpose


def check_folder(data_folder, corpus, inside="", tables=SPLITS):
    """Returns the absolute path of a corpus; raises an error if it is missing.

    Arguments
    ---------
    data_folder : str or None
        Folder of the corpus, or its parent.
    corpus : str
        Description of the folder for the error, such as "of LibriSpeech".
    inside : str
        Name of the corpus' folder, for a ``data_folder`` that is its parent.
    tables : iterable of str
        Names of the user tables that can replace the corpus.

    Returns
    -------
    str

    Raises
    ------
    ManifestError
        If it is not set, or does not exist.

    Example
    -------
    >>> check_folder("nowhere", "of LibriSpeech")
    Traceback (most recent call last):
    ...
    s3prl_sb.errors.ManifestError: …/nowhere: no such folder. Set data_folder.
    """
    if data_folder is None:
        options = ", ".join(f"--{name}_csv" for name in tables)
        raise ManifestError(
            f"data_folder is not set: give the folder {corpus} (--data_folder DIR), "
            f"or your own tables ({options})."
        )
    data_folder = os.path.abspath(data_folder)
    if not os.path.isdir(data_folder):
        raise ManifestError(f"{data_folder}: no such folder. Set data_folder.")
    below = os.path.join(data_folder, inside)
    return below if inside and os.path.isdir(below) else data_folder


def warn_if_short(folder, count, published, what):
    """Logs a warning if a corpus has fewer parts than it is published with.

    Training works with half a corpus, but its numbers do not compare.

    Arguments
    ---------
    folder : str
        Folder of the corpus. A toy, or a folder in one, gets no warning.
    count, published : int
        Number of parts in the folder, and the published one.
    what : str
        Kind of part, such as "utterances of dev-clean".

    Example
    -------
    >>> warn_if_short("LibriSpeech", 2703, 2703, "utterances of dev-clean")
    """
    folder = Path(folder)
    toy = any((place / TOY).is_file() for place in (folder, folder.parent))
    if count < published and not toy:
        message = "%s: %d %s, and %d are published. Is the corpus unpacked whole?"
        logger.warning(message, folder, count, what, published)


def with_audio(records, split, source):
    """Returns the records whose audio file exists, also if it has been converted.

    Arguments
    ---------
    records : dict
        ``{id: record}`` with the published paths in ``wav``.
    split : str
        Name of the split, for messages.
    source : str
        File that lists the records, for messages.

    Returns
    -------
    dict
        ``{id: record}`` with the paths of the files. The number of the others is
        logged.

    Raises
    ------
    ManifestError
        If there is no audio at all; names the first path.

    Example
    -------
    >>> with_audio({"a": {"wav": "nowhere/a.wav"}}, "test", "list.txt")
    Traceback (most recent call last):
    ...
    s3prl_sb.errors.ManifestError: list.txt: none of the 1 recordings of test is …
    """
    listed, kept, missing = Listed(), {}, []
    for name, record in records.items():
        if path := listed.find(record["wav"]):
            kept[name] = {**record, "wav": path}
        else:
            missing.append(record["wav"])
    if not kept:
        first = f", such as {missing[0]}{hint(missing[0])}" if missing else ""
        raise ManifestError(
            f"{source}: none of the {len(records)} recordings of {split} is there"
            f"{first}. Set data_folder to the folder that holds them."
        )
    if missing:
        message = "%s: %d of %d recordings in %s are not there and are left out, as %s"
        logger.warning(message, split, len(missing), len(records), source, missing[0])
    return kept


def without_broken(records, broken):
    """Returns the records without those of broken files that are known.

    Arguments
    ---------
    records : dict
        ``{id: record}``.
    broken : iterable of str
        Ids of files that are broken in a published copy of the corpus.

    Returns
    -------
    dict
        ``{id: record}``. Broken files with one of the ids are left out with a warning;
        of other ids they are an error later.

    Example
    -------
    >>> without_broken({"a": {"wav": "nowhere/a.wav"}, "b": {"wav": "b.wav"}}, ["a"])
    {'b': {'wav': 'b.wav'}}
    """
    kept = dict(records)
    for name in broken:
        if name not in kept:
            continue
        try:
            audio_info(kept[name]["wav"])
        except ManifestError as fault:
            del kept[name]
            logger.warning("%s is left out, as published copies are broken", fault)
    return kept
