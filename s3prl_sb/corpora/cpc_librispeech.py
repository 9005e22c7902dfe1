"""LibriSpeech with CPC's split and alignments: phones and speakers.

Van den Oord et al. (2018, https://arxiv.org/abs/1807.03748) divide ``train-clean-100``
into a training and a test set with the same 251 speakers, ``train_split.txt`` and
``test_split.txt`` with a name a line, and align its phones: in
``converted_aligned_phones.txt`` each line has the name of an utterance and one of 41
numbers for each 10 ms. S3PRL holds a tenth of the training set out for validation.

Authors
 * The s3prl_sb developers, 2026
"""

import itertools
import logging
import os
import random
from pathlib import Path
from typing import Any

from s3prl_sb.audio import headers
from s3prl_sb.audio.audio_names import Listed, hint
from s3prl_sb.corpora.completeness import check_folder
from s3prl_sb.corpora.downloading import Published, download
from s3prl_sb.corpora.librispeech import MD5SUMS, OPENSLR, PARTS
from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.manifest import ManifestError
from s3prl_sb.dataio.tables import check_classes, skipped

logger = logging.getLogger(__name__)

VERSION = "cpc_librispeech/1"  # a change makes finished preparations stale
PART = "train-clean-100"
FRAME_SECONDS = 0.01  # of the numbers in the alignments
#: Seconds by which the last frame may be longer than the audio.
LONGER = 0.1
#: Seconds that audio may last longer than its phones, without a warning.
UNLABELLED = 0.5
TRAIN_LIST, TEST_LIST = "train_split.txt", "test_split.txt"
ALIGNMENTS = "converted_aligned_phones.txt"
CPC = "https://github.com/facebookresearch/CPC_audio"  # its README links to them
S3PRL = (
    "https://raw.githubusercontent.com/s3prl/s3prl/"
    "ec8064b5889f81ca460fbe2c094ce576a6f120b7/s3prl/downstream/phone_linear/data"
)
FILES = {  # GB, and SHA-256 where it is known
    TRAIN_LIST: (
        0.001,
        "c37e1c4831552fad4c9595526166fc0ff0481eed8e02622c3c5d73386cd8b62d",
    ),
    TEST_LIST: (
        0.001,
        "a961da3bdcd86ae56ba186e07c36e20ba6e2532f985b2b77811e9df93605770c",
    ),
    ALIGNMENTS: (0.1, None),
}


def prepare_cpc_librispeech(
    data_folder: str | None,
    save_folder: str,
    labels: str = "phones",
    train_list: str | None = None,
    test_list: str | None = None,
    alignments: str | None = None,
    valid_share: float = 0.1,
    split_seed: int = 1337,
    skip_prep: bool = False,
) -> dict[str, str]:
    """Writes ``train.json``, ``valid.json`` and ``test.json``.

    Arguments
    ---------
    data_folder : str
        Folder with ``train-clean-100``, or with ``LibriSpeech``.
    save_folder : str
        Folder for the manifests. A finished preparation of the same files with the same
        arguments is kept.
    labels : str
        "phones" or "speakers".
    train_list, test_list : str, optional
        Names of the utterances, a line each. Default: ``train_split.txt`` and
        ``test_split.txt`` in the folder of the corpus.
    alignments : str, optional
        Phones, which only the labels "phones" need. Default:
        ``converted_aligned_phones.txt`` in the folder of the corpus.
    valid_share : float
        Share of the training list that is held out for validation.
    split_seed : int
        Seed of Python's generator that shuffles the training list before.
    skip_prep : bool
        Use the manifests in ``save_folder`` as they are.

    Returns
    -------
    dict
        ``{"train": path, "valid": path, "test": path}``. Records have ``segments``
        (lists of a phone's number as text, its start and its stop in seconds) or
        ``label`` (the speaker, such as "19").

    Raises
    ------
    ManifestError
        With the file, the line and the way out.

    Example
    -------
    >>> import tempfile, numpy, soundfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     place = Path(folder, "train-clean-100", "19", "198")
    ...     place.mkdir(parents=True)
    ...     for n in range(3):
    ...         wav = place / f"19-198-000{n}.flac"
    ...         soundfile.write(wav, numpy.zeros(480), 16000)
    ...         with open(folder + "/converted_aligned_phones.txt", "a") as file:
    ...             _ = file.write(f"19-198-000{n} 7 7 3\\n")
    ...     _ = Path(folder, TRAIN_LIST).write_text("19-198-0000\\n19-198-0001\\n")
    ...     _ = Path(folder, TEST_LIST).write_text("19-198-0002\\n")
    ...     paths = prepare_cpc_librispeech(folder, folder + "/save")
    ...     manifest.read(paths["test"])["19-198-0002"]["segments"]
    [['7', 0.0, 0.02], ['3', 0.02, 0.03]]
    """
    if skip_prep:
        return skipped(manifest.paths_in(save_folder))
    if labels not in ("phones", "speakers"):
        raise ManifestError(f"labels: '{labels}' is neither phones nor speakers.")
    corpus = check_folder(data_folder, "of LibriSpeech", inside="LibriSpeech")
    if not os.path.isdir(os.path.join(corpus, PART)):
        raise ManifestError(
            f"{corpus}: no {PART} in it. Unpack its archive there (s3prl-sb download "
            "cpc_librispeech), or correct data_folder."
        )
    files = {
        "train_list": _find(corpus, train_list, TRAIN_LIST, "train_list"),
        "test_list": _find(corpus, test_list, TEST_LIST, "test_list"),
    }
    if labels == "phones":
        files["alignments"] = _find(corpus, alignments, ALIGNMENTS, "alignments")
    arguments = {
        "version": VERSION,
        "data_folder": corpus,
        "labels": labels,
        "sha256": {key: manifest.digest(path) for key, path in files.items()},
        "valid_share": valid_share,
        "split_seed": split_seed,
    }
    if paths := manifest.finished(save_folder, arguments):
        return paths
    names = read_split(files["train_list"], files["test_list"], valid_share, split_seed)
    splits: dict[str, dict[str, Any]] = {
        split: {name: manifest.whole_file(name) for name in listed}
        for split, listed in names.items()
    }
    places = {
        name: place for listed in names.values() for name, place in listed.items()
    }
    _find_audio(splits, corpus, places)
    headers.add_durations(
        [record for records in splits.values() for record in records.values()],
        [places[name] for records in splits.values() for name in records],
    )
    if labels == "phones":
        _add_phones(splits, files["alignments"], places)
        return manifest.finish(splits, save_folder, arguments, ("segments",))
    for records in splits.values():
        for name, record in records.items():
            record["label"] = name.split("-")[0]
    check_classes(splits, places=lambda split: names[split])
    return manifest.finish(splits, save_folder, arguments)


def _find(corpus, path, name, key):
    """Returns the path of a file of the corpus, in its folder by default."""
    wanted = [path] if path else [os.path.join(corpus, p, name) for p in ("", PART)]
    for candidate in wanted:
        if os.path.isfile(candidate):
            return candidate
    raise ManifestError(
        f"{wanted[0]}: no such file. s3prl-sb download cpc_librispeech gets it, and "
        f"{CPC} says where else it is; put it there, or set {key}."
    )


def read_split(train_list, test_list, valid_share, seed):
    """Reads the names of the utterances.

    Arguments
    ---------
    train_list, test_list : str
        Files with a name a line.
    valid_share : float
        Share of the training list for validation, from its end.
    seed : int
        Seed of the shuffle before.

    Returns
    -------
    dict
        ``{"train": {name: "file:line"}, "valid": …, "test": …}``.

    Raises
    ------
    ManifestError
        For a line with more than a name, a repeated name, or a share that leaves
        nothing to train or for validation.
    """
    places: dict[str, str] = {}
    listed = {"train": _listed(train_list, places), "test": _listed(test_list, places)}
    train = listed["train"]
    random.Random(seed).shuffle(train)
    count = int(len(train) * (1 - valid_share))
    if not 0 < count < len(train):
        raise ManifestError(
            f"{train_list}: valid_share {valid_share:g} of its {len(train)} utterances "
            f"leaves {count} to train and {len(train) - count} for validation. Set "
            "another share, such as 0.1, or add utterances."
        )
    splits = {"train": train[:count], "valid": train[count:], "test": listed["test"]}
    return {
        split: {name: places[name] for name in names} for split, names in splits.items()
    }


def _listed(path, places):
    names = []
    for place, line in manifest.lines(path):
        name = line.strip()
        if len(name.split("-")) != 3 or len(name.split()) != 1:
            raise ManifestError(
                f"{place}: malformed line {name[:40]!r}. Expected the name of an "
                "utterance: '103-1240-0000'"
            )
        if name in places:
            raise ManifestError(f"{place}: {name} again, first {places[name]}")
        places[name] = place
        names.append(name)
    return names


def _find_audio(splits, corpus, places):
    """Replaces names by the paths of the audio files."""
    listed, missing = Listed(), []
    for records in splits.values():
        for name, record in records.items():
            speaker, chapter, _ = name.split("-")
            wav = os.path.join(corpus, PART, speaker, chapter, f"{name}.flac")
            if (path := listed.find(wav)) is None:
                text = f"{places[name]}: missing audio file {wav}{hint(wav)}"
                missing.append(text)
            record["wav"] = path
    if missing:
        way_out = f"Unpack the archive of {PART} again, or remove these lines."
        raise ManifestError.listing(missing, way_out, len(places))


def _add_phones(splits, alignments, places):
    """Adds the segments of equal numbers to the records."""
    numbers = {}
    for place, line in manifest.lines(alignments):
        name, *labels = line.split()
        if not labels or not all(map(str.isdigit, labels)):
            raise ManifestError(
                f"{place}: malformed line {line[:40]!r}. Expected the name of an "
                "utterance and a number for each 10 ms: '103-1240-0000 0 0 5'"
            )
        if name in places:
            numbers[name] = place, labels
    missing = [f"{places[name]}: {name}" for name in places if name not in numbers]
    if missing:
        way_out = f"They are not in {alignments}. Remove these lines, or add them."
        raise ManifestError.listing(missing, way_out, len(places))
    longer, shorter = [], []
    for records in splits.values():
        for name, record in records.items():
            place, labels = numbers[name]
            seconds = len(labels) * FRAME_SECONDS
            text = f"{place}: {name} has {seconds:.2f} s of phones and "
            text += f"{record['duration']:.2f} s of audio"
            if seconds > record["duration"] + LONGER:
                longer.append(text)
            elif seconds < record["duration"] - UNLABELLED:
                shorter.append(text)
            record["segments"] = segments_of(labels, record["duration"])
    if longer:
        way_out = "Get the alignments of these recordings."
        raise ManifestError.listing(longer, way_out, len(places))
    if shorter:
        logger.warning(
            "%d of %d utterances end after their phones, such as %s. Time without "
            "phones is not counted.",
            len(shorter),
            len(places),
            shorter[0],
        )


def segments_of(labels, duration):
    """Turns the labels of frames into segments.

    Arguments
    ---------
    labels : list of str
        A label for each 10 ms.
    duration : float
        Length of the audio in seconds, which ends the last segment.

    Returns
    -------
    list of list
        Label, start and stop in seconds.

    Example
    -------
    >>> segments_of(["7", "7", "3"], 0.025)
    [['7', 0.0, 0.02], ['3', 0.02, 0.025]]
    """
    segments, start = [], 0
    for label, frames in itertools.groupby(labels):
        stop = start + len(list(frames))
        times = round(start * FRAME_SECONDS, 2), round(stop * FRAME_SECONDS, 2)
        if times[0] < duration:
            segments.append([label, times[0], min(times[1], duration)])
        start = stop
    return segments


def download_cpc_librispeech(destination: str) -> Path:
    """Downloads train-clean-100, and CPC's split and alignments from S3PRL.

    Arguments
    ---------
    destination : str
        Folder that gets ``LibriSpeech``.

    Returns
    -------
    pathlib.Path
        The destination.
    """
    archive = f"{OPENSLR}/12/{PART}.tar.gz"
    files = [Published(archive, *PARTS[PART], md5sums=MD5SUMS)]
    for name, (gigabytes, sha256) in FILES.items():
        url = f"{S3PRL}/{name}"
        files.append(Published(url, gigabytes, sha256, folder="LibriSpeech"))
    return download(files, destination)
