"""Contract of downstream networks: :class:`Head`, and its parts.

A pooling is the third part, see :class:`~s3prl_sb.lobes.heads.pooling.Pooling`.
:func:`~s3prl_sb.lobes.heads.check.check_head` checks any class, and so does
``s3prl-sb check-head``.

Authors
 * The s3prl_sb developers, 2026
"""

from typing import Protocol, runtime_checkable

import torch


class HeadError(ValueError):
    """Arguments of a head that do not go together; names them and the choices.

    A recipe adds the place of the key, see :mod:`s3prl_sb.schema.constructors`.
    """


class Head(Protocol):
    """Downstream network between the features and the loss of a task.

    It is a ``torch.nn.Module`` that is made with ``input_size`` and ``num_classes``.

    - In evaluation, neither padding nor the rest of the batch changes the output of
      an utterance, and every utterance has one frame at least.
    - In training, nothing that stands in the padding enters the loss or a statistic.
    - If a mean over time may come before it, it declares ``linear = True``, see
      :class:`~s3prl_sb.lobes.heads.pooling.Poolable`: the feature cache then keeps
      one vector an utterance.
    """

    def __call__(self, features: torch.Tensor, lens: torch.Tensor) -> torch.Tensor:
        """Returns logits or an embedding.

        Arguments
        ---------
        features : torch.Tensor
            [batch, frames, input_size]. They are not changed in place.
        lens : torch.Tensor
            [batch], relative lengths: 1 is the longest utterance of the batch.

        Returns
        -------
        torch.Tensor
            [batch, num_classes] for tasks with one label an utterance, and
            [batch, frames, num_classes] for tasks with labels in time, where the
            frames of the padding have any finite value.
        """


class Encoder(Protocol):
    """Network over frames, before the pooling or the classifier of a head.

    It is made with ``input_size``, and :class:`Sized`.
    """

    def __call__(self, x: torch.Tensor, lens: torch.Tensor) -> torch.Tensor:
        """Maps [batch, frames, input_size] and relative lengths [batch] to
        [batch, frames, output_size]; see :class:`Head` for what holds of padding."""


@runtime_checkable
class Sized(Protocol):
    """Encoder or pooling that declares the size of its output."""

    output_size: int | None
