"""Batch norm that does not depend on the rest of the batch.

With the statistics of the batch, an utterance's features would depend on the other
utterances. So those of pre-training stay, in fine-tuning as well; weight and bias are
trained.

Authors
 * The s3prl_sb developers, 2026
"""

from torch import nn


class FixedBatchNorm1d(nn.BatchNorm1d):
    """Batch norm over frames that keeps the statistics of pre-training.

    Example
    -------
    >>> FixedBatchNorm1d(4).train().training
    False
    """

    def train(self, mode=True):
        """Stays in eval mode."""
        return super().train(False)


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
