"""Leaving out silence.

Authors
 * The s3prl_sb developers, 2026
"""

import numpy as np
import torch

from s3prl_sb.dataio.dataset import Pipe


class TrimSilence(Pipe):
    """Cuts pauses out of waveforms, at the ends and in between: refines ``sig``.

    The level is that of the last 20 ms. Sound begins where the level stays at the
    threshold or above it for ``seconds``, and lasts until it stays below it for
    ``seconds``; what is not sound is left out. A waveform without sound stays whole.

    Arguments
    ---------
    threshold : float
        Level, dB relative to full scale.
    seconds : float
        How long sound must last to begin, and silence to end it.
    window : float
        Seconds that a level is measured over.
    sample_rate : int
        Hz of ``sig``.

    Note
    ----
    S3PRL has sox do this, ``silence 1 0.1 0.1% -1 0.1 0.1%`` after ``gain -3``: the
    same rules, and 0.1 % (-60 dB) of a waveform that is 3 dB quieter is the default
    threshold, -57 dB. There are three differences. After a pause sox measures the
    level anew from nothing, so where a pause of 0.1 to 0.12 s ends, sox may cut up
    to 20 ms more. Where sox leaves nothing, the waveform stays whole here. And the
    waveform itself does not get 3 dB quieter.

    Example
    -------
    >>> trim = TrimSilence(sample_rate=1000)
    >>> sound, pause = 0.1 * torch.ones(400), torch.zeros(300)
    >>> len(trim.trim(torch.cat([pause, sound, pause, sound, pause])))
    838
    >>> len(trim.trim(pause))
    300
    """

    audio = True

    def __init__(self, threshold=-57.0, seconds=0.1, window=0.02, sample_rate=16000):
        if not (seconds > 0 and window > 0):
            raise ValueError(f"seconds {seconds}, window {window}: both must be > 0")
        self.threshold, self.seconds, self.window = threshold, seconds, window
        self.sample_rate = sample_rate

    def __call__(self, dataset):
        dataset.add_dynamic_item(self.trim, ["sig"], "sig")

    def trim(self, sig):
        """[samples] -> what is sound of it, [samples]."""
        parts = [sig[start:stop] for start, stop in self.sounds(sig)]
        return torch.cat(parts) if parts else sig

    def sounds(self, sig):
        """Where there is sound.

        Arguments
        ---------
        sig : torch.Tensor
            [samples].

        Returns
        -------
        list of (int, int)
            First sample, and the one after the last, of each stretch.
        """
        samples = sig.double().numpy()
        window = max(1, round(self.window * self.sample_rate))
        enough = max(1, round(self.seconds * self.sample_rate))
        energy = np.concatenate([np.zeros(window), np.cumsum(samples**2)])
        power = (energy[window:] - energy[:-window]) / window  # of what came last
        loud = power >= 10 ** (self.threshold / 10)
        edges = np.flatnonzero(np.diff(loud)) + 1
        edges = [0, *edges.tolist(), len(loud)]
        stretches, begin = [], None
        for start, stop in zip(edges, edges[1:]):
            if stop - start < enough:
                continue  # too short to begin or to end anything
            if loud[start] and begin is None:
                begin = start
            elif not loud[start] and begin is not None:
                stretches.append((begin, start))
                begin = None
        if begin is not None:
            stretches.append((begin, len(loud)))
        return stretches
