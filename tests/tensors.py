"""Random tensors for tests, and how close two tensors are."""

import torch


def noise(*shape, seed=0, scale=0.1):
    """[*shape], Gaussian; equal seeds give equal numbers."""
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(shape, generator=generator)


def close(result, expected, relative=1e-5):
    """Asserts equal shapes and values, up to a share of the largest value."""
    limit = relative * expected.abs().max().item()
    torch.testing.assert_close(result, expected, rtol=0, atol=limit)


def error(result, expected):
    """Largest difference, relative to the largest value."""
    assert result.shape == expected.shape
    return ((result - expected).abs().max() / expected.abs().max()).item()
