"""Parts of heads: encoders and poolings, by name or as modules.

Authors
 * The s3prl_sb developers, 2026
"""

import copy
import inspect
from collections.abc import Callable, Mapping
from pkgutil import resolve_name
from typing import Any

import torch

from s3prl_sb.lobes.heads.contract import HeadError, Sized
from s3prl_sb.schema import named_heads
from s3prl_sb.terminal.messages import near

#: Description of a part: its name in hparams/heads.yaml; a mapping with the name and
#: arguments; a class or ``!name:`` node, called with the size of its input; or a
#: module, of which each head has a copy.
Part = str | Mapping[str, Any] | Callable[..., torch.nn.Module] | torch.nn.Module


def made_encoder(encoder: Part, input_size: int, **options) -> torch.nn.Module:
    """Returns a new encoder over frames.

    Arguments
    ---------
    encoder : str, dict, callable or torch.nn.Module
        See :data:`Part`.
    input_size : int
        Size of the features.
    **options
        Further arguments of its class.

    Returns
    -------
    torch.nn.Module
        An :class:`~s3prl_sb.lobes.heads.contract.Encoder`.

    Raises
    ------
    HeadError
        For an unknown name or option; lists those that there are.

    Example
    -------
    >>> made_encoder("mlp", 24, hidden_size=8).output_size
    8
    >>> made_encoder("mlp", 24, cell="gru")
    Traceback (most recent call last):
    ...
    s3prl_sb.lobes.heads.contract.HeadError: encoder 'mlp' has no cell. There are: …
    """
    return _made("encoder", named_heads.encoders(), encoder, input_size, options)


def made_pooling(pooling: Part, input_size: int, **options) -> torch.nn.Module:
    """Returns a new pooling.

    Arguments
    ---------
    pooling : str, dict, callable or torch.nn.Module
        See :data:`Part`.
    input_size : int
        Size of the frames.
    **options
        Further arguments of its class.

    Returns
    -------
    torch.nn.Module
        A :class:`~s3prl_sb.lobes.heads.pooling.Pooling`.

    Raises
    ------
    HeadError
        For an unknown name or option; lists those that there are.

    Example
    -------
    >>> made_pooling("statistics", 24).output_size
    48
    """
    return _made("pooling", named_heads.poolings(), pooling, input_size, options)


def output_size(part: torch.nn.Module, input_size: int) -> int:
    """Returns the size of the output of a part.

    Arguments
    ---------
    part : torch.nn.Module
        An encoder or a pooling.
    input_size : int
        Size of its input, which a part keeps that declares no ``output_size``.

    Returns
    -------
    int

    Example
    -------
    >>> output_size(torch.nn.Identity(), 24)
    24
    """
    declared = part.output_size if isinstance(part, Sized) else None
    return declared or input_size


def _made(what, named, part, input_size, options):
    if isinstance(part, Mapping):
        options = {**part, **options}
        part = options.pop("name", None)
    if isinstance(part, torch.nn.Module):
        if options:
            raise HeadError(
                f"{what}: {type(part).__name__} is made already, so it takes no "
                f"{', '.join(options)}."
            )
        return copy.deepcopy(part)
    if not callable(part):
        if part not in named:
            hint = near(str(part), list(named))
            raise HeadError(f"{what}: there is none called '{part}'. {hint}")
        part, name = resolve_name(named[part].cls), part
        names = list(inspect.signature(part).parameters)[1:]
        unknown = [key for key in options if key not in names]
        if unknown:
            raise HeadError(
                f"{what} '{name}' has no {', '.join(unknown)}. "
                f"{near(unknown[0], names)}"
            )
    return part(input_size, **options)
