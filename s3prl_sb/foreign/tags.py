"""What the tags of YAML nodes name, and names of modules that lie beside a file.

Authors
 * The s3prl_sb developers, 2026
"""

import copy

from s3prl_sb import own
from s3prl_sb.foreign.trust import require
from s3prl_sb.hyperyaml.nodes import tag


def text_of(node):
    """A node, or its text if that is all it is.

    Arguments
    ---------
    node : object
        Once HyperPyYAML has been used in a process, ruamel.yaml gives the text ``(…)``
        the tag ``!tuple`` wherever it reads it.

    Returns
    -------
    object
    """
    is_text = tag(node) in ("!tuple", "tag:yaml.org,2002:str")
    if is_text and not isinstance(node, (dict, list)):
        return str(node.value)
    return node


def with_own_names(node, folder):
    """A copy whose tags name modules of a folder as they are loaded from there.

    Arguments
    ---------
    node : object
        As ruamel.yaml's round-trip loader gives it. These modules are run now.
    folder : pathlib.Path
        Where they lie. What is called as a module there and elsewhere is there.

    Returns
    -------
    object
        For HyperPyYAML.

    Raises
    ------
    s3prl_sb.own.OwnCodeError
        If one cannot be loaded.
    s3prl_sb.foreign.trust.TrustError
        If a file of one is not trusted: links lead anywhere.
    """
    node = copy.deepcopy(node)
    for part, kind, name in _calls(node):
        found = beside(name, folder)
        if found:
            for file, _ in own.closure(folder, found).values():
                require(file, [f"as part of '{folder}'"])
            own.attribute(folder, name)
            loaded = own.module(folder, found).__name__
            set_tag(part, f"{kind}:{loaded}{name[len(found) :]}")
    return node


def own_names(node):
    """The dotted names in the tags of a node that are none of this package.

    Arguments
    ---------
    node : object
        As ruamel.yaml's round-trip loader gives it.

    Returns
    -------
    list of str

    Example
    -------
    >>> import ruamel.yaml
    >>> own_names(ruamel.yaml.YAML().load("[!new:mine.A {}, !new:s3prl_sb.b.C {}]"))
    ['mine.A']
    """
    names = (name for _, _, name in _calls(node))
    return list(dict.fromkeys(n for n in names if not n.startswith("s3prl_sb.")))


def _calls(node):
    """Each node that names something to call, with how and what."""
    left, seen = [node], set()
    while left:
        part = left.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        left += part.values() if isinstance(part, dict) else ()
        left += part if isinstance(part, list) else ()
        kind, _, name = tag(part).partition(":")
        if name and kind in ("!new", "!name", "!apply", "!applyref"):
            yield part, kind, name


def beside(name, folder):
    """The module of a folder that a dotted name belongs to.

    Arguments
    ---------
    name : str
        Of a class or function.
    folder : pathlib.Path
        The folder.

    Returns
    -------
    str or None
        None: none of it. Names of this package never are, wherever it lies.
    """
    if name.partition(".")[0] == "s3prl_sb":
        return None
    return own.place(folder, name)


def set_tag(node, value):
    """Gives a node another tag.

    Arguments
    ---------
    node : object
        Of ruamel.yaml's, is changed.
    value : str
        Such as "!new:a.B".
    """
    from ruamel.yaml.tag import Tag

    if hasattr(node, "yaml_set_ctag"):
        node.yaml_set_ctag(Tag(suffix=value))
    else:
        node.yaml_set_tag(value)


def quoted(value):
    """Plain values of which texts that begin with ``(`` will be written in quotes.

    Arguments
    ---------
    value : object
        Dicts, lists and scalars.

    Returns
    -------
    object
    """
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString

    if isinstance(value, dict):
        return {quoted(key): quoted(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [quoted(inner) for inner in value]
    if isinstance(value, str) and value.startswith("("):
        return DoubleQuotedScalarString(value)
    return value
