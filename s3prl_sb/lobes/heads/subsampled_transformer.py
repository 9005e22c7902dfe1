"""Head of ML-SUPERB: convolutions that halve the frame rate, and a Transformer.

Authors
 * The s3prl_sb developers, 2026
"""

import torch

from s3prl_sb.lobes.heads.pooling import frame_mask, precise
from s3prl_sb.lobes.heads.subsampling import subsampled_lens
from s3prl_sb.lobes.heads.transformers import TransformerEncoder

KERNEL, STRIDE = 3, 2  # of the first convolution; the second one has a stride of 1
PADDING = (2, 4)  # frames before and after an utterance, so that every second is kept


class SubsampledTransformerHead(torch.nn.Module):
    """Reduces the features, halves their rate by two 2-D convolutions, and classifies
    the frames of a Transformer.

    Padding and the rest of the batch change nothing. With features of 768 and 32
    tokens it has 4.7 million parameters.

    Paper: Shi et al., "ML-SUPERB", https://arxiv.org/abs/2305.10615.

    Arguments
    ---------
    input_size : int
        Size of the features.
    num_classes : int
        Number of tokens.
    reduced_size : int
        Size of the first layer, at least 7.
    hidden_size : int
        Number of channels of the convolutions, and size of the Transformer.
    num_layers : int
        Number of layers of the Transformer.
    num_heads : int
        Number of attention heads.
    ffn_size : int
        Inner size of the feed-forward networks.
    dropout : float
        Dropout probability after the positions and in each layer.

    Note
    ----
    ESPnet's ``conv2d2`` pads nothing: it lacks the first frame and the last two, and
    has none of an utterance of up to six frames. Here zeros are around an utterance.

    Example
    -------
    >>> head = SubsampledTransformerHead(24, 5, 20, hidden_size=8, num_heads=2)
    >>> head(torch.randn(4, 49, 24), torch.ones(4)).shape, head.subsampling
    (torch.Size([4, 25, 5]), 2)
    """

    subsampling = STRIDE

    def __init__(
        self,
        input_size: int,
        num_classes: int,
        reduced_size: int = 80,
        hidden_size: int = 256,
        num_layers: int = 2,
        num_heads: int = 8,
        ffn_size: int = 1024,
        dropout: float = 0.1,
    ):
        super().__init__()
        self.reduction = torch.nn.Linear(input_size, reduced_size)
        self.convolutions = torch.nn.Sequential(
            torch.nn.Conv2d(1, hidden_size, KERNEL, STRIDE),
            torch.nn.ReLU(),
            torch.nn.Conv2d(hidden_size, hidden_size, KERNEL),
            torch.nn.ReLU(),
        )
        bands = (reduced_size - KERNEL) // STRIDE + 1 - (KERNEL - 1)
        self.encoder = TransformerEncoder(
            hidden_size * bands,
            hidden_size,
            num_layers,
            dropout,
            num_heads,
            ffn_size,
            scaled=True,
        )
        self.classifier = torch.nn.Linear(hidden_size, num_classes)

    def forward(self, features: torch.Tensor, lens: torch.Tensor) -> torch.Tensor:
        """Returns logits.

        Arguments
        ---------
        features : torch.Tensor
            [batch, frames, input_size]. The mean of an utterance is subtracted.
        lens : torch.Tensor
            [batch], relative lengths.

        Returns
        -------
        torch.Tensor
            [batch, ceil(frames / 2), num_classes]. Lengths are those of
            :func:`~s3prl_sb.lobes.heads.subsampling.subsampled_lens`.
        """
        padding = ~frame_mask(features, lens)[..., None]
        x = features.masked_fill(padding, 0.0)
        mean = precise(x).sum(1, keepdim=True) / (~padding).sum(1, keepdim=True)
        x = self.reduction((x - mean).to(features.dtype)).masked_fill(padding, 0.0)
        x = torch.nn.functional.pad(x, (0, 0, *PADDING))
        x = self.convolutions(x[:, None])  # [batch, channels, frames, bands]
        x = x.transpose(1, 2).flatten(2)
        lens = subsampled_lens(lens, features.shape[1], self.subsampling)
        return self.classifier(self.encoder(x, lens))
