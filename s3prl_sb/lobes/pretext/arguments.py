"""Checks of the numbers that objectives and their parts take.

Authors
 * The s3prl_sb developers, 2026
"""

import math
import numbers

from s3prl_sb.schema.kinds import described


class ArgumentError(ValueError):
    """Number that an objective cannot work with; the message names the argument."""


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
