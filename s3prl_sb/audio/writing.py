"""Writing waveforms: WAV files with the level, the length and the rate of the signal.

Authors
 * The s3prl_sb developers, 2026
"""

import math
import os
import shutil
from dataclasses import dataclass

import soundfile
import torch

from s3prl_sb.errors import UserError
from s3prl_sb.storage.files import FileError
from s3prl_sb.storage.parts import Part
from s3prl_sb.terminal.messages import Counted

# Nothing depends on what is written.
COMPUTES = False

#: Encodings of samples in WAV files: bits of integers, 0 for floats.
ENCODINGS = {"PCM_16": 16, "PCM_24": 24, "FLOAT": 0}

_clipped = Counted(
    __name__,
    "%s: %d samples are beyond full scale, by up to %.1f dB, and were clipped. Such "
    "files: %d",
)


@dataclass(frozen=True)
class Written:
    """Report about a written waveform.

    Arguments
    ---------
    path : str
        The file.
    clipped : int
        Number of samples that were clipped.
    excess : float
        Level of the largest sample above full scale, dB; 0 if nothing was clipped.
    """

    path: str
    clipped: int = 0
    excess: float = 0.0


def write_waveform(
    path: str | os.PathLike[str],
    samples: torch.Tensor,
    rate: int,
    encoding: str = "PCM_16",
    name: str = "",
) -> Written:
    """Writes a waveform as WAV, atomically.

    The level is kept: nothing is normalized, so that a file can be compared with its
    input by ear and by numbers. Integers of 16 bits, the encoding of nearly all speech
    corpora, are read by every tool; ``x / 32768`` of an integer x is written as x.
    They end at full scale, where louder samples are clipped, with a warning;
    ``encoding="FLOAT"`` clips nothing and rounds nothing.

    Arguments
    ---------
    path : str
        The file; its folder is created if it does not exist.
    samples : torch.Tensor
        [samples], full scale at -1 and 1.
    rate : int
        Sample rate, Hz.
    encoding : str
        "PCM_16", "PCM_24" or "FLOAT", see :func:`encoding_of`.
    name : str
        Name of the utterance for the warning. Default: the path.

    Returns
    -------
    Written

    Raises
    ------
    FileError
        If the file cannot be written.
    UserError
        For NaN or infinity, or another encoding.

    Example
    -------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_waveform(folder + "/a.wav", torch.tensor([0.5, -2.0]), 16000).clipped
    ...     soundfile.read(folder + "/a.wav")[0].tolist()
    1
    [0.5, -1.0]
    """
    name, path = name or os.fspath(path), os.fspath(path)
    if encoding not in ENCODINGS:
        choices = ", ".join(ENCODINGS)
        raise UserError(f"{name}: no encoding '{encoding}'. There are: {choices}.")
    signal = samples.detach().cpu().double()
    if signal.dim() != 1:
        raise ValueError(f"{name}: {list(signal.shape)}, not [samples]")
    if not torch.isfinite(signal).all():
        raise UserError(f"{name}: the waveform holds NaN or infinity; nothing written.")
    bits = ENCODINGS[encoding]
    report = _report(path, signal, bits)
    try:
        with Part(path) as part:
            data = _integers(signal, bits) if bits else signal.float().numpy()
            soundfile.write(part.path, data, rate, encoding, format="WAV")
            part.publish()
    except OSError as error:
        raise FileError(f"'{path}' cannot be written: {error.strerror}.") from error
    except soundfile.LibsndfileError as error:
        free = shutil.disk_usage(os.path.dirname(os.path.abspath(path))).free
        raise FileError(
            f"'{path}' cannot be written: {error.error_string} The disk has "
            f"{free / 1e6:.1f} MB left."
        ) from error
    if report.clipped:
        _clipped.warn(name, report.clipped, report.excess)
    return report


def encoding_of(path: str) -> str:
    """Returns the encoding that keeps the precision of an audio file.

    Arguments
    ---------
    path : str
        Name of an audio file of any format.

    Returns
    -------
    str
        "FLOAT" of floats, "PCM_24" of integers of more than 16 bits, otherwise
        "PCM_16"; also if the file cannot be opened.
    """
    try:
        subtype = soundfile.info(path).subtype
    except (soundfile.LibsndfileError, OSError, TypeError):
        return "PCM_16"
    if subtype in ("FLOAT", "DOUBLE"):
        return "FLOAT"
    return "PCM_24" if subtype in ("PCM_24", "PCM_32") else "PCM_16"


def _report(path, signal, bits):
    """Returns the report of a signal that is going to be written."""
    if not bits or not len(signal):
        return Written(path)
    # The largest integer is a step below full scale: rounding to it is no clipping.
    clipped = int((signal.abs() > 1).sum())
    if not clipped:
        return Written(path)
    return Written(path, clipped, 20 * math.log10(float(signal.abs().max())))


def _integers(signal, bits):
    """Returns samples as integers; libsndfile would scale by 2 ** 15 - 1, not 2 ** 15,
    and truncate. 24 bits are the upper ones of 32."""
    full = 2 ** (bits - 1)
    values = (signal * full).round().clamp(-full, full - 1)
    if bits == 16:
        return values.short().numpy()
    return (values * 2**8).int().numpy()
