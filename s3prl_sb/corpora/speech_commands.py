"""Speech Commands for keyword spotting (SUPERB KS), and any folders of labels.

The corpus (Warden 2018, https://arxiv.org/abs/1804.03209) has one-second recordings
in a folder for each word, and minutes of noise in ``_background_noise_``.

SUPERB's protocol is version 0.01 with 12 classes: ten keywords, ``_unknown_`` (all
other words) and ``_silence_`` (the noise). The speaker's hash decides between training
and validation; the separate archive ``speech_commands_test_set_v0.01`` is the test set.

Note
----
S3PRL's recipe draws a random second of a noise file at each access, from the same
files in training and validation. Here a noise file is cut into consecutive fixed
seconds (as in S3PRL's newer API), so that every run and the feature cache are exact,
and each second is in one split only.
"""

import hashlib
import logging
import os
import re
from pathlib import Path

from s3prl_sb.audio import headers
from s3prl_sb.audio.audio_names import Listed, as_id, only_audio
from s3prl_sb.corpora.completeness import check_folder
from s3prl_sb.corpora.downloading import Published, download
from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.manifest import ManifestError
from s3prl_sb.dataio.tables import SPLITS, check_classes, skipped

logger = logging.getLogger(__name__)

VERSION = "speech_commands/1"  # a change makes finished preparations stale
KEYWORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
UNKNOWN, SILENCE, NOISE = "_unknown_", "_silence_", "_background_noise_"
V2_WORDS = {"backward", "forward", "follow", "learn", "visual"}  # not in v0.01
LISTS = {"valid": "validation_list.txt", "test": "testing_list.txt"}
TEST_SET = "speech_commands_test_set_v0.01"
URL = "http://download.tensorflow.org/data"
TEST_URL = f"{URL}/{TEST_SET}.tar.gz"
SHA256 = "743935421bb51cccdb6bdd152e04c5c70274e935c82119ad7faeec31780d811d"  # v0.01

# The rule in the README of the corpus: a percentage from the speaker's hash
MAX_PER_CLASS = 2**27 - 1
VALID_PERCENT, TEST_PERCENT = 10, 10
NOISE_TENTHS = {"valid": 1, "test": 1}  # at each noise file's end; the rest trains


def prepare_speech_commands(
    data_folder: str | None,
    save_folder: str,
    test_folder: str | None = None,
    version: str = "auto",
    labels: str = "superb",
    skip_prep: bool = False,
    silence: bool | None = None,
) -> dict[str, str]:
    """Writes ``train.json``, ``valid.json`` and ``test.json``.

    Arguments
    ---------
    data_folder : str
        The corpus, or the parent of ``speech_commands_v0.01`` (and
        ``speech_commands_test_set_v0.01``) or ``speech_commands_v0.02``.
    save_folder : str
        Folder for the manifests. A finished preparation of the same files with the
        same arguments is kept.
    test_folder : str, optional
        Separate test set, with a folder for each class. Version 0.01 needs one; the
        default is in or next to the corpus. With a test set, recordings of the
        corpus' test speakers are left out.
    version : str
        "v0.01": validation by the speaker's hash. "v0.02": by the corpus' lists.
        "auto": by the folder's name, else by its words.
    labels : str
        "superb": the 12 classes. "folders": each folder is a class, split by the
        corpus' lists, or by the hash where there are none (80, 10 and 10 %).
    skip_prep : bool
        Use the manifests in ``save_folder`` as they are.
    silence : bool, optional
        Makes a class ``_silence_`` of the noise. Default: only for "superb".

    Returns
    -------
    dict
        ``{"train": path, "valid": path, "test": path}``. Records have ``label`` and
        ``speaker`` (the hash in the file's name, else null).

    Raises
    ------
    ManifestError
        With the expected layout and the way out.

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
    14
    """
    if skip_prep:
        return skipped(manifest.paths_in(save_folder))
    if labels not in ("superb", "folders"):
        raise ManifestError(f"labels: {labels!r}. There are 'superb' and 'folders'.")
    if version not in ("auto", "v0.01", "v0.02"):
        raise ManifestError(f"version: {version!r}. There are auto, v0.01 and v0.02.")
    silence = labels == "superb" if silence is None else silence
    corpus = find_corpus(data_folder, version)
    words = _class_folders(corpus)
    _check_layout(corpus, words, labels)
    if labels == "superb":
        version = _find_version(corpus, words) if version == "auto" else version
        if version == "v0.01" and test_folder is None:
            test_folder = _find_test_set(corpus)
    by_list = version == "v0.02" or labels == "folders"
    lists = _read_lists(corpus, needed=version == "v0.02") if by_list else {}

    own = [(corpus, word, name) for word in words for name in words[word]]
    tests = []
    if test_folder is not None:
        test_folder = os.path.abspath(test_folder)
        classes = _class_folders(test_folder)
        if labels == "superb":
            _check_test_set(test_folder, classes)
        tests = [(test_folder, word, n) for word in classes for n in classes[word]]
    noises = _noise_files(corpus) if silence else []

    listing = "\n".join("/".join(item) for item in (*own, *tests))
    listing += "\n".join([*noises, *(f"{n} {s}" for n, s in sorted(lists.items()))])
    arguments = {
        "version": VERSION,
        "data_folder": corpus,
        "test_folder": test_folder,
        "rule": [version, labels, silence],
        "files": len(own) + len(tests) + len(noises),
        "listing": hashlib.sha256(as_id(listing).encode()).hexdigest(),
    }
    if paths := manifest.finished(save_folder, arguments):
        return paths

    records = [_record(*item, labels) for item in (*own, *tests)]
    noises = [manifest.whole_file(os.path.join(corpus, NOISE, n)) for n in noises]
    headers.add_durations(records + noises)
    splits = {name: {} for name in SPLITS}
    for (folder, word, name), record in zip((*own, *tests), records):
        separate = folder != corpus
        split = "test" if separate else _split(word, name, lists)
        if split == "test" and test_folder is not None and not separate:
            continue  # recordings of a test speaker are left out
        _add(splits[split], "test_set--" if separate else "", word, name, record)
    for noise in noises:
        _add_silence(splits, noise, test_is_separate=test_folder is not None)
    check_classes(splits)
    return manifest.finish(splits, save_folder, arguments)


def speaker_split(name):
    """Returns "train", "valid" or "test" by the published rule of the corpus.

    Arguments
    ---------
    name : str
        File name. The part before ``_nohash_`` is the speaker; without it, the whole
        name counts.

    Returns
    -------
    str

    Example
    -------
    >>> speaker_split("004ae714_nohash_0.wav") == speaker_split("004ae714_nohash_7.wav")
    True
    """
    speaker = re.sub(r"_nohash_.*$", "", os.path.basename(name))
    number = int(hashlib.sha1(os.fsencode(speaker)).hexdigest(), 16)
    percent = number % (MAX_PER_CLASS + 1) * (100.0 / MAX_PER_CLASS)
    if percent < VALID_PERCENT:
        return "valid"
    return "test" if percent < VALID_PERCENT + TEST_PERCENT else "train"


def find_corpus(data_folder, version):
    """Returns the folder of the corpus, from itself or its parent."""
    data_folder = check_folder(data_folder, "of Speech Commands")
    versions = ["v0.01", "v0.02"]
    inside = [os.path.join(data_folder, f"speech_commands_{v}") for v in versions]
    inside = [path for path in inside if os.path.isdir(path)]
    chosen = [path for path in inside if version == "auto" or path.endswith(version)]
    if len(chosen) == 2:
        raise ManifestError(
            f"{data_folder}: holds speech_commands_v0.01 and speech_commands_v0.02. "
            "Say which: version v0.01 is SUPERB's."
        )
    if inside and not chosen:
        raise ManifestError(f"{data_folder}: holds {inside[0]}, not version {version}")
    return chosen[0] if chosen else data_folder


def _class_folders(folder):
    """Returns ``{class: [file names]}`` of the folders with audio, without noise."""
    if not os.path.isdir(folder):
        raise ManifestError(f"{folder}: no such folder. Set test_folder.")
    classes = {}
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.is_dir() and entry.name != NOISE and not entry.name.startswith("."):
            classes[entry.name] = sorted(os.listdir(entry.path))
    listed = [os.path.join(word, name) for word in classes for name in classes[word]]
    classes = {}
    for word, name in map(os.path.split, only_audio(listed, folder)):
        classes.setdefault(word, []).append(name)
    return classes


def _noise_files(corpus):
    folder = os.path.join(corpus, NOISE)
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    names = only_audio(names, folder)
    if not names:
        logger.warning("%s: no %s folder, so no class %s", corpus, NOISE, SILENCE)
    return names


def _described(classes):
    """Returns a description of the folders, for an error message."""
    shown = ", ".join(list(classes)[:10]) + (", ..." if len(classes) > 10 else "")
    plural = "folder" if len(classes) == 1 else "folders"
    return f"found {len(classes)} {plural} with audio" + (shown and f": {shown}")


def _check_layout(corpus, words, labels):
    if labels == "folders" and len(words) < 2:
        raise ManifestError(
            f"{corpus}: {_described(words)}; expected a folder for each of two or more "
            "classes, <class>/<recording>.wav. For another layout, write a CSV table."
        )
    if labels == "superb" and not set(words) & set(KEYWORDS):
        raise ManifestError(
            f"{corpus}: {_described(words)}; none of the ten keywords "
            f"({' '.join(KEYWORDS)}). Set data_folder to the corpus or its parent, or "
            "labels: folders to make each folder a class."
        )
    absent = [word for word in KEYWORDS if word not in words]
    if labels == "superb" and absent:
        logger.warning("%s: no recordings of %s", corpus, ", ".join(absent))


def _check_test_set(folder, classes):
    if not set(classes) & {*KEYWORDS, UNKNOWN, SILENCE}:
        raise ManifestError(
            f"{folder}: {_described(classes)}; expected a test set with the folders "
            f"{' '.join((*KEYWORDS, UNKNOWN, SILENCE))}. Correct test_folder."
        )


def _find_version(corpus, words):
    named = re.search(r"v0\.0[12]", os.path.basename(corpus))
    if named:
        return named[0]
    # Both versions have the lists, and all of v0.01's words
    return "v0.02" if V2_WORDS & set(words) else "v0.01"


def _find_test_set(corpus):
    places = [os.path.join(corpus, TEST_SET), str(Path(corpus).parent / TEST_SET)]
    for place in places:
        if os.path.isdir(place):
            return place
    raise ManifestError(
        f"{places[1]}: the test set of version v0.01 is missing. Unpack "
        f"{TEST_SET}.tar.gz ({TEST_URL}) there, or set test_folder. (version: v0.02 "
        "splits by the corpus' lists instead, which is not SUPERB's protocol.)"
    )


def _read_lists(corpus, needed):
    """Returns ``{"word/stem": split}`` of the lists; empty if there are none."""
    paths = {split: os.path.join(corpus, name) for split, name in LISTS.items()}
    absent = [path for path in paths.values() if not os.path.isfile(path)]
    if len(absent) == len(paths) and not needed:
        return {}
    if absent:
        raise ManifestError(
            f"{absent[0]}: no such file. The corpus is split by "
            f"{' and '.join(LISTS.values())}: put both there."
        )
    splits, files, listed = {}, {}, 0
    for split, path in paths.items():
        written = manifest.read_text(path).split()
        names = [os.path.splitext(name)[0] for name in written]
        twice = [w for n, w in zip(names, written) if splits.get(n, split) != split]
        if twice:
            raise ManifestError(f"{path}: {twice[0]} is in the other list too")
        splits.update(dict.fromkeys(names, split))
        listed += len(names)
        files.update(zip(names, written))
    there = Listed()
    absent = [n for n in files.values() if not there.find(os.path.join(corpus, n))]
    if absent:
        message = "%s: %d of the %d listed recordings are absent, such as %s"
        logger.warning(message, corpus, len(absent), listed, absent[0])
    return splits


def _split(word, name, lists):
    stem = os.path.splitext(name)[0]
    return lists.get(f"{word}/{stem}", "train") if lists else speaker_split(name)


def _record(folder, word, name, labels):
    superb = word if word in (*KEYWORDS, SILENCE) else UNKNOWN
    return manifest.whole_file(
        os.path.join(folder, word, name),
        label=superb if labels == "superb" else as_id(word),
        speaker=as_id(name.split("_nohash_")[0]) if "_nohash_" in name else None,
    )


def _add(records, prefix, word, name, record):
    """Adds a record with an id that can be a file name."""
    key = as_id(f"{prefix}{word}--{os.path.splitext(name)[0]}")
    if key in records:
        raise ManifestError(
            f"{record['wav']}: same name as {records[key]['wav']}. Remove one of them."
        )
    records[key] = record


def _add_silence(splits, noise, test_is_separate):
    """Cuts a noise file into whole seconds for train, valid and test, in that order."""
    wav, total = noise["wav"], int(noise["duration"])
    tenths = dict(NOISE_TENTHS)
    if test_is_separate:
        del tenths["test"]
    if total < 1 + len(tenths):
        message = "%s: %.1f s are too short to give every split a second; left out"
        logger.warning(message, wav, noise["duration"])
        return
    counts = {name: max(1, total * tenth // 10) for name, tenth in tenths.items()}
    counts = {"train": total - sum(counts.values()), **counts}
    stem = as_id(os.path.splitext(os.path.basename(wav))[0])
    start = 0
    for split, count in counts.items():
        for second in range(start, start + count):
            splits[split][f"{SILENCE}--{stem}--{second:04d}"] = {
                "wav": wav,
                "duration": 1.0,
                "start": float(second),
                "stop": float(second + 1),
                "label": SILENCE,
                "speaker": None,
            }
        start += count


def download_speech_commands(destination: str) -> Path:
    """Downloads version 0.01 and its separate test set, SUPERB's data.

    Arguments
    ---------
    destination : str
        Folder that gets ``speech_commands_v0.01`` and the test set's folder.

    Returns
    -------
    pathlib.Path
        The destination.
    """
    corpus = "speech_commands_v0.01"
    files = [
        Published(f"{URL}/{corpus}.tar.gz", 1.5, SHA256, folder=corpus),
        Published(TEST_URL, 0.1, folder=TEST_SET),
    ]
    return download(files, destination)
