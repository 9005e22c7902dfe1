"""Diarization error rate of speaker segments and of frames.

The rate is missed speech plus false alarms plus speaker confusion over all speech of
the reference; overlapping speech counts once for each speaker. Predicted speakers are
mapped to true ones such that the confusion is minimal. NIST's Rich Transcription
evaluation plans (RT-09) define it.

Authors
 * The s3prl_sb developers, 2026
"""

import math
import operator
from dataclasses import astuple, dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from s3prl_sb.metrics.transcription import paired


@dataclass(frozen=True)
class DiarizationErrors:
    """Errors in seconds of speech, or in frames; objects can be added.

    Arguments
    ---------
    missed, false_alarm, confusion : float
        Speech without a predicted speaker, predicted speech without a true speaker,
        speech of one speaker assigned to another.
    speech : float
        Speech of the reference, summed over speakers.

    Example
    -------
    >>> errors = DiarizationErrors(missed=1.0, speech=6.0)
    >>> (errors + DiarizationErrors(confusion=2.0, speech=6.0)).rate
    0.25
    """

    missed: float = 0.0
    false_alarm: float = 0.0
    confusion: float = 0.0
    speech: float = 0.0

    @property
    def total(self):
        """Sum of the three errors."""
        return self.missed + self.false_alarm + self.confusion

    @property
    def rate(self):
        """Diarization error rate: errors over speech."""
        if self.speech == 0:
            raise ValueError("the diarization error rate of no speech is not defined")
        return self.total / self.speech

    def __add__(self, other):
        return DiarizationErrors(*map(operator.add, astuple(self), astuple(other)))


def corpus_errors(predicted, true, regions=None, collar=0.0, skip_overlap=False):
    """Computes the errors of a corpus, with speakers paired in each recording.

    Arguments
    ---------
    predicted, true : dict
        From recording ids to lists of segments, see :func:`segment_errors`; empty
        for a recording without speech.
    regions : dict, optional
        From recording ids to the lists of scored regions. It may have more
        recordings.
    collar, skip_overlap
        See :func:`segment_errors`.

    Returns
    -------
    DiarizationErrors

    Example
    -------
    >>> true = {"a": [(0.0, 2.0, "ann")], "b": [(0.0, 2.0, "bob")]}
    >>> corpus_errors({"a": [(0.0, 2.0, 1)], "b": [(0.0, 1.0, 1)]}, true).rate
    0.25
    """
    pairs = paired(predicted, true)
    absent = [key for key, _, _ in pairs if regions is not None and key not in regions]
    if absent:
        raise ValueError(f"no regions of {len(absent)} recordings, as of {absent[0]!r}")
    errors = DiarizationErrors()
    for key, p, t in pairs:
        scored = None if regions is None else regions[key]
        try:
            errors += segment_errors(p, t, scored, collar, skip_overlap)
        except ValueError as error:
            raise ValueError(f"recording {key!r}: {error}") from error
    return errors


def speaker_last(segments):
    """Puts the speakers of segments last, as :func:`corpus_errors` takes them.

    Arguments
    ---------
    segments : iterable of tuple
        (speaker, start, stop), as in RTTM files.

    Returns
    -------
    list of tuple
        (start, stop, speaker).

    Example
    -------
    >>> speaker_last([("ann", 0.5, 2.75)])
    [(0.5, 2.75, 'ann')]
    """
    return [(start, stop, speaker) for speaker, start, stop in segments]


def segment_errors(predicted, true, regions=None, collar=0.0, skip_overlap=False):
    """Computes the errors of a recording, exact at the boundaries of segments.

    Overlapping segments of the same speaker are merged.

    Arguments
    ---------
    predicted, true : list
        (start, end, speaker), in seconds, in any order. Predicted speakers may have
        other names than the true ones.
    regions : list, optional
        (start, end) of scored regions, as in a UEM file. Default: from the first
        start to the last end, predicted or true.
    collar : float
        Seconds that are not scored on EITHER side of each start and end of a true
        segment, as in NIST's md-eval and in dscore. (The collar of pyannote.metrics is
        the sum of both sides.)
    skip_overlap : bool
        Whether to ignore regions in which several true speakers speak at once.

    Returns
    -------
    DiarizationErrors
        In seconds.

    Example
    -------
    >>> true = [(0.0, 4.0, "ann"), (3.0, 8.0, "bob")]
    >>> predicted = [(0.0, 3.0, 1), (3.0, 8.0, 2)]
    >>> segment_errors(predicted, true)
    DiarizationErrors(missed=1.0, false_alarm=0.0, confusion=0.0, speech=9.0)
    >>> segment_errors(predicted, true, skip_overlap=True).rate
    0.0
    """
    if not 0 <= collar < math.inf:
        raise ValueError(f"a collar of {collar} seconds")
    predicted, true = _checked(predicted), _checked(true)
    # The speakers are constant between two adjacent times.
    everything = [(start, end) for start, end, _ in predicted + true]
    if regions is None:
        edges = [edge for segment in everything for edge in segment]
        regions = [(min(edges), max(edges))] if edges else []
    regions = [region[:2] for region in _checked([(*r, None) for r in regions])]
    collars = []
    if collar > 0:
        edges = [edge for segment in true for edge in segment[:2]]
        collars = [(round(e - collar, 9), round(e + collar, 9)) for e in edges]
    times = np.unique(np.array([*everything, *regions, *collars], dtype=np.float64))

    hypothesis = _activity(predicted, times)
    reference = _activity(true, times)
    scored = _covered(regions, times) & ~_covered(collars, times)
    if skip_overlap:
        scored &= reference.sum(0) < 2
    return _errors(hypothesis, reference, np.diff(times) * scored)


def frame_errors(predicted, true, align=True):
    """Computes the errors of a recording, in frames.

    Arguments
    ---------
    predicted, true : torch.Tensor or numpy.ndarray
        [frames, speakers] of 0 and 1, the activity of each speaker. S3PRL has 1
        where the probability is above 0.5.
    align : bool
        Whether to pair the speakers such that as many frames as possible are right.
        Otherwise they are paired by number, as in S3PRL, where the labels are in the
        order with the smallest loss.

    Returns
    -------
    DiarizationErrors
        In frames.

    Note
    ----
    S3PRL averages the rates of batches. Here the errors are added, and the rate is that
    of their sum.

    Example
    -------
    >>> import torch
    >>> true = torch.tensor([[1, 0], [1, 1], [0, 1], [0, 0]])
    >>> frame_errors(true.flip(1), true).rate
    0.0
    >>> frame_errors(true.flip(1), true, align=False).rate
    0.5
    """
    hypothesis, reference = _labels(predicted), _labels(true)
    if hypothesis.shape[1] != reference.shape[1]:
        raise ValueError(
            f"{hypothesis.shape[1]} frames are predicted, {reference.shape[1]} are true"
        )
    if not align and len(hypothesis) != len(reference):
        raise ValueError(
            f"{len(hypothesis)} speakers cannot be paired by number with "
            f"{len(reference)}"
        )
    return _errors(hypothesis, reference, np.ones(hypothesis.shape[1]), align)


def _errors(hypothesis, reference, weights, align=True):
    """Computes the errors of activities [speakers, pieces] with a weight per piece."""
    predicted, true = hypothesis.sum(0), reference.sum(0)
    together = (hypothesis * weights) @ reference.T.astype(np.float64)
    rows = columns = np.arange(len(reference))
    if align:
        rows, columns = linear_sum_assignment(together, maximize=True)
    # Per piece, so that the confusion of a perfect prediction is exactly zero.
    right = (hypothesis[rows] & reference[columns]).sum(0)
    return DiarizationErrors(
        missed=float(weights @ np.maximum(true - predicted, 0)),
        false_alarm=float(weights @ np.maximum(predicted - true, 0)),
        confusion=float(weights @ (np.minimum(true, predicted) - right)),
        speech=float(weights @ true),
    )


def _checked(segments):
    """Rounds segments to nanoseconds and drops empty ones.

    Rounding avoids tiny segments from inexact sums of times.
    """
    for start, end, _ in segments:
        if not -math.inf < start <= end < math.inf:
            raise ValueError(f"a segment from {start} to {end} seconds")
    rounded = [(round(a, 9), round(b, 9), speaker) for a, b, speaker in segments]
    return [segment for segment in rounded if segment[0] < segment[1]]


def _covered(spans, times):
    covered = np.zeros(max(len(times) - 1, 0), dtype=bool)
    if spans:
        for start, end in np.searchsorted(times, np.array(spans, dtype=np.float64)):
            covered[start:end] = True
    return covered


def _activity(segments, times):
    spans = {}
    for start, end, speaker in segments:
        spans.setdefault(speaker, []).append((start, end))
    rows = [_covered(s, times) for s in spans.values()]
    return np.array(rows, dtype=bool).reshape(len(rows), max(len(times) - 1, 0))


def _labels(matrix):
    matrix = np.asarray(matrix.cpu() if hasattr(matrix, "cpu") else matrix)
    if matrix.ndim != 2:
        raise ValueError(f"labels of shape {matrix.shape}, not [frames, speakers]")
    if not np.isin(matrix, (0, 1)).all():
        raise ValueError("labels other than 0 and 1")
    return matrix.T.astype(bool)
