"""Speech Commands: keyword spotting (SUPERB KS), or any corpus of folders of labels.

The corpus (Warden 2018, https://arxiv.org/abs/1804.03209) has one-second recordings
in a folder for each word, and minutes of noise in ``_background_noise_``.

SUPERB's protocol is version 0.01 with 12 classes: ten keywords, ``_unknown_`` (all
other words) and ``_silence_`` (the noise). The speaker's hash tells training from
validation, the separate archive ``speech_commands_test_set_v0.01`` is the test set.

Note
----
S3PRL's recipe draws a random second of a noise file at each access, from the same
files in training and validation. Here a noise file is cut into consecutive fixed
seconds (as in S3PRL's newer API), so that every run and the feature cache are exact;
and each second belongs to one split only.
"""

import hashlib
import logging
import os
import re
from pathlib import Path

from s3prl_sb.corpora.tables import SPLITS, check_classes, skipped
from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.manifest import AUDIO_SUFFIXES, ManifestError

logger = logging.getLogger(__name__)

VERSION = "speech_commands/1"  # another one makes finished preparations stale
KEYWORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
UNKNOWN, SILENCE, NOISE = "_unknown_", "_silence_", "_background_noise_"
V2_WORDS = {"backward", "forward", "follow", "learn", "visual"}  # not in v0.01
LISTS = {"valid": "validation_list.txt", "test": "testing_list.txt"}
TEST_SET = "speech_commands_test_set_v0.01"
TEST_URL = f"http://download.tensorflow.org/data/{TEST_SET}.tar.gz"

# The corpus' own rule (its README): a percentage from the speaker's hash
MAX_PER_CLASS = 2**27 - 1
VALID_PERCENT, TEST_PERCENT = 10, 10
NOISE_TENTHS = {"valid": 1, "test": 1}  # of each noise file's end; the rest trains


def prepare_speech_commands(
    data_folder,
    save_folder,
    test_folder=None,
    version="auto",
    labels="superb",
    skip_prep=False,
    silence=None,
):
    """Writes ``train.json``, ``valid.json`` and ``test.json``.

    Arguments
    ---------
    data_folder : str
        The corpus, or the folder that holds ``speech_commands_v0.01`` (and
        ``speech_commands_test_set_v0.01``) or ``speech_commands_v0.02``.
    save_folder : str
        Where the manifests go. A finished preparation of the same files with the
        same arguments is kept.
    test_folder : str, optional
        A separate test set, a folder for each class. Version 0.01 needs one; by
        default it is looked for in and beside the corpus. Given one, recordings of
        the corpus' own test speakers are left out.
    version : str
        "v0.01": validation by the speaker's hash. "v0.02": by the corpus' lists.
        "auto": by the folder's name, else by its words.
    labels : str
        "superb": the 12 classes. "folders": each folder is a class, split by the
        corpus' lists, or by the hash where there are none (80, 10 and 10 %).
    skip_prep : bool
        Take what is in ``save_folder`` as it is.
    silence : bool, optional
        Whether the noise becomes class ``_silence_``. Default: only for "superb".

    Returns
    -------
    dict
        ``{"train": path, "valid": path, "test": path}``. Records have ``label`` and
        ``speaker`` (the hash in the file's name; null for noise).

    Raises
    ------
    ManifestError
        Says what was expected, what was found, and the way out.

    Example
    -------
    >>> import tempfile, numpy, soundfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for n, word in enumerate(["cat", "dog"] * 12):
    ...         path = Path(folder, "corpus", word, f"{n}_nohash_0.wav")
    ...         path.parent.mkdir(parents=True, exist_ok=True)
    ...         soundfile.write(path, numpy.zeros(1600), 16000)
    ...     save = folder + "/save"
    ...     paths = prepare_speech_commands(folder + "/corpus", save, labels="folders")
    ...     len(manifest.read(paths["train"]))
    19
    """
    outputs = {name: os.path.join(save_folder, f"{name}.json") for name in SPLITS}
    if skip_prep:
        return skipped(outputs)
    if labels not in ("superb", "folders"):
        raise ManifestError(f"labels: {labels!r}. There are 'superb' and 'folders'.")
    if version not in ("auto", "v0.01", "v0.02"):
        raise ManifestError(f"version: {version!r}. There are auto, v0.01 and v0.02.")
    silence = labels == "superb" if silence is None else silence
    corpus = _find_corpus(data_folder, version)
    words = _class_folders(corpus)
    _check_layout(corpus, words, labels)
    if labels == "superb":
        version = _find_version(corpus, words) if version == "auto" else version
        if version == "v0.01" and test_folder is None:
            test_folder = _find_test_set(corpus)
    by_list = version == "v0.02" or labels == "folders"
    lists = _read_lists(corpus, needed=version == "v0.02") if by_list else {}

    found = [(corpus, word, name) for word in words for name in words[word]]
    tests = []
    if test_folder is not None:
        test_folder = os.path.abspath(test_folder)
        classes = _class_folders(test_folder)
        if labels == "superb":
            _check_test_set(test_folder, classes)
        tests = [(test_folder, word, name) for word in classes for name in classes[word]]
    noises = _noise_files(corpus) if silence else []

    listing = "\n".join("/".join(item) for item in (*found, *tests))
    listing += "\n".join([*noises, *(f"{n} {s}" for n, s in sorted(lists.items()))])
    arguments = {
        "version": VERSION,
        "data_folder": corpus,
        "test_folder": test_folder,
        "rule": [version, labels, silence],
        "files": len(found) + len(tests) + len(noises),
        "listing": hashlib.sha256(listing.encode("utf-8", "replace")).hexdigest(),
    }
    paths = manifest.finished(save_folder, arguments)
    if paths:
        return paths

    sources = [os.path.join(*item) for item in (*found, *tests)]
    noise_paths = [os.path.join(corpus, NOISE, name) for name in noises]
    lengths = manifest.durations(sources + noise_paths)
    splits = {name: {} for name in SPLITS}
    for item, wav, length in zip((*found, *tests), sources, lengths):
        folder, word, name = item
        separate = folder != corpus
        split = "test" if separate else _split(word, name, lists)
        if split == "test" and test_folder is not None and not separate:
            continue  # a test speaker's: neither trained on nor tested
        record = {
            "wav": wav,
            "duration": length,
            "label": _label(word) if labels == "superb" else word,
            "speaker": _speaker(name),
        }
        prefix = "test_set--" if separate else ""
        _add(splits[split], prefix, word, name, record)
    for wav, length in zip(noise_paths, lengths[len(sources) :]):
        _add_silence(splits, wav, length, test_is_separate=test_folder is not None)
    check_classes(splits)
    return manifest.finish(splits, save_folder, arguments)
