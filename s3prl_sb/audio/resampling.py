"""From one sample rate to another, in memory that does not depend on the rates.

torchaudio keeps a filter for each phase of the output: of 44100 and 16000 Hz, which
share a divisor, 160 filters; of 16001 and 16000 Hz 16000 filters of 16000 samples,
which are gigabytes for one second of audio. There, each output sample gets the few
values of its filter that are not zero when they are needed.

Authors
 * The s3prl_sb developers, 2026
"""

import functools
import math

import torch

from s3prl_sb.audio.headers import RATES

#: Values of all filters, beyond which they are not kept: 16 MB.
MOST_KEPT = 1 << 22
#: torchaudio's defaults: zero crossings of the sinc on either side, and where it
#: cuts off, as a part of the lower rate's half.
ZEROS, ROLLOFF = 6, 0.99


def resample(sig, rate, wanted):
    """Resamples a waveform by a sinc in a Hann window, as torchaudio does.

    Arguments
    ---------
    sig : torch.Tensor
        [samples].
    rate, wanted : int
        Hz, that it has and that it gets.

    Returns
    -------
    torch.Tensor
        [ceil(samples * wanted / rate)].

    Raises
    ------
    ValueError
        For a rate that no audio has: the output's length would follow from it.

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
        return _kept(rate, wanted)(sig)
    return _computed(sig, old, new)


@functools.lru_cache(maxsize=32)
def _kept(rate, wanted):
    """torchaudio's, whose filters take longer to make than to apply."""
    from torchaudio.transforms import Resample

    return Resample(rate, wanted)


def _reach(old, new):
    """Samples of the input on either side that an output sample depends on."""
    return math.ceil(ZEROS * old / (min(old, new) * ROLLOFF))


def _computed(sig, old, new, block=1 << 14):
    """The same with filters that are computed for each output sample."""
    reach = _reach(old, new)
    padded = torch.nn.functional.pad(sig, (reach, reach + old + 1))
    parts = []
    for first in range(0, math.ceil(new * len(sig) / old), block):
        last = min(first + block, math.ceil(new * len(sig) / old))
        output = torch.arange(first, last)
        whole, phase = output // new, output % new
        taps = torch.arange(-reach, reach + 2) + (phase * old // new)[:, None]
        # In the precision of torchaudio, so that all rates are treated alike.
        shift = (-phase.to(torch.float32) / new).double()[:, None]
        time = (shift + taps.double() / old) * (min(old, new) * ROLLOFF)
        time = time.clamp(-ZEROS, ZEROS)
        window = torch.cos(time * (math.pi / ZEROS / 2)).square()
        values = torch.sinc(time) * window * (min(old, new) * ROLLOFF / old)
        inputs = padded[(whole * old)[:, None] + taps + reach]
        parts.append((inputs * values.to(sig.dtype)).sum(1))
    return torch.cat(parts)
