"""Reading audio files: the first of the data pipes.

Authors
 * The s3prl_sb developers, 2026
"""

import os

import torch

from s3prl_sb.dataio.audio_names import openable
from s3prl_sb.dataio.dataset import Pipe
from s3prl_sb.dataio.headers import audio_info
from s3prl_sb.dataio.resampling import resample
from s3prl_sb.errors import UserError


class AudioFileError(UserError, ValueError):
    """An audio file that cannot be used; names the file and the utterance."""


class LoadAudio(Pipe):
    """Reads audio of any rate and number of channels: item ``sig``, [samples].

    Reads wav, flac, ogg and mp3, whole or from ``start`` to ``stop`` seconds.

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
            If the file is missing, broken, shorter than ``start``, without
            the channel, or holds NaN.
        """
        from speechbrain.dataio import audio_io

        where = f"utterance '{utterance}' ({wav})"
        if (start or 0) < 0 or (stop is not None and stop <= (start or 0)):
            raise AudioFileError(f"{where}: {start} to {stop} s is no segment.")
        if not os.path.isfile(wav):
            raise AudioFileError(f"{where}: no such file.")
        try:
            first, count, rate = 0, -1, None
            if start is not None or stop is not None:
                rate = audio_info(wav)[0]
                first = round((start or 0) * rate)
                count = -1 if stop is None else round(stop * rate) - first
            sig, rate = audio_io.load(
                openable(wav), frame_offset=first, num_frames=count
            )
        except Exception as error:  # the codec libraries raise many kinds
            raise AudioFileError(
                f"{where} cannot be read: {str(error).rstrip('.')}. Repair or "
                "remove the file, or take it out of the list."
            ) from error
        if self.channel == "mean":
            sig = sig.mean(0)
        elif self.channel < len(sig):
            sig = sig[self.channel]
        else:
            raise AudioFileError(
                f"{where} has {len(sig)} channels, so none of index "
                f"{self.channel}: set LoadAudio's channel."
            )
        if not len(sig):
            part = "" if start is stop is None else f" from {start} to {stop} s"
            raise AudioFileError(f"{where} holds no audio{part}.")
        if not torch.isfinite(sig).all():
            raise AudioFileError(f"{where} holds samples that are NaN or infinite.")
        if rate != self.sample_rate:
            try:
                sig = resample(sig, rate, self.sample_rate)
            except ValueError as error:
                raise AudioFileError(
                    f"{where} says that it has {error}. Its header is damaged."
                ) from error
        return sig
