"""Children end with their parent: kill -9, an error, Ctrl-C, ignored signals."""

import os
import signal
import subprocess
import sys
import time

import pytest

from s3prl_sb.processes import children

#: A parent with one of two kinds of children, as a file: "spawn" imports it.
PARENT = """
import functools, multiprocessing, os, signal, sys, time
from s3prl_sb.processes import children

class Busy:
    def __len__(self):
        return 1000

    def __getitem__(self, index):
        say()
        time.sleep(60)

def say():
    os.write(1, b"%d\\n" % os.getpid())  # at once, so that lines do not mix

def work(end):
    children.follow(end)
    say()
    time.sleep(60)

if __name__ == "__main__":
    if sys.argv[2] == "ignored":
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.argv[1] == "loader":
        from torch.utils.data import DataLoader

        begin = functools.partial(children.start_worker, None)
        next(iter(DataLoader(Busy(), num_workers=2, worker_init_fn=begin)))
    context = multiprocessing.get_context("spawn")
    with children.Leash(context) as leash:
        workers = [context.Process(target=work, args=(leash.end,)) for _ in range(2)]
        for worker in workers:
            worker.start()
        sys.stdin.readline()
        raise ValueError
"""


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # it ends while this reads
        return False


def assert_gone(pids, seconds=30):  # half of what they would sleep
    end = time.monotonic() + seconds
    while any(map(is_alive, pids)) and time.monotonic() < end:
        time.sleep(0.02)
    assert not [pid for pid in pids if is_alive(pid)]


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


@pytest.mark.parametrize(
    "kind, end",
    [
        ("spawn", signal.SIGKILL),
        ("spawn", signal.SIGTERM),
        ("spawn", signal.SIGINT),
        ("spawn", "error"),
        ("spawn", "ignored"),
        ("loader", signal.SIGKILL),
    ],
)
def test_none_is_left(kind, end, tmp_path):
    (tmp_path / "parent.py").write_text(PARENT)
    process = subprocess.Popen(
        [sys.executable, str(tmp_path / "parent.py"), kind, str(end)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    pids = [int(process.stdout.readline()) for _ in range(2)]
    assert all(map(is_alive, pids))
    if end == "ignored":  # as by nohup, or in the background of a script
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        assert process.poll() is None and all(map(is_alive, pids))
        process.kill()
    elif end == "error":
        process.stdin.write("\n")
        process.stdin.flush()
    else:
        process.send_signal(end)
    assert_gone(pids)
    process.communicate(timeout=10)


@pytest.mark.parametrize("killer", ["prctl", "pipe"])
def test_each_of_the_two_ways_does_it(killer, tmp_path):
    """Linux' own, and the pipe, which is all there is elsewhere."""
    off = "children.die_with" if killer == "pipe" else "children._wait"
    text = PARENT.replace("def work(end):\n", f"def work(end):\n    {off} = id\n")
    (tmp_path / "parent.py").write_text(text)
    process = subprocess.Popen(
        [sys.executable, str(tmp_path / "parent.py"), "spawn", "none"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    pids = [int(process.stdout.readline()) for _ in range(2)]
    assert all(map(is_alive, pids))
    process.kill()
    assert_gone(pids)
    process.communicate(timeout=10)


def test_a_parent_that_had_ended_before(tmp_path):
    pid = os.fork()
    if not pid:
        children.die_with(1 << 30)
        os._exit(77)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
