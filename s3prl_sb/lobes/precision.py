"""Arithmetic in the precision that was asked for.

Authors
 * The s3prl_sb developers, 2026
"""

import contextlib

import torch


@contextlib.contextmanager
def full_precision():
    """Products of float32 in float32, on GPUs too.

    Importing SpeechBrain's ``Brain`` lets GPUs round their factors to 10 bits
    (TF32), and torch lets convolutions do so. That is welcome in training, but
    features of a frozen upstream would depend on what else was imported.

    Example
    -------
    >>> with full_precision():
    ...     torch.get_float32_matmul_precision()
    'highest'
    """
    products = torch.get_float32_matmul_precision()
    convolutions = torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(products)
        torch.backends.cudnn.allow_tf32 = convolutions
