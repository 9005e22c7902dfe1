"""Recurrent layers over packed utterances, without padding.

Authors
 * The s3prl_sb developers, 2026
"""

import torch
from torch.nn.utils.rnn import PackedSequence, pack_sequence


class TimeMajor:
    """Order in which recurrent layers read packed utterances.

    First the first frames of all utterances, then the second ones, … Layers
    then take as many steps as the longest utterance has frames, whatever the
    number of utterances, and compute no padding.

    Arguments
    ---------
    frames : list of int
        Frames of each utterance.
    device : torch.device
        Device of the features.
    backward : bool
        Read each utterance from its last frame to its first.

    Example
    -------
    >>> order = TimeMajor([2, 3], "cpu")
    >>> order.rows.tolist(), order.back.tolist()
    ([2, 0, 3, 1, 4], [1, 3, 0, 2, 4])
    >>> order.run(torch.nn.GRU(8, 4), torch.randn(5, 8)).shape
    torch.Size([5, 4])
    """

    def __init__(self, frames, device, backward=False):
        rows = torch.arange(sum(frames)).split(frames)
        rows = [row.flip(0) for row in rows] if backward else list(rows)
        rows = pack_sequence(rows, enforce_sorted=False)
        self.rows = rows.data.to(device)  #: index of each frame before sorting
        self.back = self.rows.argsort()  #: index of each frame after sorting
        self.sizes = rows.batch_sizes  #: number of frames of each time step

    def run(self, layer, x):
        """Runs a recurrent layer over sorted frames [total_frames, size]."""
        if x.is_cuda:
            return layer(PackedSequence(x, self.sizes))[0].data
        # The gradient of a packed sequence costs torch a tensor of all frames in every
        # time step. Steps with the same utterances therefore run as plain tensors.
        counts, steps = torch.unique_consecutive(self.sizes, return_counts=True)
        pieces = x.split((counts * steps).tolist())
        outputs, state = [], None
        for piece, count in zip(pieces, counts.tolist()):
            y, state = layer(piece.unflatten(0, (-1, count)), _first(state, count))
            outputs.append(y.flatten(0, 1))
        return torch.cat(outputs)


def _first(state, count):
    """Returns the state [layers, utterances, size] of the first utterances; that of
    an LSTM is a pair."""
    if isinstance(state, tuple):
        return tuple(_first(part, count) for part in state)
    return None if state is None else state[:, :count].contiguous()
