"""Convolutions over time: torch's numbers and gradients, in less time."""

import pytest
import torch
from torch import nn

from s3prl_sb.lobes.networks.causal_convolution import CausalConvolution
from s3prl_sb.lobes.networks.packing import along_time
from s3prl_sb.lobes.networks.time_convolution import TimeConvolution


@pytest.mark.parametrize("groups", [1, 4, 32])
@pytest.mark.parametrize("options", [{"padding": 2}, {"stride": 2}, {"dilation": 3}])
def test_equals_torch(groups, options):
    torch.manual_seed(0)
    convolution = TimeConvolution(32, 64, 5, groups=groups, **options)
    theirs = nn.Conv1d(32, 64, 5, groups=groups, **options)
    theirs.load_state_dict(convolution.state_dict())
    packed = torch.randn(20, 32)
    for x in (torch.randn(3, 32, 20), packed.T[None]):
        x = x.detach().requires_grad_()
        y, expected = convolution(x), theirs(x)
        torch.testing.assert_close(y, expected)
        (y.square().sum()).backward()
        mine, x.grad = x.grad, None
        expected.square().sum().backward()
        torch.testing.assert_close(mine, x.grad)
    for mine, other in zip(convolution.parameters(), theirs.parameters()):
        torch.testing.assert_close(mine.grad, other.grad)


def test_causal():
    convolution = CausalConvolution(8, 8, 5, groups=8)
    x = torch.randn(2, 8, 20)
    expected = nn.Conv1d.forward(convolution, nn.functional.pad(x, (4, 0)))
    torch.testing.assert_close(convolution(x), expected)


def test_takes_the_fast_way():
    """Packed frames stay as they are in memory: no copy, channels side by side."""
    x = torch.randn(30, 64)
    convolution = TimeConvolution(64, 64, 5, padding=2, groups=64)
    y = along_time(convolution, x, [20, 10], 2)
    assert y.shape == (30, 64) and convolution(x.T[None])[0].T.is_contiguous()
