"""Parts of heads: an encoder or a pooling is made by its name or of a module.

Authors
 * The s3prl_sb developers, 2026
"""

import copy
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch

from s3prl_sb.lobes.heads.contract import HeadError, Sized
from s3prl_sb.terminal.messages import near

#: Description of a part: its name in hparams/heads.yaml; a mapping with the name and
#: arguments; a class or ``!name:`` node, called with the size of its input; or a
#: module, of which each head has a copy.
Part = str | Mapping[str, Any] | Callable[..., torch.nn.Module] | torch.nn.Module


def made(
    what: str,
    classes: Mapping[str, Callable[..., torch.nn.Module]],
    part: Part,
    input_size: int,
    options: Mapping[str, Any],
) -> torch.nn.Module:
    """Returns a new part of a head.

    Arguments
    ---------
    what : str
        Word for the part, for errors.
    classes : dict
        Names to classes.
    part : str, dict, callable or torch.nn.Module
        See :data:`Part`.
    input_size : int
        Size of its input.
    options : dict
        Further arguments of its class.

    Returns
    -------
    torch.nn.Module

    Raises
    ------
    HeadError
        For an unknown name or option; lists those that there are.

    Example
    -------
    >>> made("layer", {"linear": torch.nn.Linear}, "linear", 3, {"out_features": 2})
    Linear(in_features=3, out_features=2, bias=True)
    """
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
    if callable(part):
        return part(input_size, **options)
    name = str(part)
    if name not in classes:
        raise HeadError(f"{what}: there is none called '{name}'. {near(name, classes)}")
    names = list(inspect.signature(classes[name]).parameters)[1:]
    unknown = [key for key in options if key not in names]
    if unknown:
        hint = near(unknown[0], names)
        raise HeadError(f"{what} '{name}' takes no {', '.join(unknown)}. {hint}")
    return classes[name](input_size, **options)


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
