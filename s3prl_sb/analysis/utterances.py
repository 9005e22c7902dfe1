"""Hidden states of utterances, computed once and kept in the feature cache.

Authors
 * The s3prl_sb developers, 2026
"""

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch

from s3prl_sb.analysis.errors import AnalysisError
from s3prl_sb.dataio.cache import FeatureCache
from s3prl_sb.dataio.dataset import ManifestDataset
from s3prl_sb.dataio.extraction import audio_keys, extract
from s3prl_sb.dataio.manifest import Records
from s3prl_sb.dataio.pipes import LoadAudio
from s3prl_sb.dataio.records import completed
from s3prl_sb.feature_files.sources import records_of
from s3prl_sb.lobes.featurizer import chosen_layers

if TYPE_CHECKING:
    from s3prl_sb.lobes.upstreams.base import Upstream


def read_records(path: str | os.PathLike) -> Records:
    """Returns the records of a list or a folder of audio files.

    Arguments
    ---------
    path : str
        See :func:`s3prl_sb.feature_files.sources.records_of`: a table, a folder of
        audio, or a data folder of Kaldi.

    Returns
    -------
    dict
        ``{id: record}``.

    Raises
    ------
    s3prl_sb.errors.ManifestError
        If there is no audio, or for a fault in the list, with the line.

    Example
    -------
    >>> import tempfile, numpy, soundfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     soundfile.write(folder + "/a.wav", numpy.zeros(8000), 16000)
    ...     read_records(folder)["a"]["duration"]
    0.5
    """
    return completed(records_of(str(path)))


class HiddenStates:
    """Hidden states of utterances, mapped from the disk.

    Arguments
    ---------
    name : str
        Name of the upstream, for people.
    cache : s3prl_sb.dataio.cache.FeatureCache
        Cache with the frames of all utterances.
    keys : dict
        Ids of the utterances to their keys in the cache.
    layers : list of int
        Numbers of the hidden states in the cache, in order.
    stride_seconds : float
        Seconds from one frame to the next.
    """

    def __init__(
        self,
        name: str,
        cache: FeatureCache,
        keys: dict[str, str],
        layers: Sequence[int],
        stride_seconds: float,
    ):
        self.name, self.layers, self.stride_seconds = name, list(layers), stride_seconds
        self._cache, self._keys = cache, keys
        self._places: list[int] | None = None  # among those of the cache; None: all

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __contains__(self, utterance: str) -> bool:
        return utterance in self._keys

    def refresh(self) -> None:
        """Adds what other processes have extracted."""
        self._cache.refresh()

    def __getitem__(self, utterance: str) -> torch.Tensor:
        """Returns the frames of an utterance, [frames, layers, size]."""
        frames = self._cache[self._keys[utterance]]
        return frames if self._places is None else frames[:, self._places]

    def only(self, layer: int) -> "HiddenStates":
        """Returns one hidden state of the same utterances, by its number."""
        where = [self.layers.index(layer)]
        one = HiddenStates(
            self.name, self._cache, self._keys, [layer], self.stride_seconds
        )
        one._places = where if self._places is None else [self._places[where[0]]]
        return one


def hidden_states(
    upstream: "Upstream",
    records: Records,
    folder: str | os.PathLike,
    name: str,
    layers: Sequence[int] | None = None,
    dtype: str = "float16",
    device: str = "cpu",
    progressbar: bool = True,
) -> HiddenStates:
    """Computes the hidden states of utterances that a cache lacks.

    Arguments
    ---------
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        Frozen upstream. It runs once over each utterance, also after an interruption.
    records : dict
        ``{id: record}``, see :func:`read_records`.
    folder : str
        Folder of the caches; it may be the ``cache_folder`` of recipes.
    name : str
        Name of the upstream, for people.
    layers : list of int, optional
        Numbers of hidden states. Default: all.
    dtype : str
        "float16" or "float32", on the disk.
    device : str
        Device of the upstream.
    progressbar : bool
        Whether to show progress.

    Returns
    -------
    HiddenStates

    Raises
    ------
    AnalysisError
        If a hidden state does not exist.
    ValueError
        If the hidden states have different sizes.

    Example
    -------
    >>> import tempfile, numpy, soundfile
    >>> from s3prl_sb.lobes.upstreams import load
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     soundfile.write(folder + "/a.wav", numpy.random.randn(8000) / 9, 16000)
    ...     records = read_records(folder)
    ...     states = hidden_states(load("fbank"), records, folder, "fbank")
    ...     states["a"].shape, states.stride_seconds
    (torch.Size([48, 1, 240]), 0.01)
    """
    dataset = ManifestDataset(records, [LoadAudio(upstream.sample_rate)])
    options = {"dtype": dtype, "device": device, "progressbar": progressbar}
    return states_of(upstream, dataset, folder, name, layers, **options)


def states_of(
    upstream: "Upstream",
    dataset: ManifestDataset,
    folder: str | os.PathLike,
    name: str,
    layers: Sequence[int] | None = None,
    **options: Any,
) -> HiddenStates:
    """Computes the hidden states of a dataset that a cache lacks.

    Arguments
    ---------
    upstream, folder, name, layers
        See :func:`hidden_states`.
    dataset : s3prl_sb.dataio.dataset.ManifestDataset
        Utterances with the item ``sig``; each has one form.
    **options
        See :func:`s3prl_sb.dataio.extraction.extract`.

    Returns
    -------
    HiddenStates
        With ``part`` among the options, those of all parts once they are extracted and
        :meth:`~HiddenStates.refresh` is called.

    Raises
    ------
    AnalysisError
        If a hidden state does not exist.
    """
    try:
        wanted = "all" if layers is None else list(layers)
        chosen = chosen_layers(upstream.num_layers, wanted)
    except ValueError as error:
        raise AnalysisError(f"{name}, {error}.") from None
    cache = extract(upstream, dataset, folder, layers=chosen, **options)
    keys = {utterance: forms[0] for utterance, forms in audio_keys(dataset).items()}
    seconds = upstream.stride / upstream.sample_rate
    return HiddenStates(name, cache, keys, chosen, seconds)
