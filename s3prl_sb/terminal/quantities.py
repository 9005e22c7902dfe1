"""Quantities as people write them: 32.90 %, 94.4 M, 1 h 20 min, 3.2 GB.

Authors
 * The s3prl_sb developers, 2026
"""

import math
import re

#: Nothing depends on how a number is written, see :mod:`s3prl_sb.identity.code`.
COMPUTES = False

#: Measures that are shares of something, by a word of their name.
SHARES = re.compile(
    r"(^|_)(accuracy|recall|precision|f1|per|wer|cer|eer|der|error|rate)(_|$)"
)


def measure(name, value):
    """A measure with its unit.

    Arguments
    ---------
    name : str
        Its name in results.json.
    value : float
        As it stands there: a share is between 0 and 1.

    Returns
    -------
    str

    Example
    -------
    >>> measure("accuracy", 0.329), measure("loss", 1.23456), measure("lr", 0.0001)
    ('32.90 %', '1.235', '0.0001')
    """
    if isinstance(value, float) and SHARES.search(name) and math.isfinite(value):
        return f"{100 * value:.2f} %"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def measures(values):
    """Measures in a row.

    Arguments
    ---------
    values : dict
        Names to numbers.

    Returns
    -------
    str

    Example
    -------
    >>> measures({"loss": 0.5, "wer_lm": 0.1234})
    'loss 0.5, wer_lm 12.34 %'
    """
    return ", ".join(f"{name} {measure(name, v)}" for name, v in values.items())


def count(number, unit=""):
    """A large number, rounded to three figures.

    Arguments
    ---------
    number : float
        How many.
    unit : str
        Follows the number.

    Returns
    -------
    str

    Example
    -------
    >>> count(94_371_712), count(52_500, "B"), count(12)
    ('94.4 M', '52.5 kB', '12')
    """
    number, signs = float(number), ["", "k", "M", "G", "T"]
    if number < 1000 and number == int(number):
        return f"{number:.0f} {unit}".rstrip()
    while number >= 999.5 and len(signs) > 1:
        number, signs = number / 1000, signs[1:]
    shown = f"{number:.0f}" if number >= 100 else f"{number:.3g}"
    return f"{shown} {signs[0]}{unit}".rstrip()


def duration(seconds):
    """A time that something takes, in the two units that matter.

    Arguments
    ---------
    seconds : float
        How long.

    Returns
    -------
    str

    Example
    -------
    >>> duration(4.2), duration(95), duration(4800), duration(200_000)
    ('4 s', '1 min 35 s', '1 h 20 min', '2 d 8 h')
    """
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    if seconds < 3599.5:
        large, small, names = 60, 1, ("min", "s")
    elif seconds < 86_370:
        large, small, names = 3600, 60, ("h", "min")
    else:
        large, small, names = 86_400, 3600, ("d", "h")
    first, second = divmod(round(seconds / small), large // small)
    return f"{first} {names[0]}" + (f" {second} {names[1]}" if second else "")


def audio(seconds):
    """How much audio there is.

    Arguments
    ---------
    seconds : float
        Its length.

    Returns
    -------
    str

    Example
    -------
    >>> audio(12.34), audio(600), audio(51_000)
    ('12.3 s', '10.0 min', '14.2 h')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"
