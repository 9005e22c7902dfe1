"""Batch norm that does not depend on the rest of the batch.

With the statistics of the batch, an utterance's features would depend on the other
utterances. So those of pre-training stay, in fine-tuning as well; weight and bias are
trained. Only pre-training itself learns the statistics.

Authors
 * The s3prl_sb developers, 2026
"""

import torch.nn.functional as F
from torch import nn


class FixedBatchNorm1d(nn.BatchNorm1d):
    """Batch norm over frames that keeps the statistics of pre-training.

    Example
    -------
    >>> FixedBatchNorm1d(4).train().training
    False
    >>> norm = FixedBatchNorm1d(4)
    >>> norm.learn()
    >>> norm.train().training
    True
    """

    learns = False  #: whether it may enter training mode
    counts = True  #: whether batches in training mode change the statistics

    def learn(self):
        """Lets training mode use and learn the statistics of the batch."""
        self.learns = True
        self.train()

    def train(self, mode=True):
        """Stays in eval mode until it learns."""
        return super().train(mode and self.learns)

    def forward(self, x):
        """[frames, size] -> the same. A single frame has no statistics of its own."""
        if self.training and len(x) == 1:
            known = self.running_mean, self.running_var
            return F.batch_norm(x, *known, self.weight, self.bias, eps=self.eps)
        if self.counts or not self.training:
            return super().forward(x)
        thrown_away = self.running_mean.clone(), self.running_var.clone()
        return F.batch_norm(x, *thrown_away, self.weight, self.bias, True, eps=self.eps)


class FixedBatchNorm2d(nn.BatchNorm2d):
    """Batch norm over images that keeps the statistics of pre-training.

    Example
    -------
    >>> FixedBatchNorm2d(4).train().training
    False
    """

    def train(self, mode=True):
        """Stays in eval mode."""
        return super().train(False)
