"""Construction of the objects that YAML tags define, and its errors.

``!new:torch.nn.Linear {in_features: 3}`` calls a class, which may raise anything. The
error names the key, the file and the line, and the arguments that the class takes.

Authors
 * The s3prl_sb developers, 2026
"""

import contextlib
import functools
import inspect
import pydoc
import re
from collections.abc import Callable

from ruamel.yaml.representer import RepresenterError

from s3prl_sb.errors import UserError
from s3prl_sb.hyperyaml import programs
from s3prl_sb.hyperyaml.nodes import line_of, tag, walk
from s3prl_sb.schema import kinds
from s3prl_sb.terminal.messages import near, reason

CALLS = ("!new:", "!name:")
#: Features depend on the arguments of an object, see :mod:`s3prl_sb.identity.code`.
COMPUTES = False


class MakingError(UserError, ValueError):
    """Object of a YAML file that cannot be made."""


def make(tree: dict, place: Callable[[str], str]) -> dict:
    """Makes the objects that the tags of a YAML file define.

    Arguments
    ---------
    tree : dict
        Content of the file, as ruamel.yaml reads it, without references. Flags that
        are written as ``no`` or ``off`` are converted in place.
    place : callable
        Takes a key of ``tree`` and returns its place for errors: a file and a line, or
        an option of the command line.

    Returns
    -------
    dict

    Raises
    ------
    MakingError
        For any exception of a constructor, except a
        :class:`~s3prl_sb.errors.UserError`, which is not changed.

    Example
    -------
    >>> from s3prl_sb.storage.yaml_texts import yaml_parser
    >>> text = "head: !new:torch.nn.Linear {in_feature: 3, out_features: 4}"
    >>> make(yaml_parser().load(text), "line 1: {}".format)
    Traceback (most recent call last):
    ...
    s3prl_sb.schema.constructors.MakingError: line 1: head: torch.nn.Linear takes no …
    """
    seen = set()
    for key, node in tree.items():
        check(node, lambda _, key=key: f"{place(key)}: ", seen)

    class Loader(_Loader):
        place_of = staticmethod(place)

    try:
        made = programs.construct(tree, loader=Loader)
    except RepresenterError as error:
        key = next(key for key in tree if not _is_yaml(tree[key]))
        problem = f"{error}. Give !apply: instead of !applyref:"
        raise MakingError(f"{place(key)}: {problem}.") from error
    return {
        key: _Named(value).at(place(key)) if type(value) is functools.partial else value
        for key, value in made.items()
    }


def _is_yaml(node):
    """Returns whether a node can be written; !applyref may have returned anything."""
    try:
        programs.text_of(node)
    except RepresenterError:
        return False
    return True


def check(node, where, seen=None):
    """Checks the arguments in a node of YAML against the signatures of its classes.

    Arguments
    ---------
    node : object
        Node, as ruamel.yaml reads it. Flags that are written as ``no`` or ``off`` are
        converted in place.
    where : callable
        Takes the line of an argument, None if unknown, and returns the prefix of its
        error.
    seen : set, optional
        Identities of nodes that have been checked.

    Raises
    ------
    MakingError
        For an unknown argument, with similar names.
    """
    for inner in walk(node, seen):
        if not isinstance(inner, dict) or not tag(inner).startswith(CALLS):
            continue
        made = tag(inner).partition(":")[2]
        function = located(made)
        names = takes(function) if function is not None else None
        inherited = _inherited(function)
        for name in list(inner):
            place = where(line_of(inner, name))
            _check_argument(name, names, made, place)
            _convert_flag(inherited.get(name), inner, name, f"{place}{made}: ")


def located(name):
    """Returns the class or function of a dotted name; None if there is none.

    Arguments
    ---------
    name : str
        Name such as "torch.nn.Linear".

    Returns
    -------
    object or None
    """
    try:
        return pydoc.locate(name)
    except pydoc.ErrorDuringImport:  # making the object raises it again
        return None


def parameters(made):
    """Returns the parameters of a class or function.

    Arguments
    ---------
    made : object
        Class or function.

    Returns
    -------
    dict
        Names to :class:`inspect.Parameter`; empty if the signature is not known.
    """
    try:
        return dict(inspect.signature(made).parameters)
    except (TypeError, ValueError):
        return {}


def takes(made):
    """Returns the names of the arguments that a class or function takes.

    Arguments
    ---------
    made : object
        Class or function.

    Returns
    -------
    list of str or None
        None if it takes any name, or its signature is not known.
    """
    taken = parameters(made)
    if not taken or any(p.kind is p.VAR_KEYWORD for p in taken.values()):
        return None
    return [name for name, p in taken.items() if p.kind is not p.VAR_POSITIONAL]


def flags(signature, arguments, where=""):
    """Converts arguments to flags where a constructor takes flags.

    Arguments
    ---------
    signature : dict
        Parameters from :func:`parameters`. A flag has the default True or False, or
        the annotation bool.
    arguments : dict
        Arguments, converted in place: "no" and "off", which are text in YAML 1.2,
        become False.
    where : str
        Prefix of an error.

    Returns
    -------
    dict
        ``arguments``.

    Raises
    ------
    MakingError
        For other text, which would count as true.

    Example
    -------
    >>> def load(path, freeze=True): ...
    >>> flags(parameters(load), {"path": "no", "freeze": "no"})
    {'path': 'no', 'freeze': False}
    """
    for name in list(arguments):
        _convert_flag(signature.get(name), arguments, name, where)
    return arguments


def _convert_flag(parameter, arguments, name, where):
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
    annotation = str(parameter.annotation)  # such as "bool | None", also from typing
    return bool(re.search(r"\bbool\b", annotation)) and "str" not in annotation


def _check_argument(name, names, made, where):
    if names is None or name in ("_args", "_kwargs") or str(name) in names:
        return
    raise MakingError(f"{where}{made} takes no '{name}'. {near(str(name), names)}")


def _inherited(made):
    """Returns the parameters of a class and of the bases that get its ``**kwargs``."""
    if not isinstance(made, type):
        return parameters(made)
    inherited = {}
    for base in made.__mro__:
        if "__init__" in vars(base) and base is not object:
            taken = parameters(base.__init__)
            inherited = {**taken, **inherited}
            if not any(p.kind is p.VAR_KEYWORD for p in taken.values()):
                break
    return inherited


@contextlib.contextmanager
def errors_at(place, made):
    """Converts any exception of a constructor into an error that names the place.

    Arguments
    ---------
    place : callable
        Takes the name of an argument, or None, and returns the prefix of its error: a
        file, a line and a key.
    made : str
        Dotted name of the function that is called.

    Raises
    ------
    MakingError
        For any exception except a :class:`~s3prl_sb.errors.UserError`.

    Example
    -------
    >>> with errors_at(lambda argument: "'card.yaml', line 1: mine", "float"):
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
            inherited = _inherited(located(made)).items()
            variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
            names = [n for n, p in inherited if p.kind not in variadic and n != "self"]
            why = f"{made} takes no '{unknown}'. {near(unknown, names)}"
        elif isinstance(error, ImportError) and located(made) is None:
            why = _missing(made)
        end = "" if why.endswith((".", "?", "…")) else "."
        raise MakingError(f"{place(unknown)}: {why}{end}") from error


def _unknown(error):
    """Returns the name of an unknown argument, or None."""
    match = re.search(r"unexpected keyword argument '(\w+)'", str(error))
    return match and match[1]


class _Named(functools.partial):
    """Function from ``!name:`` that a recipe calls later; its errors name the key."""

    place = ""

    def at(self, place):
        """Sets the place of its key, and returns the function."""
        self.place = place
        return self

    def __call__(self, *args, **kwargs):
        made = f"{self.func.__module__}.{self.func.__qualname__}"

        def place(argument):
            return self.place if argument else f"{self.place}: {made}"

        with errors_at(place, made):
            return super().__call__(*args, **kwargs)


def _missing(name):
    """Explains why there is nothing of a dotted name, with similar names."""
    home, _, last = name.rpartition(".")
    place = located(home) if home else None
    if place is None:
        return f"there is no '{name}': no module '{home or name}' can be imported"
    names = [other for other in dir(place) if not other.startswith("_")]
    return f"'{home}' has no '{last}'. {near(last, names)}".rstrip(".")


class _Loader(programs.FastLoader):
    """Loader whose errors name the key."""

    place_of = str

    def construct_object(self, node, deep=True):
        """Constructs an object, and remembers the innermost node that fails."""
        try:
            return super().construct_object(node, deep=True)
        except Exception:
            if not hasattr(self, "failed"):
                self.failed = node
            raise

    def construct_document(self, node):
        """Constructs a document, and names the key of an object that fails."""
        try:
            return super().construct_document(node)
        except UserError:
            raise
        except Exception as error:  # constructors raise anything
            for key, value in getattr(node, "value", ()):
                if _holds(value, getattr(self, "failed", None), set()):
                    made = str(self.failed.tag).partition(":")[2]
                    place = self.place_of(key.value)
                    with errors_at(lambda argument: place, made):
                        raise error
            raise


def _holds(node, wanted, seen):
    """Returns whether a node of YAML is or contains another."""
    if node is wanted or not isinstance(getattr(node, "value", None), list):
        return node is wanted
    if id(node) in seen:
        return False
    seen.add(id(node))
    pairs = (each if isinstance(each, tuple) else (each,) for each in node.value)
    return any(_holds(part, wanted, seen) for pair in pairs for part in pair)
