"""The columns of a table that say where in its file an utterance is.

People call them start and stop, begin and end, onset and offset, start_time and
end_time, start and duration, start_sample and num_samples … What a name says is read
word by word: what is meant (the start, the stop, the duration) and the unit, which is
seconds where none is named, else milliseconds or samples of the file itself.

``offset`` is the stop beside ``onset`` and the start beside ``duration``, as NeMo has
it; ``frame_offset`` and ``num_frames`` are in samples, as torchaudio has them. Columns
that may mean two things are refused: read wrongly, each row would be another part of
its file, or the whole of it, and training would go on all the same.

Authors
 * The s3prl_sb developers, 2026
"""

import re
from typing import NamedTuple

from s3prl_sb.dataio import manifest
from s3prl_sb.errors import ManifestError

DURATION_TOLERANCE = 0.1  # seconds that a table's duration may be off
ROUNDED = 0.01  # seconds that a start and a duration may go beyond the file together
NO_TIME = ("", "nan", "none", "null")
WORDS = {  # what is meant
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
PAIRS = ("from", "to", "t0", "t1", "ts", "te")  # times too, if they are numbers
#: Both times in one cell, if there are two numbers.
SPANS = ("segment", "segments", "interval", "span", "timestamp", "timestamps")
SPAN = re.compile(r"[\[(]?\s*\d[\d.]*\s*[-–,; ]\s*\d[\d.]*\s*[\])]?")
#: Words in other names that make numbers look like times.
ALIKE = {word for word in MEANINGS if MEANINGS[word] not in ("duration", "length")}
FIX = (
    "Name the columns start and stop (or duration) if they are in seconds, "
    "start_sample and stop_sample (or num_samples) if in samples of the file; take "
    "others out."
)


class Column(NamedTuple):
    """A column, the unit of its numbers, and the word for what it means."""

    name: str
    unit: str
    word: str


def read_name(name):
    """What a column's name says of times.

    Arguments
    ---------
    name : str
        As it stands in the table.

    Returns
    -------
    tuple of (str, Column) or None
        "start", "stop", "offset", "duration" or "length", and the column; None if the
        name is not one of a time.

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
    """Which columns are the start, the stop and the duration.

    Arguments
    ---------
    names : iterable of str
        The columns.
    place : str
        "file:line" of the header, for errors.

    Returns
    -------
    dict
        "start", "stop" and "duration", as far as they are there, to Column.

    Raises
    ------
    ManifestError
        If columns contradict each other, or may mean two things.

    Example
    -------
    >>> {k: c.name for k, c in time_columns(["onset", "offset"], "a.csv:1").items()}
    {'start': 'onset', 'stop': 'offset'}
    >>> {k: c.name for k, c in time_columns(["offset", "duration"], "a.csv:1").items()}
    {'start': 'offset', 'duration': 'duration'}
    """
    found = {meaning: [] for meaning in WORDS}
    for meaning, column in filter(None, map(read_name, names)):
        found[meaning].append(column)
    _place_offset(found, place)
    _place_lengths(found, place)
    chosen = {}
    for meaning in ("start", "stop", "duration"):
        columns = found[meaning]
        if meaning == "duration":  # the same in seconds and in samples
            columns = [c for c in columns if c.unit == "seconds"] or columns
        if len(columns) > 1:
            told = " and ".join(c.name for c in columns)
            raise ManifestError(
                f"{place}: {told} both tell the {meaning} of a segment. Keep one of "
                "them."
            )
        if columns:
            chosen[meaning] = columns[0]
    return _in_samples(chosen, place)


def _place_offset(found, place):
    """Decides whether an offset is a stop or a start."""
    for column in found.pop("offset"):
        starts = [c.word for c in found["start"]]
        counted = found["duration"] or found["length"]
        if starts == ["onset"]:
            found["stop"].append(column)
        elif not (starts or found["stop"]) and (counted or column.unit in _COUNTABLE):
            found["start"].append(column)
        else:
            others = [c.name for c in found["start"] + found["stop"]]
            beside = f" beside {', '.join(others)}" if others else ""
            raise ManifestError(
                f"{place}: {column.name}{beside} may be where a segment starts or "
                f"where it stops. {FIX}"
            )


_COUNTABLE = ("samples", "frames")


def _place_lengths(found, place):
    """A length whose unit is not named tells nothing, and is needed at times."""
    for column in found.pop("length"):
        if column.unit != "unknown":
            found["duration"].append(column)
        elif found["start"] and not found["stop"] and not found["duration"]:
            raise ManifestError(
                f"{place}: {column.name} beside {found['start'][0].name} may be in "
                f"seconds or in samples. {FIX}"
            )


def _in_samples(chosen, place):
    """torchaudio's frames are samples; how long others are, nobody says."""
    start, framed = chosen.get("start"), {}
    for meaning, column in chosen.items():
        if column.unit == "frames":
            framed[meaning] = column
    told = {"start", "stop"} <= chosen.keys() or set(chosen) == {"duration"}
    if told and set(framed) == {"duration"}:
        del chosen["duration"]  # of features, perhaps: no segment depends on it
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
    """Refuses a column that is learned and is called as a time is.

    Arguments
    ---------
    times : dict
        From :func:`time_columns`.
    labels : iterable of str
        Columns that are learned.
    place : str
        For the error.

    Raises
    ------
    ManifestError
        Names the column.

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


def check_alike(rows, known, labels, place):
    """Refuses columns of numbers that look like times, where no others are.

    Arguments
    ---------
    rows : list of dict
        Of the table.
    known : collection of str
        The columns that are understood: see :func:`time_columns`.
    labels : collection of str
        Columns that are learned, so no times.
    place : str
        For the error.

    Raises
    ------
    ManifestError
        Names the columns.
    """
    names = dict.fromkeys(key for row in rows for key in row)
    alike = [n for n in names if n not in labels and _is_alike(n)]
    alike = [name for name in alike if _numbers(rows, name)]
    spans = [n for n in names if n not in labels and str(n).strip().lower() in SPANS]
    alike += [n for n in spans if any(_is_span(row.get(n)) for row in rows)]
    if alike and not known:
        raise ManifestError(
            f"{place}: {', '.join(alike)}: looks like times, and it is not clear "
            f"which. {FIX}"
        )


def _is_alike(name):
    text = str(name).strip().lower()
    return text in PAIRS or (not read_name(name) and bool(ALIKE & set(_words(name))))


def _is_span(value):
    """Whether a value is of two times."""
    if isinstance(value, dict):
        return any(map(read_name, value))
    return SPAN.fullmatch(str(value).strip()) is not None


def _numbers(rows, name):
    """Whether a column has numbers, and not flags alone."""
    cells = {
        str(row[name]).strip().lower() for row in rows if row.get(name) is not None
    }
    cells -= set(NO_TIME)
    return bool(cells - {"0", "1"}) and all(re.fullmatch(r"[\d.:,]+", c) for c in cells)


def _words(name):
    """The words of a name, in small letters, also of startTime and Start-Time."""
    text = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", str(name))
    return re.findall(r"[a-z]+|\d+", text.lower())


def read_time(value, column, place):
    """A cell as a number of the column's unit; None where it is empty.

    Example
    -------
    >>> read_time(" 250 ", Column("start_ms", "milliseconds", "start"), "a.csv:2")
    0.25
    """
    if value is None or str(value).strip().lower() in NO_TIME:
        return None
    try:
        return float(value) * SCALES.get(column.unit, 1)
    except (TypeError, ValueError):
        way_out = (
            "seconds" if column.unit == "seconds" else f"a number of {column.unit}"
        )
        raise ManifestError(
            f"{place}: {column.name} {value!r} is not a number. Give {way_out} or "
            "nothing."
        ) from None


def settle(record, length, place):
    """Fills in a record's start, stop and duration; an error if they disagree.

    Arguments
    ---------
    record : dict
        ``start``, ``stop`` and ``duration`` in seconds, or None where nothing is said;
        changed in place.
    length : float
        Seconds of the whole file.
    place : str
        "file:line: 'id'", for errors.

    Example
    -------
    >>> record = {"wav": "a.wav", "start": 1.0, "stop": None, "duration": 0.5}
    >>> settle(record, 10.0, "a.csv:2: 'a'")
    >>> record["stop"]
    1.5
    """
    start, stop, said = (record[key] for key in ("start", "stop", "duration"))
    if said is not None and said <= 0:
        return  # validate() says so
    if start is stop is None:
        if said is not None and abs(said - length) > DURATION_TOLERANCE:
            raise ManifestError(
                f"{place}: duration {said}, but {record['wav']} has {length:.3f} s. Is "
                "it of another file, in samples, or of a part? Give seconds (and start "
                "for a part), or omit it."
            )
        record["duration"] = length
        return
    if stop is None:
        stop = length if said is None else start + said
        if said is not None and length < stop <= length + ROUNDED:
            stop = length
    elif start is None:
        start = 0.0 if said is None else round(stop - said, 6)
        start = 0.0 if abs(start) <= manifest.TOLERANCE else start
    if said is not None and abs(stop - start - said) > DURATION_TOLERANCE:
        raise ManifestError(
            f"{place}: duration {said}, but segment {start} to {stop} has "
            f"{stop - start:.3f} s. Correct one of them, or omit the duration; times "
            "in samples belong in columns start_sample and stop_sample."
        )
    record["start"], record["stop"] = start, round(stop, 6)
    if stop > length + manifest.TOLERANCE:
        raise ManifestError(
            f"{place}: segment {start} to {record['stop']} goes beyond the "
            f"{length:.3f} s of {record['wav']}. Times are in seconds; those in "
            "samples belong in columns start_sample and stop_sample."
        )
    # If it stops before it starts, validate() says what is wrong
    record["duration"] = round(stop - start, 6) if stop > start else length
