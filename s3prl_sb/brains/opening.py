"""The first lines of a run: task, upstream, modules, data and training.

Authors
 * The s3prl_sb developers, 2026
"""

import logging

import torch

from s3prl_sb.brains.course import planned
from s3prl_sb.brains.results import how_trained
from s3prl_sb.identity.data import seconds_of
from s3prl_sb.terminal import quantities

logger = logging.getLogger(__name__)

_described = set()  # output folders


def say(brain, splits):
    """Logs what will be trained, with which upstream and data; once for each run.

    Arguments
    ---------
    brain : speechbrain.Brain
        Brain with ``task``, ``upstream``, ``modules`` and ``hparams``.
    splits : dict
        Names to :class:`~s3prl_sb.dataio.dataset.ManifestDataset`.
    """
    lines = [f"Upstream: {upstream(brain)}", f"Data: {data(splits)}"]
    if getattr(brain.hparams, "total_steps", None) and getattr(brain, "trains", True):
        lines.insert(1, f"Trained: {trained(brain)}")
        lines.append(f"Training: {training(brain)}")
    say_once(brain, lines)


def say_once(brain, lines):
    """Logs the first lines of a run, unless they have been logged before a search.

    Arguments
    ---------
    brain : speechbrain.Brain
        Brain with ``task`` and ``hparams``.
    lines : list of str
        Lines after the one with the task and the folder.
    """
    folder = getattr(brain.hparams, "output_folder", None)
    if folder in _described:
        return
    _described.add(folder)
    place = f" in {folder}" if folder else ""
    for line in [f"{brain.task or type(brain).__name__}{place}", *lines]:
        logger.info("%s", line)


def upstream(brain, how=None):
    """Describes an upstream: its name, its size, and whether it is frozen.

    Arguments
    ---------
    brain : speechbrain.Brain
        See :func:`say`.
    how : str, optional
        How it is trained. Default: see :func:`~s3prl_sb.brains.results.how_trained`.

    Returns
    -------
    str
    """
    model = brain.upstream
    how = how or how_trained(model)
    if getattr(model, "adapter", None):
        how = f"adapted by {how}"
    name, kind = getattr(brain.hparams, "upstream_name", None), type(model).__name__
    words = f"{name} ({kind}), " if name else f"{kind}, "
    if isinstance(model, torch.nn.Module):
        number = _count(model)
        words += f"{number if number != '0' else 'no'} parameters, "
    if hasattr(model, "output_sizes"):
        sizes = ", ".join(map(str, dict.fromkeys(model.output_sizes)))
        states = "hidden state" if model.num_layers == 1 else "hidden states"
        shift = quantities.stride(model.stride, model.sample_rate)
        how += f"; {model.num_layers} {states} of {sizes}, every {shift}"
    return words + how


def trained(brain):
    """Describes the modules that are trained, with their sizes.

    Arguments
    ---------
    brain : speechbrain.Brain
        See :func:`say`.

    Returns
    -------
    str
    """
    words = []
    for name, module in getattr(brain, "raw_modules", brain.modules).items():
        inner = getattr(module, "module", module)  # under DDP
        number = _count(inner, trained=True)
        if number != "0":
            words.append(f"{name} ({type(inner).__name__}, {number} parameters)")
    return ", ".join(words) or "nothing"


def data(splits):
    """Describes the size of each split.

    Arguments
    ---------
    splits : dict
        See :func:`say`.

    Returns
    -------
    str
    """
    words = []
    for name, dataset in splits.items():
        seconds = seconds_of(dataset)
        long = f", {quantities.audio(seconds)}" if seconds else ""
        words.append(f"{name} {len(dataset):,} utterances{long}")
    return "; ".join(words)


def training(brain):
    """Describes steps, batches, learning rate, metric and device.

    Arguments
    ---------
    brain : speechbrain.Brain
        See :func:`say`.

    Returns
    -------
    str
    """
    hparams = brain.hparams
    if getattr(hparams, "batch_seconds", None):
        batch = f"{hparams.batch_seconds:g} s of audio"
    else:
        batch = f"{hparams.batch_size} utterances"
    total, epoch = planned(brain)
    words = [f"{total:,} updates of {batch}"]
    if isinstance(getattr(hparams, "lr", None), (int, float)):
        words.append(f"lr {hparams.lr:g}")
    if getattr(brain, "schedule", None):
        words.append(str(brain.schedule))
    words.append(f"a validation every {epoch:,}")
    if brain.metric:
        best = "highest" if brain.higher_is_better else "lowest"
        words.append(f"the {best} {brain.metric} is kept")
    return f"{', '.join(words)}; on {brain.device}"


def _count(module, trained=False):
    parameters = (p for p in module.parameters() if p.requires_grad or not trained)
    return quantities.count(sum(parameter.numel() for parameter in parameters))
