"""Programs of the fork server end with the test process that has started them."""

import time

import pytest
from started_processes import LINUX, Fork

STARTS = """
import os, pathlib
from launching import Launcher
os.environ.update({variables})
folder = pathlib.Path({folder!r})
sleeps = f"import os, time; open({folder!r} + '/%s', 'w').write(str(os.getpid()))"
launcher = Launcher(folder / "log.txt")
for name in "ab":
    pid = launcher._start(["-c", sleeps % name + "; time.sleep(100)"])
{then}
"""


def state(pid):
    """Returns the letter of a process in /proc; None if there is none."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(") ")[2][0]
    except OSError:
        return None


@pytest.mark.skipif(not LINUX, reason="no /proc")
@pytest.mark.parametrize("then", ["launcher._ask(wait=pid)", "time.sleep(100)"])
def test_they_end_with_who_waits_for_them(then, launcher, tmp_path):
    code = STARTS.format(
        variables=launcher.variables, folder=str(tmp_path), then=f"import time; {then}"
    )
    process, pids, end = Fork(code), [], time.monotonic() + 60
    while len(pids) < 2 and time.monotonic() < end:
        texts = [path.read_text() for path in tmp_path.glob("[ab]")]
        pids = [int(text) for text in texts if text]
        time.sleep(0.02)
    assert [state(pid) in ("S", "R") for pid in pids] == [True, True]
    process.kill()
    end = time.monotonic() + 20
    while {state(pid) for pid in pids} - {None, "Z"} and time.monotonic() < end:
        time.sleep(0.02)
    assert not {state(pid) for pid in pids} - {None, "Z"}
