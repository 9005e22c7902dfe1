"""Locks: one holder, freed by any end of it, none on file systems that have none."""

import errno
import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pytest

from s3prl_sb.storage import locks
from s3prl_sb.storage.locks import Lock, OccupiedError, occupy

HOLDER = """
import sys, time
from s3prl_sb.storage.locks import Lock, occupy
occupy(sys.argv[1]) if sys.argv[2] == "occupy" else Lock(sys.argv[1]).acquire()
print("mine", flush=True)
time.sleep(60)
"""


@pytest.fixture
def holder():
    """``holder(path, how)``: another process that has a lock."""
    started = []

    def holder(path, how="lock"):
        line = [sys.executable, "-c", HOLDER, str(path), how]
        process = subprocess.Popen(line, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout.readline() == "mine\n"
        return process

    yield holder
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_any_end_frees_it(how, holder, tmp_path):
    process, lock = holder(tmp_path / "deep" / "lock"), Lock(tmp_path / "deep" / "lock")
    assert not lock.acquire(wait=False)
    assert lock.holder().startswith(f"process {process.pid} on ")
    process.send_signal(how)
    process.wait(10)
    assert lock.acquire(wait=False) and lock.is_held()
    lock.release()


def test_waiting(holder, tmp_path, caplog):
    process, lock = holder(tmp_path / "lock"), Lock(tmp_path / "lock")
    ends = multiprocessing.get_context("fork").Process(
        target=lambda: (time.sleep(1.5), os.kill(process.pid, signal.SIGKILL))
    )
    ends.start()
    assert lock.acquire()
    assert f"Waits for process {process.pid} on " in caplog.text
    ends.join()
    lock.release()


def test_a_deleted_file_is_no_lock(tmp_path):
    """A waiting process must not share the lock with one that made a new file."""
    one, other, third = (Lock(tmp_path / "lock") for _ in range(3))
    assert one.acquire()
    (tmp_path / "lock").unlink()
    assert other.acquire(wait=False) and not third.acquire(wait=False)
    one.release(delete=False), other.release(delete=True)
    assert list(tmp_path.iterdir()) == []


def test_a_fork_does_not_hold_it(tmp_path):
    """A worker that outlives the holder must not keep others out."""
    lock, (read, write) = Lock(tmp_path / "lock"), os.pipe()
    assert lock.acquire()
    pid = os.fork()
    if not pid:
        os.close(write)
        os.read(read, 1)  # until the other end is closed
        os._exit(lock.is_held())
    lock.release()
    assert Lock(tmp_path / "lock").acquire(wait=False)
    os.close(write), os.close(read)
    assert os.waitpid(pid, 0)[1] == 0


def test_occupied_folders(holder, tmp_path):
    process = holder(tmp_path / "run", "occupy")
    with pytest.raises(OccupiedError) as caught:
        occupy(tmp_path / "run")
    message = str(caught.value)
    assert "\n" not in message and f"process {process.pid} on " in message
    assert " since " in message and "another output_folder" in message
    occupy(tmp_path / "other"), occupy(tmp_path / "other")  # again: no error
    process.kill()
    process.wait()
    occupy(tmp_path / "run")


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_file_systems_without_locks(number, tmp_path, monkeypatch, caplog):
    def flock(file, how):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(locks.fcntl, "flock", flock)
    lock = Lock(tmp_path / "lock")
    assert lock.acquire() and not lock.works
    lock.release()
    occupy(tmp_path / "run")
    assert "has no locks: start no second run in it" in caplog.text
    monkeypatch.setattr(locks, "fcntl", None)
    assert lock.acquire() and not lock.works
    lock.release()


MOUNTED = [
    ("rw,vers=3,nolock,addr=10.0.0.1", False),
    ("rw,vers=4.2,local_lock=flock", False),
    ("rw,vers=4.2,local_lock=none,addr=10.0.0.1", True),
    ("rw,localflock,lazystatfs", False),
    ("rw,flock", True),
    ("rw,name=nolocks", True),
]


@pytest.mark.parametrize("options, works", MOUNTED)
def test_locks_of_one_machine(options, works, tmp_path, monkeypatch):
    """They keep other processes of this machine out, and are not relied on."""
    device = os.stat(tmp_path).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    mounts = tmp_path / "mounts"
    line = f"{number} / /mnt rw shared:1 - nfs4 host:/ {options}\n"
    mounts.write_text(f"1 1 0:999999 / / rw - nfs host:/ nolock\n2 1 {line}")
    monkeypatch.setattr(locks, "MOUNTS", str(mounts))
    one, other = Lock(tmp_path / "lock"), Lock(tmp_path / "lock")
    assert one.acquire() and one.works == works
    assert not other.acquire(wait=False)
    one.release()
    assert other.acquire(wait=False)
    other.release()


def test_a_file_that_another_machine_deletes(tmp_path, monkeypatch):
    """ESTALE on the way: the lock is taken on the new file."""
    stat, stale = os.stat, [2]

    def stat_(path, *args, **kwargs):
        if stale[0] and str(path).endswith("/lock"):
            stale[0] -= 1
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), path)
        return stat(path, *args, **kwargs)

    monkeypatch.setattr(locks.os, "stat", stat_)
    lock = Lock(tmp_path / "lock")
    assert lock.acquire() and not stale[0]
    lock.release()


def test_a_folder_that_cannot_be_made_ends_the_wait(tmp_path):
    """A link to nowhere exists and does not: each attempt fails for ever."""
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileExistsError, match="link"):
        Lock(tmp_path / "link" / "lock").acquire()


def test_a_full_disk_is_no_obstacle(tmp_path, monkeypatch):
    """The owner is unknown, but the lock is taken and can be released."""

    def full(*args):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        lock = Lock(tmp_path / "lock")
        assert lock.acquire()
    assert not Lock(tmp_path / "lock").acquire(wait=False)
    lock.release()
    assert Lock(tmp_path / "lock").acquire(wait=False)
