"""Sample rates, lengths and channels in the headers of audio files.

Authors
 * The s3prl_sb developers, 2026
"""

import logging
import os
from concurrent.futures import ThreadPoolExecutor

from s3prl_sb.audio import containers, sound_files
from s3prl_sb.audio.ark_features import ark_info
from s3prl_sb.audio.audio_names import READABLE, ending, hint
from s3prl_sb.audio.opening import opened
from s3prl_sb.audio.pcm_containers import Container
from s3prl_sb.errors import ManifestError, UserError
from s3prl_sb.identity import packs, remote
from s3prl_sb.identity.ark_names import is_entry
from s3prl_sb.identity.locations import is_file, is_url, locate
from s3prl_sb.terminal import progress

logger = logging.getLogger(__name__)

#: Plausible sample rates, Hz.
RATES = range(500, 1_000_001)


def audio_info(path, file=None):
    """Reads the header of an audio file, not its samples.

    Arguments
    ---------
    path : str
        Any format of libsndfile: wav, flac, ogg, mp3, NIST sphere (PCM), …; also
        streamed files without a length in their header. Also a URL or a member of a
        tar, see :mod:`s3prl_sb.identity.locations`, or an entry of an ark, whose
        samples are frames.
    file : binary file, optional
        Its content, open and seekable, if the path does not lead to it: the member of
        an archive, for example.

    Returns
    -------
    tuple of int
        Sample rate (Hz), frames (samples per channel), channels.

    Raises
    ------
    ManifestError
        If the file is missing, broken, truncated, empty or in an unsupported format.
    """
    return _info(str(path), file)[:3]


def _info(path, file=None):
    """Returns the result of :func:`audio_info`, and the inspected container."""
    if file is None and is_entry(path):
        return (*ark_info(path), Container())
    if file is None and not is_file(path):
        return _info_of_part(path)
    if file is None and not os.path.isfile(path):
        raise ManifestError(f"{path}: no such audio file{hint(path)}")
    try:
        container = containers.look(file or path)
        with sound_files.opened(file or path, container) as info:
            rate, frames, channels = info.samplerate, info.frames, info.channels
    except sound_files.DamagedError as fault:
        raise ManifestError(
            f"{path}: {fault}. Get a sound copy of it, or leave it out."
        ) from fault
    except (RuntimeError, TypeError, OSError) as fault:
        suffix = ending(path)
        way_out = "Get a sound copy of it, or leave it out."
        if is_file(path) and (suffix not in READABLE or suffix == ".sph"):
            tool = "sph2pipe -f wav" if suffix == ".sph" else "ffmpeg -i"
            way_out = f"Convert it to wav or flac: {tool} in{suffix} out.wav"
        message = f"{path}: cannot be read as audio ({sound_files.reason(fault)}). "
        message += way_out
        raise ManifestError(message) from fault
    if frames <= 0:
        raise ManifestError(f"{path}: holds no audio (0 samples). Leave it out.")
    if rate not in RATES:
        raise ManifestError(
            f"{path}: says that it has a sample rate of {rate} Hz, where "
            f"there is audio from {RATES[0]} to {RATES[-1]} Hz: its header is damaged. "
            "Get a sound copy of it, or leave it out."
        )
    return rate, frames, channels, container


def _info_of_part(name):
    """Returns the same of a URL or the member of a tar."""
    try:
        with opened(name, whole=False) as file:
            return _info(name, file)
    except ManifestError:
        raise
    except FileNotFoundError as fault:
        raise ManifestError(f"{name}: no such audio file") from fault
    except (UserError, OSError) as fault:
        raise ManifestError(str(fault)) from fault


def durations(paths, places=None):
    """Returns the durations of audio files from their headers, in eight threads. Those
    of the members of a remote pack are in its index.

    The duration of a truncated wav or other PCM file is what is left of it; the number
    of such files is logged. A FLAC that ends within its last frame, or is joined with
    another one of the same length, is only detected when it is read.

    Arguments
    ---------
    paths : list of str
        Audio files; more than 200 show a progress bar.
    places : list of str, optional
        Source of each path ("file:line"), for errors.

    Returns
    -------
    list of float
        Seconds.

    Raises
    ------
    ManifestError
        For missing or broken files, which it lists.
    """
    results, few = [], len(paths) <= 200
    known = {n: m.frames / m.rate for n, m in packs.listed(map(str, paths))}
    remote.statuses(filter(_is_remote_file, map(str, paths)))
    bar = progress.bar(
        desc="Reading audio headers", total=len(paths), unit="file", disable=few
    )

    def measure(path):
        if path in known:
            return round(known[path], 6), None
        return _measure(path)

    with ThreadPoolExecutor(8) as pool, bar:  # opening the files takes the time
        for first in range(0, len(paths), 256):
            results += pool.map(measure, paths[first : first + 256])
            bar.update(len(results) - bar.n)
    faults = [
        f"{place}: {result}" if place else str(result)
        for (result, _), place in zip(results, places or [None] * len(paths))
        if isinstance(result, ManifestError)
    ]
    if faults:
        way_out = "Correct the paths, or leave these files out."
        raise ManifestError.listing(faults, way_out, len(paths))
    doubts = {path: doubt for path, (_, doubt) in zip(paths, results) if doubt}
    if doubts:
        path, doubt = next(iter(doubts.items()))
        logger.warning(sound_files.DOUBT, path, doubt, len(doubts))
        sound_files.doubted.update(map(str, doubts))
    return [seconds for seconds, _ in results]


def _is_remote_file(name):
    return is_url(name) and not is_entry(name) and locate(name).offset is None


def add_durations(records, places=None):
    """Adds ``duration`` to records, see :func:`durations`.

    Arguments
    ---------
    records : collection of dict
        Records with ``wav``; changed in place.
    places : list of str, optional
        Source of each record ("file:line"), for errors.
    """
    lengths = durations([record["wav"] for record in records], places)
    for record, length in zip(records, lengths):
        record["duration"] = length


def _measure(path):
    """Returns the duration of a file, and the reason why it may be truncated."""
    try:
        sample_rate, frames, _, container = _info(str(path))
        return round(frames / sample_rate, 6), container.doubt
    except ManifestError as fault:
        return fault, None  # so that all faults are reported together
