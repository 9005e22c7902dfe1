"""Features in eight bits: whole numbers and a scale for each frame and layer.

The largest absolute value of a frame of a layer becomes 127, so no value is clipped,
and each is off by at most a 254th of that largest one. Layers in which few dimensions
are far larger than all others therefore lose precision in these others.

Authors
 * The s3prl_sb developers, 2026
"""

import torch

FEATURES, SCALES = "features", "scales"
LARGEST = 127  # symmetric: -128 is not used
#: Bytes of the scale of a frame of a layer.
SCALE_BYTES = torch.float32.itemsize


def quantize(features: torch.Tensor) -> dict[str, torch.Tensor]:
    """Rounds features to eight bits.

    Arguments
    ---------
    features : torch.Tensor
        Finite values [frames, layers, size].

    Returns
    -------
    dict
        ``features``, int8 [frames, layers, size], and ``scales``, float32 [frames,
        layers]: a value is about their product.

    Example
    -------
    >>> stored = quantize(torch.tensor([[[1.0, -2.0, 0.0]]]))
    >>> stored["features"].tolist(), restore(stored).tolist()
    ([[[64, -127, 0]]], [[[1.0078740119934082, -2.0, 0.0]]])
    """
    features = features.float()
    scales = features.abs().amax(2) / LARGEST
    codes = features / torch.where(scales > 0, scales, 1.0)[..., None]
    # A scale below the smallest normal number is inexact.
    codes = codes.round().clamp(-LARGEST, LARGEST).to(torch.int8)
    return {FEATURES: codes, SCALES: scales}


def restore(stored: dict[str, torch.Tensor]) -> torch.Tensor:
    """Returns features from what is stored of them.

    Arguments
    ---------
    stored : dict
        Output of :func:`quantize`; or ``features`` alone, which are returned.

    Returns
    -------
    torch.Tensor
        [frames, layers, size]; float32 if they were quantized.
    """
    if SCALES not in stored:
        return stored[FEATURES]
    return stored[FEATURES] * stored[SCALES][..., None]
