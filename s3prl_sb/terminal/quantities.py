"""Formatting of quantities for people: 32.90 %, 94.4 M, 1 h 20 min, 3.2 GB.

Authors
 * The s3prl_sb developers, 2026
"""

import math
import re

#: Results do not depend on their format, see :mod:`s3prl_sb.identity.code`.
COMPUTES = False
#: Sample rate of most upstreams in Hz, which goes without saying.
USUAL_RATE = 16000

#: Words in the names of measures that are shares.
SHARES = re.compile(
    r"(^|_)(accuracy|recall|precision|f1|per|wer|t?cpwer|cer|eer|der|error|rate"
    r"|acceptance|rejection|within|across)(_|$)"
)


def is_share(name):
    """Returns whether a measure is a share, which people read in percent.

    Arguments
    ---------
    name : str
        Name in results.json.

    Returns
    -------
    bool

    Example
    -------
    >>> is_share("accuracy"), is_share("loss")
    (True, False)
    """
    return SHARES.search(name) is not None


def measure(name, value):
    """Formats a measure with its unit.

    Arguments
    ---------
    name : str
        Name in results.json.
    value : float
        Value in results.json: a share is between 0 and 1.

    Returns
    -------
    str

    Example
    -------
    >>> measure("accuracy", 0.329), measure("loss", 1.23456), measure("lr", 0.0001)
    ('32.90 %', '1.235', '0.0001')
    """
    if isinstance(value, float) and is_share(name) and math.isfinite(value):
        return f"{100 * value:.2f} %"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def measures(values):
    """Formats several measures in one line.

    Arguments
    ---------
    values : dict
        Names to numbers.

    Returns
    -------
    str

    Example
    -------
    >>> measures({"loss": 0.5, "wer_lm": 0.1234, "tcpwer": 1.5})
    'loss 0.5, wer_lm 12.34 %, tcpwer 150.00 %'
    """
    return ", ".join(f"{name} {measure(name, v)}" for name, v in values.items())


def count(number, unit=""):
    """Formats a large number, rounded to three digits.

    Arguments
    ---------
    number : float
        The number.
    unit : str
        Unit after the number.

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
    """Formats a duration in its two largest units.

    Arguments
    ---------
    seconds : float
        Duration in seconds.

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
    """Formats a length of audio.

    Arguments
    ---------
    seconds : float
        Length in seconds.

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


def stride(samples, sample_rate):
    """Formats the time between two frames, with any sample rate but 16 kHz.

    Arguments
    ---------
    samples : int
        Samples from one frame to the next; 1: features of other programs, whose rate
        is that of the frames.
    sample_rate : int
        Rate, Hz.

    Returns
    -------
    str

    Example
    -------
    >>> stride(320, 16000), stride(960, 44100), stride(163840, 16000), stride(1, 100)
    ('20 ms', '21.77 ms at 44.1 kHz', '10240 ms', '10 ms')
    """
    time = f"{round(1000 * samples / sample_rate, 2):g} ms"
    if sample_rate == USUAL_RATE or samples == 1:
        return time
    return f"{time} at {sample_rate / 1000:g} kHz"
