"""The pipe that removes silence.

Authors
 * The s3prl_sb developers, 2026
"""

import numpy as np
import torch

from s3prl_sb.dataio.dataset import Pipe


class TrimSilence(Pipe):
    """Removes silence from waveforms, at the ends and in between: refines ``sig``.

    The level is measured over the preceding 20 ms. Sound begins where the level stays
    at or above the threshold for ``seconds``, and ends where it stays below it for
    ``seconds``. A waveform without sound is not changed.

    Arguments
    ---------
    threshold : float
        Level, dB relative to full scale.
    seconds : float
        Minimum duration of sound and of silence.
    window : float
        Seconds over which the level is measured.
    sample_rate : int
        Hz of ``sig``.

    Note
    ----
    S3PRL uses sox, ``silence 1 0.1 0.1% -1 0.1 0.1%`` after ``gain -3``, which has
    the same rules; 0.1 % (-60 dB) after 3 dB of attenuation is the default threshold,
    -57 dB. There are three differences. After a pause, sox restarts the measurement
    of the level, so that it may remove up to 20 ms more after a pause of 0.1 to
    0.12 s. A waveform of which sox leaves nothing is kept here. The waveform is not
    attenuated by 3 dB.

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

    def add_to(self, dataset):
        """Refines ``sig``."""
        dataset.add_dynamic_item(self.trim, ["sig"], "sig")

    def trim(self, sig):
        """Removes the silence from [samples]."""
        parts = [sig[start:stop] for start, stop in self.sounds(sig)]
        return torch.cat(parts) if parts else sig

    def sounds(self, sig):
        """Finds the segments with sound.

        Arguments
        ---------
        sig : torch.Tensor
            [samples].

        Returns
        -------
        list of (int, int)
            Start and end of each segment, in samples.
        """
        samples = sig.double().numpy()
        window = max(1, round(self.window * self.sample_rate))
        enough = max(1, round(self.seconds * self.sample_rate))
        energy = np.concatenate([np.zeros(window), np.cumsum(samples**2)])
        power = (energy[window:] - energy[:-window]) / window  # of the past
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
