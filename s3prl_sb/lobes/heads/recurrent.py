"""LSTM and GRU over utterances of unequal lengths.

Authors
 * The s3prl_sb developers, 2026
"""

import functools

import torch
import torch.nn.functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from s3prl_sb.lobes.heads.pooling import frame_mask


class _Ragged(torch.nn.RNNBase):
    """Base class of recurrent layers that are computed over true lengths."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, batch_first=True, **kwargs)

    @staticmethod
    def has_kernel(dtype: torch.dtype) -> bool:
        """Returns whether this CPU computes it under autocast to ``dtype``."""
        raise NotImplementedError

    def _scan(self, x, weights):
        """Runs one layer in one direction."""
        raise NotImplementedError

    def forward(self, x: torch.Tensor, lens: torch.Tensor) -> torch.Tensor:
        """Returns hidden states.

        Arguments
        ---------
        x : torch.Tensor
            [batch, frames, input_size].
        lens : torch.Tensor
            [batch], relative lengths.

        Returns
        -------
        torch.Tensor
            [batch, frames, hidden_size], or twice that if bidirectional; padding is
            zero.
        """
        if x.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
            if not self.has_kernel(torch.get_autocast_dtype("cpu")):
                with torch.autocast("cpu", enabled=False):
                    return self(x.float(), lens)
        if not self.bidirectional:  # no frame depends on the padding after it
            hidden = super().forward(x)[0]
        elif x.is_cuda:
            return self._packed(x, lens)
        else:
            hidden = self._padded(x, lens)
        return hidden * frame_mask(x, lens).unsqueeze(-1)

    def _packed(self, x, lens):
        frames = x.shape[1]
        counts = (lens * frames).round().clamp_min(1).long().cpu()
        packed = pack_padded_sequence(x, counts, batch_first=True, enforce_sorted=False)
        hidden = super().forward(packed)[0]
        return pad_packed_sequence(hidden, batch_first=True, total_length=frames)[0]

    def _padded(self, x, lens):
        counts = frame_mask(x, lens).sum(1, keepdim=True)
        place = torch.arange(x.shape[1], device=x.device).expand(len(x), -1)
        place = torch.where(place < counts, counts - 1 - place, place).unsqueeze(-1)

        def reverse(y):
            return y.gather(1, place.expand_as(y))

        for layer in range(self.num_layers):
            ahead, back = self.all_weights[2 * layer : 2 * layer + 2]
            backward = reverse(self._scan(reverse(x), back))
            x = torch.cat([self._scan(x, ahead), backward], 2)
            if layer < self.num_layers - 1:
                x = F.dropout(x, self.dropout, self.training)
        return x


class RaggedLSTM(_Ragged, torch.nn.LSTM):
    """LSTM whose output does not depend on padding or on the rest of the batch.

    On a GPU, bidirectional sequences are packed. On a CPU, packed sequences train
    dozens of times slower than padded ones; there, each utterance is reversed within
    its length for the backward direction, which gives the same result. Under autocast,
    a CPU whose oneDNN has no LSTM of that precision computes it in float32.

    Arguments
    ---------
    *args, **kwargs
        See ``torch.nn.LSTM``; ``batch_first`` is always True.

    Example
    -------
    >>> lstm = RaggedLSTM(8, 4, bidirectional=True)
    >>> x, lens = torch.randn(2, 10, 8), torch.tensor([1.0, 0.5])
    >>> alone = lstm(x[1:, :5], torch.ones(1))
    >>> torch.allclose(lstm(x, lens)[1:, :5], alone, atol=1e-6)
    True
    """

    @staticmethod
    def has_kernel(dtype: torch.dtype) -> bool:
        """Returns whether this CPU computes an LSTM under autocast to ``dtype``."""
        return _onednn_has_lstm(dtype)

    def _scan(self, x, weights):
        state = x.new_zeros(1, len(x), self.hidden_size)
        return torch.lstm(
            x, (state, state), weights, self.bias, 1, 0.0, self.training, False, True
        )[0]


class RaggedGRU(_Ragged, torch.nn.GRU):
    """GRU whose output does not depend on padding or on the rest of the batch.

    See :class:`RaggedLSTM`. Under autocast a CPU computes it in float32.

    Arguments
    ---------
    *args, **kwargs
        See ``torch.nn.GRU``; ``batch_first`` is always True.

    Example
    -------
    >>> gru = RaggedGRU(8, 4, bidirectional=True)
    >>> gru(torch.randn(2, 10, 8), torch.tensor([1.0, 0.5])).shape
    torch.Size([2, 10, 8])
    """

    @staticmethod
    def has_kernel(dtype: torch.dtype) -> bool:
        """Returns False: oneDNN has no GRU of a lower precision."""
        return False

    def _scan(self, x, weights):
        state = x.new_zeros(1, len(x), self.hidden_size)
        return torch.gru(
            x, state, weights, self.bias, 1, 0.0, self.training, False, True
        )[0]


@functools.cache
def _onednn_has_lstm(dtype):
    """Returns whether this CPU computes an LSTM under autocast to ``dtype``."""
    weights = [torch.zeros(size) for size in ((4, 1), (4, 1), 4, 4)]
    x, state = torch.zeros(1, 1, 1), torch.zeros(1, 1, 1)
    try:
        with torch.no_grad(), torch.autocast("cpu", dtype):
            torch.lstm(x, (state, state), weights, True, 1, 0.0, False, False, True)
    except RuntimeError:
        return False
    return True
