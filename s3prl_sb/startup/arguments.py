"""Command line of a recipe: its keys, with text taken literally.

SpeechBrain writes ``--key value`` as a line of YAML, which would cut a path such as
``/a #1/b`` or ``/a=b``. It therefore only gets its own options. ``--noise.snr 10`` is
the entry of a mapping, or the argument of an object: ``--noise '{snr: 10}'``. Beside a
name, ``--head mlp --head.hidden_size 8`` is ``--head '{name: mlp, hidden_size: 8}'``.

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
from s3prl_sb.schema.declarations import Declaration, shared
from s3prl_sb.schema.keys import Schema
from s3prl_sb.startup import named, run_name
from s3prl_sb.startup.configuration import text
from s3prl_sb.storage.yaml_texts import check_aliases, yaml_parser
from s3prl_sb.terminal.messages import near, reason

#: A value that begins with one of these is meant as YAML.
YAML = ("{", "[", "!", "'", '"')
NULL = ("", "null", "Null", "NULL", "~")
#: A text in quotes, or a tag without arguments before the end of an item.
_BARE_TAG = re.compile(
    r"""("(?:\\.|[^"\\])*"|'(?:''|[^'])*')|(!(?:new|name|apply|applyref):[\w.]+)(?=[],}])"""
)


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
    pairs, options = split(argv, schema, vars(run_opts))
    run_opts = _parsed(options)[1]
    changes = _assembled(pairs, schema, "--")
    # SpeechBrain keeps keys that are also options of its own, such as max_grad_norm
    changes.update({k: run_opts[k] for k in run_opts.overridden_args if k in schema})
    if name is not None:
        changes[run_name.FOLDER] = run_name.named_folder(name, schema.tree, changes)
    for key in schema:
        value = changes.get(key, schema.tree[key])
        if schema.is_path(key) and expanded(value) != value:
            changes[key] = expanded(value)
        for inner, declaration in schema[key].inside.items():
            if declaration.is_path and inner in (changes.get(key) or ()):
                changes[key][inner] = expanded(changes[key][inner])
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


def assignments(parts: list[str]) -> dict:
    """Parses assignments to keys of any recipe, such as those of a benchmark.

    Arguments
    ---------
    parts : list of str
        One ``key=value`` or ``key.entry=value`` each, with values as on the command
        line of a recipe.

    Returns
    -------
    dict
        Keys and values; entries of one key are one mapping. Whether a recipe has the
        keys is not checked.

    Raises
    ------
    ArgumentError
        For a text without a key or a value, or two values of one key.

    Example
    -------
    >>> assignments(["noise.snr=[0, 15]", "noise.draws=4", "head=ecapa"])
    {'noise': {'snr': [0, 15], 'draws': 4}, 'head': 'ecapa'}
    """
    pairs = []
    for part in parts:
        key, _, value = part.partition("=")
        if not key.strip() or not value.strip():
            raise ArgumentError(
                f"'{part}' sets no key: give key=value, such as noise.snr=[0,15]."
            )
        pairs.append((key.strip(), value))
    return _assembled(pairs, shared(), "")


def split(
    argv: list[str], schema: Schema, options: dict
) -> tuple[list[tuple[str, str]], list[str]]:
    """Splits a command line into keys of the recipe and options of SpeechBrain.

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
    pairs : list of (str, str)
        Keys, or entries of keys such as "noise.snr", and their texts.
    argv : list of str
        The rest, with keys that are options of SpeechBrain too.

    Raises
    ------
    ArgumentError
        For a name that is neither a key nor an option (argparse accepts prefixes of
        options, and SpeechBrain would then ignore the value), a value without a key,
        and a key without a value.

    Example
    -------
    >>> schema = Schema.of_recipe("SUPERB/KS")
    >>> argv = ["a.yaml", "--data_folder", "/x #1", "--noise.snr=3", "--debug"]
    >>> split(argv, schema, {"param_file": "a.yaml", "debug": False})
    ([('data_folder', '/x #1'), ('noise.snr', '3')], ['a.yaml', '--debug'])
    """
    pairs, rest, key, files = [], [], None, [options["param_file"]]

    def take(value, parts):
        if not value.strip():  # an unset variable of the shell
            raise ArgumentError(_missing_value(key, schema))
        if key in options or not _is_key(key, schema):
            rest.extend(parts)
        else:
            pairs.append((key, value))

    for argument in [*argv, "--"]:
        if argument.startswith("--"):
            if _is_key(key, schema):
                raise ArgumentError(_missing_value(key, schema))
            key, equals, value = argument[2:].partition("=")
            if key and key not in options and not _is_key(key, schema):
                names = list({**dict.fromkeys(schema), **options})
                raise ArgumentError(f"There is no key '{key}'. {near(key, names)}")
            if equals and _is_key(key, schema):
                take(value, [argument])
            elif not _is_key(key, schema):
                rest.append(argument)
            if equals or isinstance(options.get(key), bool):
                key = None
        elif key:
            if _is_key(key, schema):
                take(argument, [f"--{key}", argument])
            else:
                rest.append(argument)
            if not isinstance(options.get(key), list):  # which takes several
                key = None
        elif argument in files:
            files.remove(argument)
            rest.append(argument)
        else:
            raise ArgumentError(
                f"'{argument}' belongs to no key: give --key value. Quote what has "
                "spaces, and lists: --key '[a, b]'."
            )
    return pairs, rest[:-1]


def _is_key(name, schema):
    """Returns whether a name is a key, or an entry of one."""
    return bool(name) and (name in schema or name.partition(".")[0] in schema)


def _missing_value(name, schema):
    return f"--{name} has no value. It is {_declaration(name, schema).words()}."


def _declaration(name, declarations):
    """Returns the declaration of a key, or of an entry of one."""
    key, *inner = [name] if name in declarations else name.split(".")
    declaration = declarations[key] if key in declarations else None
    for part in inner:
        declaration = declaration and declaration.inside.get(part)
    return declaration or Declaration(name, kind="any")


def _assembled(pairs, declarations, dashes):
    """Returns keys and values; the entries of a mapping are put together."""
    changes, names = {}, []
    outers = {name.partition(".")[0] for name, _ in pairs if name not in declarations}
    for name, value in pairs:
        if name in outers and _is_name(name, value, declarations):
            name = f"{name}.name"  # --head mlp --head.hidden_size 8
        for other in names:
            if other == name:
                raise ArgumentError(f"{dashes}{name} is given twice: keep one.")
            if f"{name}.".startswith(f"{other}.") or f"{other}.".startswith(f"{name}."):
                raise ArgumentError(
                    f"{dashes}{other} and {dashes}{name} set the same key: give all "
                    "in one of them."
                )
        names.append(name)
        *outer, last = [name] if name in declarations else name.split(".")
        place = changes
        for part in outer:
            place = place.setdefault(part, {})
        place[last] = _value(f"{dashes}{name}", value, _declaration(name, declarations))
    return changes


def _is_name(key, text, declarations):
    """Returns whether a text is a name beside which a mapping has options."""
    named_inside = key in declarations and "name" in declarations[key].inside
    takes_names = key in (named.HEAD, named.OPTIMIZER) or named_inside
    return takes_names and not text.startswith(YAML) and text not in NULL


def _value(name, text, declaration):
    """Returns the node of YAML that a text on the command line stands for."""
    import ruamel.yaml

    is_yaml, value = text.startswith(YAML), ...
    if is_yaml:
        text = _BARE_TAG.sub(lambda match: match[1] or f"{match[2]} ", text)
    try:
        check_aliases(text)
        node = yaml_parser().load(text)
        value = yaml_parser("safe").load(text) if not is_yaml else ...
    except ValueError as error:
        raise ArgumentError(f"{name}: {error}.") from error
    except ruamel.yaml.YAMLError as error:
        if is_yaml:
            problem = reason(error)
            raise ArgumentError(f"{name} {text} is no YAML: {problem}.") from error
    if is_yaml:
        return node
    if text in NULL:
        return None
    if isinstance(value, (bool, int, float)) and not declaration.is_literal:
        return node
    if re.search("<[^>]*>", text):
        raise ArgumentError(
            f"{name} {text}: <…> is a reference in a recipe. Give a value without it."
        )
    return text
