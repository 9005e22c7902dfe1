"""What the headers of audio files say: rate, length, channels.

Authors
 * The s3prl_sb developers, 2026
"""

import logging
import os
from concurrent.futures import ThreadPoolExecutor

from s3prl_sb.audio import containers, sound_files
from s3prl_sb.audio.audio_names import READABLE, ending, hint
from s3prl_sb.errors import ManifestError
from s3prl_sb.terminal import progress

logger = logging.getLogger(__name__)

#: Hz, of audio: below it speech is gone, above no converter works.
RATES = range(500, 1_000_001)


def audio_info(path):
    """Reads the header of an audio file, not its samples.

    Arguments
    ---------
    path : str
        Anything libsndfile reads: wav, flac, ogg, mp3, NIST sphere (PCM), …; also
        streams whose header does not say how long they are.

    Returns
    -------
    tuple of int
        Sample rate (Hz), frames (samples in each channel), channels.

    Raises
    ------
    ManifestError
        If the file is missing, broken, cut off, empty or of an unsupported format.
    """
    return _info(str(path))[:3]


def _info(path):
    """As :func:`audio_info`; and what there is to say of the container."""
    if not os.path.isfile(path):
        raise ManifestError(f"{path}: no such audio file{hint(path)}")
    try:
        container = containers.look(path)
        with sound_files.opened(path, container) as info:
            found = info.samplerate, info.frames, info.channels
    except sound_files.DamagedError as fault:
        raise ManifestError(
            f"{path}: {fault}. Get a sound copy of it, or leave it out."
        ) from fault
    except (RuntimeError, TypeError, OSError) as fault:
        suffix = ending(path)
        way_out = "Get a sound copy of it, or leave it out."
        if suffix not in READABLE or suffix == ".sph":
            tool = "sph2pipe -f wav" if suffix == ".sph" else "ffmpeg -i"
            way_out = f"Convert it to wav or flac: {tool} in{suffix} out.wav"
        message = f"{path}: cannot be read as audio ({sound_files.told(fault)}). "
        message += way_out
        raise ManifestError(message) from fault
    if found[1] <= 0:
        raise ManifestError(f"{path}: holds no audio (0 samples). Leave it out.")
    if found[0] not in RATES:
        raise ManifestError(
            f"{path}: says that it has a sample rate of {found[0]} Hz, where "
            f"there is audio from {RATES[0]} to {RATES[-1]} Hz: its header is damaged. "
            "Get a sound copy of it, or leave it out."
        )
    return *found, container


def durations(paths, places=None):
    """Seconds of every audio file, from the headers, eight at a time.

    Of a wav file that is cut off, libsndfile tells the seconds that are left, as of
    other files whose samples are not compressed: how many there are is logged.
    FLACs that are cut within their last frame, or joined with another of the same
    length, are found when they are read whole.

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
    doubts = {path: doubt for path, (_, doubt) in zip(paths, found) if doubt}
    if doubts:
        path, doubt = next(iter(doubts.items()))
        logger.warning(sound_files.DOUBT, path, doubt, len(doubts))
        sound_files.doubted.update(map(str, doubts))
    return [seconds for seconds, _ in found]


def _measure(path):
    """The seconds of a file, and why it may be cut off."""
    try:
        sample_rate, frames, _, container = _info(str(path))
        return round(frames / sample_rate, 6), container.doubt
    except ManifestError as fault:
        return fault, None  # kept, to report the first few and their number together
