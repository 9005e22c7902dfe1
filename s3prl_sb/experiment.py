"""Starting a recipe, with early errors.

Authors
 * The s3prl_sb developers, 2026
"""

import difflib
import logging
import os
import shutil
import sys
from pathlib import Path

from hyperpyyaml import load_hyperpyyaml

from s3prl_sb.errors import UserError

logger = logging.getLogger(__name__)


class RecipeError(UserError, ValueError):
    """Something that a recipe was started with and cannot work."""


def load_recipe(hparams_file, overrides=""):
    """Loads a recipe's YAML with command-line overrides.

    Arguments
    ---------
    hparams_file : str
        The YAML file.
    overrides : str
        YAML, as ``speechbrain.parse_arguments`` gives it.

    Returns
    -------
    dict

    Raises
    ------
    RecipeError
        For a key that the recipe does not have, also a nested one: SpeechBrain
        would accept that and change nothing.

    Example
    -------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
    ...     _ = file.write("lr: 0.1\\nbatch_size: 4")
    ...     file.flush()
    ...     load_recipe(file.name, "batchsize: 8")
    Traceback (most recent call last):
    ...
    s3prl_sb.experiment.RecipeError: There is no key 'batchsize'. Did you mean …?
    """
    import ruamel.yaml

    yaml = ruamel.yaml.YAML()
    with open(hparams_file, encoding="utf-8") as file:
        known = yaml.load(file)
    changes = read_overrides(overrides)
    for key, value in (changes or {}).items():
        _check(key, value, known, prefix="")
    for key, value in known.items():
        if _tag(value) == "!PLACEHOLDER" and key not in (changes or {}):
            raise RecipeError(f"The recipe needs a value: give --{key} VALUE.")
    with open(hparams_file, encoding="utf-8") as file:
        return load_hyperpyyaml(file, overrides)


def start(argv, prepare):
    """Begins a recipe: reads its settings, makes its folder, prepares its data.

    Arguments
    ---------
    argv : list of str
        ``sys.argv[1:]``: the YAML file, ``--key value`` for any key of it, and
        SpeechBrain's options.
    prepare : callable
        Takes the settings and writes the manifests; run once, however many
        processes there are.

    Returns
    -------
    hparams : dict
        The settings.
    run_opts : dict
        SpeechBrain's options.
    """
    import speechbrain as sb
    import torch
    from speechbrain.utils.distributed import ddp_init_group, run_on_main

    hparams_file, run_opts, overrides = sb.parse_arguments(argv)
    if not torch.distributed.is_initialized():  # by another fold
        ddp_init_group(run_opts)
    _say_what_is_wrong()
    hparams = load_recipe(hparams_file, overrides)
    folder = hparams["output_folder"]
    sb.create_experiment_directory(folder, hparams_file, overrides)
    _say_what_is_wrong()  # SpeechBrain has put its own way in the place
    run_on_main(_keep_script, args=[folder])
    run_on_main(prepare, args=[hparams])
    return hparams, run_opts


def _say_what_is_wrong():
    """A user's mistake ends in its message alone, not in a traceback."""
    otherwise = sys.excepthook

    def hook(kind, error, traceback):
        if issubclass(kind, UserError) and not os.environ.get("S3PRL_SB_TRACEBACK"):
            logger.error("%s", error)
        else:
            otherwise(kind, error, traceback)

    sys.excepthook = hook


def _keep_script(folder):
    """Keeps a copy of the recipe; SpeechBrain takes this module for it."""
    copied, script = Path(folder) / Path(__file__).name, Path(sys.argv[0])
    copied.unlink(missing_ok=True)
    if script.suffix == ".py" and script.is_file():
        shutil.copyfile(script, copied.with_name(script.name))


def read_overrides(overrides):
    """What the command line gives, as ``speechbrain.parse_arguments`` passes it on.

    Arguments
    ---------
    overrides : str
        YAML.

    Returns
    -------
    dict

    Raises
    ------
    RecipeError
        For a key that is given twice.
    """
    import ruamel.yaml

    try:
        return ruamel.yaml.YAML().load(overrides) if overrides else {}
    except ruamel.yaml.constructor.DuplicateKeyError as error:
        key = error.problem.partition('"')[2].partition('"')[0]
        raise RecipeError(f"--{key} is given twice: keep one.") from error


def _tag(node):
    return getattr(getattr(node, "tag", None), "value", None) or ""


def _check(key, value, known, prefix):
    if key not in known:
        near = difflib.get_close_matches(str(key), map(str, known), n=3)
        if near:
            hint = f" Did you mean {' or '.join(prefix + name for name in near)}?"
        else:
            hint = f" There are: {', '.join(map(str, known))}."
        raise RecipeError(f"There is no key '{prefix}{key}'.{hint}")
    node = known[key]
    if isinstance(value, dict) and not isinstance(node, dict):
        written = f"{_tag(node)} {getattr(node, 'value', node)}".strip()
        raise RecipeError(
            f"'{prefix}{key}' is {written} in the recipe, without arguments: "
            f"{dict(value)} cannot be given to it. Change it in a copy of the YAML."
        )
    # The arguments of a constructor are checked by the constructor.
    if isinstance(value, dict) and isinstance(node, dict) and not _tag(node):
        for inner, inner_value in value.items():
            _check(inner, inner_value, node, f"{prefix}{key}.")
