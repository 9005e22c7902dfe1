"""The classes of this package that an untrusted file may name, by kind.

Authors
 * The s3prl_sb developers, 2026
"""

import functools
import importlib
from pkgutil import iter_modules, resolve_name
from typing import NamedTuple

from s3prl_sb.errors import UserError

SCALARS = (str, bool, int, float, type(None))
NUMBERS = (bool, int, float, type(None))


class KindError(UserError, ValueError):
    """A class that does not exist."""


class Kind(NamedTuple):
    """A kind of objects that a file may declare.

    Arguments
    ---------
    what : str
        Name with an article, for errors.
    package : str
        Module of its classes, or package whose direct modules define them.
    base : str
        Dotted name of their base class.
    inner : Kind, optional
        Kind of objects among the arguments; None if these are plain values.
    values : tuple of type
        Types of plain arguments.
    """

    what: str
    package: str
    base: str
    inner: "Kind | None" = None
    values: tuple = SCALARS


_PART = Kind(
    "an upstream",
    "s3prl_sb.lobes.upstreams",
    "s3prl_sb.lobes.upstreams.base.Upstream",
)
UPSTREAM = _PART._replace(inner=_PART)  # a fusion has upstreams among its arguments
LOBE = Kind("a lobe", "s3prl_sb.lobes.heads", "torch.nn.Module")
HEAD = LOBE._replace(what="a head", inner=LOBE)
FEATURIZER = LOBE._replace(what="a featurizer", package="s3prl_sb.lobes.featurizer")
#: Only numbers: with a path, an untrusted file could choose the files to read.
PIPE = Kind("a pipe", "s3prl_sb.dataio", "s3prl_sb.dataio.pipes.Pipe", None, NUMBERS)
INTERFACE = Kind(
    "an interface",
    "s3prl_sb.inference",
    "s3prl_sb.inference.pretrained.SpeechModel",
)
#: Entries of an export that declare objects.
KINDS = {
    "audio_pipes": PIPE,
    "featurizer": FEATURIZER,
    "head": HEAD,
    "interface": INTERFACE,
    "upstream": UPSTREAM,
}


def find_class(name, kind):
    """Returns the class of a dotted name, if it is of a kind.

    Imports only modules of this package.

    Arguments
    ---------
    name : str
        Dotted name of the module and the class.
    kind : Kind
        Required kind.

    Returns
    -------
    type or None
        None if it is not in this package, or of another kind.

    Raises
    ------
    KindError
        If the module exists and has no such class; names those it has.

    Example
    -------
    >>> find_class("s3prl_sb.lobes.heads.utterance.UtteranceClassifier", HEAD).__name__
    'UtteranceClassifier'
    >>> find_class("torch.nn.Linear", HEAD), find_class("this.x", UPSTREAM)
    (None, None)
    """
    module, _, last = name.rpartition(".")
    if module not in _modules(kind.package):
        return None
    base = resolve_name(kind.base)
    loaded = importlib.import_module(module)
    member = vars(loaded).get(last)

    def is_of_kind(value):
        # Classes that the module imports from other packages do not count.
        return (
            isinstance(value, type)
            and value.__module__ in _modules(kind.package)
            and issubclass(value, base)
            and value is not base
        )

    if isinstance(member, type):
        return member if is_of_kind(member) else None
    names = [key for key, value in vars(loaded).items() if is_of_kind(value)]
    raise KindError(
        f"There is no {kind.what.split()[-1]} '{last}' in {module}. It has: "
        f"{', '.join(names) or 'none'}."
    )


@functools.lru_cache(maxsize=None)
def _modules(package):
    """Returns the names of the direct modules of a package, or of the module itself.
    Imports only the package."""
    loaded = importlib.import_module(package)
    if not hasattr(loaded, "__path__"):
        return frozenset([package])
    names = (info.name for info in iter_modules(loaded.__path__))
    return frozenset(f"{package}.{name}" for name in names)
