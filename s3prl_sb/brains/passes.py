"""Numbers of updates from numbers of passes over the training set.

Authors
 * The s3prl_sb developers, 2026
"""

import os

from s3prl_sb.startup.configuration import RecipeError


def with_passes(hparams, splits):
    """Returns settings whose steps are updates, also where they are given as passes.

    With ``passes: True`` the keys ``total_steps`` and ``steps_per_epoch`` count passes
    over the training set. A pass has as few updates as ``batch_size`` allows, and all
    its batches are equally large.

    Arguments
    ---------
    hparams : dict
        Settings of a recipe.
    splits : dict
        "train" to the training set.

    Returns
    -------
    dict
        Settings with other ``total_steps``, ``steps_per_epoch``, ``batch_size``; the
        same ones without ``passes``.

    Raises
    ------
    RecipeError
        For batches by seconds.

    Example
    -------
    >>> hparams = {"passes": True, "total_steps": 30, "steps_per_epoch": 3}
    >>> hparams |= {"batch_size": 1024, "train_dataloader_opts": {"batch_size": 1024}}
    >>> hparams = with_passes(hparams, {"train": range(1200)})
    >>> hparams["total_steps"], hparams["steps_per_epoch"], hparams["batch_size"]
    (60, 6, 600)
    """
    if not hparams.get("passes"):
        return hparams
    if hparams.get("batch_seconds"):
        raise RecipeError(
            "passes: True counts batches of batch_size clips: give batch_seconds: null,"
            " or passes: False."
        )
    size, factor = len(splits["train"]), hparams.get("grad_accumulation_factor", 1)
    updates = -(-size // (hparams["batch_size"] * factor))
    batch = -(-size // (updates * factor))
    processes = int(os.environ.get("WORLD_SIZE", 1))
    batch = -(-batch // processes) * processes
    loader = {**hparams["train_dataloader_opts"], "batch_size": batch}
    changed = {
        name: hparams[name] * updates for name in ("total_steps", "steps_per_epoch")
    }
    return type(hparams)(
        {**hparams, **changed, "batch_size": batch, "train_dataloader_opts": loader}
    )
