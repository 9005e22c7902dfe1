"""LSTM with a projected output, over whole sequences or one frame at a time.

Authors
 * The s3prl_sb developers, 2026
"""

import torch
import torch.nn.functional as F
from torch import nn


class ProjectedLSTM(nn.Module):
    """Unidirectional LSTM followed by dropout and a projection with tanh.

    In a loop (``feeds_back``), the projected output is also the hidden state that the
    next frame sees, as in the decoder of S3PRL's voice conversion; otherwise it is the
    output alone.

    Arguments
    ---------
    input_size : int
        Size of the input.
    hidden_size : int
        Size of cells and output.
    dropout : float
        Probability to drop a value of the output before its projection.
    layer_norm : bool
        Whether the output is normalized before the dropout.
    feeds_back : bool
        Whether the projected output is the next hidden state.

    Example
    -------
    >>> layer = ProjectedLSTM(4, 8)
    >>> layer(torch.randn(2, 5, 4)).shape
    torch.Size([2, 5, 8])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        dropout: float = 0.2,
        layer_norm: bool = False,
        feeds_back: bool = True,
    ):
        super().__init__()
        self.hidden_size, self.feeds_back = hidden_size, feeds_back
        if feeds_back:
            self.cell = nn.LSTMCell(input_size, hidden_size)
        else:
            self.cell = nn.LSTM(input_size, hidden_size, batch_first=True)
        self.norm = nn.LayerNorm(hidden_size) if layer_norm else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.projection = nn.Linear(hidden_size, hidden_size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps all frames [batch, frames, input_size] to [batch, frames, hidden_size].

        The products of the input are computed for all frames at once.
        """
        if not self.feeds_back:
            return self._projected(self.cell(x)[0])
        gates = F.linear(x, self.cell.weight_ih, self.cell.bias_ih)
        state, outputs = self.start(x), []
        for gate in gates.unbind(1):
            state = self._advance(gate, state)
            outputs.append(state[0])
        return torch.stack(outputs, 1)

    def start(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns the state before the first frame of a batch of inputs."""
        zeros = x.new_zeros(len(x), self.hidden_size)
        return zeros, zeros

    def step(
        self, x: torch.Tensor, state: tuple[torch.Tensor, torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Advances by one frame [batch, input_size]; returns the next state, which
        begins with the output."""
        return self._advance(F.linear(x, self.cell.weight_ih, self.cell.bias_ih), state)

    def _advance(self, gates, state):
        hidden, cell = state  # the sums of the cell are in float32, they are long
        last = F.linear(hidden, self.cell.weight_hh, self.cell.bias_hh)
        gates = gates.float() + last.float()
        enter, forget, candidate, leave = gates.chunk(4, -1)
        cell = forget.sigmoid() * cell + enter.sigmoid() * candidate.tanh()
        return self._projected(leave.sigmoid() * cell.tanh()), cell

    def _projected(self, x):
        return torch.tanh(self.projection(self.dropout(self.norm(x))))
