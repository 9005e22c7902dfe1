"""Heads that are composed of an encoder, a pooling and a linear classifier.

Authors
 * The s3prl_sb developers, 2026
"""

import torch

from s3prl_sb.lobes.heads.named_encoders import made_encoder
from s3prl_sb.lobes.heads.named_poolings import made_pooling
from s3prl_sb.lobes.heads.parts import Part, output_size
from s3prl_sb.lobes.heads.pooling import is_poolable


class UtteranceHead(torch.nn.Module):
    """Head that encodes the frames, pools them, and classifies the utterance.

    Arguments
    ---------
    input_size : int
        Size of the features.
    num_classes : int
        Number of classes, or the size of an embedding.
    encoder : str, dict, callable or torch.nn.Module
        :class:`~s3prl_sb.lobes.heads.contract.Encoder`: a name (``s3prl-sb heads``
        lists them), ``{name: rnn, cell: gru}``, or see
        :data:`~s3prl_sb.lobes.heads.parts.Part`.
    pooling : str, dict, callable or torch.nn.Module
        :class:`~s3prl_sb.lobes.heads.pooling.Pooling`, in the same way.
    **options
        Arguments of the encoder, such as ``hidden_size``, ``num_layers``, ``dropout``;
        default: those of the encoder.

    Raises
    ------
    HeadError
        For an unknown name or option; lists those that there are.

    Example
    -------
    >>> head = UtteranceHead(24, 12, "rnn", "attentive", hidden_size=8, cell="gru")
    >>> head(torch.randn(4, 50, 24), torch.tensor([1, 1, 0.5, 0.02])).shape
    torch.Size([4, 12])
    """

    def __init__(
        self,
        input_size: int,
        num_classes: int,
        encoder: Part = "mlp",
        pooling: Part = "mean",
        **options,
    ):
        super().__init__()
        self.encoder = made_encoder(encoder, input_size, **options)
        size = output_size(self.encoder, input_size)
        self.pooling = made_pooling(pooling, size)
        self.classifier = torch.nn.Linear(output_size(self.pooling, size), num_classes)

    @property
    def linear(self) -> bool:
        """True if features may be averaged over time before the head."""
        return is_poolable(self.encoder) and is_poolable(self.pooling)

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
        return self.classifier(self.pooling(self.encoder(features, lens), lens))


class FrameHead(torch.nn.Module):
    """Head that encodes the frames and classifies each.

    Arguments
    ---------
    input_size : int
        Size of the features.
    num_classes : int
        Number of classes.
    encoder : str, dict, callable or torch.nn.Module
        See :class:`UtteranceHead`.
    **options
        Arguments of the encoder, see :class:`UtteranceHead`.

    Raises
    ------
    HeadError
        For an unknown name or option; lists those that there are.

    Example
    -------
    >>> head = FrameHead(24, 5, "rnn", hidden_size=8)
    >>> head(torch.randn(4, 50, 24), torch.tensor([1, 1, 0.5, 0.02])).shape
    torch.Size([4, 50, 5])
    """

    def __init__(
        self, input_size: int, num_classes: int, encoder: Part = "mlp", **options
    ):
        super().__init__()
        self.encoder = made_encoder(encoder, input_size, **options)
        size = output_size(self.encoder, input_size)
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
            [batch, frames, num_classes].
        """
        return self.classifier(self.encoder(features, lens))
