"""ESC-50 and ESC-10: environmental sounds of fifty and of ten classes, five folds.

ESC-50 (Piczak 2015, https://doi.org/10.1145/2733373.2806390) has 2,000 clips of five
seconds as ``audio/*.wav``. ``meta/esc50.csv`` has a row for each with its fold, its
class, and whether it belongs to ESC-10, the 400 clips of ten classes under a licence
that allows more. Clips of one recording are in the same fold.

Authors
 * The s3prl_sb developers, 2026
"""

import os
from functools import partial
from pathlib import Path

from s3prl_sb.corpora.clip_folds import prepare_clips
from s3prl_sb.corpora.completeness import check_folder, warn_if_short, with_audio
from s3prl_sb.corpora.downloading import Published, download
from s3prl_sb.corpora.metadata_tables import table_rows, whole_number
from s3prl_sb.dataio import manifest

VERSION = "esc50/1"  # a change makes finished preparations stale
TABLE = "meta/esc50.csv"
COLUMNS = ("filename", "fold", "category", "esc10")
FOLDS = (1, 2, 3, 4, 5)
CLIPS = {"ESC-50": 2000, "ESC-10": 400}  # as published
UNPACKED = "ESC-50-master"  # folder in the archive
URL = "https://github.com/karolpiczak/ESC-50/archive/master.zip"


def folds(data_folder: str | None) -> list[int] | None:
    """Returns the folds of the corpus.

    Arguments
    ---------
    data_folder : str
        See :func:`prepare_esc50`.

    Returns
    -------
    list of int

    Example
    -------
    >>> folds("/corpora/ESC-50")
    [1, 2, 3, 4, 5]
    """
    return list(FOLDS)


def prepare_esc50(
    data_folder: str | None,
    save_folder: str,
    fold: int | None = None,
    skip_prep: bool = False,
) -> dict[str, str]:
    """Writes ``train.json``, ``valid.json`` and ``test.json`` of a fold.

    Arguments
    ---------
    data_folder : str
        Folder with ``meta/esc50.csv`` and ``audio``, or the one that holds
        ``ESC-50-master``.
    save_folder : str
        Folder for the manifests. A finished preparation of the same clips is kept.
    fold : int
        Test fold, 1 to 5; the next one validates.
    skip_prep : bool
        Use the manifests in ``save_folder`` as they are.

    Returns
    -------
    dict
        ``{"train": path, "valid": path, "test": path}``. Records have ``label``, such
        as "crying_baby".

    Raises
    ------
    ManifestError
        With the file, the line and the way out.

    Example
    -------
    >>> import tempfile, numpy, soundfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     os.mkdir(folder + "/meta")
    ...     os.mkdir(folder + "/audio")
    ...     with open(folder + "/meta/esc50.csv", "w") as file:
    ...         _ = file.write("filename,fold,target,category,esc10,src_file,take\\n")
    ...         for f in FOLDS:
    ...             _ = file.write(f"{f}-1-A-0.wav,{f},0,dog,True,1,A\\n")
    ...             path = f"{folder}/audio/{f}-1-A-0.wav"
    ...             soundfile.write(path, numpy.zeros(1600), 16000)
    ...     paths = prepare_esc50(folder, folder + "/save", fold=5)
    ...     [list(manifest.read(path)) for path in paths.values()]
    [['2-1-A-0', '3-1-A-0', '4-1-A-0'], ['1-1-A-0'], ['5-1-A-0']]
    """
    return _prepare("ESC-50", data_folder, save_folder, fold, skip_prep)


def prepare_esc10(
    data_folder: str | None,
    save_folder: str,
    fold: int | None = None,
    skip_prep: bool = False,
) -> dict[str, str]:
    """Writes the manifests of a fold of ESC-10.

    Arguments
    ---------
    data_folder, save_folder, fold, skip_prep
        See :func:`prepare_esc50`.

    Returns
    -------
    dict
        ``{"train": path, "valid": path, "test": path}``.
    """
    return _prepare("ESC-10", data_folder, save_folder, fold, skip_prep)


def _prepare(name, data_folder, save_folder, fold, skip_prep):
    """Writes the manifests of a fold of ESC-50 or ESC-10."""
    return prepare_clips(
        partial(read_clips, name), data_folder, save_folder, VERSION, fold, skip_prep
    )


def read_clips(
    name: str, data_folder: str | None
) -> tuple[str, dict[str, dict], dict[str, str]]:
    """Reads the table of the clips.

    Arguments
    ---------
    name : str
        "ESC-50", or "ESC-10" for its clips only.
    data_folder : str
        See :func:`prepare_esc50`.

    Returns
    -------
    corpus : str
        Folder of the corpus.
    clips : dict
        ``{id: record}`` with ``label`` and ``fold``, without durations.
    places : dict
        ``{id: "file:line"}``.
    """
    corpus = check_folder(data_folder, "of ESC-50", inside=UNPACKED)
    table, clips, places = os.path.join(corpus, TABLE), {}, {}
    for place, row in table_rows(table, COLUMNS):
        if name == "ESC-10" and row["esc10"].strip().lower() != "true":
            continue
        key = os.path.splitext(row["filename"])[0]
        places[key] = place
        clips[key] = manifest.whole_file(
            os.path.join(corpus, "audio", row["filename"]),
            label=row["category"],
            fold=whole_number(row["fold"], place, "fold"),
        )
    warn_if_short(corpus, len(clips), CLIPS[name], f"clips of {name}")
    return corpus, with_audio(clips, name, table), places


def download_esc50(destination: str) -> Path:
    """Downloads ESC-50, which has ESC-10.

    Arguments
    ---------
    destination : str
        Folder for ``ESC-50-master``.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    DownloadError
        See :func:`~s3prl_sb.corpora.downloading.download`.
    """
    return download([Published(URL, 0.65, name="ESC-50-master.zip")], destination)
