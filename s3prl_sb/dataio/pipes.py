"""Data pipes: small callables that add items to a dataset, composed in YAML.

A pipe is called with a :class:`~s3prl_sb.dataio.dataset.ManifestDataset`, or with a
dictionary of records, and returns the dataset; pipes compose, also by
:class:`~s3prl_sb.dataio.sequential.SequentialPipe`. A pipe refines an item if it
provides one that exists already: ``LoadAudio``, then ``RandomCrop``, then ``AddNoise``
all provide ``sig``. ``variants(record)`` is the number of forms of an utterance, None
for unlimited; ``draw`` k gives form k. Features can only be cached if this number is
finite.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from speechbrain.dataio.encoder import CategoricalEncoder

from s3prl_sb.dataio.audio import AudioFileError, LoadAudio
from s3prl_sb.dataio.cropping import RandomCrop
from s3prl_sb.dataio.dataset import ManifestDataset, Pipe
from s3prl_sb.dataio.noise import AddNoise
from s3prl_sb.dataio.reverb import AddReverb
from s3prl_sb.dataio.speed import ChangeSpeed
from s3prl_sb.errors import ManifestError

if TYPE_CHECKING:
    from s3prl_sb.dataio.tokenizer import Tokenizer

__all__ = [
    "AddNoise",
    "AddReverb",
    "AudioFileError",
    "ChangeSpeed",
    "EncodeCategory",
    "EncodeTokens",
    "LoadAudio",
    "RandomCrop",
    "UnfoldChunks",
]


class UnfoldChunks(Pipe):
    """Cuts every utterance into chunks of equal length.

    Afterwards the dataset consists of chunks with the ids ``<id>-0000``,
    ``<id>-0001``, … and the items ``unchunked_id``, ``chunk`` and ``chunk_start``, in
    seconds from the start of the utterance.

    Arguments
    ---------
    seconds : float
        Length of a chunk.
    step : float, optional
        Seconds between the starts of two chunks. Default: ``seconds``.
    min_seconds : float
        Minimum length of the last chunk; a shorter one is dropped.

    Example
    -------
    >>> from s3prl_sb.dataio.dataset import ManifestDataset
    >>> records = {"a": {"start": None, "stop": None, "duration": 2.5}}
    >>> dataset = ManifestDataset(records, [UnfoldChunks(1.0)], ["start", "stop"])
    >>> [dataset[i] for i in range(len(dataset))][-1]
    {'start': 2.0, 'stop': 2.5}
    """

    def __init__(
        self, seconds: float, step: float | None = None, min_seconds: float = 0.0
    ):
        self.seconds = float(seconds)
        self.step = self.seconds if step is None else float(step)
        self.min_seconds = float(min_seconds)
        if not (self.seconds > 0 and self.step > 0):
            raise ValueError(f"chunks of {seconds} s every {step} s: not positive")

    def add_to(self, dataset: ManifestDataset) -> None:
        """Replaces the utterances by their chunks."""
        chunks: dict[str, Mapping[str, Any]] = {}
        for key, record in dataset.data.items():
            if record.get("duration") is None:
                raise ManifestError(f"'{key}' has no duration, so no chunks: no 'wav'?")
            first = record["start"] or 0.0
            end = record["stop"] or first + record["duration"]
            starts = [first]
            while starts[-1] + self.step < end:
                starts.append(starts[-1] + self.step)
            for number, start in enumerate(starts):
                stop = min(start + self.seconds, end)
                if number and stop - start < max(self.min_seconds, 1e-6):
                    continue
                chunks[f"{key}-{number:04d}"] = {
                    **record,
                    "start": start,
                    "stop": stop,
                    "duration": stop - start,
                    "unchunked_id": key,
                    "chunk": number,
                    "chunk_start": start - first,
                }
        dataset.replace(chunks, ["unchunked_id", "chunk", "chunk_start"])


class EncodeCategory(Pipe):
    """Encodes a label as a number: item ``<key>_encoded``.

    Arguments
    ---------
    encoder : speechbrain.dataio.encoder.CategoricalEncoder
        Encoder, fitted on the training set.
    key : str
        Item that holds the label.

    Example
    -------
    >>> from speechbrain.dataio.encoder import CategoricalEncoder
    >>> from s3prl_sb.dataio.dataset import ManifestDataset
    >>> encoder = CategoricalEncoder()
    >>> encoder.update_from_iterable(["no", "yes"])
    >>> dataset = ManifestDataset({"a": {"label": "yes"}})
    >>> dataset.add_pipe(EncodeCategory(encoder))
    >>> dataset.set_output_keys(["label_encoded"])
    >>> dataset[0]
    {'label_encoded': 1}
    """

    def __init__(self, encoder: CategoricalEncoder, key: str = "label"):
        self.encoder, self.key = encoder, key

    def add_to(self, dataset: ManifestDataset) -> None:
        """Adds the number of the label."""
        dataset.add_dynamic_item(self.encode, [self.key], f"{self.key}_encoded")

    def encode(self, label: str) -> int:
        """Returns the number of a label."""
        numbers = self.encoder.lab2ind
        if label not in numbers:
            raise ValueError(
                f"the label '{label}' does not occur in the training set, whose "
                f"{len(numbers)} labels are {', '.join(map(str, list(numbers)[:10]))}"
                + (", …" if len(numbers) > 10 else "")
            )
        return numbers[label]


class EncodeTokens(Pipe):
    """Encodes a transcription: items ``tokens_list``, ``tokens`` and ``reference``, the
    normalized text that predictions are compared with.

    All texts are encoded once when the pipe is added, so that texts that cannot be
    encoded are reported before the training.

    Arguments
    ---------
    tokenizer : s3prl_sb.dataio.tokenizer.Tokenizer
        The tokenizer.
    key : str
        Item that holds the transcription.
    prefix : str
        Prefix of the names of the items, for a second text of the utterance.

    Example
    -------
    >>> from s3prl_sb.dataio.dataset import ManifestDataset
    >>> from s3prl_sb.dataio.tokenizers import CharacterTokenizer
    >>> dataset = ManifestDataset({"a": {"text": "an egg"}})
    >>> dataset.add_pipe(EncodeTokens(CharacterTokenizer()))
    >>> dataset.set_output_keys(["tokens_list"])
    >>> dataset[0]
    {'tokens_list': [7, 9, 4, 5, 21, 21, 4, 2]}
    """

    def __init__(self, tokenizer: "Tokenizer", key: str = "text", prefix: str = ""):
        self.tokenizer, self.key, self.prefix = tokenizer, key, prefix

    def add_to(self, dataset: ManifestDataset) -> None:
        """Checks all texts, and adds the items."""
        faults = []
        for name, record in dataset.data.items():
            try:
                self.tokenizer.encode(record[self.key])
            except ValueError as fault:
                faults.append(f"utterance '{name}' ({record.get('wav')}): {fault}")
        if faults:
            way_out = "Correct these texts, or leave them out."
            raise ManifestError.listing(faults, way_out, len(dataset.data))
        tokenizer, first = self.tokenizer, f"{self.prefix}tokens_list"
        dataset.add_dynamic_item(tokenizer.encode, [self.key], first)
        dataset.add_dynamic_item(torch.LongTensor, [first], f"{self.prefix}tokens")
        name = f"{self.prefix}reference"
        dataset.add_dynamic_item(tokenizer.normalize, [self.key], name)
