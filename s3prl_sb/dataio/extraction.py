"""Extraction of a dataset's features with a frozen upstream into the feature cache.

The dataset is split into shards of some minutes of audio, or more. Shards are written
atomically, so a killed extraction resumes; their content does not depend on the
process, so any number of processes and machines can share the work.

Authors
 * The s3prl_sb developers, 2026
"""

import copy
import functools
import logging
import math
import os
import shutil
from pathlib import Path

import torch

from s3prl_sb.dataio import pool
from s3prl_sb.dataio.audio import AudioFileError
from s3prl_sb.dataio.cache import INT8, CacheError, FeatureCache
from s3prl_sb.dataio.description import (
    DESCRIPTION,
    describe,
    estimate,
    frame_bytes,
    frames,
    log_outdated,
)
from s3prl_sb.dataio.encoding_batches import batches
from s3prl_sb.dataio.features import compute
from s3prl_sb.dataio.forms import seconds_of_forms
from s3prl_sb.dataio.quantization import quantize
from s3prl_sb.dataio.shard_plan import ShardPlan, finite_forms, key_of
from s3prl_sb.dataio.sharing import complete, fill
from s3prl_sb.identity import digest
from s3prl_sb.identity.data import audio_hashes
from s3prl_sb.lobes.upstreams.base import AudioError
from s3prl_sb.storage import parts
from s3prl_sb.storage.files import write_json
from s3prl_sb.terminal import progress, quantities

__all__ = [
    "audio_keys",
    "describe",
    "estimate",
    "extract",
    "place",
    "replace_audio",
]

logger = logging.getLogger(__name__)


def extract(
    upstream,
    dataset,
    folder,
    kind="frames",
    layers=None,
    dtype="float16",
    device="cpu",
    num_processes=1,
    part=(0, 1),
    progressbar=True,
    identity=None,
    opened=None,
    again=True,
):
    """Extracts the features of a dataset that a cache lacks.

    Arguments
    ---------
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        Frozen upstream.
    dataset : s3prl_sb.dataio.dataset.ManifestDataset
        Dataset that provides ``sig`` in a finite number of forms.
    folder : str
        Folder of all caches; this one is a subfolder, named by its content.
    kind, layers, dtype
        See :func:`~s3prl_sb.dataio.description.describe`.
    device : str
        Device of the upstream.
    num_processes : int
        Number of processes on this machine, over all GPUs if ``device`` is "cuda".
        They share the threads, whose number may change the last bits.
    part : (int, int)
        Index and number of the parts: (rank, processes) under torchrun.
    progressbar : bool
        Whether to show progress.
    identity : str, optional
        Digest of the upstream's identity, if it has been computed already.
    opened : dict, optional
        Folders to the caches that the caller has opened already, such as for another
        set: they are not opened and verified again. This one is added.
    again : bool
        Whether to check which audio files have changed since the last look at them.
        Those whose features are missing are checked in any case.

    Returns
    -------
    FeatureCache

    Raises
    ------
    CacheError
        If the features cannot be cached, or the disk is too small.
    s3prl_sb.audio.loading.AudioFileError
        For an unusable audio file.
    """
    description = describe(upstream, dataset, kind, layers, dtype, identity)
    cache = open_cache(place(folder, description), description, opened)
    count = functools.partial(frames, upstream, kind)
    per_frame = frame_bytes(upstream, layers, dtype)
    shards = ShardPlan(dataset, count, per_frame, part)
    shards.keep_lacking(cache, progressbar, again)
    if not shards:
        return cache
    size, seconds = shards.frames * per_frame, shards.seconds
    logger.info(
        "Extracting %s features (%d x %d) of %d utterances, %s of audio: "
        "the cache will take %s in %s",
        kind,
        len(description["layers"]),
        description["size"],
        shards.utterances,
        quantities.audio(seconds),
        quantities.count(size, "B"),
        cache.folder,
    )
    if not os.access(cache.folder, os.W_OK):
        raise CacheError(
            f"{cache.folder} lacks features of {shards.utterances} utterances, and you "
            "may not write there. Choose another cache_folder."
        )
    free = shutil.disk_usage(cache.folder).free
    if size - cache.bytes() > free:
        needed, left = (quantities.count(number, "B") for number in (size, free))
        raise CacheError(
            f"The cache would take {needed}, and {cache.folder} has {left} left. "
            "Choose another cache_folder, cache: off, or fewer layers."
        )
    bar = progress.bar(
        desc=f"Extracting {kind} features",
        total=math.ceil(seconds),
        unit="s of audio",
        bar_format="{l_bar}{bar}| {n:.0f}/{total} s of audio [{elapsed}<{remaining}]",
        disable=not progressbar,
    )
    with bar:
        _Job(upstream, dataset, description, device, cache).run(
            shards, num_processes, bar.update
        )
    return cache


def place(folder, description):
    """Returns the folder of a cache.

    Arguments
    ---------
    folder : str
        Folder of all caches.
    description : dict
        See :func:`~s3prl_sb.dataio.description.describe`.

    Returns
    -------
    pathlib.Path
    """
    title = f"{description['upstream']}-{description['kind']}"
    return Path(folder) / f"{title}-{digest(description)[:12]}"


def open_cache(folder, description, opened=None):
    """Opens a cache, unless the caller has.

    Arguments
    ---------
    folder : pathlib.Path
        Folder of the cache.
    description : dict
        See :func:`~s3prl_sb.dataio.description.describe`.
    opened : dict, optional
        Folders to opened caches; this one is added.

    Returns
    -------
    FeatureCache
    """
    opened = {} if opened is None else opened
    if folder in opened:
        opened[folder].refresh()
        return opened[folder]
    cache = opened[folder] = FeatureCache(folder, description)
    parts.clear(folder)
    if not (folder / DESCRIPTION).exists():  # for people
        write_json(folder / DESCRIPTION, description)
    log_outdated(folder, description)
    return cache


def audio_keys(dataset, progressbar=False, again=True):
    """Returns the keys of all utterances of a dataset.

    Arguments
    ---------
    dataset : s3prl_sb.dataio.dataset.ManifestDataset
        The data.
    progressbar : bool
        Whether to show progress while audio files are hashed.
    again : bool
        Whether to check again which files have changed.

    Returns
    -------
    dict
        Ids to the keys of their forms, in order.

    Raises
    ------
    CacheError
        If the number of forms of an utterance is unlimited.
    s3prl_sb.audio.loading.AudioFileError
        If a file does not exist; the message names the utterance.
    """
    hashes, keys = audio_hashes(dataset, progressbar, again), {}
    for position, utterance in enumerate(dataset.data_ids):
        record, draws = dataset.data[utterance], len(finite_forms(dataset, position))
        keys[utterance] = [key_of(utterance, record, d, hashes) for d in range(draws)]
    return keys


def check_finite(features, name, dtype):
    """Checks that the features of an utterance are finite in their type.

    Arguments
    ---------
    features : torch.Tensor
        Any shape.
    name : str
        Name of the utterance in the message.
    dtype : str
        Name of the type.

    Raises
    ------
    CacheError
        If one is not finite.
    """
    if not torch.isfinite(features).all():
        raise CacheError(
            f"utterance {name} has features that are not finite as {dtype}, though "
            "they are as computed. Choose cache_dtype: float32."
        )


def replace_audio(dataset, cache, finite=None, other=None):
    """Replaces the audio of a dataset by cached features.

    Arguments
    ---------
    dataset : s3prl_sb.dataio.dataset.ManifestDataset
        Changed in place: examples get ``feats`` [frames, layers, size] instead of
        ``sig``.
    cache : FeatureCache
        Cache with all utterances of the dataset, or of ``finite``.
    finite : s3prl_sb.dataio.dataset.ManifestDataset, optional
        The part of the dataset that is cached.
    other : callable, optional
        Maps the id of any other utterance and a draw to the item ``feats``.
    """
    # A key takes microseconds: a table of all would be the larger part of the memory.
    hashes, pipes = audio_hashes(finite or dataset, again=False), list(dataset.pipes)

    def feats(utterance, draw):
        record = dataset.data[utterance]
        forms = seconds_of_forms(pipes, record)
        if forms is None:
            return other(utterance, draw)
        return cache[key_of(utterance, record, draw % len(forms), hashes)]

    dataset.add_dynamic_item(feats, ["id", "draw"], "feats")
    outputs = dict(dataset.pipeline.output_mapping)
    outputs.pop("sig", None)
    dataset.set_output_keys({**outputs, "feats": "feats"})


class _Job:
    """Computes the features of shards, in this process or in others."""

    tick = None

    def __init__(self, upstream, dataset, description, device, cache):
        self.upstream, self.dataset = upstream, dataset
        self.description, self.device = description, device
        self.folder, self.cache, self.ticked = cache.folder, cache, 0.0

    def __getstate__(self):
        """Leaves out what grows with the dataset: shards bring their records."""
        dataset = copy.copy(self.dataset)
        dataset.__dict__.pop("_audio_hashes", None)
        dataset.data, dataset.data_ids = {}, []
        return {**vars(self), "dataset": dataset, "cache": None}

    def run(self, shards, num_processes, tick):
        """Completes the cache; calls ``tick`` with seconds of audio that are done."""

        def finished(shard):
            tick(sum(item["seconds"] for item in shard) - self.ticked)
            self.ticked = 0.0

        if num_processes > 1:
            with pool.processes(self, num_processes, self.folder) as submit:
                # One more than the processes, so that none is idle.
                fill(self.cache, shards, submit, num_processes + 1, finished)
            return
        self.tick = tick
        self.upstream.to(self.device)
        fill(self.cache, shards, pool.here(self), 1, finished)

    def begin(self, number, processes):
        """Prepares the ``number``-th worker process."""
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // processes))
        if self.device.startswith("cuda"):
            self.device = f"cuda:{number % torch.cuda.device_count()}"
        self.upstream.to(self.device)

    def __call__(self, shard):
        """Completes a shard, see :func:`~s3prl_sb.dataio.sharing.complete`."""
        if self.cache is not None:
            return complete(self.cache, shard, self.entries)
        # A worker knows no shards but its own: memory does not grow with the cache.
        cache = FeatureCache(self.folder, self.description, opens=False)
        return complete(cache, shard, self.entries)

    def entries(self, shard):
        """Returns the (key, id, features) of each utterance of a shard."""
        entries = []
        with self.dataset.output_keys_as(["sig"]):
            for batch in batches(shard, self.device):
                wavs = [self._waveform(item) for item in batch]
                entries += self._features(batch, wavs)
                self._tick(sum(item["seconds"] for item in batch))
        return entries

    def _waveform(self, item):
        example = {"id": item["id"], "draw": item["draw"], **item["record"]}
        return self.dataset.pipeline.compute_outputs(example)["sig"]

    def _tick(self, seconds):
        if self.tick is not None:  # not in a worker
            self.ticked += seconds
            self.tick(seconds)

    def _features(self, items, wavs):
        kind, layers, dtype = (self.description[n] for n in ("kind", "layers", "dtype"))
        is_int8 = dtype == INT8
        options = (kind, layers, "float32" if is_int8 else dtype)
        try:
            features = compute(self.upstream, wavs, *options, self.device)
        except AudioError as error:
            item = items[error.index]
            raise AudioFileError(
                f"utterance '{item['id']}' ({item['record']['wav']}) {error.reason}"
            ) from error
        for item, feats in zip(items, features):
            name = f"'{item['id']}' ({item['record']['wav']})"
            check_finite(feats, name, dtype)
            # Quantized here: a whole shard in float32 takes four times the memory.
            yield item["key"], item["id"], quantize(feats) if is_int8 else feats
