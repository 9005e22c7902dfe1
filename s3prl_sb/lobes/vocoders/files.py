"""Files of vocoders: errors, and names of weights.

Authors
 * The s3prl_sb developers, 2026
"""

import math
from typing import Any

from s3prl_sb.errors import UserError
from s3prl_sb.lobes.checkpoints import renaming
from s3prl_sb.lobes.mel import MelSettings


class VocoderError(UserError, ValueError):
    """Unusable files of a vocoder; the message says what would work."""


def refuse(path, facts):
    """Raises an error for values other than those that are supported.

    Arguments
    ---------
    path : pathlib.Path
        File of the values.
    facts : dict
        Names to (value, supported value).

    Raises
    ------
    VocoderError
        If they differ.
    """
    others = [
        f"{key} {value!r} instead of {supported!r}"
        for key, (value, supported) in facts.items()
        if value != supported
    ]
    if others:
        raise VocoderError(
            f"'{path}' is of a vocoder that is not supported: {', '.join(others)}."
        )


def spectrograms(path, factors, **facts):
    """Returns the settings of the spectrograms that a vocoder was trained with.

    Arguments
    ---------
    path : pathlib.Path
        File of the values.
    factors : list of int
        Factors by which the network lengthens a spectrogram.
    **facts
        Arguments of MelSettings.

    Returns
    -------
    MelSettings

    Raises
    ------
    VocoderError
        If a value is not a number, or they contradict the network.
    """
    for name, value in facts.items():
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or value < 0 or (value == 0 and name != "fmin"):
            raise VocoderError(
                f"'{path}': {name} is {value!r}, where a number above 0 is needed."
            )
    settings = MelSettings(**facts)
    made = math.prod(factors)
    if settings.log_base == 1:
        raise VocoderError(f"'{path}': there is no logarithm to base 1.")
    if made != settings.hop:
        raise VocoderError(
            f"'{path}': the network makes {made} samples of a frame, and hop is "
            f"{settings.hop}."
        )
    return settings


def fused(weights: dict[str, Any]) -> dict[str, Any]:
    """Applies weight normalization once, so that the network needs none.

    Arguments
    ---------
    weights : dict
        Names to tensors; ``weight_g`` and ``weight_v``, or what PyTorch names them
        since 2.1, are magnitude and direction.

    Returns
    -------
    dict
        Names to tensors, with ``weight`` instead.

    Example
    -------
    >>> import torch
    >>> g, v = torch.full((1, 1), 2.0), torch.tensor([[3.0, 4.0]])
    >>> fused({"conv.weight_g": g, "conv.weight_v": v})["conv.weight"].tolist()
    [[1.2000000476837158, 1.600000023841858]]
    """
    old = dict(weights)
    for name in weights:
        for new, short in renaming.NORMS.items():
            if name.endswith(new):
                old[name.removesuffix(new) + short] = old.pop(name)
    result = {}
    for name, tensor in old.items():
        direction = old.get(f"{name.removesuffix('_g')}_v")
        if name.endswith("weight_g") and direction is not None:
            plain = name.removesuffix("_g")
            result[plain] = renaming.of_weight_norm(direction, tensor, 0, plain)
        elif not (name.endswith("weight_v") and f"{name[:-1]}g" in old):
            result[name] = tensor
    return result
