"""Arithmetic in the precision that was asked for, whatever torch is set to.

Authors
 * The s3prl_sb developers, 2026
"""

import contextlib

import torch


@contextlib.contextmanager
def full_precision():
    """Products of float32 in float32, whatever the training's precision is.

    Importing SpeechBrain's ``Brain`` lets GPUs round their factors to 10 bits
    (TF32), torch lets convolutions do so, and mixed precision rounds to less. That
    is welcome in training, but features of a frozen upstream would depend on it, and
    differ between training and evaluation, and between a cache and none.

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
    """What is made without a type is float32, whatever torch's default type is.

    Weights, random numbers, windows and filters would otherwise be others in a program
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
