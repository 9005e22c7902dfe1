"""Nodes of YAML as ruamel.yaml reads them: tags, lines, plain values.

Authors
 * The s3prl_sb developers, 2026
"""

import os
import re

from s3prl_sb import own


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
    name = own.plain_names(tag(value))
    if isinstance(value, dict):
        found = {str(key): plain(inner) for key, inner in value.items()}
        return {"tag": name, **found} if name else found
    if isinstance(value, (list, tuple)):
        found = [plain(inner) for inner in value]
        return [{"tag": name}, *found] if name else found
    if name:
        return f"{name} {getattr(value, 'value', '')}"
    if value is None or isinstance(value, (bool, int)):
        return value
    return float(value) if isinstance(value, float) else str(value)


def tag(node):
    """The tag of a node of YAML; "" if it has none.

    Arguments
    ---------
    node : object
        As ruamel.yaml loads it.

    Returns
    -------
    str
    """
    return getattr(getattr(node, "tag", None), "value", None) or ""


def referred(node):
    """Returns the keys that a node of YAML refers to, at any depth.

    Arguments
    ---------
    node : object
        As ruamel.yaml loads it.

    Returns
    -------
    list of str
        The first names of the references.

    Example
    -------
    >>> import ruamel.yaml
    >>> referred(ruamel.yaml.YAML().load("a: !ref <b.c>/<d>\\ne: [!ref '<f[g]>']"))
    ['b', 'd', 'f']
    """
    if isinstance(node, (dict, list)):
        inside = node.values() if isinstance(node, dict) else node
        return [key for inner in inside for key in referred(inner)]
    references = re.findall("<([^>]*)>", str(getattr(node, "value", "")))
    return [re.split(r"[.\[]", reference)[0] for reference in references]


def line_of(tree, key):
    """The line where a key of a mapping stands, from 1 on; None if unknown.

    Arguments
    ---------
    tree : dict
        As ruamel.yaml loads it.
    key : str
        One of its keys.

    Returns
    -------
    int or None
    """
    places = getattr(getattr(tree, "lc", None), "data", None) or {}
    return places[key][0] + 1 if key in places else None


def written(value):
    """A value as one writes it, cut where it is long.

    Arguments
    ---------
    value : object
        As ruamel.yaml loads it.

    Returns
    -------
    str

    Example
    -------
    >>> written(None), written("a"), written([1, 2])
    ('null', "'a'", '[1, 2]')
    """
    if tag(value):
        return str(plain(value))[:80]
    value = plain(value)
    text = "null" if value is None else repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"


def shown(path):
    """A path as a message gives it: from the current folder if it lies in it.

    Arguments
    ---------
    path : str
        The file.

    Returns
    -------
    str
        In quotes.

    Example
    -------
    >>> shown("hparams/train.yaml")
    "'hparams/train.yaml'"
    """
    near = os.path.relpath(path)
    return f"'{path if near.startswith(os.pardir) else near}'"
