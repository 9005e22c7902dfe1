"""Conditions of a cache, a search and a schedule, checked before data are read.

:mod:`s3prl_sb.startup.readiness` checks them early, and the Brains apply them.

Authors
 * The s3prl_sb developers, 2026
"""

import math
import os

from s3prl_sb.lobes.schedules import schedule_of
from s3prl_sb.schema.combinations import check_together
from s3prl_sb.startup.configuration import RecipeError


def can_pool(wanted, featurizer, head):
    """Returns whether features may be averaged over time before they are cached.

    Arguments
    ---------
    wanted : str
        Value of the recipe's key ``cache``.
    featurizer, head : torch.nn.Module
        Modules between the hidden states and the mean over time.

    Returns
    -------
    bool
        True if both are linear up to the mean.

    Raises
    ------
    RecipeError
        If ``wanted`` is "pooled" and pooling would not be exact.
    """
    from s3prl_sb.lobes.heads.pooling import is_poolable  # it loads torch

    linear = is_poolable(featurizer) and is_poolable(head)
    if wanted == "pooled" and not linear:
        raise RecipeError(
            "cache: pooled would not be exact: between the hidden states and the mean "
            "over time is something that is not linear. Use cache: frames."
        )
    return linear


def check_optimization(hparams):
    """Returns the schedule of the learning rate if the optimization is possible.

    Arguments
    ---------
    hparams : dict
        Settings of the recipe, with ``upstream_model``.

    Returns
    -------
    s3prl_sb.lobes.schedules.Schedule or None
        None if the learning rate never changes.

    Raises
    ------
    s3prl_sb.schema.declarations.KeysError
        For an impossible schedule.
    RecipeError
        For settings of a trained upstream while it is frozen.
    """
    # The upstream decides whether it is trained, whatever the key `freeze` says.
    if hparams["upstream_model"].freeze:
        for key in ("layer_decay", "unfreeze_after"):
            if hparams.get(key):
                raise RecipeError(
                    f"{key} {hparams[key]} is for a trained upstream, and this one is "
                    f"frozen: give freeze: False too, or leave out {key}."
                )
    return schedule_of(hparams)


def batches_of_a_process(hparams):
    """Returns the number of batches of an update in each process of a pre-training.

    Arguments
    ---------
    hparams : dict
        Settings of the recipe; ``grad_accumulation_factor`` counts the batches of an
        update over all processes.

    Returns
    -------
    int

    Raises
    ------
    RecipeError
        If the processes cannot share the batches equally.

    Example
    -------
    >>> batches_of_a_process({"grad_accumulation_factor": 4})
    4
    """
    batches = hparams.get("grad_accumulation_factor") or 1
    processes = int(os.environ.get("WORLD_SIZE", 1))
    if batches % processes:
        raise RecipeError(
            f"grad_accumulation_factor {batches} cannot be shared equally by "
            f"{processes} processes: it counts the batches of an update over all of "
            f"them. Give a multiple, such as {-(-batches // processes) * processes}, "
            "and lower batch_seconds to keep the audio of an update."
        )
    return batches // processes


def _check_one_process(key):
    """Raises an error if torchrun has started this process, as SpeechBrain sees it."""
    if {"RANK", "LOCAL_RANK"} <= os.environ.keys():
        raise RecipeError(f"{key} trains in one process: start it without torchrun.")


def check_search(hparams):
    """Returns the learning rates of ``lr_search`` if a search is possible.

    Arguments
    ---------
    hparams : dict
        Settings of the recipe, with ``lr_search`` and ``upstream_model``.

    Returns
    -------
    list of float

    Raises
    ------
    RecipeError
        For a value that is not a list of different learning rates, or for more than
        one process.
    """
    _check_one_process("lr_search")
    grid = hparams["lr_search"]
    try:
        rates = [float(rate) for rate in grid]
        valid = len(rates) > 0 and all(0 < r < math.inf for r in rates)
    except (TypeError, ValueError):
        valid = False
    if not valid or isinstance(grid, str):
        raise RecipeError(
            f"lr_search is a list of different learning rates, such as [0.1, 0.01], "
            f"not {grid}."
        )
    # The upstream decides whether it is trained, whatever the key `freeze` says.
    freeze = hparams["upstream_model"].freeze
    check_together({"lr_search": rates, "freeze": freeze})
    return rates


def check_layers(hparams):
    """Checks that each hidden state can be probed alone (``probe_layers``).

    Arguments
    ---------
    hparams : dict
        Settings of the recipe, with ``upstream_model``.

    Raises
    ------
    RecipeError
        For more than one process.
    s3prl_sb.schema.declarations.KeysError
        For an upstream that is trained.
    """
    _check_one_process("probe_layers")
    # The upstream decides whether it is trained, whatever the key `freeze` says.
    freeze = hparams["upstream_model"].freeze
    check_together({"probe_layers": True, "freeze": freeze})
