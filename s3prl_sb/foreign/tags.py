"""Tags of YAML nodes, and names of user-defined modules in them.

Authors
 * The s3prl_sb developers, 2026
"""

import copy

from s3prl_sb import own
from s3prl_sb.foreign.trust import require
from s3prl_sb.hyperyaml.nodes import tag


def text_of(node):
    """Returns the text of a plain text node, and other nodes unchanged.

    Arguments
    ---------
    node : object
        A node. Once a process has used HyperPyYAML, ruamel.yaml gives a text ``(…)``
        the tag ``!tuple``.

    Returns
    -------
    object
    """
    is_text = tag(node) in ("!tuple", "tag:yaml.org,2002:str")
    if is_text and not isinstance(node, (dict, list)):
        return str(node.value)
    return node


def with_own_names(node, folder):
    """Loads the user-defined modules of tags, and returns a copy with their names.

    Arguments
    ---------
    node : object
        A node of ruamel.yaml's round-trip loader. The modules that its tags name run.
    folder : pathlib.Path
        Folder of these modules, which precede installed ones.

    Returns
    -------
    object
        A copy for HyperPyYAML, whose tags have the names of the loaded modules.

    Raises
    ------
    s3prl_sb.own.OwnCodeError
        If a module cannot be loaded.
    s3prl_sb.foreign.trust.TrustError
        If a file of a module is not trusted, such as the target of a link.
    """
    node = copy.deepcopy(node)
    for part, kind, name in _calls(node):
        module = beside(name, folder)
        if module:
            for file, _ in own.closure(folder, module).values():
                require(file, [f"as part of '{folder}'"])
            own.attribute(folder, name)
            loaded = own.module(folder, module).__name__
            set_tag(part, f"{kind}:{loaded}{name[len(module) :]}")
    return node


def own_names(node):
    """Returns the dotted names in the tags of a node that are not in this package.

    Arguments
    ---------
    node : object
        A node of ruamel.yaml's round-trip loader.

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
    """Yields each node that calls something, with the kind of tag and the name."""
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
    """Returns the module of a folder that a dotted name belongs to.

    Arguments
    ---------
    name : str
        Dotted name of a class or function.
    folder : pathlib.Path
        The folder.

    Returns
    -------
    str or None
        None if it is not in the folder. Names of this package never are.
    """
    if name.partition(".")[0] == "s3prl_sb":
        return None
    return own.place(folder, name)


def set_tag(node, value):
    """Sets the tag of a node.

    Arguments
    ---------
    node : object
        A node of ruamel.yaml, changed in place.
    value : str
        New tag, such as "!new:a.B".

    Returns
    -------
    object
        The node.
    """
    from ruamel.yaml.tag import Tag

    if hasattr(node, "yaml_set_ctag"):
        node.yaml_set_ctag(Tag(suffix=value))
    else:
        node.yaml_set_tag(value)
    return node


def quoted(value):
    """Marks texts that begin with ``(``, so that they are written in quotes.

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
