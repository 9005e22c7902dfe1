"""The keys of a recipe on the command line: what they say, taken literally.

SpeechBrain writes ``--key value`` as a line of YAML. A path such as ``/a #1/b`` or
``/a=b`` would be cut there, so text is quoted before.

Authors
 * The s3prl_sb developers, 2026
"""

import json
import re
from pathlib import Path

from s3prl_sb.errors import UserError

#: Keys of recipes that hold paths besides those that end in _folder, _file, _csv.
PATHS = ("lm", "lexicon")
#: Arguments of an upstream that may name files.
UPSTREAM_FILES = ("source", "codes", "pca", "model_config")
#: Keys of recipes that count something.
COUNTS = ("total_steps", "steps_per_epoch", "batch_size", "grad_accumulation_factor")


class ArgumentError(UserError, ValueError):
    """A command line that cannot be understood."""


def is_path(key):
    """Whether a key of a recipe holds a path, or a list of them.

    Example
    -------
    >>> is_path("data_folder"), is_path("lm"), is_path("lr")
    (True, True, False)
    """
    return key in PATHS or str(key).endswith(("_folder", "_file", "_csv"))


def is_count(value):
    """Whether a value is a whole number from 1 on.

    Example
    -------
    >>> is_count(3), is_count(0), is_count(2.0), is_count(True)
    (True, False, False, False)
    """
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def expanded(key, value):
    """A value of a recipe, with the home folder in the place of a path's ``~``.

    Example
    -------
    >>> expanded("lm", "/a.arpa"), expanded("labels", "~")
    ('/a.arpa', '~')
    >>> expanded("data_folder", "~/corpora").startswith("~")
    False
    """
    if is_path(key) and isinstance(value, list):
        return [expanded(key, item) for item in value]
    if is_path(key) and isinstance(value, str) and value.startswith("~"):
        return str(Path(value).expanduser())
    return value


def quoted(argv, keys):
    """A command line whose text survives SpeechBrain's YAML.

    Arguments
    ---------
    argv : list of str
        The command line.
    keys : collection of str
        Those of the recipe; what belongs to others is left alone.

    Returns
    -------
    list of str

    Raises
    ------
    ArgumentError
        For text that a reference of the YAML would be taken for.

    Example
    -------
    >>> quoted(["a.yaml", "--data_folder", "/x #1", "--lr=0.1"], ["data_folder", "lr"])
    ['a.yaml', '--data_folder', '"/x #1"', '--lr=0.1']
    """
    found, key = [], None
    for argument in argv:
        if argument.startswith("--"):
            key, equals, value = argument[2:].partition("=")
            if equals and key in keys:
                argument = f"--{key}={_literal(key, value)}"
            key = None if equals else key
        elif key is not None:
            if key in keys:
                argument = _literal(key, argument)
            key = None
        found.append(argument)
    return found


def _literal(key, text):
    """A value as YAML: quoted if it is text that YAML would read otherwise."""
    import ruamel.yaml

    try:
        value = ruamel.yaml.YAML(typ="safe").load(text)
    except ruamel.yaml.YAMLError:  # or a tag
        value = ...
    if text[:1] in ("{", "[", "!", "'", '"') or not text:  # YAML, on purpose
        return _escaped(value) if "=" in text and value is not ... else text
    if text in ("null", "Null", "NULL", "~"):
        return text
    if isinstance(value, (bool, int, float)) and not is_path(key):
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
