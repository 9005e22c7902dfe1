"""Checksums of a folder, which other programs can check too."""

import shutil
import subprocess

import pytest

from s3prl_sb.storage import checksums
from s3prl_sb.storage.files import FileError


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "a.bin").write_bytes(bytes(range(256)) * 10_000)
    (tmp_path / "inner/b ü.txt").write_text("b")
    (tmp_path / ".hidden").write_text("c")
    checksums.write(tmp_path)
    return tmp_path


def test_sound(folder):
    assert sorted(checksums.verify(folder)) == ["a.bin", "inner/b ü.txt"]
    moved = shutil.move(folder, f"{folder}-moved")
    assert len(checksums.verify(moved)) == 2
    shutil.move(moved, folder)


@pytest.mark.skipif(not shutil.which("sha256sum"), reason="needs coreutils")
def test_as_sha256sum_has_it(folder):
    command = ["sha256sum", "-c", checksums.FILE]
    assert subprocess.run(command, cwd=folder, capture_output=True).returncode == 0


def test_one_bit(folder):
    path = folder / "a.bin"
    content = bytearray(path.read_bytes())
    content[1_500_000] ^= 4
    path.write_bytes(content)
    with pytest.raises(checksums.DamagedFile, match="a.bin' is damaged.*Do so."):
        checksums.verify(folder, "Do so.")


def test_missing_and_folders(folder):
    path = folder / "inner/b ü.txt"
    path.unlink()
    with pytest.raises(FileError, match="b ü.txt' is missing"):
        checksums.verify(folder)
    path.mkdir()
    with pytest.raises(FileError, match="b ü.txt' cannot be read: Is a directory"):
        checksums.verify(folder)


@pytest.mark.parametrize("content", [b"", b"x", b"\xff", b"0" * 64 + b"  a.bin\n"])
def test_the_list_itself(content, folder):
    (folder / checksums.FILE).write_bytes(content)
    with pytest.raises(FileError, match="SHA256SUMS|a.bin"):
        checksums.verify(folder)


def test_without(tmp_path):
    assert checksums.verify(tmp_path) is None


@pytest.mark.parametrize("name", ["/dev/zero", "../a.txt", "b/../../a.txt", "link"])
def test_files_elsewhere(name, tmp_path):
    folder = tmp_path / "export"
    (folder / "b").mkdir(parents=True)
    (folder / "link").symlink_to("/dev/zero")
    (folder / checksums.FILE).write_text(f"{'0' * 64}  {name}\n")
    with pytest.raises(checksums.DamagedFile, match="is elsewhere|is missing"):
        checksums.verify(folder)
