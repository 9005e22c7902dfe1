"""Nodes of YAML that ruamel.yaml has read: tags, lines, plain values.

Authors
 * The s3prl_sb developers, 2026
"""

import copy
import os
import re

from s3prl_sb import own


def plain(value):
    """Converts a node of YAML to JSON values, without comments.

    Arguments
    ---------
    value : object
        Node, as ruamel.yaml loads it.

    Returns
    -------
    object
        JSON values; tags become text.

    Example
    -------
    >>> import ruamel.yaml
    >>> plain(ruamel.yaml.YAML().load("{a: !ref <b>, c: [1, 2.0]}  # comment"))
    {'a': '!ref <b>', 'c': [1, 2.0]}
    """
    name = own.plain_names(tag(value))
    if isinstance(value, dict):
        mapping = {str(key): plain(inner) for key, inner in value.items()}
        return {"tag": name, **mapping} if name else mapping
    if isinstance(value, (list, tuple)):
        items = [plain(inner) for inner in value]
        return [{"tag": name}, *items] if name else items
    if name:
        return f"{name} {getattr(value, 'value', '')}"
    if value is None or isinstance(value, (bool, int)):
        return value
    return float(value) if isinstance(value, float) else str(value)


def tag(node):
    """Returns the tag of a node of YAML; "" if it has none.

    Arguments
    ---------
    node : object
        Node, as ruamel.yaml loads it.

    Returns
    -------
    str
    """
    return getattr(getattr(node, "tag", None), "value", None) or ""


def walk(node, seen=None):
    """Yields a node of YAML and all nodes inside it, each once.

    Arguments
    ---------
    node : object
        Node, as ruamel.yaml loads it.
    seen : set, optional
        Identities of nodes to skip; those of the yielded nodes are added.

    Yields
    ------
    object
        Mappings and lists before their content.

    Example
    -------
    >>> [each for each in walk({"a": [1, "b"]}) if not isinstance(each, (dict, list))]
    [1, 'b']
    """
    seen = set() if seen is None else seen
    if id(node) in seen:
        return
    seen.add(id(node))
    yield node
    if isinstance(node, (dict, list, tuple)):
        for inner in node.values() if isinstance(node, dict) else node:
            yield from walk(inner, seen)


def referred(node):
    """Returns the keys that a node of YAML refers to, at any depth.

    Arguments
    ---------
    node : object
        Node, as ruamel.yaml loads it.

    Returns
    -------
    list of str
        First names of the references.

    Example
    -------
    >>> import ruamel.yaml
    >>> referred(ruamel.yaml.YAML().load("a: !ref <b.c>/<d>\\ne: [!ref '<f[g]>']"))
    ['b', 'd', 'f']
    """
    texts = (str(getattr(inner, "value", "")) for inner in walk(node))
    references = [name for text in texts for name in re.findall("<([^>]*)>", text)]
    return [re.split(r"[.\[]", reference)[0] for reference in references]


def line_of(tree, key):
    """Returns the line of a key of a mapping, counted from 1; None if unknown.

    Arguments
    ---------
    tree : dict
        Node, as ruamel.yaml loads it.
    key : str
        Key of the mapping.

    Returns
    -------
    int or None
    """
    places = getattr(getattr(tree, "lc", None), "data", None) or {}
    return places[key][0] + 1 if key in places else None


def written(value):
    """Formats a value for messages, cut to 80 characters.

    Arguments
    ---------
    value : object
        Node, as ruamel.yaml loads it.

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
    """Formats a path for messages: relative to the current folder if it is inside.

    Arguments
    ---------
    path : str
        File.

    Returns
    -------
    str
        Path in quotes.

    Example
    -------
    >>> shown("hparams/train.yaml")
    "'hparams/train.yaml'"
    """
    near = os.path.relpath(path)
    return f"'{path if near.startswith(os.pardir) else near}'"


def copied(node):
    """Returns a deep copy of a node; that of ruamel.yaml loses tags of empty lists.

    Arguments
    ---------
    node : object
        Node, as ruamel.yaml loads it.

    Returns
    -------
    object

    Example
    -------
    >>> import ruamel.yaml
    >>> tag(copied(ruamel.yaml.YAML().load("a: !apply:os.getcwd []"))["a"])
    '!apply:os.getcwd'
    """
    from ruamel.yaml.comments import CommentedSeq

    memo = {}
    for inner in walk(node):
        if type(inner) is CommentedSeq and not inner:
            memo[id(inner)] = inner.copy_attributes(CommentedSeq())
    return copy.deepcopy(node, memo)


def drop_comments(node):
    """Removes the comments of a node and of all nodes inside.

    Arguments
    ---------
    node : object
        Node, as ruamel.yaml loads it; changed in place.

    Example
    -------
    >>> import ruamel.yaml, sys
    >>> node = ruamel.yaml.YAML().load("a: 1  # comment")
    >>> drop_comments(node)
    >>> ruamel.yaml.YAML().dump(node, sys.stdout)
    a: 1
    """
    from ruamel.yaml.comments import Comment

    for inner in walk(node):
        if isinstance(inner, (dict, list)) and hasattr(inner, Comment.attrib):
            delattr(inner, Comment.attrib)


def show_comments(node):
    """Makes the comments of a node and of all nodes inside appear once more.

    ruamel.yaml remembers those that it has written. Of a copy that was written before,
    it leaves out a comment between a key and its list, and then the list is no YAML.

    Arguments
    ---------
    node : object
        Node, as ruamel.yaml loads it; changed in place.

    Example
    -------
    >>> import copy, ruamel.yaml, sys
    >>> node = copy.deepcopy(ruamel.yaml.YAML().load("a:\\n  # comment\\n  - 1"))
    >>> for _ in range(2):
    ...     show_comments(node)
    ...     ruamel.yaml.YAML().dump(node, sys.stdout)
    a:
      # comment
    - 1
    a:
      # comment
    - 1
    """
    for inner in walk(node):
        if isinstance(inner, (dict, list)) and hasattr(inner, "ca"):
            left = [inner.ca.comment, *inner.ca.items.values()]
            while left:
                part = left.pop()
                if isinstance(part, list):
                    left += part
                elif part is not None:
                    part.reset()
