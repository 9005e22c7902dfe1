"""Losses that teach embeddings to tell speakers: softmax, with a margin or without.

All are modules with weights of their own, one vector a speaker, and are called with
embeddings [batch, size] and labels [batch]. A negative label says that an utterance
does not count.

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

    def logits(self, embeddings, labels):
        """What the cross-entropy is of, [batch, num_classes]."""
        return self.classifier(embeddings)

    def forward(self, embeddings, labels):
        """The mean loss of the utterances that count.

        Arguments
        ---------
        embeddings : torch.Tensor
            [batch, input_size].
        labels : torch.Tensor
            [batch], speakers' numbers; negative: the utterance does not count.

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
    """Cross-entropy of scaled cosines, of which the right one is made worse.

    Arguments
    ---------
    input_size, num_classes : int
        As for :class:`SoftmaxLoss`.
    margin : torch.nn.Module
        Takes cosines and one-hot labels, both [batch, num_classes], to logits.
    """

    def __init__(self, input_size, num_classes, margin):
        super(SoftmaxLoss, self).__init__()
        self.weight = torch.nn.Parameter(torch.empty(num_classes, input_size))
        torch.nn.init.xavier_normal_(self.weight)
        self.margin = margin

    def logits(self, embeddings, labels):
        """What the cross-entropy is of, [batch, num_classes]."""
        # The scale would make much of half precision's rounding.
        with torch.autocast(embeddings.device.type, enabled=False):
            embeddings, weight = embeddings.float(), self.weight.float()
            cosines = F.linear(F.normalize(embeddings), F.normalize(weight))
        return self.margin(cosines, F.one_hot(labels, cosines.shape[1]))


class AMSoftmaxLoss(MarginLoss):
    """Additive margin softmax: a margin off the right cosine.

    Paper: Wang et al., "Additive margin softmax for face verification",
    https://arxiv.org/abs/1801.05599.

    Arguments
    ---------
    input_size, num_classes : int
        As for :class:`SoftmaxLoss`.
    scale : float
        Of the cosines.
    margin : float
        Off the right one.

    Example
    -------
    >>> loss = AMSoftmaxLoss(input_size=8, num_classes=3)
    >>> loss(torch.randn(4, 8), torch.tensor([0, 2, 1, 0])).shape
    torch.Size([])
    """

    def __init__(self, input_size, num_classes, scale=30.0, margin=0.4):
        super().__init__(input_size, num_classes, AngularMargin(margin, scale))


class AAMSoftmaxLoss(MarginLoss):
    """Additive angular margin softmax (ArcFace): a margin on the right angle.

    Where the angle with its margin would exceed 180 degrees, the cosine falls on
    linearly, so that a larger angle never costs less.

    Paper: Deng et al., "ArcFace", https://arxiv.org/abs/1801.07698.

    Arguments
    ---------
    input_size, num_classes : int
        As for :class:`SoftmaxLoss`.
    scale : float
        Of the cosines.
    margin : float
        In radians.

    Example
    -------
    >>> loss = AAMSoftmaxLoss(input_size=8, num_classes=3)
    >>> loss(torch.randn(4, 8), torch.tensor([0, 2, 1, 0])).shape
    torch.Size([])
    """

    def __init__(self, input_size, num_classes, scale=15.0, margin=0.3):
        super().__init__(input_size, num_classes, AdditiveAngularMargin(margin, scale))
