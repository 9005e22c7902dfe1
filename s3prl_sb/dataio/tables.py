"""Custom data: conversion of CSV, TSV or JSON tables to manifests.

Every recipe accepts tables instead of its corpus; the ``wav.scp`` or ``feats.scp`` of a
data folder of Kaldi is one, see :mod:`s3prl_sb.dataio.kaldi_folders`. Columns (CSV) or
keys (JSON):

=============================  ==================================================
``wav`` or ``wav_path``        the audio file; relative paths start at the folder
                               of the table, ``{data_root}`` or ``$data_root`` is
                               a placeholder for another one. Also a URL, or a member
                               of a tar: :mod:`s3prl_sb.identity.locations`
``id``                         optional in a CSV; default: path and segment
``start`` and ``stop``         optional, seconds; empty, NaN or null means the start
                               or end of the file. Other names and samples:
                               :mod:`s3prl_sb.dataio.segment_times`
``duration``                   optional, seconds of the utterance; next to a start it
                               replaces the stop, otherwise it must agree
any other, such as ``label``   kept; labels as text. Names of computed items, such as
                               ``sig`` or ``tokens``, are not allowed. Names of further
                               audio: :mod:`s3prl_sb.dataio.audio_columns`
=============================  ==================================================

Durations are read from the audio files; a duration in the table must agree with them
and with its start and stop. Labels are converted to text: 1 in a JSON file is the
class "1", as in a CSV.
"""

import itertools
import logging
import os
from collections.abc import Sequence

from s3prl_sb.audio.headers import audio_info, durations
from s3prl_sb.dataio import kaldi_folders, manifest
from s3prl_sb.dataio.manifest import SPLITS
from s3prl_sb.dataio.rows import (
    ALIASES,
    also,
    check_id,
    in_folder,
    line_file,
    places,
    rows,
    suffix,
)
from s3prl_sb.dataio.segment_times import (
    check_alike,
    check_labels,
    read_time,
    settle,
    time_columns,
)
from s3prl_sb.dataio.values import check_values, make_texts
from s3prl_sb.errors import ManifestError
from s3prl_sb.identity import further_audio, locations, presence
from s3prl_sb.terminal.messages import few

logger = logging.getLogger(__name__)

VERSION = "tables/3"  # a new version invalidates finished preparations


def prepare_tables(
    train_csv: str,
    valid_csv: str,
    test_csv: str,
    save_folder: str,
    required: str | Sequence[str] = ("label",),
    categories: str | Sequence[str] = ("label",),
    data_root: str | None = None,
    skip_prep: bool = False,
) -> dict[str, str]:
    """Converts three tables to ``train.json``, ``valid.json`` and ``test.json``.

    Arguments
    ---------
    train_csv, valid_csv, test_csv : str
        CSV, TSV or JSON files in the format of this module.
    save_folder : str
        Folder of the manifests. A finished preparation of the same tables is reused
        if the audio files have not changed since.
    required : tuple of str
        Labels that every record needs.
    categories : tuple of str
        Labels in ``required`` that are classes: the training set must have all
        classes of validation and test. Omit them for tasks whose labels are texts.
    data_root : str, optional
        Folder of relative audio paths. Default: the folder of each table.
    skip_prep : bool
        Use the existing manifests in ``save_folder``.

    Returns
    -------
    dict
        ``{"train": path, "valid": path, "test": path}``.

    Raises
    ------
    ManifestError
        Names the file, the line, and the way out.

    Example
    -------
    >>> import tempfile, numpy, soundfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     soundfile.write(folder + "/a.wav", numpy.zeros(8000), 16000)
    ...     for name in SPLITS:
    ...         path = Path(folder, name + ".csv")
    ...         _ = path.write_text(f"id,wav,label\\n{name}1,a.wav,yes\\n")
    ...     tables = [f"{folder}/{name}.csv" for name in SPLITS]
    ...     paths = prepare_tables(*tables, folder + "/save")
    ...     sorted(manifest.read(paths["test"]))
    ['test1']
    """
    if skip_prep:
        return skipped(manifest.paths_in(save_folder))
    required = (required,) if isinstance(required, str) else required
    categories = (categories,) if isinstance(categories, str) else categories
    tables = by_split(train_csv, valid_csv, test_csv, save_folder)
    arguments = {
        "version": VERSION,
        **identity(tables),
        "required": list(required),
        "categories": list(categories),
        "data_root": data_root and os.path.abspath(data_root),
    }
    if paths := finished(save_folder, arguments):
        return paths
    splits = {n: load_table(t, required, data_root) for n, t in tables.items()}
    for key in categories:
        if key in required:
            check_classes(splits, key, lambda split: places(tables[split]))
            warn_of_one_class(splits["train"], key, tables["train"])
    warn_of_leaks(splits, tables)
    return manifest.finish(splits, save_folder, arguments, required)


def by_split(train_csv, valid_csv, test_csv, save_folder):
    """Returns the three tables by split; a missing or invalid one is an error."""
    tables = dict(zip(SPLITS, (train_csv, valid_csv, test_csv)))
    lacking = [f"{split}_csv" for split, table in tables.items() if table is None]
    if lacking:
        raise ManifestError(
            f"{' and '.join(lacking)} is not set: give all three tables, "
            f"--{lacking[0]} FILE."
        )
    for table in tables.values():
        check_table(table, manifest.paths_in(save_folder))
    return {split: str(table) for split, table in tables.items()}


def check_table(table, outputs):
    """Raises an error for a table in an unknown format, or one of ``outputs``.

    ``outputs`` are ``{split: path}`` of the manifests to write.
    """
    suffix(table)
    if os.path.realpath(table) in map(os.path.realpath, outputs.values()):
        raise ManifestError(
            f"{table}: would be overwritten. Choose another save_folder."
        )


def identity(tables):
    """Returns the paths and hashes of tables, for the stamp of a preparation."""
    return {
        "tables": {name: os.path.abspath(path) for name, path in tables.items()},
        "sha256": {name: _digest(path) for name, path in tables.items()},
    }


def _digest(path):
    is_list = os.path.splitext(path)[1] == kaldi_folders.ENDING
    return kaldi_folders.digest(path) if is_list else manifest.digest(path)


def skipped(outputs):
    """Returns ``outputs`` (``{split: path}``); an error if they do not exist."""
    missing = [path for path in outputs.values() if not os.path.isfile(path)]
    if missing:
        raise ManifestError(f"{missing[0]}: absent. Prepare with skip_prep: False.")
    return outputs


def finished(save_folder, arguments, further=()):
    """Returns the manifests like ``manifest.finished``, unless the audio has changed.

    An edited recording may have another duration while its table is unchanged. This
    check is not made for corpora, which do not change and have many files. ``further``
    are the keys of further audio.
    """
    paths = manifest.finished(save_folder, arguments)
    if not paths:
        return None
    prepared = os.stat(os.path.join(save_folder, manifest.STAMP)).st_mtime
    records = [r for path in paths.values() for r in manifest.read(path).values()]
    names = (n for r in records for n in (r["wav"], *further_audio.names(r, further)))
    changed = presence.changed(names, prepared)
    if changed is not None:
        logger.info("%s: changed since the preparation, which is done again", changed)
        return None
    return paths


def check_classes(splits, key="label", places=lambda split: {}):
    """Checks that the training set has every class of validation and test.

    Arguments
    ---------
    splits : dict
        ``{"train": records, "valid": records, "test": records}``.
    key : str
        Label that holds the class.
    places : callable
        Returns ``{id: "file:line"}`` of a split; only called for an error.

    Raises
    ------
    ManifestError
        With the unseen labels and their places.
    """
    seen = {str(record[key]) for record in splits["train"].values()}
    faults = []
    for split in SPLITS[1:]:
        labels = {name: record[key] for name, record in splits[split].items()}
        unseen = {
            name: label for name, label in labels.items() if str(label) not in seen
        }
        named = places(split) if unseen else {}
        faults += [
            f"{named.get(name, split)}: '{name}': {key} '{label}' is unseen in training"
            for name, label in unseen.items()
        ]
    if faults:
        way_out = (
            f"Add it to training or drop it here. Training has {few(sorted(seen))}."
        )
        raise ManifestError.listing(faults, way_out)


def warn_of_one_class(records, key, source):
    """Logs a warning if all training records, read from ``source``, have one class."""
    classes = {record[key] for record in records.values()}
    if len(classes) == 1:
        message = "%s: all %d records have the %s '%s'. Is it the right column?"
        logger.warning(message, source, len(records), key, *classes)


def warn_of_leaks(splits, sources):
    """Logs a warning for audio that is in two splits.

    ``splits`` are ``{split: {id: record}}``, ``sources`` their files.
    """
    for first, second in itertools.combinations(splits, 2):
        audio = {(r["wav"], r["start"], r["stop"]): n for n, r in splits[first].items()}
        leaks = [
            (audio[part], name)
            for name, record in splits[second].items()
            if (part := (record["wav"], record["start"], record["stop"])) in audio
        ]
        if leaks:
            message = "%s and %s share %d recordings, such as '%s' and '%s': a leak?"
            names = sources[first], sources[second]
            logger.warning(message, *names, len(leaks), *leaks[0])


def load_table(path, required=(), data_root=None):
    """Reads a custom table into records: ``.csv``, ``.tsv`` or ``.json``.

    Arguments
    ---------
    path : str
        The table in UTF-8, in the format of this module.
    required : tuple of str
        Labels that every record needs.
    data_root : str, optional
        Folder of relative audio paths. Default: the folder of the table.

    Returns
    -------
    dict
        ``{id: record}``, validated, for ``manifest.write``.

    Raises
    ------
    ManifestError
        With the file and the line.

    Example
    -------
    >>> import tempfile, numpy, soundfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     soundfile.write(folder + "/a.wav", numpy.zeros(8000), 16000)
    ...     _ = Path(folder, "my.csv").write_text("wav,label\\na.wav,yes\\n")
    ...     records = load_table(folder + "/my.csv")
    >>> records["a"]["duration"], records["a"]["label"], records["a"]["stop"]
    (0.5, 'yes', None)
    """
    table_rows = rows(path)
    is_kaldi = suffix(path) == kaldi_folders.ENDING
    overshoot = kaldi_folders.OVERSHOOT if is_kaldi else manifest.TOLERANCE
    return records_of(line_file(path), table_rows, required, data_root, overshoot)


def records_of(path, table_rows, required, data_root, overshoot=manifest.TOLERANCE):
    """Converts rows to validated records with absolute paths, numbers and durations.

    ``table_rows`` are the rows of :func:`s3prl_sb.dataio.rows.rows` from the file
    ``path``; ``overshoot`` is an argument of
    :func:`~s3prl_sb.dataio.segment_times.settle`, the others are of :func:`load_table`.
    """
    folder = os.path.abspath(data_root or os.path.dirname(path))
    dicts = [row for _, _, row in table_rows if isinstance(row, dict)]
    keys = {key: 0 for row in dicts for key in row}
    if not table_rows:
        raise ManifestError(f"{path}: has no rows. Add one or more.")
    times = time_columns(keys, f"{path}:1")
    check_labels(times, required, f"{path}:1")
    check_alike(dicts, times, {*required, *ALIASES}, f"{path}:1")
    keys = {ALIASES.get(key, key) for key in keys}
    # A required label may have the name of an alias.
    renamed = {k: ALIASES[k] for k in required if ALIASES.get(k, k) in keys - {k}}
    keys |= renamed.keys()
    absent = [also(key) for key in required if key not in keys]
    if absent:
        raise ManifestError(
            f"{path}:1: no column {', '.join(absent)}; found {', '.join(sorted(keys))}."
        )
    records, spots, lines = {}, {}, {}
    for name, line, row in manifest.unique(table_rows, path):
        lines[name] = line
        spots[name] = f"{path}:{line}"
        check_id(name, spots[name])
        if not isinstance(row, dict):
            raise ManifestError(f"{spots[name]}: '{name}': {row!r} is not an object")
        record = {ALIASES.get(key, key): value for key, value in row.items()}
        for key, column in renamed.items():
            record.setdefault(key, record.get(column))
        if record.get("id") == name:
            del record["id"]  # redundant
        if not isinstance(record.get("wav"), str) or not record["wav"]:
            raise ManifestError(
                f"{spots[name]}: '{name}': missing key wav (found {', '.join(row)}). "
                "Give the path of an audio file."
            )
        wav = in_folder(record["wav"], folder)
        record["wav"] = locations.in_folder(wav, folder)
        cells = {key: record.pop(times[key].name, None) for key in times}
        for key in ("duration", "start", "stop"):
            record[key] = None
            if key in times:
                record[key] = read_time(cells[key], times[key], spots[name])
        check_values(name, record, spots[name])
        records[name] = record
    make_texts(records, required, lambda: spots)
    files = {}  # each file once, for all of its segments
    for name, record in records.items():
        files.setdefault(record["wav"], spots[name])
    lengths = dict(zip(files, durations(list(files), list(files.values()))))
    counted = [key for key, column in times.items() if column.unit == "samples"]
    rates = {wav: audio_info(wav)[0] for wav in files} if counted else {}
    for name, record in records.items():
        for key in counted:
            if record[key] is not None:
                record[key] = round(record[key] / rates[record["wav"]], 6)
        settle(record, lengths[record["wav"]], f"{spots[name]}: '{name}'", overshoot)
    manifest.validate(records, path, required, lines=lines)
    warn_of_contradictions(records, required, spots)
    return records


def warn_of_contradictions(records, required, spots):
    """Logs a warning for rows with equal audio and different labels.

    ``required`` are the labels; if it is empty, all keys except times are compared.
    """
    first, faults = {}, []
    for name, record in records.items():
        part = record["wav"], record["start"], record["stop"]
        earlier = first.setdefault(part, name)
        keys = required or record.keys() - set(manifest.KEYS)
        if any(record[key] != records[earlier][key] for key in keys):
            faults.append((earlier, name))
    if faults:
        logger.warning(
            "%s: '%s' is the same audio as '%s' in %s, with other labels. Such rows: "
            "%d. Are there columns for their times?",
            spots[faults[0][1]],
            faults[0][1],
            faults[0][0],
            spots[faults[0][0]],
            len(faults),
        )
