"""The classes of this package that a file from elsewhere may name, by their kind.

Authors
 * The s3prl_sb developers, 2026
"""

import functools
import importlib
from typing import NamedTuple

from s3prl_sb.errors import UserError

SCALARS = (str, bool, int, float, type(None))
NUMBERS = (bool, int, float, type(None))


class KindError(UserError, ValueError):
    """A class that there is not."""


class Kind(NamedTuple):
    """A kind of objects that a file may declare.

    Arguments
    ---------
    what : str
        Its name with an article, for errors.
    package : str
        Its classes are defined in modules right in this package, or in this module.
    base : str
        The base class of them all, a dotted name.
    inner : Kind, optional
        Of objects among the arguments; None: these are plain.
    values : tuple of type
        Of plain arguments.
    """

    what: str
    package: str
    base: str
    inner: "Kind | None" = None
    values: tuple = SCALARS


UPSTREAM = Kind(
    "an upstream",
    "s3prl_sb.lobes.upstreams",
    "s3prl_sb.lobes.upstreams.base.Upstream",
)
LOBE = Kind("a lobe", "s3prl_sb.lobes", "torch.nn.Module")
HEAD = LOBE._replace(what="a head", inner=LOBE)
FEATURIZER = LOBE._replace(what="a featurizer", package="s3prl_sb.lobes.featurizer")
#: Of numbers alone: a path would let a foreign file choose what is read.
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
    """The class of a dotted name, if it is of a kind.

    Imports only modules of this package.

    Arguments
    ---------
    name : str
        The module and the class.
    kind : Kind
        What is wanted.

    Returns
    -------
    type or None
        None: it is none of this package, or of another kind.

    Raises
    ------
    KindError
        If there is a module of this name and no such class in it, with those that
        there are.

    Example
    -------
    >>> find_class("s3prl_sb.lobes.heads.UtteranceClassifier", HEAD).__name__
    'UtteranceClassifier'
    >>> find_class("torch.nn.Linear", HEAD), find_class("this.x", UPSTREAM)
    (None, None)
    """
    module, _, last = name.rpartition(".")
    if module not in _modules(kind.package):
        return None
    base = _attribute(*kind.base.rpartition(".")[::2])
    loaded = importlib.import_module(module)
    found = vars(loaded).get(last)
    if isinstance(found, type):
        # What the module merely imports from outside is none of ours.
        ours = found.__module__ in _modules(kind.package) and found is not base
        return found if ours and issubclass(found, base) else None
    known = [
        key
        for key, value in vars(loaded).items()
        if isinstance(value, type)
        and value.__module__ in _modules(kind.package)
        and issubclass(value, base)
        and value is not base
    ]
    raise KindError(
        f"There is no {kind.what.split()[-1]} '{last}' in {module}. It has: "
        f"{', '.join(known) or 'none'}."
    )


@functools.lru_cache(maxsize=None)
def _modules(package):
    """The modules right in a package, or the module alone: names of files, nothing
    is imported but the package."""
    import pkgutil

    loaded = importlib.import_module(package)
    if not hasattr(loaded, "__path__"):
        return frozenset([package])
    names = (info.name for info in pkgutil.iter_modules(loaded.__path__))
    return frozenset(f"{package}.{name}" for name in names)


def _attribute(module, name):
    return getattr(importlib.import_module(module), name)
