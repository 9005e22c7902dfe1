"""Products of features and weights, by the faster of torch's two libraries.

On a CPU torch lets MKL multiply float32. On processors that are not Intel's, MKL
leaves half of them idle, and for the few frames of one short utterance it spends much
time on putting the weights in order. oneDNN, which torch has as well, does neither.

Authors
 * The s3prl_sb developers, 2026
"""

import torch
from torch.overrides import TorchFunctionMode

_PLAIN = (torch.Tensor, torch.nn.Parameter)
#: Whether this build of torch has oneDNN and its linear layer.
_FOUND = torch.backends.mkldnn.is_available() and hasattr(
    torch.ops.mkldnn, "_linear_pointwise"
)


class Products(TorchFunctionMode):
    """Lets oneDNN compute linear layers inside, where it can and nothing is trained.

    Example
    -------
    >>> linear, x = torch.nn.Linear(64, 32), torch.randn(5, 64)
    >>> with torch.no_grad(), Products():
    ...     found = linear(x)
    >>> torch.allclose(found, linear(x), atol=1e-5)
    True
    """

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is torch.nn.functional.linear:
            found = _linear(*args, **(kwargs or {}))
            if found is not None:
                return found
        return func(*args, **(kwargs or {}))


def _linear(input, weight, bias=None):
    """What oneDNN computes, or None where it is not to."""
    tensors = [x for x in (input, weight, bias) if x is not None]
    if (
        torch.is_grad_enabled()
        or not _FOUND
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
