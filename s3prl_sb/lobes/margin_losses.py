"""Losses for speaker embeddings: softmax, with or without a margin.

All are modules with one weight vector per speaker, and take embeddings [batch, size]
and labels [batch]. Utterances with a negative label do not count.

Authors
 * The s3prl_sb developers, 2026
"""

import torch
import torch.nn.functional as F
from speechbrain.nnet.losses import AdditiveAngularMargin, AngularMargin


class SoftmaxLoss(torch.nn.Module):
    """Cross-entropy after an affine layer.

    Arguments
    ---------
    input_size : int
        Size of the embeddings.
    num_classes : int
        Number of speakers.

    Example
    -------
    >>> loss = SoftmaxLoss(input_size=8, num_classes=3)
    >>> loss(torch.randn(4, 8), torch.tensor([0, 2, 1, 0])).shape
    torch.Size([])
    """

    def __init__(self, input_size, num_classes):
        super().__init__()
        self.classifier = torch.nn.Linear(input_size, num_classes)

    def logits(self, embeddings: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Returns the input of the cross-entropy, [batch, num_classes]."""
        return self.classifier(embeddings)

    def forward(self, embeddings: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Returns the mean loss of the utterances that count.

        Arguments
        ---------
        embeddings : torch.Tensor
            [batch, input_size].
        labels : torch.Tensor
            [batch], indices of speakers; an utterance with a negative one does not
            count.

        Returns
        -------
        torch.Tensor
            A scalar; 0 if no utterance counts.
        """
        counts, labels = labels >= 0, labels.clamp_min(0)
        logits = self.logits(embeddings, labels)
        losses = F.cross_entropy(logits, labels, reduction="none")
        return (losses * counts).sum() / counts.sum().clamp_min(1)


class MarginLoss(SoftmaxLoss):
    """Cross-entropy of scaled cosines, with a margin on the correct one.

    Arguments
    ---------
    input_size, num_classes : int
        See :class:`SoftmaxLoss`.
    margin : torch.nn.Module
        Maps cosines and one-hot labels, both [batch, num_classes], to logits.
    """

    def __init__(self, input_size, num_classes, margin):
        super(SoftmaxLoss, self).__init__()
        self.weight = torch.nn.Parameter(torch.empty(num_classes, input_size))
        torch.nn.init.xavier_normal_(self.weight)
        self.margin = margin

    def logits(self, embeddings: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Returns the input of the cross-entropy, [batch, num_classes]."""
        # The scale would amplify the rounding of half precision.
        with torch.autocast(embeddings.device.type, enabled=False):
            embeddings, weight = embeddings.float(), self.weight.float()
            cosines = F.linear(F.normalize(embeddings), F.normalize(weight))
        return self.margin(cosines, F.one_hot(labels, cosines.shape[1]))


class AMSoftmaxLoss(MarginLoss):
    """Additive margin softmax: subtracts a margin from the correct cosine.

    Paper: Wang et al., "Additive margin softmax for face verification",
    https://arxiv.org/abs/1801.05599.

    Arguments
    ---------
    input_size, num_classes : int
        See :class:`SoftmaxLoss`.
    scale : float
        Scale of the cosines.
    margin : float
        Margin subtracted from the correct cosine.

    Example
    -------
    >>> loss = AMSoftmaxLoss(input_size=8, num_classes=3)
    >>> loss(torch.randn(4, 8), torch.tensor([0, 2, 1, 0])).shape
    torch.Size([])
    """

    def __init__(self, input_size, num_classes, scale=30.0, margin=0.4):
        super().__init__(input_size, num_classes, AngularMargin(margin, scale))


class AAMSoftmaxLoss(MarginLoss):
    """Additive angular margin softmax (ArcFace): adds a margin to the correct angle.

    Where the angle plus the margin would exceed 180 degrees, the cosine continues to
    decrease linearly, so that a larger angle never costs less.

    Paper: Deng et al., "ArcFace", https://arxiv.org/abs/1801.07698.

    Arguments
    ---------
    input_size, num_classes : int
        See :class:`SoftmaxLoss`.
    scale : float
        Scale of the cosines.
    margin : float
        Margin in radians.

    Example
    -------
    >>> loss = AAMSoftmaxLoss(input_size=8, num_classes=3)
    >>> loss(torch.randn(4, 8), torch.tensor([0, 2, 1, 0])).shape
    torch.Size([])
    """

    def __init__(self, input_size, num_classes, scale=15.0, margin=0.3):
        super().__init__(input_size, num_classes, AdditiveAngularMargin(margin, scale))
