"""Command line of a recipe: its keys, with text taken literally.

SpeechBrain writes ``--key value`` as a line of YAML, which would cut a path such as
``/a #1/b`` or ``/a=b``. Text is therefore quoted first.

Authors
 * The s3prl_sb developers, 2026
"""

import contextlib
import io
import json
import re
from pathlib import Path

from s3prl_sb.errors import UserError
from s3prl_sb.foreign import trust
from s3prl_sb.hyperyaml.nodes import plain
from s3prl_sb.schema.keys import Schema
from s3prl_sb.startup import run_name
from s3prl_sb.startup.configuration import read_overrides, text
from s3prl_sb.storage.yaml_texts import check_aliases, yaml_parser
from s3prl_sb.terminal.messages import near, reason

#: A value that begins with one of these is meant as YAML.
YAML = ("{", "[", "!", "'", '"')
NULL = ("", "null", "Null", "NULL", "~")


class ArgumentError(UserError, ValueError):
    """Invalid command line."""


def parse(argv: list[str]) -> tuple[str, dict, str]:
    """Parses a command line like ``speechbrain.parse_arguments``, with literal text.

    Arguments
    ---------
    argv : list of str
        See :func:`s3prl_sb.startup.experiment.start`; for ``--name`` see
        :mod:`s3prl_sb.startup.run_name`.

    Returns
    -------
    hparams_file : str
        YAML file.
    run_opts : dict
        SpeechBrain's options.
    overrides : str
        YAML of the keys on the command line, and of the recipe's paths with ``~``,
        which is expanded.

    Raises
    ------
    ArgumentError
        For a key without a value, text that looks like a reference of the YAML, or an
        invalid option of SpeechBrain.
    """
    argv, name = run_name.split_name(trust.taken(argv)[0])
    for part in argv:  # YAML holds Unicode, and a path may be any bytes
        if not _is_unicode(part):
            raise ArgumentError(
                f"{part!r} is not UTF-8, so no setting can hold it. Rename the file or "
                "folder, or make a link to it under another name."
            )
    hparams_file, run_opts, _ = _parsed(argv)
    schema = Schema.of(hparams_file)
    _, run_opts, overrides = _parsed(quoted(argv, schema, vars(run_opts)))
    changes = read_overrides(overrides)
    # SpeechBrain keeps keys that are also options of its own, such as max_grad_norm
    changes.update({k: run_opts[k] for k in run_opts.overridden_args if k in schema})
    if name is not None:
        changes[run_name.FOLDER] = run_name.named_folder(name, schema.tree, changes)
    for key in schema:
        value = changes.get(key, schema.tree[key])
        if schema.is_path(key) and expanded(value) != value:
            changes[key] = expanded(value)
    return hparams_file, run_opts, text(changes)


def _is_unicode(text):
    return text.encode(errors="ignore").decode() == text


def _parsed(argv):
    """Returns SpeechBrain's result, or raises its message as an error."""
    import speechbrain as sb

    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return sb.parse_arguments(argv)
    except SystemExit as stopped:
        if not stopped.code:  # --help
            raise
        last = (complaint.getvalue().strip().splitlines() or [""])[-1]
        reason = last.rpartition("error: ")[2].removeprefix("argument ")
        if "param_file" in reason:
            reason = "a recipe begins with its YAML file: train.py hparams/train.yaml"
        raise ArgumentError(f"{reason}.") from stopped


def argument(value: object) -> str:
    """Formats a value for the command line, see :func:`parse`.

    Arguments
    ---------
    value : object
        Value of a key, possibly from an untrusted file: text in it is never YAML.

    Returns
    -------
    str

    Example
    -------
    >>> argument(0.1), argument(None), argument("bf16"), argument("!apply:os.system")
    ('0.1', 'null', 'bf16', '"!apply:os.system"')
    """
    if isinstance(value, (str, Path)):
        text = str(value)
        if not text.startswith(YAML) and text not in NULL:
            return text
    return json.dumps(plain(value), ensure_ascii=False)


def expanded(value: object) -> object:
    """Replaces ``~`` by the home folder in a path, or in a list of paths.

    Example
    -------
    >>> expanded("/a.arpa"), expanded(["/a", None])
    ('/a.arpa', ['/a', None])
    >>> expanded("~/corpora").startswith("~")
    False
    """
    if isinstance(value, list):
        return [expanded(item) for item in value]
    if isinstance(value, str) and value.startswith("~"):
        return str(Path(value).expanduser())
    return value


def quoted(argv: list[str], schema: Schema, options: dict) -> list[str]:
    """Quotes the text on a command line for SpeechBrain, which parses it as YAML.

    Arguments
    ---------
    argv : list of str
        Command line.
    schema : s3prl_sb.schema.keys.Schema
        Schema of the recipe.
    options : dict
        SpeechBrain's options as it has parsed them, with the recipe's YAML under
        ``param_file``.

    Returns
    -------
    list of str

    Raises
    ------
    ArgumentError
        For a name that is neither a key nor an option (argparse accepts prefixes of
        options, and SpeechBrain would then ignore the value), a value without a key, a
        key without a value, and text that looks like a reference of the YAML.

    Example
    -------
    >>> schema = Schema.of_recipe("SUPERB/KS")
    >>> argv = ["a.yaml", "--data_folder", "/x #1", "--lr=0.1"]
    >>> quoted(argv, schema, {"param_file": "a.yaml"})
    ['a.yaml', '--data_folder', '"/x #1"', '--lr=0.1']
    """
    parts, key, files = [], None, [options["param_file"]]
    for argument in [*argv, "--"]:
        if argument.startswith("--"):
            if key in schema:
                raise ArgumentError(_missing_value(key, schema))
            key, equals, value = argument[2:].partition("=")
            if key and key not in schema and key not in options:
                names = list({**dict.fromkeys(schema), **options})
                raise ArgumentError(f"There is no key '{key}'. {near(key, names)}")
            if equals and key in schema:
                argument = f"--{key}={_literal(key, value, schema)}"
            if equals or isinstance(options.get(key), bool):
                key = None
        elif key:
            if key in schema:
                argument = _literal(key, argument, schema)
            if not isinstance(options.get(key), list):  # which takes several
                key = None
        elif argument in files:
            files.remove(argument)
        else:
            raise ArgumentError(
                f"'{argument}' belongs to no key: give --key value. Quote what has "
                "spaces, and lists: --key '[a, b]'."
            )
        parts.append(argument)
    return parts[:-1]


def _missing_value(key, schema):
    return f"--{key} has no value. It is {schema[key].words()}."


def _literal(key, text, schema):
    """Returns a value as YAML, quoted if it is text that YAML would change."""
    import ruamel.yaml

    if not text.strip():  # an unset variable of the shell
        raise ArgumentError(_missing_value(key, schema))
    is_yaml, value = text.startswith(YAML), ...
    try:
        check_aliases(text)
        value = yaml_parser("safe").load(text)
    except ValueError as error:
        raise ArgumentError(f"--{key}: {error}.") from error
    except ruamel.yaml.YAMLError as error:
        is_tag = isinstance(error, ruamel.yaml.constructor.ConstructorError)
        if is_yaml and not is_tag:
            problem = reason(error)
            raise ArgumentError(f"--{key} {text} is no YAML: {problem}.") from error
    if is_yaml:
        return _escaped(value) if "=" in text and value is not ... else text
    if text in NULL:
        return text
    if isinstance(value, (bool, int, float)) and not schema[key].is_literal:
        return text
    if re.search("<[^>]*>", text):
        raise ArgumentError(
            f"--{key} {text}: <…> is a reference in a recipe. Give a value without it."
        )
    return text if value == text and "=" not in text else _escaped(text)


def _escaped(value):
    """Returns JSON, which is YAML, without ``=``, at which SpeechBrain splits."""
    return json.dumps(value, ensure_ascii=False, default=str).replace("=", "\\x3d")


def assignments(texts: list[str]) -> dict:
    """Reads assignments of keys, such as ``noise.snr=[0, 15]``.

    Arguments
    ---------
    texts : list of str
        Each ``key=value``, with dots for an entry of a mapping.

    Returns
    -------
    dict
        Keys to values; several entries of a mapping are merged.

    Raises
    ------
    ArgumentError
        For a text without ``=``, an invalid value, or a key that is set twice.

    Example
    -------
    >>> assignments(["noise.snr=[0,15]", "noise.draws=4", "head=ecapa"])
    {'noise': {'snr': [0, 15], 'draws': 4}, 'head': 'ecapa'}
    """
    import ruamel.yaml

    values: dict = {}
    for text_ in texts:
        name, equals, value = text_.partition("=")
        *outer, last = name.split(".")
        if not equals or not all([*outer, last]):
            raise ArgumentError(f"'{text_}' is no assignment: write key=value.")
        place = values
        for part in outer:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise ArgumentError(f"{name} is set twice.")
        if last in place:
            raise ArgumentError(f"{name} is set twice.")
        try:
            place[last] = plain(yaml_parser("safe").load(value))
        except ruamel.yaml.YAMLError as error:
            raise ArgumentError(f"{text_}: no YAML: {reason(error)}.") from error
    return values
