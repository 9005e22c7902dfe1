"""Weights that only pre-training uses, for checkpoints of S3PRL, which require them.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Mapping
from typing import Any

import torch

from s3prl_sb.lobes.cards.writing import ConversionError


class HeadWeights:
    """Weights of an objective, or random ones in their place.

    Arguments
    ---------
    weights : dict, optional
        Names of the objective's own weights to tensors; None: there are none.
    random : bool
        Whether to make random weights where there are none that fit.
    arguments : dict, optional
        Plain arguments of the objective.

    Example
    -------
    >>> heads = HeadWeights({"head.weight": torch.ones(3, 2)}, random=True)
    >>> heads.linear("head", "postnet", 3, 2)["postnet.weight"].sum()
    tensor(6.)
    >>> heads.random_names
    ['postnet.bias']
    """

    def __init__(
        self,
        weights: Mapping[str, torch.Tensor] | None = None,
        random: bool = False,
        arguments: Mapping[str, Any] | None = None,
    ):
        self.weights, self.random = dict(weights or {}), random
        self.arguments = dict(arguments or {})
        self.generator = torch.Generator().manual_seed(0)
        self.random_names: list[str] = []  #: S3PRL's names of random weights

    def size(self, name: str, dimension: int = 0, default: int = 0) -> int:
        """Returns a size of a weight; ``default``, if there is none of the name."""
        weight = self.weights.get(name)
        return default if weight is None else weight.shape[dimension]

    def tensor(
        self, name: str, theirs: str, *shape: int, std: float = 1.0
    ) -> dict[str, torch.Tensor]:
        """Returns one weight under S3PRL's name.

        Arguments
        ---------
        name, theirs : str
            Our name, and S3PRL's.
        *shape : int
            Expected shape; a saved weight of as many elements gets it.
        std : float
            Standard deviation of random values; 0: zeros.

        Returns
        -------
        dict
            S3PRL's name to the tensor.

        Raises
        ------
        ConversionError
            If the weight is missing and random ones are not asked for, or it has
            another size.
        """
        weight = self.weights.get(name)
        fits = weight is not None and weight.numel() == torch.Size(shape).numel()
        if not fits and not self.random:
            has = "there is none" if weight is None else f"it is {list(weight.shape)}"
            raise ConversionError(
                f"S3PRL's layout requires '{theirs}' {list(shape)}, which only "
                f"pre-training uses: '{name}' of the objective beside the card, and "
                f"{has}. --random-head writes random values: hidden states do not "
                "depend on them."
            )
        if weight is None or not fits:
            self.random_names.append(theirs)
            weight = std * torch.randn(*shape, generator=self.generator)
        return {theirs: weight.reshape(shape)}

    def linear(
        self, name: str, theirs: str, size: int, inputs: int
    ) -> dict[str, torch.Tensor]:
        """Returns weight and bias of a linear layer under S3PRL's names.

        Arguments
        ---------
        name, theirs : str
            Our name, and S3PRL's.
        size, inputs : int
            Sizes of its output and input.

        Returns
        -------
        dict
            S3PRL's names to tensors.
        """
        return {
            **self.tensor(f"{name}.weight", f"{theirs}.weight", size, inputs, std=0.02),
            **self.tensor(f"{name}.bias", f"{theirs}.bias", size, std=0.0),
        }
