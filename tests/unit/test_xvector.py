"""The x-vector network against a plain loop; padding and company change nothing."""

import pytest
import torch
import torch.nn.functional as F

from s3prl_sb.lobes.heads.statistics_pooling import statistics
from s3prl_sb.lobes.heads.xvector import XVector


def small(**kwargs):
    return XVector(6, hidden_size=8, pooled_size=10, output_size=4, **kwargs)


def plain(head, features, training=False):
    """One utterance [frames, size], layer by layer, frame by frame."""
    x = [head.projection(frame) for frame in features]
    for convolution in head.convolutions:
        (kernel,), (dilation,) = convolution.kernel_size, convolution.dilation
        outputs = []
        for start in range(len(x) - (kernel - 1) * dilation):
            seen = x[start : start + (kernel - 1) * dilation + 1 : dilation]
            weight = convolution.weight.unbind(-1)
            outputs.append(
                F.relu(convolution.bias + sum(w @ v for w, v in zip(weight, seen)))
            )
        x = outputs
    x = torch.stack(x)
    deviation = x.std(0) if len(x) > 1 else torch.zeros(x.shape[1])
    x = F.relu(head.embedding(torch.cat([x.mean(0), deviation])))
    return F.relu(head.last(x)) if training else x


def test_sizes():
    head = XVector(input_size=768)
    sizes = {name: p.numel() for name, p in head.named_parameters()}
    projection = sizes.pop("projection.weight") + sizes.pop("projection.bias")
    assert projection == 768 * 512 + 512
    assert sum(sizes.values()) == 5_716_444  # S3PRL's, 5.72 million
    assert head.context == 15
    frames = [convolution.out_channels for convolution in head.convolutions]
    assert frames == [512, 512, 512, 512, 1500]
    assert not list(head.buffers())  # no batch normalization


@pytest.mark.parametrize("training", [False, True])
def test_against_a_plain_loop(training):
    head = small().train(training)
    lengths = [40, 15, 23, 16]
    features = torch.randn(4, 40, 6)
    found = head(features, torch.tensor(lengths) / 40)
    for row, length in enumerate(lengths):
        expected = plain(head, features[row, :length], training)
        torch.testing.assert_close(found[row], expected, atol=1e-5, rtol=1e-4)


def test_padding_and_company_change_nothing():
    head = small().eval()
    lengths = [9, 31, 1, 15, 50]
    features = torch.randn(5, 50, 6)
    lens = torch.tensor(lengths) / 50
    together = head(features, lens)
    features[torch.arange(50) >= torch.tensor(lengths)[:, None]] = 1e3
    torch.testing.assert_close(head(features, lens), together)
    for row, length in enumerate(lengths):
        alone = head(features[row : row + 1, :length], torch.ones(1))[0]
        torch.testing.assert_close(alone, together[row], atol=1e-6, rtol=1e-5)


def test_an_utterance_shorter_than_the_context_is_prolonged():
    head = small().train()
    features = torch.randn(1, 3, 6, requires_grad=True)
    longer = torch.cat([features[0], features[0, -1:].expand(12, -1)])
    found = head(features, torch.ones(1))[0]
    expected = plain(head, longer, training=True)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-3)
    found.sum().backward()
    assert torch.isfinite(features.grad).all()


def test_a_channel_that_never_changes_has_a_finite_gradient():
    x = torch.zeros(1, 2, 5, requires_grad=True)
    found = statistics(x, torch.tensor([5]))
    found.sum().backward()
    assert torch.isfinite(x.grad).all() and found.abs().max() < 1e-4


def test_other_shapes():
    head = small(kernel_sizes=[3, 1], dilations=[2, 1])
    assert head.context == 5 and len(head.convolutions) == 2
    with pytest.raises(ValueError, match="kernel_sizes.*dilations"):
        small(kernel_sizes=[3, 1], dilations=[2])
