"""Libri2Mix for speaker diarization (SUPERB SD): two speakers, fully overlapped.

The corpus (Cosentino et al. 2020, https://arxiv.org/abs/2005.11262) mixes utterances of
LibriSpeech, without annotation of who speaks when. SUPERB's annotation is that of
S3PRL's fork of LibriMix, as Kaldi folders ``data/{train,dev,test}``. Both are read:

* *Kaldi folders*: SUPERB's protocol, comparable with published numbers;
* *LibriMix itself*, if there are no such folders: ``metadata/mixture_*.csv`` with the
  sources. A source then speaks where it is loud (:func:`loud_spans`). This is not
  exactly SUPERB's annotation, so the numbers do not compare.

Any two-speaker corpus in such Kaldi folders can be used.

Authors
 * The s3prl_sb developers, 2026
"""

import csv
import logging
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from s3prl_sb.audio import headers, sound_files
from s3prl_sb.corpora.completeness import check_folder
from s3prl_sb.corpora.downloading import behind_a_form
from s3prl_sb.corpora.kaldi import read_kaldi
from s3prl_sb.corpora.moved import Moved
from s3prl_sb.corpora.recordings import check_speech, make_records
from s3prl_sb.dataio import manifest, tables
from s3prl_sb.dataio.manifest import ManifestError

logger = logging.getLogger(__name__)

download_libri2mix = behind_a_form(
    "Libri2Mix",
    "https://github.com/s3prl/LibriMix",
    "it is mixed on your disk from LibriSpeech and WHAM! noise, by the scripts of "
    "its repository.",
)
VERSION = "libri2mix_sd/1"  # a change makes finished preparations stale
SUBSETS = {"train": "train", "valid": "dev", "test": "test"}
KALDI_FILES = ("wav.scp", "segments", "utt2spk", "rttm")
MODES = ("wav16k/max", "wav16k/min", ".")  # of LibriMix; SUPERB's is the first
MIXTURES = ("mix_both", "mix_clean")
TRAIN_SUBSETS = ("train-100", "train-360")
SOURCES = ("source_1_path", "source_2_path")
COLUMNS = ("mixture_ID", "mixture_path", *SOURCES)


def prepare_libri2mix_sd(
    data_folder: str | None, save_folder: str, skip_prep: bool = False
) -> dict[str, str]:
    """Writes ``train.json``, ``valid.json`` and ``test.json``.

    Arguments
    ---------
    data_folder : str
        Folder with the Kaldi folders ``data/{train,dev,test}`` or
        ``{train,dev,test}``; paths in ``wav.scp`` may be relative to it. Or
        Libri2Mix, with ``wav16k/max/metadata`` (or ``min``), or its folder
        ``wav16k/max``.
    save_folder : str
        Folder for the manifests. A finished preparation of the same files is kept.
    skip_prep : bool
        Use the manifests in ``save_folder`` as they are.

    Returns
    -------
    dict
        ``{"train": path, "valid": path, "test": path}``; records as in
        :mod:`s3prl_sb.corpora.recordings`.

    Raises
    ------
    ManifestError
        With the file, the line and the way out.

    Example
    -------
    >>> import tempfile, soundfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in SUBSETS.values():
    ...         soundfile.write(f"{folder}/{name}.wav", np.zeros(16000), 16000)
    ...         os.makedirs(f"{folder}/data/{name}")
    ...         scp = Path(folder, "data", name, "wav.scp")
    ...         _ = scp.write_text(f"{name}1 {name}.wav")
    ...         line = f"SPEAKER {name}1 1 0.1 0.5 <NA> <NA> ann <NA> <NA>"
    ...         _ = scp.with_name("rttm").write_text(line)
    ...     paths = prepare_libri2mix_sd(folder, folder + "/save")
    ...     manifest.read(paths["test"])["test1"]["segments"]
    [['ann', 0.1, 0.6]]
    """
    if skip_prep:
        return tables.skipped(manifest.paths_in(save_folder))
    data_folder = check_folder(data_folder, "with data/{train,dev,test}")
    kaldi = _kaldi_folders(data_folder)
    sources = kaldi or _metadata(data_folder)
    arguments = {"version": VERSION, "sources": sources, "sha256": {}}
    for name, source in sources.items():
        files = [os.path.join(source, f) for f in KALDI_FILES] if kaldi else [source]
        digests = [manifest.digest(f) for f in files if os.path.isfile(f)]
        arguments["sha256"][name] = digests
    if paths := manifest.finished(save_folder, arguments):
        return paths
    above = os.path.dirname(data_folder)
    roots = [data_folder, above, os.path.dirname(above)]
    if kaldi:
        splits = {n: read_kaldi(folder, roots) for n, folder in kaldi.items()}
    else:
        logger.warning(
            "%s has no data/train, S3PRL's annotation: speech is where the sources "
            "are loud. Numbers will not compare with published ones.",
            data_folder,
        )
        splits = {n: _read_metadata(path, roots) for n, path in sources.items()}
    check_speech(splits, sources)
    tables.warn_of_leaks(splits, sources)
    return manifest.finish(splits, save_folder, arguments, required=())


def _kaldi_folders(data_folder):
    """Returns ``{split: folder}``; empty if there are none."""
    for parent in (os.path.join(data_folder, "data"), data_folder):
        folders = {n: os.path.join(parent, name) for n, name in SUBSETS.items()}
        there = [os.path.isfile(os.path.join(f, "wav.scp")) for f in folders.values()]
        if all(there):
            return folders
        if any(there):
            folder = list(folders.values())[there.index(False)]
            raise ManifestError(
                f"{folder}: no Kaldi folder (wav.scp) beside the others"
            )
    return {}


def _metadata(data_folder):
    """Returns ``{split: csv}`` of LibriMix's first complete mode and mixture."""
    for mode in MODES:
        folder = os.path.normpath(os.path.join(data_folder, mode, "metadata"))
        for mixture in MIXTURES:
            for train in TRAIN_SUBSETS:
                paths = {
                    split: os.path.join(folder, f"mixture_{subset}_{mixture}.csv")
                    for split, subset in {**SUBSETS, "train": train}.items()
                }
                if all(map(os.path.isfile, paths.values())):
                    return paths
    raise ManifestError(
        f"{data_folder}: neither Kaldi folders (data/train/wav.scp, …) nor LibriMix "
        "(wav16k/max/metadata/mixture_train-100_mix_both.csv, …). Set data_folder to "
        "the folder that holds one of them."
    )


def _read_metadata(path, roots):
    """Returns ``{recording: record}`` of a CSV of LibriMix."""
    mixtures, sources, places, moved = {}, [], [], Moved(roots)
    table = csv.DictReader(manifest.read_text(path).splitlines())
    for row in table:
        place = f"{path}:{table.line_num}"
        missing = [column for column in COLUMNS if not row.get(column)]
        if missing:
            raise ManifestError(f"{place}: no {', '.join(missing)}")
        name = row["mixture_ID"]
        if name in mixtures:
            raise ManifestError(
                f"{place}: '{name}' again, first in {mixtures[name][1]}"
            )
        speakers = [part.split("-")[0] for part in name.split("_")]
        if len(speakers) != 2 or speakers[0] == speakers[1]:
            raise ManifestError(
                f"{place}: mixture_ID '{name}' does not name two speakers, as "
                "4077-13754-0001_5142-33396-0065 does"
            )
        mixtures[name] = moved.find(row["mixture_path"]), place
        for speaker, column in zip(speakers, SOURCES):
            sources.append((name, speaker, moved.find(row[column])))
            places.append(place)
    if not mixtures:
        raise ManifestError(f"{path}: has no rows. Get a sound copy of the table.")
    moved.report(path)
    # Headers first: one error names all missing files
    headers.durations([source[2] for source in sources], places)
    with ThreadPoolExecutor(4) as pool:
        spans = list(pool.map(lambda source: loud_spans(source[2]), sources))
    segments = [
        (name, speaker, start, stop, place)
        for (name, speaker, _), loud, place in zip(sources, spans, places)
        for start, stop in loud
    ]
    return make_records(mixtures, segments)


def loud_spans(path, below_peak=35.0, shortest=0.2):
    """Finds the speech in a clean recording of one speaker, by energy alone.

    Arguments
    ---------
    path : str
        Audio file. Channels are averaged.
    below_peak : float
        Threshold in decibels below the loudest 20 ms.
    shortest : float
        Seconds. Shorter pauses are filled, then shorter spans are dropped.

    Returns
    -------
    list of (float, float)
        Start and stop in seconds, to 20 ms.

    Example
    -------
    >>> import tempfile, soundfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     tone = np.sin(np.arange(8000))
    ...     sound = np.concatenate([np.zeros(8000), tone, np.zeros(8000)])
    ...     soundfile.write(folder + "/a.wav", sound, 16000)
    ...     loud_spans(folder + "/a.wav")
    [(0.5, 1.0)]
    """
    try:
        samples, rate = sound_files.read(path)
    except (RuntimeError, TypeError, OSError) as error:
        raise ManifestError(
            f"{path}: cannot be read: {sound_files.reason(error)}. Get a sound copy."
        ) from error
    size = max(1, rate // 50)
    samples = np.pad(samples.mean(1), (0, -len(samples) % size))
    power = np.mean(samples.reshape(-1, size).astype(np.float64) ** 2, axis=1)
    if not power.any():
        return []
    loud = power > power.max() * 10 ** (-below_peak / 10)
    edges = np.flatnonzero(np.diff(loud, prepend=False, append=False)) * size / rate
    spans = []
    for start, stop in edges.reshape(-1, 2):
        if spans and start - spans[-1][1] < shortest:
            start = spans.pop()[0]
        spans.append((start, stop))
    return [(float(a), float(b)) for a, b in spans if b - a >= shortest]
