"""Mel-cepstrum of a spectral envelope, as SPTK's ``freqt`` and pysptk's ``sp2mc``.

The cepstrum of the logarithmic envelope is warped to a mel-like scale by a chain of
all-pass filters. The warping is linear, so all frames are multiplied by one matrix.
Paper: https://doi.org/10.1109/ICASSP.1992.225953

Authors
 * The s3prl_sb developers, 2026
"""

import functools

import numpy
from scipy.signal import lfilter

# Usual values of SPTK and ESPnet: the warped axis is nearest to the mel scale
RATES = (8000, 10000, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
ALPHAS = (0.31, 0.35, 0.37, 0.42, 0.45, 0.466, 0.5, 0.53, 0.55)


def warping_of(rate: float) -> float:
    """Returns the usual warping of a sample rate, between two of them a mean.

    Arguments
    ---------
    rate : float
        Sample rate, Hz.

    Returns
    -------
    float

    Example
    -------
    >>> warping_of(24000), round(warping_of(14000), 3)
    (0.466, 0.395)
    """
    return float(numpy.interp(rate, RATES, ALPHAS))


@functools.lru_cache(maxsize=8)
def warping(size: int, order: int, alpha: float) -> numpy.ndarray:
    """Returns the matrix that warps the frequency axis of a cepstrum.

    Arguments
    ---------
    size : int
        Number of cepstral coefficients before warping.
    order : int
        Order of the result.
    alpha : float
        Coefficient of the all-pass filter, between -1 and 1; 0 warps nothing.

    Returns
    -------
    numpy.ndarray
        [size, order + 1].

    Example
    -------
    >>> bool((warping(4, 3, 0.0) == numpy.eye(4)).all())
    True
    """
    impulse = numpy.zeros(size)
    impulse[0] = 1.0
    # Row m of column 0 is alpha ** m; each further column is filtered once more
    columns = [lfilter([1.0], [1.0, -alpha], impulse)]
    for index in range(order):
        numerator = [0.0, 1.0 - alpha**2] if index == 0 else [-alpha, 1.0]
        columns.append(lfilter(numerator, [1.0, -alpha], columns[-1]))
    return numpy.stack(columns, axis=1)


def mel_cepstrum(
    power: numpy.ndarray, order: int = 39, alpha: float = 0.466
) -> numpy.ndarray:
    """Computes the mel-cepstrum of power spectra.

    Arguments
    ---------
    power : numpy.ndarray
        Envelopes of the power spectrum, [frames, n_fft // 2 + 1], above zero.
    order : int
        Order of the result.
    alpha : float
        Warping; 0.466 is usual for speech at 24 kHz.

    Returns
    -------
    numpy.ndarray
        [frames, order + 1]; coefficient 0 is the level.

    Example
    -------
    >>> mel_cepstrum(numpy.full((1, 9), numpy.e**2), order=2).round(6) + 0.0
    array([[1., 0., 0.]])
    """
    cepstrum = numpy.fft.irfft(numpy.log(power), axis=-1)
    cepstrum[..., 0] /= 2.0
    return cepstrum @ warping(cepstrum.shape[-1], order, alpha)
