"""My corpus: single words by many speakers, in one sentence.

The corpus (Me et al. 2026, https://arxiv.org/abs/0000.00000) has recordings as
``audio/<speaker>/<name>.wav`` and says in ``labels.tsv`` what is heard in each: a
line is a path, a tab and a word. Its speakers are split for good: those in
``VALID_SPEAKERS`` and ``TEST_SPEAKERS`` are never trained on.

What else someone who compares numbers has to know stands here too, deviations from
the protocol in a Note.

Authors
 * Me, 2026
"""

import logging
import os

from s3prl_sb.audio import headers
from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.manifest import ManifestError
from s3prl_sb.dataio.tables import SPLITS, check_classes, skipped

logger = logging.getLogger(__name__)

# The facts of the corpus, where they can be seen.
VERSION = "my_corpus/1"  # another one makes finished preparations stale
LABELS_FILE = "labels.tsv"
VALID_SPEAKERS = ("s04",)
TEST_SPEAKERS = ("s05", "s06")
URL = "https://example.org/my_corpus.tar.gz"


def prepare_my_corpus(data_folder, save_folder, skip_prep=False):
    """Writes ``train.json``, ``valid.json`` and ``test.json``.

    Arguments
    ---------
    data_folder : str
        Holds ``audio`` and ``labels.tsv``.
    save_folder : str
        Where the manifests go. A finished preparation of the same labels is kept.
    skip_prep : bool
        Take what is in ``save_folder`` as it is.

    Returns
    -------
    dict
        ``{"train": path, "valid": path, "test": path}``. Records have ``label`` (the
        word) and ``speaker``.

    Raises
    ------
    ManifestError
        Names the file and line, and the way out.

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
    outputs = {name: os.path.join(save_folder, f"{name}.json") for name in SPLITS}
    if skip_prep:
        return skipped(outputs)
    data_folder = os.path.abspath(data_folder)
    labels_file = os.path.join(data_folder, LABELS_FILE)
    if not os.path.isfile(labels_file):
        raise ManifestError(
            f"{labels_file}: no such file. Set data_folder to the unpacked corpus, "
            f"from {URL}."
        )
    # All that the result depends on. Found again unchanged, there is nothing to do;
    # a change of the corpus, of the arguments or of VERSION prepares it anew.
    arguments = {
        "version": VERSION,
        "data_folder": data_folder,
        "sha256": manifest.digest(labels_file),
    }
    paths = manifest.finished(save_folder, arguments)
    if paths:
        return paths

    records, places = _read_labels(labels_file)
    _find_audio(records, data_folder, places)
    # Headers only, eight at a time; broken and empty files are listed.
    wavs = [record["wav"] for record in records.values()]
    for record, seconds in zip(records.values(), headers.durations(wavs)):
        record["duration"] = seconds
    splits = {name: {} for name in SPLITS}
    for name, record in records.items():
        splits[_split(record["speaker"])][name] = record
    # What training never showed cannot be recognised: an error here, not a crash
    # in an epoch's time.
    check_classes(splits, places=lambda split: places)
    # Validated, written whole or not at all, and stamped as finished.
    return manifest.finish(splits, save_folder, arguments)


def _read_labels(path):
    """``{id: record}`` with paths as listed, and ``{id: "file:line"}``."""
    records, places = {}, {}
    for number, line in enumerate(manifest.read_text(path).splitlines(), 1):
        if not line.strip():
            continue
        wav, _, label = line.partition("\t")
        parts = wav.split("/")
        if not label.strip() or len(parts) != 3 or parts[0] != "audio":
            raise ManifestError(
                f"{path}:{number}: malformed line {line!r}. Expected a path, a tab "
                "and a word: 'audio/s01/0001.wav<tab>yes'"
            )
        # Without slashes: an id may become the name of a file.
        name = f"{parts[1]}--{os.path.splitext(parts[2])[0]}"
        if name in places:
            raise ManifestError(f"{path}:{number}: {wav} again, first {places[name]}")
        places[name] = f"{path}:{number}"
        records[name] = {
            "wav": wav,
            "start": None,  # seconds, where an utterance is part of a recording
            "stop": None,
            "label": label.strip(),
            "speaker": parts[1],
        }
    return records, places


def _find_audio(records, data_folder, places):
    """Makes the listed paths absolute; an error lists what is not there."""
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
