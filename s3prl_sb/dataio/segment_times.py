"""Columns of a table with the limits of an utterance in its audio file.

Their names vary: start and stop, begin and end, onset and offset, start_time and
end_time, start and duration, start_sample and num_samples … A name is parsed into its
meaning (start, stop or duration) and its unit: seconds by default, milliseconds, or
samples of the file.

``offset`` is the stop next to ``onset`` and the start next to ``duration``, as in NeMo;
``frame_offset`` and ``num_frames`` are in samples, as in torchaudio. Ambiguous columns
are an error: with a wrong guess, training would use other segments, unnoticed.

Authors
 * The s3prl_sb developers, 2026
"""

import re
from typing import NamedTuple

from s3prl_sb.dataio import manifest
from s3prl_sb.errors import ManifestError
from s3prl_sb.terminal.messages import excerpt

DURATION_TOLERANCE = 0.1  # seconds of tolerated error in a duration
ROUNDED = 0.01  # seconds by which start plus duration may exceed the file
NO_TIME = ("", "nan", "none", "null")
WORDS = {  # meanings
    "start": "start begin beginning beg onset xmin tmin",
    "stop": "stop end ending finish xmax tmax",
    "offset": "offset",
    "duration": "duration dur",
    "length": "length len",
}
MEANINGS = {word: meaning for meaning, ws in WORDS.items() for word in ws.split()}
COUNTS = r"(?:num|n|nb|number|numberof|total)(?P<counted>samples|frames)"
SCALES = {"seconds": 1.0, "milliseconds": 1e-3}
UNITS = {
    "seconds": "seconds second secs sec s",
    "milliseconds": "milliseconds millisecond millis msecs msec ms",
    "samples": "samples sample",
    "frames": "frames frame",
}
UNIT_OF = {word: unit for unit, words in UNITS.items() for word in words.split()}
NAME = re.compile(
    "(?:segment|seg|utterance|utt|audio|clip|speech|wav)?(?:time|t)?"
    "(?P<before>samples?|frames?)?"
    f"(?P<meaning>{'|'.join(sorted(MEANINGS, key=len, reverse=True))})"
    "(?:time|t|position|pos|at|in)?"
    f"(?P<unit>{'|'.join(sorted(UNIT_OF, key=len, reverse=True))})?"
)
PAIRS = ("from", "to", "t0", "t1", "ts", "te")  # times if they are numbers
#: Names of columns with both times in one cell.
SPANS = ("segment", "segments", "interval", "span", "timestamp", "timestamps")
SPAN = re.compile(r"[\[(]?\s*\d[\d.]*\s*[-–,; ]\s*\d[\d.]*\s*[\])]?")
#: Words that make a column of numbers look like times.
ALIKE = {word for word in MEANINGS if MEANINGS[word] not in ("duration", "length")}
FIX = (
    "Name the columns start and stop (or duration) if they are in seconds, "
    "start_sample and stop_sample (or num_samples) if in samples of the file; take "
    "others out."
)


class Column(NamedTuple):
    """A column, the unit of its numbers, and the word for its meaning."""

    name: str
    unit: str
    word: str


def read_name(name):
    """Parses the name of a column.

    Arguments
    ---------
    name : str
        Name of the column in the table.

    Returns
    -------
    tuple of (str, Column) or None
        "start", "stop", "offset", "duration" or "length", and the column; None if the
        name does not denote a time.

    Example
    -------
    >>> read_name("Start Time (ms)")
    ('start', Column(name='Start Time (ms)', unit='milliseconds', word='start'))
    >>> read_name("num_samples")[1].unit, read_name("speaker")
    ('samples', None)
    """
    text = "".join(_words(name))
    counted = re.fullmatch(COUNTS, text)
    if counted:
        return "duration", Column(name, counted["counted"], "number")
    match = NAME.fullmatch(text)
    if not match or (match["before"] and match["unit"]):
        return None
    meaning = MEANINGS[match["meaning"]]
    unit = UNIT_OF.get(match["before"] or match["unit"] or "")
    if unit is None:
        unit = "unknown" if meaning == "length" else "seconds"
    return meaning, Column(name, unit, match["meaning"])


def time_columns(names, place):
    """Finds the columns of the start, the stop and the duration.

    Arguments
    ---------
    names : iterable of str
        Names of the columns.
    place : str
        "file:line" of the header, for errors.

    Returns
    -------
    dict
        "start", "stop" and "duration", if they exist, to Column.

    Raises
    ------
    ManifestError
        If columns are contradictory or ambiguous.

    Example
    -------
    >>> {k: c.name for k, c in time_columns(["onset", "offset"], "a.csv:1").items()}
    {'start': 'onset', 'stop': 'offset'}
    >>> {k: c.name for k, c in time_columns(["offset", "duration"], "a.csv:1").items()}
    {'start': 'offset', 'duration': 'duration'}
    """
    candidates = {meaning: [] for meaning in WORDS}
    for meaning, column in filter(None, map(read_name, names)):
        candidates[meaning].append(column)
    _place_offset(candidates, place)
    _place_lengths(candidates, place)
    chosen = {}
    for meaning in ("start", "stop", "duration"):
        columns = candidates[meaning]
        if meaning == "duration":  # the same in seconds and in samples
            columns = [c for c in columns if c.unit == "seconds"] or columns
        if len(columns) > 1:
            both = " and ".join(c.name for c in columns)
            raise ManifestError(
                f"{place}: {both} both tell the {meaning} of a segment. Keep one of "
                "them."
            )
        if columns:
            chosen[meaning] = columns[0]
    return _in_samples(chosen, place)


def _place_offset(candidates, place):
    """Decides whether an offset is a stop or a start."""
    starts, stops = candidates["start"], candidates["stop"]
    for column in candidates.pop("offset"):
        counted = candidates["duration"] or candidates["length"]
        counted = counted or column.unit in ("samples", "frames")
        if [c.word for c in starts] == ["onset"]:
            stops.append(column)
        elif not (starts or stops) and counted:
            starts.append(column)
        else:
            others = [c.name for c in starts + stops]
            beside = f" beside {', '.join(others)}" if others else ""
            raise ManifestError(
                f"{place}: {column.name}{beside} may be where a segment starts or "
                f"where it stops. {FIX}"
            )


def _place_lengths(candidates, place):
    """Ignores a length without a unit, unless it is needed: then it is an error."""
    starts, durations = candidates["start"], candidates["duration"]
    for column in candidates.pop("length"):
        if column.unit != "unknown":
            durations.append(column)
        elif starts and not candidates["stop"] and not durations:
            raise ManifestError(
                f"{place}: {column.name} beside {starts[0].name} may be in "
                f"seconds or in samples. {FIX}"
            )


def _in_samples(chosen, place):
    """Interprets torchaudio's frames as samples; other frames are an error."""
    start, framed = chosen.get("start"), {}
    for meaning, column in chosen.items():
        if column.unit == "frames":
            framed[meaning] = column
    redundant = {"start", "stop"} <= chosen.keys() or set(chosen) == {"duration"}
    if redundant and set(framed) == {"duration"}:
        del chosen["duration"]  # perhaps feature frames; no segment depends on it
        return chosen
    if framed and not (start in framed.values() and start.word == "offset"):
        names = ", ".join(column.name for column in framed.values())
        raise ManifestError(
            f"{place}: {names}: how long a frame is, is not said. {FIX}"
        )
    return {
        meaning: column._replace(unit="samples") if meaning in framed else column
        for meaning, column in chosen.items()
    }


def check_labels(times, labels, place):
    """Raises an error for a label column with the name of a time.

    Arguments
    ---------
    times : dict
        Result of :func:`time_columns`.
    labels : iterable of str
        Label columns of the task.
    place : str
        "file:line", for the error.

    Raises
    ------
    ManifestError
        With the name of the column.

    Example
    -------
    >>> check_labels(time_columns(["stop"], "a.csv:1"), ["stop"], "a.csv:1")
    Traceback (most recent call last):
    ...
    s3prl_sb.dataio.manifest.ManifestError: a.csv:1: stop is to be learned, and …
    """
    names = {column.name for column in times.values()} | set(manifest.KEYS)
    for label in labels:
        if label in names - {"wav"}:
            raise ManifestError(
                f"{place}: {label} is to be learned, and a column of that name tells "
                "where an utterance is in its file. Rename the column."
            )


def check_alike(rows, times, labels, place):
    """Raises an error for columns that look like times if no times were recognized.

    Arguments
    ---------
    rows : list of dict
        Rows of the table.
    times : collection of str
        Recognized columns, see :func:`time_columns`.
    labels : collection of str
        Label columns, which are not times.
    place : str
        "file:line", for the error.

    Raises
    ------
    ManifestError
        With the names of the columns.
    """
    names = dict.fromkeys(key for row in rows for key in row)
    alike = [n for n in names if n not in labels and _is_alike(n)]
    alike = [name for name in alike if _numbers(rows, name)]
    spans = [n for n in names if n not in labels and str(n).strip().lower() in SPANS]
    alike += [n for n in spans if any(_is_span(row.get(n)) for row in rows)]
    if alike and not times:
        raise ManifestError(
            f"{place}: {', '.join(alike)}: looks like times, and it is not clear "
            f"which. {FIX}"
        )


def _is_alike(name):
    text = str(name).strip().lower()
    return text in PAIRS or (not read_name(name) and bool(ALIKE & set(_words(name))))


def _is_span(value):
    """Returns whether a value consists of two times."""
    if isinstance(value, dict):
        return any(map(read_name, value))
    return SPAN.fullmatch(str(value).strip()) is not None


def _numbers(rows, name):
    """Returns whether a column has numbers other than the flags 0 and 1."""
    cells = {
        str(row[name]).strip().lower() for row in rows if row.get(name) is not None
    }
    cells -= set(NO_TIME)
    return bool(cells - {"0", "1"}) and all(re.fullmatch(r"[\d.:,]+", c) for c in cells)


def _words(name):
    """Splits a name into words in lower case, also startTime and Start-Time."""
    text = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", str(name))
    return re.findall(r"[a-z]+|\d+", text.lower())


def read_time(value, column, place):
    """Reads a cell as a number of the column's unit; None if it is empty.

    Example
    -------
    >>> read_time(" 250 ", Column("start_ms", "milliseconds", "start"), "a.csv:2")
    0.25
    """
    if value is None or str(value).strip().lower() in NO_TIME:
        return None
    try:
        return float(value) * SCALES.get(column.unit, 1)
    except (TypeError, ValueError, OverflowError):
        way_out = (
            "seconds" if column.unit == "seconds" else f"a number of {column.unit}"
        )
        raise ManifestError(
            f"{place}: {column.name} {excerpt(value)} is not a number. Give {way_out} "
            "or nothing."
        ) from None


def settle(record, length, place, overshoot=manifest.TOLERANCE):
    """Completes a record's start, stop and duration; disagreement is an error.

    Arguments
    ---------
    record : dict
        ``start``, ``stop`` and ``duration`` in seconds or None; changed in place.
    length : float
        Length of the file in seconds.
    place : str
        "file:line: 'id'", for errors.
    overshoot : float
        Seconds after the end of the file at which a segment may stop. It then stops at
        the end.

    Example
    -------
    >>> record = {"wav": "a.wav", "start": 1.0, "stop": None, "duration": 0.5}
    >>> settle(record, 10.0, "a.csv:2: 'a'")
    >>> record["stop"]
    1.5
    """
    start, stop, duration = (record[key] for key in ("start", "stop", "duration"))
    if duration is not None and duration <= 0:
        return  # validate() reports it
    if start is stop is None:
        if duration is not None and abs(duration - length) > DURATION_TOLERANCE:
            raise ManifestError(
                f"{place}: duration {duration}, but {record['wav']} has {length:.3f} "
                "s. Is it of another file, in samples, or of a part? Give seconds (and "
                "start for a part), or omit it."
            )
        record["duration"] = length
        return
    if stop is None:
        stop = length if duration is None else start + duration
        if duration is not None and length < stop <= length + ROUNDED:
            stop = length
    elif start is None:
        start = 0.0 if duration is None else round(stop - duration, 6)
        start = 0.0 if abs(start) <= manifest.TOLERANCE else start
    if duration is not None and abs(stop - start - duration) > DURATION_TOLERANCE:
        raise ManifestError(
            f"{place}: duration {duration}, but segment {start} to {stop} has "
            f"{stop - start:.3f} s. Correct one of them, or omit the duration; times "
            "in samples belong in columns start_sample and stop_sample."
        )
    if overshoot > manifest.TOLERANCE and start < length < stop <= length + overshoot:
        stop = length
    record["start"], record["stop"] = start, round(stop, 6)
    if stop > length + manifest.TOLERANCE:
        raise ManifestError(
            f"{place}: segment {start} to {record['stop']} goes beyond the "
            f"{length:.3f} s of {record['wav']}. Times are in seconds; those in "
            "samples belong in columns start_sample and stop_sample."
        )
    # validate() reports a stop before the start
    record["duration"] = round(stop - start, 6) if stop > start else length
