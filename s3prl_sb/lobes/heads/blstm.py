"""Recurrent heads that classify every frame.

Authors
 * The s3prl_sb developers, 2026
"""

import torch

from s3prl_sb.lobes.heads.recurrent import RaggedLSTM


class BLSTMHead(torch.nn.Module):
    """SUPERB's head for ASR and slot filling: project, two BLSTMs, classify.

    Padding and the rest of the batch change nothing. With features of 768 and 32
    tokens it has 42.8 million parameters.

    Paper: Yang et al., "SUPERB", https://arxiv.org/abs/2105.01051.

    Arguments
    ---------
    input_size : int
        Size of the features.
    num_classes : int
        Number of tokens.
    projection_size : int
        Size of the projection.
    hidden_size : int
        Number of cells in each direction.
    num_layers : int
        Number of BLSTMs.
    dropout : float
        Dropout probability after each BLSTM, including the last one.

    Example
    -------
    >>> head = BLSTMHead(24, num_classes=5, projection_size=8, hidden_size=8)
    >>> head(torch.randn(4, 50, 24), torch.ones(4)).shape
    torch.Size([4, 50, 5])
    """

    def __init__(
        self,
        input_size: int,
        num_classes: int,
        projection_size: int = 1024,
        hidden_size: int = 1024,
        num_layers: int = 2,
        dropout: float = 0.2,
    ):
        super().__init__()
        self.projection = torch.nn.Linear(input_size, projection_size)
        self.lstm = RaggedLSTM(
            projection_size,
            hidden_size,
            num_layers,
            bidirectional=True,
            dropout=dropout if num_layers > 1 else 0.0,
        )
        self.dropout = torch.nn.Dropout(dropout)  # LSTM has none after its last layer
        self.classifier = torch.nn.Linear(2 * hidden_size, num_classes)

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
            [batch, frames, num_classes]; padding has the logits of a zero output.
        """
        x = self.lstm(self.projection(features), lens)
        return self.classifier(self.dropout(x))
