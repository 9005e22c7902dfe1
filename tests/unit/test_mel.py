"""Log mel spectrograms are librosa's; statistics are those of all frames at once."""

import numpy as np
import pytest
import torch

from s3prl_sb.lobes.mel import MelSettings, MelStatistics, log_mel


def by_librosa(waveform, s):
    """The same spectrogram by librosa, with the calls that S3PRL makes."""
    librosa = pytest.importorskip("librosa")
    sizes = {"n_fft": s.n_fft, "hop_length": s.hop}
    spectrum = np.abs(librosa.stft(waveform.numpy(), pad_mode="reflect", **sizes)).T
    bands = librosa.filters.mel(
        sr=s.sample_rate, n_fft=s.n_fft, n_mels=s.n_mels, fmin=s.fmin, fmax=s.fmax
    )
    return np.log10(np.maximum(1e-10, spectrum @ bands.T))


@pytest.mark.parametrize("samples", [24000, 24319, 700])
def test_the_spectrogram_is_librosas(samples):
    """Also where the hop does not divide the length."""
    settings = MelSettings()
    waveform = 0.1 * torch.randn(samples, generator=torch.Generator().manual_seed(0))
    mine, theirs = log_mel(waveform, settings), by_librosa(waveform, settings)
    assert mine.shape == theirs.shape == (settings.frames(samples), 80)
    np.testing.assert_allclose(mine.numpy(), theirs, rtol=0, atol=1e-5)


def test_silence_and_short_waveforms_have_finite_frames():
    """A magnitude of zero has the logarithm of the floor."""
    settings = MelSettings()
    assert log_mel(torch.zeros(600), settings).eq(-10).all()
    assert log_mel(torch.ones(3), settings).shape == (1, 80)


def test_logarithm_and_magnitudes_are_inverse():
    """In another base, too."""
    settings = MelSettings(log_base=2.0)
    magnitudes = torch.tensor([0.5, 1.0, 8.0])
    assert settings.log(magnitudes).tolist() == pytest.approx([-1.0, 0.0, 3.0])
    assert torch.allclose(settings.magnitudes(settings.log(magnitudes)), magnitudes)


def test_statistics_are_those_of_all_frames_at_once():
    """The utterances are of unequal length; a constant band is not divided by zero."""
    frames = torch.randn(50, 4) * 3 + 5
    frames[:, 3] = -10.0
    statistics = MelStatistics(4)
    for part in frames.split([1, 30, 19]):
        statistics.add(part)
    mean, deviation = statistics.result()
    assert torch.allclose(mean, frames.mean(0), atol=1e-5)
    assert torch.allclose(deviation[:3], frames.std(0, correction=0)[:3], atol=1e-5)
    assert deviation[3] == 1
