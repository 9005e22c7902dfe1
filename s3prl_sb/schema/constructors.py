"""What the tags of a YAML file make, and one place for all that goes wrong there.

``!new:torch.nn.Linear {in_features: 3}`` calls a class. It may raise anything; whoever
wrote the YAML should read which key of which file, and what the class would have
taken.

Authors
 * The s3prl_sb developers, 2026
"""

import contextlib
import functools
import inspect
import io
import pydoc
import re

from s3prl_sb.errors import UserError
from s3prl_sb.hyperyaml import programs
from s3prl_sb.hyperyaml.nodes import line_of, tag
from s3prl_sb.schema import kinds
from s3prl_sb.storage.yaml_texts import yaml_parser
from s3prl_sb.terminal.messages import near, reason

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
    s3prl_sb.schema.constructors.MakingError: line 1: head: torch.nn.Linear takes no …
    """
    seen = set()
    for key, node in tree.items():
        check(node, lambda _, key=key: f"{place(key)}: ", seen)
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
    where : callable
        Takes the line of an argument, None if unknown; returns what comes first in an
        error of it.
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
        found = located(made)
        known = takes(found) if found is not None else None
        along = _inherited(found)
        for name in list(node):
            _check_argument(name, node, known, made, where(line_of(node, name)))
            place = f"{where(line_of(node, name))}{made}: "
            _give_flag(along.get(name), node, name, place)
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
        From :func:`parameters`: a flag is what is True or False by default, or says
        that it is a bool.
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
    for name in list(arguments):
        _give_flag(known.get(name), arguments, name, where)
    return arguments


def _give_flag(parameter, arguments, name, where):
    value = arguments[name]
    if tag(value) or isinstance(value, (bool, int, float)):
        return
    if isinstance(value, (str, list, dict, type(None))) and _is_flag(parameter):
        if value is None and not isinstance(parameter.default, bool):
            return
        try:
            arguments[name] = kinds.flag(value, name)
        except kinds.WrongKind as error:
            raise MakingError(f"{where}{error}.") from None


def _is_flag(parameter):
    if parameter is None or isinstance(parameter.default, bool):
        return parameter is not None
    said = str(parameter.annotation)  # such as "bool | None", also of typing
    return bool(re.search(r"\bbool\b", said)) and "str" not in said


def _check_argument(name, node, known, made, where):
    if known is None or name in ("_args", "_kwargs") or str(name) in known:
        return
    raise MakingError(f"{where}{made} takes no '{name}'. {near(str(name), known)}")


_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _inherited(made):
    """What a class takes, and those that its ``**kwargs`` go to."""
    if not isinstance(made, type):
        return parameters(made)
    found = {}
    for base in made.__mro__:
        if "__init__" in vars(base) and base is not object:
            taken = parameters(base.__init__)
            found = {**taken, **found}
            if not any(p.kind is p.VAR_KEYWORD for p in taken.values()):
                break
    return found


def _along(made):
    found = _inherited(made).items()
    return [n for n, p in found if p.kind not in _VARIADIC and n != "self"]


@contextlib.contextmanager
def telling(place, made):
    """Turns whatever making something raises into an error that says where.

    Arguments
    ---------
    place : callable
        Takes the name of an argument, or None; returns what comes first in an error
        of it: a file, a line and a key.
    made : str
        The dotted name of what is called.

    Raises
    ------
    MakingError
        In the place of any exception but a :class:`~s3prl_sb.errors.UserError`.

    Example
    -------
    >>> with telling(lambda argument: "'card.yaml', line 1: mine", "float"):
    ...     float("x")
    Traceback (most recent call last):
    ...
    s3prl_sb.schema.constructors.MakingError: 'card.yaml', line 1: mine: could …
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # constructors raise anything
        unknown = _unknown(error)
        why = reason(error)
        if unknown:
            why = f"{made} takes no '{unknown}'. {near(unknown, _along(located(made)))}"
        elif isinstance(error, ImportError) and located(made) is None:
            why = _missing(made)
        end = "" if why.endswith((".", "?", "…")) else "."
        raise MakingError(f"{place(unknown)}: {why}{end}") from error


def _unknown(error):
    """The name of an argument that nothing takes, or None."""
    found = re.search(r"unexpected keyword argument '(\w+)'", str(error))
    return found and found[1]


class _Named(functools.partial):
    """What ``!name:`` has named, and a recipe calls later: errors name the key."""

    place = ""

    def at(self, place):
        """The same, with the place of its key."""
        self.place = place
        return self

    def __call__(self, *args, **kwargs):
        made = f"{self.func.__module__}.{self.func.__qualname__}"

        def place(argument):
            return self.place if argument else f"{self.place}: {made}"

        with telling(place, made):
            return super().__call__(*args, **kwargs)


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
            for key, value in getattr(node, "value", ()):
                if _holds(value, getattr(self, "failed", None), set()):
                    made = str(self.failed.tag).partition(":")[2]
                    place = self.place_of(key.value)
                    with telling(lambda argument: place, made):
                        raise error
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
