"""What the headers of audio files say: rate, length, channels.

Authors
 * The s3prl_sb developers, 2026
"""

import logging
import os
from concurrent.futures import ThreadPoolExecutor

import soundfile

from s3prl_sb import progress
from s3prl_sb.dataio.manifest import ManifestError

logger = logging.getLogger(__name__)

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")
PLACEHOLDER = 0x7FFFF000  # sizes from here on are written by streams: not known
#: Hz, of audio: below it speech is gone, above no converter works.
RATES = range(500, 1_000_001)
SLACK = 8  # bytes that a sound file may be shorter than its header says


def audio_info(path):
    """Reads the header of an audio file, not its samples.

    Arguments
    ---------
    path : str
        Anything libsndfile reads: wav, flac, ogg, mp3, NIST sphere (PCM).

    Returns
    -------
    tuple of int
        Sample rate (Hz), frames (samples in each channel), channels.

    Raises
    ------
    ManifestError
        If the file is missing, broken, empty or of an unsupported format.
    """
    path = str(path)
    if not os.path.isfile(path):
        raise ManifestError(f"{path}: no such audio file")
    try:
        info = soundfile.info(path)
    except (RuntimeError, TypeError, OSError) as fault:
        suffix = os.path.splitext(path)[1].lower()
        way_out = "Get a sound copy of it, or leave it out."
        if suffix not in AUDIO_SUFFIXES:
            tool = "sph2pipe -f wav" if suffix == ".sph" else "ffmpeg -i"
            way_out = f"Convert it to wav or flac: {tool} in{suffix} out.wav"
        reason = str(fault).split(": ", 1)[-1].rstrip(".")
        message = f"{path}: cannot be read as audio ({reason}). {way_out}"
        raise ManifestError(message) from fault
    if info.frames <= 0:
        raise ManifestError(f"{path}: holds no audio (0 samples). Leave it out.")
    if info.samplerate not in RATES:
        raise ManifestError(
            f"{path}: says that it has a sample rate of {info.samplerate} Hz, where "
            f"there is audio from {RATES[0]} to {RATES[-1]} Hz: its header is damaged. "
            "Get a sound copy of it, or leave it out."
        )
    return info.samplerate, info.frames, info.channels


def durations(paths, places=None):
    """Seconds of every audio file, from the headers, eight at a time.

    Of a wav file that is cut off, libsndfile tells the seconds that are left: how many
    there are of such files is logged.

    Arguments
    ---------
    paths : list of str
        More than 200 show a progress bar.
    places : list of str, optional
        Where each path was named ("file:line"), for errors.

    Returns
    -------
    list of float

    Raises
    ------
    ManifestError
        Lists the files that are missing or broken.
    """
    found, few = [], len(paths) <= 200
    bar = progress.bar(
        desc="Reading audio headers", total=len(paths), unit="file", disable=few
    )
    with ThreadPoolExecutor(8) as pool, bar:  # the time goes into opening the files
        for first in range(0, len(paths), 256):
            found += pool.map(_measure, paths[first : first + 256])
            bar.update(len(found) - bar.n)
    faults = [
        f"{place}: {result}" if place else str(result)
        for (result, _), place in zip(found, places or [None] * len(paths))
        if isinstance(result, ManifestError)
    ]
    if faults:
        way_out = "Correct the paths, or leave these files out."
        raise ManifestError.listing(faults, way_out, len(paths))
    short = {path: size for path, (_, size) in zip(paths, found) if size}
    if short:
        path, size = next(iter(short.items()))
        logger.warning(
            "%s: cut off? Its header says %d bytes, and it has %d. Such files: %d",
            path,
            size,
            os.path.getsize(path),
            len(short),
        )
    return [seconds for seconds, _ in found]


def _measure(path):
    """The seconds of a file, and its size by its header if it is cut off."""
    try:
        sample_rate, frames, _ = audio_info(path)
        return round(frames / sample_rate, 6), _missing_size(path)
    except ManifestError as fault:
        return fault, None  # kept, to report the first few and their number together


def _missing_size(path):
    """The bytes that a wav file should have, if it has fewer; else None."""
    if not str(path).lower().endswith(".wav"):
        return None
    with open(path, "rb") as file:
        head = file.read(12)
        there = os.fstat(file.fileno()).st_size
    if head[:4] != b"RIFF" or head[8:] != b"WAVE":
        return None
    size = int.from_bytes(head[4:8], "little")
    return size + 8 if size < PLACEHOLDER and size + 8 > there + SLACK else None
