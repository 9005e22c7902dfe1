"""My corpus: single words by many speakers, in one sentence.

The corpus (Me et al. 2026, https://arxiv.org/abs/0000.00000) has recordings as
``audio/<speaker>/<name>.wav`` and their labels in ``labels.tsv``: a line is a path, a
tab and a word. The splits have different speakers: those in ``VALID_SPEAKERS`` and
``TEST_SPEAKERS`` are never trained on.

Say here whatever else matters when numbers are compared, and deviations from the
protocol in a Note.

Authors
 * Me, 2026
"""

import os
from pathlib import Path

from s3prl_sb.audio import headers
from s3prl_sb.corpora.downloading import Published, download
from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.manifest import ManifestError
from s3prl_sb.dataio.tables import SPLITS, check_classes, skipped

VERSION = "my_corpus/1"  # another one makes finished preparations stale
LABELS_FILE = "labels.tsv"
VALID_SPEAKERS = ("s04",)
TEST_SPEAKERS = ("s05", "s06")
URL = "https://example.org/my_corpus.tar.gz"
ARCHIVE = Published(URL, gigabytes=0.1)


def prepare_my_corpus(
    data_folder: str, save_folder: str, skip_prep: bool = False
) -> dict[str, str]:
    """Writes ``train.json``, ``valid.json`` and ``test.json``.

    Arguments
    ---------
    data_folder : str
        Folder with ``audio`` and ``labels.tsv``.
    save_folder : str
        Folder for the manifests. A finished preparation of the same labels is kept.
    skip_prep : bool
        Use the manifests in ``save_folder`` as they are.

    Returns
    -------
    dict
        ``{"train": path, "valid": path, "test": path}``. Records have ``label`` (the
        word) and ``speaker``.

    Raises
    ------
    ManifestError
        With the file, the line and the way out.

    Example
    -------
    >>> import tempfile, numpy, soundfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for speaker in ("s01", "s04", "s05"):
    ...         os.makedirs(f"{folder}/audio/{speaker}")
    ...         wav = f"audio/{speaker}/0.wav"
    ...         soundfile.write(f"{folder}/{wav}", numpy.zeros(1600), 16000)
    ...         with open(folder + "/labels.tsv", "a") as file:
    ...             _ = file.write(f"{wav}\\tyes\\n")
    ...     paths = prepare_my_corpus(folder, folder + "/save")
    ...     manifest.read(paths["test"])["s05--0"]["label"]
    'yes'
    """
    if skip_prep:
        return skipped(manifest.paths_in(save_folder))
    data_folder = os.path.abspath(data_folder)
    labels_file = os.path.join(data_folder, LABELS_FILE)
    if not os.path.isfile(labels_file):
        raise ManifestError(
            f"{labels_file}: no such file. Set data_folder to the unpacked corpus, "
            f"from {URL}."
        )
    # Everything the manifests depend on. If it is unchanged, nothing is done; a change
    # of the corpus, of the arguments or of VERSION prepares the corpus again.
    arguments = {
        "version": VERSION,
        "data_folder": data_folder,
        "sha256": manifest.digest(labels_file),
    }
    if paths := manifest.finished(save_folder, arguments):
        return paths

    records, places = _read_labels(labels_file)
    _find_audio(records, data_folder, places)
    # This reads headers only, eight at a time, and lists broken and empty files.
    headers.add_durations(records.values())
    splits = {name: {} for name in SPLITS}
    for name, record in records.items():
        splits[_split(record["speaker"])][name] = record
    # A class that is not in the training set is an error here, before any training.
    check_classes(splits, places=lambda split: places)
    # This validates the records, and writes all of them or nothing.
    return manifest.finish(splits, save_folder, arguments)


def _read_labels(path):
    """Returns ``{id: record}``, with listed paths, and ``{id: "file:line"}``."""
    records, places = {}, {}
    for place, line in manifest.lines(path):
        wav, _, label = line.partition("\t")
        parts = wav.split("/")
        if not label.strip() or len(parts) != 3 or parts[0] != "audio":
            raise ManifestError(
                f"{place}: malformed line {line!r}. Expected a path, a tab "
                "and a word: 'audio/s01/0001.wav<tab>yes'"
            )
        # An id has no slashes, as it may become the name of a file.
        name = f"{parts[1]}--{os.path.splitext(parts[2])[0]}"
        if name in places:
            raise ManifestError(f"{place}: {wav} again, first {places[name]}")
        places[name] = place
        records[name] = {
            "wav": wav,
            "start": None,  # seconds, if an utterance is part of a recording
            "stop": None,
            "label": label.strip(),
            "speaker": parts[1],
        }
    return records, places


def _find_audio(records, data_folder, places):
    """Makes the listed paths absolute; raises an error that lists missing files."""
    missing = []
    for name, record in records.items():
        path = os.path.join(data_folder, *record["wav"].split("/"))
        if not os.path.isfile(path):
            missing.append(f"{places[name]}: missing audio file {record['wav']}")
        record["wav"] = path
    if missing:
        way_out = f"Unpack the corpus again ({URL}), or remove these lines."
        raise ManifestError.listing(missing, way_out, len(records))


def _split(speaker):
    if speaker in TEST_SPEAKERS:
        return "test"
    return "valid" if speaker in VALID_SPEAKERS else "train"


def download_my_corpus(destination: str) -> Path:
    """Downloads the corpus, 0.1 GB.

    Arguments
    ---------
    destination : str
        Folder that gets ``my_corpus``.

    Returns
    -------
    pathlib.Path
        The destination.
    """
    return download([ARCHIVE], destination)
