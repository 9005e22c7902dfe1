"""Recordings in a folder for each speaker, as corpora of voice conversion have them.

Authors
 * The s3prl_sb developers, 2026
"""

import os
import re
from collections.abc import Iterable

from s3prl_sb.audio.audio_names import as_id, is_audio
from s3prl_sb.dataio import manifest
from s3prl_sb.errors import ManifestError
from s3prl_sb.terminal.messages import few

Recordings = dict[str, dict[str, str]]
DEPTH = 4  # of folders below the corpus


def recordings(folder: str, speaker: str, utterance: str) -> Recordings:
    """Finds the recordings of all speakers, in any arrangement of folders.

    Arguments
    ---------
    folder : str
        Folder of the corpus.
    speaker : str
        Pattern of the names of the speakers' folders.
    utterance : str
        Pattern of the names of files, without their extension. If it has a group, this
        is the name of the utterance.

    Returns
    -------
    dict
        ``{speaker: {utterance: path}}``, sorted. Of several files of an utterance the
        first one counts.

    Example
    -------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("source/SF1/01.wav", "SF1/02.wav", "SF1/notes.txt"):
    ...         Path(folder, name).parent.mkdir(parents=True, exist_ok=True)
    ...         Path(folder, name).touch()
    ...     list(recordings(folder, "SF.", r"(..)")["SF1"])
    ['01', '02']
    """
    spoken: Recordings = {}
    for place, folders, names in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if os.path.relpath(place, folder).count(os.sep) >= DEPTH:
            folders[:] = []
        owner = os.path.basename(place)
        if not re.fullmatch(speaker, owner):
            continue
        for name in filter(is_audio, sorted(names)):
            match = re.fullmatch(utterance, os.path.splitext(name)[0])
            if match:
                key = as_id(match[match.lastindex or 0])
                path = os.path.join(place, name)
                spoken.setdefault(owner, {}).setdefault(key, path)
    return {owner: dict(sorted(spoken[owner].items())) for owner in sorted(spoken)}


def of_speaker(spoken: Recordings, speaker: str, folder: str) -> dict[str, str]:
    """Returns the recordings of the target speaker.

    Arguments
    ---------
    spoken : dict
        Result of :func:`recordings`.
    speaker : str
        Value of the key ``target_speaker``.
    folder : str
        Folder of the corpus, for the error.

    Returns
    -------
    dict
        ``{utterance: path}``.

    Raises
    ------
    ManifestError
        If there are none; the message lists the speakers.
    """
    if not spoken:
        raise ManifestError(
            f"{folder}: no recordings of this corpus, neither of target_speaker "
            f"{speaker!r} nor of another one. Set data_folder and corpus."
        )
    if speaker not in spoken:
        raise ManifestError(
            f"{folder}: no recordings of target_speaker {speaker!r}; there are "
            f"speakers {few(spoken, 20)}. Choose one of them, or set data_folder."
        )
    return spoken[speaker]


def own_speech(
    speaker: str, files: dict[str, str], texts: dict[str, str], enrolled: bool = False
) -> dict[str, dict]:
    """Returns the records of training: a speaker's own speech is input and target.

    Arguments
    ---------
    speaker : str
        Its name.
    files : dict
        ``{utterance: path}``.
    texts : dict
        ``{utterance: text}``; utterances without one have an empty text.
    enrolled : bool
        Whether the speaker is known from the utterance itself (any-to-any).

    Returns
    -------
    dict
        ``{id: record}`` without durations.

    Example
    -------
    >>> own_speech("TF1", {"01": "TF1/01.wav"}, {})["TF1_01"]["target"]
    'TF1/01.wav'
    """
    return {
        f"{speaker}_{name}": manifest.whole_file(
            path,
            target=path,
            speaker=speaker,
            enroll=[path] if enrolled else [],
            text=texts.get(name, ""),
        )
        for name, path in files.items()
    }


def read_texts(paths: Iterable[str]) -> dict[str, str]:
    """Reads transcriptions: lines of a name and a text.

    Arguments
    ---------
    paths : iterable of str
        Files; those that do not exist are left out.

    Returns
    -------
    dict
        ``{name: text}``.
    """
    texts = {}
    for path in filter(os.path.isfile, paths):
        for _, line in manifest.lines(path):
            name, _, text = line.strip().partition(" ")
            texts[name] = text.strip()
    return texts
