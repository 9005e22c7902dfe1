"""Examples to a batch: SpeechBrain's ``PaddedBatch``, gathered in one go.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Sequence

import torch
from speechbrain.dataio.batch import PaddedBatch
from speechbrain.utils.data_utils import batch_pad_right

#: Types of values that ``default_convert`` of torch returns as they are.
PLAIN = {torch.Tensor, str, int, float, bool}


def collate(examples: Sequence[dict]) -> PaddedBatch:
    """Returns the batch that ``PaddedBatch(examples)`` is, in less time.

    Arguments
    ---------
    examples : list of dict
        Examples with the same keys.

    Returns
    -------
    speechbrain.dataio.batch.PaddedBatch

    Example
    -------
    >>> batch = collate([{"sig": torch.ones(2)}, {"sig": torch.ones(1)}])
    >>> batch.sig.data.tolist(), batch.sig.lengths.tolist()
    ([[1.0, 1.0], [1.0, 0.0]], [1.0, 0.5])
    """
    types = {type(value) for example in examples for value in example.values()}
    return PaddedBatch(
        examples, padding_func=pad_right, apply_default_convert=not types <= PLAIN
    )


def pad_right(tensors: list[torch.Tensor], **options):
    """Pads tensors with zeros at the end of the first dimension, with one copy of each.

    SpeechBrain's ``batch_pad_right``, which it equals, makes two.

    Arguments
    ---------
    tensors : list of torch.Tensor
        [length_i, ...].
    **options
        See ``batch_pad_right``, which does the work if there are any.

    Returns
    -------
    batch : torch.Tensor
        [batch, length, ...].
    lengths : torch.Tensor
        [batch], relative.

    Raises
    ------
    OSError
        If the other dimensions differ, from SpeechBrain.

    Example
    -------
    >>> pad_right([torch.ones(2, 1), torch.ones(1, 1)])[0].shape
    torch.Size([2, 2, 1])
    """
    if tensors and not options and tensors[0].dim() and len(tensors[0]):
        shape, dtype = tensors[0].shape, tensors[0].dtype
        # Alike, as pooled features are.
        if all(t.shape == shape and t.dtype == dtype for t in tensors):
            return torch.stack(tensors), torch.ones(len(tensors))
    kinds = {(t.shape[1:], t.dtype, t.device) for t in tensors if t.dim()}
    longest = max((len(t) for t in tensors if t.dim()), default=0)
    plain = all(t.dim() and not t.requires_grad for t in tensors)
    if options or not longest or len(kinds) > 1 or not plain:
        return batch_pad_right(tensors, **options)
    batch = tensors[0].new_zeros(len(tensors), longest, *tensors[0].shape[1:])
    for row, tensor in zip(batch, tensors):
        row[: len(tensor)] = tensor
    return batch, torch.tensor([len(t) / longest for t in tensors])
