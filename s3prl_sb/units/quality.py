"""Quality of units, measured against phones.

The measures of Hsu et al., "HuBERT" (https://arxiv.org/abs/2106.07447), over frames of
10 ms.

Authors
 * The s3prl_sb developers, 2026
"""

import logging
from collections.abc import Iterable
from typing import NamedTuple

import numpy
import torch

from s3prl_sb.lobes.pretext.class_counts import perplexity
from s3prl_sb.units.alignments import Alignment, Alignments
from s3prl_sb.units.errors import UnitsError
from s3prl_sb.units.index import UnitsIndex

logger = logging.getLogger(__name__)

FRAME = 0.01  # seconds


class Quality(NamedTuple):
    """Quality of units."""

    phone_purity: float  #: share of frames whose phone is the main one of their unit
    cluster_purity: float  #: share of frames whose unit is the main one of their phone
    pnmi: float  #: mutual information of phones and units over the phones' entropy
    perplexity: float  #: of the units, in these frames
    active: int  #: units that occur
    segment_ms: float  #: mean length of a run of equal units, in milliseconds
    phones: int  #: phones that occur
    frames: int  #: frames of 10 ms that have a phone
    utterances: int  #: utterances that have an alignment


def frames_of(
    codes: numpy.ndarray, seconds_per_unit: float, alignment: Alignment
) -> tuple[list[str], numpy.ndarray]:
    """Returns the phone and the unit of each frame of 10 ms.

    Arguments
    ---------
    codes : numpy.ndarray
        [units].
    seconds_per_unit : float
        Seconds from one unit to the next.
    alignment : Alignment
        Phones of the utterance.

    Returns
    -------
    phones : list of str
        The phone in the middle of each frame that has one, up to the end of the units.
    units : numpy.ndarray
        The units of these frames.

    Example
    -------
    >>> from s3prl_sb.units.alignments import alignment_of
    >>> alignment = alignment_of([[0.0, 0.03, "AH"], [0.03, 0.1, "T"]])
    >>> phones, units = frames_of(numpy.array([4, 7]), 0.02, alignment)
    >>> phones, units.tolist()
    (['AH', 'AH', 'AH', 'T'], [4, 4, 7, 7])
    """
    count = round(len(codes) * seconds_per_unit / FRAME)
    frames = numpy.arange(count)
    places = numpy.floor(frames * FRAME / seconds_per_unit + 1e-6).astype(int)
    units = codes[numpy.minimum(places, len(codes) - 1)]
    phones = alignment.at((frames + 0.5) * FRAME)
    inside = numpy.array([bool(phone) for phone in phones], dtype=bool)
    return [phone for phone in phones if phone], units[inside]


def purities(counts: numpy.ndarray) -> tuple[float, float, float]:
    """Returns phone purity, cluster purity and PNMI.

    Arguments
    ---------
    counts : numpy.ndarray
        [phones, units], numbers of frames.

    Returns
    -------
    tuple of float
        Each from 0 to 1.

    Example
    -------
    >>> purities(numpy.array([[2, 2, 0], [0, 0, 4]]))
    (1.0, 0.75, 1.0)
    """
    joint = counts / counts.sum()
    phone, unit = joint.sum(1, keepdims=True), joint.sum(0, keepdims=True)
    there = joint > 0
    information = (joint[there] * numpy.log(joint[there] / (phone * unit)[there])).sum()
    shares = phone[phone > 0]
    entropy = -(shares * numpy.log(shares)).sum()
    pnmi = information / entropy if entropy > 0 else 0.0
    return float(joint.max(0).sum()), float(joint.max(1).sum()), float(pnmi)


def measure(
    utterances: Iterable[tuple[str, numpy.ndarray]],
    seconds_per_unit: float,
    alignments: Alignments,
) -> Quality:
    """Measures units against phones.

    Arguments
    ---------
    utterances : iterable of (str, numpy.ndarray)
        Names and codes.
    seconds_per_unit : float
        Seconds from one unit to the next.
    alignments : Alignments
        Phones; utterances without an alignment are left out.

    Returns
    -------
    Quality

    Raises
    ------
    UnitsError
        If no utterance has an alignment.
    """
    rows: dict[str, int] = {}
    pairs, used, total, runs, units = [], 0, 0, 0, 0
    example = ""
    for name, codes in utterances:
        total, example = total + 1, example or name
        alignment = alignments.of(name)
        if alignment is None or not len(codes):
            continue
        used += 1
        runs += 1 + int((numpy.diff(codes) != 0).sum())
        units += len(codes)
        phones, frames = frames_of(codes, seconds_per_unit, alignment)
        numbers = [rows.setdefault(phone, len(rows)) for phone in phones]
        pairs.append(numpy.stack([numpy.array(numbers, dtype=int), frames]))
    if not pairs or not rows:
        raise UnitsError(
            f"None of {total} utterances, such as '{example}', has one of the "
            f"{len(alignments)} alignments, such as '{next(iter(alignments.exact))}'. "
            "Names must end alike."
        )
    if used < total:
        logger.info("%d of %d utterances have an alignment", used, total)
    phone, unit = numpy.concatenate(pairs, axis=1)
    counts = numpy.zeros((len(rows), unit.max() + 1), dtype=numpy.int64)
    numpy.add.at(counts, (phone, unit), 1)
    by_unit = counts.sum(0)
    return Quality(
        *purities(counts),
        perplexity=perplexity(torch.from_numpy(by_unit)),
        active=int((by_unit > 0).sum()),
        segment_ms=1000 * seconds_per_unit * units / runs,
        phones=len(rows),
        frames=len(unit),
        utterances=used,
    )


def measure_index(made: UnitsIndex, alignments: Alignments) -> Quality:
    """Measures the units of an index, see :func:`measure`."""
    return measure(made.items(), made.stride / made.sample_rate, alignments)
