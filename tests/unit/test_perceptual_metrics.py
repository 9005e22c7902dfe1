"""PESQ and STOI: the packages' values, and signals that the packages stumble over."""

import logging
import math

import pytest
import torch

from s3prl_sb.metrics import perceptual

RATE = 16000


def speech_like(seconds, burst=0.4, pause=0.2, seed=0):
    """Noise in bursts."""
    samples = int(seconds * RATE)
    noise = torch.randn(samples, generator=torch.Generator().manual_seed(seed))
    time = torch.arange(samples) / RATE
    return 0.1 * noise * (time % (burst + pause) < burst)


def noisy(signal, level=0.02):
    return signal + level * torch.randn(
        signal.shape, generator=torch.Generator().manual_seed(9)
    )


@pytest.fixture
def packages():
    pytest.importorskip("pesq")
    return pytest.importorskip("pystoi")


def test_values_of_the_packages(packages):
    import pesq

    clean = speech_like(2)
    estimate = noisy(clean)
    arrays = clean.double().numpy(), estimate.double().numpy()
    found = perceptual.pesq(estimate, clean, RATE)
    assert found == pytest.approx(pesq.pesq(RATE, *arrays, "wb"), abs=1e-6)
    found = perceptual.stoi(estimate, clean, RATE)
    assert found == pytest.approx(packages.stoi(*arrays, RATE), abs=1e-9)
    assert perceptual.pesq(clean, clean, RATE) > 4.6
    assert perceptual.stoi(clean, clean, RATE) == pytest.approx(1)


def test_another_rate_is_resampled(packages):
    clean = speech_like(1)
    assert perceptual.pesq(clean[:8000], clean[:8000], 8000) > 4.6
    assert perceptual.stoi(clean[:8000], clean[:8000], 8000) == pytest.approx(1)


def test_many_pauses_do_not_end_the_process(packages):
    clean = speech_like(36, burst=0.2, pause=0.21)  # 87 utterances
    value = perceptual.pesq(noisy(clean), clean, RATE)
    parts = [
        perceptual.pesq(estimate, reference, RATE)
        for estimate, reference in zip(noisy(clean).chunk(2), clean.chunk(2))
    ]
    assert value == pytest.approx(sum(parts) / 2)


def test_silence(packages, caplog):
    clean, silent = speech_like(1), torch.zeros(RATE)
    assert perceptual.pesq(silent, clean, RATE) == perceptual.LOWEST_PESQ
    assert math.isclose(perceptual.LOWEST_PESQ, 1.043, abs_tol=1e-3)
    assert perceptual.stoi(silent, clean, RATE) == 0
    perceptual._unscored.seen.clear()
    assert perceptual.pesq(clean, silent, RATE, "utterance 7") is None
    assert "utterance 7: no PESQ (its reference is silent)" in caplog.text
    assert perceptual.stoi(clean, silent, RATE) is None


@pytest.mark.parametrize(
    "estimate, reference",
    [
        (torch.zeros(0), torch.zeros(0)),
        (torch.ones(3000), speech_like(3000 / RATE)),
        (speech_like(1) * math.nan, speech_like(1)),
        (speech_like(1), torch.eye(1, RATE)[0]),  # a click
    ],
)
def test_signals_without_a_score_do_not_raise(packages, estimate, reference):
    for metric in (perceptual.pesq, perceptual.stoi):
        value = metric(estimate, reference, RATE)
        assert value is None or math.isfinite(value)


def test_a_long_signal_is_scored_in_parts(packages, monkeypatch):
    clean = speech_like(2.5)
    whole = perceptual.stoi(noisy(clean), clean, RATE)
    monkeypatch.setattr(perceptual, "STOI_SECONDS", 1.0)
    assert perceptual.stoi(noisy(clean), clean, RATE) == pytest.approx(whole, abs=0.01)


def test_without_the_packages(monkeypatch, caplog):
    monkeypatch.setattr(perceptual, "PACKAGES", dict.fromkeys(perceptual.PACKAGES, "-"))
    perceptual._package.cache_clear()
    clean = speech_like(1)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert perceptual.pesq(clean, clean, RATE) is None
            assert perceptual.stoi(clean, clean, RATE) is None
    perceptual._package.cache_clear()
    assert caplog.text.count("pip install 's3prl_sb[se]'") == 2  # once each


def test_faulty_shapes(packages):
    with pytest.raises(ValueError, match="same length"):
        perceptual.pesq(torch.ones(4), torch.ones(5), RATE)
