"""UrbanSound8K: ten classes of urban sounds, ten official folds.

The corpus (Salamon et al. 2014, https://doi.org/10.1145/2647868.2655045) has 8,732
clips of up to four seconds as ``audio/fold1`` to ``audio/fold10``, and a row for each
in ``metadata/UrbanSound8K.csv``. Its authors ask that these folds are kept: slices of
one recording are in one fold, so clips that are shuffled give numbers that are too
good.

Authors
 * The s3prl_sb developers, 2026
"""

import os
from pathlib import Path

from s3prl_sb.corpora.clip_folds import prepare_clips
from s3prl_sb.corpora.completeness import check_folder, warn_if_short, with_audio
from s3prl_sb.corpora.downloading import Published, download
from s3prl_sb.corpora.metadata_tables import table_rows, whole_number
from s3prl_sb.dataio import manifest

VERSION = "urbansound8k/1"  # a change makes finished preparations stale
TABLE = "metadata/UrbanSound8K.csv"
COLUMNS = ("slice_file_name", "fold", "class")
FOLDS = tuple(range(1, 11))
CLIPS = 8732  # as published
URL = "https://zenodo.org/record/1203745/files/UrbanSound8K.tar.gz"


def folds(data_folder: str | None) -> list[int] | None:
    """Returns the folds of the corpus.

    Arguments
    ---------
    data_folder : str
        See :func:`prepare_urbansound8k`.

    Returns
    -------
    list of int

    Example
    -------
    >>> folds("/corpora/UrbanSound8K")[-1]
    10
    """
    return list(FOLDS)


def prepare_urbansound8k(
    data_folder: str | None,
    save_folder: str,
    fold: int | None = None,
    skip_prep: bool = False,
) -> dict[str, str]:
    """Writes ``train.json``, ``valid.json`` and ``test.json`` of a fold.

    Arguments
    ---------
    data_folder : str
        Folder with ``metadata`` and ``audio``, or the one that holds ``UrbanSound8K``.
    save_folder : str
        Folder for the manifests. A finished preparation of the same clips is kept.
    fold : int
        Test fold, 1 to 10; the next one validates.
    skip_prep : bool
        Use the manifests in ``save_folder`` as they are.

    Returns
    -------
    dict
        ``{"train": path, "valid": path, "test": path}``. Records have ``label``, such
        as "dog_bark".

    Raises
    ------
    ManifestError
        With the file, the line and the way out.
    """
    return prepare_clips(_clips, data_folder, save_folder, VERSION, fold, skip_prep)


def _clips(data_folder):
    """Reads the table of the clips: the folder, the clips, their lines."""
    corpus = check_folder(data_folder, "of UrbanSound8K", inside="UrbanSound8K")
    table, clips, places = os.path.join(corpus, TABLE), {}, {}
    for place, row in table_rows(table, COLUMNS):
        fold, name = whole_number(row["fold"], place, "fold"), row["slice_file_name"]
        key = os.path.splitext(name)[0]
        places[key] = place
        clips[key] = manifest.whole_file(
            os.path.join(corpus, "audio", f"fold{fold}", name),
            label=row["class"],
            fold=fold,
        )
    warn_if_short(corpus, len(clips), CLIPS, "clips")
    return corpus, with_audio(clips, "UrbanSound8K", table), places


def download_urbansound8k(destination: str) -> Path:
    """Downloads UrbanSound8K.

    Arguments
    ---------
    destination : str
        Folder for ``UrbanSound8K``.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    DownloadError
        See :func:`~s3prl_sb.corpora.downloading.download`.
    """
    return download([Published(URL, 6.0)], destination)
