"""VoiceBank-DEMAND for speech enhancement (SUPERB-SG SE).

The corpus (Valentini-Botinhao et al. 2016, https://doi.org/10.7488/ds/2117) has clean
speech of VCTK and the same speech in noise, much of it from DEMAND: 28 speakers in ten
noises for training, two other speakers in five other noises for the test. Two of the
28, p226 and p287, are the validation set, as in S3PRL.

* ``{clean,noisy}_{trainset_28spk,testset}_wav``: the corpus as it is published, 48 kHz;
  recordings are resampled when they are loaded. Of a second copy with the ending
  ``_16k``, which S3PRL wants, that one is read;
* ``{train,dev,test}/{noisy,clean}``: folders that are split already, of audio or, as
  S3PRL prepares them, with a ``wav.scp`` of Kaldi; also below ``wav16k``.

Authors
 * The s3prl_sb developers, 2026
"""

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from s3prl_sb.corpora.completeness import check_folder, warn_if_short
from s3prl_sb.corpora.downloading import Published, download
from s3prl_sb.corpora.parallel_folders import (
    measure,
    read_parallel,
    warn_of_shared_speakers,
)
from s3prl_sb.dataio import manifest, tables
from s3prl_sb.dataio.manifest import ManifestError
from s3prl_sb.identity import digest
from s3prl_sb.terminal.messages import few

VERSION = "voicebank_demand/1"  # a change makes finished preparations stale
URL = "https://datashare.ed.ac.uk/bitstream/handle/10283/2791"
KINDS = ("noisy", "clean")
TRAIN, TEST = "trainset_28spk_wav", "testset_wav"
SUBSETS = {"train": "train", "valid": "dev", "test": "test"}
ENDINGS = ("_16k", "")
VALID_SPEAKERS = ("p226", "p287")
UTTERANCES = {"train": 11572, "test": 824}  # published; train with the validation set


def prepare_voicebank_demand(
    data_folder: str | None,
    save_folder: str,
    valid_speakers: Sequence[str] | float = VALID_SPEAKERS,
    skip_prep: bool = False,
) -> dict[str, str]:
    """Writes ``train.json``, ``valid.json`` and ``test.json``.

    Arguments
    ---------
    data_folder : str
        Folder of the corpus, in one of the layouts of this module.
    save_folder : str
        Folder for the manifests. A finished preparation of the same files is kept.
    valid_speakers : list of str or float
        Speakers of the training set to validate on, as file names begin before ``_``;
        or the share of the utterances, between 0 and 1, whose speakers are drawn, the
        same in every run. Not for folders that are split already.
    skip_prep : bool
        Use the manifests in ``save_folder`` as they are.

    Returns
    -------
    dict
        ``{"train": path, "valid": path, "test": path}``; a record has the noisy ``wav``
        and ``sources``, a list of its clean file.

    Raises
    ------
    ManifestError
        With the folder, and the way out.

    Example
    -------
    >>> import tempfile, numpy, soundfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for kind, part in [(k, p) for k in KINDS for p in (TRAIN, TEST)]:
    ...         os.mkdir(f"{folder}/{kind}_{part}")
    ...         for name in ("p1_1", "p226_1", "p287_1"):
    ...             path = f"{folder}/{kind}_{part}/{name}.wav"
    ...             soundfile.write(path, numpy.zeros(480), 48000)
    ...     paths = prepare_voicebank_demand(folder, folder + "/save")
    ...     sorted(manifest.read(paths["valid"]))
    ['p226_1', 'p287_1']
    """
    if skip_prep:
        return tables.skipped(manifest.paths_in(save_folder))
    data_folder = check_folder(data_folder, "of VoiceBank-DEMAND")
    splits = _split_folders(data_folder) or _published(data_folder, valid_speakers)
    arguments = {
        "version": VERSION,
        "data_folder": data_folder,
        "files": {split: digest(records) for split, records in splits.items()},
    }
    if paths := manifest.finished(save_folder, arguments):
        return paths
    seen = len(splits["train"]) + len(splits["valid"])
    warn_if_short(data_folder, seen, UTTERANCES["train"], f"utterances of {TRAIN}")
    test = len(splits["test"])
    warn_if_short(data_folder, test, UTTERANCES["test"], f"utterances of {TEST}")
    warn_of_shared_speakers(splits, lambda name: [speaker_of(name)])
    for records in splits.values():
        measure(records)
    return manifest.finish(splits, save_folder, arguments, required=("sources",))


def speaker_of(utterance: str) -> str:
    """Returns the speaker of an utterance.

    Example
    -------
    >>> speaker_of("p226_001")
    'p226'
    """
    return utterance.partition("_")[0]


def find_corpus(data_folder: str | None) -> None:
    """Checks that a folder has both versions of both sets; reads the names of files.

    Arguments
    ---------
    data_folder : str
        See :func:`prepare_voicebank_demand`.

    Raises
    ------
    ManifestError
        If one is not there.
    """
    folder = check_folder(data_folder, "of VoiceBank-DEMAND")
    if not _split_folders(folder):
        for part in (TRAIN, TEST):
            _pair(folder, part)


def _split_folders(data_folder):
    """Returns ``{split: records}`` of folders that are split; empty for others."""
    for parent in (data_folder, os.path.join(data_folder, "wav16k")):
        folders = {
            split: [os.path.join(parent, name, kind) for kind in KINDS]
            for split, name in SUBSETS.items()
        }
        if all(os.path.isdir(f) for pair in folders.values() for f in pair):
            roots = [data_folder, os.path.dirname(data_folder)]
            return {
                split: read_parallel(noisy, [clean], roots)
                for split, (noisy, clean) in folders.items()
            }
    return {}


def _published(data_folder, valid_speakers):
    """Returns ``{split: records}`` of the published folders."""
    train, test = (
        read_parallel(noisy, [clean])
        for noisy, clean in (_pair(data_folder, part) for part in (TRAIN, TEST))
    )
    chosen = _chosen(train, valid_speakers, data_folder)
    splits: dict[str, dict[str, Any]] = {"train": {}, "valid": {}, "test": test}
    for name, record in train.items():
        split = "valid" if speaker_of(name) in chosen else "train"
        splits[split][name] = record
    return splits


def _pair(data_folder, part):
    """Returns the folders of noisy and of clean speech, in the same version."""
    for end in ENDINGS:
        found = []
        for kind in KINDS:
            folder = os.path.join(data_folder, f"{kind}_{part}{end}")
            inner = os.path.join(folder, os.path.basename(folder))  # unpacked twice
            found.append(inner if os.path.isdir(inner) else folder)
        if all(map(os.path.isdir, found)):
            return found
    raise ManifestError(
        f"{data_folder}: no folders noisy_{part} and clean_{part}, with or without "
        "_16k at the end. Set data_folder to the folder that holds them."
    )


def _chosen(records, valid_speakers, data_folder):
    """Returns the speakers to validate on."""
    counts = Counter(map(speaker_of, records))
    way_out = (
        f"Give others, such as --valid_speakers '[{min(counts)}]', or a share of the "
        "utterances, --valid_speakers 0.1."
    )
    if len(counts) < 2:
        raise ManifestError(
            f"{data_folder}: the training set has one speaker, {next(iter(counts))}, "
            "and validation needs another one. Give your own tables: --train_csv, …"
        )
    if isinstance(valid_speakers, (int, float)):
        if not 0 < valid_speakers < 1:
            raise ManifestError(
                f"valid_speakers {valid_speakers}: a share is between 0 and 1. "
                + way_out
            )
        return _drawn(counts, valid_speakers * len(records))
    absent = [speaker for speaker in valid_speakers if speaker not in counts]
    if absent or not valid_speakers:
        raise ManifestError(
            f"{data_folder}: no recording of {' and '.join(absent) or 'no speaker'}, "
            f"to validate on; its {len(counts)} speakers are {few(sorted(counts), 5)}. "
            + way_out
        )
    if len({*valid_speakers}) == len(counts):
        raise ManifestError(
            f"valid_speakers are all {len(counts)} speakers, and none is left to train "
            f"on. {way_out}"
        )
    return {*valid_speakers}


def _drawn(counts, utterances):
    """Draws speakers until they have a number of utterances; one is left."""
    order = sorted(counts, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    chosen: set[str] = set()
    for speaker in order[:-1]:
        if sum(counts[name] for name in chosen) >= utterances:
            break
        chosen.add(speaker)
    return chosen


def download_voicebank_demand(destination: str) -> Path:
    """Downloads the recordings of 28 speakers and of the test set.

    Arguments
    ---------
    destination : str
        Folder that gets ``{clean,noisy}_{trainset_28spk,testset}_wav``.

    Returns
    -------
    pathlib.Path
        The destination.
    """
    gigabytes = {TRAIN: 2.7, TEST: 0.2}
    names = [f"{kind}_{part}" for part in (TRAIN, TEST) for kind in KINDS]
    files = [
        Published(f"{URL}/{name}.zip", gigabytes[name.partition("_")[2]], folder=name)
        for name in names
    ]
    return download(files, destination)
