"""User tables of recordings with labels in time, such as speakers: a row is a segment.

============================  ===================================================
``record_id``                 the recording's name, without spaces
``wav`` or ``wav_path``       its audio file; a relative path starts at the
                              table's folder
``speaker`` or ``spk``        speaker; empty, with empty times, in the row of a
                              recording without speech. Tasks of other labels in
                              time, such as phones or sounds, have ``label``
                              instead, which may have spaces between words
``start`` and ``stop``        seconds, in the recording; other names, and samples:
                              :mod:`s3prl_sb.dataio.segment_times`
``duration``                  of the segment, if there is no ``stop``; else not read
                              (in S3PRL's tables it is that of the recording)
``label_file``                instead of the label and its times: a TextGrid or
                              another file with the segments of the recording, see
                              :mod:`s3prl_sb.corpora.labelled_recordings`
any other                     not read (S3PRL's ``utt_id``)
============================  ===================================================

In JSON a segment is ``{"utt_id": {"record_id": …, "wav": …, …}}``, its times null
where there is no speech. A manifest of recordings, as a preparation writes it and as it
is in a pack, is a table too.

Authors
 * The s3prl_sb developers, 2026
"""

import math
import os

from s3prl_sb.audio import headers
from s3prl_sb.corpora import labelled_recordings
from s3prl_sb.corpora.recordings import check_name, check_speech, make_records
from s3prl_sb.dataio import manifest, tables
from s3prl_sb.dataio.label_files import OVERLAP
from s3prl_sb.dataio.manifest import ManifestError
from s3prl_sb.dataio.rows import ALIASES, rows
from s3prl_sb.dataio.segment_times import check_alike, read_time, time_columns
from s3prl_sb.dataio.values import check_values
from s3prl_sb.identity import locations

VERSION = "segment_tables/3"  # a change makes finished preparations stale
COLUMNS = ("record_id", "wav")
PREPARED = {*manifest.KEYS, "segments", "regions"}  # of a prepared manifest


def prepare_segment_tables(
    train_csv: str,
    valid_csv: str,
    test_csv: str,
    save_folder: str,
    skip_prep: bool = False,
    label: str = "speaker",
    overlaps: bool = True,
) -> dict[str, str]:
    """Turns three tables into ``train.json``, ``valid.json`` and ``test.json``.

    Arguments
    ---------
    train_csv, valid_csv, test_csv : str
        CSV, TSV or JSON files, see the top of this module.
    save_folder : str
        Folder for the manifests. A finished preparation of the same tables is kept, if
        the files of audio and of labels have not changed since.
    skip_prep : bool
        Use the manifests in ``save_folder`` as they are.
    label : str
        Column of the labels.
    overlaps : bool
        Whether a recording may have several labels at a time.

    Returns
    -------
    dict
        ``{"train": path, "valid": path, "test": path}``; records as in
        :mod:`s3prl_sb.corpora.recordings`.

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
    ...     table = Path(folder, "my.csv")
    ...     head = "record_id,wav_path,speaker,start_sec,end_sec"
    ...     _ = table.write_text(head + "\\na,a.wav,ann,0,0.4\\na,a.wav,bob,0.3,0.5\\n")
    ...     paths = prepare_segment_tables(table, table, table, folder + "/save")
    ...     manifest.read(paths["test"])["a"]["segments"]
    [['ann', 0.0, 0.4], ['bob', 0.3, 0.5]]
    """
    if skip_prep:
        return tables.skipped(manifest.paths_in(save_folder))
    files = tables.by_split(train_csv, valid_csv, test_csv, save_folder)
    arguments = {"version": VERSION, "label": label, **tables.identity(files)}
    if labels := labelled_recordings.digests(files.values()):
        arguments["label_files"] = labels
    if paths := tables.finished(save_folder, arguments):
        return paths
    records = {
        name: load_segment_table(path, label, overlaps) for name, path in files.items()
    }
    check_speech(records, files, label)
    tables.warn_of_leaks(records, files)
    return manifest.finish(records, save_folder, arguments, required=())


def load_segment_table(path, label="speaker", overlaps=True):
    """Reads a table with the column ``label`` as ``{recording: record}``; ``overlaps``
    as for :func:`prepare_segment_tables`."""
    folder = os.path.dirname(os.path.abspath(path))
    audio, segments, table, rates = {}, [], rows(path), {}
    dicts = [row for _, _, row in table if isinstance(row, dict)]
    if table and sum(PREPARED <= row.keys() for row in dicts) == len(table):
        return _of_manifest(table, path, label, overlaps)
    in_files = any(labelled_recordings.COLUMN in row for row in dicts)
    columns = (*COLUMNS, labelled_recordings.COLUMN if in_files else label)
    times = {} if in_files else _times(table, path, columns)
    for _, line, row in table:
        place = f"{path}:{line}"
        row = _checked(row, columns, None if in_files else times, place)
        name = row["record_id"]
        wav = locations.in_folder(row["wav"], folder)
        other, first = audio.setdefault(name, (wav, place))
        if other != wav:
            raise ManifestError(
                f"{place}: '{name}' is {wav} here, but {other} in {first}. Give every "
                "recording its own record_id."
            )
        if not in_files:
            segments += _segment(row, label, times, wav, rates, place)
            continue
        if first != place:
            raise ManifestError(
                f"{place}: '{name}' again, first {first}. Give it one row."
            )
        segments += labelled_recordings.segments_of(row, name, wav, folder, place)
    if not audio:
        raise ManifestError(f"{path}: the table is empty. Add a row or more.")
    if not overlaps:
        _check_overlaps(segments)
    return make_records(audio, segments, label=label)


def _of_manifest(table, path, label, overlaps):
    """Returns the records in a manifest of recordings, of any preparation."""
    folder = os.path.dirname(os.path.abspath(path))
    audio, segments, regions = {}, [], {}
    for name, line, row in table:
        place = f"{path}:{line}"
        try:
            audio[name] = locations.in_folder(row["wav"], folder), place
            spans = [(str(who), float(a), float(b)) for who, a, b in row["segments"]]
            if row["regions"] is not None:
                regions[name] = [(float(a), float(b)) for a, b in row["regions"]]
        except (TypeError, ValueError) as error:
            raise ManifestError(
                f"{place}: '{name}': wav is a path, segments are [{label}, start, "
                "stop], regions [start, stop] or null. Prepare the manifest anew."
            ) from error
        segments += [(name, *span, place) for span in spans]
    if not overlaps:
        _check_overlaps(segments)
    return make_records(audio, segments, regions or None, label)


def _checked(row, columns, times, place):
    """Returns a row as text, under the standard names of its columns; ``times`` is None
    if the table has none."""
    if not isinstance(row, dict):
        raise ManifestError(f"{place}: {row!r} is not an object")
    row = {ALIASES.get(key, key): row[key] for key in row}
    row = {k: "" if value is None else str(value) for k, value in row.items()}
    missing = [column for column in columns if column not in row]
    needed = list(columns)
    if times is not None:
        missing += ["start"] * ("start" not in times) + ["stop"] * (len(times) < 2)
        needed += ["start", "stop"]
    if missing:
        raise ManifestError(
            f"{place.rpartition(':')[0]}:1: no column {', '.join(missing)}; found "
            f"{', '.join(row)}. Needed: {', '.join(needed)}."
        )
    name = row["record_id"]
    check_values(name, row, place)
    if not name:
        raise ManifestError(f"{place}: no record_id")
    checked = ["record_id"] * (columns[-1] == "speaker")  # others: with their audio
    checked += [columns[-1]] * (times is not None)
    for key in checked:
        if row[key]:
            check_name(row[key], key, place)
    if not row["wav"]:
        raise ManifestError(f"{place}: '{name}': no path of an audio file")
    return row


def _segment(row, label, times, wav, rates, place):
    """Returns the segment of a row in a list, which is empty for a silent recording."""
    name, speaker = row["record_id"], row[label]
    start, stop = (
        _seconds(row[column.name], column, wav, rates, place)
        for column in times.values()
    )
    if not speaker and start is stop is None:
        return []
    if not speaker:
        raise ManifestError(f"{place}: '{name}': a segment without a {label}")
    for column, value in zip(times.values(), (start, stop)):
        if value is None or not 0 <= value < math.inf:
            raise ManifestError(
                f"{place}: {column.name} {row[column.name]!r} is no time. Give "
                f"{column.unit}, from 0 on."
            )
    if "duration" in times:
        stop = round(start + stop, 6)
    return [(name, speaker, start, stop, place)]


def _check_overlaps(segments):
    """Checks that a recording has one label at a time."""
    ordered = sorted(segments, key=lambda segment: (segment[0], segment[2]))
    for before, after in zip(ordered, ordered[1:]):
        name, label, _, stop, first = before
        other, second, start, _, place = after
        if name == other and start < stop - OVERLAP:
            raise ManifestError(
                f"{place}: '{name}': '{second}' from {start} s, and '{label}' is until "
                f"{stop} s ({first}): a frame has one label. Correct the times."
            )


def _times(table, path, columns):
    """Returns the columns of the start, and of the stop or else the duration."""
    dicts = [row for _, _, row in table if isinstance(row, dict)]
    times = time_columns({key: None for row in dicts for key in row}, f"{path}:1")
    check_alike(dicts, times, (*columns, *ALIASES), f"{path}:1")
    last = "duration" if "duration" in times and "stop" not in times else "stop"
    return {key: times[key] for key in ("start", last) if key in times}


def _seconds(value, column, wav, rates, place):
    """Returns a cell in seconds; ``rates`` caches those of the audio files."""
    time = read_time(value, column, place)
    if time is not None and column.unit == "samples":
        if wav not in rates:
            rates[wav] = headers.audio_info(wav)[0]
        time = round(time / rates[wav], 6)
    return time
