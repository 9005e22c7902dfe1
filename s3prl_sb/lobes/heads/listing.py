"""Sizes of the downstream networks that have a name, for their list.

Authors
 * The s3prl_sb developers, 2026
"""

from pkgutil import resolve_name

import torch

from s3prl_sb.errors import UserError
from s3prl_sb.lobes.cards import catalogue
from s3prl_sb.schema.named_heads import NamedHead


class SizeError(UserError, ValueError):
    """Upstream whose hidden states have no single size."""


def input_size_of(upstream: str) -> int:
    """Returns the size of the features of an upstream, without its weights.

    Arguments
    ---------
    upstream : str
        The name or the file of a card.

    Returns
    -------
    int

    Raises
    ------
    SizeError
        If it cannot be built here, or its hidden states have several sizes.

    Example
    -------
    >>> input_size_of("fbank")
    240
    """
    sizes = set(catalogue.facts(upstream).output_sizes or ())
    if len(sizes) != 1:
        listed = ", ".join(map(str, sorted(sizes))) or "not known"
        raise SizeError(f"--upstream {upstream}: the size of its states is {listed}.")
    return sizes.pop()


def parameters(head: NamedHead, kind: str, input_size: int, num_classes: int) -> int:
    """Returns the number of parameters of a named head.

    Arguments
    ---------
    head : NamedHead
        Entry of the head.
    kind : str
        "utterances", "frames" or "spectra".
    input_size : int
        Size of the features.
    num_classes : int
        Size of the output.

    Returns
    -------
    int

    Example
    -------
    >>> from s3prl_sb.schema.named_heads import named_heads
    >>> parameters(named_heads()["linear"], "utterances", 768, 12)
    199948
    """
    with torch.device("meta"):
        # The second size is the number of classes, or of mel bands.
        made = resolve_name(getattr(head, kind))(
            input_size, num_classes, **head.arguments
        )
    return sum(parameter.numel() for parameter in made.parameters())
