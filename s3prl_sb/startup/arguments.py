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

from s3prl_sb.errors import UserError
from s3prl_sb.foreign import trust
from s3prl_sb.hyperyaml.nodes import plain
from s3prl_sb.schema.keys import Schema
from s3prl_sb.startup import run_name
from s3prl_sb.startup.configuration import read_overrides, text
from s3prl_sb.storage.yaml_texts import check_aliases, yaml_parser
from s3prl_sb.terminal.messages import near, reason

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
        As for :func:`s3prl_sb.startup.experiment.start`; ``--name`` as
        :mod:`s3prl_sb.startup.run_name` says.

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
    # Keys of recipes that SpeechBrain knows too, such as max_grad_norm, it keeps
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
    """SpeechBrain's answer, or its complaint as an error."""
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


def quoted(argv, schema, options):
    """A command line whose text survives SpeechBrain's YAML.

    Arguments
    ---------
    argv : list of str
        The command line.
    schema : s3prl_sb.schema.keys.Schema
        The keys of the recipe.
    options : dict
        SpeechBrain's own, as it has read them, with the recipe's YAML under
        ``param_file``.

    Returns
    -------
    list of str

    Raises
    ------
    ArgumentError
        For what is neither a key nor an option (argparse would take the beginning of
        an option's name for it, and SpeechBrain would then ignore its value), what
        belongs to no key, a key without a value, and text that a reference of the
        YAML would be taken for.

    Example
    -------
    >>> schema = Schema.of_recipe("SUPERB/KS")
    >>> argv = ["a.yaml", "--data_folder", "/x #1", "--lr=0.1"]
    >>> quoted(argv, schema, {"param_file": "a.yaml"})
    ['a.yaml', '--data_folder', '"/x #1"', '--lr=0.1']
    """
    found, key, places = [], None, [options["param_file"]]
    for argument in [*argv, "--"]:
        if argument.startswith("--"):
            if key in schema:
                raise ArgumentError(_lacks(key, schema))
            key, equals, value = argument[2:].partition("=")
            if key and key not in schema and key not in options:
                known = list({**dict.fromkeys(schema), **options})
                raise ArgumentError(f"There is no key '{key}'. {near(key, known)}")
            if equals and key in schema:
                argument = f"--{key}={_literal(key, value, schema)}"
            if equals or isinstance(options.get(key), bool):
                key = None
        elif key:
            if key in schema:
                argument = _literal(key, argument, schema)
            if not isinstance(options.get(key), list):  # which takes several
                key = None
        elif argument in places:
            places.remove(argument)
        else:
            raise ArgumentError(
                f"'{argument}' belongs to no key: give --key value. Quote what has "
                "spaces, and lists: --key '[a, b]'."
            )
        found.append(argument)
    return found[:-1]


def _lacks(key, schema):
    return f"--{key} has no value. It is {schema[key].words()}."


def _literal(key, text, schema):
    """A value as YAML: quoted if it is text that YAML would read otherwise."""
    import ruamel.yaml

    if not text.strip():  # of a variable of the shell that is not set
        raise ArgumentError(_lacks(key, schema))
    is_yaml = text[0] in "{[!'\""  # on purpose
    try:
        check_aliases(text)
        value = yaml_parser("safe").load(text)
    except ValueError as error:
        raise ArgumentError(f"--{key}: {error}.") from error
    except ruamel.yaml.constructor.ConstructorError:  # a tag
        value = ...
    except ruamel.yaml.YAMLError as error:
        if is_yaml:
            raise ArgumentError(
                f"--{key} {text} is no YAML: {reason(error)}."
            ) from error
        value = ...
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
    if value == text and "=" not in text:
        return text
    return _escaped(text)


def _escaped(value):
    """JSON, which is YAML, without the sign that SpeechBrain splits at."""
    return json.dumps(value, ensure_ascii=False, default=str).replace("=", "\\x3d")
