"""Perceptual quality of enhanced speech: PESQ and STOI, of two optional packages.

``pesq`` and ``pystoi`` come with ``pip install 's3prl_sb[se]'``. If one of them is
missing, its metric is None, which is logged once; other metrics are computed.

Authors
 * The s3prl_sb developers, 2026
"""

import functools
import importlib
import logging
import math
import warnings
from collections.abc import Callable
from types import ModuleType

import numpy as np
import torch

from s3prl_sb.audio.resampling import resample
from s3prl_sb.terminal.messages import Counted, reason

logger = logging.getLogger(__name__)

PACKAGES = {"pesq": "pesq", "stoi": "pystoi"}
RATE = 16000  # Hz, of wide-band PESQ
#: Lowest PESQ: raw -0.5 on the scale of MOS, ITU-T P.862.2.
LOWEST_PESQ = 0.999 + 4 / (1 + math.exp(1.3669 * 0.5 + 3.8224))
#: Seconds that are scored at once. The package pesq has room for 50 utterances; more of
#: them end the process, and they fit into 21 s at the earliest. STOI needs memory.
PESQ_SECONDS = 20.0
STOI_SECONDS = 60.0
SILENCE = 1e-8  # largest sample of silence

_unscored = Counted(
    __name__,
    "%s: no %s (%s). It is left out of the mean. Such utterances: %d",
)


def available(metric: str) -> bool:
    """Returns whether the package of a metric is installed; if not, says so once.

    Arguments
    ---------
    metric : str
        "pesq" or "stoi".

    Returns
    -------
    bool
    """
    return _package(metric) is not None


def pesq(
    estimate: torch.Tensor, reference: torch.Tensor, rate: int, utterance: str = ""
) -> float | None:
    """Returns the wide-band PESQ of an utterance (ITU-T P.862.2).

    Paper: Rix et al. 2001, "Perceptual evaluation of speech quality (PESQ)".

    Note: an utterance over 20 s is cut into equal parts, whose mean is returned. P.862
    is made for 8 to 20 s, and the package ends the whole process, as in S3PRL, if the
    speech has more than 50 pauses.

    Arguments
    ---------
    estimate, reference : torch.Tensor
        [samples].
    rate : int
        Sample rate, Hz; both are resampled to 16 kHz.
    utterance : str
        Name of the utterance, for messages.

    Returns
    -------
    float or None
        1.04 to 4.64, 1.04 for a silent estimate. None without the package, and for a
        reference without speech or under a quarter of a second.

    Example
    -------
    >>> value = pesq(torch.zeros(16000), torch.rand(16000), 16000)
    >>> value is None or round(value, 2)  # None without the package
    1.04
    """
    package = _package("pesq")
    if package is None:
        return None

    def score(estimate, reference):
        return package.pesq(RATE, reference, estimate, "wb")

    if rate != RATE:
        estimate, reference = (
            resample(side.detach().cpu().float(), rate, RATE)
            for side in (estimate, reference)
        )
    signals = _signals(estimate, reference)
    fault = _fault(*signals, RATE)
    if fault is None and _is_silent(signals[0]):
        return LOWEST_PESQ
    return _mean("PESQ", score, signals, RATE * PESQ_SECONDS, utterance, fault)


def stoi(
    estimate: torch.Tensor, reference: torch.Tensor, rate: int, utterance: str = ""
) -> float | None:
    """Returns the short-time objective intelligibility (STOI) of an utterance.

    Paper: Taal et al. 2011, https://doi.org/10.1109/TASL.2011.2114881.

    Arguments
    ---------
    estimate, reference : torch.Tensor
        [samples]. Over 60 s they are cut into equal parts, whose mean is returned.
    rate : int
        Sample rate, Hz.
    utterance : str
        Name of the utterance, for messages.

    Returns
    -------
    float or None
        About 0 to 1. None without the package, and for a reference with less than
        0.4 s of speech.

    Example
    -------
    >>> value = stoi(torch.zeros(16000), torch.rand(16000), 16000)
    >>> value is None or round(value, 2)  # None without the package
    0.0
    """
    package = _package("stoi")
    if package is None:
        return None

    def score(estimate, reference):
        with warnings.catch_warnings():
            # "Not enough STFT frames": it would return 1e-5
            warnings.simplefilter("error", RuntimeWarning)
            return package.stoi(reference, estimate, rate)

    signals = _signals(estimate, reference)
    fault = _fault(*signals, rate)
    return _mean("STOI", score, signals, rate * STOI_SECONDS, utterance, fault)


@functools.cache
def _package(metric: str) -> ModuleType | None:
    """Returns the package of a metric; None if it cannot be imported."""
    try:
        return importlib.import_module(PACKAGES[metric])
    except ImportError as error:
        missing = f"No {metric.upper()}: pip install 's3prl_sb[se]' (%s)"
        logger.warning(missing, reason(error))
        return None


def _signals(estimate, reference):
    """Returns both as arrays in float64."""
    if estimate.shape != reference.shape or estimate.dim() != 1:
        raise ValueError(
            f"an estimate {list(estimate.shape)} and a reference "
            f"{list(reference.shape)}: give both as [samples] of the same length"
        )
    return tuple(side.detach().cpu().double().numpy() for side in (estimate, reference))


def _is_silent(signal):
    return np.abs(signal).max(initial=0.0) <= SILENCE


def _fault(estimate, reference, rate):
    """Returns the reason why signals cannot be scored, or None."""
    if not np.isfinite(estimate).all() or not np.isfinite(reference).all():
        return "it holds NaN or infinity"
    if len(reference) < rate / 4:
        return "it is shorter than 0.25 s"
    return "its reference is silent" if _is_silent(reference) else None


def _mean(
    metric: str,
    score: Callable[[np.ndarray, np.ndarray], float],
    signals: tuple[np.ndarray, np.ndarray],
    most: float,
    utterance: str,
    fault: str | None,
) -> float | None:
    """Returns the mean score of equal parts with at most ``most`` samples."""
    scores = []
    if fault is None:
        parts = math.ceil(len(signals[0]) / most)
        for pair in zip(*(np.array_split(signal, parts) for signal in signals)):
            try:
                scores.append(float(score(*pair)))
            except Exception as error:  # a part without speech; the packages raise many
                fault = _words(error)
    scores = [value for value in scores if math.isfinite(value)]
    if scores:
        return sum(scores) / len(scores)
    _unscored.warn(utterance or "an utterance", metric, fault or "it is not a number")
    return None


def _words(error):
    """Returns the first sentence of an error of a package, some of them bytes."""
    text = error.args[0] if error.args else ""
    text = text.decode() if isinstance(text, bytes) else reason(error)
    return text.partition(". ")[0]
