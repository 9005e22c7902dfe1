"""Loading of HyperPyYAML, with the same result in every process.

HyperPyYAML reads a text ``(…)`` as a tuple, whose items PyYAML parses and may run.
Quotes mark a text; but HyperPyYAML ignores them at its first use in a process, because
it registers tuples only then. A card is data, and its texts must not be run.

Authors
 * The s3prl_sb developers, 2026
"""

import functools

import ruamel.yaml

from s3prl_sb.storage.yaml_texts import yaml_of, yaml_parser


class Loader(ruamel.yaml.Loader):
    """Loader of all tags that makes tuples of plain values only."""

    def construct_object(self, node, deep=True):
        """Constructs an object after its arguments."""
        return super().construct_object(node, deep=True)

    @classmethod
    def add_constructor(cls, tag, constructor):
        """Registers a constructor; that of tuples is replaced."""
        super().add_constructor(tag, _tuple if tag == "!tuple" else constructor)


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


def construct(stream, loader=Loader):
    """Makes the objects of a YAML text that has no references left.

    HyperPyYAML parses and writes the text once more to resolve them, which takes longer
    than this. See :func:`load` for the arguments.

    Arguments
    ---------
    stream : str or file
        YAML without ``!ref``, ``!copy``, ``!applyref`` and ``!include``.
    loader : type
        Subclass of :class:`Loader`.

    Returns
    -------
    dict

    Example
    -------
    >>> construct("a: !new:datetime.date [2026, 1, 2]\\nb: '(1, 2)'")
    {'a': datetime.date(2026, 1, 2), 'b': '(1, 2)'}
    """
    import yaml

    load("{}", loader=loader)  # HyperPyYAML adds its tags to the class
    made = yaml.load(stream, Loader=loader)
    return {key: made[key] for key in made if not key.startswith("__")}


def resolve(stream, overrides=None):
    """Resolves the references of a YAML text; calls only what ``!applyref`` names.

    Arguments
    ---------
    stream, overrides
        See :func:`load`.

    Returns
    -------
    str
    """
    return _hyperpyyaml().resolve_references(stream, overrides).getvalue()


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
