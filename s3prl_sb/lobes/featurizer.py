"""Featurizer: combines the hidden states of an upstream into one feature stream.

Authors
 * The s3prl_sb developers, 2026
"""

import copy
import numbers
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F

from s3prl_sb.lobes.weighted_sum import WeightedSum, in_blocks
from s3prl_sb.schema import kinds


class Featurizer(torch.nn.Module):
    """Weighted sum of hidden states, or one of them.

    The weights are a softmax over learned scalars that start equal, as in
    SUPERB (Yang et al., https://arxiv.org/abs/2105.01051).

    Arguments
    ---------
    num_layers : int
        Number of hidden states of the upstream.
    layers : str, int or list of int
        "all" (weighted sum of all), a list (weighted sum of these; the order does not
        matter), "last", or one index; negative indices count from the end.
    normalize : bool
        Whether to apply layer norm without parameters to each hidden state.

    Example
    -------
    >>> hidden_states = [torch.zeros(2, 5, 8), torch.ones(2, 5, 8)]
    >>> featurizer = Featurizer(num_layers=2)
    >>> featurizer(hidden_states).mean().item()
    0.5
    >>> Featurizer(2, layers="last")(hidden_states).mean().item()
    1.0
    """

    def __init__(
        self,
        num_layers: int,
        layers: str | int | Sequence[int] = "all",
        normalize: bool = False,
    ):
        super().__init__()
        self.num_layers = num_layers
        self.layers = sorted(chosen_layers(num_layers, layers))
        self.normalize = kinds.flag(normalize, "normalize")
        self.scalars: torch.nn.Parameter | None = None
        if len(self.layers) > 1:
            self.scalars = torch.nn.Parameter(torch.zeros(len(self.layers)))

    @property
    def linear(self) -> bool:
        """True if the features are linear in the hidden states, so that a mean over
        time may come before; see :class:`~s3prl_sb.lobes.heads.pooling.Poolable`."""
        return not self.normalize

    @property
    def weights(self) -> torch.Tensor:
        """Weight of each chosen layer, [layers], fp32; they sum to one."""
        if self.scalars is None:
            return torch.ones(1, dtype=torch.float32)
        return F.softmax(self.scalars.float(), dim=0)

    def only(self, layer: int) -> "Featurizer":
        """Returns a featurizer of one hidden state, with the other settings the same.

        Arguments
        ---------
        layer : int
            Index of the hidden state.

        Returns
        -------
        Featurizer

        Example
        -------
        >>> Featurizer(3).only(2).layers
        [2]
        """
        one = copy.deepcopy(self)
        one.layers, one.scalars = chosen_layers(self.num_layers, layer), None
        return one

    def forward(self, hidden_states: list[torch.Tensor] | torch.Tensor) -> torch.Tensor:
        """Returns one feature stream.

        Arguments
        ---------
        hidden_states : list of torch.Tensor
            ``num_layers`` tensors [batch, frames, size]; or one tensor [batch,
            frames, layers, size] of the chosen layers, from the feature cache.

        Returns
        -------
        torch.Tensor
            [batch, frames, size], fp32.
        """
        if torch.is_tensor(hidden_states):
            stack = self._stacked(hidden_states)
            if self.normalize or self.scalars is None:
                stack = self._normed(stack.float())
            if self.scalars is None:
                return stack[:, :, 0]
            with torch.autocast(stack.device.type, enabled=False):
                if in_blocks(stack):
                    return WeightedSum.apply(self.weights, stack)
                return torch.tensordot(self.weights, stack.float(), dims=([0], [2]))
        if len(hidden_states) != self.num_layers:
            raise ValueError(
                f"got {len(hidden_states)} hidden states, built for {self.num_layers}"
            )
        states = [hidden_states[i] for i in self.layers]
        if len(states) == 1:
            return self._normed(states[0].float())
        if len({state.shape[-1] for state in states}) > 1:
            raise ValueError(
                "the hidden states have the sizes "
                f"{[state.shape[-1] for state in states]}, which cannot be summed: "
                "choose `layers` of one size"
            )
        # Stacking the layers would copy every hidden state.
        total: Any = 0
        for weight, state in zip(self.weights, states):
            total = total + weight * self._normed(state.float())
        return total

    def _stacked(self, states):
        """Returns the chosen layers of a stack of these or of all layers."""
        if states.shape[2] == len(self.layers):
            return states
        if states.shape[2] == self.num_layers:
            return states[:, :, self.layers]
        raise ValueError(
            f"got a stack of {states.shape[2]} hidden states, built for "
            f"{len(self.layers)} of {self.num_layers}"
        )

    def _normed(self, state):
        return F.layer_norm(state, state.shape[-1:]) if self.normalize else state


def chosen_layers(num_layers: int, layers: str | int | Sequence[int]) -> list[int]:
    """Returns the indices of the chosen hidden states.

    Arguments
    ---------
    num_layers : int
        Number of hidden states.
    layers : str, int or list of int
        See :class:`Featurizer`; also an array, a tensor, or a range.

    Returns
    -------
    list of int
        Non-negative indices in the given order.

    Raises
    ------
    ValueError
        If a hidden state does not exist, none is chosen, or one is chosen twice.

    Example
    -------
    >>> chosen_layers(3, "all"), chosen_layers(3, -1), chosen_layers(3, (2, 0))
    ([0, 1, 2], [2], [2, 0])
    """
    if isinstance(layers, str) and layers in ("all", "last"):
        return list(range(0 if layers == "all" else num_layers - 1, num_layers))
    listed: Any = layers.tolist() if hasattr(layers, "tolist") else layers  # an array
    indices = list(listed) if isinstance(listed, (list, tuple, range)) else [listed]
    for index in indices:
        if (
            not isinstance(index, numbers.Integral)
            or isinstance(index, bool)
            or not -num_layers <= int(index) < num_layers
        ):
            raise ValueError(
                f"layers: there is no hidden state {index!r}; the upstream "
                f"has {num_layers}, 0 to {num_layers - 1}, 'all' or 'last'"
            )
    indices = [int(index) % num_layers for index in indices]
    if not indices or len(set(indices)) < len(indices):
        raise ValueError(f"layers: {layers} is empty or names one twice")
    return indices
