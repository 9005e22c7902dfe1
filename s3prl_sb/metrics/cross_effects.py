"""Cross-effects between speech and sounds, from matched twins of scenes.

A scene exists as three recordings that share their samples: speech with sounds, speech
alone, sounds alone. The difference of a measure between the first one and one of the
others is what sounds cost the recognition of words and speakers, and what speech costs
the recognition of events. Its interval is that of the bootstrap over scenes, in which
the twins stay together.

Authors
 * The s3prl_sb developers, 2026
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from s3prl_sb.metrics.bootstrap import LEVEL, RESAMPLES, paired_interval

BINS = (0.0, 10.0)  # dB, limits between the ranges of the level of sounds
#: Beginnings of the names of measures of events; all others are of speech.
OF_EVENTS = ("event", "segment", "onset", "psds")

Counts = Mapping[str, tuple[float, float]]


def cross_effects(
    records: Mapping[str, Mapping[str, Any]],
    counts: Mapping[str, Counts],
    bins: Sequence[float] = BINS,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Any]:
    """Compares measures between the twins of scenes.

    Arguments
    ---------
    records : dict
        Recording ids to records of scenes: ``scene``, shared by the twins; ``twin``,
        "both", "speech" or "sounds"; ``snr`` of the sounds, dB, or null.
    counts : dict
        Names of measures to recording ids to (numerator, denominator), such as the
        errors and the words. Measures whose names begin with "event", "segment",
        "onset" or "psds" are compared with sounds alone, all others with speech alone.
    bins : list of float
        Limits between the ranges of ``snr``, ascending.
    level, resamples, seed
        See :func:`~s3prl_sb.metrics.bootstrap.interval`.

    Returns
    -------
    dict
        JSON values for each measure, see :func:`effect`, with ``against`` ("speech" or
        "sounds") and ``by_snr``, a list of the same with the limits ``from`` and
        ``to`` (null: none) of each range that has scenes. Measures without a pair of
        twins are left out.

    Example
    -------
    >>> records = {name: {"scene": "1", "twin": name} for name in ("both", "speech")}
    >>> counts = {"tcpwer": {"both": (3, 10), "speech": (1, 10)}}
    >>> cross_effects(records, counts)["tcpwer"]["difference"]
    [0.2, 0.2, 0.2]
    """
    settings = {"level": level, "resamples": resamples, "seed": seed}
    results = {}
    for measure, values in counts.items():
        other = "sounds" if measure.startswith(OF_EVENTS) else "speech"
        pairs = twins(records, other, values)
        whole = effect(values, [(one, two) for one, two, _ in pairs], **settings)
        if whole is None:
            continue
        ranges = []
        for low, high in zip((-math.inf, *bins), (*bins, math.inf)):
            some = [
                (a, b) for a, b, snr in pairs if snr is not None and low <= snr < high
            ]
            part = effect(values, some, **settings)
            if part is not None:
                ends = {"from": _finite(low), "to": _finite(high)}
                ranges.append({**ends, **part})
        results[measure] = {"against": other, **whole, "by_snr": ranges}
    return results


def twins(
    records: Mapping[str, Mapping[str, Any]], other: str, among: Mapping[str, Any]
) -> list[tuple[str, str, float | None]]:
    """Returns pairs of twins.

    Arguments
    ---------
    records : dict
        See :func:`cross_effects`.
    other : str
        "speech" or "sounds".
    among : dict
        Recordings that count, by id.

    Returns
    -------
    list of (str, str, float or None)
        The recording with speech alone or sounds alone, the one with both, and the
        level of the sounds in dB.
    """
    scenes: dict[str, dict[str | None, str]] = {}
    for name, record in records.items():
        if record.get("scene") is not None and name in among:
            scenes.setdefault(record["scene"], {})[record.get("twin")] = name
    return [
        (each[other], each["both"], records[each["both"]].get("snr"))
        for each in scenes.values()
        if {other, "both"} <= set(each)
    ]


def effect(
    values: Counts, pairs: Sequence[tuple[str, str]], **settings: Any
) -> dict[str, Any] | None:
    """Computes the effect of the other kind of sound on one measure.

    Arguments
    ---------
    values : dict
        Recording ids to (numerator, denominator).
    pairs : list of (str, str)
        Recordings alone and together.
    **settings
        Arguments of :func:`~s3prl_sb.metrics.bootstrap.interval`.

    Returns
    -------
    dict or None
        ``scenes``, their number; ``alone`` and ``together``, the measure of both;
        ``difference``, together minus alone, and the limits of its interval. None: the
        measure is not defined, for lack of pairs or references.
    """
    sides = [[values[pair[side]] for pair in pairs] for side in (0, 1)]
    if not pairs or any(not sum(below for _, below in side) for side in sides):
        return None
    (above, below), (over, under) = (tuple(zip(*side)) for side in sides)
    difference = paired_interval(above, over, below, under, **settings)
    return {
        "scenes": len(pairs),
        "alone": _rounded(sum(above) / sum(below)),
        "together": _rounded(sum(over) / sum(under)),
        "difference": [_rounded(value) for value in difference],
    }


def _rounded(value):
    return round(value, 6)


def _finite(value):
    return value if math.isfinite(value) else None
