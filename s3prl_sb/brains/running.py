"""Last step of every recipe: training, choice of the checkpoint, test.

Authors
 * The s3prl_sb developers, 2026
"""

import functools
import logging
import time

from s3prl_sb.brains import layer_probes, planning, settings, sweep, winner
from s3prl_sb.brains.debugging import keep_few

logger = logging.getLogger(__name__)


def train_and_test(brain_class, hparams, run_opts, splits, modules, **kwargs):
    """Trains a Brain, and evaluates its best checkpoint.

    Arguments
    ---------
    brain_class : type
        A :class:`~s3prl_sb.brains.base.SSLBrain`.
    hparams : dict
        Settings of the recipe: ``featurizer``, ``checkpointer``, ``epoch_counter``,
        ``train_dataloader_opts`` and so on. With ``lr_search``, a list of learning
        rates, all are trained together, and the one that is best on the validation set
        is the run; see :mod:`s3prl_sb.brains.sweep`. With ``probe_layers`` each hidden
        state is probed alone instead; see :mod:`s3prl_sb.brains.layer_probes`.
    run_opts : dict
        SpeechBrain's options.
    splits : dict
        "train", "valid" and "test" to
        :class:`~s3prl_sb.dataio.dataset.ManifestDataset`.
    modules : dict
        ``head`` and any other modules to train besides the featurizer.
    **kwargs
        Other arguments of the Brain.

    Returns
    -------
    s3prl_sb.brains.base.SSLBrain
        The evaluated Brain; with ``probe_layers`` that of the weighted sum.

    Raises
    ------
    s3prl_sb.brains.settings.SettingsError
        Before any work, if the settings are invalid or the folder holds a run with
        other settings.
    """
    settings.check_numbers(hparams)
    if hparams.get("plan"):
        modules = {"featurizer": hparams["featurizer"], **modules}
        brain = brain_class(
            modules=modules, hparams=hparams, run_opts=run_opts, **kwargs
        )
        print(planning.text(planning.plan(brain, splits)))
        return brain
    if (run_opts or {}).get("debug"):
        keep_few(splits, hparams, run_opts)
    else:
        settings.begin(hparams, splits)
    modules = {"featurizer": hparams["featurizer"], **modules}
    if hparams.get("probe_layers"):
        return layer_probes.probe(
            brain_class, hparams, run_opts, splits, modules, **kwargs
        )
    started = time.time()
    if hparams.get("lr_search"):
        lr = sweep.search(brain_class, hparams, run_opts, splits, modules, **kwargs)
        logger.info("The learning rate is %g", lr)
        opt_class = functools.partial(hparams["opt_class"], lr=lr)
        hparams = {**hparams, "lr": lr, "opt_class": opt_class}
    brain = brain_class(
        modules=modules,
        hparams=hparams,
        run_opts=run_opts,
        checkpointer=hparams["checkpointer"],
        **kwargs,
    )
    if not brain.debug:
        settings.check_test(brain, splits)
    brain.use_cache(splits)  # a frozen upstream runs over each utterance once
    if hparams.get("lr_search"):
        brain.started = started
        winner.take_over(brain)  # nothing is left to train
    winner.recall(brain)
    brain.fit(
        hparams["epoch_counter"],
        splits["train"],
        splits["valid"],
        train_loader_kwargs=hparams["train_dataloader_opts"],
        valid_loader_kwargs=hparams["valid_dataloader_opts"],
    )
    brain.evaluate(splits["test"], test_loader_kwargs=hparams["test_dataloader_opts"])
    return brain
