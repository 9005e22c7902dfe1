"""Loading of vocoders, with spectrograms that match or are refused.

``griffin_lim`` needs no weights. A network is named by its folder: a HiFi-GAN of
SpeechBrain, or a HiFi-GAN or Parallel WaveGAN of the toolkit ParallelWaveGAN. S3PRL's
``hifigan_vctk``, ``hifigan_vctk+vcc2020``, ``pwg_task1`` and ``pwg_task2`` are of the
toolkit, and S3PRL gives them the default spectrograms: 24 kHz, 80 bands from 80 to 7600
Hz, 1024 samples every 256.

Authors
 * The s3prl_sb developers, 2026
"""

from dataclasses import asdict
from pathlib import Path
from typing import Protocol

import torch

from s3prl_sb.lobes.mel import MelSettings
from s3prl_sb.lobes.vocoders.files import VocoderError
from s3prl_sb.lobes.vocoders.neural import NeuralVocoder
from s3prl_sb.lobes.vocoders.parallel_wavegan_files import read_parallel_wavegan
from s3prl_sb.lobes.vocoders.phase_reconstruction import ITERATIONS, griffin_lim
from s3prl_sb.lobes.vocoders.speechbrain_files import read_speechbrain
from s3prl_sb.storage.files import naming

GRIFFIN_LIM = "griffin_lim"
TRIED = 4  # frames
UNITS = {"sample_rate": " Hz", "fmin": " Hz", "fmax": " Hz"}


class Vocoder(Protocol):
    """Anything that makes waveforms of log mel spectrograms.

    ``band`` is the highest frequency of the waveforms in Hz; None: all.
    """

    band: float | None

    def waveform(self, log_mel: torch.Tensor) -> torch.Tensor:
        """Returns the waveform [samples] of a spectrogram [frames, n_mels]."""


class GriffinLim:
    """Vocoder without weights, see :func:`~s3prl_sb.lobes.vocoders.griffin_lim`.

    Arguments
    ---------
    settings : MelSettings
        Settings of the spectrograms.
    iterations : int
        Number of iterations.
    """

    def __init__(self, settings: MelSettings, iterations: int = ITERATIONS):
        self.settings, self.iterations = settings, iterations
        self.band: float | None = settings.fmax

    def waveform(self, log_mel: torch.Tensor) -> torch.Tensor:
        """Returns the waveform [samples] of a spectrogram [frames, n_mels]."""
        return griffin_lim(log_mel, self.settings, self.iterations)


def load_vocoder(
    name: str, settings: MelSettings | None = None, iterations: int = ITERATIONS
) -> Vocoder:
    """Loads a vocoder.

    Arguments
    ---------
    name : str
        "griffin_lim"; or the folder of a network, or a checkpoint
        ``checkpoint-<steps>steps.pkl`` of ParallelWaveGAN.
    settings : MelSettings, optional
        Settings of the spectrograms that it gets. Default: those of S3PRL.
    iterations : int
        Number of iterations of Griffin-Lim.

    Returns
    -------
    Vocoder

    Raises
    ------
    VocoderError
        If there are no files of a vocoder, or it is of other spectrograms; the message
        says which.

    Example
    -------
    >>> load_vocoder("griffin_lim").waveform(torch.zeros(20, 80)).shape
    torch.Size([4864])
    >>> load_vocoder("grifin_lim")
    Traceback (most recent call last):
    ...
    s3prl_sb.lobes.vocoders.files.VocoderError: vocoder 'grifin_lim': no such folder. …
    """
    settings = settings or MelSettings()
    if name == GRIFFIN_LIM:
        return GriffinLim(settings, iterations)
    files = _read(Path(name).expanduser())
    _check(files.source, files.settings, settings)
    with naming(files.source, "the network that its configuration describes"):
        vocoder = NeuralVocoder(files, settings.log_base)
        # Tried at once: the first waveform comes after a training
        made = len(vocoder.waveform(torch.zeros(TRIED, settings.n_mels)))
        if made != TRIED * settings.hop:
            raise ValueError(f"it makes {made} samples of {TRIED} frames")
    return vocoder


def _read(path):
    """Reads the files of a network; an archive may hold them in a folder."""
    if path.is_file():
        return read_parallel_wavegan(path.parent, path)
    if not path.is_dir():
        raise VocoderError(
            f"vocoder '{path}': no such folder. Give {GRIFFIN_LIM}, or the folder of a "
            "vocoder of SpeechBrain or ParallelWaveGAN."
        )
    for folder in (path, *sorted(p for p in path.iterdir() if p.is_dir())):
        if (folder / "config.yml").is_file():
            return read_parallel_wavegan(folder)
        if (folder / "hyperparams.yaml").is_file():
            return read_speechbrain(folder)
    raise VocoderError(
        f"vocoder '{path}': it has neither config.yml (ParallelWaveGAN) nor "
        "hyperparams.yaml (SpeechBrain). Unpack the vocoder there."
    )


def _check(source, own, wanted):
    """Checks that a vocoder was trained with the spectrograms that it gets. Another
    base of the logarithm and another floor are converted."""
    others = [
        f"{key} {value:g}{UNITS.get(key, '')} instead of {asdict(wanted)[key]:g}"
        for key, value in asdict(own).items()
        if key not in ("log_base", "floor") and value != asdict(wanted)[key]
    ]
    if others:
        raise VocoderError(
            f"'{source}' was trained with other spectrograms than it would get: "
            f"{', '.join(others)}. Train the conversion with its settings, or choose "
            f"another vocoder, such as {GRIFFIN_LIM}."
        )
