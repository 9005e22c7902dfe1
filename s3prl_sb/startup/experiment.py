"""Starting a recipe, with early errors.

Authors
 * The s3prl_sb developers, 2026
"""

import functools
import logging
import os
import shutil
import sys
from pathlib import Path

from s3prl_sb import own
from s3prl_sb.errors import UserError
from s3prl_sb.foreign import trust
from s3prl_sb.processes import interruption, occupation
from s3prl_sb.startup import acceptance, devices, readiness
from s3prl_sb.startup.arguments import parse
from s3prl_sb.startup.configuration import (
    RECIPE,
    SCHEMA,
    Configuration,
    RecipeError,
    load_recipe,
    read_overrides,
    text,
)
from s3prl_sb.startup.environment import environment
from s3prl_sb.storage.files import naming, write_text
from s3prl_sb.terminal import columns, logs

__all__ = [
    "DEBUG",
    "RECIPE",
    "SCHEMA",
    "RecipeError",
    "load_recipe",
    "parse",
    "say_what_is_wrong",
    "start",
]

logger = logging.getLogger(__name__)

DEBUG = "debug"  #: what --debug leaves goes into this folder of output_folder


def start(argv, prepare):
    """Begins a recipe: reads its settings, makes its folder, prepares its data.

    Arguments
    ---------
    argv : list of str
        ``sys.argv[1:]``: the YAML file, ``--key value`` for any key of it, and
        SpeechBrain's options. With ``--debug`` everything goes into the folder
        ``debug`` of ``output_folder``: what lies there already is not touched. With
        ``--trust`` a card may run code of its own, see :mod:`s3prl_sb.foreign.trust`.
    prepare : callable
        Takes the settings and writes the manifests; run once, however many
        processes there are.

    Returns
    -------
    hparams : dict
        The settings.
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
    say_what_is_wrong()  # now: SpeechBrain takes a second to import
    import torch
    from speechbrain.utils.distributed import (
        ddp_init_group,
        if_main_process,
        run_on_main,
    )

    hparams_file, run_opts, overrides = parse(argv)
    devices.check(run_opts["device"])
    if not torch.distributed.is_initialized():  # by another fold
        ddp_init_group(run_opts)
    if run_opts["debug"]:
        overrides = _apart(hparams_file, overrides)
    configuration = Configuration(hparams_file, overrides)
    hparams = configuration.make()
    folder = hparams["output_folder"]
    with naming(folder, "a place for a run"):
        occupation.begin(folder, hparams.get("save_folder") or folder)
        Path(folder).mkdir(parents=True, exist_ok=True)
        if if_main_process():
            logs.to_file(Path(folder) / "log.txt")
    readiness.check(hparams, run_opts)
    save_folder = hparams.get("save_folder") or folder
    keep = functools.partial(_keep, folder, configuration.text())
    run_on_main(acceptance.begin, args=[folder, save_folder, keep])
    if run_opts["debug"]:
        run_on_main(acceptance.accept)  # it begins anew each time
    run_on_main(prepare, args=[hparams])
    return hparams, run_opts


def _apart(hparams_file, overrides):
    """Overrides that put all that a run writes into a folder of its own."""
    changes = read_overrides(overrides)
    before = Configuration(hparams_file, overrides).resolved
    for key in ("output_folder", "save_folder"):
        now = Configuration(hparams_file, text(changes)).resolved
        if key in now and now[key] == before[key]:  # else it has come along
            changes[key] = str(Path(before[key]) / DEBUG)
    return text(changes)


def say_what_is_wrong():
    """A user's mistake, or Ctrl-C, ends in a message alone, not in a traceback.

    What matters is said on the console from here on.
    """
    logs.to_console("stdout")
    interruption.heed()
    sys.excepthook = _say


def _say(kind, error, traceback):
    """The way in which a recipe ends that does not end well."""
    if issubclass(kind, KeyboardInterrupt):
        if os.environ.get("RANK", "0") == "0":
            logger.error("%s", interruption.words(error, interruption.command()))
        raise SystemExit(interruption.status(error))
    if issubclass(kind, UserError) and not os.environ.get("S3PRL_SB_TRACEBACK"):
        logger.error("%s", error)
    else:
        logger.error("Exception:", exc_info=(kind, error, traceback))


def _keep(folder, text):
    """Keeps a copy of the recipe, and what it runs in."""
    hyperparams = Path(folder) / "hyperparams.yaml"
    write_text(hyperparams, text)
    own.keep(hyperparams)  # with the user's own modules that it names
    write_text(Path(folder) / "env.log", environment())
    script = Path(sys.argv[0])
    if script.suffix == ".py" and script.is_file():
        shutil.copyfile(script, Path(folder) / script.name)
