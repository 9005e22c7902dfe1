"""Multilayer perceptrons with batch normalization: HEAR's heads.

Paper: Turian et al. 2022, "HEAR: Holistic Evaluation of Audio Representations",
https://arxiv.org/abs/2203.03022.

Authors
 * The s3prl_sb developers, 2026
"""

import torch

from s3prl_sb.lobes.heads.contract import HeadError
from s3prl_sb.lobes.heads.named_poolings import made_pooling
from s3prl_sb.lobes.heads.parts import Part, output_size
from s3prl_sb.lobes.heads.pooling import frame_mask, is_poolable
from s3prl_sb.lobes.networks.masked_batch_norm import MaskedBatchNorm

#: Initializations of the weights by name; biases are torch's.
INITIALIZATIONS = {
    "xavier_uniform": torch.nn.init.xavier_uniform_,
    "xavier_normal": torch.nn.init.xavier_normal_,
}


class _Layers(torch.nn.Module):
    """Hidden layers over rows, each with a norm, dropout and a ReLU; and a classifier.

    See :class:`PooledMLP` for the arguments.
    """

    def __init__(
        self, input_size, num_classes, hidden_size, num_layers, dropout, initialization
    ):
        super().__init__()
        if initialization not in INITIALIZATIONS:
            names = " or ".join(INITIALIZATIONS)
            raise HeadError(f"initialization: {names}, not '{initialization}'.")
        initialize = INITIALIZATIONS[initialization]
        sizes = [input_size, *[hidden_size] * num_layers]
        # A bias would be subtracted by the norm
        self.layers = torch.nn.ModuleList(
            torch.nn.Linear(size, hidden_size, bias=False) for size in sizes[:-1]
        )
        self.norms = torch.nn.ModuleList(
            MaskedBatchNorm(hidden_size) for _ in self.layers
        )
        self.dropout = torch.nn.Dropout(dropout)
        self.classifier = torch.nn.Linear(sizes[-1], num_classes)
        for number, layer in enumerate([*self.layers, self.classifier]):
            kind = "relu" if number else "linear"  # what comes before the layer
            initialize(layer.weight, gain=torch.nn.init.calculate_gain(kind))

    def forward(self, x, mask=None):
        for layer, norm in zip(self.layers, self.norms):
            x = self.dropout(norm(layer(x), mask)).relu()
        return self.classifier(x)


class PooledMLP(torch.nn.Module):
    """HEAR's head for whole clips: pool, hidden layers, classify.

    The pooling comes first, so with the mean it is
    :class:`~s3prl_sb.lobes.heads.pooling.Poolable`.

    Arguments
    ---------
    input_size : int
        Size of the features.
    num_classes : int
        Number of classes.
    hidden_size : int
        Size of each hidden layer.
    num_layers : int
        Number of hidden layers; with 0 it is a linear classifier.
    dropout : float
        Dropout probability.
    initialization : str
        "xavier_uniform" or "xavier_normal".
    pooling : str, dict, callable or torch.nn.Module, optional
        See :class:`~s3prl_sb.lobes.heads.utterance.UtteranceClassifier`.

    Raises
    ------
    HeadError
        For an unknown initialization or pooling.

    Example
    -------
    >>> head = PooledMLP(24, 5, hidden_size=8)
    >>> head(torch.randn(4, 50, 24), torch.ones(4)).shape
    torch.Size([4, 5])
    """

    def __init__(
        self,
        input_size: int,
        num_classes: int,
        hidden_size: int = 1024,
        num_layers: int = 2,
        dropout: float = 0.1,
        initialization: str = "xavier_uniform",
        pooling: Part | None = None,
    ):
        super().__init__()
        pooling = "mean" if pooling is None else pooling
        self.pooling = made_pooling(pooling, input_size)
        size = output_size(self.pooling, input_size)
        options = (hidden_size, num_layers, dropout, initialization)
        self.mlp = _Layers(size, num_classes, *options)

    @property
    def linear(self) -> bool:
        """True if features may be averaged over time before the head."""
        return is_poolable(self.pooling)

    def forward(self, features: torch.Tensor, lens: torch.Tensor) -> torch.Tensor:
        """Returns logits.

        Arguments
        ---------
        features : torch.Tensor
            [batch, frames, input_size].
        lens : torch.Tensor
            [batch], relative lengths.

        Returns
        -------
        torch.Tensor
            [batch, num_classes].
        """
        return self.mlp(self.pooling(features, lens))


class FrameMLP(torch.nn.Module):
    """HEAR's head for events: the layers of :class:`PooledMLP` over each frame.

    Arguments
    ---------
    input_size, num_classes, hidden_size, num_layers, dropout, initialization
        See :class:`PooledMLP`.

    Example
    -------
    >>> head = FrameMLP(24, 5, hidden_size=8)
    >>> head(torch.randn(4, 50, 24), torch.ones(4)).shape
    torch.Size([4, 50, 5])
    """

    def __init__(
        self,
        input_size: int,
        num_classes: int,
        hidden_size: int = 1024,
        num_layers: int = 2,
        dropout: float = 0.1,
        initialization: str = "xavier_uniform",
    ):
        super().__init__()
        options = (hidden_size, num_layers, dropout, initialization)
        self.mlp = _Layers(input_size, num_classes, *options)

    def forward(self, features: torch.Tensor, lens: torch.Tensor) -> torch.Tensor:
        """Returns logits.

        Arguments
        ---------
        features : torch.Tensor
            [batch, frames, input_size].
        lens : torch.Tensor
            [batch], relative lengths.

        Returns
        -------
        torch.Tensor
            [batch, frames, num_classes].
        """
        mask = frame_mask(features, lens).flatten()
        return self.mlp(features.flatten(0, 1), mask).unflatten(0, features.shape[:2])
