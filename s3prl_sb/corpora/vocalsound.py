"""VocalSound: laughter, sighs, coughs and the like, by speaker-disjoint splits.

The corpus (Gong et al. 2022, https://arxiv.org/abs/2205.03433) has 21,024 recordings
of 3,365 people as ``audio_16k/<speaker>_<n>_<sound>.wav``, or ``data_44k``. The
speakers of the three sets are in the first column of ``meta/tr_meta.csv``,
``val_meta.csv`` and ``te_meta.csv``, which have no heading.

Authors
 * The s3prl_sb developers, 2026
"""

import csv
import os
import re
from pathlib import Path

from s3prl_sb.audio.audio_names import is_audio
from s3prl_sb.corpora.clip_folds import prepare_clips
from s3prl_sb.corpora.completeness import check_folder, warn_if_short
from s3prl_sb.corpora.downloading import Published, download
from s3prl_sb.corpora.metadata_tables import metadata_lines
from s3prl_sb.dataio import manifest
from s3prl_sb.errors import ManifestError

VERSION = "vocalsound/1"  # a change makes finished preparations stale
SPLITS = {"train": "tr_meta.csv", "valid": "val_meta.csv", "test": "te_meta.csv"}
FOLDERS = ("audio_16k", "data_16k", "audio_44k", "data_44k")
SOUNDS = ("cough", "laughter", "sigh", "sneeze", "sniff", "throatclearing")
NAME = re.compile(rf"([fm]\d+)_\d+_({'|'.join(SOUNDS)})")
CLIPS = 21024  # as published
URL = "https://www.dropbox.com/s/c5ace70qh1vbyzb/vs_release_16k.zip?dl=1"


def folds(data_folder: str | None) -> list[int] | None:
    """Returns None: the splits are fixed.

    Arguments
    ---------
    data_folder : str
        See :func:`prepare_vocalsound`.

    Returns
    -------
    None

    Example
    -------
    >>> folds("/corpora/vs_release_16k") is None
    True
    """
    return None


def prepare_vocalsound(
    data_folder: str | None,
    save_folder: str,
    fold: int | None = None,
    skip_prep: bool = False,
) -> dict[str, str]:
    """Writes ``train.json``, ``valid.json`` and ``test.json``.

    Arguments
    ---------
    data_folder : str
        Folder with ``audio_16k`` and ``meta``, or the one that holds
        ``vs_release_16k``.
    save_folder : str
        Folder for the manifests. A finished preparation of the same clips is kept.
    fold : None
        There are no folds.
    skip_prep : bool
        Use the manifests in ``save_folder`` as they are.

    Returns
    -------
    dict
        ``{"train": path, "valid": path, "test": path}``. Records have ``label``, one of
        six sounds such as "cough".

    Raises
    ------
    ManifestError
        With the file and the way out.
    """
    return prepare_clips(_clips, data_folder, save_folder, VERSION, fold, skip_prep)


def _clips(data_folder):
    """Finds the recordings of the speakers of each set."""
    corpus = check_folder(data_folder, "of VocalSound", inside="vs_release_16k")
    speakers = {}
    for split, name in SPLITS.items():
        path = os.path.join(corpus, "meta", name)
        rows = csv.reader(metadata_lines(path))
        speakers.update((row[0].strip(), split) for row in rows if row)
    homes = [os.path.join(corpus, name) for name in FOLDERS]
    home = next(filter(os.path.isdir, homes), homes[0])
    clips = {}
    for file in sorted(os.listdir(home)) if os.path.isdir(home) else ():
        name = os.path.splitext(file)[0]
        match = NAME.fullmatch(name)
        if match and is_audio(file) and match[1] in speakers:
            path = os.path.join(home, file)
            split = speakers[match[1]]
            clips[name] = manifest.whole_file(path, label=match[2], split=split)
    if not clips:
        raise ManifestError(
            f"{home}: no recordings such as f0003_0_cough.wav of the speakers in "
            f"{corpus}/meta. Set data_folder to the folder of audio_16k and meta."
        )
    warn_if_short(corpus, len(clips), CLIPS, "recordings")
    return corpus, clips, {}


def download_vocalsound(destination: str) -> Path:
    """Downloads VocalSound at 16 kHz.

    Arguments
    ---------
    destination : str
        Folder for ``vs_release_16k``.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    DownloadError
        See :func:`~s3prl_sb.corpora.downloading.download`.
    """
    return download([Published(URL, 1.7, folder="vs_release_16k")], destination)
