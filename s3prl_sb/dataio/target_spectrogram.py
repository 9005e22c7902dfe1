"""Target of voice conversion: the log mel spectrogram of the target speaker's speech.

Authors
 * The s3prl_sb developers, 2026
"""

import torch

from s3prl_sb.audio.loading import load_waveform
from s3prl_sb.dataio.dataset import ManifestDataset, Pipe
from s3prl_sb.dataio.time_map import TimeMap
from s3prl_sb.errors import ManifestError
from s3prl_sb.lobes.mel import MelSettings, log_mel

#: Seconds by which a target may be longer or shorter than its ``wav``.
TOLERANCE = 0.1


class TargetSpectrogram(Pipe):
    """Pipe that adds the item ``mel``: log mel frames of the target, [frames, n_mels].

    Records have ``target``, a name of audio: ``wav`` itself, of which the same segment
    is read, or another recording of that length which is in time with it. The frames
    follow chunks and crops.

    Arguments
    ---------
    settings : MelSettings
        Settings of the spectrogram.

    Example
    -------
    >>> import tempfile
    >>> from speechbrain.dataio import audio_io
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     wav = folder + "/a.wav"
    ...     audio_io.save(wav, torch.zeros(1, 24000), 24000)
    ...     record = {"wav": wav, "start": None, "stop": None, "duration": 1.0}
    ...     records = {"a": {**record, "target": wav}}
    ...     dataset = ManifestDataset(records, [TargetSpectrogram(MelSettings())])
    ...     dataset[0]["mel"].shape
    torch.Size([94, 80])
    """

    reads = ("target",)

    def __init__(self, settings: MelSettings):
        self.settings = settings

    def add_to(self, dataset: ManifestDataset) -> None:
        """Adds the item ``mel``."""
        keys = ["id", "wav", "target", "start", "stop", "duration", "time_map"]
        dataset.add_dynamic_item(self.spectrogram, keys, "mel")

    def spectrogram(
        self,
        utterance: str,
        wav: str,
        target: str,
        start: float | None,
        stop: float | None,
        duration: float,
        time_map: TimeMap | None = None,
    ) -> torch.Tensor:
        """Returns the spectrogram of the target of an utterance, or of a part of it."""
        limits = (start, stop) if target == wav else (None, None)
        speech = self.waveform(utterance, target, *limits)
        rate = self.settings.sample_rate
        if abs(len(speech) / rate - duration) > TOLERANCE:
            raise ManifestError(
                f"'{utterance}': its target ({target}) lasts {len(speech) / rate:.2f} "
                f"s, and its wav {duration:.2f} s. In training and validation the "
                "target is the same speech: leave out the column target."
            )
        if time_map is not None and time_map.duration < duration:
            first = round(time_map.start * rate)
            speech = speech[first : first + time_map.samples(rate)]
        return log_mel(speech, self.settings)

    def waveform(
        self,
        utterance: str,
        wav: str,
        start: float | None = None,
        stop: float | None = None,
    ) -> torch.Tensor:
        """Returns a waveform at the rate of the spectrogram."""
        return load_waveform(utterance, wav, start, stop, self.settings.sample_rate)
