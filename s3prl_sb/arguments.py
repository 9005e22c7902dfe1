"""The keys of a recipe on the command line: what they say, taken literally.

SpeechBrain writes ``--key value`` as a line of YAML. A path such as ``/a #1/b`` or
``/a=b`` would be cut there, so text is quoted before.

Authors
 * The s3prl_sb developers, 2026
"""

import contextlib
import io
import json
import re
from pathlib import Path

from s3prl_sb import trust
from s3prl_sb.configuration import read_overrides, text
from s3prl_sb.errors import UserError
from s3prl_sb.files import yaml_parser
from s3prl_sb.keys import Schema
from s3prl_sb.nodes import plain

#: What begins so is YAML on purpose.
YAML = ("{", "[", "!", "'", '"')
NULL = ("", "null", "Null", "NULL", "~")


class ArgumentError(UserError, ValueError):
    """A command line that cannot be understood."""


def parse(argv):
    """Like ``speechbrain.parse_arguments``, but text is taken literally.

    Arguments
    ---------
    argv : list of str
        As for :func:`s3prl_sb.experiment.start`.

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
    ArgumentError
        For a key without a value, text that a reference of the YAML would be taken
        for, an option of SpeechBrain that cannot be.
    """
    hparams_file = _parsed(argv)[0]
    schema = Schema.of(hparams_file)
    _, run_opts, overrides = _parsed(quoted(argv, schema))
    changes = read_overrides(overrides)
    # Keys of recipes that SpeechBrain knows too, such as max_grad_norm, it keeps
    changes.update({k: run_opts[k] for k in run_opts.overridden_args if k in schema})
    for key in schema:
        value = changes.get(key, schema.tree[key])
        if schema.is_path(key) and expanded(value) != value:
            changes[key] = expanded(value)
    return hparams_file, run_opts, text(changes)


def _parsed(argv):
    """SpeechBrain's answer, or its complaint as an error."""
    import speechbrain as sb

    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return sb.parse_arguments(trust.taken(argv)[0])
    except SystemExit as stopped:
        if not stopped.code:  # --help
            raise
        last = (complaint.getvalue().strip().splitlines() or [""])[-1]
        reason = last.rpartition("error: ")[2].removeprefix("argument ")
        if "param_file" in reason:
            reason = "a recipe begins with its YAML file: train.py hparams/train.yaml"
        raise ArgumentError(f"{reason}.") from stopped


def argument(value):
    """A value as one gives it on the command line, for :func:`parse`.

    Arguments
    ---------
    value : object
        Of a file, perhaps: a text in it stays one, and is no YAML.

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


def expanded(value):
    """A path, or a list of them, with the home folder in the place of ``~``.

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


def quoted(argv, schema):
    """A command line whose text survives SpeechBrain's YAML.

    Arguments
    ---------
    argv : list of str
        The command line.
    schema : s3prl_sb.keys.Schema
        The keys of the recipe; what belongs to others is left alone.

    Returns
    -------
    list of str

    Raises
    ------
    ArgumentError
        For a key without a value, and for text that a reference of the YAML would
        be taken for.

    Example
    -------
    >>> schema = Schema.of_recipe("SUPERB/KS")
    >>> quoted(["a.yaml", "--data_folder", "/x #1", "--lr=0.1"], schema)
    ['a.yaml', '--data_folder', '"/x #1"', '--lr=0.1']
    """
    found, key = [], None
    for argument in [*argv, "--"]:
        if argument.startswith("--"):
            if key in schema:
                raise ArgumentError(
                    f"--{key} has no value. It is {schema[key].words()}."
                )
            key, equals, value = argument[2:].partition("=")
            if equals and key in schema:
                literal = schema[key].is_literal
                argument = f"--{key}={_literal(key, value, literal)}"
            key = None if equals else key
        elif key is not None:
            if key in schema:
                argument = _literal(key, argument, schema[key].is_literal)
            key = None
        found.append(argument)
    return found[:-1]


def _literal(key, text, literal):
    """A value as YAML: quoted if it is text that YAML would read otherwise."""
    import ruamel.yaml

    try:
        value = yaml_parser("safe").load(text)
    except ruamel.yaml.YAMLError:  # or a tag
        value = ...
    if text.startswith(YAML) or not text:
        return _escaped(value) if "=" in text and value is not ... else text
    if text in NULL:
        return text
    if isinstance(value, (bool, int, float)) and not literal:
        return text
    if re.search("<[^>]*>", text):
        raise ArgumentError(
            f"--{key} {text}: <…> is a reference in a recipe. Give a value without it."
        )
    if value == text and "=" not in text:
        return text
    return _escaped(text)


def _escaped(value):
    """JSON, which is YAML, without the sign that SpeechBrain splits at."""
    return json.dumps(value, ensure_ascii=False, default=str).replace("=", "\\x3d")
