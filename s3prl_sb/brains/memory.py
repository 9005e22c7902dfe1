"""Early detection of batches that do not fit into memory.

Authors
 * The s3prl_sb developers, 2026
"""

import contextlib
import logging

import torch

from s3prl_sb.errors import UserError
from s3prl_sb.terminal.messages import few

logger = logging.getLogger(__name__)

SHOWN = 8  # largest number of utterances named in a message
#: Parts of the messages of CPU errors and of the GPU's libraries.
OUT_OF_MEMORY = (
    "can't allocate memory",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUBLAS_STATUS_ALLOC_FAILED",
)
#: The fixes.
OF_A_TASK = (
    "Lower batch_size and raise grad_accumulation_factor by as much, or set "
    "batch_seconds; in evaluation lower batch_size in valid_dataloader_opts and "
    "test_dataloader_opts."
)
OF_PRETRAINING = (
    "Lower batch_seconds and raise grad_accumulation_factor by as much; lower "
    "sequence_seconds; or set activation_checkpointing: True."
)


class BatchTooLarge(UserError, MemoryError):
    """A batch that does not fit into memory; the message has a fix."""


@contextlib.contextmanager
def named(batch):
    """Names the batch if memory runs out within the context.

    Arguments
    ---------
    batch : speechbrain.dataio.batch.PaddedBatch
        Batch with ``id``, and ``sig`` or ``feats``; or one of pre-training, with
        ``seconds``.

    Raises
    ------
    BatchTooLarge
        Instead of torch's error.
    """
    try:
        yield
    except RuntimeError as error:
        if not _is_out_of_memory(error):
            raise
        if hasattr(batch, "seconds"):
            size, fix = f", {batch.seconds:.0f} s of audio", OF_PRETRAINING
        else:
            inputs = [name for name in ("sig", "feats") if hasattr(batch, name)]
            shapes = [f", {x} {list(getattr(batch, x).data.shape)}" for x in inputs[:1]]
            size, fix = "".join(shapes), OF_A_TASK
        raise BatchTooLarge(
            f"Out of memory on a batch of {len(batch.id)} utterances{size}: "
            f"{few(map(str, batch.id), SHOWN)}. {fix} ({str(error).splitlines()[0]})"
        ) from error


def longest(dataset, sampler, loader):
    """Returns a function that makes the batch that needs the most memory.

    Arguments
    ---------
    dataset : s3prl_sb.dataio.dataset.ManifestDataset
        The training set.
    sampler : s3prl_sb.dataio.sampler.StepSampler
        Sampler that composes the batches.
    loader : torch.utils.data.DataLoader
        Loader that collates them.

    Returns
    -------
    callable
        Takes no arguments, returns the batch.
    """
    indices = sampler.longest(dataset.longest_forms())

    def make():
        return loader.collate_fn([dataset[index, 0] for index in indices])

    return make


def rehearse(brain, batch):
    """Checks before the training that the largest batch fits into memory.

    It runs forward and backward without an update, and changes nothing.

    Arguments
    ---------
    brain : s3prl_sb.brains.training.TrainingBrain
        Brain to train.
    batch : speechbrain.dataio.batch.PaddedBatch or WaveBatch
        Largest batch, see :func:`longest`.

    Raises
    ------
    BatchTooLarge
        If the batch does not fit.
    """
    import speechbrain as sb

    buffers = {n: b.clone() for n, b in brain.modules.named_buffers()}
    brain.modules.train()
    with named(batch):
        moments = _placeholder_moments(brain.optimizers_dict.values())
        with brain.training_ctx:
            predictions = brain.compute_forward(batch, sb.Stage.TRAIN)
            loss = brain.compute_objectives(predictions, batch, sb.Stage.TRAIN)
        loss.backward()
    del moments
    brain.modules.zero_grad(set_to_none=True)
    with torch.no_grad():
        for name, buffer in brain.modules.named_buffers():
            buffer.copy_(buffers[name])
    logger.info("The largest batch fits: %d utterances", len(batch.id))


def _placeholder_moments(optimizers):
    """Allocates as much memory as Adam's two moments will need."""
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
