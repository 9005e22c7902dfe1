"""The atomic checkpointer: whole or not there, whenever it is killed."""

import os

import pytest
import torch
import yaml
from speechbrain.utils.checkpoints import METAFNAME

from s3prl_sb.brains.checkpointer import AtomicCheckpointer


class Killed(BaseException):
    """Stands for the kill."""


@pytest.fixture
def checkpointer(tmp_path):
    return fresh(tmp_path / "save")


def fresh(folder):
    """As a new process makes it."""
    torch.manual_seed(0)
    recoverables = {"model": torch.nn.Linear(2, 2), "other": torch.nn.Linear(1, 1)}
    return AtomicCheckpointer(str(folder), recoverables)


def fill(checkpointer, value):
    for module in checkpointer.recoverables.values():
        module.weight.data.fill_(value)


def recovered(folder, **keys):
    """The value that a new process resumes with, None without a checkpoint."""
    checkpointer = fresh(folder)
    found = checkpointer.recover_if_possible(**keys)
    if found is None:
        return None
    values = {m.weight.unique().item() for m in checkpointer.recoverables.values()}
    assert len(values) == 1
    return values.pop()


def save(checkpointer, value, **kwargs):
    fill(checkpointer, value)
    return checkpointer.save_checkpoint(meta={"accuracy": value}, **kwargs)


def test_saved_and_recovered(checkpointer):
    folder = checkpointer.checkpoints_dir
    assert recovered(folder) is None
    saved = save(checkpointer, 1.0)
    assert saved.path.is_dir() and saved.path.name.startswith("CKPT+")
    assert set(saved.paramfiles) == {"model", "other"}
    assert all(path.is_file() for path in saved.paramfiles.values())
    assert checkpointer.list_checkpoints()[0].path == saved.path
    assert recovered(folder) == 1.0
    assert [path.name for path in folder.iterdir()] == [saved.path.name]


def test_best_and_latest(checkpointer):
    for value in (0.3, 0.9, 0.5):
        fill(checkpointer, value)
        checkpointer.save_and_keep_only(meta={"accuracy": value}, max_keys=["accuracy"])
    folder = checkpointer.checkpoints_dir
    assert recovered(folder) == pytest.approx(0.5)
    assert recovered(folder, max_key="accuracy") == pytest.approx(0.9)
    assert len(list(folder.iterdir())) == 2


def test_named(checkpointer):
    saved = save(checkpointer, 1.0, name="mine")
    assert (
        saved.path.name == "CKPT+mine"
        and recovered(checkpointer.checkpoints_dir) == 1.0
    )


@pytest.mark.parametrize(
    "point, call",
    [
        ("torch.save", 1),
        ("torch.save", 2),
        ("os.fsync", 1),
        ("os.fsync", 3),
        ("os.replace", 1),
    ],
)
def test_killed_while_saving(point, call, checkpointer, monkeypatch):
    save(checkpointer, 1.0)
    owner = torch if point.startswith("torch") else os
    name, calls = point.split(".")[1], []
    original = getattr(owner, name)

    def killed(*args, **kwargs):
        calls.append(args)
        if len(calls) == call:
            raise Killed
        return original(*args, **kwargs)

    monkeypatch.setattr(owner, name, killed)
    with pytest.raises(Killed):
        save(checkpointer, 2.0)
    monkeypatch.undo()
    folder = checkpointer.checkpoints_dir
    assert len(list(folder.iterdir())) == 2
    assert len(fresh(folder).list_checkpoints()) == 1
    assert recovered(folder) == 1.0
    assert len(list(folder.iterdir())) == 1  # what the kill left is gone
    again = fresh(folder)
    save(again, 3.0)
    assert recovered(folder) == 3.0


def test_all_is_on_the_disk_before_it_counts(checkpointer, monkeypatch):
    order = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: order.append("sync") or fsync(fd))
    monkeypatch.setattr(
        os, "replace", lambda a, b: order.append("name") or replace(a, b)
    )
    save(checkpointer, 1.0)
    assert order == ["sync"] * 3 + ["name", "sync"]


@pytest.mark.parametrize("victim", ["model.ckpt", "other.ckpt", METAFNAME])
def test_half_deleted(victim, checkpointer):
    save(checkpointer, 1.0)
    latest = save(checkpointer, 2.0)
    (latest.path / victim).unlink()
    folder = checkpointer.checkpoints_dir
    assert recovered(folder) == 1.0
    keeper = fresh(folder)
    fill(keeper, 3.0)
    keeper.save_and_keep_only(meta={"accuracy": 3.0}, max_keys=["accuracy"])
    assert recovered(folder) == 3.0


def test_checkpoints_of_speechbrain_are_read(checkpointer):
    """They do not list their files."""
    saved = save(checkpointer, 1.0)
    meta = yaml.safe_load((saved.path / METAFNAME).read_text())
    assert meta.pop("files") == ["model.ckpt", "other.ckpt"] and meta["accuracy"] == 1.0
    (saved.path / METAFNAME).write_text(yaml.dump(meta))
    assert recovered(checkpointer.checkpoints_dir) == 1.0
