"""The atomic checkpointer: whole or not there, whenever it is killed."""

import os
import shutil

import pytest
import torch

from s3prl_sb.brains.checkpointer import AtomicCheckpointer
from s3prl_sb.storage.files import FileError


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


def test_a_view_is_saved_without_what_it_is_of(tmp_path):
    """As the weights of a stacked copy are, which are views of those of all copies."""
    sizes = []
    for number, weight in enumerate((torch.ones(2, 1000), torch.ones(50, 2, 1000)[7])):
        layer = torch.nn.Linear(1000, 2)
        layer.weight.data = weight
        checkpointer = AtomicCheckpointer(str(tmp_path / str(number)))
        checkpointer.add_trained("layer", layer)
        saved = checkpointer.save_checkpoint()
        sizes.append(saved.paramfiles["layer"].stat().st_size)
        layer.weight.data = torch.zeros(2, 1000)
        checkpointer.recover_if_possible()
        assert torch.equal(layer.weight.data, torch.ones(2, 1000))
    assert sizes[0] == sizes[1]


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
    # The checksums, which are written whole or not at all; all files; the folder.
    assert order == ["sync", "name"] + ["sync"] * 4 + ["name", "sync"]


@pytest.mark.parametrize("point", ["os.replace", "shutil.rmtree", "os.unlink"])
def test_killed_while_deleting(point, checkpointer, monkeypatch):
    """One of the two that are to go is half gone, or not at all."""
    for value in (1.0, 2.0, 3.0):
        save(checkpointer, value)
    owner = {"os": os, "shutil": shutil}[point.split(".")[0]]
    name, calls = point.split(".")[1], []
    original = getattr(owner, name)

    def killed(*args, **kwargs):
        calls.append(args)
        if len(calls) == 2:
            raise Killed
        return original(*args, **kwargs)

    monkeypatch.setattr(owner, name, killed)
    with pytest.raises(Killed):
        checkpointer.delete_checkpoints(max_keys=["accuracy"])
    monkeypatch.undo()
    folder = checkpointer.checkpoints_dir
    assert recovered(folder) == 3.0  # whatever else is left can be loaded
    assert {path.name[:5] for path in folder.iterdir()} == {"CKPT+"}
    keeper = fresh(folder)
    keeper.save_and_keep_only(meta={"accuracy": 0.0}, max_keys=["accuracy"])
    assert len(list(folder.iterdir())) == 2


@pytest.mark.parametrize("highest", [True, False])
def test_the_earliest_of_equals_is_the_best(highest, checkpointer):
    best, worse = (0.9, 0.5) if highest else (0.5, 0.9)
    values = enumerate((worse, best, best, worse, best), 1)
    metas = [{"accuracy": value, "epoch": epoch} for epoch, value in values]
    saved = [checkpointer.save_checkpoint(meta=meta) for meta in metas]
    found = fresh(checkpointer.checkpoints_dir).find_best("accuracy", highest)
    assert found.path == saved[1].path
    assert checkpointer.find_best("wer", highest) is None


def test_checkpoints_of_speechbrain_are_read(checkpointer):
    from speechbrain.utils.checkpoints import Checkpointer

    fill(checkpointer, 1.0)
    folder = checkpointer.checkpoints_dir
    Checkpointer(folder, checkpointer.recoverables).save_checkpoint()
    assert recovered(folder) == 1.0


@pytest.mark.parametrize("error", [RuntimeError("[enforce fail"), OSError(28, "full")])
def test_a_full_disk_is_named(error, checkpointer, tmp_path, monkeypatch):
    """And what was saved before is gone on with."""
    fill(checkpointer, 1)
    checkpointer.save_checkpoint()

    def full(*args, **kwargs):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", full)
        with pytest.raises(FileError, match="save' takes no checkpoint.* MB"):
            checkpointer.save_checkpoint()
    assert recovered(tmp_path / "save") == 1
