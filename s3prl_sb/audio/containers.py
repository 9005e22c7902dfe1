"""Detection of truncated and concatenated audio files, which libsndfile accepts.

libsndfile trusts the header, or reads whatever is left of a file; it reads only the
first of several concatenated streams. This module inspects the containers without
decoding: the last frame of a FLAC has the length, the last page of an Ogg is marked,
the first frame of an MP3 has the number of bytes. It also completes the headers of
streamed files.

References: RFC 3533 (Ogg), RFC 9639 (FLAC); the Xing header of MP3; RIFF, AIFF, CAF.

Authors
 * The s3prl_sb developers, 2026
"""

import os

from s3prl_sb.audio.pcm_containers import SLACK, Container, look_at_pcm

#: First bytes of a FLAC: its marker and the header of STREAMINFO.
FLAC = b"fLaC\0\0\0\x22"
#: Tolerated bytes of an MP3 beyond the count in its header.
MP3_SLACK = 4096
#: Bit rates of layer III in kbit/s, by their index in a frame header: MPEG 2, MPEG 1.
MP3_RATES = (
    (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
)
MP3_SLOWER = (2, 0, 1, 0)  # halvings of the sample rate, by version: 2.5, -, 2, 1
TAIL = (1 << 16, 1 << 22)  # bytes at the end of a FLAC that have its last frame


def look(path):
    """Inspects the container of an audio file.

    Arguments
    ---------
    path : str or binary file
        Any file, by its path or open and seekable; unknown formats give an empty
        result.

    Returns
    -------
    Container

    Example
    -------
    >>> import tempfile, numpy, soundfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     soundfile.write(folder + "/a.ogg", numpy.zeros(16000), 16000)
    ...     whole = open(folder + "/a.ogg", "rb").read()
    ...     _ = open(folder + "/two.ogg", "wb").write(whole + whole)
    ...     look(folder + "/a.ogg").fault, look(folder + "/two.ogg").fault[:26]
    (None, 'holds 2 streams one after ')
    """
    if hasattr(path, "read"):
        return _look(path)
    with open(path, "rb") as file:
        return _look(file)


def _look(file):
    size = file.seek(0, os.SEEK_END)
    start = _after_tag(file, 0)
    file.seek(start)
    head = file.read(40)
    if head[:4] == b"fLaC":
        return _flac(file, start, size)
    if head[:4] == b"OggS":
        return _ogg(file, start, size)
    if head[:1] == b"\xff" and head[1:2] > b"\xe0":
        return _mp3(file, start, size)
    return look_at_pcm(file, start, size)


def _after_tag(file, start):
    """Returns the end of the ID3 tag at ``start``, or ``start`` if there is none."""
    file.seek(start)
    head = file.read(10)
    if head[:3] != b"ID3" or len(head) < 10 or max(head[6:10]) > 127:
        return start
    size = 0
    for byte in head[6:10]:  # seven bits each
        size = size << 7 | byte
    return start + 10 + size


# ------------------------------------------------------------------------------ ogg
def _ogg(file, start, size):
    """Inspects the pages of Ogg Vorbis, Opus and FLAC."""
    place, streams, ended = start, 0, False
    while place < size:
        file.seek(place)
        head = file.read(27)
        if head[:4] != b"OggS":
            if not ended and place > start:
                return Container(fault=f"is damaged at byte {place}: no page is there")
            break  # tags of other software
        table = file.read(head[26]) if len(head) == 27 else b""
        end = place + 27 + len(table) + sum(table)
        if len(head) < 27 or len(table) < head[26] or end > size:
            return Container(fault=f"is cut off at byte {size}, within a page")
        if head[5] & 2 and ended:  # first page of another stream
            streams += 1
        ended = bool(head[5] & 4)
        place = end
    if streams:
        return Container(
            fault=f"holds {streams + 1} streams one after another, of which only the "
            "first would be read"
        )
    return Container(doubt=None if ended else "Its last page is not marked as the last")


# ------------------------------------------------------------------------------ mp3
def _mp3(file, start, size):
    """Compares the size of an MP3 with the byte count in its first frame."""
    file.seek(start)
    frame = file.read(200)
    if len(frame) < 4 or frame[1] & 0b110 != 0b010:  # not layer III
        return Container()
    first_version, mono = frame[1] >> 3 & 3, frame[3] >> 6 == 3
    side = (17 if mono else 32) if first_version == 3 else (9 if mono else 17)
    tag = frame[4 + side :]
    if tag[:4] not in (b"Xing", b"Info"):
        return Container(samples=_counted(file, start, size))
    flags, at, counts = int.from_bytes(tag[4:8], "big"), 8, []
    for bit in (1, 2):
        present = flags & bit
        counts.append(int.from_bytes(tag[at : at + 4], "big") if present else None)
        at += 4 if present else 0
    frames, length = counts
    file.seek(max(size - 128, 0))
    actual = size - start - (128 if file.read(3) == b"TAG" else 0)
    if length is not None and actual < length - SLACK:
        part = 100 * actual / length
        return Container(
            fault=f"is cut off: it has {actual} bytes of sound, {part:.0f} % of the "
            f"{length} that its header says"
        )
    # The smallest frame has 24 bytes.
    if frames is not None and length is None and 24 * frames > actual:
        return Container(fault=f"is cut off: {frames} frames, and {actual} bytes")
    if length is not None and actual > length + MP3_SLACK:
        file.seek(_after_tag(file, start + length))
        if _is_frame(file.read(4), frame):
            return Container(
                fault=f"holds more sound than its header says, {actual} bytes and not "
                f"{length}: several files joined? Only the first would be read"
            )
    return Container()


def _is_frame(head, first):
    """Returns whether ``head`` is a frame header with the format of ``first``."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xFE != first[1] & 0xFE:
        return False
    return head[2] & 0x0C == first[2] & 0x0C and head[2] >> 4 not in (0, 15)


def _counted(file, start, size):
    """Returns the samples in all frames of an MP3; None if frames are missing."""
    file.seek(start)
    data, at, samples = file.read(), 0, 0
    first = data[:4]
    while _is_frame(head := data[at : at + 4], first):
        version = head[1] >> 3 & 3
        kilobits = MP3_RATES[version == 3][head[2] >> 4]
        rate = (44100, 48000, 32000, 1)[head[2] >> 2 & 3] >> MP3_SLOWER[version]
        count = 1152 if version == 3 else 576
        at += count * 125 * kilobits // max(rate, 1) + (head[2] >> 1 & 1)
        samples += count
    return samples if abs(size - start - at) < MP3_SLACK else None


# ----------------------------------------------------------------------------- flac
def _flac(file, start, size):
    """Compares the length of a FLAC in its header with its last frame."""
    place, is_last = start + 4, False
    file.seek(place)
    info = file.read(38)
    if len(info) < 38 or info[0] & 0x7F:
        return Container()
    while not is_last and place + 4 <= size:  # metadata blocks
        file.seek(place)
        head = file.read(4)
        is_last = bool(head[0] & 0x80)
        place += 4 + int.from_bytes(head[1:], "big")
    total = int.from_bytes(info[17:22], "big") & (1 << 36) - 1
    frames = _last_frames(file, place, size, int.from_bytes(info[4:6], "big"))
    end = _end(frames) if frames else 0
    if not frames or (end <= total and total in (stop for _, stop in frames)):
        return Container()
    if total == 0:
        total_samples = (info[17] & 0xF0 | end >> 32).to_bytes(1, "big")
        total_samples += (end & 0xFFFFFFFF).to_bytes(4, "big")
        return Container({start + 21: total_samples})
    if end < total:
        return Container(
            fault=f"is cut off: {end} samples of the {total} that its header says"
        )
    return Container(
        fault=f"holds {end} samples, and its header says {total}: several files "
        "joined? Only the first would be read"
    )


def second_flac(path):
    """Finds a second FLAC inside a FLAC file; decoders read only the first.

    Arguments
    ---------
    path : str or binary file
        Any file. A FLAC is read completely.

    Returns
    -------
    str or None
        Description of the fault; None if there is none.
    """
    if not hasattr(path, "read"):
        with open(path, "rb") as file:
            return second_flac(file)
    path.seek(_after_tag(path, 0))
    if path.read(8) != FLAC:
        return None
    before = b""
    while block := path.read(1 << 20):
        if FLAC in before + block:
            return "holds two FLAC files, of which only the first would be read"
        before = block[-len(FLAC) :]
    return None


def _last_frames(file, first, size, block_size):
    """Returns (first sample, end) of the candidates for the last frames.

    A candidate can be wrong: encoded samples may look like a frame header.
    """
    file.seek(first)
    model = file.read(4)
    if len(model) < 4 or model[:2] not in (b"\xff\xf8", b"\xff\xf9"):
        return []
    scale = block_size if model[1] == 0xF8 else 1  # frame numbers, or sample numbers
    for length in TAIL:
        place = max(first, size - length)
        file.seek(place)
        tail, at, frames = file.read(), -1, []
        while (at := tail.find(model[:2], at + 1)) >= 0:
            end = _end_of_frame(tail[at : at + 16], model)
            if end is not None:
                frames.append((end[0] * scale, end[0] * scale + end[1]))
        if len(frames) > 1 or place == first:
            break
    return frames


def _end(frames):
    """Returns the end of the last frame in a run of adjacent frames."""
    ends = {stop for _, stop in frames}
    return max([stop for start, stop in frames if start in ends] or [frames[0][1]])


def _end_of_frame(head, model):
    """Returns (number, samples) of a frame; None if this is not a frame header."""
    if len(head) < 6 or head[2] & 0x0F != model[2] & 0x0F:
        return None
    if head[3] & 0x0F != model[3] & 0x0F:
        return None
    head = head.ljust(16, b"\0")  # a silent frame is shorter
    number, at = _utf8(head, 4)
    code = head[2] >> 4
    if number is None or code == 0:
        return None
    if code == 1:
        samples = 192
    elif code < 6:
        samples = 576 << code - 2
    elif code > 7:
        samples = 256 << code - 8
    else:
        width = code - 5
        samples = int.from_bytes(head[at : at + width], "big") + 1
        at += width
    at += {12: 1, 13: 2, 14: 2}.get(head[2] & 0x0F, 0)
    return (number, samples) if _crc8(head[:at]) == head[at] else None


def _utf8(head, at):
    """Decodes a number of up to 36 bits in UTF-8 coding; returns it and its end."""
    first = head[at]
    if first < 0x80:
        return first, at + 1
    more = (first ^ 0xFF).bit_length()
    more = 7 - more  # bytes that follow
    if not 1 <= more <= 6 or any(b >> 6 != 2 for b in head[at + 1 : at + 1 + more]):
        return None, at
    number = first & (1 << max(6 - more, 0)) - 1
    for byte in head[at + 1 : at + 1 + more]:
        number = number << 6 | byte & 0x3F
    return number, at + 1 + more


def _crc8(data):
    value = 0
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value << 1 ^ 0x07) & 0xFF if value & 0x80 else value << 1
    return value
