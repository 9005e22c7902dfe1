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

from s3prl_sb.brains import cache_kinds
from s3prl_sb.brains.cache_budget import AUTO, DEFAULT, GB, Disk, budget
from s3prl_sb.dataio import extraction, partly_cached
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
LEAST = 0.25  # share of a training's audio for which a part of it is cached
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
    before = cache_kinds.recalled(vars(brain.hparams))
    for name, dataset in splits.items():
        if "feats" in dataset.pipeline.output_mapping:
            continue  # an earlier Brain has replaced the audio
        how = {"opened": opened, "before": before.get(name)}
        kinds[name], reason = kind(brain, dataset, name, **how)
        logger.info("Cache of the %s set: %s (%s)", name, kinds[name], reason)
        if kinds[name] != "off":
            # Hashing the weights takes seconds: once for all sets.
            identity = identity or digest(first_identity(brain.upstream))
            _cache(brain, dataset, name, kinds[name], identity, opened)
    if not getattr(brain, "debug", False):
        cache_kinds.record(vars(brain.hparams), {**before, **kinds})
    if "pooled" in kinds.values() and without_means(brain.upstream):
        logger.warning(
            "The upstream normalizes each utterance, so all means over time are zero, "
            "and the head is linear up to that mean: it cannot learn from them. Take "
            "features without CMVN, such as fbank_no_cmvn, or another head."
        )
    is_pooled = kinds.get("train") == "pooled" and brain.device == "cpu"
    if is_pooled and splits["train"].collate is None:  # no upstream in the batches
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


def kind(brain, dataset, name="train", disk=None, opened=None, before=None):
    """Returns the kind of cache for a dataset.

    Arguments
    ---------
    brain : s3prl_sb.brains.base.SSLBrain
        See :func:`use_cache`.
    dataset : s3prl_sb.dataio.dataset.ManifestDataset
        Data to cache.
    name : str
        Name of the split.
    disk : s3prl_sb.brains.cache_budget.Disk, optional
        Disk of the caches. Default: that of ``cache_folder``.
    opened : dict, optional
        See :func:`~s3prl_sb.dataio.extraction.extract`.
    before : str, optional
        Kind that the run has been trained with until now, see
        :mod:`~s3prl_sb.brains.cache_kinds`.

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
    finite, endless = partly_cached.divided(dataset)
    share = _share(finite, dataset) if name == "train" and wanted == "auto" else 0
    obstacle = None
    if not brain.upstream.freeze:
        obstacle = "the upstream is trained"
    elif endless is not None and share < LEAST:
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
    part = "" if endless is None else f"; {_words(finite, dataset, share)}"
    if pools:
        how = f"exact, {EXACT}: all before the mean over time is linear"
        return "pooled", how + part
    if before in ("off", "frames"):
        return before, "as before, since rounding may differ"
    kept, how = _frames(brain, finite, name, disk, opened)
    return kept, how + part * (kept != "off")


def _frames(brain, dataset, name, disk, opened):
    """Returns whether frames of a dataset are kept, and the reason."""
    layers, chosen = (
        brain.raw_modules["featurizer"].layers,
        dtype(brain, name, "frames"),
    )
    size = extraction.estimate(brain.upstream, dataset, "frames", layers, chosen)
    disk = disk or Disk(getattr(brain.hparams, "cache_folder", "."))
    what = (brain.upstream, [dataset], layers, chosen)
    room = budget(brain.hparams, *what, disk, opened)
    if size > room.bytes:
        return "off", f"frames would take {_size(size)}, over {room.reason}"
    if name == "train" and _is_short(brain, dataset, size):
        return "off", f"frames would take {_size(size)} for less than one pass"
    how = "exact" if chosen == EXACT else "rounded"
    return "frames", f"{how}, {chosen}: {_size(size)}, within {room.reason}"


def _size(number):
    return quantities.count(number, "B")


def _share(finite, dataset):
    """Returns the share of a training's audio that has a finite number of forms."""
    if finite is None or finite is dataset:
        return float(finite is not None)
    seconds = [
        sum(
            sum(forms) / len(forms)
            for forms in (part.form_seconds(i, unlimited=1) for i in range(len(part)))
        )
        for part in (finite, dataset)
    ]
    return seconds[0] / seconds[1]


def _words(finite, dataset, share):
    return (
        f"{len(finite)} of {len(dataset)} utterances, {100 * share:.0f} % of the "
        "audio; the others are cropped at another place each time, and encoded in "
        "each batch"
    )


def _is_short(brain, dataset, size):
    """Returns whether a training does not hear all of a large training set once."""
    automatic = getattr(brain.hparams, "cache_budget", None) == AUTO
    if not automatic or size <= DEFAULT * GB:
        return False
    forms = [dataset.form_seconds(i) for i in range(len(dataset))]
    once = sum(sum(seconds) / len(seconds) for seconds in forms)
    return trained_seconds(vars(brain.hparams), once / len(forms)) < once


def trained_seconds(hparams, mean):
    """Returns the seconds of audio in all batches of a training.

    Arguments
    ---------
    hparams : dict
        Settings of the recipe: numbers of steps, and sizes of batches.
    mean : float
        Mean duration of an example, seconds.

    Returns
    -------
    float

    Example
    -------
    >>> trained_seconds({"total_steps": 100, "batch_size": 4}, 2.5)
    1000.0
    """
    batch = hparams.get("batch_seconds") or mean * hparams.get("batch_size", 1)
    batches = hparams.get("total_steps", 1) * hparams.get("grad_accumulation_factor", 1)
    return batches * batch


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
    mean = sum(sum(each) / len(each) for each in forms) / len(forms)
    heard = quantities.audio(trained_seconds(hparams, mean))
    endless = [p for p in dataset.pipes if _is_endless(p, dataset)]
    ways = dict.fromkeys(getattr(pipe, "finite", "") for pipe in endless)
    text = f": the upstream runs over {heard} in training"
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
    finite, endless = partly_cached.divided(dataset)
    what = kind, brain.raw_modules["featurizer"].layers, dtype(brain, name, kind)
    cache = extraction.extract(
        brain.upstream,
        dataset if endless is None else finite,
        brain.hparams.cache_folder,
        *what,
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
    if endless is None:
        extraction.replace_audio(dataset, cache)
        return
    completion = partly_cached.Completion(brain.upstream, brain.device, *what)
    partly_cached.replace_audio(dataset, finite, cache, completion)
