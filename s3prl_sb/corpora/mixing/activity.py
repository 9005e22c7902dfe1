"""Activity of a waveform, by its energy.

Authors
 * The s3prl_sb developers, 2026
"""

import numpy as np

HOP, WINDOW = 0.01, 0.02  # seconds of the frames whose level is measured
SILENCE = -75.0  # dB relative to full scale; nothing below it sounds


def active_spans(
    samples: np.ndarray, rate: int, below: float, join: float, shortest: float = 0.03
) -> list[tuple[int, int]]:
    """Finds where a waveform sounds.

    Arguments
    ---------
    samples : numpy.ndarray
        [samples], full scale at -1 and 1.
    rate : int
        Sample rate, Hz.
    below : float
        A frame of 20 ms sounds if its level is at most this many dB below that of the
        loudest one.
    join : float
        Seconds of the longest silence within a span.
    shortest : float
        Seconds of the shortest span.

    Returns
    -------
    list of (int, int)
        First sample of each span, and the one after its last.

    Example
    -------
    >>> sound = np.zeros(16000)
    >>> sound[4000:8000] = 0.5
    >>> active_spans(sound, 16000, 35, join=0.2)
    [(4000, 8000)]
    """
    loud = _levels(samples, rate)
    if not len(loud):
        return []
    threshold = max(loud.max() - below, SILENCE)
    edges = np.flatnonzero(np.diff(np.r_[False, loud >= threshold, False]))
    hop, spans = round(HOP * rate), []
    for first, last in edges.reshape(-1, 2).tolist():
        start, stop = _exact(samples, first * hop, last * hop, threshold)
        if spans and start - spans[-1][1] < join * rate:
            start = spans.pop()[0]
        spans.append((start, stop))
    return [(a, b) for a, b in spans if b - a >= shortest * rate]


def _levels(samples, rate):
    """Returns the level of each frame, which begins at a hop, in dB."""
    hop, window = round(HOP * rate), round(WINDOW * rate)
    energy = np.r_[0.0, np.cumsum(np.square(samples, dtype=np.float64))]
    starts = np.arange(0, len(samples), hop)
    stops = np.minimum(starts + window, len(samples))
    power = (energy[stops] - energy[starts]) / np.maximum(stops - starts, 1)
    return 10 * np.log10(np.maximum(power, 1e-20))


def _exact(samples, start, stop, threshold):
    """Moves the borders of a span to its first and last sample that is not silent.

    A frame before a sudden sound is loud because of its end.
    """
    part = np.abs(samples[start:stop])
    loud = np.flatnonzero(part >= 10 ** (threshold / 20))
    if not len(loud):
        return start, min(stop, len(samples))
    return start + int(loud[0]), start + int(loud[-1]) + 1


def level_of(samples: np.ndarray, spans: list[tuple[int, int]]) -> float:
    """Returns the root mean square of a waveform within spans.

    Arguments
    ---------
    samples : numpy.ndarray
        [samples].
    spans : list of (int, int)
        First sample of each span, and the one after its last.

    Returns
    -------
    float

    Example
    -------
    >>> level_of(np.array([0.0, 3.0, 3.0, 0.0]), [(1, 3)])
    3.0
    """
    parts = [samples[start:stop] for start, stop in spans]
    return float(np.sqrt(np.mean(np.square(np.concatenate(parts)))))
