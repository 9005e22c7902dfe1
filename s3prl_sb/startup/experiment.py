"""Start of a recipe: settings, folder, early checks, manifests.

Authors
 * The s3prl_sb developers, 2026
"""

import functools
import sys
from collections.abc import Callable
from pathlib import Path

from s3prl_sb import resources
from s3prl_sb.foreign import trust
from s3prl_sb.loggers import chosen
from s3prl_sb.processes import occupation
from s3prl_sb.startup import acceptance, devices, excepthook, readiness, snapshot
from s3prl_sb.startup.arguments import parse
from s3prl_sb.startup.configuration import RUN_OPTS, Configuration
from s3prl_sb.startup.debugging import debug_overrides
from s3prl_sb.startup.optimizers import spare_the_compiler
from s3prl_sb.storage.files import naming
from s3prl_sb.terminal import columns, logs


def start(argv: list[str], prepare: Callable[[dict], None]) -> tuple[dict, dict]:
    """Starts a recipe: reads its settings, makes its folder, prepares its data.

    Arguments
    ---------
    argv : list of str
        ``sys.argv[1:]``: the YAML file, ``--key value`` for any key of it, and
        SpeechBrain's options. With ``--debug`` everything goes into the folder
        ``debug`` of ``output_folder``; existing results are not touched. With
        ``--trust`` a card may run its own code, see :mod:`s3prl_sb.foreign.trust`.
    prepare : callable
        Takes the settings and writes the manifests. It is called once, however many
        processes there are.

    Returns
    -------
    hparams : dict
        Settings, see :func:`~s3prl_sb.startup.configuration.load_recipe`. Under
        :data:`~s3prl_sb.startup.configuration.RUN_OPTS` SpeechBrain's options, for
        ``prepare``.
    run_opts : dict
        SpeechBrain's options.

    Raises
    ------
    s3prl_sb.storage.locks.OccupiedError
        If another run works in the folder.
    """
    columns.show_all(sys.stdout, sys.stderr)
    argv, trusted = trust.taken(argv)
    with trust.trusting(trusted):
        return _start(argv, prepare)


def _start(argv, prepare):
    excepthook.install()  # first, because SpeechBrain takes a second to import
    import torch
    from speechbrain.utils.distributed import (
        ddp_init_group,
        if_main_process,
        run_on_main,
    )

    spare_the_compiler()
    hparams_file, run_opts, overrides = parse(argv)
    devices.check(run_opts["device"])
    if not torch.distributed.is_initialized():  # by another fold
        ddp_init_group(run_opts)
    if run_opts["debug"]:
        overrides = debug_overrides(hparams_file, overrides)
    configuration = Configuration(hparams_file, overrides)
    hparams = configuration.make()
    folder = hparams["output_folder"]
    save_folder = hparams.get("save_folder") or folder
    with naming(folder, "a place for a run"):
        occupation.begin(folder, save_folder)
        Path(folder).mkdir(parents=True, exist_ok=True)
        if if_main_process():
            logs.to_file(Path(folder) / "log.txt")
    readiness.check(hparams)
    if if_main_process() and hparams.get(chosen.KEY) is not None:
        hparams["train_loggers"] = _loggers(hparams, configuration)
    save = functools.partial(snapshot.save, folder, configuration.text())
    run_on_main(acceptance.begin, args=[folder, save_folder, save])
    if run_opts["debug"]:
        run_on_main(acceptance.accept)  # it starts from scratch each time
    hparams[RUN_OPTS] = run_opts
    run_on_main(prepare, args=[hparams])
    return hparams, run_opts


def _loggers(hparams, configuration):
    """Returns the loggers of a run, with those of the key ``logger``."""
    schema = configuration.schema
    settings = {k: hparams[k] for k in schema if schema[k].is_plain}
    names = {file: name for name, file in resources.recipe_files().items()}
    file = schema.file.resolve()
    return chosen.make(hparams, settings, names.get(file, file.parents[1].name))
