"""Checkpoints of ours that a disk has changed: found, and gone back from."""

import logging
import re
import shutil

import pytest
import torch

from s3prl_sb.brains.checkpoint_files import in_order
from s3prl_sb.brains.checkpointer import AtomicCheckpointer, load_trained
from s3prl_sb.storage import checksums
from s3prl_sb.storage.files import FileError

FILES = ("CKPT.yaml", "SHA256SUMS", "model.ckpt", "other.ckpt")


def flip(path, share=0.5):
    content = bytearray(path.read_bytes())
    content[int(len(content) * share)] ^= 1
    path.write_bytes(content)


WAYS = {
    "flipped": flip,
    "truncated": lambda p: p.write_bytes(p.read_bytes()[: p.stat().st_size // 2]),
    "empty": lambda p: p.write_bytes(b""),
    "folder": lambda p: (p.unlink(), p.mkdir()),
    "json": lambda p: p.write_text("[3]"),
    "deleted": lambda p: p.unlink(),
}


def fresh(folder):
    """As a new process makes it."""
    torch.manual_seed(0)
    recoverables = {"model": torch.nn.Linear(2, 2), "other": torch.nn.Linear(1, 1)}
    return AtomicCheckpointer(str(folder), recoverables)


def fill(checkpointer, value):
    for module in checkpointer.recoverables.values():
        torch.nn.init.constant_(module.weight, value)


@pytest.fixture
def saved(tmp_path):
    """Three checkpoints, of which the second is the best."""
    checkpointer, found = fresh(tmp_path / "save"), []
    for epoch, accuracy in enumerate((0.5, 0.9, 0.7), 1):
        fill(checkpointer, epoch)
        meta = {"accuracy": accuracy, "epoch": epoch}
        found.append(checkpointer.save_checkpoint(meta=meta).path)
    return found


def resumed(folder):
    checkpointer = fresh(folder)
    checkpointer.recover_if_possible()
    return {m.weight.unique().item() for m in checkpointer.recoverables.values()}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("file", FILES)
def test_from_the_damaged_newest_to_the_older(file, way, saved, caplog):
    WAYS[way](saved[2] / file)
    if (file, way) == ("SHA256SUMS", "deleted"):  # as older versions left it
        assert resumed(saved[2].parent) == {3.0}
        return
    with caplog.at_level(logging.WARNING):
        assert resumed(saved[2].parent) == {2.0}
    assert saved[2].name in caplog.text and saved[1].name in caplog.text
    assert not saved[2].exists()  # nor can it be taken for the best later
    assert (saved[2].parent / f"damaged-{saved[2].name}").is_dir()
    assert resumed(saved[2].parent) == {2.0}


@pytest.mark.parametrize("way", WAYS)
def test_what_came_after_the_damaged_best_is_made_again(way, saved):
    """It would end with another best one, silently."""
    WAYS[way](saved[1] / "model.ckpt")
    assert resumed(saved[0].parent) == {1.0}
    assert [c.path for c in fresh(saved[0].parent).list_checkpoints()] == [saved[0]]


@pytest.mark.parametrize("file", FILES)
def test_none_is_whole(file, saved):
    for path in saved:
        flip(path / file)
    with pytest.raises(FileError) as caught:
        resumed(saved[0].parent)
    assert str(saved[0]) in str(caught.value)
    assert "To train from the start, delete" in str(caught.value)
    assert all(path.is_dir() for path in saved)  # nothing is touched


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("file", ["CKPT.yaml", "model.ckpt"])
def test_the_chosen_one_is_never_another(file, way, saved):
    WAYS[way](saved[1] / file)
    checkpointer = fresh(saved[1].parent)
    with pytest.raises(FileError, match=re.escape(str(saved[1] / file))):
        checkpointer.load_checkpoint(checkpointer.find_best("accuracy"))


def test_every_bit_counts(saved):
    path = saved[1] / "model.ckpt"
    sound = path.read_bytes()
    for share in torch.linspace(0, 0.999, 40).tolist():
        flip(path, share)
        with pytest.raises(FileError, match="model.ckpt"):
            fresh(saved[1].parent).verified(saved[1])
        path.write_bytes(sound)
    fresh(saved[1].parent).verified(saved[1])


def test_a_module_that_a_checkpoint_lacks(saved):
    """Also in one whose checksums say so."""
    (saved[2] / "other.ckpt").unlink()
    checksums.write(saved[2])
    assert resumed(saved[0].parent) == {2.0}
    checkpointer = fresh(saved[0].parent)
    checkpointer.add_recoverable("dataloader-TRAIN", torch.nn.Linear(1, 1))
    with pytest.raises(FileError, match="dataloader-TRAIN.ckpt' is missing"):
        checkpointer.recover_if_possible()
    checkpointer = fresh(saved[0].parent)
    scaler = torch.amp.GradScaler(enabled=False)
    checkpointer.add_recoverable("scaler", scaler, optional_load=True)
    assert checkpointer.recover_if_possible() is not None


def test_checkpoints_of_older_versions(saved):
    """Files of torch have their own checksums."""
    for path in saved:
        (path / checksums.FILE).unlink()
    assert resumed(saved[0].parent) == {3.0}
    for way in ("truncated", "empty", "folder"):
        copy = saved[0].parent.with_name(way)
        shutil.copytree(saved[0].parent, copy)
        WAYS[way](copy / saved[2].name / "model.ckpt")
        assert resumed(copy) == {2.0}
    path = saved[2] / "model.ckpt"
    reader = torch._C.PyTorchFileReader(str(path))
    start = reader.get_record_offset("data/0")
    del reader
    content = bytearray(path.read_bytes())
    content[start] ^= 1
    path.write_bytes(content)
    assert resumed(saved[0].parent) == {2.0}


def test_names_tell_the_order(saved, tmp_path):
    """SpeechBrain gives the name of a deleted one again."""
    folder = saved[0].parent
    checkpointer = fresh(folder)
    for _ in range(5):
        fill(checkpointer, 4.0)
        checkpointer.save_and_keep_only(meta={"accuracy": 0.1, "epoch": 4})
    names = [c.path for c in checkpointer.find_checkpoints()][::-1]
    assert names == in_order(names) == sorted(names)
    for path in names:
        (path / "CKPT.yaml").write_text("")
    assert in_order(names[::-1]) == names


# ---------------------------------------------------------------- what was trained
@pytest.mark.parametrize("way", ["truncated", "empty", "json", "folder", "deleted"])
def test_load_trained_names_the_file(way, tmp_path):
    path = tmp_path / "head.ckpt"
    torch.save(torch.nn.Linear(2, 2).state_dict(), path)
    WAYS[way](path)
    with pytest.raises(FileError, match=re.escape(str(path))):
        load_trained(torch.nn.Linear(2, 2), path)


@pytest.mark.parametrize(
    "content",
    [
        {"weight": torch.zeros(2, 2)},
        {"weight": torch.zeros(3, 2), "bias": torch.zeros(3)},
        {"weight": torch.zeros(2, 2), "bias": torch.zeros(2), "more": torch.zeros(1)},
        [1, 2],
        {},
    ],
    ids=["missing", "shape", "unexpected", "list", "nothing"],
)
def test_load_trained_is_strict(content, tmp_path):
    path = tmp_path / "head.ckpt"
    torch.save(content, path)
    module = torch.nn.Linear(2, 2)
    before = module.weight.clone()
    with pytest.raises(FileError, match="head.ckpt") as caught:
        load_trained(module, path)
    assert len(str(caught.value).splitlines()) <= 3
    assert torch.equal(module.weight, before)
