"""Scenes: recordings with speakers, words and sound events, made or real.

A folder of scenes has one of these layouts, which is found by its files:

* that of ``s3prl-sb mix``: ``train.json``, ``valid.json`` and ``test.json``, scene
  manifests of :mod:`s3prl_sb.dataio.scenes`;
* recordings with files of annotation for each set, see
  :mod:`s3prl_sb.corpora.scene_recordings`;
* DESED, see :mod:`s3prl_sb.corpora.desed`: events alone;
* AMI or another corpus for diarization in the layouts of :mod:`s3prl_sb.corpora.ami`:
  speakers, and words if :mod:`s3prl_sb.corpora.ami_words` finds them.

Own tables have a row a turn, a word or an event:

=============  =======================================================================
``record_id``  the recording's name
``wav``        its audio file; a relative path starts at the table's folder
``type``       "speaker", "word" or "event"; empty in the row of a recording in which
               nothing happens
``label``      name of the speaker, word, or label of the event
``start``      seconds, see :mod:`s3prl_sb.dataio.segment_times`
``stop``       seconds; or ``duration``
``speaker``    speaker of a word
=============  =======================================================================

A type that no row of a table has is not annotated there. In JSON a table is a scene
manifest.

Authors
 * The s3prl_sb developers, 2026
"""

import os
from pathlib import Path
from typing import Any

from s3prl_sb.audio import headers
from s3prl_sb.corpora import ami, ami_words, desed, scene_recordings
from s3prl_sb.corpora.completeness import check_folder
from s3prl_sb.dataio import manifest, scene_checks, scenes, tables
from s3prl_sb.dataio.manifest import SPLITS, ManifestError
from s3prl_sb.dataio.rows import csv_cells, suffix
from s3prl_sb.dataio.segment_times import read_time, time_columns
from s3prl_sb.identity import digest, locations
from s3prl_sb.terminal.messages import excerpt, few

VERSION = "scenes/1"  # a change makes finished preparations stale
COLUMNS = ("record_id", "wav", "type", "label")
TYPES = ("speaker", "word", "event")


def prepare_scenes(
    data_folder: str | None, save_folder: str, skip_prep: bool = False
) -> dict[str, str]:
    """Writes ``train.json``, ``valid.json`` and ``test.json``.

    Arguments
    ---------
    data_folder : str
        Folder of scenes, see the top of this module.
    save_folder : str
        Folder for the manifests. A finished preparation of the same annotation is kept.
    skip_prep : bool
        Use the manifests in ``save_folder`` as they are.

    Returns
    -------
    dict
        ``{"train": path, "valid": path, "test": path}``; records as in
        :mod:`s3prl_sb.dataio.scenes`.

    Raises
    ------
    ManifestError
        With the file, the line and the fix.

    Example
    -------
    >>> import tempfile
    >>> from s3prl_sb.corpora.mixing.folder import Mix, Settings, make_scenes
    >>> from s3prl_sb.corpora.mixing.toy_sounds import ToySounds
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     settings = Settings(seconds=(1, 1), events=(1, 1))
    ...     mix = Mix(folder + "/scenes", settings, sounds=ToySounds(["siren"]))
    ...     made = make_scenes(mix, {"train": 1, "valid": 1, "test": 1})
    ...     paths = prepare_scenes(folder + "/scenes", folder + "/save")
    ...     list(manifest.read(paths["train"]))
    ['train-00000-both']
    """
    if skip_prep:
        return tables.skipped(manifest.paths_in(save_folder))
    folder = Path(check_folder(data_folder, "of the scenes"))
    files = {split: folder / f"{split}.json" for split in SPLITS}
    if not any(path.is_file() for path in files.values()):
        return _prepare_corpus(folder, save_folder)
    lacking = [path.name for path in files.values() if not path.is_file()]
    if lacking:
        raise ManifestError(
            f"{folder}: no {lacking[0]} beside the other manifests. Mix that set too: "
            f"s3prl-sb mix {folder} continues with the same settings."
        )
    arguments = {
        "version": VERSION,
        "data_folder": str(folder),
        "sha256": {split: manifest.digest(path) for split, path in files.items()},
    }
    if paths := manifest.finished(save_folder, arguments):
        return paths
    splits = {split: scenes.read_scenes(str(path)) for split, path in files.items()}
    scene_checks.check_kinds(
        splits, {split: str(path) for split, path in files.items()}
    )
    return manifest.finish(splits, save_folder, arguments, required=())


def _prepare_corpus(folder, save_folder):
    """Writes the manifests of recordings, DESED or AMI."""
    inside = os.path.join(save_folder, "corpus")  # its own manifests
    if any(folder.glob("**/metadata/validation/validation.tsv")):
        paths, kind, words = desed.prepare_desed(str(folder), inside), "events", None
    elif scene_recordings.has_annotation(folder) or not any(folder.rglob("*.rttm")):
        return scene_recordings.prepare(folder, save_folder)
    else:
        paths, kind = ami.prepare_ami_sd(str(folder), inside), "segments"
        words = ami_words.read_ami_words(folder)
    arguments = {
        "version": VERSION,
        "data_folder": str(folder),
        "sha256": {split: manifest.digest(path) for split, path in paths.items()},
        "words": words and digest(words),
    }
    if finished := manifest.finished(save_folder, arguments):
        return finished
    splits = {}
    for split, path in paths.items():
        records = splits[split] = {}
        for name, record in manifest.read(path).items():
            content = {kind: record["segments"]}
            if words is not None:
                content["words"] = _words_of(record["speakers"], words.get(name), name)
            records[name] = scenes.scene_record(
                record["wav"], record["duration"], regions=record["regions"], **content
            )
        scene_checks.check_scenes(records, dict.fromkeys(records, path))
    return manifest.finish(splits, save_folder, arguments, required=())


def _words_of(people, words, name):
    """Returns the words of the speakers of a meeting; None: they are not annotated."""
    if words is None:
        return None
    others = {word[0] for word in words} - set(people)
    if people and len(others) == len({word[0] for word in words}) > 0:
        raise ManifestError(
            f"'{name}' has words of {few(sorted(others))}, but turns of "
            f"{few(people)}. Take RTTM files with AMI's global names."
        )
    return [word for word in words if word[0] in people]


def prepare_scene_tables(
    train_csv: str,
    valid_csv: str,
    test_csv: str,
    save_folder: str,
    skip_prep: bool = False,
) -> dict[str, str]:
    """Turns three tables into ``train.json``, ``valid.json`` and ``test.json``.

    Arguments
    ---------
    train_csv, valid_csv, test_csv : str
        CSV, TSV or JSON files, see the top of this module.
    save_folder : str
        Folder for the manifests. A finished preparation of the same tables is kept, if
        the audio has not changed since.
    skip_prep : bool
        Use the manifests in ``save_folder`` as they are.

    Returns
    -------
    dict
        ``{"train": path, "valid": path, "test": path}``; records as in
        :mod:`s3prl_sb.dataio.scenes`.

    Raises
    ------
    ManifestError
        With the file, the line and the fix.

    Example
    -------
    >>> import tempfile, numpy, soundfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     soundfile.write(folder + "/a.wav", numpy.zeros(16000), 16000)
    ...     lines = [
    ...         "record_id,wav,type,label,start,stop,speaker",
    ...         "a,a.wav,word,HI,0.1,0.4,ann",
    ...         "a,a.wav,event,running water,0.5,1.0,",
    ...     ]
    ...     table = Path(folder, "my.csv")
    ...     _ = table.write_text("\\n".join(lines))
    ...     paths = prepare_scene_tables(table, table, table, folder + "/save")
    ...     record = manifest.read(paths["test"])["a"]
    >>> record["segments"], record["events"]
    ([['ann', 0.1, 0.4]], [['running water', 0.5, 1.0]])
    """
    if skip_prep:
        return tables.skipped(manifest.paths_in(save_folder))
    files = tables.by_split(train_csv, valid_csv, test_csv, save_folder)
    arguments = {"version": VERSION, **tables.identity(files)}
    if paths := tables.finished(save_folder, arguments):
        return paths
    splits = {split: load_scene_table(path) for split, path in files.items()}
    scene_checks.check_kinds(splits, files)
    tables.warn_of_leaks(splits, files)
    return manifest.finish(splits, save_folder, arguments, required=())


def load_scene_table(path: str) -> dict[str, dict[str, Any]]:
    """Reads a table of scenes.

    Arguments
    ---------
    path : str
        CSV, TSV or JSON file, see the top of this module.

    Returns
    -------
    dict
        ``{recording: record}``.

    Raises
    ------
    ManifestError
        With the file, the line and the fix.
    """
    if suffix(path) == ".json":
        return scenes.read_scenes(path)
    rows = csv_cells(path, needed=COLUMNS)
    if not rows:
        raise ManifestError(f"{path}: the table is empty. Add a row or more.")
    times = time_columns(rows[0][1], f"{path}:1")
    audio: dict[str, tuple[str, str]] = {}
    entries: dict[str, dict[str, list]] = {}
    used = {row["type"] for _, row in rows} - {""}
    for line, row in rows:
        place = f"{path}:{line}"
        name = _recording(row, audio, path, place)
        kinds = entries.setdefault(name, {kind: [] for kind in used})
        if row["type"]:
            kinds[row["type"]].append(_entry(row, times, place))
        elif row["label"]:
            raise ManifestError(
                f"{place}: a label without a type. There are: {', '.join(TYPES)}."
            )
    lengths = headers.durations(
        [wav for wav, _ in audio.values()], [place for _, place in audio.values()]
    )
    records = {}
    for (name, (wav, place)), length in zip(audio.items(), lengths):
        speaker, word, event = (entries[name].get(kind) for kind in TYPES)
        scene_checks.check_ends(name, length, entries[name], place)
        records[name] = scenes.scene_record(wav, length, speaker, word, event)
    scene_checks.check_scenes(
        records, {name: place for name, (_, place) in audio.items()}
    )
    return records


def _recording(row, audio, path, place):
    """Returns the recording of a row; adds its file to ``audio``."""
    name, wav = row["record_id"], row["wav"]
    if not name or not wav:
        raise ManifestError(f"{place}: no record_id or no wav. Fill them in.")
    wav = locations.in_folder(wav, os.path.dirname(os.path.abspath(path)))
    other, first = audio.setdefault(name, (wav, place))
    if other != wav:
        raise ManifestError(
            f"{place}: '{name}' is {wav} here, but {other} in {first}. Give every "
            "recording its own record_id."
        )
    return name


def _entry(row, times, place):
    """Returns the entry of a row: a turn, a word or an event."""
    last = times.get("stop") or times.get("duration")
    if last is None or "start" not in times:
        raise ManifestError(
            f"{place.rpartition(':')[0]}:1: no columns start and stop. Add them."
        )
    for column in (times["start"], last):
        if column.unit == "samples":
            raise ManifestError(
                f"{place}: {column.name} is in samples. Give start and stop in seconds."
            )
    start, stop = (read_time(row[c.name], c, place) for c in (times["start"], last))
    if start is None or stop is None or not row["label"]:
        raise ManifestError(f"{place}: no label, start or stop. Fill it in.")
    stop = stop if "stop" in times else round(start + stop, 6)
    if not 0 <= start < stop:
        raise ManifestError(
            f"{place}: from {start} to {stop} s. Times are 0 <= start < stop."
        )
    if row["type"] not in TYPES:
        raise ManifestError(
            f"{place}: type {excerpt(row['type'])}. There are: {', '.join(TYPES)}."
        )
    if row["type"] != "word":
        return row["label"], start, stop
    if not row.get("speaker"):
        raise ManifestError(f"{place}: a word without a speaker. Fill it in.")
    return row["speaker"], start, stop, row["label"]
