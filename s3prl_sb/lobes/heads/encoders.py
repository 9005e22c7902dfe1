"""Encoders over frames: linear, with hidden layers, recurrent.

Each is an :class:`~s3prl_sb.lobes.heads.contract.Encoder`.

Authors
 * The s3prl_sb developers, 2026
"""

import torch

from s3prl_sb.lobes.heads.contract import HeadError
from s3prl_sb.lobes.heads.recurrent import RaggedGRU, RaggedLSTM

CELLS = {"lstm": RaggedLSTM, "gru": RaggedGRU}


class Projection(torch.nn.Module):
    """Linear layer over frames.

    It is :class:`~s3prl_sb.lobes.heads.pooling.Poolable`.

    Arguments
    ---------
    input_size : int
        Size of the features.
    hidden_size : int
        Size of the output.

    Example
    -------
    >>> Projection(24, 8)(torch.randn(2, 10, 24), torch.ones(2)).shape
    torch.Size([2, 10, 8])
    """

    linear = True

    def __init__(self, input_size: int, hidden_size: int = 256):
        super().__init__()
        self.layer = torch.nn.Linear(input_size, hidden_size)
        self.output_size = hidden_size

    def forward(self, x: torch.Tensor, lens: torch.Tensor) -> torch.Tensor:
        """Maps [batch, frames, input_size] to [batch, frames, hidden_size]."""
        return self.layer(x)


class MLP(torch.nn.Module):
    """Hidden layers over frames, each with a ReLU and dropout.

    Arguments
    ---------
    input_size : int
        Size of the features.
    hidden_size : int
        Size of each layer.
    num_layers : int
        Number of layers.
    dropout : float
        Dropout probability.

    Note
    ----
    S3PRL's ``phone_1hidden`` drops values before the ReLU, with the same result.

    Example
    -------
    >>> MLP(24, 8)(torch.randn(2, 10, 24), torch.ones(2)).shape
    torch.Size([2, 10, 8])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int = 256,
        num_layers: int = 2,
        dropout: float = 0.0,
    ):
        super().__init__()
        sizes = [input_size, *[hidden_size] * num_layers]
        self.layers = torch.nn.ModuleList(
            torch.nn.Linear(size, hidden_size) for size in sizes[:-1]
        )
        self.dropout = torch.nn.Dropout(dropout)
        self.output_size = sizes[-1]

    def forward(self, x: torch.Tensor, lens: torch.Tensor) -> torch.Tensor:
        """Maps [batch, frames, input_size] to [batch, frames, hidden_size]."""
        for layer in self.layers:
            x = self.dropout(layer(x).relu())
        return x


class RecurrentEncoder(torch.nn.Module):
    """LSTM or GRU over frames.

    Arguments
    ---------
    input_size : int
        Size of the features.
    hidden_size : int
        Number of units in each direction.
    num_layers : int
        Number of layers.
    dropout : float
        Dropout probability after each layer.
    cell : str
        "lstm" or "gru".
    bidirectional : bool
        Whether it also looks ahead; ``output_size`` is then twice ``hidden_size``.

    Raises
    ------
    HeadError
        If there is no such cell.

    Example
    -------
    >>> RecurrentEncoder(24, 8, cell="gru")(torch.randn(2, 10, 24), torch.ones(2)).shape
    torch.Size([2, 10, 16])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int = 256,
        num_layers: int = 2,
        dropout: float = 0.0,
        cell: str = "lstm",
        bidirectional: bool = True,
    ):
        super().__init__()
        if cell not in CELLS:
            raise HeadError(f"cell: {' or '.join(CELLS)}, not '{cell}'.")
        self.recurrent = CELLS[cell](
            input_size,
            hidden_size,
            num_layers,
            bidirectional=bidirectional,
            dropout=dropout if num_layers > 1 else 0.0,
        )
        self.dropout = torch.nn.Dropout(dropout)  # torch has none after the last layer
        self.output_size = hidden_size * (2 if bidirectional else 1)

    def forward(self, x: torch.Tensor, lens: torch.Tensor) -> torch.Tensor:
        """Maps [batch, frames, input_size] and relative lengths [batch] to
        [batch, frames, output_size]; padding is zero."""
        return self.dropout(self.recurrent(x, lens))
