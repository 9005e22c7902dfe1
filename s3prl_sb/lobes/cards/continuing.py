"""Weights of an objective as the start of another pre-training with it.

Authors
 * The s3prl_sb developers, 2026
"""

import logging

import torch

from s3prl_sb import own
from s3prl_sb.lobes.cards.initializing import shortened
from s3prl_sb.lobes.cards.objective_files import NETWORK, ObjectiveFile, read_objective
from s3prl_sb.lobes.cards.places import card_of
from s3prl_sb.lobes.cards.sources import is_card

logger = logging.getLogger(__name__)


def continue_objective(
    objective: torch.nn.Module, source: str, wanted: bool = True
) -> list[str]:
    """Copies an objective's own weights from those beside a card of pre-training.

    They are prediction heads, quantizers, mask vectors, embeddings of units. All of
    them are copied, or none: only if the objective is the same and all names and shapes
    agree. The log says what is loaded, or what is left out and why.

    Arguments
    ---------
    objective : torch.nn.Module
        Objective with a ``network``, which is not changed.
    source : str
        See :func:`~s3prl_sb.lobes.cards.initializing.initialize_from`. Only cards of
        pre-training and folders of its runs have weights of an objective.
    wanted : bool
        Whether to copy. False: the log names what is left out.

    Returns
    -------
    list of str
        Names of the weights that were copied.

    Raises
    ------
    s3prl_sb.storage.files.FileError
        If the file of the weights is damaged.

    Example
    -------
    >>> from torch import nn
    >>> parts = {"network": nn.Linear(4, 2), "head": nn.Linear(2, 4)}
    >>> continue_objective(nn.ModuleDict(parts), "tera")  # a card without an objective
    []
    """
    ours = objective.state_dict()
    ours = {k: v for k, v in ours.items() if not k.startswith(NETWORK)}
    if not ours:
        return []
    saved = saved_objective(source)
    if saved is None:
        why = "init has none"
    elif not wanted:
        why = "init_objective is False"
    else:
        why = _difference(own.plain_name(type(objective)), ours, saved)
    if why or saved is None:
        names = sorted(ours if saved is None else saved.weights)
        end = "they stay random" if saved is None else "they are left out"
        logger.info(
            "init: weights of the objective, %s: %s, %s.", shortened(names), why, end
        )
        return []
    with torch.no_grad():
        for key, weight in ours.items():
            weight.copy_(saved.weights[key])
    logger.info("init: weights of the objective are copied: %s.", shortened(list(ours)))
    return list(ours)


def saved_objective(source: str) -> ObjectiveFile | None:
    """Returns the weights of an objective beside a source; None if there are none.

    Arguments
    ---------
    source : str
        See :func:`continue_objective`, also for the errors.

    Returns
    -------
    s3prl_sb.lobes.cards.objective_files.ObjectiveFile or None
    """
    source = card_of(source)
    return read_objective(source) if is_card(source) else None


def _difference(name, ours, saved):
    """Returns why weights do not fit an objective; an empty text if they do."""
    if saved.name != name:
        return f"init is of {saved.name}, and the objective is {name}"
    if ours.keys() != saved.weights.keys():
        names = sorted(ours.keys() ^ saved.weights.keys())
        return f"only one of both has {shortened(names)}"
    other = [
        f"{key} {list(saved.weights[key].shape)} instead of {list(weight.shape)}"
        for key, weight in ours.items()
        if saved.weights[key].shape != weight.shape
    ]
    return f"init has {'; '.join(other[:3])}" if other else ""
