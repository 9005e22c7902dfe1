"""Detection of truncated and concatenated PCM files: WAV, AIFF, AU, CAF, …

Their headers have the number of bytes. A file with fewer bytes is truncated; libsndfile
reads what is left. A file with more bytes has another file appended, which libsndfile
ignores or reads as samples.

References: RIFF, RF64, W64, AIFF, AU, CAF; NIST's SPHERE.

Authors
 * The s3prl_sb developers, 2026
"""

import dataclasses
import os
import re

PLACEHOLDER = 0x7FFFF000  # streams write sizes from here on: unknown
SLACK = 8  # tolerated missing bytes
#: Tolerated bytes after the end, for tags and padding; at least a tenth of the file.
MORE = 1 << 14


@dataclasses.dataclass
class Container:
    """Result of an inspection.

    Attributes
    ----------
    patches : dict
        Positions in the file to bytes that complete its header.
    fault : str or None
        Reason why the file is unusable.
    doubt : str or None
        Reason why the file may be incomplete, if its samples are valid.
    samples : int or None
        Number of samples in its frames, for formats where libsndfile guesses it.
    """

    patches: dict = dataclasses.field(default_factory=dict)
    fault: str | None = None
    doubt: str | None = None
    samples: int | None = None


def look_at_pcm(file, start, size):
    """Compares the size of a file with its header.

    Arguments
    ---------
    file : io.BufferedReader
        Any open file.
    start : int
        Position of the first byte after tags.
    size : int
        Size of the file in bytes.

    Returns
    -------
    Container

    Example
    -------
    >>> import io, numpy, soundfile
    >>> for kind in ("AU", "NIST"):
    ...     file = io.BytesIO()
    ...     soundfile.write(file, numpy.zeros(100), 16000, format=kind)
    ...     data = file.getvalue()
    ...     two = look_at_pcm(io.BytesIO(data + data), 0, 2 * len(data))
    ...     look_at_pcm(io.BytesIO(data), 0, len(data)).fault, two.fault[:26]
    (None, 'holds two files one after ')
    (None, 'holds two files one after ')
    """
    file.seek(start)
    head = file.read(40)
    mark = head[:4]
    if mark in (b"RIFF", b"RIFX") and head[8:12] == b"WAVE":
        return _riff(file, start, size, "big" if mark == b"RIFX" else "little")
    if mark == b"caff":
        return _caf(file, start, size)
    if mark == b".snd":
        return _au(file, start, size)
    if head[:8] == b"NIST_1A\n":
        wanted, coding = _nist(file, start)
        if "embedded" in coding:
            return Container(
                fault=f"is a SPHERE file that is compressed ({coding}): convert it "
                "with sph2pipe -f wav"
            )
    elif mark == b"FORM":
        length = int.from_bytes(head[4:8], "big")
        wanted = length + 8 if length else 0
    elif mark == b"RF64" and head[12:16] == b"ds64":
        wanted = int.from_bytes(head[20:28], "little") + 8
    elif mark == b"riff":  # W64
        wanted = int.from_bytes(head[16:24], "little")
    else:
        wanted = 0
    return _compared(file, start, wanted, size)


def _compared(file, start, wanted, size):
    """Compares the size with the one in the header; 0 means that it has none."""
    wanted = start + wanted if wanted else 0
    if not 0 < wanted < 1 << 62:
        return Container()
    if size + SLACK < wanted:
        return Container(doubt=f"Its header says {wanted} bytes, and it has {size}")
    file.seek(start)
    mark = file.read(4)
    file.seek(wanted)
    behind = file.read(5)
    if mark in (behind[:4], behind[1:]):  # one byte of padding
        return Container(
            fault="holds two files one after another, which would be read as one, or "
            "the first alone"
        )
    if size > wanted + max(MORE, wanted // 10):
        return Container(
            doubt=f"Its header says {wanted} bytes, and it has {size}, of which the "
            "rest is not read"
        )
    return Container()


def _nist(file, start):
    """Returns the size of a SPHERE file by its header, 0 if unknown; and its coding."""
    file.seek(start + 8)
    length = file.read(8).strip()
    if not length.isdigit():
        return 0, ""
    file.seek(start)
    lines = file.read(min(int(length), 1 << 16)).decode("latin-1").splitlines()
    fields = [line.split() for line in lines]
    header = {f[0]: f[2] for f in fields if len(f) == 3}
    coding = header.get("sample_coding", "pcm")
    counts = [header.get(key, "") for key in ("sample_count", "sample_n_bytes")]
    counts.append(header.get("channel_count", "1"))
    if coding not in ("pcm", "ulaw", "alaw") or not all(map(str.isdigit, counts)):
        return 0, coding
    samples, width, channels = map(int, counts)
    return int(length) + samples * width * channels if samples else 0, coding


def _au(file, start, size):
    """Inspects an AU; streams write all ones or zero as the size of the samples."""
    file.seek(start + 4)
    first = int.from_bytes(file.read(4), "big")
    length = int.from_bytes(file.read(4), "big")
    actual = size - start - first
    if length == 0 and SLACK < actual < PLACEHOLDER:
        return Container({start + 8: actual.to_bytes(4, "big")})
    wanted = first + length if 0 < length < PLACEHOLDER else 0
    return _compared(file, start, wanted, size)


def _caf(file, start, size):
    """Inspects the chunks of a CAF; streams write all ones as the size."""
    place = start + 8
    while place + 12 <= size:
        file.seek(place)
        name, length = file.read(4), int.from_bytes(file.read(8), "big")
        if name == b"data" and length == (1 << 64) - 1:
            actual = size - place - 12
            return Container({place + 4: actual.to_bytes(8, "big")})
        if name == b"caff" or length >= 1 << 62:
            break
        place += 12 + length
    return _compared(file, start, place - start, size)


def _riff(file, start, size, order):
    """Inspects the chunks of a WAV; unknown sizes of streams follow from the file."""
    file.seek(start + 4)
    declared = int.from_bytes(file.read(4), order)
    if not 0 < declared < PLACEHOLDER:
        declared = 0
    place, wanted = start + 12, declared + 8 if declared else 0
    while place + 8 <= size:
        file.seek(place)
        name, length = file.read(4), int.from_bytes(file.read(4), order)
        actual = size - place - 8
        if name == b"data":
            if length == 0 and actual > SLACK and not _is_chunk(file, place + 8, order):
                patched = actual < 1 << 32
                return Container(
                    {place + 4: actual.to_bytes(4, order)} if patched else {}
                )
            if wanted and start + wanted < size:  # samples are not trailing bytes
                wanted = max(wanted, place + 8 + length - start)
                wanted = wanted if length < PLACEHOLDER else 0
            break
        place += 8 + length + length % 2
    return _compared(file, start, wanted, size)


def _is_chunk(file, place, order):
    """Returns whether another chunk, such as LIST, follows an empty one."""
    file.seek(place)
    name, length = file.read(4), int.from_bytes(file.read(4), order)
    end = place + 8 + length
    return re.fullmatch(rb"[A-Za-z][A-Za-z0-9 _]{3}", name) is not None and (
        end <= file.seek(0, os.SEEK_END)
    )
