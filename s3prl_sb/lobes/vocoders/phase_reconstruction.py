"""Griffin-Lim: a waveform whose spectrogram is near that of a log mel spectrogram.

Paper: https://doi.org/10.1109/TASSP.1984.1164317, with the momentum of
https://doi.org/10.1109/WASPAA.2013.6701851. The iterations are torchaudio's.

Authors
 * The s3prl_sb developers, 2026
"""

import functools

import torch
import torchaudio

from s3prl_sb.lobes.mel import MelSettings

ITERATIONS = 64  # those of S3PRL
MOMENTUM, FLOOR, SEED = 0.99, 1e-10, 0


def griffin_lim(
    log_mel: torch.Tensor, settings: MelSettings, iterations: int = ITERATIONS
) -> torch.Tensor:
    """Makes a waveform of a log mel spectrogram.

    Arguments
    ---------
    log_mel : torch.Tensor
        [frames, n_mels].
    settings : MelSettings
        Its settings.
    iterations : int
        Number of iterations.

    Returns
    -------
    torch.Tensor
        [samples], (frames - 1) * hop of them, of a single frame hop.

    Note
    ----
    S3PRL begins with phases that differ at each call; here they are random and the
    same each time, so that a spectrogram has one waveform.

    Example
    -------
    >>> from s3prl_sb.lobes.mel import log_mel
    >>> spectrogram = log_mel(torch.randn(4800), MelSettings())
    >>> griffin_lim(spectrogram, MelSettings(), iterations=2).shape
    torch.Size([4608])
    """
    samples = max(len(log_mel) - 1, 1) * settings.hop
    # Each iteration reflects half a window at both ends
    least = settings.n_fft // 2 // settings.hop + 2
    lacking = max(0, least - len(log_mel))
    log_mel = torch.cat([log_mel.float(), log_mel[-1:].float().expand(lacking, -1)])
    inverse = _inverse(settings).to(log_mel.device)
    spectrogram = (settings.magnitudes(log_mel) @ inverse).clamp_min(FLOOR).T
    devices = [log_mel.device] if log_mel.is_cuda else []
    with torch.random.fork_rng(devices), torch.no_grad():
        torch.manual_seed(SEED)
        waveform = torchaudio.functional.griffinlim(
            spectrogram,
            window=torch.hann_window(settings.n_fft, device=log_mel.device),
            n_fft=settings.n_fft,
            hop_length=settings.hop,
            win_length=settings.n_fft,
            power=1.0,
            n_iter=iterations,
            momentum=MOMENTUM,
            length=None,
            rand_init=True,
        )
    return waveform[:samples]


@functools.lru_cache(maxsize=8)
def _inverse(settings):
    """Returns the pseudo-inverse of the mel filters, [n_mels, n_fft // 2 + 1]."""
    return torch.linalg.pinv(settings.bands().double()).float()
