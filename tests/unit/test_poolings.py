"""Poolings against torch, formulas and SpeechBrain, with padding and without."""

import pytest
import torch
from speechbrain.lobes.models import ECAPA_TDNN

from s3prl_sb.lobes.heads.attentive_pooling import AttentiveStatisticsPooling
from s3prl_sb.lobes.heads.contract import HeadError
from s3prl_sb.lobes.heads.named_poolings import POOLINGS, made_pooling
from s3prl_sb.lobes.heads.pooling import MeanPooling

FRAMES = (7, 3, 1, 2)
LENS = torch.tensor(FRAMES) / 7


@pytest.fixture
def batch():
    """[batch, frames, size] with large numbers in the padding, and the utterances."""
    pieces = [torch.randn(frames, 6) for frames in FRAMES]
    x = torch.nn.utils.rnn.pad_sequence(pieces, batch_first=True, padding_value=1e6)
    return x, pieces


def by_hand(name, pooling, x):
    """Pools one utterance [frames, size] as the papers say."""
    if name == "mean":
        return x.mean(0)
    if name == "statistics":
        deviation = x.std(0) if len(x) > 1 else torch.zeros(x.shape[1])
        return torch.cat([x.mean(0), deviation])
    if name == "linear_attentive":
        scores = (x @ pooling.score.weight.T)[:, 0].exp()
        return (scores / scores.sum()) @ x
    activation = {"attentive": torch.relu, "self_attentive": torch.tanh}[name]
    hidden = activation(x @ pooling.project.weight.T + pooling.project.bias)
    scores = (hidden @ pooling.score.weight.T)[:, 0].exp()
    return (scores / scores.sum()) @ x


@pytest.mark.parametrize("name", [n for n in POOLINGS if n != "attentive_statistics"])
def test_formula(name, batch):
    x, pieces = batch
    pooling = made_pooling(name, 6)
    expected = torch.stack([by_hand(name, pooling, piece) for piece in pieces])
    torch.testing.assert_close(pooling(x, LENS), expected)


def test_frames_may_be_squashed_before_they_are_scored(batch):
    x, _ = batch
    pooling = made_pooling({"name": "linear_attentive", "activation": "tanh"}, 6)
    plain = made_pooling("linear_attentive", 6)
    plain.load_state_dict(pooling.state_dict())
    torch.testing.assert_close(pooling(x, LENS), plain(x.tanh(), LENS))


@pytest.mark.parametrize("name", POOLINGS)
def test_sizes_and_gradients(name, batch):
    x, pieces = batch
    pooling = made_pooling(name, 6)
    output = pooling(x.requires_grad_(), LENS)
    assert output.shape == (4, pooling.output_size)
    output.square().sum().backward()
    assert x.grad.isfinite().all()
    for row, frames in zip(x.grad, FRAMES):
        assert row[:frames].any() and not row[frames:].any()


@pytest.mark.parametrize("name", POOLINGS)
def test_float64_is_kept(name):
    pooling = made_pooling(name, 3).double().eval()
    x = torch.randn(2, 5, 3, dtype=torch.float64, requires_grad=True)
    lens = torch.tensor([1.0, 0.6])
    assert pooling(x, lens).dtype == torch.float64
    assert torch.autograd.gradcheck(lambda x: pooling(x, lens), x)


@pytest.mark.parametrize("context", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_attentive_statistics_are_speechbrains(context, training):
    theirs = ECAPA_TDNN.AttentiveStatisticsPooling(6, 4, context).train(training)
    ours = AttentiveStatisticsPooling(6, 4, context).train(training)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(5, 9, 6)
    expected = theirs(x.transpose(1, 2))[..., 0]
    torch.testing.assert_close(ours(x, torch.ones(5)), expected)
    for name, value in theirs.state_dict().items():  # also the running statistics
        torch.testing.assert_close(ours.state_dict()[name], value)


def test_attentive_statistics_of_padded_utterances(batch):
    x, pieces = batch
    theirs = ECAPA_TDNN.AttentiveStatisticsPooling(6, 4).eval()
    ours = AttentiveStatisticsPooling(6, 4).eval()
    ours.load_state_dict(theirs.state_dict())
    for output, piece in zip(ours(x, LENS), pieces):
        torch.testing.assert_close(output, theirs(piece.T[None])[0, :, 0])


def test_batch_norm_counts_true_frames_alone(batch):
    x, pieces = batch
    pooling = AttentiveStatisticsPooling(6, 4, global_context=False).train()
    pooling(x, LENS)
    frames = torch.cat(pieces)
    hidden = pooling.tdnn.activation(pooling.tdnn.conv(frames.T[None]))[0]
    norm = pooling.tdnn.norm.norm
    torch.testing.assert_close(norm.running_mean, norm.momentum * hidden.mean(1))


def test_wrong_options():
    with pytest.raises(HeadError, match="activation: relu or tanh, not 'gelu'"):
        made_pooling("attentive", 6, activation="gelu")
    with pytest.raises(HeadError, match="'mean' takes no hidden_size"):
        made_pooling("mean", 6, hidden_size=4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_mean_of_one_frame_is_the_frame(dtype):
    """With the bits of the mean over one true frame of two, and of its gradient."""
    x = torch.randn(3, 1, 5).to(dtype).requires_grad_()
    padded = torch.nn.functional.pad(x.detach(), (0, 0, 0, 1), value=9.0)
    padded.requires_grad_()
    one = MeanPooling()(x, torch.ones(3))
    mean = MeanPooling()(padded, torch.full((3,), 0.5))
    assert torch.equal(one, mean) and one.dtype == mean.dtype
    for pooled in (one, mean):
        pooled.pow(2).sum().backward()
    assert torch.equal(x.grad, padded.grad[:, :1])
