"""CTM files: words, phones or other labels with times.

A line is a segment, ``<recording> <channel> <start> <duration> <label>``, optionally
with a confidence, and the type and the speaker of the label. Times are in seconds.
Channels are not distinguished, so a recording has one. The format is NIST's (SCTK,
"ctm").

Authors
 * The s3prl_sb developers, 2026
"""

import os
from collections.abc import Iterable, Mapping

from s3prl_sb.dataio.rttm import field, is_confidence, numbered, seconds
from s3prl_sb.errors import ManifestError
from s3prl_sb.storage.files import write_text
from s3prl_sb.terminal.messages import excerpt

EXAMPLE = "a 1 0.50 0.12 ah"
SPACE = "%20"  # as :func:`ctm_lines` writes it
ALTERNATIVES = ("<ALT_BEGIN>", "<ALT>", "<ALT_END>")

Segments = Iterable[tuple[str, float, float]]


def ctm_rows(path: str | os.PathLike) -> list[tuple[str, str, float, float, int]]:
    """Returns the (recording, label, start, stop, line) of each segment of a file.

    Arguments
    ---------
    path : str
        CTM file, UTF-8.

    Returns
    -------
    list of tuple
        ``%20`` in recordings and labels is a space again, see :func:`ctm_lines`.

    Raises
    ------
    ManifestError
        With the file and the line.
    """
    rows, channels = [], {}
    for number, fields in numbered(path):
        place = f"{path}:{number}"
        if not 5 <= len(fields) <= 8:
            raise ManifestError(
                f"{place}: malformed line {excerpt(' '.join(fields))}. Expected a "
                f"recording, its channel, start, duration and label: '{EXAMPLE}'"
            )
        if fields[4] in ALTERNATIVES:
            raise ManifestError(
                f"{place}: {fields[4]}: alternatives are not read. Keep one of them, "
                "and remove this line."
            )
        if len(fields) > 5 and not is_confidence(fields[5], ("<NA>", "NA")):
            raise ManifestError(
                f"{place}: the 6th field, {excerpt(fields[5])}, is no confidence (0 to "
                f"1, or NA): a label with a space in {excerpt(' '.join(fields))}? "
                "Write two_words, not two words."
            )
        channel, first = channels.setdefault(fields[0], (fields[1], number))
        if channel != fields[1]:
            raise ManifestError(
                f"{place}: '{fields[0]}' has channel {fields[1]} here and {channel} in "
                f"line {first}. Keep the lines of one, or give each its own recording."
            )
        start = seconds(fields[2], "start", place)
        duration = seconds(fields[3], "duration", place)
        stop = round(start + duration, 6)  # sums of decimals are not exact
        recording, label = (each.replace(SPACE, " ") for each in (fields[0], fields[4]))
        rows.append((recording, label, start, stop, number))
    return rows


def ctm_lines(recording: str, segments: Segments) -> list[str]:
    """Returns the lines of a recording, to the millisecond.

    Arguments
    ---------
    recording : str
        Its id; spaces in it and in labels are written as ``%20``.
    segments : list
        (label, start, stop), in seconds.

    Returns
    -------
    list of str

    Example
    -------
    >>> ctm_lines("a", [("ah", 0.5, 0.62)])
    ['a 1 0.500 0.120 ah']
    """
    lines = []
    for label, start, stop in segments:
        first, last = round(start, 3), round(stop, 3)
        place = f"{field(recording)} 1 {first:.3f} {last - first:.3f}"
        lines.append(f"{place} {field(label)}")
    return lines


def write_ctm(recordings: Mapping[str, Segments], path: str | os.PathLike) -> None:
    """Writes ``{recording: [(label, start, stop), ...]}``, to the millisecond.

    Arguments
    ---------
    recordings : dict
        Segments of each recording.
    path : str
        File to write.
    """
    lines = [
        line
        for recording, segments in recordings.items()
        for line in ctm_lines(recording, segments)
    ]
    write_text(path, "".join(f"{line}\n" for line in lines))
