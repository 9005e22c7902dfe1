"""Attention in bfloat16 by products: as exact as the kernel, where it is faster."""

import pytest
import torch
import torch.nn.functional as F

from s3prl_sb.lobes.networks import attention
from s3prl_sb.lobes.networks.attention import (
    RotaryAttention,
    SelfAttention,
    TransformerXLAttention,
)

HAS_BF16 = (
    torch.backends.mkldnn.is_available()
    and torch.ops.mkldnn._is_mkldnn_bf16_supported()
)


@pytest.fixture
def calls(monkeypatch):
    found, original = [], attention.by_products

    def by_products(*args):
        found.append(original(*args))
        return found[-1]

    monkeypatch.setattr(attention, "by_products", by_products)
    return found


@pytest.mark.skipif(not HAS_BF16, reason="a CPU without bfloat16")
@pytest.mark.parametrize("build", [SelfAttention, RotaryAttention])
@pytest.mark.parametrize("size, heads", [(64, 4), (96, 2), (80, 1)])
@pytest.mark.parametrize("frames", [[130], [120, 120], [101, 300]])
def test_errors_are_those_of_the_kernel(build, size, heads, frames, calls, monkeypatch):
    torch.manual_seed(0)
    module = build(size, heads).eval()
    for parameter in module.parameters():
        parameter.data *= 2  # or attention is all but uniform
    x = torch.randn(sum(frames), size)
    with torch.no_grad():
        exact = module(x, frames)
        assert not calls
        module, half = module.bfloat16(), x.bfloat16()
        products = module(half, frames)
        assert calls
        monkeypatch.setattr(attention, "suits_products", lambda q, k: False)
        kernel = module(half, frames)
    errors = [(y.float() - exact).norm() / exact.norm() for y in (products, kernel)]
    assert products.dtype == torch.bfloat16
    assert errors[0] < max(1.5 * errors[1], 0.01) and errors[1] < 0.03


def test_what_is_left_to_the_kernel(calls):
    def kernel(frames, causal=False, dropout=0.0, dtype=torch.bfloat16):
        module = SelfAttention(32, 4, dropout).to(dtype)
        module.causal = causal
        module(torch.randn(frames, 32, dtype=dtype), [frames])

    kernel(200)  # gradients are recorded
    with torch.no_grad():
        kernel(200, causal=True)
        x = torch.randn(200, 32, dtype=torch.bfloat16)
        TransformerXLAttention(32, 4).bfloat16()(x, [200])  # has a bias
        kernel(200, dropout=0.1)
        kernel(200, dtype=torch.float32)
        kernel(attention.LEAST - 1)
        kernel(attention.MOST + 1)
        assert not calls
        kernel(attention.LEAST)
        kernel(attention.MOST)
    assert len(calls) == 2 * HAS_BF16


def test_products_in_full_precision():
    q, k, v = torch.randn(3, 2, 4, 9, 6)
    expected = F.scaled_dot_product_attention(q[:, :, :5], k, v)
    found = attention.by_products(q[:, :, :5], k, v)
    assert torch.allclose(found, expected, atol=1e-6)
