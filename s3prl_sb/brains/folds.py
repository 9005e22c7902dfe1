"""One run for each fold or corpus of a recipe.

Authors
 * The s3prl_sb developers, 2026
"""

import logging
from pathlib import Path

from s3prl_sb.brains import layer_results, planning
from s3prl_sb.brains.course import to_follow
from s3prl_sb.brains.parts import folds_of, layer_summary, summary
from s3prl_sb.foreign import trust
from s3prl_sb.processes import occupation
from s3prl_sb.startup import excepthook, run_name
from s3prl_sb.startup.arguments import parse
from s3prl_sb.startup.configuration import Configuration, RecipeError
from s3prl_sb.startup.debugging import DEBUG
from s3prl_sb.storage.files import write_json
from s3prl_sb.terminal import quantities

logger = logging.getLogger(__name__)


def cross_validate(argv, train, folds):
    """Runs a recipe on the fold or folds that its key ``fold`` names.

    Arguments
    ---------
    argv, train
        See :func:`run_parts`.
    folds : sequence of int, or callable
        Numbers of all folds; or a function of all settings that returns them, or None
        for a corpus whose splits are fixed, which gets one run in ``output_folder``.

    Raises
    ------
    RecipeError
        If there is no such fold.
    """
    excepthook.install()
    if callable(folds):
        settings = _settings(argv)
        if settings.get("train_csv"):  # tables have no folds
            folds = ()
        elif (folds := folds(settings)) is None:
            if settings["fold"] != "all":
                raise RecipeError("fold: this corpus has fixed splits. Leave it out.")
            train(argv)
            return
    run_parts(argv, train, folds_of(folds))


def run_parts(argv, train, parts, find=None):
    """Runs a recipe on the parts that one of its keys names.

    Each part is an ordinary run in a folder of ``output_folder``. When several are
    killed and started again, finished ones are not trained again, the unfinished one
    resumes, and the numbers are the same. Parts may also be run separately, anywhere;
    the command for several then collects them.

    Arguments
    ---------
    argv : list of str
        See :func:`s3prl_sb.startup.experiment.start`. The YAML has the key of the
        parts ("all", one of them, or a list), ``output_folder`` and ``train_csv``:
        user-defined tables have no parts and get one run in ``output_folder``.
    train : callable
        Takes such a list and trains one part.
    parts : Parts
        All parts.
    find : callable, optional
        Takes a part and all settings, and raises an error if its data are not there:
        now, and not after the parts before it were trained.

    Raises
    ------
    RecipeError
        If there is no such part, or a key is for one only.
    """
    from speechbrain.utils.distributed import (
        ddp_init_group,
        if_main_process,
        is_distributed_initialized,
    )

    excepthook.install()
    settings = _settings(argv)
    wanted, folder = settings[parts.key], Path(settings["output_folder"])
    if settings.get("train_csv"):
        if wanted != "all":
            raise RecipeError(f"{parts.key}: your own tables have none. Leave it out.")
        train(argv)
        return
    chosen = parts.chosen(wanted)
    for key in parts.of_one:
        if settings.get(key) is not None and len(chosen) > 1:
            raise RecipeError(
                f"{key} is for one {parts.key}. Choose it: --{parts.key} {chosen[0]}."
            )
    if find is not None and not settings.get("skip_prep"):
        for part in chosen:
            find(part, settings)
    run_opts = parse(argv)[1]
    inner = DEBUG if run_opts["debug"] else ""
    together = wanted == "all" or isinstance(wanted, (list, tuple))
    if together:  # an occupied folder is an error now, not hours later
        if not is_distributed_initialized():
            ddp_init_group(run_opts)  # so that one process occupies the folders
        occupation.begin(*(folder / parts.folder(part) / inner for part in chosen))
        occupation.begin(folder / inner)
    for number, part in enumerate(chosen, 1):
        if len(chosen) > 1:
            title = parts.key.capitalize()
            logger.info("%s %s, %d of %d", title, part, number, len(chosen))
        token = to_follow.set(len(chosen) - number)
        of_part = {parts.key: part, "output_folder": folder / parts.folder(part)}
        try:
            train(override(argv, **of_part))
        finally:
            to_follow.reset(token)
    if settings.get("plan"):
        if together and if_main_process():
            planning.merge(folder, list(map(parts.folder, chosen)))
    elif together and settings.get("probe_layers"):
        summed = layer_summary(folder, parts._replace(values=chosen), inner)
        layer_results.publish(folder / inner, summed)
    elif together and if_main_process():
        _write_summary(folder, parts._replace(values=chosen), inner)


def _write_summary(folder, parts, inner):
    """Writes the results of all parts together, and logs them."""
    path, title = folder / inner / "results.json", parts.key.capitalize()
    results = summary(folder, parts, inner)
    write_json(path, results)
    for part in results["folds"]:
        words = quantities.measures(part["metrics"])
        logger.info("%s %s, step %s: %s", title, part["fold"], part["best_step"], words)
    logger.info("Of all %ss: %s", parts.key, quantities.measures(results["metrics"]))
    logger.info("Results: %s", path)


def read_settings(argv, keys):
    """Reads settings of a recipe without building its objects.

    Arguments
    ---------
    argv : list of str
        See :func:`s3prl_sb.startup.experiment.start`.
    keys : tuple of str
        Keys of the YAML with plain values. One that it lacks is None.

    Returns
    -------
    dict
    """
    settings = _settings(argv)
    return {key: settings.get(key) for key in keys}


def _settings(argv):
    """Returns all settings of a recipe, without building its objects."""
    hparams_file, _, overrides = parse(argv)
    with trust.trusting(trust.taken(argv)[1]):
        return Configuration(hparams_file, overrides).resolved


def override(argv, **settings):
    """Returns a command line with other settings.

    Arguments
    ---------
    argv : list of str
        The command line.
    **settings
        New values of keys.

    Returns
    -------
    list of str

    Example
    -------
    >>> override(["train.yaml", "--fold", "all", "--lr=0.1"], fold=2)
    ['train.yaml', '--lr=0.1', '--fold=2']
    """
    if run_name.FOLDER in settings:  # a name is part of it already
        argv = run_name.split_name(argv)[0]
    kept, rest = [], iter(argv)
    for argument in rest:
        name, equals, _ = argument.partition("=")
        if not name.startswith("--") or name[2:] not in settings:
            kept.append(argument)
        elif not equals:
            next(rest, None)  # its value
    return kept + [f"--{name}={value}" for name, value in settings.items()]
