"""Objects that a YAML file declares, built without running code of it.

HyperPyYAML imports and calls all that a tag names. An untrusted card or export is data:
here a tag may only name a class of this package, of the kind that its place requires,
with plain values as arguments. Everything else is listed (:meth:`Document.foreign`),
so that the user can be asked to trust the file. The nodes are those of ruamel.yaml's
round-trip loader, which keeps tags without following them. Objects are built from
these nodes, and the text is not parsed again.

Authors
 * The s3prl_sb developers, 2026
"""

import functools
import re

from s3prl_sb import own
from s3prl_sb.errors import UserError
from s3prl_sb.foreign.classes import SCALARS, find_class
from s3prl_sb.foreign.tags import beside, quoted, set_tag, text_of
from s3prl_sb.hyperyaml.nodes import tag

_REFERENCE = re.compile(r"<(\w+)((?:\[\w+\])*)(?:\.([A-Za-z]\w*))?>")
_CALL = re.compile("!(new|name):(.*)", re.S)


class NodeError(UserError, ValueError):
    """A node of YAML that no object can be built from."""


class ArgumentError(NodeError, TypeError):
    """Unknown or missing arguments of a class."""


class Document:
    """The entries of a YAML file, some of which declare objects.

    Arguments
    ---------
    entries : dict
        Top level of the file, from ruamel.yaml's round-trip loader.
    kinds : dict
        Key to :class:`~s3prl_sb.foreign.classes.Kind`, for entries that declare an
        object or a list of objects; the other entries are plain.
    folder : pathlib.Path, optional
        Folder of the file, whose modules are named in messages.

    Example
    -------
    >>> import ruamel.yaml
    >>> from s3prl_sb.foreign.classes import PIPE
    >>> text = "rate: 8000\\npipe: !new:s3prl_sb.dataio.pipes.LoadAudio\\n"
    >>> text += "  sample_rate: !ref <rate>\\nbad: !apply:os.system [ls]\\n"
    >>> entries = ruamel.yaml.YAML().load(text)
    >>> document = Document(entries, {"pipe": PIPE})
    >>> document.build("pipe").sample_rate
    8000
    >>> document.foreign(["pipe"]), document.foreign(["bad"])
    ([], ['!apply:os.system (line 4)'])
    """

    def __init__(self, entries, kinds, folder=None):
        self.entries, self.kinds, self.folder = entries, kinds, folder
        self.built, self.seen, self.open = {}, {}, set()

    # ---------------------------------------------------------------- check
    def foreign(self, keys=None):
        """Lists what is neither a plain value nor an object of the required kind.

        Arguments
        ---------
        keys : list of str, optional
            Entries to check; default: all.

        Returns
        -------
        list of str
            Descriptions with the line; empty if all entries can be built.

        Raises
        ------
        NodeError
            For nodes that are invalid even if trusted.
        """
        foreign, self.seen = [], {}
        for key in self.entries if keys is None else keys:
            line = _line(self.entries, key)
            self._check(self.entries[key], self.kinds.get(key), SCALARS, line, foreign)
        return list(dict.fromkeys(foreign))

    def _check(self, node, kind, values, line, foreign):
        """Adds the foreign parts of a node to a list."""
        node = text_of(node)
        if self.seen.get(id(node)) == (kind, values):
            return  # an alias
        if isinstance(node, (dict, list)) and not tag(node).startswith("!apply"):
            self.seen[id(node)] = kind, values
        name = tag(node)
        call = _CALL.fullmatch(name)
        if call and not isinstance(node, list):
            made = find_class(call[2], kind) if kind else None
            if made is None or not _has_named_arguments(node):
                foreign.append(self._described(name, line, kind))
            elif isinstance(node, dict):
                self._check_inside(node, kind.inner, kind.values, foreign)
        elif name == "!ref" and not isinstance(node, (dict, list)):
            self._check_reference(str(node.value), line)
        elif _is_attribute(node):
            upstream = self.kinds.get("upstream")
            if node[0] is not self.entries.get("upstream") or upstream is None:
                foreign.append(self._described("!apply:getattr", line))
        elif name:
            foreign.append(self._described(name, line))
        elif isinstance(node, dict) and _is_plain_mapping(node):
            self._check_inside(node, kind, values, foreign)
        elif isinstance(node, list):
            lines = getattr(node, "lc", None)
            for i, item in enumerate(node):
                place = lines.item(i)[0] + 1 if lines and lines.data else None
                self._check(item, kind, values, place, foreign)
        elif not isinstance(node, SCALARS):
            kind = type(node).__name__
            raise NodeError(f"A value of type {kind}{_at(line)}: write it as text.")
        elif not isinstance(node, values):
            foreign.append(f"'{node}' where only numbers belong{_at(line)}")

    def _check_inside(self, node, kind, values, foreign):
        for key, value in node.items():
            line, key = _line(node, key), text_of(key)
            if tag(key) or not isinstance(key, (str, int)):
                foreign.append(f"a key of type {tag(key) or type(key).__name__}")
                continue
            self._check(value, kind, values, line, foreign)

    def _check_reference(self, text, line):
        for name in re.findall("<[^>]*>", text):
            match = _REFERENCE.fullmatch(name)
            if match is None or match[1] not in self.entries:
                names = ", ".join(f"<{key}>" for key in self.entries)
                raise NodeError(f"!ref {text}{_at(line)}: there is only {names}.")

    def _described(self, name, line, kind=None):
        """Describes the code that a tag would run."""
        name = name.replace("tag:yaml.org,2002:", "!!")
        dotted = name.partition(":")[2]
        module = self.folder and beside(dotted, self.folder)
        if module:
            file = own.find(self.folder, module).relative_to(self.folder)
            return f"{file} beside it ({name}{_at(line, ', ')})"
        wrong = ""
        if kind and dotted.startswith("s3prl_sb."):
            wrong = f", which is not {kind.what}"
        return f"{name}{wrong}{_at(line)}"

    # ---------------------------------------------------------------- build
    def plain(self, key):
        """Returns the node of an object whose arguments are plain, or such objects.

        Arguments
        ---------
        key : str
            Key of an entry without foreign parts.

        Returns
        -------
        ruamel.yaml.comments.CommentedMap
            New values without references, safe for HyperPyYAML: texts ``(…)`` are in
            quotes, since it would parse them as tuples of programs.

        Raises
        ------
        NodeError
            If an argument is not plain.
        """
        return self._copied(self.entries[key], self.kinds.get(key))

    def _copied(self, node, kind):
        """Returns a copy of a node without references."""
        from ruamel.yaml.comments import CommentedMap

        name = tag(node)
        is_object = _CALL.fullmatch(name) is not None
        if kind is None or (name and not is_object):  # objects are not among the values
            return quoted(Document(self.entries, {})._made(node, None))
        if isinstance(node, list):
            return [self._copied(item, kind) for item in node]
        if not is_object and not isinstance(node, dict):
            return quoted(_plain(text_of(node)))
        inner = kind.inner if is_object else kind
        items = node.items() if isinstance(node, dict) else ()
        pairs = ((quoted(text_of(k)), self._copied(v, inner)) for k, v in items)
        copy = CommentedMap(pairs)
        return set_tag(copy, name) if is_object else copy

    def build(self, key):
        """Builds the object of an entry, once for all references to it.

        Arguments
        ---------
        key : str
            Key of an entry without foreign parts.

        Returns
        -------
        object

        Raises
        ------
        NodeError
            If the entry has foreign parts.
        """
        if key not in self.entries:
            raise NodeError(f"There is no <{key}>.")
        if key not in self.built:
            if key in self.open:
                raise NodeError(f"<{key}> refers to itself.")
            self.open.add(key)
            self.built[key] = self._made(self.entries[key], self.kinds.get(key))
            self.open.discard(key)
        return self.built[key]

    def _made(self, node, kind):
        node = text_of(node)
        name = tag(node)
        call = _CALL.fullmatch(name)
        if call:
            made = find_class(call[2], kind) if kind else None
            if made is None or not _has_named_arguments(node):
                raise NodeError(f"{name} is not {kind.what if kind else 'plain'}.")
            items = node.items() if isinstance(node, dict) else ()
            arguments = {str(text_of(k)): self._made(v, kind.inner) for k, v in items}
            if call[1] == "name":
                return functools.partial(made, **arguments) if arguments else made
            return _called(made, arguments)
        if name == "!ref":
            text = str(node.value)
            match = _REFERENCE.fullmatch(text)
            if match is not None:
                return self._value(match)
            return _REFERENCE.sub(lambda match: str(self._value(match)), text)
        if _is_attribute(node):
            return _number(self.build("upstream"), str(node[1]))
        if name:
            raise NodeError(f"{name} is not plain.")
        if isinstance(node, dict):
            return {_plain(text_of(k)): self._made(v, kind) for k, v in node.items()}
        if isinstance(node, list):
            return [self._made(item, kind) for item in node]
        return _plain(node)

    def _value(self, match):
        if not match[2]:
            value = self.build(match[1])
            return value if match[3] is None else _number(value, match[3])
        node = self.entries[match[1]]
        for part in re.findall(r"\[(\w+)\]", match[2]):
            if not isinstance(node, dict) or part not in node:
                raise NodeError(f"There is no {match[0]}.")
            node = node[part]
        if match[0] in self.open:
            raise NodeError(f"{match[0]} refers to itself.")
        self.open.add(match[0])
        value = self._made(node, None)  # the inner values of an entry are plain
        self.open.discard(match[0])
        return value


def _has_named_arguments(node):
    """Returns whether a call has only named arguments, or none."""
    return isinstance(node, dict) or not (
        isinstance(node, list) or str(getattr(node, "value", ""))
    )


def _is_attribute(node):
    """Returns whether a node is HyperPyYAML's ``!ref <upstream.output_size>``."""
    return (
        isinstance(node, list)
        and tag(node) == "!apply:getattr"
        and len(node) == 2
        and isinstance(node[1], str)
        and re.fullmatch(r"[A-Za-z]\w*", node[1]) is not None
    )


def _is_plain_mapping(node):
    """Returns whether a node is neither a set nor an ordered list of pairs."""
    from ruamel.yaml.comments import CommentedMap

    return type(node) in (dict, CommentedMap)


def _number(module, name):
    """Returns an attribute of a module, which must be a number or several."""
    value = getattr(module, name, None)
    items = value if isinstance(value, (list, tuple)) else [value]
    if not all(isinstance(item, (int, float)) for item in items):
        raise NodeError(f"{type(module).__name__} has no number '{name}'.")
    return value


def _plain(value):
    """Converts a scalar to a built-in type."""
    from ruamel.yaml.scalarbool import ScalarBoolean

    if isinstance(value, ScalarBoolean):  # with an anchor, which makes it an int
        return bool(value)
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return value


def _called(made, arguments):
    """Builds an object; errors about its arguments name the class."""
    import inspect

    try:
        inspect.signature(made.__init__).bind(None, **arguments)
    except TypeError as error:
        raise ArgumentError(
            f"Invalid argument to class {made.__module__}.{made.__qualname__}: {error}"
        ) from error
    return made(**arguments)


def _line(node, key):
    """Returns the line of a key, from 1; None if it is unknown."""
    try:
        return node.lc.key(key)[0] + 1
    except (AttributeError, KeyError, TypeError):
        return None


def _at(line, before=" ("):
    if line is None:
        return ""
    return f"{before}line {line}" + (")" if before == " (" else "")
