"""Contract of heads that are fitted to a whole training set at once.

They have no learning rate and no batches; :mod:`s3prl_sb.brains.fitting` fits them.
Features are means over time, so they are
:class:`~s3prl_sb.lobes.heads.pooling.Poolable`.

Authors
 * The s3prl_sb developers, 2026
"""

from typing import Protocol, runtime_checkable

import torch

LEAST = 1e-10  # smallest probability, whose logarithm is finite


@runtime_checkable
class FitsAtOnce(Protocol):
    """Head that is fitted in one step to the vectors of a whole training set.

    An example has one class, or any number of labels.
    """

    def reserve(self, examples: int) -> None:
        """Makes room for a training set, before weights are loaded."""

    def sizes(self) -> dict[str, int]:
        """Returns the arguments that an export needs besides those of the recipe."""

    def vectors(self, features: torch.Tensor, lens: torch.Tensor) -> torch.Tensor:
        """Maps [batch, frames, size] and relative lengths [batch] to [batch, size]."""

    def fit(self, vectors: torch.Tensor, targets: torch.Tensor, seed: int) -> None:
        """Fits it to vectors [examples, size] with classes [examples], or with labels
        [examples, classes]."""


@runtime_checkable
class Repeated(Protocol):
    """Head of several classifiers, fitted to different draws of the training set."""

    def each(self, features: torch.Tensor, lens: torch.Tensor) -> torch.Tensor:
        """Returns the logits of each, [repeats, batch, classes]."""

    def together(self, logits: torch.Tensor) -> torch.Tensor:
        """Returns their mean probabilities as logits, [batch, classes]."""

    def probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """Returns the probabilities of each, [repeats, batch, classes]."""


def as_logits(probabilities: torch.Tensor, has_many: torch.Tensor) -> torch.Tensor:
    """Returns logits of probabilities.

    Arguments
    ---------
    probabilities : torch.Tensor
        [batch, classes].
    has_many : torch.Tensor
        Bool, a scalar: whether they are those of labels, each against all others.

    Returns
    -------
    torch.Tensor
        [batch, classes]: a softmax, or a sigmoid, returns the probabilities.

    Example
    -------
    >>> as_logits(torch.tensor([[0.2, 0.8]]), torch.tensor(True)).sigmoid()
    tensor([[0.2000, 0.8000]])
    """
    others = (1 - probabilities).clamp_min(LEAST).log()
    return probabilities.clamp_min(LEAST).log() - others * has_many
