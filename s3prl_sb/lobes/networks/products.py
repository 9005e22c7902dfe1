"""Matrix products of features and weights by oneDNN, and its convolutions.

On a CPU torch uses MKL for float32. On processors of other makers than Intel, MKL
leaves half of the units idle, and for the few frames of a short utterance it spends
much time on reordering the weights. oneDNN, which torch includes, does neither.

On processors with AMX, oneDNN's convolutions in bfloat16 are wrong, by as much as their
values, if a group has a few channels (torch 2.11). They are computed in float32.

Authors
 * The s3prl_sb developers, 2026
"""

import torch
from torch.overrides import TorchFunctionMode

_PLAIN = (torch.Tensor, torch.nn.Parameter)
#: This build of torch has oneDNN and its linear layer.
_AVAILABLE = torch.backends.mkldnn.is_available() and hasattr(
    torch.ops.mkldnn, "_linear_pointwise"
)
_CONVOLUTIONS = (torch.conv1d, torch.conv2d)
#: Channels of a group below which oneDNN is not used in bfloat16. Over a waveform, of
#: one channel, it is right.
FEW = 32


class Products(TorchFunctionMode):
    """Context in which oneDNN computes linear layers, if it can and nothing is trained,
    and no convolution that it would compute wrongly.

    Example
    -------
    >>> linear, x = torch.nn.Linear(64, 32), torch.randn(5, 64)
    >>> with torch.no_grad(), Products():
    ...     y = linear(x)
    >>> torch.allclose(y, linear(x), atol=1e-5)
    True
    """

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is torch.nn.functional.linear:
            product = _linear(*args, **(kwargs or {}))
            if product is not None:
                return product
        if func in _CONVOLUTIONS and _is_risky(*args[:2]):
            args = [x.float() if isinstance(x, torch.Tensor) else x for x in args]
            return func(*args, **(kwargs or {})).bfloat16()
        return func(*args, **(kwargs or {}))


def _linear(input, weight, bias=None):
    """Returns oneDNN's product, or None if oneDNN is not to be used."""
    tensors = [x for x in (input, weight, bias) if x is not None]
    if (
        torch.is_grad_enabled()
        or not _AVAILABLE
        or torch.is_autocast_enabled("cpu")
        or torch.get_float32_matmul_precision() != "highest"  # it would round
        or weight.dim() != 2
        or not input.numel()
        or any(
            type(x) not in _PLAIN or x.device.type != "cpu" or x.dtype != torch.float32
            for x in tensors
        )
    ):
        return None
    return torch.ops.mkldnn._linear_pointwise(input, weight, bias, "none", [], "")


def _is_risky(input, weight=None, *_):
    """Returns whether a convolution is in bfloat16, on a CPU, of a few channels."""
    return (
        type(weight) in _PLAIN
        and weight.dtype == torch.bfloat16
        and weight.device.type == "cpu"
        and (weight.shape[1] > 1 or weight.dim() > 3)
        and weight.shape[1] < FEW
    )
