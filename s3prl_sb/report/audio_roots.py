"""Folders of audio that have moved since runs were tested.

Manifests name audio by paths of the machine that a run was on. ``OLD=NEW`` says where
the files below a folder are now.

Authors
 * The s3prl_sb developers, 2026
"""

import os
from collections.abc import Iterable, Mapping
from typing import Any

from s3prl_sb.errors import UserError
from s3prl_sb.report.gathered import Run

OPTION = "--audio_root"
URL = "://"

Roots = tuple[tuple[str, str], ...]


class RootError(UserError):
    """A folder of audio that is no ``OLD=NEW``, or is not there."""


def parsed(texts: Iterable[str]) -> Roots:
    """Returns old and new folders of the texts ``OLD=NEW``.

    Arguments
    ---------
    texts : list of str
        Values of the option. NEW is a folder, or the address of one.

    Returns
    -------
    tuple of (str, str)
        The longest OLD first, which is the closest to a file.

    Raises
    ------
    RootError
        If a text has another form, or a new folder does not exist.

    Example
    -------
    >>> parsed(["/data/KS=s3://bucket/KS/"])
    (('/data/KS', 's3://bucket/KS'),)
    """
    roots = []
    for text in texts:
        old, sign, new = (part.strip() for part in text.partition("="))
        if not (old and sign and new):
            raise RootError(
                f"{OPTION} '{text}': write OLD=NEW, the folder of the audio in the "
                "manifests and where it is now, such as /data/KS=/mnt/KS."
            )
        if URL not in new:
            new = os.path.abspath(os.path.expanduser(new))
            if not os.path.isdir(new):
                raise RootError(f"{OPTION} '{text}': there is no folder '{new}'.")
        roots.append((old.rstrip("/") or "/", new.rstrip("/") or "/"))
    return tuple(sorted(roots, key=lambda root: -len(root[0])))


def moved(record: Mapping[str, Any], roots: Roots) -> dict[str, Any]:
    """Returns a record of a manifest with the paths where its files are now.

    Arguments
    ---------
    record : dict
        Record of a manifest.
    roots : tuple of (str, str)
        See :func:`parsed`.

    Returns
    -------
    dict

    Example
    -------
    >>> moved({"wav": "/data/a.wav", "label": "yes"}, (("/data", "/mnt"),))
    {'wav': '/mnt/a.wav', 'label': 'yes'}
    """
    return {key: _moved(value, roots) for key, value in record.items()}


def _moved(value, roots):
    if not isinstance(value, str):
        return value
    for old, new in roots:
        start = old.rstrip("/") + "/"
        if value.startswith(start):
            return f"{new.rstrip('/')}/{value[len(start) :]}"
    return value


def remark(run: Run, record: Mapping[str, Any], roots: Roots = ()) -> str:
    """Returns a sentence about a folder of audio that is not there, or "".

    Arguments
    ---------
    run : Run
        The run that was tested on it.
    record : dict
        Record of an utterance whose sound could not be read, see :func:`moved`.
    roots : tuple of (str, str)
        See :func:`parsed`.

    Returns
    -------
    str
        It names the whole corpus, if the run knows its folder.
    """
    place = os.path.dirname(str(record.get("wav") or ""))
    if not place or URL in place or os.path.isdir(place):
        return ""
    for old, new in roots:
        if f"{place}/".startswith(f"{new.rstrip('/')}/"):
            return f"'{place}', where {OPTION} {old}={new} leads, is not there."
    corpus = (run.results.get("settings") or {}).get("data_folder")
    corpus = str(corpus or "").rstrip("/")
    if corpus and not os.path.isdir(corpus) and f"{place}/".startswith(f"{corpus}/"):
        place = corpus
    return (
        f"'{run.folder}' was tested on audio in '{place}', which is not there. If the "
        f"audio has moved: s3prl-sb report … {OPTION} {place}=NEW"
    )
