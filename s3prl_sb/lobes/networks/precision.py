"""Contexts and modules with a fixed precision, whatever the settings of torch are.

Authors
 * The s3prl_sb developers, 2026
"""

import contextlib

import torch


class KeepsPrecision(torch.nn.Module):
    """Module that moves between devices, but never changes its precision.

    Example
    -------
    >>> class Table(KeepsPrecision, torch.nn.Linear):
    ...     pass
    >>> Table(2, 2).half().weight.dtype
    torch.float32
    """

    def _apply(self, fn, recurse=True):
        def moved(tensor):
            result = fn(tensor)
            same = result.dtype == tensor.dtype
            return result if same else tensor.to(result.device)

        return super()._apply(moved, recurse)


@contextlib.contextmanager
def full_precision():
    """Computes products of float32 in float32, whatever precision the training has.

    Importing SpeechBrain's ``Brain`` lets GPUs round factors to 10 bits (TF32), torch
    does so for convolutions, and mixed precision rounds to fewer. This suits training,
    but features of a frozen upstream would depend on it, and would differ between
    training and evaluation and with and without a cache.

    Example
    -------
    >>> with torch.autocast("cpu", torch.bfloat16), full_precision():
    ...     torch.get_float32_matmul_precision(), (torch.eye(2) @ torch.eye(2)).dtype
    ('highest', torch.float32)
    """
    products = torch.get_float32_matmul_precision()
    convolutions = torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    try:
        with torch.autocast("cuda", enabled=False):
            with torch.autocast("cpu", enabled=False):
                yield
    finally:
        torch.set_float32_matmul_precision(products)
        torch.backends.cudnn.allow_tf32 = convolutions


@contextlib.contextmanager
def single_precision():
    """Creates tensors without a dtype as float32, whatever torch's default dtype is.

    Otherwise weights, random numbers, windows and filters would differ in a program
    that calls ``torch.set_default_dtype``.

    Example
    -------
    >>> torch.set_default_dtype(torch.float64)
    >>> with single_precision():
    ...     torch.ones(1).dtype
    torch.float32
    >>> torch.ones(1).dtype
    torch.float64
    >>> torch.set_default_dtype(torch.float32)
    """
    default = torch.get_default_dtype()
    if default == torch.float32:
        yield
        return
    torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(default)
