"""Recurrent heads that classify every frame.

Authors
 * The s3prl_sb developers, 2026
"""

import torch

from s3prl_sb.lobes.heads.recurrent import RaggedLSTM
from s3prl_sb.lobes.heads.subsampling import subsampled_lens


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


class ProjectedBLSTMHead(torch.nn.Module):
    """SUPERB-SG's head for OOD-ASR: a layer and a tanh follow each of two BLSTMs.

    Frames come every 20 ms: of an upstream with a shorter stride, such as one of
    acoustic features, every second one is taken. Padding and the rest of the batch
    change nothing. With features of 768 and 58 tokens it has 51.3 million parameters.

    Paper: Tsai et al., "SUPERB-SG", https://arxiv.org/abs/2203.06849.

    Arguments
    ---------
    input_size : int
        Size of the features.
    num_classes : int
        Number of tokens.
    stride : int
        Samples from one frame of the features to the next.
    sample_rate : int
        Samples in a second.
    output_seconds : float
        Seconds from one frame of the output to the next, about: the features are taken
        in whole numbers.
    projection_size : int
        Size of the projection.
    hidden_size : int
        Number of cells in each direction.
    num_layers : int
        Number of BLSTMs.
    dropout : float
        Dropout probability after each BLSTM.

    Note
    ----
    S3PRL subsamples the projected features, here the features are subsampled before:
    the same numbers for less work. Of an utterance shorter than ``output_seconds``
    S3PRL has no frame left, and stops; here it has one.

    Example
    -------
    >>> head = ProjectedBLSTMHead(
    ...     24, num_classes=5, stride=160, projection_size=8, hidden_size=8
    ... )
    >>> head(torch.randn(4, 49, 24), torch.ones(4)).shape, head.subsampling
    (torch.Size([4, 25, 5]), 2)
    """

    def __init__(
        self,
        input_size: int,
        num_classes: int,
        stride: int = 320,
        sample_rate: int = 16000,
        output_seconds: float = 0.02,
        projection_size: int = 1024,
        hidden_size: int = 1024,
        num_layers: int = 2,
        dropout: float = 0.2,
    ):
        super().__init__()
        self.subsampling = max(1, round(output_seconds * sample_rate / stride))
        self.projection = torch.nn.Linear(input_size, projection_size)
        size = 2 * hidden_size
        sizes = [projection_size] + [size] * (num_layers - 1)
        self.lstms = torch.nn.ModuleList(
            RaggedLSTM(inputs, hidden_size, bidirectional=True) for inputs in sizes
        )
        self.layers = torch.nn.ModuleList(torch.nn.Linear(size, size) for _ in sizes)
        self.dropout = torch.nn.Dropout(dropout)
        self.classifier = torch.nn.Linear(size, num_classes)

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
            [batch, ceil(frames / subsampling), num_classes]. Lengths are those of
            :func:`~s3prl_sb.lobes.heads.subsampling.subsampled_lens`.
        """
        lens = subsampled_lens(lens, features.shape[1], self.subsampling)
        x = self.projection(features[:, :: self.subsampling])
        for lstm, layer in zip(self.lstms, self.layers):
            x = layer(self.dropout(lstm(x, lens))).tanh()
        return self.classifier(x)
