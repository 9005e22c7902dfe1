"""RTTM and UEM files: segments of speakers, and the regions that are scored.

A line of an RTTM file is a segment of one speaker, ``SPEAKER <recording> <channel>
<start> <duration> <NA> <NA> <speaker> <NA> <NA>``; a line of a UEM file is an annotated
region, ``<recording> <channel> <start> <stop>``. All times are in seconds. Both formats
are NIST's (Rich Transcription 2009 evaluation plan).

Authors
 * The s3prl_sb developers, 2026
"""

import math
import re
from urllib.parse import quote

from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.manifest import ManifestError
from s3prl_sb.storage.files import write_text
from s3prl_sb.terminal.messages import excerpt

SEGMENT = "SPEAKER a 1 0.50 2.25 <NA> <NA> ann <NA> <NA>"
OTHERS = (  # other types of RTTM lines
    "SPKR-INFO NOSCORE NO_RT_METADATA NON-SPEECH NON-LEX LEXEME SEGMENT FILLER EDIT IP "
    "SU CB A/P"
).split()


def read_rttm(path):
    """Reads the segments of an RTTM file.

    Arguments
    ---------
    path : str
        RTTM file, UTF-8.

    Returns
    -------
    dict
        ``{recording: [(speaker, start, stop), ...]}``, in the order of the file.

    Raises
    ------
    ManifestError
        With the file and the line.

    Example
    -------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_rttm({"a": [("ann", 0.5, 2.75)]}, folder + "/a.rttm")
    ...     read_rttm(folder + "/a.rttm")
    {'a': [('ann', 0.5, 2.75)]}
    """
    segments = {}
    for recording, *segment, _ in rttm_rows(path):
        segments.setdefault(recording, []).append(tuple(segment))
    return segments


def rttm_rows(path):
    """Returns the (recording, speaker, start, stop, line) of each segment of a file."""
    rows, ninths = [], {}
    for number, fields in numbered(path):
        if fields[0] in OTHERS:
            continue
        if fields[0] == "SPEAKER" and len(fields) > 10:
            raise ManifestError(
                f"{path}:{number}: {len(fields)} fields, where RTTM has 9 or 10 "
                f"between spaces: a name with a space in {excerpt(' '.join(fields))}? "
                "Write speaker_1, not speaker 1."
            )
        if fields[0] != "SPEAKER" or len(fields) < 8:
            raise ManifestError(
                f"{path}:{number}: malformed line {excerpt(' '.join(fields))}. "
                f"Expected '{SEGMENT}'"
            )
        if len(fields) > 8 and not is_confidence(fields[8]):
            raise ManifestError(
                f"{path}:{number}: the 9th field, {excerpt(fields[8])}, is no "
                f"confidence (0 to 1, or <NA>): a name with a space in "
                f"{excerpt(' '.join(fields))}? Write speaker_1, not speaker 1."
            )
        # 0 and 1 are confidences, but both with one name come from "Speaker 1"
        if fields[8:9] in (["0"], ["1"]):
            other, first = ninths.setdefault(fields[7], (fields[8], number))
            if other != fields[8]:
                raise ManifestError(
                    f"{path}:{number}: '{fields[7]} {fields[8]}' here and "
                    f"'{fields[7]} {other}' in line {first}: names with a space? Write "
                    f"{fields[7]}_{fields[8]}; confidences have a point, 1.0."
                )
        start, duration = (
            seconds(fields[i], name, f"{path}:{number}")
            for i, name in ((3, "start"), (4, "duration"))
        )
        # Sums of decimals are not exact: 0.1 + 0.2
        stop = round(start + duration, 6)
        rows.append((fields[1], fields[7], start, stop, number))
    return rows


def rttm_lines(recording, segments):
    """Returns the lines of a recording.

    Arguments
    ---------
    recording : str
        Its id, see :func:`field`.
    segments : list
        (speaker, start, stop), in seconds.

    Returns
    -------
    list of str

    Example
    -------
    >>> rttm_lines("a", [("ann", 0.5, 2.75)])
    ['SPEAKER a 1 0.500 2.250 <NA> <NA> ann <NA> <NA>']
    """
    lines = []
    for speaker, start, stop in segments:
        first, last = round(start, 3), round(stop, 3)
        lines.append(
            f"SPEAKER {field(recording)} 1 {first:.3f} {last - first:.3f} <NA> <NA> "
            f"{field(speaker)} <NA> <NA>"
        )
    return lines


def write_rttm(recordings, path):
    """Writes ``{recording: [(speaker, start, stop), ...]}``, to the millisecond."""
    lines = [
        line
        for recording, segments in recordings.items()
        for line in rttm_lines(recording, segments)
    ]
    write_text(path, "".join(f"{line}\n" for line in lines))


def read_uem(path):
    """Reads the annotated regions: ``{recording: [(start, stop), ...]}``.

    Example
    -------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_uem({"a": [(0, 30)]}, folder + "/a.uem")
    ...     read_uem(folder + "/a.uem")
    {'a': [(0.0, 30.0)]}
    """
    regions = {}
    for number, fields in numbered(path):
        place = f"{path}:{number}"
        if len(fields) != 4:
            raise ManifestError(
                f"{place}: malformed line {excerpt(' '.join(fields))}. Expected a "
                "recording, its channel, start and stop: 'a 1 0.00 30.00'"
            )
        start = seconds(fields[2], "start", place)
        stop = seconds(fields[3], "stop", place)
        if stop <= start:
            raise ManifestError(f"{place}: stop {stop} <= start {start}")
        regions.setdefault(fields[0], []).append((start, stop))
    return regions


def write_uem(recordings, path):
    """Writes ``{recording: [(start, stop), ...]}``, to the millisecond."""
    lines = [
        f"{field(recording)} 1 {start:.3f} {stop:.3f}\n"
        for recording, regions in recordings.items()
        for start, stop in regions
    ]
    write_text(path, "".join(lines))


def seconds(text, name, place):
    """Returns a time as a float; raises an error if it is none or negative."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise ManifestError(
            f"{place}: {name} {excerpt(text)} is no time. Give seconds, from 0 on."
        )
    return value


def numbered(path):
    """Yields the (number, fields) of each line that is neither empty nor a comment."""
    for number, line in enumerate(manifest.read_text(path).splitlines(), 1):
        if line.strip() and not line.lstrip().startswith(";;"):
            yield number, line.split()


def is_confidence(field, unknown=("<NA>",)):
    """Returns whether a field is a number from 0 to 1, or a word for an unknown one."""
    try:
        return field in unknown or 0 <= float(field) <= 1
    except ValueError:
        return False


def field(name):
    """Returns a name as one field of an RTTM, UEM or CTM file.

    Fields are separated by spaces. A space in a name is written as in an address, and
    an empty name as NIST writes a field without a value.

    Example
    -------
    >>> field("my talk"), field("ann"), field("")
    ('my%20talk', 'ann', '<NA>')
    """
    # Results are written after hours of training, so no name may be an error here
    return re.sub(r"\s", lambda space: quote(space[0]), str(name)) or "<NA>"
