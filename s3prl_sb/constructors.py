"""What the tags of a YAML file make, and one place for all that goes wrong there.

``!new:torch.nn.Linear {in_features: 3}`` calls a class. It may raise anything; whoever
wrote the YAML should read which key of which file, and what the class would have
taken.

Authors
 * The s3prl_sb developers, 2026
"""

import difflib
import functools
import inspect
import io
import pydoc
import re

from s3prl_sb import kinds, programs
from s3prl_sb.errors import UserError
from s3prl_sb.files import yaml_parser
from s3prl_sb.nodes import tag

CALLS = ("!new:", "!name:")
#: What it makes is known by its arguments, see :mod:`s3prl_sb.identity.code`.
COMPUTES = False


class MakingError(UserError, ValueError):
    """Something that cannot be made of a YAML file."""


def make(tree, place):
    """Makes what the tags of a YAML file say.

    Arguments
    ---------
    tree : dict
        As ruamel.yaml reads it, without references; flags in it that are written as
        ``no`` or ``off`` are changed.
    place : callable
        Takes a key of ``tree``, returns what to call its place in an error: a file
        and a line, or an option of the command line.

    Returns
    -------
    dict

    Raises
    ------
    MakingError
        In the place of whatever a constructor raises; errors that users can mend
        already (:class:`~s3prl_sb.errors.UserError`) pass through.

    Example
    -------
    >>> text = "head: !new:torch.nn.Linear {in_feature: 3, out_features: 4}"
    >>> make(yaml_parser().load(text), "line 1: {}".format)
    Traceback (most recent call last):
    ...
    s3prl_sb.constructors.MakingError: line 1: head: torch.nn.Linear takes no …
    """
    seen = set()
    for key, node in tree.items():
        check(node, f"{place(key)}: ", seen)
    stream = io.StringIO()
    yaml_parser().dump(tree, stream)
    stream.seek(0)

    class Loader(_Loader):
        place_of = staticmethod(place)

    made = programs.load(stream, loader=Loader)
    return {
        key: _Named(value).at(place(key)) if type(value) is functools.partial else value
        for key, value in made.items()
    }


def check(node, where, seen=None):
    """Looks whether classes take the arguments that a node of YAML gives them.

    Arguments
    ---------
    node : object
        As ruamel.yaml reads it. Flags written as ``no`` or ``off`` are changed.
    where : str
        Comes first in an error.
    seen : set, optional
        Of nodes that need no second look.

    Raises
    ------
    MakingError
        For an argument that there is not, with near ones.
    """
    seen = set() if seen is None else seen
    if not isinstance(node, (dict, list)) or id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, dict) and tag(node).startswith(CALLS):
        made = tag(node).partition(":")[2]
        flags(parameters(located(made)), node, f"{where}{made}: ")
        _check_names(made, node, where)
    for inner in node.values() if isinstance(node, dict) else node:
        check(inner, where, seen)


def located(name):
    """The class or function of a dotted name; None: there is none.

    Arguments
    ---------
    name : str
        Such as "torch.nn.Linear".

    Returns
    -------
    object or None
    """
    try:
        return pydoc.locate(name)
    except pydoc.ErrorDuringImport:  # making it says what
        return None


def parameters(made):
    """What a class or function takes.

    Arguments
    ---------
    made : object
        The class or function.

    Returns
    -------
    dict
        Names to :class:`inspect.Parameter`; empty where it does not say.
    """
    try:
        return dict(inspect.signature(made).parameters)
    except (TypeError, ValueError):
        return {}


def takes(made):
    """The names of what a class or function takes.

    Arguments
    ---------
    made : object
        The class or function.

    Returns
    -------
    list of str or None
        None: any, or it does not say.
    """
    found = parameters(made)
    if not found or any(p.kind is p.VAR_KEYWORD for p in found.values()):
        return None
    return [name for name, p in found.items() if p.kind is not p.VAR_POSITIONAL]


def flags(known, arguments, where=""):
    """Gives constructors flags where they want flags.

    Arguments
    ---------
    known : dict
        From :func:`parameters`: a flag is what is True or False by default.
    arguments : dict
        Is changed: "no" and "off", as YAML 1.2 has them, become False.
    where : str
        Comes first in an error.

    Returns
    -------
    dict
        ``arguments``.

    Raises
    ------
    MakingError
        For another text, which would count as true.

    Example
    -------
    >>> def load(path, freeze=True): ...
    >>> flags(parameters(load), {"path": "no", "freeze": "no"})
    {'path': 'no', 'freeze': False}
    """
    for name, value in list(arguments.items()):
        default = getattr(known.get(name), "default", None)
        if isinstance(default, bool) and isinstance(value, str):
            try:
                arguments[name] = kinds.flag(value, name)
            except kinds.WrongKind as error:
                raise MakingError(f"{where}{error}.") from None
    return arguments


def _check_names(made, node, where):
    found = located(made)
    known = takes(found) if found is not None else None
    for name in node if known is not None else ():
        if str(name) not in known and name not in ("_args", "_kwargs"):
            raise MakingError(
                f"{where}{made} takes no '{name}'. {near(str(name), known)}"
            )


def _along(made):
    """What a class and those that it inherits from take."""
    found = {}
    for base in getattr(made, "__mro__", [made]):
        if "__init__" in vars(base) and base is not object:
            found.update(parameters(base.__init__))
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [n for n, p in found.items() if p.kind not in variadic and n != "self"]


def near(name, known, prefix=""):
    """A sentence with the names that are near, or with all.

    Arguments
    ---------
    name : str
        As given.
    known : list of str
        Those that there are.
    prefix : str
        Comes before each in the sentence.

    Returns
    -------
    str

    Example
    -------
    >>> near("lable", ["label", "id"]), near("xyz", ["label", "id"])
    ('Did you mean label?', 'There are: label, id.')
    """
    found = difflib.get_close_matches(name, known, n=3)
    found, known = ([f"{prefix}{name}" for name in names] for names in (found, known))
    if found:
        return f"Did you mean {' or '.join(found)}?"
    if not known:
        return "There are none."
    more = f", and {len(known) - 12} more" if len(known) > 12 else ""
    return f"There are: {', '.join(known[:12])}{more}."


def reason(error):
    """What an exception says, in one line.

    Arguments
    ---------
    error : Exception
        Of whatever kind.

    Returns
    -------
    str
        Without a full stop.

    Example
    -------
    >>> reason(ValueError("two\\n  lines."))
    'two lines'
    """
    said = error.args
    if len(said) > 1 and str(said[0]).startswith("Invalid argument to"):  # HyperPyYAML
        said = [f"{str(said[0]).rsplit(' ', 1)[1]}: {said[1]}"]
    elif isinstance(error, OSError) and error.strerror:
        said = [": ".join(filter(None, [error.filename, error.strerror]))]
    elif getattr(error, "problem_mark", None) is not None:  # of YAML
        said = [error.problem]
    text = " ".join(" ".join(map(str, said)).split()).rstrip(".")
    if isinstance(error, KeyError):
        text = f"there is no {text}"
    text = text or type(error).__name__
    return text if len(text) <= 500 else f"{text[:500]}…"


class _Named(functools.partial):
    """What ``!name:`` has named, and a recipe calls later: errors name the key."""

    place = ""

    def at(self, place):
        """The same, with the place of its key."""
        self.place = place
        return self

    def __call__(self, *args, **kwargs):
        try:
            return super().__call__(*args, **kwargs)
        except UserError:
            raise
        except Exception as error:  # constructors raise anything
            name = f"{self.func.__module__}.{self.func.__qualname__}"
            raise MakingError(f"{self.place}: {name}: {reason(error)}.") from error


def _missing(name):
    """What is near a dotted name that names nothing."""
    home, _, last = name.rpartition(".")
    place = located(home) if home else None
    if place is None:
        return f"there is no '{name}': no module '{home or name}' can be imported"
    known = [other for other in dir(place) if not other.startswith("_")]
    return f"'{home}' has no '{last}'. {near(last, known)}".rstrip(".")


class _Loader(programs.Loader):
    """A loader that says which key cannot be made."""

    place_of = str

    def construct_object(self, node, deep=True):
        """As ever; the innermost node that fails is remembered."""
        try:
            return super().construct_object(node, deep=True)
        except Exception:
            if not hasattr(self, "failed"):
                self.failed = node
            raise

    def construct_document(self, node):
        """As ever, but for the errors."""
        try:
            return super().construct_document(node)
        except UserError:
            raise
        except Exception as error:  # constructors raise anything
            pairs = getattr(node, "value", ())
            for key, value in pairs:
                if _holds(value, getattr(self, "failed", None), set()):
                    name = str(self.failed.tag).partition(":")[2]
                    why = reason(error)
                    unknown = re.search(r"unexpected keyword argument '(\w+)'", why)
                    if isinstance(error, ImportError) and located(name) is None:
                        why = _missing(name)
                    elif unknown:
                        known = [n for n in _along(located(name)) if n != unknown[1]]
                        why = (
                            f"{name} takes no '{unknown[1]}'. {near(unknown[1], known)}"
                        )
                    raise MakingError(f"{self.place_of(key.value)}: {why}.") from error
            raise


def _holds(node, wanted, seen):
    """Whether a node of YAML is another, or holds it."""
    if node is wanted or not isinstance(getattr(node, "value", None), list):
        return node is wanted
    if id(node) in seen:
        return False
    seen.add(id(node))
    for inner in node.value:
        parts = inner if isinstance(inner, tuple) else (inner,)
        if any(_holds(part, wanted, seen) for part in parts):
            return True
    return False
