"""YAML that is a program: HyperPyYAML, with the same result in every process.

HyperPyYAML takes a text ``(…)`` for a tuple, whose items it parses as a program of
Python's own YAML. Quotes tell that it is a text; but HyperPyYAML forgets them when it
is used for the first time in a process, for it knows of tuples only afterwards. A card
is data, and what stands in its texts must not be run.

Authors
 * The s3prl_sb developers, 2026
"""

import functools

import ruamel.yaml

from s3prl_sb.storage.yaml_texts import yaml_of, yaml_parser


class Loader(ruamel.yaml.Loader):
    """A loader of whatever tags say, that makes tuples of plain values alone."""

    @classmethod
    def add_constructor(cls, tag, constructor):
        """As ever, but for tuples."""
        super().add_constructor(tag, _tuple if tag == "!tuple" else constructor)


def load(stream, overrides=None, loader=Loader):
    """Makes what a YAML text says.

    Arguments
    ---------
    stream : str or file
        As for ``hyperpyyaml.load_hyperpyyaml``.
    overrides : dict, optional
        As there.
    loader : type
        A subclass of :class:`Loader`.

    Returns
    -------
    dict

    Example
    -------
    >>> load("a: (1, 2)\\nb: '(1, 2)'")
    {'a': (1, 2), 'b': '(1, 2)'}
    """
    return _hyperpyyaml().load_hyperpyyaml(stream, overrides, loader=loader)


def resolve(stream, overrides=None):
    """A YAML text without references; nothing is made but what they call.

    Arguments
    ---------
    stream, overrides
        As for :func:`load`.

    Returns
    -------
    str
    """
    return _hyperpyyaml().resolve_references(stream, overrides).getvalue()


def write(tree, stream):
    """Writes YAML for programs that use HyperPyYAML themselves, perhaps the first time.

    Arguments
    ---------
    tree : object
        As :func:`~s3prl_sb.storage.yaml_texts.yaml_parser` reads it.
    stream : file
        To write to.

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
    """A resolver for which texts in quotes that begin with ``(`` need their tag."""
    from ruamel.yaml.tag import Tag

    class Explicit(base):
        def resolve(self, kind, value, implicit):
            if implicit == (False, True) and value.startswith("("):
                return Tag(suffix="!tuple")
            return super().resolve(kind, value, implicit)

    return Explicit


@functools.lru_cache(maxsize=None)
def _hyperpyyaml():
    """The library, after its first use."""
    import hyperpyyaml

    hyperpyyaml.load_hyperpyyaml("{}")
    return hyperpyyaml


def _tuple(loader, node):
    return tuple(yaml_of(f"[{loader.construct_scalar(node)[1:-1]}]", "safe"))
