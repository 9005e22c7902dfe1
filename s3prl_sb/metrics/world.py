"""Analysis of speech by WORLD: fundamental frequency and spectral envelope.

Paper: https://doi.org/10.1587/transinf.2015EDP7457. The library is pyworld
(``pip install 's3prl_sb[vc]'``).

Authors
 * The s3prl_sb developers, 2026
"""

import warnings
from types import ModuleType
from typing import NamedTuple

import numpy
from scipy.signal import firwin, lfilter

from s3prl_sb.errors import MissingExtra
from s3prl_sb.metrics.mel_cepstrum import mel_cepstrum

SHIFT = 5.0  # milliseconds between two frames
N_FFT = 1024  # of the envelope
LOW_CUT, TAPS = 70, 255  # Hz and length of the filter against rumble
FULL_SCALE = numpy.iinfo(numpy.int16).max
WIDEST = (71.0, 800.0)  #: WORLD's own limits of the fundamental frequency, Hz
MARGIN, OUTLIERS = 1.1, 1.0  # factor around the voiced frames; percent at either end


class Analysis(NamedTuple):
    """Frames of an utterance, every 5 ms.

    Arguments
    ---------
    f0 : numpy.ndarray
        Fundamental frequency in Hz, 0 where the frame is unvoiced, [frames].
    mel_cepstrum : numpy.ndarray
        [frames, order + 1].
    level : numpy.ndarray
        Power of the envelope in decibels relative to its mean over the utterance,
        [frames].
    """

    f0: numpy.ndarray
    mel_cepstrum: numpy.ndarray
    level: numpy.ndarray


def library() -> ModuleType:
    """Returns pyworld.

    Raises
    ------
    MissingExtra
        If it is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it asks pkg_resources for its version
            import pyworld
    except ImportError as error:  # of setuptools before 81, too
        raise MissingExtra(
            f"MCD and F0 need pyworld ({error}): pip install 's3prl_sb[vc]'"
        ) from error
    return pyworld


def analyse(
    samples: numpy.ndarray,
    rate: int,
    f0_range: tuple[float, float] = WIDEST,
    order: int = 39,
    alpha: float = 0.466,
) -> Analysis:
    """Analyses a waveform.

    Arguments
    ---------
    samples : numpy.ndarray
        Waveform within -1 and 1, [samples].
    rate : int
        Its sample rate, Hz.
    f0_range : (float, float)
        Limits of the search for the fundamental frequency, Hz.
    order, alpha
        See :func:`~s3prl_sb.metrics.mel_cepstrum.mel_cepstrum`.

    Returns
    -------
    Analysis

    Example
    -------
    >>> import pytest
    >>> _ = pytest.importorskip("pyworld")
    >>> pulses = numpy.where(numpy.arange(9600) % 120, 0.0, 0.5)
    >>> round(float(numpy.median(analyse(pulses, 24000).f0)))
    200
    """
    world = library()
    samples = _without_rumble(samples, rate)
    low, high = f0_range
    f0, times = world.harvest(
        samples, rate, f0_floor=low, f0_ceil=high, frame_period=SHIFT
    )
    envelope = world.cheaptrick(samples, f0, times, rate, fft_size=N_FFT)
    # The inner bins stand for the negative frequencies too
    power = 2.0 * envelope.sum(1) - envelope[:, 0] - envelope[:, -1]
    level = 10.0 * numpy.log10(power / power.mean())
    return Analysis(f0, mel_cepstrum(envelope, order, alpha), level)


def estimate_f0_range(
    waveforms: list[numpy.ndarray], rate: int
) -> tuple[float, float] | None:
    """Estimates the limits of a speaker's fundamental frequency.

    They are a tenth outside the voiced frames, of which the lowest and the highest
    hundredth are left out: errors of an octave are mostly there. The frames are those
    of DIO and StoneMask, ten times as fast as the search of the metrics.

    Arguments
    ---------
    waveforms : list of numpy.ndarray
        Utterances of the speaker, [samples] each, within -1 and 1.
    rate : int
        Their sample rate, Hz.

    Returns
    -------
    (float, float) or None
        Lower and upper limit in Hz; None if no frame is voiced.

    Note
    ----
    S3PRL has limits for the ten target speakers of VCC2020 alone, read off histograms.
    """
    world, (low, high) = library(), WIDEST
    voiced = [numpy.zeros(0)]
    for waveform in waveforms:
        samples = _without_rumble(waveform, rate)
        f0, times = world.dio(
            samples, rate, f0_floor=low, f0_ceil=high, frame_period=SHIFT
        )
        f0 = world.stonemask(samples, f0, times, rate)
        voiced.append(f0[f0 > 0])
    frames = numpy.concatenate(voiced)
    if not len(frames):
        return None
    low, high = numpy.percentile(frames, [OUTLIERS, 100.0 - OUTLIERS])
    return float(low / MARGIN), float(high * MARGIN)


def _without_rumble(samples, rate):
    # Scaled in its own precision, as S3PRL does: rounding decides where a frame is loud
    samples = (numpy.asarray(samples) * FULL_SCALE).astype(numpy.float64)
    low_cut = firwin(TAPS, LOW_CUT / (rate // 2), pass_zero=False)
    return lfilter(low_cut, 1, samples)
