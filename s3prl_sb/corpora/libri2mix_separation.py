"""Libri2Mix for source separation (SUPERB-SG SS): mixtures of two speakers.

The corpus (Cosentino et al. 2020, https://arxiv.org/abs/2005.11262) is made by the
scripts of LibriMix. SUPERB-SG's is the mode *min*, where the longer utterance is cut to
the length of the other, at 16 kHz and without noise. It is read from

* ``wav16k/min/metadata/mixture_{train-100,dev,test}_mix_clean.csv``, LibriMix's tables;
* or without them from ``wav16k/min/{train-100,dev,test}/{mix_clean,s1,s2}``, folders of
  audio or, as S3PRL prepares them, with a ``wav.scp`` of Kaldi.

A mixture may have more sources, as in Libri3Mix.

Authors
 * The s3prl_sb developers, 2026
"""

import csv
import logging
import os
import random
import re
from typing import Any

from s3prl_sb.corpora.completeness import check_folder, warn_if_short
from s3prl_sb.corpora.libri2mix import SOURCES, SUBSETS, TRAIN_SUBSETS
from s3prl_sb.corpora.moved import Moved
from s3prl_sb.corpora.parallel_folders import (
    measure,
    read_parallel,
    warn_of_shared_speakers,
)
from s3prl_sb.dataio import manifest, tables
from s3prl_sb.dataio.manifest import ManifestError
from s3prl_sb.identity import digest

logger = logging.getLogger(__name__)

VERSION = "libri2mix_ss/1"  # a change makes finished preparations stale
MODE, OTHER_MODE = "wav16k/min", "wav16k/max"
SOURCE = re.compile(r"source_([1-9])_path", re.ASCII)
UTTERANCES = {"train-100": 13900, "train-360": 50800, "dev": 3000, "test": 3000}
VALID_MIXTURES, VALID_SEED = 1000, 7  # of S3PRL's subsample.py


def prepare_libri2mix_ss(
    data_folder: str | None,
    save_folder: str,
    mixture: str = "mix_clean",
    valid_mixtures: int | None = VALID_MIXTURES,
    skip_prep: bool = False,
) -> dict[str, str]:
    """Writes ``train.json``, ``valid.json`` and ``test.json``.

    Arguments
    ---------
    data_folder : str
        Folder of Libri2Mix with ``wav16k/min``; or a folder with ``train-100``, ``dev``
        and ``test``, such as ``wav16k/max``.
    save_folder : str
        Folder for the manifests. A finished preparation of the same files is kept.
    mixture : str
        "mix_clean"; or "mix_both", with noise of WHAM!.
    valid_mixtures : int, optional
        Number of mixtures of ``dev`` to validate on, the choice of S3PRL. None: all.
    skip_prep : bool
        Use the manifests in ``save_folder`` as they are.

    Returns
    -------
    dict
        ``{"train": path, "valid": path, "test": path}``; a record has the mixture as
        ``wav``, and ``sources``, a list of files.

    Raises
    ------
    ManifestError
        With the file, the line and the way out.

    Example
    -------
    >>> import tempfile, numpy, soundfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for subset in ("train-100", "dev", "test"):
    ...         for part in ("mix_clean", "s1", "s2"):
    ...             path = f"{folder}/wav16k/min/{subset}/{part}"
    ...             os.makedirs(path)
    ...             soundfile.write(path + "/1-2-3_4-5-6.wav", numpy.zeros(99), 16000)
    ...     paths = prepare_libri2mix_ss(folder, folder + "/save")
    ...     record = manifest.read(paths["test"])["1-2-3_4-5-6"]
    >>> [os.path.basename(os.path.dirname(path)) for path in record["sources"]]
    ['s1', 's2']
    """
    if skip_prep:
        return tables.skipped(manifest.paths_in(save_folder))
    corpus = find_corpus(data_folder)
    above = os.path.dirname(corpus)
    roots = [corpus, above, os.path.dirname(above)]
    names = {**SUBSETS, "train": _train_subset(corpus, mixture)}
    splits = {s: _read(corpus, name, mixture, roots) for s, name in names.items()}
    splits["valid"] = validation_subset(splits["valid"], valid_mixtures)
    arguments = {
        "version": VERSION,
        "files": {split: digest(records) for split, records in splits.items()},
    }
    if paths := manifest.finished(save_folder, arguments):
        return paths
    for split, records in splits.items():
        published = UTTERANCES[names[split]]
        if split == "valid":
            published = min(published, valid_mixtures or published)
        if len(next(iter(records.values()))["sources"]) == len(SOURCES):
            what = f"mixtures of {names[split]}"
            warn_if_short(data_folder, len(records), published, what)
        measure(records)
    warn_of_shared_speakers(splits, speakers_of)
    return manifest.finish(splits, save_folder, arguments, required=("sources",))


def speakers_of(mixture: str) -> list[str]:
    """Returns the speakers that the name of a mixture says.

    Example
    -------
    >>> speakers_of("4077-13754-0001_5142-33396-0065")
    ['4077', '5142']
    """
    return [part.partition("-")[0] for part in mixture.split("_")]


def validation_subset(records: dict[str, Any], count: int | None) -> dict[str, Any]:
    """Returns the validation mixtures that S3PRL's ``subsample.py`` chooses.

    Arguments
    ---------
    records : dict
        ``{mixture: record}`` of ``dev``.
    count : int, optional
        Number of mixtures; None, or more than there are: all.

    Returns
    -------
    dict

    Example
    -------
    >>> list(validation_subset(dict.fromkeys("edcba"), 2))
    ['a', 'e']
    """
    names = sorted(records)
    random.Random(VALID_SEED).shuffle(names)
    return {name: records[name] for name in sorted(names[:count])}


def find_corpus(data_folder: str | None) -> str:
    """Returns the folder of the subsets.

    Arguments
    ---------
    data_folder : str
        See :func:`prepare_libri2mix_ss`.

    Returns
    -------
    str

    Raises
    ------
    ManifestError
        If it is not there.
    """
    data_folder = check_folder(data_folder, "of Libri2Mix, with wav16k/min")
    for mode in (MODE, "."):
        folder = os.path.normpath(os.path.join(data_folder, mode))
        if os.path.isdir(os.path.join(folder, SUBSETS["test"])):
            return folder
    if os.path.isdir(os.path.join(data_folder, OTHER_MODE)):
        raise ManifestError(
            f"{data_folder}: has {OTHER_MODE} only, and SUPERB-SG's mixtures are of "
            f"{MODE}. Make them by LibriMix's scripts with modes='min', or set "
            f"data_folder to {data_folder}/{OTHER_MODE}: its numbers do not compare."
        )
    raise ManifestError(
        f"{data_folder}: no Libri2Mix, with {MODE}/test/mix_clean and so on. Set "
        "data_folder to the folder that holds it."
    )


def _train_subset(corpus, mixture):
    for subset in TRAIN_SUBSETS:
        places = os.path.join(corpus, subset), _table(corpus, subset, mixture)
        if any(map(os.path.exists, places)):
            return subset
    raise ManifestError(f"{corpus}: no {' or '.join(TRAIN_SUBSETS)}. Complete it.")


def _table(corpus, subset, mixture):
    return os.path.join(corpus, "metadata", f"mixture_{subset}_{mixture}.csv")


def _read(corpus, subset, mixture, roots):
    """Returns ``{mixture: record}`` of a subset, without durations."""
    path = _table(corpus, subset, mixture)
    if os.path.isfile(path):
        return _read_table(path, roots)
    folder = os.path.join(corpus, subset)
    sources = []
    while os.path.isdir(os.path.join(folder, f"s{len(sources) + 1}")):
        sources.append(os.path.join(folder, f"s{len(sources) + 1}"))
    mixtures = os.path.join(folder, mixture)
    if len(sources) < 2 or not os.path.isdir(mixtures):
        there = ", ".join(sorted(os.listdir(folder))) if os.path.isdir(folder) else "-"
        raise ManifestError(
            f"{folder}: needs the folders {mixture}, s1 and s2; there are: {there}. "
            f"Make mixtures of the type {mixture}, or choose another --mixture."
        )
    return read_parallel(mixtures, sources, roots)


def _read_table(path, roots):
    """Returns the records of a CSV of LibriMix."""
    table = csv.DictReader(manifest.read_text(path).splitlines())
    columns = sorted(c for c in table.fieldnames or () if SOURCE.fullmatch(c))
    records: dict[str, dict[str, Any]] = {}
    moved, lines = Moved(roots), {}
    for row in table:
        place = f"{path}:{table.line_num}"
        needed = ("mixture_ID", "mixture_path", *(columns or ["source_1_path"]))
        missing = [column for column in needed if not row.get(column)]
        if missing:
            raise ManifestError(f"{place}: no {', '.join(missing)}")
        name = row["mixture_ID"]
        if name in records:
            raise ManifestError(f"{place}: '{name}' again, first in {lines[name]}")
        sources = [moved.find(row[column]) for column in columns]
        wav = moved.find(row["mixture_path"])
        records[name] = manifest.whole_file(wav, sources=sources)
        lines[name] = place
    if not records:
        raise ManifestError(f"{path}: has no rows. Get a sound copy of the table.")
    moved.report(path)
    return records
