"""Starting a recipe, with early errors.

Authors
 * The s3prl_sb developers, 2026
"""

import difflib
import io
import logging
import os
import shutil
import sys
from pathlib import Path

from hyperpyyaml import load_hyperpyyaml, resolve_references

from s3prl_sb import arguments, occupation
from s3prl_sb.errors import UserError

logger = logging.getLogger(__name__)

DEBUG = "debug"  #: what --debug leaves goes into this folder of output_folder
#: Key of the loaded settings: the recipe as it was written and overridden.
RECIPE = "recipe_settings"


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
        And, under :data:`RECIPE`, what the recipe says, as plain data: its keys with
        the overrides, references as they are written; but ``upstream_model`` as
        its card has it. By it a run is known again.

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
    with open(hparams_file, encoding="utf-8") as file:
        known = _yaml().load(file)
    changes = read_overrides(overrides)
    for key, value in (changes or {}).items():
        _check(key, value, known, prefix="")
    for key, value in known.items():
        if _tag(value) == "!PLACEHOLDER" and key not in (changes or {}):
            raise RecipeError(f"The recipe needs a value: give --{key} VALUE.")
    with open(hparams_file, encoding="utf-8") as file:
        hparams = load_hyperpyyaml(file, overrides)
    recipe = plain(_merged(known, changes or {}))
    if "upstream_model" in recipe:
        recipe["upstream_model"] = plain(_resolved(hparams_file, overrides))[
            "upstream_model"
        ]
    hparams[RECIPE] = {k: v for k, v in recipe.items() if not k.startswith("__")}
    return hparams


def plain(value):
    """A node of YAML as JSON values, without its comments.

    Arguments
    ---------
    value : object
        As ruamel.yaml loads it.

    Returns
    -------
    object
        With tags as text.

    Example
    -------
    >>> import ruamel.yaml
    >>> plain(ruamel.yaml.YAML().load("{a: !ref <b>, c: [1, 2.0]}  # comment"))
    {'a': '!ref <b>', 'c': [1, 2.0]}
    """
    tag = _tag(value)
    if isinstance(value, dict):
        found = {str(key): plain(inner) for key, inner in value.items()}
        return {"tag": tag, **found} if tag else found
    if isinstance(value, (list, tuple)):
        found = [plain(inner) for inner in value]
        return [{"tag": tag}, *found] if tag else found
    if tag:
        return f"{tag} {getattr(value, 'value', '')}"
    if value is None or isinstance(value, (bool, int)):
        return value
    return float(value) if isinstance(value, float) else str(value)


def start(argv, prepare):
    """Begins a recipe: reads its settings, makes its folder, prepares its data.

    Arguments
    ---------
    argv : list of str
        ``sys.argv[1:]``: the YAML file, ``--key value`` for any key of it, and
        SpeechBrain's options. With ``--debug`` everything goes into the folder
        ``debug`` of ``output_folder``: what lies there already is not touched.
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
    s3prl_sb.locks.OccupiedError
        If another run works in the folder.
    """
    import speechbrain as sb
    import torch
    from speechbrain.utils.distributed import ddp_init_group, run_on_main

    say_what_is_wrong()
    hparams_file, run_opts, overrides = parse(argv)
    if not torch.distributed.is_initialized():  # by another fold
        ddp_init_group(run_opts)
    if run_opts["debug"]:
        overrides = _apart(hparams_file, overrides)
    hparams = load_recipe(hparams_file, overrides)
    folder = hparams["output_folder"]
    occupation.begin(folder, hparams.get("save_folder", folder))
    sb.create_experiment_directory(folder, hparams_file, overrides)
    say_what_is_wrong()  # SpeechBrain has put its own way in the place
    run_on_main(_keep_script, args=[folder])
    run_on_main(prepare, args=[hparams])
    return hparams, run_opts


def parse(argv):
    """Like ``speechbrain.parse_arguments``, but text is taken literally.

    Arguments
    ---------
    argv : list of str
        As for :func:`start`.

    Returns
    -------
    hparams_file : str
        The YAML file.
    run_opts : dict
        SpeechBrain's options.
    overrides : str
        YAML: what the command line gives, and paths whose ``~`` is expanded.

    Raises
    ------
    s3prl_sb.arguments.ArgumentError
        For text that a reference of the YAML would be taken for.
    """
    import speechbrain as sb

    hparams_file = sb.parse_arguments(argv)[0]
    with open(hparams_file, encoding="utf-8") as file:
        values = _yaml().load(file)
    _, run_opts, overrides = sb.parse_arguments(arguments.quoted(argv, values))
    changes = read_overrides(overrides) or {}
    # Keys of recipes that SpeechBrain knows too, such as max_grad_norm, it keeps
    changes.update({k: run_opts[k] for k in run_opts.overridden_args if k in values})
    values.update(changes)
    for key, value in values.items():
        if arguments.expanded(key, value) != value:
            changes[key] = arguments.expanded(key, value)
    return hparams_file, run_opts, _text(changes)


def _apart(hparams_file, overrides):
    """Overrides that put all that a run writes into a folder of its own."""
    changes = read_overrides(overrides) or {}
    before = _resolved(hparams_file, overrides)
    for key in ("output_folder", "save_folder"):
        now = _resolved(hparams_file, _text(changes))
        if key in now and now[key] == before[key]:  # else it has come along
            changes[key] = str(Path(before[key]) / DEBUG)
    return _text(changes)


def _resolved(hparams_file, overrides):
    """The YAML with overrides and without references, nothing made of it."""
    with open(hparams_file, encoding="utf-8") as file:
        return _yaml().load(resolve_references(file, overrides).getvalue())


def _merged(node, changes):
    """As hyperpyyaml merges overrides."""
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(node.get(key), dict):
            _merged(node[key], value)
        else:
            node[key] = value
    return node


def _yaml():
    import ruamel.yaml

    return ruamel.yaml.YAML()


def _text(changes):
    """Overrides as YAML."""
    if not changes:
        return ""
    stream = io.StringIO()
    _yaml().dump(changes, stream)
    return stream.getvalue()


def say_what_is_wrong():
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
