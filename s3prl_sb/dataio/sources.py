"""The data pipe that loads a mixture together with its clean sources.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Iterable, Sequence
from typing import Any

import torch

from s3prl_sb.audio.loading import AudioFileError, load_waveform
from s3prl_sb.dataio.audio import LoadAudio
from s3prl_sb.dataio.cropping import RandomCrop
from s3prl_sb.dataio.dataset import ManifestDataset, Pipe, changes_audio
from s3prl_sb.dataio.noise import AddNoise
from s3prl_sb.dataio.sequential import SequentialPipe
from s3prl_sb.dataio.speed import ChangeSpeed
from s3prl_sb.dataio.time_map import TimeMap
from s3prl_sb.errors import ManifestError

#: Seconds by which a source may be shorter or longer than the mixture: rounding of
#: sample rates, and the padding of formats with loss.
TOLERANCE = 0.05


class LoadSources(Pipe):
    """Loads the clean sources of a mixture: item ``source_waves``, [sources, samples].

    They are the files ``sources`` of the record, aligned with the mixture ``sig``: the
    same segment at the same rate and of the same channels, cropped and sped up as the
    mixture is, and exactly as many samples. Noise is added to the mixture alone. This
    pipe comes after ``LoadAudio`` and the conditions.

    Raises
    ------
    ManifestError
        When the pipe is added after one that changes the mixture otherwise, as
        reverberation does: the sources would not be its parts.

    Example
    -------
    >>> import tempfile
    >>> from speechbrain.dataio import audio_io
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     paths = [f"{folder}/{name}.wav" for name in ("mixture", "s1", "s2")]
    ...     for path in paths:
    ...         audio_io.save(path, torch.zeros(1, 8000), 8000)
    ...     records = {"a": {"wav": paths[0], "sources": paths[1:]}}
    ...     LoadSources()(LoadAudio()(records))[0]["source_waves"].shape
    torch.Size([2, 16000])
    """

    reads = ("sources",)

    def add_to(self, dataset: ManifestDataset) -> None:
        """Adds the item."""
        loader, followed = LoadAudio(), list[RandomCrop | ChangeSpeed]()
        for pipe in _flat(dataset.pipes):
            if isinstance(pipe, (RandomCrop, ChangeSpeed)):
                followed.append(pipe)
            elif isinstance(pipe, LoadAudio):
                loader = pipe
            elif changes_audio(pipe) and not isinstance(pipe, AddNoise):
                name = getattr(pipe, "__name__", type(pipe).__name__)
                raise ManifestError(
                    f"{name} changes the mixture, and its clean sources cannot follow: "
                    "leave it out. Noise, crops and speeds are possible."
                )
        keys = ["id", "sources", "sig", "draw", "start", "stop"]
        keys += ["duration"] * ("duration" in dataset.columns)
        # Not a method of this pipe: another dataset has other conditions.
        load = _Loader(loader, followed)
        dataset.add_dynamic_item(load, keys, "source_waves")


class _Loader:
    """Loads the sources of a mixture as pipes have changed it."""

    def __init__(self, loader, followed):
        self.loader, self.followed = loader, followed

    def __call__(
        self,
        utterance: str,
        sources: Sequence[str],
        sig: torch.Tensor,
        draw: int,
        start: float | None,
        stop: float | None,
        duration: float | None = None,
    ) -> torch.Tensor:
        waves = []
        for path in sources:
            source = load_waveform(
                utterance,
                path,
                start,
                stop,
                self.loader.sample_rate,
                self.loader.channel,
            )
            source = self._follow(source, utterance, draw, duration)
            waves.append(self._fitted(source, len(sig), utterance, path))
        return torch.stack(waves)

    def _follow(self, source, utterance, draw, duration):
        time_map = TimeMap.whole(duration)
        if self.followed and time_map is not None:
            # A crop of a shorter source would begin earlier than the mixture's.
            missing = time_map.samples(self.loader.sample_rate) - len(source)
            source = torch.nn.functional.pad(source, (0, max(0, missing)))
        for pipe in self.followed:
            if isinstance(pipe, RandomCrop):
                source = pipe.cut(source, utterance, draw, time_map)
                time_map = pipe.follow(time_map, utterance, draw)
            else:
                source = pipe.change(source, draw)
                time_map = pipe.follow(time_map, draw)
        return source

    def _fitted(self, source, samples, utterance, path):
        """Returns a source with exactly as many samples as the mixture."""
        excess, rate = len(source) - samples, self.loader.sample_rate
        if abs(excess) > TOLERANCE * rate:
            raise AudioFileError(
                f"utterance '{utterance}': the source {path} has "
                f"{len(source) / rate:.3f} s, the mixture {samples / rate:.3f} s. They "
                "must be of the same recording: correct the pair, or leave it out."
            )
        if excess < 0:
            return torch.nn.functional.pad(source, (0, -excess))
        return source[:samples]


def _flat(pipes: Iterable[Any]) -> Iterable[Any]:
    """Yields pipes, and those that are composed of others in parts."""
    for pipe in pipes:
        if isinstance(pipe, SequentialPipe):
            yield from _flat(pipe.pipes)
        else:
            yield pipe
