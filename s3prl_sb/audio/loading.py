"""Loading a waveform from an audio file, with one channel and one sample rate.

Authors
 * The s3prl_sb developers, 2026
"""

import os

import torch

from s3prl_sb.audio import sound_files
from s3prl_sb.audio.ark_features import load_features
from s3prl_sb.audio.audio_names import UNREADABLE, ending
from s3prl_sb.audio.opening import opened
from s3prl_sb.audio.resampling import resample
from s3prl_sb.errors import UserError
from s3prl_sb.identity.ark_names import is_entry
from s3prl_sb.identity.locations import is_file
from s3prl_sb.terminal.messages import Counted

#: Floats are within [-1, 1], a little above after processing; larger ones are suspect.
LOUD = 32.0
#: Channels are opposite if the level of their mean is below this share of their level.
OPPOSITE = 0.02
WAY_OUT = "Repair or remove the file, or take it out of the list."

_loud = Counted(
    __name__,
    "%s holds samples of up to %.5g, where audio is within -1 and 1: integers written "
    "as floats? Its features are of another loudness. Such files: %d",
)
_opposite = Counted(
    __name__,
    "%s: its channels cancel each other out, their mean is silence (%.1g of their "
    "level). Set LoadAudio's channel: 0. Such files: %d",
)


class AudioFileError(UserError, ValueError):
    """An unusable audio file; the message names the file and the utterance."""


def load_waveform(
    utterance: str,
    wav: str,
    start: float | None = None,
    stop: float | None = None,
    sample_rate: int = 16000,
    channel: str | int = "mean",
) -> torch.Tensor:
    """Loads a segment of an audio file.

    Arguments
    ---------
    utterance : str
        Id of the utterance, for errors.
    wav : str
        Name of the file, see :mod:`s3prl_sb.identity.locations`, or of an entry of an
        ark, whose frames take the place of samples.
    start, stop : float, optional
        Limits of the segment in seconds; None: those of the file.
    sample_rate : int
        Rate of the result, Hz.
    channel : str or int
        "mean" of all channels, or the index of one.

    Returns
    -------
    torch.Tensor
        [samples], float32; [frames, size] for an entry of an ark.

    Raises
    ------
    AudioFileError
        If the file is missing, broken, cut off, shorter than ``start``,
        without the channel, or holds NaN.
    """
    where = f"utterance '{utterance}' ({wav})"
    if is_entry(wav):
        try:
            return load_features(wav, start, stop, sample_rate)
        except (UserError, OSError) as error:
            raise AudioFileError(f"{where}: {error}") from error
    try:
        channels, rate = _read(where, wav, start, stop)
    except AudioFileError:
        raise
    except UserError as error:  # it names the URL
        raise AudioFileError(f"utterance '{utterance}': {error}") from error
    if channel == "mean":  # one channel is not copied, it may last hours
        sig = channels.mean(0) if len(channels) > 1 else channels[0]
    elif channel < len(channels):
        sig = channels[channel]
    else:
        raise AudioFileError(
            f"{where} has {len(channels)} channels, so none of index "
            f"{channel}: set LoadAudio's channel."
        )
    if not len(sig):
        part = "" if start is stop is None else f" from {start} to {stop} s"
        raise AudioFileError(f"{where} holds no audio{part}.")
    if not torch.isfinite(sig).all():
        raise AudioFileError(
            f"{where} holds samples that are NaN or infinite. "
            "Get a sound copy of it, or leave it out."
        )
    warn_of_levels(wav, sig, channels if channel == "mean" else None)
    if rate == sample_rate:
        return sig
    try:
        return resample(sig, rate, sample_rate)
    except ValueError as error:
        raise AudioFileError(
            f"{where} says that it has {error}. Its header is damaged."
        ) from error


def _read(where, wav, start, stop):
    """Returns the channels [channels, samples] of a segment, and their rate."""
    if (start or 0) < 0 or (stop is not None and stop <= (start or 0)):
        raise AudioFileError(f"{where}: {start} to {stop} s is no segment.")
    if is_file(wav) and not os.path.isfile(wav):
        reason = "a folder, not a file" if os.path.isdir(wav) else "no such file"
        raise AudioFileError(f"{where}: {reason}.")
    try:
        with opened(wav, whole=start is stop is None) as file:
            samples, rate = sound_files.read(file, start, stop, wav)
    except UserError:
        raise
    except sound_files.DamagedError as error:
        raise AudioFileError(f"{where} {error}. {WAY_OUT}") from error
    except Exception as error:  # the codec libraries raise many kinds
        fault, way_out = sound_files.reason(error), WAY_OUT
        if ending(wav) in UNREADABLE:
            way_out = f"Convert it: ffmpeg -i in{ending(wav)} out.wav"
        raise AudioFileError(f"{where} cannot be read: {fault}. {way_out}") from error
    return torch.from_numpy(samples).T, rate


def warn_of_levels(
    wav: str, sig: torch.Tensor, channels: torch.Tensor | None = None
) -> None:
    """Warns of audio that can be read but is probably not what was meant.

    Arguments
    ---------
    wav : str
        Path of the file.
    sig : torch.Tensor
        [samples], its waveform.
    channels : torch.Tensor, optional
        [channels, samples], if the waveform is their mean.
    """
    lowest, highest = torch.aminmax(sig)
    loudest = float(max(-lowest, highest))
    if loudest > LOUD:
        _loud.warn(wav, loudest)
    if channels is not None and len(channels) > 1:
        level, mean = channels.square().mean().sqrt(), sig.square().mean().sqrt()
        if level > 1e-4 and mean < OPPOSITE * level:
            _opposite.warn(wav, float(mean / level))
