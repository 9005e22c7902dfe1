"""Centred kernel alignment against kernels of all frames."""

import numpy
import pytest
import torch

from s3prl_sb.analysis import cka
from s3prl_sb.analysis.errors import AnalysisError


class States(dict):
    """Features in memory with the interface of HiddenStates."""

    name, layers, stride_seconds = "random", [0, 1, 2], 0.02


def states(seed, size, frames=(30, 41, 1), stride=0.02, layers=3):
    """Correlated hidden states far from zero."""
    random = numpy.random.default_rng(seed)
    mixing = random.standard_normal((layers, 6, size))
    made = States()
    for number, count in enumerate(frames):
        causes = numpy.random.default_rng(number).standard_normal((count, 6))
        values = numpy.stack([causes @ each for each in mixing], axis=1) + 50
        noise = random.standard_normal(values.shape)
        made[f"u{number}"] = torch.from_numpy(values + noise).float()
    made.layers, made.stride_seconds = list(range(layers)), stride
    return made


def joined(some, layer):
    return torch.cat([frames[:, layer] for frames in some.values()]).double().numpy()


def direct(x, y, debiased):
    """CKA by [frames, frames] kernels."""

    def hsic(k, other):
        n = len(k)
        if not debiased:
            h = numpy.eye(n) - 1 / n
            return numpy.trace(k @ h @ other @ h)
        k, other = (m - numpy.diag(numpy.diag(m)) for m in (k, other))
        mean = k.sum() * other.sum() / ((n - 1) * (n - 2))
        return numpy.trace(k @ other) + mean - 2 / (n - 2) * k.sum(0) @ other.sum(0)

    k, other = x @ x.T, y @ y.T
    return hsic(k, other) / numpy.sqrt(hsic(k, k) * hsic(other, other))


@pytest.mark.parametrize("debiased", [False, True])
@pytest.mark.parametrize("memory", [1e-9, 1.0])
@pytest.mark.parametrize("batch", [1, 4096])
def test_equals_kernels(monkeypatch, debiased, memory, batch):
    monkeypatch.setattr(cka, "BATCH", batch)
    first, second = states(0, 5), states(1, 8, layers=2)
    values = cka.similarity(first, second, debiased, memory, progressbar=False)
    expected = [
        [direct(joined(first, a), joined(second, b), debiased) for b in second.layers]
        for a in first.layers
    ]
    assert values == pytest.approx(numpy.array(expected), abs=1e-9)
    own = cka.similarity(first, None, debiased, memory, progressbar=False)
    again = cka.similarity(first, first, debiased, memory, progressbar=False)
    assert own == pytest.approx(again, abs=1e-12) and own == pytest.approx(own.T)
    assert own.diagonal() == pytest.approx(1)
    assert own[0, 1] == pytest.approx(
        direct(joined(first, 0), joined(first, 1), debiased)
    )


def test_a_rotation_changes_nothing():
    first, turned = states(0, 6), states(0, 6)
    rotation = numpy.linalg.qr(numpy.random.default_rng(0).standard_normal((6, 6)))[0]
    for name, frames in turned.items():
        turned[name] = 3 * frames @ torch.from_numpy(rotation).float()
    assert cka.similarity(first, turned, progressbar=False)[1, 1] == pytest.approx(1)


def test_other_rates_meet_at_the_centres_of_the_longer_frames():
    slow = states(0, 5, frames=(20, 33))
    fast = States({n: f.repeat_interleave(2, dim=0) for n, f in slow.items()})
    fast["u1"] = fast["u1"][:-3]  # its last frames are missing
    fast.stride_seconds = 0.01
    values = cka.similarity(slow, fast, progressbar=False)
    assert values.diagonal() == pytest.approx(1)
    assert values.T == pytest.approx(cka.similarity(fast, slow, progressbar=False))


def test_few_frames_cause_a_warning(caplog):
    cka.similarity(states(0, 8, frames=(9,)), progressbar=False)
    assert "--debiased" in caplog.text


def test_what_cannot_be_compared():
    with pytest.raises(AnalysisError, match="3 frames"):
        cka.similarity(states(0, 5, frames=(3,)), debiased=True, progressbar=False)
    constant = states(0, 5)
    for frames in constant.values():
        frames[:, 1] = 7
    with pytest.raises(AnalysisError, match="Hidden state 1 of random hardly varies"):
        cka.similarity(constant, progressbar=False)
    with pytest.raises(AnalysisError, match="no utterances"):
        cka.similarity(States(), progressbar=False)
