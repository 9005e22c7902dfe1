"""Arithmetic in the precision that was asked for.

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
