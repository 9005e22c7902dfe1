"""Numerical guards: where values are real, a guard changes neither them nor gradients.

Each guard of heads, losses, metrics and pipes, by what it is in S3PRL or torch:

- ``xvector.statistics``: none, as ``torch.std``; of no variance the gradient is 0.
- ``margin_losses``: ``F.normalize``'s 1e-12, as S3PRL; the angular margin's cosines end
  1e-7 before 1 (S3PRL's gradient is NaN there).
- ``featurizer``: ``F.layer_norm``'s 1e-5, as S3PRL.
- ``dtw``, ``statistics``, ``query_trials``: 1e-9 before a division, as S3PRL.
- ``permutation_invariant``, ``score_normalization``: none.
- ``stacking``: 1e-6 beside a norm, as ``torch.nn.utils.clip_grad_norm_``.
- ``AddNoise``: none; digital silence is left out.
"""

import math

import numpy as np
import pytest
import soundfile
import torch
import torch.nn.functional as F

from s3prl_sb.dataio.pipes import AddNoise, AudioFileError
from s3prl_sb.dataio.statistics import Moments
from s3prl_sb.lobes import dtw
from s3prl_sb.lobes.featurizer import Featurizer
from s3prl_sb.lobes.heads.xvector import statistics
from s3prl_sb.lobes.margin_losses import AAMSoftmaxLoss, AMSoftmaxLoss
from s3prl_sb.lobes.permutation_invariant import permutation_invariant_bce
from s3prl_sb.metrics.query_trials import standardize
from s3prl_sb.metrics.score_normalization import as_norm


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def with_gradient(function, x):
    """Returns a function's output, and the gradient of its weighted sum."""
    x = x.clone().requires_grad_()
    found = function(x)
    weights = torch.linspace(0.5, 1.5, found.numel(), dtype=found.dtype)
    (found.reshape(-1) * weights).sum().backward()
    return found.detach().double(), x.grad.double()


def assert_same(found, expected, tolerance=1e-4):
    for one, other in zip(found, expected, strict=True):
        scale = other.abs().max().clamp_min(torch.finfo(torch.float64).tiny)
        assert ((one - other).abs().max() / scale).item() < tolerance


# ------------------------------------------------------------------------ x-vector
@pytest.mark.parametrize("scale", [10.0**-n for n in range(0, 17, 2)])
@pytest.mark.parametrize("offset", [0.0, 3.0])
def test_statistics_of_quiet_channels(scale, offset):
    """Half rectified, as what comes to them; down to the smallest squares."""
    x = scale * F.relu(normal(2, 6, 50) + offset)
    frames = torch.tensor([50, 50])
    expected = with_gradient(
        lambda x: torch.cat([x.mean(-1), x.std(-1)], 1), x.double()
    )
    found = with_gradient(lambda x: statistics(x, frames), x)
    for half in (slice(0, 6), slice(6, 12)):  # each against its own size
        assert_same([found[0][:, half]], [expected[0][:, half]])
    assert_same(found[1:], expected[1:])


def test_statistics_of_small_changes_of_something_large():
    x = 1 + 1e-4 * normal(1, 8, 200)
    frames = torch.tensor([200])
    expected = with_gradient(lambda x: x.std(-1), x.double())
    assert_same(with_gradient(lambda x: statistics(x, frames)[:, 8:], x), expected)


@pytest.mark.parametrize("value", [0.0, 1e-30, 0.1, 7.0])
@pytest.mark.parametrize("frames", [1, 5])
def test_statistics_of_a_constant(value, frames):
    def deviations(x):
        return statistics(x, torch.tensor([frames]))[:, 3:]

    found, gradient = with_gradient(deviations, torch.full((1, 3, frames), value))
    assert found.max() <= 1e-7 * value and gradient.isfinite().all()
    if value in (0.0, 7.0) or frames == 1:  # what no rounding changes
        assert found.max() == 0 and gradient.abs().max() == 0


# ---------------------------------------------------------------- losses of speakers
def reference(loss, x, labels):
    """The formulas of the papers in float64, without any guard."""
    weight = loss.weight.detach().double()
    cosines = x / x.norm(dim=1, keepdim=True) @ (weight.T / weight.norm(dim=1))
    right = F.one_hot(labels, cosines.shape[1]).bool()
    margin, scale = loss.margin.margin, loss.margin.scale
    if isinstance(loss, AMSoftmaxLoss):
        moved = cosines - margin
    else:
        angles = torch.acos(cosines)
        beyond = cosines - math.sin(math.pi - margin) * margin
        moved = torch.where(angles + margin < math.pi, (angles + margin).cos(), beyond)
    logits = scale * torch.where(right, moved, cosines)
    return F.cross_entropy(logits, labels)[None]


@pytest.mark.parametrize("scale", [1e-8, 1e-4, 1.0, 1e6])
@pytest.mark.parametrize("loss", [AMSoftmaxLoss(8, 5), AAMSoftmaxLoss(8, 5)])
def test_embeddings_of_any_length(loss, scale):
    x, labels = scale * normal(6, 8), torch.tensor([0, 1, 2, 3, 4, 0])
    found = with_gradient(lambda x: loss(x, labels)[None], x)
    expected = with_gradient(lambda x: reference(loss, x, labels), x.double())
    assert_same(found, expected)


@pytest.mark.parametrize("apart", [1e-2, 3e-3])
@pytest.mark.parametrize("sign", [1, -1])
def test_an_angle_of_almost_nothing(apart, sign):
    """Cosines up to 1 - 4e-6, of which float32 knows every tenth."""
    loss = AAMSoftmaxLoss(8, 5)
    x = sign * loss.weight.detach()[:1] + apart * normal(1, 8) / 8**0.5
    labels = torch.tensor([0])
    found = with_gradient(lambda x: loss(x, labels)[None], x)
    expected = with_gradient(lambda x: reference(loss, x, labels), x.double())
    assert_same(found, expected, tolerance=2e-2)


def test_no_angle_at_all_has_a_gradient():
    loss = AAMSoftmaxLoss(8, 5)
    for x in (loss.weight.detach()[:1], -loss.weight.detach()[:1], torch.zeros(1, 8)):
        found, gradient = with_gradient(lambda x: loss(x, torch.tensor([0]))[None], x)
        assert found.isfinite().all() and gradient.isfinite().all()


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e4])
def test_diarization_of_certain_and_uncertain_frames(scale):
    logits, labels = scale * normal(2, 30, 2), (normal(2, 30, 2, seed=1) > 0).float()
    lens = torch.ones(2)

    def loss(x):
        orders = ([0, 1], [1, 0])
        costs = [
            F.binary_cross_entropy_with_logits(x, labels[..., order].double(),
                                               reduction="none").mean((1, 2))
            for order in orders
        ]  # fmt: skip
        return torch.stack(costs).min(0).values.mean()[None]

    def ours(x):
        return permutation_invariant_bce(x, labels, lens)[0][None]

    assert_same(with_gradient(ours, logits), with_gradient(loss, logits.double()))


# ------------------------------------------------------------------------ featurizer
@pytest.mark.parametrize("scale", [1e-5, 1e-3, 1.0])
def test_normalized_layers_are_s3prls(scale):
    states = [scale * normal(1, 7, 16, seed=n) for n in range(2)]
    featurizer = Featurizer(2, normalize=True)
    x = torch.stack(states)
    found = with_gradient(lambda x: featurizer([*x]), x)

    def expected(x):
        centred = x - x.mean(-1, keepdim=True)
        variance = centred.square().mean(-1, keepdim=True)
        return (centred / (variance + 1e-5).sqrt()).mean(0)

    assert_same([f.detach() for f in found], with_gradient(expected, x.double()))


# ------------------------------------------------------------------- query by example
@pytest.mark.parametrize("scale", [1e-7, 1e-3, 1e3])
def test_ranges_of_distances(scale):
    distances = scale * normal(5, 40).abs()
    exact = distances.numpy().astype("float64")
    low, high = exact.min(1)[:, None], exact.max(1)[:, None]
    expected = (exact - low) / np.clip(high - low, 1e-9, np.inf)
    assert dtw.normalize_rows(distances.clone()).numpy() == pytest.approx(
        expected, abs=1e-6
    )


@pytest.mark.parametrize("scale", [1e-10, 1.0, 1e6])
@pytest.mark.parametrize("kind", ["cosine", "cosine_exp"])
def test_angles_of_quiet_frames(kind, scale):
    queries, documents = scale * normal(4, 8), scale * normal(6, 8, seed=1)
    a, b = queries.double(), documents.double()
    cosines = a / a.norm(dim=1, keepdim=True) @ (b / b.norm(dim=1, keepdim=True)).T
    expected = 1 - cosines if kind == "cosine" else (1 - cosines).exp() - 1
    found = dtw.frame_distances(queries, documents, kind)
    torch.testing.assert_close(found.double(), expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("scale", [1e-8, 1e-4, 1.0])
def test_deviations_of_quiet_features(scale):
    moments = Moments()
    frames = scale * (normal(90, 6) + 2)
    for utterance in frames.split(30):
        moments.add(utterance)
    expected = frames.double().std(0)
    torch.testing.assert_close(
        moments.deviation().double(), expected, rtol=1e-6, atol=0
    )


@pytest.mark.parametrize("scale", [1e-8, 1e-4, 1.0])
def test_scores_that_hardly_differ(scale):
    scores = -1 + scale * normal(3, 50).double()
    expected = scores - scores.mean(1, keepdim=True)
    expected /= np.clip(scores.numpy().std(1, keepdims=True), 1e-9, np.inf)
    torch.testing.assert_close(standardize(scores), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("scale", [1e-10, 1e-5, 1.0])
def test_cohorts_that_hardly_differ(scale):
    cohort = scale * normal(2, 20).double()
    score, pair = torch.tensor([0.5 * scale]).double(), torch.tensor([0])
    found = as_norm(score, pair, pair + 1, cohort, top=20)
    sides = [(score - side.mean()) / side.std() for side in cohort]
    torch.testing.assert_close(found, sum(sides) / 2, rtol=1e-9, atol=0)


# ---------------------------------------------------------------------------- noise
@pytest.mark.parametrize("scale", [1e-9, 1e-6, 0.1])
def test_quiet_recordings_of_noise(scale, tmp_path):
    noise = (scale * normal(8000)).numpy()
    soundfile.write(tmp_path / "noise.wav", noise, 16000, subtype="FLOAT")
    sig = 0.3 * normal(8000, seed=1)
    noisy = AddNoise(snr=[10, 10], files=tmp_path).add(sig, "a", 0)
    assert noisy.dtype == sig.dtype
    ratio = sig.square().mean() / (noisy - sig).square().mean()
    assert 10 * math.log10(ratio) == pytest.approx(10, abs=0.05)


def test_silence_is_no_noise(tmp_path):
    soundfile.write(tmp_path / "noise.wav", np.zeros(8000), 16000)
    noisy = AddNoise(snr=[10, 10], files=tmp_path)
    with pytest.raises(AudioFileError, match="has only silent recordings"):
        noisy.add(normal(100), "a", 0)
