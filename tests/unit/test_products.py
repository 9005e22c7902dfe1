"""Linear layers by the faster library give what the other one gives."""

import pytest
import torch

from s3prl_sb.lobes.networks import products
from s3prl_sb.lobes.networks.precision import full_precision
from s3prl_sb.lobes.networks.products import Products


@pytest.fixture
def calls(monkeypatch):
    found, original = [], products._linear

    def linear(*args, **kwargs):
        found.append(original(*args, **kwargs))
        return found[-1]

    monkeypatch.setattr(products, "_linear", linear)
    return found


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="no oneDNN")
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(7, 24), (24,), (2, 3, 24), (24, 7)])
def test_of_any_shape(shape, bias, calls):
    linear, x = torch.nn.Linear(24, 5, bias=bias), torch.randn(shape)
    x = x.T if shape == (24, 7) else x  # not contiguous
    with torch.no_grad(), full_precision(), Products():
        found = linear(x)
    assert calls[0] is not None and found.shape == linear(x).shape
    assert torch.allclose(found, linear(x), atol=1e-5)


def test_what_is_left_to_torch(calls):
    linear, x = torch.nn.Linear(24, 5), torch.randn(7, 24)
    with full_precision(), Products():
        linear(x).sum().backward()
        with torch.no_grad():
            linear.double()(x.double())
            linear.float()(x[:0])
            linear.to("meta")(x.to("meta"))
    assert linear(x.to("meta")).shape == (7, 5) and calls == [None] * 4


@pytest.mark.parametrize("channels, groups, kernel", [(8, 1, 20), (64, 16, 16)])
def test_convolutions_of_few_channels_in_half_precision(channels, groups, kernel):
    """oneDNN's are wrong on processors with AMX."""
    convolution = torch.nn.Conv1d(channels, channels, kernel, groups=groups)
    x = torch.randn(1, channels, 60)
    with torch.no_grad():
        expected = convolution(x)
        with Products():
            found = convolution.bfloat16()(x.bfloat16())
    assert found.dtype == torch.bfloat16
    assert torch.allclose(found.float(), expected, atol=0.03)
