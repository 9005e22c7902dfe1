"""Last step of the recipe of pre-training: initial weights, training, results.

Authors
 * The s3prl_sb developers, 2026
"""

import logging
from typing import Any

from s3prl_sb.brains import settings
from s3prl_sb.brains.pretraining import PretrainingBrain
from s3prl_sb.brains.pretraining_data import digests
from s3prl_sb.identity.upstreams import first_identity
from s3prl_sb.lobes.cards.continuing import continue_objective
from s3prl_sb.lobes.cards.initializing import initialize_from
from s3prl_sb.lobes.networks.recomputation import recompute_layers

logger = logging.getLogger(__name__)


def pretrain(
    hparams: dict[str, Any], run_opts: dict[str, Any], splits: dict[str, Any]
) -> PretrainingBrain:
    """Pre-trains a network, and writes the card of its best checkpoint.

    Arguments
    ---------
    hparams : dict
        Settings of the recipe: ``upstream_model``, ``objective``, ``checkpointer``,
        ``epoch_counter``, the ``<split>_dataloader_opts`` and so on. ``init`` names an
        upstream whose weights the network begins with, and the objective too unless
        ``init_objective`` is False; a run that goes on has them in its checkpoints.
    run_opts : dict
        SpeechBrain's options.
    splits : dict
        "train" and "valid" to
        :class:`~s3prl_sb.unlabelled.dataset.UnlabelledDataset`.

    Returns
    -------
    PretrainingBrain

    Raises
    ------
    s3prl_sb.brains.settings.SettingsError
        Before any work, if the settings are invalid or the folder holds a run with
        other settings.
    """
    settings.check_numbers(hparams)
    network, checkpointer = hparams["upstream_model"], hparams["checkpointer"]
    first_identity(network)  # a run is identified by its settings, init among them
    is_debug = bool((run_opts or {}).get("debug"))
    resumes = settings.resumes(checkpointer) and not is_debug
    if resumes:
        settings.begin_with(hparams, digests(splits))
    if hparams.get("init") and not resumes:
        initialize_from(network, hparams["init"])
        wanted = hparams.get("init_objective", True)
        continue_objective(hparams["objective"], hparams["init"], wanted)
    if hparams.get("activation_checkpointing"):
        recompute_layers(network)
    brain = PretrainingBrain(hparams, run_opts, checkpointer)
    brain.use(splits)
    brain.fit(
        hparams["epoch_counter"],
        splits["train"],
        splits["valid"],
        train_loader_kwargs=hparams["train_dataloader_opts"],
        valid_loader_kwargs=hparams["valid_dataloader_opts"],
    )
    brain.finish()
    return brain
