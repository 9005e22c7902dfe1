"""Resampling in memory that does not depend on the sample rates.

torchaudio keeps a filter for each phase of the output: 160 filters from 44100 to 16000
Hz, which share a divisor, but 16000 filters of 16000 samples from 16001 to 16000 Hz,
which take gigabytes. For such rates, the few non-zero filter values of each output
sample are computed when they are needed.

Authors
 * The s3prl_sb developers, 2026
"""

import functools
import math

import torch

from s3prl_sb.audio.headers import RATES

#: Largest number of filter values that are kept: 16 MB.
MOST_KEPT = 1 << 22
#: torchaudio's defaults: zero crossings of the sinc on either side, and the cutoff
#: frequency relative to the Nyquist frequency of the lower rate.
ZEROS, ROLLOFF = 6, 0.99


def resample(sig, rate, wanted):
    """Resamples a waveform by a Hann-windowed sinc, as torchaudio does.

    Arguments
    ---------
    sig : torch.Tensor
        [samples], on any device.
    rate, wanted : int
        Current and new sample rate, Hz.

    Returns
    -------
    torch.Tensor
        [ceil(samples * wanted / rate)].

    Raises
    ------
    ValueError
        For an impossible rate, which a damaged header may have.

    Example
    -------
    >>> resample(torch.randn(16001), 16001, 16000).shape
    torch.Size([16000])
    """
    if rate not in RATES:
        raise ValueError(
            f"a sample rate of {rate} Hz. There is audio from {RATES[0]} to {RATES[-1]}"
        )
    if rate == wanted:
        return sig
    divisor = math.gcd(rate, wanted)
    old, new = rate // divisor, wanted // divisor
    if (old + 2 * _reach(old, new)) * new <= MOST_KEPT:
        return _kept(rate, wanted, str(sig.device))(sig)
    return _computed(sig.cpu(), old, new).to(sig.device)


@functools.lru_cache(maxsize=32)
def _kept(rate, wanted, device):
    """Returns torchaudio's resampler, whose filters take long to compute."""
    from torchaudio.transforms import Resample

    return Resample(rate, wanted).to(device)


def _reach(old, new):
    """Returns the number of input samples on either side of an output sample."""
    return math.ceil(ZEROS * old / (min(old, new) * ROLLOFF))


def _computed(sig, old, new, block=1 << 14):
    """Resamples with filters that are computed for each output sample."""
    reach = _reach(old, new)
    padded = torch.nn.functional.pad(sig, (reach, reach + old + 1))
    parts = []
    for first in range(0, math.ceil(new * len(sig) / old), block):
        last = min(first + block, math.ceil(new * len(sig) / old))
        output = torch.arange(first, last)
        whole, phase = output // new, output % new
        taps = torch.arange(-reach, reach + 2) + (phase * old // new)[:, None]
        # The precision is torchaudio's, so that all rates are treated alike.
        shift = (-phase.to(torch.float32) / new).double()[:, None]
        time = (shift + taps.double() / old) * (min(old, new) * ROLLOFF)
        time = time.clamp(-ZEROS, ZEROS)
        window = torch.cos(time * (math.pi / ZEROS / 2)).square()
        values = torch.sinc(time) * window * (min(old, new) * ROLLOFF / old)
        inputs = padded[(whole * old)[:, None] + taps + reach]
        parts.append((inputs * values.to(sig.dtype)).sum(1))
    return torch.cat(parts)
