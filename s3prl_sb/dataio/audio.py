"""Reading audio files: the first of the data pipes.

Authors
 * The s3prl_sb developers, 2026
"""

import os

import torch

from s3prl_sb.audio import sound_files
from s3prl_sb.audio.audio_names import UNREADABLE, ending
from s3prl_sb.audio.resampling import resample
from s3prl_sb.audio.waveforms import LOUD
from s3prl_sb.dataio.dataset import Pipe
from s3prl_sb.errors import UserError
from s3prl_sb.terminal.messages import Counted

WAY_OUT = "Repair or remove the file, or take it out of the list."
#: The mean of channels that have no sound in common is not so much quieter than they.
OPPOSITE = 0.02

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
    """An audio file that cannot be used; names the file and the utterance."""


class LoadAudio(Pipe):
    """Reads audio of any rate and number of channels: item ``sig``, [samples].

    Reads wav, flac, ogg, mp3 and whatever else libsndfile reads, whole or from
    ``start`` to ``stop`` seconds. A file that is cut off is an error that says how much
    is left; the end of a lossy one may be away from where its header says by what
    encoders pad, 2304 samples. Of a mean that is silence, and of samples far beyond 1,
    there is a warning that counts.

    Arguments
    ---------
    sample_rate : int
        Hz, to which other rates are resampled.
    channel : str or int
        "mean" of all channels, or the index of one.

    Example
    -------
    >>> import tempfile, torch
    >>> from speechbrain.dataio import audio_io
    >>> from s3prl_sb.dataio.dataset import ManifestDataset
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     wav = folder + "/a.wav"
    ...     audio_io.save(wav, torch.zeros(2, 8000), 8000)
    ...     records = {"a": {"wav": wav, "start": 0.5, "stop": None}}
    ...     ManifestDataset(records, [LoadAudio()], ["sig"])[0]["sig"].shape
    torch.Size([8000])
    """

    audio = True

    def __init__(self, sample_rate=16000, channel="mean"):
        if channel != "mean" and not isinstance(channel, int):
            raise ValueError(f"channel must be 'mean' or an index, not {channel!r}")
        self.sample_rate, self.channel = sample_rate, channel

    def __call__(self, dataset):
        dataset.add_dynamic_item(self.load, ["id", "wav", "start", "stop"], "sig")

    def load(self, utterance, wav, start=None, stop=None):
        """The waveform of an utterance.

        Arguments
        ---------
        utterance : str
            Its id, for errors.
        wav : str
            Path.
        start, stop : float, optional
            Seconds.

        Returns
        -------
        torch.Tensor
            [samples], float32.

        Raises
        ------
        AudioFileError
            If the file is missing, broken, cut off, shorter than ``start``,
            without the channel, or holds NaN.
        """
        where = f"utterance '{utterance}' ({wav})"
        if (start or 0) < 0 or (stop is not None and stop <= (start or 0)):
            raise AudioFileError(f"{where}: {start} to {stop} s is no segment.")
        if not os.path.isfile(wav):
            there = "a folder, not a file" if os.path.isdir(wav) else "no such file"
            raise AudioFileError(f"{where}: {there}.")
        try:
            samples, rate = sound_files.read(wav, start, stop)
        except sound_files.DamagedError as error:
            raise AudioFileError(f"{where} {error}. {WAY_OUT}") from error
        except Exception as error:  # the codec libraries raise many kinds
            told, way_out = sound_files.told(error), WAY_OUT
            if ending(wav) in UNREADABLE:
                way_out = f"Convert it: ffmpeg -i in{ending(wav)} out.wav"
            raise AudioFileError(
                f"{where} cannot be read: {told}. {way_out}"
            ) from error
        channels = torch.from_numpy(samples).T
        if self.channel == "mean":  # of one channel no copy, it may be of hours
            sig = channels.mean(0) if len(channels) > 1 else channels[0]
        elif self.channel < len(channels):
            sig = channels[self.channel]
        else:
            raise AudioFileError(
                f"{where} has {len(channels)} channels, so none of index "
                f"{self.channel}: set LoadAudio's channel."
            )
        if not len(sig):
            part = "" if start is stop is None else f" from {start} to {stop} s"
            raise AudioFileError(f"{where} holds no audio{part}.")
        if not torch.isfinite(sig).all():
            raise AudioFileError(f"{where} holds samples that are NaN or infinite.")
        self._listen(channels, sig, wav)
        if rate != self.sample_rate:
            try:
                sig = resample(sig, rate, self.sample_rate)
            except ValueError as error:
                raise AudioFileError(
                    f"{where} says that it has {error}. Its header is damaged."
                ) from error
        return sig

    def _listen(self, channels, sig, wav):
        """Warns of what is sound to read, and hardly meant."""
        lowest, highest = torch.aminmax(sig)
        loudest = float(max(-lowest, highest))
        if loudest > LOUD:
            _loud.warn(wav, loudest)
        if self.channel == "mean" and len(channels) > 1:
            level, mean = channels.square().mean().sqrt(), sig.square().mean().sqrt()
            if level > 1e-4 and mean < OPPOSITE * level:
                _opposite.warn(wav, float(mean / level))
