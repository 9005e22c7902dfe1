"""Data pipes: small callables that add items to a dataset, composed in YAML.

A pipe is called with a :class:`~s3prl_sb.dataio.dataset.ManifestDataset`. One
that provides an item which exists already refines it: ``LoadAudio`` then
``RandomCrop`` then ``AddNoise`` all provide ``sig``. ``variants(record)`` says
in how many forms an utterance comes, None for endlessly many: only what comes
in finitely many forms can be cached. Form k is the one of ``draw`` k.

Authors
 * The s3prl_sb developers, 2026
"""

import functools
from pathlib import Path

import torch

from s3prl_sb.audio.audio_names import only_audio
from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.audio import AudioFileError, LoadAudio
from s3prl_sb.dataio.dataset import Pipe, generator

__all__ = [
    "AddNoise",
    "AudioFileError",
    "EncodeCategory",
    "EncodeTokens",
    "LoadAudio",
    "RandomCrop",
    "UnfoldChunks",
]


class RandomCrop(Pipe):
    """Crops longer waveforms at a random place: refines ``sig``.

    Arguments
    ---------
    seconds : float
        Length of the crop; what is shorter stays whole.
    crops : int, optional
        Choose among this many fixed places of each utterance, the same for all
        seeds: features can be cached, and are shared. Default: a new place each time.
    sample_rate : int
        Hz of ``sig``.
    seed : int
        Of places that are new each time.

    Example
    -------
    >>> crop = RandomCrop(seconds=1, sample_rate=4)
    >>> crop.cut(torch.arange(40), "a", draw=3).shape
    torch.Size([4])
    """

    audio = True

    def __init__(self, seconds, crops=None, sample_rate=16000, seed=0):
        self.seconds, self.samples = seconds, round(seconds * sample_rate)
        self.sample_rate = sample_rate
        self.crops, self.seed = crops, None if crops else seed

    def variants(self, record):
        """One of what is short enough, else as many as there are places."""
        return 1 if record["duration"] <= self.seconds else self.crops

    def __call__(self, dataset):
        dataset.add_dynamic_item(self.cut, ["sig", "id", "draw"], "sig")

    def cut(self, sig, utterance, draw):
        """[samples] -> at most ``seconds`` of it."""
        spare = len(sig) - self.samples
        if spare <= 0:
            return sig
        if self.crops:
            draw %= self.crops
        random = generator(f"{self.seed}|crop", utterance, draw)
        start = int(torch.randint(spare + 1, (1,), generator=random))
        return sig[start : start + self.samples]


class AddNoise(Pipe):
    """Adds noise at a random signal-to-noise ratio: refines ``sig``.

    Arguments
    ---------
    snr : list of float
        Lowest and highest ratio, dB.
    files : str, optional
        A folder of noise recordings (searched at any depth). Default: white
        noise.
    probability : float
        Of an utterance to get noise.
    sample_rate : int
        Hz of ``sig``.
    seed : int
        Of the choices.

    Example
    -------
    >>> noisy = AddNoise(snr=[20, 20]).add(torch.ones(16000), "a", draw=0)
    >>> noise = noisy - 1
    >>> round(-10 * noise.pow(2).mean().log10().item())
    20
    """

    audio = True

    def __init__(self, snr, files=None, probability=1.0, sample_rate=16000, seed=0):
        self.low, self.high = map(float, snr)
        if self.low > self.high:
            raise ValueError(f"snr: the lowest comes first, not {list(snr)}")
        self.files, self.probability, self.seed = None, probability, seed
        self.loader, self.sample_rate = LoadAudio(sample_rate), sample_rate
        if files is not None:
            paths = sorted(Path(files).expanduser().rglob("[!.]*"))
            self.files = [str(path) for path in only_audio(paths, files)]
            if not self.files:
                raise ValueError(f"no noise recordings under '{files}'")

    def variants(self, record):
        """Endlessly many."""
        return None

    def __call__(self, dataset):
        dataset.add_dynamic_item(self.add, ["sig", "id", "draw"], "sig")

    def add(self, sig, utterance, draw):
        """[samples] -> [samples]."""
        random = generator(f"{self.seed}|noise", utterance, draw)
        if torch.rand(1, generator=random) >= self.probability:
            return sig
        ratio = self.low + (self.high - self.low) * torch.rand(1, generator=random)
        noise = self._noise(len(sig), random)
        loudness = noise.double().pow(2).mean()
        if loudness == 0:  # digital silence, which has no ratio to anything
            return sig
        power = sig.double().pow(2).mean() / loudness
        return sig + noise * (power * 10 ** (-ratio / 10)).sqrt().to(sig.dtype)

    def _noise(self, samples, random):
        if self.files is None:
            return torch.randn(samples, generator=random)
        path = self.files[int(torch.randint(len(self.files), (1,), generator=random))]
        noise = _cached_noise(self.loader, path)
        start = int(torch.randint(len(noise), (1,), generator=random))
        repeats = -(-(start + samples) // len(noise))
        return noise.repeat(repeats)[start : start + samples]


@functools.lru_cache(maxsize=16)
def _cached_noise(loader, path):
    return loader.load(f"noise {path}", path)


class UnfoldChunks(Pipe):
    """Cuts every utterance into chunks of equal length.

    The dataset then holds chunks: ids ``<id>-0000``, ``<id>-0001``, …, with
    the items ``unchunked_id`` and ``chunk``.

    Arguments
    ---------
    seconds : float
        Length of a chunk.
    step : float, optional
        From the start of one to the start of the next; default ``seconds``.
    min_seconds : float
        The last chunk is kept if it is at least so long.

    Example
    -------
    >>> from s3prl_sb.dataio.dataset import ManifestDataset
    >>> records = {"a": {"start": None, "stop": None, "duration": 2.5}}
    >>> dataset = ManifestDataset(records, [UnfoldChunks(1.0)], ["start", "stop"])
    >>> [dataset[i] for i in range(len(dataset))][-1]
    {'start': 2.0, 'stop': 2.5}
    """

    def __init__(self, seconds, step=None, min_seconds=0.0):
        self.seconds = float(seconds)
        self.step = self.seconds if step is None else float(step)
        self.min_seconds = float(min_seconds)
        if not (self.seconds > 0 and self.step > 0):
            raise ValueError(f"chunks of {seconds} s every {step} s: not positive")

    def __call__(self, dataset):
        chunks = {}
        for key, record in dataset.data.items():
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
                }
        dataset.data, dataset.data_ids = chunks, list(chunks)
        dataset.pipeline.add_static_keys(["unchunked_id", "chunk"])


class EncodeCategory(Pipe):
    """Turns a label into a number: item ``<key>_encoded``.

    Arguments
    ---------
    encoder : speechbrain.dataio.encoder.CategoricalEncoder
        Fitted on the training set.
    key : str
        The label's item.

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

    def __init__(self, encoder, key="label"):
        self.encoder, self.key = encoder, key

    def __call__(self, dataset):
        dataset.add_dynamic_item(self.encode, [self.key], f"{self.key}_encoded")

    def encode(self, label):
        """A label -> its number."""
        known = self.encoder.lab2ind
        if label not in known:
            raise ValueError(
                f"the label '{label}' does not occur in the training set, whose "
                f"{len(known)} labels are {', '.join(map(str, list(known)[:10]))}"
                + (", …" if len(known) > 10 else "")
            )
        return known[label]


class EncodeTokens(Pipe):
    """Turns a transcription into tokens: items ``tokens_list`` and ``tokens``; item
    ``reference`` is the text to compare with what a model says.

    All texts are encoded once when the pipe is added, so that one that cannot be is
    known before the training starts.

    Arguments
    ---------
    tokenizer : s3prl_sb.dataio.tokenizers.Tokenizer
        Encodes.
    key : str
        The transcription's item.

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

    def __init__(self, tokenizer, key="text"):
        self.tokenizer, self.key = tokenizer, key

    def __call__(self, dataset):
        faults = []
        for name, record in dataset.data.items():
            try:
                self.tokenizer.encode(record[self.key])
            except ValueError as fault:
                faults.append(f"utterance '{name}' ({record.get('wav')}): {fault}")
        if faults:
            way_out = "Correct these texts, or leave them out."
            raise manifest.ManifestError.listing(faults, way_out, len(dataset.data))
        dataset.add_dynamic_item(self.tokenizer.encode, [self.key], "tokens_list")
        dataset.add_dynamic_item(torch.LongTensor, ["tokens_list"], "tokens")
        dataset.add_dynamic_item(self.tokenizer.normalize, [self.key], "reference")
