"""Files and folders that are whole or not there: kills, others, no locks, mounts."""

import errno
import os
import signal
import subprocess
import sys
import time

import pytest

from s3prl_sb.errors import UserError
from s3prl_sb.storage import locks, parts
from s3prl_sb.storage.files import write_text
from s3prl_sb.storage.parts import Part

#: Waits at a point: in the making, before or after it gets its name.
STOPPED = """
import os, sys, time
from pathlib import Path
from s3prl_sb.storage import parts
from s3prl_sb.storage.parts import Part
path, moment, kind = sys.argv[1:]

def wait():
    print("now", flush=True)
    time.sleep(60)

def stop(owner, name, after):
    original = getattr(owner, name)
    def stopped(*args):
        found = original(*args) if after else None
        wait()
        return found
    setattr(owner, name, stopped)

with Part(path) as part:
    if kind == "folder":
        part.path.mkdir()
        (part.path / "a").write_text("new")
    else:
        part.path.write_text("new")
    if moment == "making":
        wait()
    if moment == "old away":  # no exchange, as on most network file systems
        parts._exchanged = lambda one, other: False
        stop(parts.os, "rename", after=True)
    if moment == "filling":
        parts._is_current = lambda folder: True
        stop(parts.os, "rename", after=True)
    if moment == "before":
        name = "_exchanged" if kind == "folder" else "replace"
        stop(parts if kind == "folder" else parts.os, name, after=False)
    if moment == "after":
        stop(parts.Part, "close", after=False)
    part.publish()
"""


def killed(path, moment, kind):
    process = subprocess.Popen(
        [sys.executable, "-c", STOPPED, str(path), moment, kind],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "now\n"
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    process.stdout.close()


def make(path, text):
    with Part(path) as part:
        part.path.mkdir()
        (part.path / "a").write_text(text)
        part.publish()


@pytest.mark.parametrize("moment", ["making", "before", "after"])
def test_a_killed_file(moment, tmp_path):
    path = tmp_path / "file.txt"
    write_text(path, "old")
    killed(path, moment, "file")
    assert path.read_text() == ("new" if moment == "after" else "old")
    assert [p.name for p in tmp_path.glob("[!.]*")] == ["file.txt"]
    write_text(path, "newer")
    assert path.read_text() == "newer" and os.listdir(tmp_path) == ["file.txt"]


@pytest.mark.parametrize("moment", ["making", "before", "old away", "filling", "after"])
def test_a_killed_folder(moment, tmp_path):
    path = tmp_path / "folder"
    make(path, "old")
    (path / "notes").write_text("mine")
    killed(path, moment, "folder")
    if moment not in ("old away", "filling"):  # there only it needs the next one
        assert (path / "a").read_text() == ("new" if moment == "after" else "old")
    parts.recover(path)
    is_new = moment in ("filling", "after")
    assert (path / "a").read_text() == ("new" if is_new else "old")
    assert (path / "notes").read_text() == "mine"
    assert os.listdir(tmp_path) == ["folder"]
    make(path, "newer")
    assert (path / "a").read_text() == "newer"
    assert os.listdir(tmp_path) == ["folder"]


def test_what_kills_left_is_cleared(tmp_path):
    for name in ("x", "deep/y"):
        killed(tmp_path / name, "after", "file")
    with Part(tmp_path / "live") as part:
        parts.clear(tmp_path)
        assert sorted(p.name for p in tmp_path.rglob(".*.part")) == [".live.part"]
        assert part.folder.is_dir()
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["deep", "x", "y"]


def test_what_older_versions_left(tmp_path):
    (tmp_path / ".a.txt.part").write_text("half")
    write_text(tmp_path / "a.txt", "whole")
    assert os.listdir(tmp_path) == ["a.txt"]


def test_many_write_one_file(tmp_path):
    """None is lost, and the file is always one of theirs."""
    code = f"""
import sys
from s3prl_sb.storage.files import write_text
for _ in range(60):
    write_text({str(tmp_path / "file")!r}, sys.argv[1] * 100_000)
"""
    line = [sys.executable, "-c", code]
    writers = [subprocess.Popen([*line, letter]) for letter in "abcdef"]
    while any(writer.poll() is None for writer in writers):
        if (tmp_path / "file").exists():
            text = (tmp_path / "file").read_text()
            assert len(text) == 100_000 and len(set(text)) == 1
    assert [writer.returncode for writer in writers] == [0] * 6
    assert os.listdir(tmp_path) == ["file"]


def test_a_claim_keeps_others_out(tmp_path):
    one, other = Part(tmp_path / "a"), Part(tmp_path / "a")
    assert one.claim() and not other.claim(wait=False)
    assert f"process {os.getpid()} on " in other.holder()
    other.close()  # has nothing: the first one's stays
    one.path.write_text("whole")
    one.publish()
    one.close()
    assert other.claim(wait=False)
    other.close()
    assert os.listdir(tmp_path) == ["a"] and (tmp_path / "a").read_text() == "whole"


def test_an_error_leaves_nothing(tmp_path):
    with pytest.raises(ValueError), Part(tmp_path / "a" / "b") as part:
        part.path.write_text("half")
        raise ValueError
    assert os.listdir(tmp_path / "a") == []


def test_files_of_others_come_along(tmp_path):
    make(tmp_path / "folder", "old")
    (tmp_path / "folder/sub").mkdir()
    for name in ("sub/mine", "mine", "own"):
        (tmp_path / "folder" / name).write_text(name)
    with Part(tmp_path / "folder") as part:
        part.path.mkdir()
        (part.path / "a").write_text("new")
        part.publish(keep=lambda name: name != "own")
    found = {p.name: p.read_text() for p in (tmp_path / "folder").rglob("*[!b]")}
    assert found == {"a": "new", "mine": "sub/mine"} | {"mine": found["mine"]}
    assert (tmp_path / "folder/mine").read_text() == "mine"
    assert (tmp_path / "folder/sub/mine").read_text() == "sub/mine"
    assert not (tmp_path / "folder/own").exists()


@pytest.mark.parametrize("number", [errno.EXDEV, errno.EBUSY])
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_where_something_is_mounted(number, kind, tmp_path, monkeypatch):
    """It is filled in place; a mount can be neither replaced nor renamed."""
    path, replace = tmp_path / "mount", os.replace
    path.mkdir() if kind == "folder" else path.write_text("old")

    def mounted(source, target):
        if os.fspath(target).startswith(str(path)):
            raise OSError(number, os.strerror(number))
        replace(source, target)

    monkeypatch.setattr(parts.os, "replace", mounted)
    if kind == "folder":
        make(path, "new")
        assert (path / "a").read_text() == "new"
    else:
        write_text(path, "new")
        assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["mount"]


def test_file_systems_without_locks(tmp_path, monkeypatch):
    """Two at once have a place each; only what is a day old is taken for dead."""
    monkeypatch.setattr(locks, "fcntl", None)
    one, other = Part(tmp_path / "a"), Part(tmp_path / "a")
    for part in (one, other):
        assert part.claim()
        part.path.write_text(f"{part.folder}")
    dead = tmp_path / ".a.0123456789ab.part"
    dead.mkdir()
    os.utime(dead, times=(0, time.time() - 2 * parts.ABANDONED))
    third = Part(tmp_path / "a")
    assert third.claim() and not dead.exists() and other.path.exists()
    for part in (one, other, third):
        if part is not third:
            part.publish()
        part.close()
    assert (tmp_path / "a").read_text() == str(other.folder)
    assert os.listdir(tmp_path) == ["a"]


def test_a_machine_that_does_not_see_the_lock(tmp_path, monkeypatch):
    """Its locks hold on itself only: what another machine makes stays."""
    with Part(tmp_path / "a") as one:
        one.path.write_text("one")
        monkeypatch.setattr(locks.fcntl, "flock", lambda file, how: None)
        monkeypatch.setattr(locks, "_are_local", lambda file: True)
        with Part(tmp_path / "a") as other:
            other.path.write_text("other")
            assert one.path.read_text() == "one"
            other.publish()
        one.publish()
    assert (tmp_path / "a").read_text() == "one"
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("renamed", [True, False])
def test_an_answer_of_the_server_gets_lost(renamed, tmp_path, monkeypatch):
    """The rename is sent again, and there is no such file any more."""
    replace = os.replace

    def lost(path, destination):
        if renamed:
            replace(path, destination)
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)

    monkeypatch.setattr(parts.os, "replace", lost)
    if renamed:
        write_text(tmp_path / "a", "new")
        assert (tmp_path / "a").read_text() == "new"
    else:
        with pytest.raises(UserError, match="cannot be written"):
            write_text(tmp_path / "a", "new")


def test_a_lock_of_another_user(tmp_path, monkeypatch):
    """A part in a place of its own, which is cleared away only once it is dead."""
    acquire = locks.Lock.acquire

    def refused(lock, wait=True):
        if lock.path.parent.name == ".a.part":
            raise PermissionError
        return acquire(lock, wait)

    monkeypatch.setattr(locks.Lock, "acquire", refused)
    with Part(tmp_path / "a") as part:
        part.path.write_text("whole")
        parts.clear(tmp_path)
        part.publish()
    assert os.listdir(tmp_path) == ["a"]
