"""The mean loss of an evaluation, and of a batch that several processes share."""

from types import SimpleNamespace

import pytest
import speechbrain as sb
import torch

from s3prl_sb.brains.base import SSLBrain
from s3prl_sb.brains.caching import dtype
from s3prl_sb.brains.distributed import share
from s3prl_sb.inference.pretrained import SpeechModel

LOSSES = torch.arange(10.0) ** 2  # of utterances


class Losses(SSLBrain):
    """A batch's loss is the mean over its utterances."""

    def compute_forward(self, batch, stage):
        return None

    def compute_objectives(self, predictions, batch, stage):
        return LOSSES[batch.id].mean()


def brain():
    """One without a model."""
    made = Losses.__new__(Losses)
    made.evaluation_ctx = torch.no_grad()
    made.device_type = "cpu"
    return made


@pytest.mark.parametrize("size", [1, 3, 4, 10])
def test_the_mean_loss_does_not_depend_on_the_batches(size):
    made, mean = brain(), 0.0
    made.on_stage_start(sb.Stage.VALID)
    with torch.no_grad():
        for first in range(0, 10, size):
            batch = SimpleNamespace(id=list(range(first, min(first + size, 10))))
            loss = made.evaluate_batch(batch, sb.Stage.VALID)
            mean = made.update_average(loss, mean)
        mean = made.update_average(torch.tensor(float("nan")), mean)
    assert mean == pytest.approx(float(LOSSES.mean()))


def test_the_mean_loss_of_training_is_speechbrains():
    made = brain()
    made.step = 2
    assert made.update_average(torch.tensor(3.0), 1.0) == 2.0


def test_two_processes_weigh_what_they_have(monkeypatch):
    """Means over 3 and over 1 items: DDP's mean of both is that over all four."""
    losses = torch.tensor([1.0, 2.0, 6.0, 11.0])
    parts = [losses[:3], losses[3:]]
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda count: count.fill_(4))
    shared = [share(part.mean(), torch.tensor(len(part))) for part in parts]
    assert sum(shared) / 2 == losses.mean()


def test_one_process_shares_with_nobody():
    loss = torch.tensor(3.0)
    assert share(loss, torch.tensor(2)) is loss


@pytest.mark.parametrize(
    "name, kind, expected",
    [
        ("train", "frames", "float16"),
        ("valid", "frames", "float16"),
        ("test", "frames", "float32"),
        ("train", "pooled", "float32"),
        ("test", "pooled", "float32"),
    ],
)
def test_what_is_tested_on_is_exact(name, kind, expected):
    made = SimpleNamespace(hparams=SimpleNamespace(cache_dtype="float16"))
    assert dtype(made, name, kind) == expected
    made.hparams.cache_dtype = "float32"
    assert dtype(made, name, kind) == "float32"


class Precision(Losses):
    """Its loss says in which precision products are."""

    def compute_objectives(self, predictions, batch, stage):
        return torch.tensor(float(torch.get_float32_matmul_precision() == "highest"))


def test_products_are_exact_where_it_is_evaluated_and_in_an_export():
    made = Precision.__new__(Precision)
    made.evaluation_ctx, made.device_type = torch.no_grad(), "cpu"
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        batch = SimpleNamespace(id=["a"])
        assert made.evaluate_batch(batch, sb.Stage.TEST) == 1
        with SpeechModel({}, {"audio_pipes": []}).as_tested():
            assert torch.get_float32_matmul_precision() == "highest"
            assert not torch.is_grad_enabled()
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)
