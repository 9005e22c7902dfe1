"""The key ``logger`` of a recipe: its checks, and the loggers that it names.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from s3prl_sb.errors import MissingExtra, UserError
from s3prl_sb.terminal.messages import excerpt, near

#: Nothing depends on what is logged, see :mod:`s3prl_sb.identity.code`.
COMPUTES = False
KEY, TENSORBOARD = "logger", "tensorboard"
PROJECT = "s3prl_sb"
#: Options of every service, and their kinds.
SHARED = {"project": str, "run": str, "group": str, "every": int}
#: File of the folder of a benchmark.
BENCHMARK = "configurations.json"
DEBUG = "debug"


class LoggerError(UserError, ValueError):
    """A wrong value of the key ``logger``."""


def named(value: Any) -> list[dict[str, Any]]:
    """Returns the loggers that a value of the key names, after checking it.

    Arguments
    ---------
    value : object
        None, a name, a mapping with ``name`` and options, or a list of these.

    Returns
    -------
    list of dict
        ``name`` and the options of each.

    Raises
    ------
    LoggerError
        For an unknown name or option, or a value of another kind.

    Example
    -------
    >>> named(["tensorboard", {"name": "wandb", "project": "mine"}])
    [{'name': 'tensorboard'}, {'name': 'wandb', 'project': 'mine'}]
    >>> named("wandb2")
    Traceback (most recent call last):
    ...
    s3prl_sb.loggers.chosen.LoggerError: logger: 'wandb2' is none. Did you mean wandb?
    """
    if value is None:
        return []
    values = value if isinstance(value, (list, tuple)) else [value]
    chosen: list[dict[str, Any]] = []
    for each in values:
        each = dict(each) if isinstance(each, Mapping) else {"name": each}
        _check(each)
        if any(each["name"] == other["name"] for other in chosen):
            raise LoggerError(f"{KEY}: {each['name']} is there twice. Name it once.")
        chosen.append(each)
    return chosen


def _check(each):
    from s3prl_sb.loggers.services import OPTIONS

    names = [TENSORBOARD, *OPTIONS]
    name = each.get("name")
    if name not in names:
        raise LoggerError(f"{KEY}: {excerpt(name)} is none. {near(str(name), names)}")
    kinds = {**SHARED, **OPTIONS[name]} if name in OPTIONS else {"every": int}
    for option, value in each.items():
        if option == "name":
            continue
        if option not in kinds:
            raise LoggerError(
                f"{KEY}: {name} has no option {excerpt(option)}. "
                f"{near(option, list(kinds))} Keys and passwords belong into the "
                "environment, as they would be written into the folder of the run."
            )
        kind = kinds[option]
        wrong = isinstance(value, bool) != (kind is bool) or not isinstance(value, kind)
        if wrong or option == "every" and value < 1:
            words = "a whole number from 1" if kind is int else f"a {kind.__name__}"
            raise LoggerError(
                f"{KEY}: {option} of {name} is {words}, not {excerpt(value)}."
            )


def make(
    hparams: Mapping[str, Any], settings: Mapping[str, Any], task: str
) -> list[Any]:
    """Returns all loggers of a run: those of its YAML, and those of the key.

    Arguments
    ---------
    hparams : dict
        Objects and values of the recipe: ``logger``, ``train_loggers``,
        ``output_folder``, ``upstream_name``, ``seed``.
    settings : dict
        The recipe as plain data.
    task : str
        Name of the recipe.

    Returns
    -------
    list of speechbrain.utils.train_logger.TrainLogger

    Raises
    ------
    MissingExtra
        If a library is not installed.
    LoggerError
        If the value of the key is wrong.
    """
    from s3prl_sb.loggers.services import SERVICES

    loggers = list(hparams.get("train_loggers") or [])
    for options in named(hparams.get("logger")):
        name = options.pop("name")
        if name == TENSORBOARD:
            _tensorboard(loggers, **options)
            continue
        kind = SERVICES[name]
        kind.library()  # its absence is an error now, and not after hours
        loggers.append(kind(**_arguments(hparams, settings, task, options)))
    return loggers


def _tensorboard(loggers, every=None):
    """Checks that the run logs to TensorBoard."""
    try:
        import tensorboard  # noqa: F401
    except ImportError as error:
        raise MissingExtra(
            f"{KEY}: {TENSORBOARD}: pip install 's3prl_sb[plots]'"
        ) from error
    mine = [each for each in loggers if type(each).__module__.endswith(TENSORBOARD)]
    if not mine:
        raise LoggerError(f"{KEY}: this recipe has no log for {TENSORBOARD}.")
    for each in mine if every else ():
        each.every = every


def _arguments(hparams, settings, task, options):
    """Returns the arguments of a logger."""
    folder = Path(hparams["output_folder"])
    described = words(hparams, task)
    kept = {key: value for key, value in settings.items() if key != KEY}
    options = dict(options)
    return {
        "folder": folder,
        "settings": {"task": task, **kept},
        "project": options.pop("project", PROJECT),
        "name": options.pop("run", described),
        "group": options.pop("group", None) or group_of(folder, described),
        **options,
    }


def words(hparams: Mapping[str, Any], task: str) -> str:
    """Returns the name of a run.

    Arguments
    ---------
    hparams, task
        See :func:`make`.

    Returns
    -------
    str

    Example
    -------
    >>> run = {"output_folder": "results/ER/fbank/1986", "seed": 1986}
    >>> words({**run, "upstream_name": "fbank", "fold": 2}, "SUPERB/ER")
    'SUPERB/ER fbank 1986 fold 2'
    """
    texts = [task, hparams.get("upstream_name"), hparams.get("seed")]
    fold = hparams.get("fold")
    texts += ["fold", fold] if isinstance(fold, int) else []
    texts += [DEBUG] if Path(hparams["output_folder"]).name == DEBUG else []
    return " ".join(str(text) for text in texts if text not in (None, ""))


def group_of(folder: Path, name: str) -> str:
    """Returns the group of a run: its benchmark, or the run without its fold.

    Arguments
    ---------
    folder : pathlib.Path
        Folder of the run.
    name : str
        Name of the run.

    Returns
    -------
    str

    Example
    -------
    >>> group_of(Path("results/ER/fbank/1986/fold2"), "ER fbank 1986 fold 2")
    'ER fbank 1986'
    """
    for above in list(folder.absolute().parents)[:5]:
        if (above / BENCHMARK).is_file():
            return above.name
    return name.partition(" fold ")[0]
