"""The pipe that adds reverberation.

Authors
 * The s3prl_sb developers, 2026
"""

import torch
from torchaudio.functional import fftconvolve

from s3prl_sb.dataio.audio import LoadAudio
from s3prl_sb.dataio.random_change import RandomChange
from s3prl_sb.dataio.recordings import random_recording, recordings_in


class AddReverb(RandomChange):
    """Adds the reverberation of a random room: refines ``sig``.

    Arguments
    ---------
    folder : str
        Folder of recorded impulse responses, searched recursively. Of several
        channels, the first one is used: microphones hear a room at different times,
        so that their mean is no impulse response.
    probability : float
        Probability that an utterance gets reverberation.
    draws : int, optional
        Number of fixed forms of each utterance, the same for all seeds, so that
        features can be cached and shared. Default: another room at each use.
    sample_rate : int
        Hz of ``sig``; impulse responses are resampled.
    seed : int
        Seed of the random choices without ``draws``.

    Note
    ----
    SpeechBrain's ``AddReverb`` convolves circularly: the tail of the end wraps around
    to the beginning, and an impulse response that is longer than the utterance is cut
    off. Here the convolution is linear. SpeechBrain keeps the mean absolute amplitude,
    and here the power is kept, which signal-to-noise ratios refer to. Both align the
    direct path, the largest value of the impulse response.

    Example
    -------
    >>> import tempfile
    >>> from speechbrain.dataio import audio_io
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     room = torch.tensor([[0.0, 0.5, 0.0, 0.25]])  # an echo 2 samples later
    ...     audio_io.save(folder + "/room.wav", room, 16000)
    ...     wet = AddReverb(folder).add(torch.tensor([3.0, 0, 0, 0, 4.0]), "a", draw=0)
    >>> [round(float(value), 2) for value in wet.abs()]
    [2.87, 0.0, 1.44, 0.0, 3.83]
    """

    kind = "reverb"
    finite = "reverb: {draws: 4}"

    def __init__(
        self,
        folder: str,
        probability: float = 1.0,
        draws: int | None = None,
        sample_rate: int = 16000,
        seed: int = 0,
    ):
        super().__init__(probability, seed, draws)
        self.files = recordings_in(folder, "impulse responses")
        self.loader = LoadAudio(sample_rate, channel=0)
        self.sample_rate = sample_rate

    def change(self, sig: torch.Tensor, random: torch.Generator) -> torch.Tensor:
        """Adds reverberation to [samples], which stay as many and as loud."""
        return reverberate(sig, random_recording(self.files, self.loader, random))


def reverberate(sig: torch.Tensor, response: torch.Tensor) -> torch.Tensor:
    """Convolves a waveform with an impulse response, without a shift in time.

    Arguments
    ---------
    sig : torch.Tensor
        [samples].
    response : torch.Tensor
        Impulse response, [any number of samples].

    Returns
    -------
    torch.Tensor
        [samples], with the power of ``sig``; ``sig`` itself if nothing of it would be
        left.

    Example
    -------
    >>> reverberate(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 0.0, 0.5]))
    tensor([1., 0.])
    """
    direct = int(response.abs().argmax())
    wet = fftconvolve(sig, response)[direct : direct + len(sig)]
    power, loudness = (wave.double().pow(2).mean() for wave in (sig, wet))
    if loudness == 0:  # a silent impulse response
        return sig
    return wet * (power / loudness).sqrt().to(sig.dtype)
