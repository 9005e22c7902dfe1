"""The data pipe that loads audio: the first one of every recipe.

Authors
 * The s3prl_sb developers, 2026
"""

import torch

from s3prl_sb.audio.loading import AudioFileError, load_waveform
from s3prl_sb.dataio.dataset import ManifestDataset, Pipe

__all__ = ["AudioFileError", "LoadAudio"]


class LoadAudio(Pipe):
    """Loads audio of any sample rate and number of channels: item ``sig``, [samples].

    It reads wav, flac, ogg, mp3 and every other format of libsndfile, either the whole
    file or the segment from ``start`` to ``stop`` seconds. A truncated file is an error
    that says how much is left; a lossy file may end up to 2304 samples away from the
    length in its header, because encoders pad. A mean over channels that is silent and
    samples far beyond 1 cause a warning with a count. If ``wav`` names an entry of an
    ark, ``feats.ark:1234``, its features [frames, size] are ``sig``, see
    :mod:`s3prl_sb.lobes.upstreams.features_from_ark`.

    Arguments
    ---------
    sample_rate : int
        Rate of ``sig``, Hz; audio of another rate is resampled.
    channel : str or int
        "mean" of all channels, or the index of one.

    Example
    -------
    >>> import tempfile
    >>> from speechbrain.dataio import audio_io
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     wav = folder + "/a.wav"
    ...     audio_io.save(wav, torch.zeros(2, 8000), 8000)
    ...     records = {"a": {"wav": wav, "start": 0.5, "stop": None}}
    ...     ManifestDataset(records, [LoadAudio()], ["sig"])[0]["sig"].shape
    torch.Size([8000])
    """

    audio = timed = takes_features = True

    def __init__(self, sample_rate: int = 16000, channel: str | int = "mean"):
        if channel != "mean" and not isinstance(channel, int):
            raise ValueError(f"channel must be 'mean' or an index, not {channel!r}")
        self.sample_rate, self.channel = sample_rate, channel

    def add_to(self, dataset: ManifestDataset) -> None:
        """Adds the item ``sig``."""
        dataset.add_dynamic_item(self.load, ["id", "wav", "start", "stop"], "sig")

    def load(
        self,
        utterance: str,
        wav: str,
        start: float | None = None,
        stop: float | None = None,
    ) -> torch.Tensor:
        """Loads an utterance, see :func:`~s3prl_sb.audio.loading.load_waveform`."""
        return load_waveform(
            utterance, wav, start, stop, self.sample_rate, self.channel
        )
