"""Parsing of YAML texts, safe for untrusted ones.

Authors
 * The s3prl_sb developers, 2026
"""

import functools
import re

#: See :mod:`s3prl_sb.storage.files`.
COMPUTES = False

#: Limit of values in a text: with aliases, a few lines can expand to billions.
MOST_VALUES = 1_000_000

#: Brackets that open in a row. Python cannot parse as many, and ruamel.yaml needs
#: seconds to find out.
DEEP = re.compile(r"(?:[\[{]\s*){1000}")

#: Number of characters up to which the parser in C reads a text of users.
SHORT = 4096

#: Begins a level within a line; of levels by indentation, 4096 characters have few.
NESTED = re.compile(r"[\[{]|[-?]\s")


def yaml_of(text, typ="rt"):
    """Parses a YAML text, and refuses aliases that expand to too many values.

    Arguments
    ---------
    text : str
        YAML.
    typ : str
        See :func:`~s3prl_sb.storage.files.read_yaml`.

    Returns
    -------
    object

    Raises
    ------
    ValueError
        If it contains itself, or more than :data:`MOST_VALUES` values.
    RecursionError
        If it is nested too deeply.

    Example
    -------
    >>> bomb = "a0: &a0 [x, x]\\n"
    >>> for i in range(40):
    ...     bomb += f"a{i + 1}: &a{i + 1} [*a{i}, *a{i}]\\n"
    >>> yaml_of(bomb)
    Traceback (most recent call last):
    ...
    ValueError: its aliases stand for more than 1000000 values
    """
    import ruamel.yaml

    if DEEP.search(text):
        raise RecursionError("it is nested too deeply")
    check_aliases(text)
    if typ == "safe" and _is_simple(text):
        try:
            return own_yaml_of(text)
        except (ruamel.yaml.YAMLError, UnicodeError):  # the other parser says where
            pass
    loader = yaml_parser(typ)
    try:
        return loader.load(text)
    except ruamel.yaml.constructor.ConstructorError:
        _refuse_duplicates(loader.compose(text), set())
        raise


def own_yaml_of(text):
    """Parses a YAML text of this package by the parser in C, in a tenth of the time.

    It crashes on texts that are nested too deeply, so it is for no long text of users;
    and with HyperPyYAML it does not read a text ``(…)``.

    Arguments
    ---------
    text : str
        YAML.

    Returns
    -------
    object
        Plain values, without lines.

    Example
    -------
    >>> own_yaml_of("a: [1, 2.5]")
    {'a': [1, 2.5]}
    """
    import ruamel.yaml

    return ruamel.yaml.YAML(typ="safe").load(text)


def _is_simple(text):
    """Returns whether the parser in C reads a text as the other one does, and is safe
    on the small stack of a thread."""
    if len(text) > SHORT or re.search(r"[(\t]|%YAML", text):
        return False
    return len(NESTED.findall(text)) < 256


def check_aliases(text):
    """Refuses a YAML text whose aliases expand to too many values.

    Arguments
    ---------
    text : str
        YAML.

    Raises
    ------
    ValueError
        If it contains itself, or more than :data:`MOST_VALUES` values.

    Example
    -------
    >>> check_aliases("a: &a [1, *a]")
    Traceback (most recent call last):
    ...
    ValueError: it holds itself
    """
    if re.search(r"[*]\w", text):
        _count(yaml_parser().compose(text))


def _refuse_duplicates(node, seen):
    """Raises an error for a duplicate key, for which ruamel.yaml blames a tag."""
    if node is None or id(node) in seen or not isinstance(node.value, list):
        return
    seen.add(id(node))
    keys = set()
    for part in node.value:
        if isinstance(part, tuple) and not isinstance(part[0].value, list):
            key = part[0].tag, part[0].value
            if key in keys:
                line = part[0].start_mark.line + 1
                raise ValueError(f'line {line}: found duplicate key "{key[1]}"')
            keys.add(key)
        for inner in _parts(part):
            _refuse_duplicates(inner, seen)


def yaml_parser(typ="rt"):
    """Returns a YAML parser and writer that behaves the same in every process.

    HyperPyYAML parses a text ``(…)`` as a tuple of programs, and once imported it makes
    ruamel.yaml do so, too. This parser treats it as a text, and keeps its quotes, since
    HyperPyYAML would run it without them.

    Arguments
    ---------
    typ : str
        See :func:`~s3prl_sb.storage.files.read_yaml`.

    Returns
    -------
    ruamel.yaml.YAML

    Example
    -------
    >>> import sys
    >>> yaml = yaml_parser()
    >>> yaml.dump(yaml.load('{a: "(1)", b: (1)}'), sys.stdout)
    {a: "(1)", b: (1)}
    """
    import ruamel.yaml

    # libyaml crashes on a text that is nested too deeply.
    parser = ruamel.yaml.YAML(typ=typ, pure=True)
    parser.preserve_quotes = True
    parser.Resolver = _resolver()
    return parser


@functools.lru_cache(maxsize=None)
def _resolver():
    from ruamel.yaml.resolver import VersionedResolver

    class Resolver(VersionedResolver):
        def resolve(self, kind, value, implicit):
            tag = super().resolve(kind, value, implicit)
            return self.DEFAULT_SCALAR_TAG if str(tag) == "!tuple" else tag

    return Resolver


def _count(node):
    """Refuses nodes that expand to too many values; an alias is the same node."""
    counts = {}

    def inside(node):
        if not isinstance(node.value, list):
            return 1
        if node not in counts:
            counts[node] = None
            parts = [p for part in node.value for p in _parts(part)]
            counts[node] = 1 + sum(map(inside, parts))
        if counts[node] is None:
            raise ValueError("it holds itself")
        return counts[node]

    if inside(node) > MOST_VALUES:
        raise ValueError(f"its aliases stand for more than {MOST_VALUES} values")


def _parts(part):
    return part if isinstance(part, tuple) else (part,)
