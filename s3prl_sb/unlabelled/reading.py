"""Reading a piece of a row: the bytes of that piece, and no others.

Authors
 * The s3prl_sb developers, 2026
"""

import math

import torch

from s3prl_sb.audio import sound_files
from s3prl_sb.audio.loading import warn_of_levels
from s3prl_sb.audio.resampling import resample
from s3prl_sb.errors import UserError
from s3prl_sb.identity.locations import locate
from s3prl_sb.unlabelled import remote, shards
from s3prl_sb.unlabelled.index import Location

#: Blocks of resampling that are read on either side of a piece: the filter reaches six
#: periods of the lower rate.
REACH = 8
#: Bytes that are read ahead behind a URL: the examples of a batch are not neighbours.
BLOCK = 1 << 18
#: Lossy files may lack the last of the samples that their header promises.
SHORTEST = 0.9


class UnreadableError(UserError, ValueError):
    """Audio that cannot be read; the message says why, without the name."""


def read_piece(
    location: Location, start: int, samples: int, sample_rate: int
) -> torch.Tensor:
    """Reads a piece of a row.

    Arguments
    ---------
    location : Location
        The row.
    start, samples : int
        First sample and number of samples of the piece, at ``sample_rate``.
    sample_rate : int
        Rate of the result, Hz.

    Returns
    -------
    torch.Tensor
        [samples], float32: the mean of the channels, resampled. It equals the piece of
        the whole row.

    Raises
    ------
    UnreadableError
        If the file is missing, damaged, or holds NaN.

    Example
    -------
    >>> import tempfile, numpy, soundfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = folder + "/a.wav"
    ...     soundfile.write(path, numpy.full(8000, 0.5), 8000)
    ...     location = Location(path, "", 0, 0, start=0, samples=8000, rate=8000)
    ...     read_piece(location, start=6000, samples=4000, sample_rate=16000).shape
    torch.Size([4000])
    """
    old, new = _ratio(location.rate, sample_rate)
    # Whole blocks of ``old`` samples become whole blocks of ``new``.
    margin = 0 if old == new else REACH * math.ceil(max(new, old) / new)
    first = max(start // new - margin, 0)
    last = math.ceil((start + samples) / new) + margin
    stop = min(last * old, location.samples)
    sig = _mono(location, first * old, stop)
    if location.rate != sample_rate:
        sig = resample(sig, location.rate, sample_rate)
    piece = sig[start - first * new :][:samples]
    if len(piece) < SHORTEST * samples:
        raise UnreadableError(
            f"is cut off: {len(piece)} of {samples} samples from {start} on"
        )
    return piece


def _ratio(rate, wanted):
    divisor = math.gcd(rate, wanted)
    return rate // divisor, wanted // divisor


def _mono(location, first, stop):
    """Returns the mean of the channels of samples first to stop of a row."""
    rate = location.rate
    limits = (location.start + first) / rate, (location.start + stop) / rate
    try:
        path, offset, size = locate(location.path)
        if location.size:
            offset, size = location.offset, location.size
        if size or remote.is_url(path):
            with remote.naming(path), shards.opened(path, BLOCK) as file:
                part = file
                if size:
                    part = shards.Window(file, offset, size)
                samples, actual = sound_files.read(part, *limits)
        else:
            samples, actual = sound_files.read(location.path, *limits)
    except Exception as error:  # the codec libraries raise many kinds
        raise UnreadableError(sound_files.reason(error)) from error
    if actual != rate:
        raise UnreadableError(f"has {actual} Hz, and had {rate} Hz when it was scanned")
    channels = torch.from_numpy(samples).T
    sig = channels.mean(0)
    if not torch.isfinite(sig).all():
        raise UnreadableError("holds samples that are NaN or infinite")
    if len(sig):
        warn_of_levels(f"{location.path} {location.member}".rstrip(), sig, channels)
    return sig
