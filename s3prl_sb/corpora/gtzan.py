"""GTZAN: music of ten genres, in ten folds or in the fault-filtered split.

The corpus (Tzanetakis and Cook 2002, https://doi.org/10.1109/TSA.2002.800560) has a
hundred excerpts of 30 seconds of each genre, as ``genres_original/<genre>/
<genre>.00000.wav`` or ``genres/<genre>/<genre>.00000.au``. It has no official folds.
Here the fold is the tens digit of an excerpt's number, from 1: excerpts 00 to 09 of
each genre are fold 1. So every fold has ten of each genre, and excerpts of one artist,
which mostly are neighbors, mostly are in one fold.

The fault-filtered split (Kereliuk et al. 2015, https://arxiv.org/abs/1507.04761) leaves
out repetitions and distortions and shares no artist between its sets. It is read from
its lists, ``train_filtered.txt``, ``valid_filtered.txt`` and ``test_filtered.txt``, in
the folder of the corpus.

Note
----
HEAR's and X-ARES' ten folds are in their own packages of the corpus, which
:mod:`~s3prl_sb.corpora.hear` and :mod:`~s3prl_sb.corpora.xares` read. One excerpt,
jazz.00054, is damaged in the copy that most people have: it is left out where it
cannot be read.

Authors
 * The s3prl_sb developers, 2026
"""

import os
import re

from s3prl_sb.audio.audio_names import is_audio
from s3prl_sb.corpora.clip_folds import prepare_clips
from s3prl_sb.corpora.completeness import check_folder, warn_if_short, without_broken
from s3prl_sb.corpora.downloading import behind_a_form
from s3prl_sb.dataio import manifest
from s3prl_sb.errors import ManifestError

download_gtzan = behind_a_form(
    "GTZAN",
    "https://www.kaggle.com/datasets/andradaolteanu/gtzan-dataset-music-genre-classification",
    "the page of its authors is gone. Take a copy, such as that of this page, and "
    "unpack genres_original.",
)
VERSION = "gtzan/1"  # a change makes finished preparations stale
INSIDE = ("genres_original", "Data/genres_original", "genres", "")
NAME = re.compile(r"([a-z]+)\.(\d{5})")
FOLDS = tuple(range(1, 11))
CLIPS = {"train": 443, "valid": 197, "test": 290, "all": 1000}  # as published
BROKEN = ("jazz.00054",)  # in the copy at Kaggle


def folds(data_folder: str | None) -> list[int] | None:
    """Returns the folds.

    Arguments
    ---------
    data_folder : str
        See :func:`prepare_gtzan`.

    Returns
    -------
    list of int

    Example
    -------
    >>> folds("/corpora/GTZAN")[0]
    1
    """
    return list(FOLDS)


def prepare_gtzan(
    data_folder: str | None,
    save_folder: str,
    fold: int | None = None,
    skip_prep: bool = False,
) -> dict[str, str]:
    """Writes ``train.json``, ``valid.json`` and ``test.json`` of a fold.

    Arguments
    ---------
    data_folder : str
        Folder with a folder for each genre, or the one that holds ``genres_original``
        or ``genres``.
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
        as "jazz".

    Raises
    ------
    ManifestError
        If there are no excerpts, or one cannot be read.
    """
    return prepare_clips(_clips, data_folder, save_folder, VERSION, fold, skip_prep)


def prepare_gtzan_filtered(
    data_folder: str | None,
    save_folder: str,
    fold: int | None = None,
    skip_prep: bool = False,
) -> dict[str, str]:
    """Writes the manifests of the fault-filtered split.

    Arguments
    ---------
    data_folder, save_folder, skip_prep
        See :func:`prepare_gtzan`; ``data_folder`` also has the three lists.
    fold : None
        There are no folds.

    Returns
    -------
    dict
        ``{"train": path, "valid": path, "test": path}``.

    Raises
    ------
    ManifestError
        If a list is missing, or names an excerpt that is not there.
    """
    return prepare_clips(_filtered, data_folder, save_folder, VERSION, fold, skip_prep)


def _clips(data_folder):
    """Finds the excerpts, and their folds by their numbers."""
    corpus = check_folder(data_folder, "of GTZAN")
    found = _excerpts(corpus)
    clips = {
        name: manifest.whole_file(
            path, label=name.split(".")[0], fold=int(name.split(".")[1]) // 10 + 1
        )
        for name, path in found.items()
    }
    warn_if_short(corpus, len(clips), CLIPS["all"], "excerpts")
    return corpus, without_broken(clips, BROKEN), {}


def _filtered(data_folder):
    """Reads the lists of the fault-filtered split."""
    corpus = check_folder(data_folder, "of GTZAN")
    found, clips = _excerpts(corpus), {}
    for split in manifest.SPLITS:
        source = os.path.join(corpus, f"{split}_filtered.txt")
        count = 0
        for place, line in manifest.lines(source):
            name = os.path.splitext(os.path.basename(line.strip()))[0]
            if name not in found:
                raise ManifestError(
                    f"{place}: {line.strip()} is not in {corpus}. Unpack GTZAN there."
                )
            count += 1
            clips[name] = manifest.whole_file(
                found[name], label=name.split(".")[0], split=split
            )
        warn_if_short(corpus, count, CLIPS[split], f"excerpts in {split}_filtered.txt")
    return corpus, without_broken(clips, BROKEN), {}


def _excerpts(corpus):
    """Returns ``{name: path}`` of all excerpts, sorted."""
    places = (os.path.join(corpus, inside) for inside in INSIDE)
    home = next(filter(os.path.isdir, places))
    found = {}
    for genre in sorted(os.listdir(home)):
        folder = os.path.join(home, genre)
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
            match = NAME.fullmatch(os.path.splitext(name)[0])
            if match and match[1] == genre and is_audio(name):
                found[match[0]] = os.path.join(folder, name)
    if not found:
        raise ManifestError(
            f"{home}: no excerpts <genre>/<genre>.00000.wav. Set data_folder to the "
            "folder that holds genres_original."
        )
    return found
