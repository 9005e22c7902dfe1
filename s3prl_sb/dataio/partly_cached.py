"""Datasets of which a cache has some utterances: those whose forms are finite.

A random crop leaves short utterances whole. These are cached, and the upstream encodes
the crops of the others in each batch, rounded as the cache rounds.

Authors
 * The s3prl_sb developers, 2026
"""

import copy
from typing import NamedTuple

import torch

from s3prl_sb.dataio import extraction
from s3prl_sb.dataio.audio import AudioFileError
from s3prl_sb.dataio.cache import INT8
from s3prl_sb.dataio.collation import collate
from s3prl_sb.dataio.features import compute
from s3prl_sb.dataio.quantization import quantize, restore
from s3prl_sb.lobes.upstreams.base import AudioError


class Uncached(NamedTuple):
    """Waveform whose features are computed with the batch.

    Arguments
    ---------
    sig : torch.Tensor
        [samples].
    """

    sig: torch.Tensor


def divided(dataset):
    """Returns the utterances with a finite number of forms, and the others.

    Arguments
    ---------
    dataset : s3prl_sb.dataio.dataset.ManifestDataset
        Any dataset.

    Returns
    -------
    finite, endless : ManifestDataset or None
        Views of the dataset; None instead of an empty one.

    Example
    -------
    >>> from s3prl_sb.dataio.dataset import ManifestDataset
    >>> from s3prl_sb.dataio.pipes import LoadAudio, RandomCrop
    >>> place = {"wav": "a.wav", "start": None, "stop": None}
    >>> records = {f"{n} s": {**place, "duration": n} for n in (2, 9, 3)}
    >>> dataset = ManifestDataset(records, [LoadAudio(), RandomCrop(8)])
    >>> [part.data_ids for part in divided(dataset)]
    [['2 s', '3 s'], ['9 s']]
    """
    parts = [], []
    for index, utterance in enumerate(dataset.data_ids):
        parts[dataset.variants(index) is None].append(utterance)
    return tuple(_part(dataset, ids) for ids in parts)


def _part(dataset, ids):
    if len(ids) == len(dataset):
        return dataset
    part = copy.copy(dataset)
    if ids:
        part.keep(ids)
    return part if ids else None


class Completion:
    """Collation that encodes the waveforms among the features of examples.

    Arguments
    ---------
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        Frozen upstream.
    device : str
        Device of the upstream.
    kind, layers, dtype
        See :func:`~s3prl_sb.dataio.description.describe`.
    """

    def __init__(self, upstream, device, kind, layers, dtype):
        self.upstream, self.device = upstream, device
        self.kind, self.layers, self.dtype = kind, layers, dtype

    def __call__(self, examples):
        """Returns the batch of examples, all with features."""
        waiting = [each for each in examples if isinstance(each["feats"], Uncached)]
        if waiting:
            features = self.encoded(waiting)
            for example, feats in zip(waiting, features):
                example["feats"] = feats
        return collate(examples)

    def encoded(self, examples):
        """Returns features as a cache returns them.

        Arguments
        ---------
        examples : list of dict
            Examples with :class:`Uncached` as ``feats``.

        Returns
        -------
        list of torch.Tensor
            [frames_i, layers, size].

        Raises
        ------
        s3prl_sb.audio.loading.AudioFileError
            For unusable audio.
        s3prl_sb.dataio.cache.CacheError
            If features are not finite as they are rounded.
        """
        exact = "float32" if self.dtype == INT8 else self.dtype
        wavs = [each["feats"].sig for each in examples]
        options = self.kind, self.layers, exact, self.device
        try:
            with torch.no_grad():
                features = compute(self.upstream.to(self.device), wavs, *options)
        except AudioError as error:
            name = examples[error.index]["id"]
            raise AudioFileError(f"utterance '{name}' {error.reason}") from error
        for each, feats in zip(examples, features):
            extraction.check_finite(feats, f"'{each['id']}'", self.dtype)
        if self.dtype == INT8:
            return [restore(quantize(feats)) for feats in features]
        return features


def replace_audio(dataset, finite, cache, completion):
    """Replaces the audio of a dataset by features, some of which are cached.

    Arguments
    ---------
    dataset : s3prl_sb.dataio.dataset.ManifestDataset
        Changed in place, see :func:`~s3prl_sb.dataio.extraction.replace_audio`; its
        ``collate`` becomes ``completion``.
    finite : s3prl_sb.dataio.dataset.ManifestDataset
        Its utterances that are cached.
    cache : s3prl_sb.dataio.cache.FeatureCache
        Cache with these utterances.
    completion : Completion
        Encodes the others.
    """

    def uncached(utterance, draw):
        example = {"id": utterance, "draw": draw, **dataset.data[utterance]}
        return Uncached(dataset.pipeline.compute_specific(["sig"], example)["sig"])

    extraction.replace_audio(dataset, cache, finite, uncached)
    dataset.collate = completion
