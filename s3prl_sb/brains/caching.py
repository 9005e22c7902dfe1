"""Choice of the features to cache, and their extraction.

Pooled features and the frames of the test set are float32, so that the test scores
exactly what an export predicts. Frames of the training and validation sets are rounded
to the recipe's ``cache_dtype``.

Authors
 * The s3prl_sb developers, 2026
"""

import logging
import os

import torch
from speechbrain.utils.distributed import ddp_barrier, if_main_process

from s3prl_sb.brains.cache_budget import GB, budget
from s3prl_sb.dataio import extraction
from s3prl_sb.dataio.forms import CountsVariants
from s3prl_sb.identity import digest
from s3prl_sb.identity.upstreams import first_identity
from s3prl_sb.lobes.upstreams.features import AcousticFeatures
from s3prl_sb.startup.configuration import RecipeError
from s3prl_sb.startup.preconditions import can_pool
from s3prl_sb.terminal import quantities

logger = logging.getLogger(__name__)

KINDS = ("auto", "off", "pooled", "frames")
EXACT = "float32"  # the upstream's precision
DRAWS = 4  # fixed forms of an utterance, as in the settings that messages suggest


def use_cache(brain, splits):
    """Replaces audio by cached features.

    Arguments
    ---------
    brain : s3prl_sb.brains.base.SSLBrain
        Brain whose ``hparams`` have ``cache``, ``cache_budget``, ``cache_folder``,
        ``cache_dtype``, ``cache_processes``.
    splits : dict
        Names to :class:`~s3prl_sb.dataio.dataset.ManifestDataset`, changed in place:
        their examples get ``feats`` [frames, layers, size] instead of ``sig``.
    """
    kinds, identity, opened = {}, None, {}
    for name, dataset in splits.items():
        if "feats" in dataset.pipeline.output_mapping:
            continue  # an earlier Brain has replaced the audio
        kinds[name], reason = kind(brain, dataset, name)
        logger.info("Cache of the %s set: %s (%s)", name, kinds[name], reason)
        if kinds[name] != "off":
            # Hashing the weights takes seconds: once for all sets.
            identity = identity or digest(first_identity(brain.upstream))
            _cache(brain, dataset, name, kinds[name], identity, opened)
    if "pooled" in kinds.values() and without_means(brain.upstream):
        logger.warning(
            "The upstream normalizes each utterance, so all means over time are zero, "
            "and the head is linear up to that mean: it cannot learn from them. Take "
            "features without CMVN, such as fbank_no_cmvn, or another head."
        )
    if kinds.get("train") == "pooled" and brain.device == "cpu":
        # A step has so little work that a second thread slows it down, many times
        # over on busy cores.
        torch.set_num_threads(1)


def without_means(upstream):
    """Returns whether the mean over time of every feature is zero.

    Arguments
    ---------
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        Any upstream.

    Returns
    -------
    bool
        True for acoustic features after CMVN of each utterance.

    Example
    -------
    >>> from s3prl_sb.lobes.upstreams import load
    >>> without_means(load("fbank")), without_means(load("fbank_no_cmvn"))
    (True, False)
    """
    return isinstance(upstream, AcousticFeatures) and bool(upstream.cmvn)


def kind(brain, dataset, name="train"):
    """Returns the kind of cache for a dataset.

    Arguments
    ---------
    brain : s3prl_sb.brains.base.SSLBrain
        See :func:`use_cache`.
    dataset : s3prl_sb.dataio.dataset.ManifestDataset
        Data to cache.
    name : str
        Name of the split.

    Returns
    -------
    kind : str
        "off", "pooled" or "frames".
    reason : str
        Reason of the choice, in words.

    Raises
    ------
    RecipeError
        If the requested kind would not be exact.
    """
    wanted = getattr(brain.hparams, "cache", "off")
    if wanted not in KINDS:
        raise RecipeError(f"cache is {', '.join(KINDS[:-1])} or frames, not {wanted}")
    if wanted == "off":
        return "off", "as asked"
    obstacle = None
    if not brain.upstream.freeze:
        obstacle = "the upstream is trained"
    elif any(dataset.variants(i) is None for i in range(len(dataset))):
        obstacle = "its audio is another one each time it is loaded"
        if name == "train" and wanted == "auto":
            obstacle += endless_cost(vars(brain.hparams), dataset)
    if obstacle:
        if wanted != "auto":
            raise RecipeError(f"cache: {wanted} is impossible, {obstacle}.")
        return "off", obstacle
    chain = brain.raw_modules["featurizer"], brain.raw_modules["head"]
    pools = can_pool(wanted, *chain)
    if wanted != "auto":
        return wanted, "as asked"
    if pools:
        return "pooled", f"exact, {EXACT}: all before the mean over time is linear"
    chosen = dtype(brain, name, "frames")
    size = extraction.estimate(
        brain.upstream, dataset, "frames", chain[0].layers, chosen
    )
    folder = getattr(brain.hparams, "cache_folder", ".")
    what = (brain.upstream, dataset, chain[0].layers, chosen)
    room = budget(brain.hparams, *what, folder)
    if size > room.bytes:
        return "off", f"frames would take {size / GB:.0f} GB, over {room.reason}"
    how = "exact" if chosen == EXACT else "rounded"
    return "frames", f"{how}, {chosen}: {size / GB:.1f} GB, within {room.reason}"


def endless_cost(hparams, dataset):
    """Describes what a training set costs whose audio is never the same.

    Arguments
    ---------
    hparams : dict
        Settings of the recipe: numbers of steps, and sizes of batches.
    dataset : s3prl_sb.dataio.dataset.ManifestDataset
        The training set.

    Returns
    -------
    str
        Hours of audio that the upstream runs over in the whole training, and over a few
        fixed forms of each utterance instead, with the settings that fix them; empty if
        durations are unknown.
    """
    forms = [dataset.form_seconds(i, unlimited=DRAWS) for i in range(len(dataset))]
    if any(None in seconds for seconds in forms):
        return ""
    batch = hparams.get("batch_seconds")
    if batch is None:
        mean = sum(sum(each) / len(each) for each in forms) / len(forms)
        batch = mean * hparams.get("batch_size", 1)
    batches = hparams.get("total_steps", 1) * hparams.get("grad_accumulation_factor", 1)
    endless = [p for p in dataset.pipes if _is_endless(p, dataset)]
    ways = dict.fromkeys(getattr(pipe, "finite", "") for pipe in endless)
    text = f": the upstream runs over {quantities.audio(batches * batch)} in training"
    if "" in ways or not ways:  # a user-defined pipe, or a plain function
        return text
    once = quantities.audio(sum(map(sum, forms)))
    return f"{text}; with {', '.join(ways)} it runs over {once}, once"


def _is_endless(pipe, dataset):
    counts = isinstance(pipe, CountsVariants)
    return not counts or None in map(pipe.variants, dataset.data.values())


def dtype(brain, name, kind):
    """Returns the dtype of the cache of a dataset.

    Arguments
    ---------
    brain : s3prl_sb.brains.base.SSLBrain
        See :func:`use_cache`.
    name : str
        Name of the split.
    kind : str
        "pooled" or "frames".

    Returns
    -------
    str
        "float32" for pooled features, which are small, and for the test set;
        otherwise the recipe's ``cache_dtype``.
    """
    if kind == "pooled" or name == "test":
        return EXACT
    return getattr(brain.hparams, "cache_dtype", "float16")


def _cache(brain, dataset, name, kind, identity, opened):
    rank, processes = getattr(brain, "rank", 0), int(os.environ.get("WORLD_SIZE", 1))
    cache = extraction.extract(
        brain.upstream,
        dataset,
        brain.hparams.cache_folder,
        kind=kind,
        layers=brain.raw_modules["featurizer"].layers,
        dtype=dtype(brain, name, kind),
        device=brain.device,
        part=(rank, processes),
        identity=identity,
        opened=opened,
        again=False,  # the Brain has just looked at them, for their identity
        num_processes=getattr(brain.hparams, "cache_processes", 1),
        progressbar=if_main_process(),
    )
    ddp_barrier()
    cache.refresh()  # adds what the other processes have extracted
    extraction.replace_audio(dataset, cache)
