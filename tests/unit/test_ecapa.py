"""ECAPA-TDNN against SpeechBrain's on utterances without padding; and with padding."""

import pytest
import torch
from speechbrain.lobes.models.ECAPA_TDNN import ECAPA_TDNN

from s3prl_sb.lobes.heads.ecapa import ECAPA

SMALL = {
    "channels": [8, 8, 8, 8, 12],
    "attention_channels": 4,
    "res2net_scale": 4,
    "se_channels": 4,
}


def both():
    theirs = ECAPA_TDNN(6, lin_neurons=3, **SMALL)
    ours = ECAPA(6, 3, **SMALL)
    ours.load_state_dict(theirs.state_dict())  # one layout of checkpoints
    return ours, theirs


@pytest.mark.parametrize("training", [True, False])
def test_equal_lengths_are_speechbrains(training):
    ours, theirs = both()
    ours.train(training), theirs.train(training)
    x = torch.randn(4, 20, 6)
    torch.testing.assert_close(ours(x, torch.ones(4)), theirs(x)[:, 0])
    for name, value in theirs.state_dict().items():  # also the running statistics
        torch.testing.assert_close(ours.state_dict()[name], value)


@pytest.mark.parametrize("longest", [20, 49, 85])
def test_each_utterance_is_speechbrains_alone(longest):
    ours, theirs = both()
    ours.eval(), theirs.eval()
    frames = [9, longest, 5, 17, 9]
    x = torch.full((5, longest, 6), 1e4)
    for row, n in zip(x, frames):
        row[:n] = torch.randn(n, 6)
    outputs = ours(x, torch.tensor(frames) / longest)
    for output, row, n in zip(outputs, x, frames):
        expected = theirs(row[None, :n])[0, 0]
        torch.testing.assert_close(output, expected, atol=1e-5, rtol=1e-4)


def test_frames_repeat_in_the_padding_in_training():
    """Convolutions and batch norms see speech, the pooling only true frames."""
    ours, theirs = both()
    x = torch.randn(2, 20, 6)
    repeated = x.clone()
    repeated[1] = x[1, :8].repeat(3, 1)[:20]
    outputs = ours.train()(x, torch.tensor([1.0, 8 / 20]))
    expected = theirs.train()(repeated, torch.tensor([1.0, 7.5 / 20]))[:, 0]
    torch.testing.assert_close(outputs, expected)


@pytest.mark.parametrize("frames", [1, 2, 4])
def test_short_utterances_are_extended(frames):
    ours, theirs = both()
    x = torch.randn(1, frames, 6)
    assert ours.min_frames == 5
    expected = theirs.eval()(x.repeat(1, 5, 1)[:, :5])[:, 0]
    torch.testing.assert_close(ours.eval()(x, torch.ones(1)), expected)
    assert ours.train()(x, torch.ones(1)).isfinite().all()


def test_a_batch_of_one_keeps_the_last_statistics():
    """SpeechBrain's fails: there is one value a channel after the pooling."""
    ours, theirs = both()
    x = torch.randn(1, 20, 6)
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        theirs.train()(x)
    before = ours.asp_bn.norm.running_mean.clone()
    ours.train()(x, torch.ones(1)).sum().backward()
    assert torch.equal(ours.asp_bn.norm.running_mean, before)
    ours(x.repeat(2, 1, 1), torch.ones(2))  # still in training
    assert not torch.equal(ours.asp_bn.norm.running_mean, before)
