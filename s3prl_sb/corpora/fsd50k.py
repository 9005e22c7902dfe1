"""FSD50K: sounds with any number of 200 labels, fixed splits.

The corpus (Fonseca et al. 2022, https://arxiv.org/abs/2010.00475) has 51,197 clips as
``FSD50K.dev_audio/<name>.wav`` and ``FSD50K.eval_audio/<name>.wav``. In
``FSD50K.ground_truth``, ``dev.csv`` has a row for each development clip with its
labels, separated by commas, and its split, train or val; ``eval.csv`` has those of the
test set. Labels include the classes above them in AudioSet's ontology.

Authors
 * The s3prl_sb developers, 2026
"""

import os

from s3prl_sb.corpora.clip_folds import prepare_clips
from s3prl_sb.corpora.completeness import check_folder, warn_if_short, with_audio
from s3prl_sb.corpora.downloading import behind_a_form
from s3prl_sb.corpora.metadata_tables import table_rows
from s3prl_sb.dataio import manifest
from s3prl_sb.errors import ManifestError

download_fsd50k = behind_a_form(
    "FSD50K",
    "https://zenodo.org/records/4060432",
    "its archives are in parts. Download all, join them with 'zip -s 0 "
    "FSD50K.dev_audio.zip --out dev.zip', eval likewise, and unpack them beside each "
    "other.",
)
VERSION = "fsd50k/1"  # a change makes finished preparations stale
TABLES = "FSD50K.ground_truth"
MEASURES = ("mean_average_precision", "d_prime", "auc")
SPLITS = {"train": "train", "val": "valid"}  # of dev.csv
CLIPS = {"train": 36796, "valid": 4170, "test": 10231}  # as published


def folds(data_folder: str | None) -> list[int] | None:
    """Returns None: the splits are fixed.

    Arguments
    ---------
    data_folder : str
        See :func:`prepare_fsd50k`.

    Returns
    -------
    None

    Example
    -------
    >>> folds("/corpora/FSD50K") is None
    True
    """
    return None


def prepare_fsd50k(
    data_folder: str | None,
    save_folder: str,
    fold: int | None = None,
    skip_prep: bool = False,
) -> dict[str, str]:
    """Writes ``train.json``, ``valid.json`` and ``test.json``.

    Arguments
    ---------
    data_folder : str
        Folder with ``FSD50K.ground_truth`` and the two folders of audio, or the one
        that holds ``FSD50K``.
    save_folder : str
        Folder for the manifests. A finished preparation of the same clips is kept.
    fold : None
        There are no folds.
    skip_prep : bool
        Use the manifests in ``save_folder`` as they are.

    Returns
    -------
    dict
        ``{"train": path, "valid": path, "test": path}``. Records have ``labels``, a
        list such as ["Bark", "Dog", "Animal"].

    Raises
    ------
    ManifestError
        With the file, the line and the way out.
    """
    return prepare_clips(
        _clips, data_folder, save_folder, VERSION, fold, skip_prep, measures=MEASURES
    )


def _clips(data_folder):
    """Reads the tables of the clips: the folder, the clips, their lines."""
    corpus = check_folder(data_folder, "of FSD50K", inside="FSD50K")
    clips, places = {}, {}
    tables = {"dev": ("fname", "labels", "split"), "eval": ("fname", "labels")}
    for part, columns in tables.items():
        table = os.path.join(corpus, TABLES, f"{part}.csv")
        for place, row in table_rows(table, columns):
            split = SPLITS.get(row["split"]) if part == "dev" else "test"
            if split is None:
                raise ManifestError(
                    f"{place}: split {row['split']!r}; there are {', '.join(SPLITS)}. "
                    "Restore the file of the corpus."
                )
            key = f"{part}_{row['fname']}"
            places[key] = place
            clips[key] = manifest.whole_file(
                os.path.join(corpus, f"FSD50K.{part}_audio", f"{row['fname']}.wav"),
                labels=[label for label in row["labels"].split(",") if label],
                split=split,
            )
    for split, published in CLIPS.items():
        count = sum(clip["split"] == split for clip in clips.values())
        warn_if_short(corpus, count, published, f"clips of the {split} set")
    source = os.path.join(corpus, TABLES)
    return corpus, with_audio(clips, "FSD50K", source), places
