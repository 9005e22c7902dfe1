"""Loading of HyperPyYAML, with the same result in every process.

HyperPyYAML reads a text ``(…)`` as a tuple, whose items PyYAML parses and may run.
Quotes mark a text; but HyperPyYAML ignores them at its first use in a process, because
it registers tuples only then. A card is data, and its texts must not be run.

Authors
 * The s3prl_sb developers, 2026
"""

import copy
import functools
import io
import os

import ruamel.yaml

from s3prl_sb.hyperyaml.nodes import walk
from s3prl_sb.storage.yaml_texts import yaml_of, yaml_parser

#: Signs of texts that the parser in C takes for marks in brackets, as YAML 1.1 does.
MARKS = (":", "?")


class PlainTuples:
    """Constructor of all tags that makes tuples of plain values only."""

    def construct_object(self, node, deep=True):
        """Constructs an object after its arguments."""
        return super().construct_object(node, deep=True)

    @classmethod
    def add_constructor(cls, tag, constructor):
        """Registers a constructor; that of tuples is replaced."""
        super().add_constructor(tag, _tuple if tag == "!tuple" else constructor)


class Loader(PlainTuples, ruamel.yaml.Loader):
    """Loader of all tags that makes tuples of plain values only."""


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


def construct(tree, constructor=PlainTuples):
    """Makes the objects of nodes of YAML that have no references left.

    HyperPyYAML would write and parse them once more to resolve references. Where
    ruamel.yaml has a parser in C, that reads most trees, in a fraction of the time: it
    crashes on texts that are nested too deeply, but these have been read before.

    Arguments
    ---------
    tree : dict
        Content, as :func:`~s3prl_sb.storage.yaml_texts.yaml_parser` reads it, without
        ``!ref``, ``!copy``, ``!applyref`` and ``!include``.
    constructor : type
        :class:`PlainTuples` or a subclass, to which the parser is added.

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

    parser = ruamel.yaml.Loader
    if not _has_marks_in_brackets(tree):
        parser = getattr(ruamel.yaml, "CLoader", parser)
    loader = type("Loader", (constructor, parser), {})
    load("{}", loader=loader)  # HyperPyYAML adds its tags to the class
    stream = io.StringIO()
    yaml_parser().dump(tree, stream)
    made = yaml.load(stream.getvalue(), Loader=loader)
    return {key: made[key] for key in made if not key.startswith("__")}


def _has_marks_in_brackets(tree):
    """Returns whether a text or a key in brackets has one of :data:`MARKS`, as in
    ``{source: https://a.org/b.pt}``."""
    for node in walk(tree):
        if isinstance(node, (dict, list)) and hasattr(node, "fa"):
            if node.fa.flow_style() and any(map(_has_mark, walk(node))):
                return True
    return False


def _has_mark(node):
    """Returns whether a text, or a key of a mapping, has one of the signs."""
    if isinstance(node, list):
        return False  # its content comes by itself
    texts = node if isinstance(node, dict) else [node]
    return any(sign in str(text) for text in texts for sign in MARKS)


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
    tree, folder = copy.deepcopy(tree), os.path.dirname(os.path.realpath(file))
    return _hyperpyyaml().core._walk_tree_and_resolve("root", tree, tree, folder)


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
