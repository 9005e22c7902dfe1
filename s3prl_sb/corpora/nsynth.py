"""NSynth: notes of instruments, with their pitch and family, fixed splits.

The corpus (Engel et al. 2017, https://arxiv.org/abs/1704.01279) has 305,979 notes of
four seconds as ``nsynth-{train,valid,test}/audio/<note>.wav``, each described in
``examples.json`` beside ``audio``. Instruments of the training set do not occur in the
other two.

The pitch is a MIDI number. As in HEAR, only notes of the 88 keys of a piano count, 21
to 108: others occur in some of the sets only.

Authors
 * The s3prl_sb developers, 2026
"""

import os
from functools import partial
from pathlib import Path

from s3prl_sb.corpora.clip_folds import prepare_clips
from s3prl_sb.corpora.completeness import check_folder, warn_if_short, with_audio
from s3prl_sb.corpora.downloading import Published, download
from s3prl_sb.dataio import manifest
from s3prl_sb.errors import ManifestError
from s3prl_sb.storage.files import FileError, read_json

VERSION = "nsynth/1"  # a change makes finished preparations stale
NOTES = {"train": 289205, "valid": 12678, "test": 4096}  # as published
MEASURES = {
    "pitch": ("pitch_accuracy", "chroma_accuracy"),
    "instrument_family_str": ("accuracy",),
}
PIANO = range(21, 109)  # MIDI numbers of the keys
URL = "http://download.magenta.tensorflow.org/datasets/nsynth"
GIGABYTES = {"train": 24.0, "valid": 1.1, "test": 0.35}  # about


def folds(data_folder: str | None) -> list[int] | None:
    """Returns None: the splits are fixed.

    Arguments
    ---------
    data_folder : str
        See :func:`prepare_nsynth_pitch`.

    Returns
    -------
    None

    Example
    -------
    >>> folds("/corpora/nsynth") is None
    True
    """
    return None


def prepare_nsynth_pitch(
    data_folder: str | None,
    save_folder: str,
    fold: int | None = None,
    skip_prep: bool = False,
) -> dict[str, str]:
    """Writes ``train.json``, ``valid.json`` and ``test.json`` with pitches as labels.

    Arguments
    ---------
    data_folder : str
        Folder with ``nsynth-train``, ``nsynth-valid`` and ``nsynth-test``.
    save_folder : str
        Folder for the manifests. A finished preparation of the same notes is kept.
    fold : None
        There are no folds.
    skip_prep : bool
        Use the manifests in ``save_folder`` as they are.

    Returns
    -------
    dict
        ``{"train": path, "valid": path, "test": path}``. Records have ``label``, a
        MIDI number as text, "21" to "108".

    Raises
    ------
    ManifestError
        With the file and the way out.
    """
    return _prepare("pitch", data_folder, save_folder, fold, skip_prep)


def prepare_nsynth_instrument(
    data_folder: str | None,
    save_folder: str,
    fold: int | None = None,
    skip_prep: bool = False,
) -> dict[str, str]:
    """Writes manifests with families of instruments as labels.

    Arguments
    ---------
    data_folder, save_folder, fold, skip_prep
        See :func:`prepare_nsynth_pitch`.

    Returns
    -------
    dict
        ``{"train": path, "valid": path, "test": path}``. Records have ``label``, one of
        eleven families such as "brass".

    Raises
    ------
    ManifestError
        With the file and the way out.
    """
    return _prepare("instrument_family_str", data_folder, save_folder, fold, skip_prep)


def _prepare(key, data_folder, save_folder, fold, skip_prep):
    """Writes the manifests with one of the descriptions as label."""
    return prepare_clips(
        partial(_notes, key),
        data_folder,
        save_folder,
        f"{VERSION}/{key}",
        fold,
        skip_prep,
        measures=MEASURES[key],
    )


def _notes(key, data_folder):
    """Reads the descriptions of the notes."""
    corpus, notes = check_folder(data_folder, "of NSynth", inside="nsynth"), {}
    for split, published in NOTES.items():
        folder = os.path.join(corpus, f"nsynth-{split}")
        table = os.path.join(folder, "examples.json")
        described = _described(table)
        warn_if_short(corpus, len(described), published, f"notes of nsynth-{split}")
        for name, note in described.items():
            label = note.get(key) if isinstance(note, dict) else None
            if label is None:
                raise ManifestError(
                    f"{table}: '{name}' has no {key}. Restore the file of the corpus."
                )
            if key == "pitch" and label not in PIANO:
                continue
            path = os.path.join(folder, "audio", f"{name}.wav")
            notes[name] = manifest.whole_file(path, label=str(label), split=split)
    return corpus, with_audio(notes, "NSynth", corpus), {}


def _described(table):
    """Reads the descriptions of a set."""
    try:
        return read_json(table, "NSynth's description of notes", kind=dict)
    except FileError as fault:
        raise ManifestError(
            f"{fault} Set data_folder to the folder that holds nsynth-train, "
            "nsynth-valid and nsynth-test."
        ) from fault


def download_nsynth(destination: str) -> Path:
    """Downloads NSynth.

    Arguments
    ---------
    destination : str
        Folder for ``nsynth-train``, ``nsynth-valid`` and ``nsynth-test``.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    DownloadError
        See :func:`~s3prl_sb.corpora.downloading.download`.
    """
    files = [
        Published(f"{URL}/nsynth-{split}.jsonwav.tar.gz", size)
        for split, size in GIGABYTES.items()
    ]
    return download(files, destination)
