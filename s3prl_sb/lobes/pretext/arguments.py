"""Checks of the numbers and objects that objectives and their parts take.

Authors
 * The s3prl_sb developers, 2026
"""

import math
import numbers
from collections.abc import Callable
from typing import Any

from s3prl_sb.schema.kinds import described
from s3prl_sb.terminal.messages import reason


class ArgumentError(ValueError):
    """Argument that an objective cannot work with; the message names it."""


def require(
    kind: str,
    low: float | None = None,
    above: float | None = None,
    high: float | None = None,
    **arguments: object,
) -> None:
    """Checks that arguments are numbers of a range.

    Arguments
    ---------
    kind : str
        "whole" or "number", see :mod:`s3prl_sb.schema.kinds`.
    low, above, high : float, optional
        Smallest value; number that all values are larger than; largest value.
    **arguments : object
        Names to values.

    Raises
    ------
    ArgumentError
        For anything else: text, a flag, NaN and infinity, too.

    Example
    -------
    >>> require("whole", low=1, groups=2, num_negatives=0)
    Traceback (most recent call last):
    ...
    s3prl_sb.lobes.pretext.arguments.ArgumentError: num_negatives is a whole number …
    """
    wanted = numbers.Integral if kind == "whole" else numbers.Real
    for name, value in arguments.items():
        is_number = isinstance(value, wanted) and not isinstance(value, bool)
        if not (
            is_number
            and math.isfinite(value)
            and (low is None or value >= low)
            and (above is None or value > above)
            and (high is None or value <= high)
        ):
            words = described(kind, low=low, above=above, high=high)
            raise ArgumentError(f"{name} is {words}, not {value!r}.")


def require_object(kind: type, example: str, **arguments: object) -> None:
    """Checks that arguments are objects of a class.

    Arguments
    ---------
    kind : type
        The class; also an abstract one, such as ``Callable``.
    example : str
        Dotted name of a class that can be given, for the error.
    **arguments : object
        Names to values.

    Raises
    ------
    ArgumentError
        For anything else, such as a number, a text, or a class that is not called.

    Example
    -------
    >>> require_object(Callable, "my.Mask", mask=3)
    Traceback (most recent call last):
    ...
    s3prl_sb.lobes.pretext.arguments.ArgumentError: mask is an object such as …
    """
    for name, value in arguments.items():
        if isinstance(value, type) or not isinstance(value, kind):
            raise ArgumentError(
                f"{name} is an object such as !new:{example}, not {value!r}."
            )


def trying(call: Callable[..., Any], example: str, **argument: object) -> Any:
    """Calls a function of an argument once, to find out whether it works.

    Arguments
    ---------
    call : callable
        Takes the value of the argument.
    example : str
        See :func:`require_object`.
    **argument : object
        Name and value of the argument.

    Returns
    -------
    object
        Result of the call.

    Raises
    ------
    ArgumentError
        For any exception.

    Example
    -------
    >>> trying(lambda mask: mask(50), "my.Mask", mask=len)
    Traceback (most recent call last):
    ...
    s3prl_sb.lobes.pretext.arguments.ArgumentError: mask: object of type 'int' has no …
    """
    [(name, value)] = argument.items()
    try:
        return call(value)
    except Exception as error:  # the object of a user may raise anything
        raise ArgumentError(
            f"{name}: {reason(error)}. Give an object such as !new:{example}."
        ) from error
