"""Metrics of voice conversion against the target speaker's speech.

The converted and the target utterance have the same words. Their frames are aligned
by dynamic time warping of mel-cepstra.

=========== ======= ================================================================
``mcd``     dB      mel-cepstral distortion, over the loud frames
``f0_rmse`` Hz      root mean square error of the fundamental frequency, over the voiced
                    frames
``f0_corr`` -1 to 1 its correlation
``ddur``    s       difference of durations, without silence at both ends
=========== ======= ================================================================

All but the last need pyworld and fastdtw (``pip install 's3prl_sb[vc]'``); without
them, the last one is still computed.

Authors
 * The s3prl_sb developers, 2026
"""

import functools
import logging
from collections.abc import Iterable, Mapping
from types import ModuleType

import numpy
import torch

from s3prl_sb.audio.resampling import resample
from s3prl_sb.errors import MissingExtra
from s3prl_sb.metrics import world
from s3prl_sb.metrics.mel_cepstrum import warping_of

logger = logging.getLogger(__name__)

ALIGNED = ("mcd", "f0_rmse", "f0_corr")  #: metrics that need the extra
METRICS = (*ALIGNED, "ddur")
SILENT = -20.0  # dB: the MCD is that of frames above this level
PASSED = 0.475  # highest frequency of a recording, relative to its sample rate
DECIBELS = 10.0 / numpy.log(10.0)
# Silence at both ends: level relative to the loudest frame, length and shift of frames
TRIMMED, FRAME, HOP = -60.0, 2048, 512


def fast_dtw() -> ModuleType:
    """Returns fastdtw.

    Raises
    ------
    MissingExtra
        If it is not installed.
    """
    try:
        import fastdtw
    except ImportError as error:
        raise MissingExtra(
            "MCD and F0 need fastdtw: pip install 's3prl_sb[vc]'"
        ) from error
    return fastdtw


@functools.cache
def measurable() -> tuple[str, ...]:
    """Returns the metrics whose libraries are installed; the first call logs the
    command that installs the others."""
    try:
        world.library()
        fast_dtw()
    except MissingExtra as missing:
        logger.warning("%s. Not computed: %s", missing, ", ".join(ALIGNED))
        return METRICS[len(ALIGNED) :]
    return METRICS


def conversion_metrics(
    converted: numpy.ndarray,
    target: numpy.ndarray,
    rate: int,
    f0_range: tuple[float, float] = world.WIDEST,
    band: float | None = None,
) -> dict[str, float | None]:
    """Compares a converted utterance with the target speaker's.

    Arguments
    ---------
    converted, target : numpy.ndarray
        Waveforms within -1 and 1, [samples]; tensors are accepted.
    rate : int
        Sample rate of both, Hz. S3PRL's numbers are at 24 kHz.
    f0_range : (float, float)
        Limits of the target speaker's fundamental frequency in Hz, see
        :data:`s3prl_sb.corpora.vcc2020.F0_RANGES` and
        :func:`~s3prl_sb.metrics.world.estimate_f0_range`.
    band : float, optional
        Highest frequency in Hz that both have. MCD and F0 are measured at twice this
        rate. Default: all frequencies, as S3PRL does.

    Returns
    -------
    dict
        The metrics of :func:`measurable`, each a number; None where it is not defined,
        as no frame is loud or voiced.

    Note
    ----
    Without ``band`` the values are those of S3PRL: 40 mel-cepstral coefficients with
    the level, warped by 0.466, an approximate alignment (fastdtw of radius 1), two
    alignments for MCD and for F0. Where we have None, S3PRL has NaN and then none of
    the test set, or ends with an IndexError.

    They need speech of the whole band. Griffin-Lim leaves nothing above the highest mel
    band, recordings at 16 kHz have nothing above 8 kHz, and the depth of such a gap
    decides the MCD: copies of VCC2016's recordings by Griffin-Lim at 24 kHz have 26 dB
    over all frequencies, 10 dB if they are rounded to 16 bit, 3 dB up to 7600 Hz.

    Example
    -------
    >>> import pytest
    >>> _ = pytest.importorskip("pyworld"), pytest.importorskip("fastdtw")
    >>> pulses = numpy.where(numpy.arange(9600) % 120, 0.0, 0.5)
    >>> values = conversion_metrics(pulses, pulses, 24000)
    >>> values["mcd"], round(values["f0_rmse"], 6), values["ddur"]
    (0.0, 0.0, 0.0)
    """
    converted, target = (_array(signal) for signal in (converted, target))
    values: dict[str, float | None] = {}
    if len(measurable()) == len(METRICS):
        one, other = (
            _analysed(signal, rate, f0_range, band) for signal in (converted, target)
        )
        values["mcd"] = mel_cepstral_distortion(one, other)
        values["f0_rmse"], values["f0_corr"] = f0_errors(one, other)
    lengths = [_trimmed_length(signal) for signal in (converted, target)]
    values["ddur"] = float(abs(lengths[0] - lengths[1]) / rate)
    return values


def common_band(
    rate: int, target_rate: int, vocoder_band: float | None = None
) -> float | None:
    """Returns the highest frequency that converted and target speech have.

    Arguments
    ---------
    rate : int
        Sample rate of the converted speech, Hz.
    target_rate : int
        Sample rate of the recording of the target, Hz.
    vocoder_band : float, optional
        Highest frequency of the vocoder, Hz; None: all.

    Returns
    -------
    float or None
        Argument ``band`` of :func:`conversion_metrics`; None: all frequencies.

    Example
    -------
    >>> common_band(24000, 24000), common_band(24000, 16000, vocoder_band=8000)
    (None, 7600.0)
    """
    edges = [] if vocoder_band is None else [float(vocoder_band)]
    if target_rate < rate:
        edges.append(PASSED * target_rate)
    return min(edges, default=None)


def mel_cepstral_distortion(
    converted: world.Analysis, target: world.Analysis
) -> float | None:
    """Computes the mean distance of aligned mel-cepstra over loud frames, in dB.

    Arguments
    ---------
    converted, target : world.Analysis
        Both utterances.

    Returns
    -------
    float or None
        None if one of them has no loud frame.
    """
    one, other = (a.mel_cepstrum[a.level > SILENT] for a in (converted, target))
    if not (len(one) and len(other)):
        return None
    path = _aligned(other, one)
    squares = numpy.sum((one[path[1]] - other[path[0]]) ** 2, axis=1)
    return _finite(numpy.mean(DECIBELS * numpy.sqrt(2.0 * squares)))


def f0_errors(
    converted: world.Analysis, target: world.Analysis
) -> tuple[float | None, float | None]:
    """Compares the fundamental frequency of aligned voiced frames.

    Arguments
    ---------
    converted, target : world.Analysis
        Both utterances.

    Returns
    -------
    rmse : float or None
        Root mean square error in Hz; None if one of them has no voiced frame.
    correlation : float or None
        Pearson's correlation; None also if one of them is constant.
    """
    voiced = [a.f0 > 0 for a in (target, converted)]
    if not all(mask.any() for mask in voiced):
        return None, None
    analyses = (target, converted)
    path = _aligned(*(a.mel_cepstrum[m] for a, m in zip(analyses, voiced)))
    true, own = (a.f0[m][p] for a, m, p in zip(analyses, voiced, path))
    rmse = numpy.sqrt(numpy.mean((true - own) ** 2))
    true, own = true - true.mean(), own - own.mean()
    norms = numpy.linalg.norm(true) * numpy.linalg.norm(own)
    return _finite(rmse), _finite(true @ own / norms) if norms > 0 else None


def averages(rows: Iterable[Mapping[str, float | None]]) -> dict[str, float]:
    """Averages metrics over utterances, without the values that are not defined.

    Arguments
    ---------
    rows : iterable of dict
        Results of :func:`conversion_metrics`.

    Returns
    -------
    dict
        Metrics to their means; those that are defined nowhere are left out.

    Example
    -------
    >>> averages([{"mcd": 7.0, "f0_corr": None}, {"mcd": 9.0, "f0_corr": 0.5}])
    {'mcd': 8.0, 'f0_corr': 0.5}
    """
    columns: dict[str, list[float]] = {}
    for row in rows:
        for name, value in row.items():
            if value is not None:
                columns.setdefault(name, []).append(float(value))
    return {name: sum(column) / len(column) for name, column in columns.items()}


def _array(signal):
    """Returns a waveform as an array; tensors may be on any device."""
    if hasattr(signal, "detach"):
        signal = signal.detach().cpu()
    return numpy.asarray(signal)


def _analysed(signal, rate, f0_range, band):
    """Analyses a waveform up to the highest frequency of a band."""
    if band is None or 2 * band >= rate:
        return world.analyse(signal, rate, f0_range)
    new = round(2 * band)
    signal = torch.from_numpy(numpy.asarray(signal, dtype=numpy.float32))
    signal = resample(signal, rate, new).numpy()
    return world.analyse(signal, new, f0_range, alpha=warping_of(new))


def _aligned(one, other):
    """Returns the indices of aligned frames in both sequences, [2, length]."""
    from scipy.spatial.distance import euclidean

    _, path = fast_dtw().fastdtw(one, other, dist=euclidean)
    return numpy.array(path).T


def _finite(value):
    return float(value) if numpy.isfinite(value) else None


def _trimmed_length(samples):
    """Returns the number of samples without silence at both ends, in whole frames, as
    librosa's ``effects.trim``."""
    if not len(samples):
        return 0
    padded = numpy.pad(samples, FRAME // 2)
    frames = numpy.lib.stride_tricks.sliding_window_view(padded, FRAME)[::HOP]
    rms = numpy.sqrt(numpy.mean(frames**2, axis=1))
    level = 20.0 * numpy.log10(numpy.maximum(rms, 1e-5) / max(rms.max(), 1e-5))
    loud = numpy.flatnonzero(level > TRIMMED)
    return min(len(samples), (loud[-1] + 1) * HOP) - loud[0] * HOP
