"""Several at once, as users start them: one folder, one cold cache, kills."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest
import stress_cold_cache
from conftest import KS, TINY, assert_same_outcome, command, results

COMMON = {
    "labels": "folders",
    "version": "v0.02",
    "total_steps": 4,
    "steps_per_epoch": 2,
    "batch_size": 8,
}
#: Reports that it runs, and continues on request.
HELD = """
import os, time
from s3prl_sb.brains.base import SSLBrain
fit = SSLBrain.fit
def held(self, *args, **kwargs):
    open({begun!r}, "w").close()
    while not os.path.exists({go!r}):
        time.sleep(0.05)
    return fit(self, *args, **kwargs)
SSLBrain.fit = held
"""


@pytest.fixture
def argv(corpus, tiny_card):
    common = {**COMMON, "data_folder": corpus, "upstream": tiny_card}
    return lambda output, **more: command(KS, output, **{**common, **more})


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    assert condition()


@pytest.mark.parametrize("processes", [1, 2])
def test_a_second_run_in_a_folder_is_refused(processes, argv, launcher, tmp_path):
    """It says who is there; the first one ends as if it had been alone."""
    output, begun, go = tmp_path / "output", tmp_path / "begun", tmp_path / "go"
    prelude = HELD.format(begun=str(begun), go=str(go))
    first = launcher._start(argv(output), prelude=prelude)
    until(begun.exists)
    before = {path: path.stat().st_mtime_ns for path in output.rglob("*")}
    for second in (argv(output), argv(tmp_path / "other", save_folder=output)):
        if processes == 1:
            said = launcher.failure(second)
            assert f"is in use by process {first} on " in said and "since" in said
            assert "another output_folder" in said and "Traceback" not in said
        else:
            with pytest.raises(AssertionError, match="exit code 1"):
                launcher.run_distributed(second)
    assert before == {path: path.stat().st_mtime_ns for path in output.rglob("*")}
    go.touch()
    assert launcher._ask(wait=first) == 0
    assert launcher.run(argv(tmp_path / "alone")) == 0
    assert_same_outcome(output, tmp_path / "alone")


def test_a_kill_frees_the_folder_at_once(argv, launcher, tmp_path):
    """Also with workers of DataLoaders, which might hold on to the lock."""
    output, begun = tmp_path / "output", tmp_path / "begun"
    prelude = HELD.format(begun=str(begun), go=str(tmp_path / "never"))
    pid = launcher._start(argv(output), prelude=prelude)
    until(begun.exists)
    os.kill(pid, signal.SIGKILL)  # it alone, not its group
    assert launcher._ask(wait=pid) == -signal.SIGKILL
    assert launcher.run(argv(output)) == 0
    assert not list(output.rglob(".*.part"))


def test_a_debug_run_beside_a_real_one(argv, launcher, tmp_path):
    output, begun, go = tmp_path / "output", tmp_path / "begun", tmp_path / "go"
    prelude = HELD.format(begun=str(begun), go=str(go))
    first = launcher._start(argv(output), prelude=prelude)
    until(begun.exists)
    assert launcher.run([*argv(output), "--debug"]) == 0
    go.touch()
    assert launcher._ask(wait=first) == 0


def test_runs_that_share_a_cold_cache(argv, launcher, tmp_path):
    """Recipes this time: each shard is computed once, and all learn the same."""
    prelude = """
from s3prl_sb.dataio import cache, shard_plan
shard_plan.SHARD_UTTERANCES = 4
write = cache.FeatureCache.write
def noting(self, entries):
    path = write(self, entries)
    with open(self.folder.parent / "written", "a") as file:
        file.write(path.name + "\\n")
    return path
cache.FeatureCache.write = noting
"""
    cache = tmp_path / "cache"
    pids = [
        launcher._start(argv(tmp_path / f"run{n}", cache_folder=cache), prelude=prelude)
        for n in range(4)
    ]
    assert [launcher._ask(wait=pid) for pid in pids] == [0] * 4
    written = (cache / "written").read_text().split()
    assert len(written) == len(set(written)) == len(list(cache.rglob("*.safetensors")))
    assert not list(cache.rglob(".*"))
    for n in range(1, 4):
        assert results(tmp_path / f"run{n}") == results(tmp_path / "run0")


def test_a_small_stress(launcher):
    """The script at full size: ``python tests/integration/stress_cold_cache.py``."""
    sizes = ["--rounds=1", "--runs=8", "--kills=6", "--utterances=80"]
    code, said = launcher.said([stress_cold_cache.__file__, *sizes])
    assert code == 0, said
    assert "8 runs" in said and ", 0 faults" in said


# ------------------------------------------------------------------- extraction
#: The command, with workers that do not end by themselves: their second shard hangs.
HANGING = """
import itertools, sys, time
from s3prl_sb import cli
from s3prl_sb.dataio import extraction, shard_plan
shard_plan.SHARD_UTTERANCES = 4
entries, turns = extraction._Job.entries, itertools.count()
def hang(self, shard):
    time.sleep(3600 * min(1, next(turns)))
    return entries(self, shard)
extraction._Job.entries = hang
if __name__ == "__main__":
    sys.exit(cli.main())
"""


#: Put before it: the second worker hangs before it begins, the first one in its work.
STARTING = """
import os, time
if __name__ == "__mp_main__":
    try:
        os.close(os.open("{first}", os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        time.sleep(3600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize(
    "how, starting",
    [
        (signal.SIGKILL, False),
        (signal.SIGINT, True),
        (signal.SIGTERM, True),
    ],
)
def test_extraction_in_processes_leaves_none(how, starting, corpus, launcher, tmp_path):
    before = STARTING.format(first=tmp_path / "first") if starting else ""
    (tmp_path / "hanging.py").write_text(before + HANGING)
    (tmp_path / "tiny.yaml").write_text(TINY)
    wavs = sorted(Path(corpus).rglob("*.wav"))
    rows = [f"{number},{wav}" for number, wav in enumerate(wavs)]
    (tmp_path / "list.csv").write_text("\n".join(["id,wav", *rows]))
    line = [str(tmp_path / "hanging.py"), "extract", "--processes", "2"]
    line += ["--upstream", str(tmp_path / "tiny.yaml"), "--manifest"]
    line += [str(tmp_path / "list.csv"), "--output", str(tmp_path / "features")]
    log = tmp_path / "said.txt"
    pid = launcher._start(line, log=log, S3PRL_SB_TRUST="1")
    until(lambda: list((tmp_path / "features").rglob("*.safetensors")), 300)
    workers = children(pid)
    assert len(workers) >= 2
    os.kill(pid, how)
    code = launcher._ask(wait=pid)
    until(lambda: not any(map(is_alive, workers)))
    if how == signal.SIGINT:
        assert code == 130 and "Traceback" not in log.read_text()


def children(parent):
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(stat[1]) == parent:
            found.append(int(pid))
    return found


def is_alive(pid):
    try:
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return False
    return stat[0] != "Z"
