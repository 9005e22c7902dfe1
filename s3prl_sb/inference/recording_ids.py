"""Ids of recordings, derived from the names of audio files.

Recordings in RTTM have no spaces, and two files of one name are two recordings.

Authors
 * The s3prl_sb developers, 2026
"""

import logging
import os
from collections import Counter
from pathlib import Path
from urllib.parse import quote

from s3prl_sb.audio.audio_names import as_id

COMPUTES = False

logger = logging.getLogger(__name__)


def recording_ids(paths):
    """Returns an id for each file: its name, and more of its path if that is ambiguous.

    Arguments
    ---------
    paths : list of str
        Audio files.

    Returns
    -------
    dict
        Each path, unchanged, to an id without spaces. A file that occurs twice is one
        recording, with the path that comes first.

    Example
    -------
    >>> list(recording_ids(["one/my talk.wav", "one/b.wav"]).values())
    ['my_talk', 'b']
    >>> list(recording_ids(["one/a.wav", "two/a.wav"]).values())
    ['one--a', 'two--a']
    """
    places = {}
    for path in paths:
        places.setdefault(os.path.abspath(path), path)
    ids, pending = {}, list(places)
    for way in (_stem, _with_folder, _with_ending, _whole):
        names = {place: way(Path(as_id(place))) for place in pending}
        counts = Counter([*names.values(), *ids.values()])
        ids.update((p, name) for p, name in names.items() if counts[name] == 1)
        pending = [place for place in pending if place not in ids]
    stems = {place: _stem(Path(as_id(place))) for place in places}
    other = {places[p]: ids[p] for p in places if ids[p] != stems[p]}
    if other:
        path, name = next(iter(other.items()))
        logger.warning(
            "%d files have names that others have too, and ids with more of their "
            "paths: %s is %s",
            len(other),
            as_id(path),
            name,
        )
    return {path: ids[place] for place, path in places.items()}


def _stem(path):
    return "_".join(path.stem.split())


def _with_folder(path):
    return "--".join("_".join(part.split()) for part in (path.parent.name, path.stem))


def _with_ending(path):
    return f"{quote(path.parent.name)}--{quote(path.name)}"


def _whole(path):
    return quote(str(path), safe="")
