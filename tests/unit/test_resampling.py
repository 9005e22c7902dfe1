"""Any two rates, of the same values as torchaudio's, in little memory."""

import math
import resource

import numpy as np
import pytest
import soundfile
import torch
from torchaudio.transforms import Resample

from s3prl_sb.audio.headers import audio_info
from s3prl_sb.audio.resampling import _computed, resample
from s3prl_sb.dataio.audio import AudioFileError, LoadAudio
from s3prl_sb.dataio.manifest import ManifestError

PAIRS = [(44100, 16000), (22050, 16000), (8000, 16000), (48000, 16000), (11025, 8000)]


@pytest.mark.parametrize("rate, wanted", [*PAIRS, (997, 400), (400, 997), (1601, 1600)])
@pytest.mark.parametrize("samples", [1, 7, 1000, 5001])
def test_the_same_as_torchaudio(rate, wanted, samples):
    sig = torch.randn(samples, generator=torch.Generator().manual_seed(samples))
    divisor = math.gcd(rate, wanted)
    expected = Resample(rate, wanted)(sig)
    found = _computed(sig, rate // divisor, wanted // divisor, block=300)
    assert found.shape == expected.shape and found.dtype == torch.float32
    assert (found - expected).abs().max() < 1e-5
    if rate in range(500, 10**6):
        assert (resample(sig, rate, wanted) - expected).abs().max() < 1e-5


def test_common_rates_are_bit_for_bit_what_they_were():
    sig = torch.randn(4410)
    assert torch.equal(resample(sig, 44100, 16000), Resample(44100, 16000)(sig))
    assert resample(sig, 16000, 16000) is sig


@pytest.mark.parametrize("rate", [16001, 11127, 8009, 22254, 47999])
def test_a_tone_stays_a_tone(rate):
    time = torch.arange(rate) / rate
    found = resample(torch.sin(2 * math.pi * 440 * time), rate, 16000)
    expected = torch.sin(2 * math.pi * 440 * torch.arange(16000) / 16000)
    assert found.shape == (16000,)
    assert (found - expected)[100:-100].abs().max() < 1e-2


def test_the_default_dtype_changes_nothing():
    sig = torch.randn(2000)
    before = resample(sig, 16001, 16000)
    torch.set_default_dtype(torch.float64)
    try:
        assert torch.equal(resample(sig, 16001, 16000), before)
    finally:
        torch.set_default_dtype(torch.float32)


def test_memory(tmp_path):
    """Half a minute of 16001 Hz: gigabytes a second, before."""
    path = tmp_path / "odd.wav"
    soundfile.write(path, np.zeros(16001 * 30, "float32"), 16001)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert len(LoadAudio().load("u", str(path))) == 480000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000


@pytest.mark.parametrize("rate", [1, 100, 10**7, 2**31 - 1])
def test_rates_that_no_audio_has(rate, tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros(1600, "float32"), 16000)
    content = bytearray(path.read_bytes())
    content[24:28] = rate.to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(AudioFileError, match=f"'u' .*a.wav.*{rate} Hz"):
        LoadAudio().load("u", str(path))
    with pytest.raises(ManifestError, match=f"a.wav.*{rate} Hz"):
        audio_info(path)


@pytest.mark.parametrize("size", [2**31, 2**32 - 1])
def test_sizes_that_lie(size, tmp_path):
    """A header that claims more audio: the existing audio is read."""
    path = tmp_path / "a.wav"
    soundfile.write(path, np.full(1600, 0.25, "float32"), 16000)
    content = bytearray(path.read_bytes())
    place = content.index(b"data") + 4
    content[place : place + 4] = size.to_bytes(4, "little")
    path.write_bytes(content)
    assert len(LoadAudio().load("u", str(path))) == 1600
