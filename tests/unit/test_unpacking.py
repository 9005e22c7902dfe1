"""Checkpoints inside a published zip."""

import zipfile

import pytest
import torch

from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.checkpoints.unpacking import unpacked


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("S3PRL_SB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def zipped(path, **members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/") + ".pth", content)
    return path


def test_a_zip_is_unpacked_once(tmp_path, cache):
    """The folder has the name that it has in the zip."""
    path = zipped(tmp_path / "a.zip", model__weights=b"1" * 1000)
    file = unpacked(path, (".pth",))
    assert file.relative_to(cache).parts[2:] == ("model", "weights.pth")
    assert file.read_bytes() == b"1" * 1000
    written = file.stat().st_mtime_ns
    assert unpacked(path, (".pth",)) == file
    assert file.stat().st_mtime_ns == written


def test_names_do_not_lead_out_of_the_cache(tmp_path, cache):
    """A member may call its folder "..", or be without one."""
    for name in ("..__weights", "__etc__..__weights", "weights"):
        path = zipped(tmp_path / f"{len(name)}.zip", **{name: b"1"})
        file = unpacked(path, (".pth",))
        assert len(file.resolve().relative_to(cache.resolve()).parts) == 4


def test_other_files_are_themselves(tmp_path):
    """Folders, files without a zip's format, and torch's zips."""
    torch.save({"a": torch.ones(2)}, tmp_path / "a.pth")
    (tmp_path / "b.pth").write_bytes(b"no zip")
    for path in (tmp_path, tmp_path / "a.pth", tmp_path / "b.pth", tmp_path / "c.pth"):
        assert unpacked(path, (".pth",)) == path


def test_damaged_and_ambiguous_zips_are_refused(tmp_path):
    """The error names the zip and what it holds."""
    path = zipped(tmp_path / "two.zip", a=b"1", b=b"2")
    with pytest.raises(CheckpointError, match="zip with 2 .* a.pth, b.pth"):
        unpacked(path, (".pth",))
    path = zipped(tmp_path / "bad.zip", a=bytes(range(256)) * 10)
    content = bytearray(path.read_bytes())
    content[60] ^= 255
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="bad.zip' is a damaged zip"):
        unpacked(path, (".pth",))
