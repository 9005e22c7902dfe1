"""Batches that do not fit: found at once, and named.

Authors
 * The s3prl_sb developers, 2026
"""

import contextlib
import logging

import torch

from s3prl_sb.errors import UserError

logger = logging.getLogger(__name__)

SHOWN = 8  # utterances named in a message
#: What errors of a CPU and of the GPU's libraries say.
OUT_OF_MEMORY = (
    "can't allocate memory",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUBLAS_STATUS_ALLOC_FAILED",
)


class BatchTooLarge(UserError, MemoryError):
    """A batch for which the memory does not suffice, and the way out."""


@contextlib.contextmanager
def named(batch):
    """Names the batch in whose middle the memory runs out.

    Arguments
    ---------
    batch : speechbrain.dataio.batch.PaddedBatch
        With ``id``, and ``sig`` or ``feats``.

    Raises
    ------
    BatchTooLarge
        In place of torch's error.
    """
    try:
        yield
    except RuntimeError as error:
        if not _is_out_of_memory(error):
            raise
        ids = list(batch.id)
        shape = next(
            (
                f", {name} {list(getattr(batch, name).data.shape)}"
                for name in ("sig", "feats")
                if hasattr(batch, name)
            ),
            "",
        )
        more = f" and {len(ids) - SHOWN} more" if len(ids) > SHOWN else ""
        raise BatchTooLarge(
            f"Out of memory on a batch of {len(ids)} utterances{shape}: "
            f"{', '.join(map(str, ids[:SHOWN]))}{more}. Lower batch_size and raise "
            "grad_accumulation_factor by as much, or set batch_seconds; in "
            "evaluation lower batch_size in valid_dataloader_opts and "
            f"test_dataloader_opts. ({str(error).splitlines()[0]})"
        ) from error


def longest(dataset, sampler, loader):
    """The batch that needs the most memory, to be made when it is wanted.

    Arguments
    ---------
    dataset : s3prl_sb.dataio.dataset.ManifestDataset
        The training set.
    sampler : s3prl_sb.dataio.sampler.StepSampler
        Knows which utterances may meet in a batch.
    loader : torch.utils.data.DataLoader
        Knows how they are put together.

    Returns
    -------
    callable
        Without arguments, gives the batch.
    """
    durations = [record.get("duration", 0) for record in dataset.data.values()]
    indices = sampler.longest(durations)

    def make():
        return loader.collate_fn([dataset[index, 0] for index in indices])

    return make


def rehearse(brain, batch):
    """Proves that the largest batch fits, before hours of training.

    Forward and backward, without a step: nothing is changed.

    Arguments
    ---------
    brain : s3prl_sb.brains.base.SSLBrain
        About to train.
    batch : speechbrain.dataio.batch.PaddedBatch
        From :func:`longest`.

    Raises
    ------
    BatchTooLarge
        If it does not.
    """
    import speechbrain as sb

    buffers = {n: b.clone() for n, b in brain.modules.named_buffers()}
    brain.modules.train()
    with named(batch):
        room = _room_for_states(brain.optimizers_dict.values())
        with brain.training_ctx:
            predictions = brain.compute_forward(batch, sb.Stage.TRAIN)
            loss = brain.compute_objectives(predictions, batch, sb.Stage.TRAIN)
        loss.backward()
    del room
    brain.modules.zero_grad(set_to_none=True)
    with torch.no_grad():
        for name, buffer in brain.modules.named_buffers():
            buffer.copy_(buffers[name])
    logger.info("The largest batch fits: %d utterances", len(batch.id))


def _room_for_states(optimizers):
    """What Adam's two moments will take from the first step on."""
    return [
        torch.empty_like(parameter)
        for optimizer in optimizers
        if not optimizer.state
        for group in optimizer.param_groups
        for parameter in group["params"]
        for _ in range(2)
    ]


def _is_out_of_memory(error):
    if isinstance(error, torch.OutOfMemoryError):
        return True
    return any(text in str(error) for text in OUT_OF_MEMORY)
