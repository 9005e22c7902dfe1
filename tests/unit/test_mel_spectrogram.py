"""The mel front end of models of sound: torchaudio's and librosa's numbers."""

import numpy as np
import pytest
import torch
import torchaudio

from s3prl_sb.lobes.networks import mel_spectrogram
from s3prl_sb.lobes.networks.mel_spectrogram import MelSpectrogram


def noise(samples, loudness=0.1):
    return loudness * torch.randn(samples, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("samples", [16000, 12345, 257])
@pytest.mark.parametrize("window", [512, 400])
def test_the_numbers_are_torchaudios(samples, window):
    """MelSpectrogram and AmplitudeToDB, also with a window shorter than the frame."""
    wav = noise(samples) * torch.linspace(0, 1, samples) ** 8
    sizes = {"n_fft": 512, "win_length": window, "hop_length": 160, "n_mels": 64}
    limits = {"f_min": 50, "f_max": 7800}
    energies = torchaudio.transforms.MelSpectrogram(16000, **sizes, **limits)(wav)
    theirs = torchaudio.transforms.AmplitudeToDB(top_db=60)(energies[None])[0]
    front_end = MelSpectrogram(window=window, fmin=50, fmax=7800, top_db=60)
    (mine,) = front_end([wav])
    assert mine.shape == theirs.shape == (64, front_end.frames(samples))
    torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-4)


def test_the_numbers_are_librosas():
    """Slaney's filters of unit area, magnitudes, natural logarithm, mean and std."""
    librosa = pytest.importorskip("librosa")
    wav = noise(33001)
    sizes = {"n_fft": 1024, "hop_length": 320, "n_mels": 64, "fmin": 50, "fmax": 14000}
    energies = librosa.feature.melspectrogram(
        y=wav.numpy(), sr=32000, pad_mode="reflect", power=1.0, **sizes
    )
    theirs = (np.log(energies + 1e-3) + 1.5) / 2.5
    front_end = MelSpectrogram(
        sample_rate=32000,
        n_fft=1024,
        hop=320,
        fmin=50,
        fmax=14000,
        scale="slaney",
        norm="slaney",
        power=1.0,
        log="natural",
        floor=1e-3,
        mean=-1.5,
        std=2.5,
    )
    np.testing.assert_allclose(front_end([wav])[0].numpy(), theirs, rtol=0, atol=1e-5)


def test_the_loudest_value_is_the_utterances_own():
    """A silent utterance is not raised by a loud one beside it."""
    front_end = MelSpectrogram(top_db=80.0)
    silent, loud = front_end([torch.zeros(4000), noise(8000, 0.9)])
    assert silent.eq(-100).all()
    assert loud.min() >= loud.max() - 80


def test_long_audio_runs_in_pieces(monkeypatch):
    """They give the spectrogram of the whole."""
    front_end, wav = MelSpectrogram(top_db=120.0), noise(16000)
    (whole,) = front_end([wav])
    monkeypatch.setattr(mel_spectrogram, "PIECE", 7)
    torch.testing.assert_close(front_end([wav])[0], whole, rtol=0, atol=1e-5)


def test_short_audio_and_half_precision():
    """Silence follows a few samples; the spectrogram stays in single precision."""
    front_end = MelSpectrogram()
    assert front_end.min_samples == 257
    with torch.autocast("cpu", torch.bfloat16):
        (x,) = front_end([noise(3).bfloat16()])
    assert x.dtype == torch.float32
    assert x.shape == (64, front_end.frames(3)) == (64, 2)
    (exact,) = front_end([noise(3).bfloat16().float()])
    assert torch.equal(x, exact)


def test_windows_and_ends():
    """Parakeet has a symmetric window, and silence beyond the ends."""
    wavs = torch.stack([noise(4000), noise(4000, 0.5)])
    front_end = MelSpectrogram(window=400, periodic=False, pad_mode="constant")
    window = torch.hann_window(400, periodic=False)
    sizes = {"n_fft": 512, "hop_length": 160, "win_length": 400, "window": window}
    bins = torch.stft(wavs, **sizes, pad_mode="constant", return_complex=True)
    expected = front_end.filters().T @ bins.abs() ** 2
    torch.testing.assert_close(front_end.energies(wavs), expected)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(front_end.energies(wavs), front_end.energies(wavs).float())


def test_filters_of_a_checkpoint_replace_our_own():
    """The spectrogram is linear in them before the logarithm."""
    front_end, wav = MelSpectrogram(log=None), noise(2000)
    doubled = front_end([wav], 2 * front_end.filters())[0]
    torch.testing.assert_close(doubled, 2 * front_end([wav])[0])


@pytest.mark.parametrize(
    "options", [{"window": 600}, {"hop": 0}, {"log": "e"}, {"log": None, "top_db": 80}]
)
def test_options_that_do_not_fit_are_refused(options):
    """At construction, not in training."""
    with pytest.raises(ValueError, match="|".join(options)):
        MelSpectrogram(**options)
