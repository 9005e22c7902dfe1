"""Events from the probabilities of frames: median filter, threshold, shortest event.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import median_filter

PRECISION = 6  # decimals of seconds; multiples of a frame are not exact

#: One number for all labels, or one for each.
PerLabel = float | Sequence[float]


def smooth(
    probabilities: np.ndarray, frame_seconds: float, median_seconds: PerLabel
) -> np.ndarray:
    """Returns the median of the frames around each, for each label.

    Arguments
    ---------
    probabilities : numpy.ndarray or torch.Tensor
        [frames, labels].
    frame_seconds : float
        Length of a frame.
    median_seconds : float or list of float
        Width of the filter in seconds, rounded to frames; less than half a frame for no
        filter. With an even number of frames, the median is the upper of the two, and
        the window has one frame more before than after, as in HEAR. The recording is
        mirrored at its ends.

    Returns
    -------
    numpy.ndarray
        [frames, labels].

    Example
    -------
    >>> smooth(np.array([[0.1], [0.9], [0.2], [0.8], [0.7]]), 0.02, 0.06).T
    array([[0.1, 0.2, 0.8, 0.7, 0.7]])
    """
    values = np.array(probabilities)
    widths = np.round(np.atleast_1d(median_seconds) / frame_seconds).astype(int)
    widths = np.broadcast_to(widths, values.shape[1:])
    for width in np.unique(widths[widths > 1]):
        columns = widths == width
        values[:, columns] = median_filter(values[:, columns], size=(int(width), 1))
    return values


def decode_events(
    probabilities: np.ndarray,
    labels: Sequence[str],
    frame_seconds: float,
    threshold: PerLabel = 0.5,
    median_seconds: PerLabel = 0.0,
    min_seconds: PerLabel = 0.0,
    duration: float | None = None,
) -> list[tuple[str, float, float]]:
    """Returns the events of a recording.

    Arguments
    ---------
    probabilities : numpy.ndarray or torch.Tensor
        [frames, labels].
    labels : list of str
        Names of the labels.
    frame_seconds : float
        Length of a frame; frames ``i`` to ``j - 1`` are the time from ``i`` to ``j``
        frame lengths.
    threshold : float or list of float
        Probability above which a label is active.
    median_seconds : float or list of float
        Width of the median filter, see :func:`smooth`.
    min_seconds : float or list of float
        Shorter events are left out.
    duration : float, optional
        Seconds of the audio, which may end within the last frame.

    Returns
    -------
    list of (str, float, float)
        Label, start and stop in seconds, sorted by start.

    Example
    -------
    >>> probabilities = np.array([[0.9, 0.1], [0.8, 0.6], [0.2, 0.7]])
    >>> decode_events(probabilities, ["dog", "a car"], 0.5, duration=1.3)
    [('dog', 0.0, 1.0), ('a car', 0.5, 1.3)]
    >>> decode_events(probabilities, ["dog", "a car"], 0.5, [0.85, 0.5], min_seconds=1)
    [('a car', 0.5, 1.5)]
    """
    active = smooth(probabilities, frame_seconds, median_seconds) > np.array(threshold)
    shortest = np.broadcast_to(min_seconds, active.shape[1:])
    end = len(active) * frame_seconds
    end = end if duration is None else min(end, duration)
    padded = np.pad(active, ((1, 1), (0, 0))).T
    # The edges of a label, which are in pairs, come before those of the next one
    edges = np.argwhere(padded[:, 1:] != padded[:, :-1]).reshape(-1, 2, 2)
    events = []
    for (label, first), (_, last) in edges.tolist():
        start = round(min(first * frame_seconds, end), PRECISION)
        stop = round(min(last * frame_seconds, end), PRECISION)
        if start < stop and stop - start >= shortest[label] - 10**-PRECISION:
            events.append((labels[label], start, stop))
    return sorted(events, key=lambda event: (event[1], event[0], event[2]))
