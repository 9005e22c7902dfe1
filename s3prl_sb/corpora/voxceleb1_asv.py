"""VoxCeleb1 for speaker verification (SUPERB ASV): 1,211 speakers to train on, and
trials of 40 others.

The layout is that of identification (:mod:`s3prl_sb.corpora.voxceleb1`). The trials,
``veri_test.txt``, have a line each: 1 (same speaker) or 0, and two paths. No other
trials are published, so the validation trials are made here, from speakers who are
then left out of training.

Authors
 * The s3prl_sb developers, 2026
"""

import hashlib
import logging
import os
import re

from s3prl_sb.audio import headers
from s3prl_sb.audio.audio_names import only_audio
from s3prl_sb.corpora.completeness import check_folder, warn_if_short
from s3prl_sb.corpora.voxceleb1 import audio_folders, find_audio, find_list
from s3prl_sb.dataio import manifest, tables, trials
from s3prl_sb.dataio.manifest import ManifestError
from s3prl_sb.dataio.tables import SPLITS

logger = logging.getLogger(__name__)

VERSION = "voxceleb1_asv/1"  # a change makes finished preparations stale
TRIAL_FILES = ("veri_test.txt", "voxceleb1_test_v2.txt")  # the corpus', S3PRL's name
TRIAL_URL = "https://www.robots.ox.ac.uk/~vgg/data/voxceleb/meta/veri_test.txt"
WAV = r"id\d{5}/[^/\s]+/[^/\s]+\.\w+"
LINE = re.compile(rf"([01])\s+({WAV})\s+({WAV})")
SPEAKER = re.compile(r"id\d{5}")
SPEAKERS = 1211  # outside the test, as published
MONITORED = 40  # validation speakers if none are held out


def prepare_voxceleb1_asv(
    data_folder: str | None,
    save_folder: str,
    trials_file: str | None = None,
    valid_speakers: int = 40,
    valid_seed: int = 0,
    min_seconds: float = 2.0,
    skip_prep: bool = False,
) -> dict[str, str]:
    """Writes the manifests and the lists ``valid_trials.txt`` and ``test_trials.txt``.

    Arguments
    ---------
    data_folder : str
        Folder with ``dev/wav`` and ``test/wav``, or both merged as ``wav``.
    save_folder : str
        Folder for all files. A finished preparation with the same settings is kept.
    trials_file : str, optional
        Test trials. Default: ``veri_test.txt`` (or ``voxceleb1_test_v2.txt``)
        in ``data_folder``.
    valid_speakers : int
        Number of validation speakers, who are held out of training. 0: the validation
        trials are from 40 training speakers.
    valid_seed : int
        Seed of the choice of these speakers and their trials.
    min_seconds : float
        Training utterances of this length or less are left out.
    skip_prep : bool
        Use the manifests in ``save_folder`` as they are.

    Returns
    -------
    dict
        ``{"train": path, "valid": path, "test": path}``. Records have ``speaker`` and
        ``video``; those of validation and test are the utterances of the trials.

    Raises
    ------
    ManifestError
        With the file, the line and the way out.

    Note
    ----
    The published protocol trains on all speakers outside the test set, and reports the
    lowest equal error rate of any checkpoint on the test set. Here 40 speakers of the
    training set are held out, as many as the test set has. Their trials, as many per
    utterance as in the test set, choose the checkpoint and the threshold.

    Example
    -------
    >>> import tempfile, numpy, soundfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for n in range(6):
    ...         for video in "ab":
    ...             wav = f"{folder}/wav/id1000{n}/{video}/00001.wav"
    ...             os.makedirs(os.path.dirname(wav))
    ...             soundfile.write(wav, numpy.zeros(40000), 16000)
    ...     with open(folder + "/veri_test.txt", "w") as file:
    ...         _ = file.write("1 id10000/a/00001.wav id10000/b/00001.wav\\n")
    ...         _ = file.write("0 id10000/a/00001.wav id10001/b/00001.wav\\n")
    ...     save = folder + "/save"
    ...     paths = prepare_voxceleb1_asv(folder, save, valid_speakers=2)
    ...     [len(manifest.read(path)) for path in paths.values()]
    [4, 4, 3]
    """
    if skip_prep:
        return _skipped(save_folder)
    data_folder = check_folder(data_folder, "of VoxCeleb1")
    trials_file = find_list(
        data_folder, trials_file, TRIAL_FILES, "trials_file", TRIAL_URL
    )
    arguments = {
        "version": VERSION,
        "data_folder": data_folder,
        "trials_file": trials_file,
        "sha256": manifest.digest(trials_file),
        "valid_speakers": valid_speakers,
        "valid_seed": valid_seed,
        "min_seconds": min_seconds,
    }
    paths = _lists_are_there(save_folder) and manifest.finished(save_folder, arguments)
    if paths:
        return paths
    test, test_trials, places = _read_trials(trials_file)
    find_audio(test, data_folder, places)
    records = _recordings(data_folder, {r["speaker"] for r in test.values()})
    speakers = sorted(
        {record["speaker"] for record in records.values()},
        key=lambda s: hashlib.sha1(f"{valid_seed}|{s}".encode()).digest(),
    )
    warn_if_short(data_folder, len(speakers), SPEAKERS, "speakers outside the test")
    if not 0 <= valid_speakers <= len(speakers) - 2:
        raise ManifestError(
            f"valid_speakers {valid_speakers}: {data_folder} has {len(speakers)} "
            "speakers outside the test, and 2 must be left to train on. Choose fewer."
        )
    watched = set(speakers[: valid_speakers or MONITORED])
    valid = {n: r for n, r in records.items() if r["speaker"] in watched}
    valid_trials = trials.draw(valid, seed=valid_seed)
    trials.check(valid_trials, f"valid_speakers {valid_speakers} of {data_folder}")
    used = {name for trial in valid_trials for name in trial[1:]}
    valid = {name: dict(valid[name]) for name in sorted(used)}
    if valid_speakers:
        records = {n: r for n, r in records.items() if r["speaker"] not in watched}
    headers.add_durations([*records.values(), *valid.values(), *test.values()])
    train = _long_enough(records, min_seconds, data_folder)
    lists = {"valid": valid_trials, "test": test_trials}
    splits = {"train": train, "valid": valid, "test": test}
    return _finish(splits, lists, save_folder, arguments)


def prepare_trial_tables(
    train_csv: str,
    valid_csv: str,
    test_csv: str,
    save_folder: str,
    min_seconds: float = 2.0,
    data_root: str | None = None,
    skip_prep: bool = False,
) -> dict[str, str]:
    """Prepares user tables of utterances and trials.

    Arguments
    ---------
    train_csv : str
        CSV, TSV or JSON with ``wav`` and ``speaker`` (or ``wav_path`` and ``spk``),
        see :mod:`s3prl_sb.dataio.tables`.
    valid_csv, test_csv : str
        Trials, see :func:`s3prl_sb.dataio.trials.load_table`.
    save_folder, min_seconds, skip_prep
        See :func:`prepare_voxceleb1_asv`.
    data_root : str, optional
        Folder where relative audio paths start. Default: the table's folder.

    Returns
    -------
    dict
        ``{"train": path, "valid": path, "test": path}``.

    Raises
    ------
    ManifestError
        With the file, the line and the way out.
    """
    if skip_prep:
        return _skipped(save_folder)
    files = tables.by_split(train_csv, valid_csv, test_csv, save_folder)
    arguments = {
        "version": [VERSION, tables.VERSION],
        **tables.identity(files),
        "min_seconds": min_seconds,
        "data_root": data_root and os.path.abspath(data_root),
    }
    paths = _lists_are_there(save_folder) and tables.finished(save_folder, arguments)
    if paths:
        return paths
    train = tables.load_table(files["train"], ("speaker",), data_root)
    splits = {"train": _long_enough(train, min_seconds, files["train"])}
    lists = {}
    for split in SPLITS[1:]:
        splits[split], lists[split] = trials.load_table(files[split], data_root)
    tables.warn_of_leaks(splits, files)
    return _finish(splits, lists, save_folder, arguments)


def trial_lists(save_folder):
    """Returns the trials of a preparation, "valid" and "test" to lists of Trial."""
    return {split: trials.read(path) for split, path in _lists(save_folder).items()}


def _lists(save_folder):
    return {s: os.path.join(save_folder, f"{s}_trials.txt") for s in SPLITS[1:]}


def _skipped(save_folder):
    tables.skipped(_lists(save_folder))
    return tables.skipped(manifest.paths_in(save_folder))


def _lists_are_there(save_folder):
    return all(map(os.path.isfile, _lists(save_folder).values()))


def _finish(splits, lists, save_folder, arguments):
    """Writes the lists, the manifests, and last the stamp."""
    manifest.validate(splits["train"], "split train", ("speaker",), audio=False)
    for split, path in _lists(save_folder).items():
        trials.write(lists[split], path)
    return manifest.finish(splits, save_folder, arguments, required=())


def _long_enough(records, min_seconds, source):
    """Returns the utterances that are long enough to train on."""
    kept = {n: r for n, r in records.items() if r["duration"] > min_seconds}
    speakers = {record["speaker"] for record in kept.values()}
    if len(speakers) < 2:
        raise ManifestError(
            f"{source}: {len(kept)} of {len(records)} training utterances are longer "
            f"than {min_seconds} s, of {len(speakers)} speakers: 2 are needed. Add "
            "some, or lower min_seconds."
        )
    if len(kept) < len(records):
        logger.warning(
            "%d of %d training utterances are left out: they are not longer than "
            "min_seconds, %s",
            len(records) - len(kept),
            len(records),
            min_seconds,
        )
    return kept


def _record(wav):
    speaker, video, _ = wav.split("/")
    name = os.path.splitext(wav)[0].replace("/", "--")
    return name, manifest.whole_file(wav, speaker=speaker, video=video)


def _read_trials(path):
    """Returns the utterances of a list, its trials, and ``{id: "file:line"}``."""
    records, listed, places = {}, [], {}
    for place, line in manifest.lines(path):
        match = LINE.fullmatch(line.strip())
        if not match:
            raise ManifestError(
                f"{place}: malformed line {line.strip()!r}. Expected 1 or 0 "
                "and two paths: '1 id10270/5r0dWxy17C8/00003.wav "
                "id10270/8jEAjG6SegY/00008.wav'"
            )
        label, *wavs = match.groups()
        pair = dict(map(_record, wavs))
        for name, record in pair.items():
            records.setdefault(name, record)
            places.setdefault(name, place)
        first, second = (_record(wav)[0] for wav in wavs)
        same = records[first]["speaker"] == records[second]["speaker"]
        if same != (label == "1"):
            raise ManifestError(
                f"{place}: label {label}, but the speakers are "
                f"{'the same' if same else 'different'} by their folders. Get a sound "
                "copy of the list."
            )
        listed.append(trials.Trial(int(label), first, second))
    trials.check(listed, path)
    return records, listed, places


def _listed(folder):
    """Returns the visible names in a folder; none if there is no folder."""
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    return [name for name in names if not name.startswith(".")]


def _recordings(data_folder, tested):
    """Returns all recordings of speakers outside the test set."""
    records = {}
    for folder in audio_folders(data_folder):
        wavs = []
        for speaker in sorted(os.listdir(folder)):
            if not SPEAKER.fullmatch(speaker) or speaker in tested:
                continue
            for video in _listed(os.path.join(folder, speaker)):
                files = _listed(os.path.join(folder, speaker, video))
                wavs += [f"{speaker}/{video}/{file}" for file in files]
        for wav in only_audio(wavs, folder):
            name, record = _record(wav)
            record["wav"] = os.path.join(folder, *wav.split("/"))
            records.setdefault(name, record)
    if not records:
        raise ManifestError(
            f"{data_folder}: no recordings of speakers outside the test. Unpack "
            "VoxCeleb1 so that it holds dev/wav/<speaker>/<video>/<number>.wav."
        )
    return records
