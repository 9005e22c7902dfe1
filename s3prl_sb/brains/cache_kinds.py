"""Kinds of the caches of a run, which it keeps when it resumes.

With ``cache: auto`` they depend on the free disk, and rounded frames train other bits
than the upstream itself.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from speechbrain.utils.distributed import if_main_process

from s3prl_sb.brains.checkpoint_files import is_checkpoint
from s3prl_sb.brains.settings import LEARNED_FROM
from s3prl_sb.storage.files import read_json, write_json

FILE = "cache.json"  # in the output folder


def recalled(hparams: Mapping[str, Any]) -> dict[str, str]:
    """Returns the kinds that a run has been trained with.

    Arguments
    ---------
    hparams : dict
        Settings of a recipe, with ``output_folder`` and ``save_folder``.

    Returns
    -------
    dict
        "train" and "valid" to kinds; empty for a run without a checkpoint, also of its
        search of learning rates, as it may begin in another way.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> hparams = {"output_folder": folder, "save_folder": folder / "save"}
    >>> record(hparams, {"train": "frames", "valid": "off", "test": "off"})
    >>> recalled(hparams)
    {}
    >>> (folder / "save/CKPT+1").mkdir(parents=True)
    >>> recalled(hparams)
    {'train': 'frames', 'valid': 'off'}
    """
    if not {"output_folder", "save_folder"} <= hparams.keys():
        return {}
    path = Path(hparams["output_folder"]) / FILE
    saved = Path(hparams["save_folder"]).rglob("CKPT*")
    if not path.exists() or not any(map(is_checkpoint, saved)):
        return {}
    fix = "Delete it to choose the caches again: their rounding may differ."
    return read_json(path, "the kinds of the caches of a run", fix, kind=dict)


def record(hparams: Mapping[str, Any], kinds: dict[str, str]) -> None:
    """Writes the kinds of the sets that a run learns from, if there are any.

    Arguments
    ---------
    hparams : dict
        See :func:`recalled`.
    kinds : dict
        Names of sets to kinds.
    """
    kinds = {name: kinds[name] for name in LEARNED_FROM if name in kinds}
    is_new = kinds and kinds != recalled(hparams)
    if is_new and "save_folder" in hparams and if_main_process():
        write_json(Path(hparams["output_folder"]) / FILE, kinds)
