"""Standing of a pre-training: what several processes have counted survives a kill."""

import pytest
import torch
from speechbrain.utils.checkpoints import Checkpointer

from s3prl_sb.brains import distributed
from s3prl_sb.brains.pretraining_standing import (
    OtherProcesses,
    Standing,
    Unreadable,
)
from s3prl_sb.objectives.base import Outcome

ONE = torch.tensor(1.0)


def counted(name):
    standing = Standing(rows=100, share=0.5)
    standing.sums.add(Outcome(ONE, ONE, {}), seconds=3.0)
    standing.read(tried=4, failed=[(name, "it is empty")])
    return standing


def test_a_checkpoint_has_what_all_processes_have_counted(monkeypatch, tmp_path):
    first, second = counted("a.wav"), counted("b.wav")
    parts = [[first.sums.values, second.sums.values], [first.failed, second.failed]]
    monkeypatch.setattr(distributed, "_gathered", lambda value: parts.pop(0))
    first.gather()
    saved = Checkpointer(tmp_path, {"standing": first}).save_checkpoint()
    resumed = Standing(rows=100, share=0.5)
    Checkpointer(tmp_path, {"standing": resumed}).load_checkpoint(saved)
    assert {k: float(v) for k, v in resumed.sums.values.items()} == {
        "loss": 2.0,
        "count": 2.0,
        "audio_seconds": 6.0,
    }
    assert sorted(resumed.failed) == ["a.wav", "b.wav"]
    assert float(first.sums.values["audio_seconds"]) == 3.0


def test_the_share_of_unreadable_audio_is_of_all_that_was_opened():
    standing = Standing(rows=10, share=0.2)
    standing.read(tried=2, failed=[("a.wav", "it is empty"), ("b.wav", "it is empty")])
    with pytest.raises(Unreadable, match="3 of 4"):
        standing.read(tried=2, failed=[("c.wav", "it is empty")])


def test_another_number_of_processes_goes_on_after_a_validation_only(
    monkeypatch, tmp_path
):
    first = Checkpointer(tmp_path, {"standing": Standing()})
    within = first.save_checkpoint(end_of_epoch=False)
    after = first.save_checkpoint()
    monkeypatch.setenv("WORLD_SIZE", "2")
    second = Checkpointer(tmp_path, {"standing": Standing()})
    second.load_checkpoint(after)
    with pytest.raises(OtherProcesses, match="was 1, not 2"):
        second.load_checkpoint(within)
