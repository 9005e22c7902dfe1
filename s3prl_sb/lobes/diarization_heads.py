"""Heads that say who speaks in each frame.

Authors
 * The s3prl_sb developers, 2026
"""

import torch

from s3prl_sb.lobes.recurrent import RaggedLSTM


class RecurrentDiarizer(torch.nn.Module):
    """SUPERB's head for speaker diarization: an LSTM and a linear layer.

    Paper: Yang et al., "SUPERB", https://arxiv.org/abs/2105.01051.

    Arguments
    ---------
    input_size : int
        Size of the features.
    num_speakers : int
        Most speakers of a recording.
    hidden_size : int
        Of the LSTM.
    num_layers : int
        Of the LSTM.
    bidirectional : bool
        SUPERB's looks back only.

    Example
    -------
    >>> head = RecurrentDiarizer(input_size=768, num_speakers=2)
    >>> head(torch.randn(4, 50, 768), torch.tensor([1, 1, 0.5, 0.2])).shape
    torch.Size([4, 50, 2])
    """

    def __init__(
        self,
        input_size,
        num_speakers,
        hidden_size=512,
        num_layers=1,
        bidirectional=False,
    ):
        super().__init__()
        self.recurrent = RaggedLSTM(
            input_size,
            hidden_size,
            num_layers,
            bidirectional=bidirectional,
        )
        width = hidden_size * (2 if bidirectional else 1)
        self.classifier = torch.nn.Linear(width, num_speakers)

    def forward(self, features, lens):
        """Logits.

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
