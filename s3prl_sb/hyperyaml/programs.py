"""Loading of HyperPyYAML, with the same result in every process.

HyperPyYAML reads a text ``(…)`` as a tuple, whose items PyYAML parses and may run.
Quotes mark a text; but HyperPyYAML ignores them at its first use in a process, because
it registers tuples only then. A card is data, and its texts must not be run.

Authors
 * The s3prl_sb developers, 2026
"""

import functools
import io
import os
import re

import ruamel.yaml

from s3prl_sb.hyperyaml.nodes import copied, show_comments, tag
from s3prl_sb.storage.yaml_texts import yaml_of, yaml_parser

_TUPLE = re.compile(r"\(.*\)")  # HyperPyYAML's


class _PlainTuples:
    """Constructor of all tags that makes tuples of plain values only."""

    def construct_object(self, node, deep=True):
        """Constructs an object after its arguments."""
        return super().construct_object(node, deep=True)

    @classmethod
    def add_constructor(cls, tag, constructor):
        """Registers a constructor; that of tuples is replaced."""
        super().add_constructor(tag, _tuple if tag == "!tuple" else constructor)


class Loader(_PlainTuples, ruamel.yaml.Loader):
    """Loader of all tags that makes tuples of plain values only."""


class FastLoader(_PlainTuples, getattr(ruamel.yaml, "CLoader", ruamel.yaml.Loader)):
    """:class:`Loader` in a fraction of the time, where ruamel.yaml has a parser in C.

    That parser crashes on texts that are nested too deeply. So it is for texts whose
    content :func:`~s3prl_sb.storage.yaml_texts.yaml_parser` has read before. It reads
    less than YAML 1.2: ``[a:b]`` and halves of surrogate pairs are left to
    :class:`Loader`.
    """

    processing_version = (1, 2)  # of YAML, which has numbers like 1e-4

    def __init__(self, stream):
        super().__init__(stream)
        self.text = stream

    def get_single_node(self):
        """Returns the nodes of the text, before anything is constructed."""
        try:
            return super().get_single_node()
        except ruamel.yaml.YAMLError:
            load("{}")  # HyperPyYAML adds its tags to the class
            return Loader(self.text).get_single_node()


def load(stream, overrides=None, loader=Loader):
    """Makes the objects that a YAML text defines.

    Arguments
    ---------
    stream : str or file
        YAML, see ``hyperpyyaml.load_hyperpyyaml``.
    overrides : dict, optional
        Keys that replace those of the text.
    loader : type
        Subclass of :class:`Loader`.

    Returns
    -------
    dict

    Example
    -------
    >>> load("a: (1, 2)\\nb: '(1, 2)'")
    {'a': (1, 2), 'b': '(1, 2)'}
    """
    return _hyperpyyaml().load_hyperpyyaml(stream, overrides, loader=loader)


def construct(tree, loader=FastLoader):
    """Makes the objects of nodes of YAML that have no references left.

    HyperPyYAML would write and parse them once more to resolve references.

    Arguments
    ---------
    tree : dict
        Content, as :func:`~s3prl_sb.storage.yaml_texts.yaml_parser` reads it, without
        ``!ref``, ``!copy``, ``!applyref`` and ``!include``.
    loader : type
        Subclass of :class:`FastLoader` or :class:`Loader`.

    Returns
    -------
    dict

    Example
    -------
    >>> text = "a: !new:datetime.date [2026, 1, 2]\\nb: '(1, 2)'"
    >>> construct(yaml_parser().load(text))
    {'a': datetime.date(2026, 1, 2), 'b': '(1, 2)'}
    """
    import yaml

    load("{}", loader=loader)  # HyperPyYAML adds its tags to the class
    made = yaml.load(text_of(tree), Loader=loader)
    return {key: made[key] for key in made if not key.startswith("__")}


def resolve(tree, file):
    """Resolves the references of a tree; calls only what ``!applyref`` names.

    HyperPyYAML's function for it takes and returns text, and so parses and writes it
    twice. This takes a third of the time.

    Arguments
    ---------
    tree : dict
        Content, as :func:`~s3prl_sb.storage.yaml_texts.yaml_parser` reads it. It is not
        changed.
    file : str
        Path of its file, from whose folder the paths of ``!include`` start.

    Returns
    -------
    dict
        A copy without references; of two references to a node, both are that node.

    Example
    -------
    >>> tree = yaml_parser().load("{a: 1, b: !ref <a> + 1, c: !ref <d>, d: [!ref <b>]}")
    >>> resolve(tree, "recipe.yaml")
    {'a': 1, 'b': 2, 'c': [2], 'd': [2]}
    """
    tree, folder = copied(tree), os.path.dirname(os.path.realpath(file))
    _change_scalars(tree, _marked, set())
    tree = _hyperpyyaml().core._walk_tree_and_resolve("root", tree, tree, folder)
    _change_scalars(tree, _unmarked, set())
    return tree


def _change_scalars(node, change, seen):
    """Replaces the values of mappings and lists in place, at any depth."""
    if id(node) in seen or not isinstance(node, (dict, list)):
        return
    seen.add(id(node))
    for key, value in list(node.items() if isinstance(node, dict) else enumerate(node)):
        changed = change(value)
        if changed is not value:
            node[key] = changed
        _change_scalars(changed, change, seen)


def _marked(value):
    """Gives a text ``(…)`` without quotes the tag of a tuple, as HyperPyYAML does."""
    from ruamel.yaml.comments import TaggedScalar
    from ruamel.yaml.scalarstring import PlainScalarString

    if type(value) in (str, PlainScalarString) and _TUPLE.fullmatch(value):
        return TaggedScalar(value, tag="!tuple")
    return value


def _unmarked(value):
    """Removes the tag of a tuple, and quotes a text that came without: a reference in
    a text, or the result of a call, is no tuple."""
    from ruamel.yaml.scalarstring import SingleQuotedScalarString

    if tag(value) == "!tuple" and not isinstance(value, (dict, list)):
        return str(value.value)
    if type(value) is str and _TUPLE.fullmatch(value):
        return SingleQuotedScalarString(value)
    return value


def text_of(tree):
    """Returns nodes as a YAML text, for parsers that know HyperPyYAML's tuples.

    Arguments
    ---------
    tree : object
        Content, as :func:`~s3prl_sb.storage.yaml_texts.yaml_parser` reads it.

    Returns
    -------
    str

    Example
    -------
    >>> text_of(yaml_parser().load("[(1), '(1)']  # comment"))
    "[(1), '(1)']  # comment\\n"
    """
    stream = io.StringIO()
    show_comments(tree)
    yaml_parser().dump(tree, stream)
    return stream.getvalue()


def write(tree, stream):
    """Writes YAML that HyperPyYAML reads correctly at its first use, too.

    Arguments
    ---------
    tree : object
        Content, as :func:`~s3prl_sb.storage.yaml_texts.yaml_parser` reads it.
    stream : file
        Open text file.

    Example
    -------
    >>> import sys
    >>> write(yaml_parser().load("[(1), '(1)', 'a']"), sys.stdout)
    [(1), !!str '(1)', 'a']
    """
    writer = yaml_parser()
    writer.Resolver = _explicit(writer.Resolver)
    writer.dump(tree, stream)


def _explicit(base):
    """Returns a resolver that writes a tag for quoted texts that begin with ``(``."""
    from ruamel.yaml.tag import Tag

    class Explicit(base):
        def resolve(self, kind, value, implicit):
            if implicit == (False, True) and value.startswith("("):
                return Tag(suffix="!tuple")
            return super().resolve(kind, value, implicit)

    return Explicit


@functools.lru_cache(maxsize=None)
def _hyperpyyaml():
    """Returns the library, after its first use."""
    import hyperpyyaml

    hyperpyyaml.load_hyperpyyaml("{}")
    return hyperpyyaml


def _tuple(loader, node):
    return tuple(yaml_of(f"[{loader.construct_scalar(node)[1:-1]}]", "safe"))
