"""Heads that decide who speaks in each frame.

Authors
 * The s3prl_sb developers, 2026
"""

import torch

from s3prl_sb.lobes.heads.recurrent import RaggedLSTM


class RecurrentDiarizer(torch.nn.Module):
    """SUPERB's head for speaker diarization: an LSTM and a linear layer.

    Paper: Yang et al., "SUPERB", https://arxiv.org/abs/2105.01051.

    Arguments
    ---------
    input_size : int
        Size of the features.
    num_speakers : int
        Largest number of speakers in a recording.
    hidden_size : int
        Number of LSTM units.
    num_layers : int
        Number of LSTM layers.
    bidirectional : bool
        Whether the LSTM also looks ahead; SUPERB's does not.

    Example
    -------
    >>> head = RecurrentDiarizer(input_size=768, num_speakers=2)
    >>> head(torch.randn(4, 50, 768), torch.tensor([1, 1, 0.5, 0.2])).shape
    torch.Size([4, 50, 2])
    """

    def __init__(
        self,
        input_size: int,
        num_speakers: int,
        hidden_size: int = 512,
        num_layers: int = 1,
        bidirectional: bool = False,
    ):
        super().__init__()
        self.recurrent = RaggedLSTM(
            input_size, hidden_size, num_layers, bidirectional=bidirectional
        )
        width = hidden_size * (2 if bidirectional else 1)
        self.classifier = torch.nn.Linear(width, num_speakers)

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
            [batch, frames, num_speakers].
        """
        return self.classifier(self.recurrent(features, lens))
