"""Batches that do not fit are named; rehearsing the largest changes nothing."""

import contextlib
from types import SimpleNamespace

import pytest
import speechbrain as sb
import torch
from speechbrain.dataio.batch import PaddedBatch

from s3prl_sb.brains import memory
from s3prl_sb.dataio.dataset import ManifestDataset
from s3prl_sb.dataio.sampler import StepSampler


def batch(count=3):
    return PaddedBatch([{"id": f"utt{i}", "sig": torch.ones(5)} for i in range(count)])


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB.\nmore"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: 5 bytes"),
    ],
)
def test_a_batch_too_large_is_named_with_the_way_out(error):
    with pytest.raises(memory.BatchTooLarge) as raised, memory.named(batch(10)):
        raise error
    message = str(raised.value)
    for part in ("10 utterances", "sig [10, 5]", "utt0", "2 more", "batch_size"):
        assert part in message
    assert "grad_accumulation_factor" in message and "batch_seconds" in message
    assert raised.value.__cause__ is error and "more\n" not in message


def test_other_errors_pass():
    with pytest.raises(RuntimeError, match="shapes"), memory.named(batch()):
        raise RuntimeError("shapes cannot be multiplied")


class Brain:
    """A Brain as far as a rehearsal goes, with a batch norm to be left alone."""

    def __init__(self, fits=True):
        modules = {"head": torch.nn.BatchNorm1d(5)}
        self.modules, self.fits = torch.nn.ModuleDict(modules), fits
        self.training_ctx, self.optimizers_dict = contextlib.nullcontext(), {}
        self.trained = []

    def compute_forward(self, batch, stage):
        self.trained.append((stage, self.modules["head"].training))
        return self.modules["head"](batch.sig.data + torch.randn(1))

    def compute_objectives(self, predictions, batch, stage):
        if not self.fits:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return predictions.pow(2).sum()


def test_a_rehearsal_changes_nothing():
    brain = Brain()
    brain.modules.eval()  # as validation leaves it
    before = {k: v.clone() for k, v in brain.modules.state_dict().items()}
    memory.rehearse(brain, batch())
    assert brain.trained == [(sb.Stage.TRAIN, True)]
    for name, value in brain.modules.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert all(p.grad is None for p in brain.modules.parameters())
    with pytest.raises(memory.BatchTooLarge, match="utt0, utt1, utt2"):
        memory.rehearse(Brain(fits=False), batch())


def test_the_longest_utterances_make_the_largest_batch():
    records = {f"{n}": {"duration": float(n % 7)} for n in range(20)}
    dataset = ManifestDataset(records, output_keys=["id"])
    loader = SimpleNamespace(collate_fn=PaddedBatch)
    make = memory.longest(dataset, StepSampler(20, 2, 1), loader)
    assert make().id == ["6", "13"]
