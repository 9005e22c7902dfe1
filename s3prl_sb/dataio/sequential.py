"""Composition of data pipes.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Mapping
from typing import Any

from s3prl_sb.dataio.dataset import (
    DataPipe,
    ManifestDataset,
    Pipe,
    as_dataset,
    changes_audio,
    loses_times,
)
from s3prl_sb.dataio.forms import seconds_after, seconds_of_forms
from s3prl_sb.dataio.manifest import Records


class SequentialPipe(Pipe):
    """Several pipes as one, applied in order.

    Pipes that make items of their own may come in any order: the audio and the text of
    an utterance, and the chunks that it is cut into. A pipe that changes an item, such
    as noise or a crop, comes after the pipe that makes it.

    Arguments
    ---------
    *pipes : callable
        Pipes, see :mod:`s3prl_sb.dataio.pipes`; also functions that are called with
        the dataset.

    Example
    -------
    >>> import tempfile
    >>> import torch
    >>> from speechbrain.dataio import audio_io
    >>> from s3prl_sb.dataio.pipes import AddNoise, EncodeTokens, LoadAudio
    >>> from s3prl_sb.dataio.pipes import UnfoldChunks
    >>> from s3prl_sb.dataio.tokenizers import CharacterTokenizer
    >>> folder = tempfile.TemporaryDirectory()
    >>> data = {
    ...     "1": {"wav": f"{folder.name}/1.wav", "text": "hello"},
    ...     "2": {"wav": f"{folder.name}/2.wav", "text": "good morning"},
    ... }
    >>> for record, seconds in zip(data.values(), (3, 10)):
    ...     audio_io.save(record["wav"], 0.1 * torch.ones(1, seconds * 16000), 16000)

    A dataset that loads waveforms and encodes texts:

    >>> audio_pipe, text_pipe = LoadAudio(), EncodeTokens(CharacterTokenizer())
    >>> dataset = text_pipe(audio_pipe(data))
    >>> len(dataset), list(dataset[0])
    (2, ['id', 'sig', 'tokens_list', 'tokens', 'reference'])

    Its waveforms get white noise, and are cut into chunks of 2 to 4 s:

    >>> noise_pipe = AddNoise(snr=[3, 6])
    >>> dataset = noise_pipe(dataset)
    >>> chunk_pipe = UnfoldChunks(seconds=4, min_seconds=2)
    >>> dataset = chunk_pipe(dataset)
    >>> [(item["id"], len(item["sig"]) / 16000) for item in dataset]
    [('1-0000', 3.0), ('2-0000', 4.0), ('2-0001', 4.0), ('2-0002', 2.0)]

    The same in one step:

    >>> pipe = SequentialPipe(audio_pipe, text_pipe, noise_pipe, chunk_pipe)
    >>> same = pipe(data)
    >>> [torch.equal(a["sig"], b["sig"]) for a, b in zip(dataset, same)]
    [True, True, True, True]
    >>> folder.cleanup()
    """

    def __init__(self, *pipes: DataPipe):
        self.pipes = pipes
        self.audio = any(map(changes_audio, pipes))
        self.timed = not any(map(loses_times, pipes))

    def variants(self, record: Mapping[str, Any]) -> int | None:
        """Returns the number of forms that all pipes make; None means unlimited."""
        forms = seconds_of_forms(self.pipes, record)
        return None if forms is None else len(forms)

    def form_seconds(self, seconds: float, draw: int) -> float:
        """Returns the duration of a form after all pipes."""
        for pipe in self.pipes:
            seconds = seconds_after(pipe, seconds, draw)
        return seconds

    def __call__(self, data: ManifestDataset | Records) -> ManifestDataset:
        """Applies each pipe to a dataset, or to ``{id: record}``; see `Pipe`."""
        dataset = as_dataset(data)
        for pipe in self.pipes:
            dataset.add_pipe(pipe)
        return dataset
