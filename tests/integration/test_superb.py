"""s3prl-sb superb as its users run it: tables out of runs, kills, no orphans."""

import csv
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile
from conftest import REPOSITORY, TINY

from s3prl_sb import cli
from s3prl_sb.engines import guard
from s3prl_sb.engines.jobs import LOG

sys.path.append(str(REPOSITORY / "tests/contract/small"))
from tasks import small  # noqa: E402

COMMAND = """
import argparse, sys
from s3prl_sb.benchmark import superb
parser = argparse.ArgumentParser()
superb.add_arguments(parser)
sys.exit(superb.main(parser.parse_args()))
"""
BUDGET = """
all: {total_steps: 4, steps_per_epoch: 2, batch_size: 4}
KS: {labels: folders, version: v0.02}
"""
RATES = ("0.1", "0.001")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two words, two speakers, and the files of a benchmark over them."""
    folder = tmp_path_factory.mktemp("superb")
    lists = {"validation_list.txt": [], "testing_list.txt": []}
    splits = []
    for label, (word, speaker) in enumerate((("cat", "id10001"), ("dog", "id10002"))):
        for number in range(6):
            name = f"{word}/{number:08x}_nohash_0.wav"
            tone(folder / "gsc" / name, label, number)
            if number < 4:
                list(lists.values())[number % 2].append(name)
            name = f"{speaker}/video{number % 3}/{number:05d}.wav"
            tone(folder / "vox/dev/wav" / name, label, number)
            splits.append(f"{number % 3 + 1} {name}")
    for name, lines in lists.items():
        (folder / "gsc" / name).write_text("\n".join(lines) + "\n")
    (folder / "vox/iden_split.txt").write_text("\n".join(splits) + "\n")
    (folder / "tiny.yaml").write_text(TINY)
    (folder / "budget.yaml").write_text(BUDGET)
    (folder / "data.yaml").write_text(
        "KS: {data_folder: gsc}\nSID: {data_folder: vox}\n"
    )
    return folder


def tone(path, label, number):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng([label, number]).standard_normal(6400)
    wave = np.sin(2 * np.pi * 400 * (label + 1) * np.arange(6400) / 16000)
    soundfile.write(path, 0.1 * wave + 0.01 * noise, 16000)


def words(output, *options, tasks=("KS", "SID")):
    """The arguments of a benchmark."""
    given = ["--upstream", "tiny.yaml", "--tasks", *tasks, "--data", "data.yaml"]
    given += ["--budget", "budget.yaml", "--output", str(output), "--jobs", "2"]
    return [*given, *options]


def start(folder, output, *options):
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, *words(output, *options, tasks=["KS"])],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


class Forked:
    """A job in the fork server, with what the engine uses of its guard."""

    def __init__(self, launcher, command, folder, environment):
        _, *argv = map(str, command)
        if argv[0] == "-m":
            argv = [cli.__file__, *argv[2:]]
        changed = {k: v for k, v in environment.items() if os.environ.get(k) != v}
        log = folder / LOG
        self.pid = launcher._start(argv, log=log, plots=True, hook=True, **changed)
        self.launcher, self.returncode = launcher, None
        self.stdin = open(os.devnull)

    def poll(self):
        """Waits for its end: several that have been started run at the same time."""
        if self.returncode is None:
            self.returncode = self.launcher._ask(wait=self.pid)
        return self.returncode


@pytest.fixture
def bench(folder, launcher, monkeypatch, capsys):
    """``bench(output, …)``: the exit status of a benchmark, its table and its progress.

    It runs here and its jobs in the fork server; they import nothing again.
    """
    monkeypatch.chdir(folder)
    monkeypatch.setattr(guard, "start", lambda *given: Forked(launcher, *given))

    def bench(output, *options, tasks=("KS", "SID")):
        status = cli.main(["superb", *words(output, *options, tasks=tasks)])
        return status, *capsys.readouterr()

    return bench


def processes(word):
    """The command lines of living processes that hold a word."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                line = file.read().decode("utf-8", "replace")
        except OSError:
            continue
        if word in line:
            found.append(line.replace("\0", " "))
    return found


def test_a_benchmark(bench, tmp_path):
    output = tmp_path / "bench"
    options = ("--lr_search", *RATES)
    status, printed, said = bench(output, *options, tasks=("KS", "SID", "PR"))
    assert status == 0, said
    found = json.loads((output / "table.json").read_text())
    cells = found["rows"][0]["cells"]
    assert {task: cell["state"] for task, cell in cells.items()} == {
        "KS": "done",
        "SID": "done",
        "PR": "no data",
    }
    for task in ("KS", "SID"):
        [run] = cells[task]["runs"]
        results = json.loads(open(f"{run['folder']}/results.json").read())
        assert results["task"] == f"SUPERB/{task}"
        search = json.loads(open(f"{run['folder']}/lr_search.json").read())
        assert set(search["rates"]) == set(RATES) and search["best"] in (0.1, 0.001)
        mean = cells[task]["metrics"]["accuracy"]["mean"]
        assert mean == pytest.approx(100 * results["metrics"]["accuracy"])
        assert f"{mean:.2f}" in printed
    assert "no data" in printed
    assert printed.splitlines()[0].split()[:1] == ["upstream"]
    assert (output / "table.md").is_file()

    again, printed_again, said = bench(output, *options, tasks=("KS", "SID", "PR"))
    assert again == 0 and printed_again == printed
    assert "2 of them done" in said and "started" not in said

    # A failure: its reason, the others' numbers, a status.
    (tmp_path / "gone.txt").write_text("1 gone.wav\n")
    broken = f"SID: {{split_file: {tmp_path}/gone.txt}}\n"
    (tmp_path / "broken.yaml").write_text(broken)
    options = ("--budget", str(tmp_path / "broken.yaml"))
    bad, printed, said = bench(output, *options, tasks=["SID"])
    assert bad == 1 and "failed" in printed
    assert "gone.txt" in said and "job.log" in said


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks into /proc")
def test_killed_it_leaves_no_orphans_and_goes_on(folder, bench, tmp_path):
    """With -9, the same command goes on; by Ctrl-C, another budget finds it free."""
    output, long = tmp_path / "killed", tmp_path / "long.yaml"
    long.write_text(BUDGET.replace("total_steps: 4", "total_steps: 100000"))

    def saved():
        return list(output.glob("*/*/*/save/CKPT*"))

    def resumed():
        logs = output.rglob("job.log")
        return any("The run goes on: step" in log.read_text() for log in logs)

    for how, condition in ((signal.SIGKILL, saved), (signal.SIGINT, resumed)):
        process = start(folder, output, "--budget", str(long))
        deadline = time.monotonic() + 120
        while not condition() and time.monotonic() < deadline:
            assert process.poll() is None, process.communicate()
            time.sleep(0.1)
        assert condition() and processes(str(output / "tiny"))
        process.send_signal(how)
        process.wait(timeout=30)
        deadline = time.monotonic() + 20
        while processes(str(output / "tiny")) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not processes(str(output / "tiny"))
    # The lock is free; another budget, other folders.
    status, _, said = bench(output, tasks=["KS"])
    assert status == 0, said


def test_one_thing_changed_for_all_tasks(bench, folder, tmp_path):
    output = tmp_path / "bench"
    budget, places = tmp_path / "budget.yaml", tmp_path / "data.yaml"
    small("SUPERB/SD").corpus(tmp_path / "sd")
    places.write_text(
        f"KS: {{data_folder: {folder}/gsc}}\nSD: {{data_folder: {tmp_path}/sd}}\n"
    )
    budget.write_text(
        "all: {total_steps: 2, steps_per_epoch: 2, batch_size: 4}\n"
        "KS: {labels: folders, version: v0.02}\n"
        "SD: {head: {hidden_size: 8}, chunk_frames: 130}\n"
    )
    common = ("--data", str(places), "--budget", str(budget))
    few = (*common, "--heads", "mlp", "--train_per_class", "2")
    status, _, said = bench(output, *few, tasks=("KS", "SD"))
    assert status == 0, said
    assert "–: no SD with " in said and "head=mlp · 2 per class" in said
    [row] = json.loads((output / "table.json").read_text())["rows"]
    assert row["cells"]["SD"]["state"] == "refused"
    [run] = row["cells"]["KS"]["runs"]
    settings = json.loads(open(f"{run['folder']}/results.json").read())["settings"]
    assert settings["train_per_class"] == 2 and settings["head.encoder"] == "mlp"

    # All data, in noise, of the test too; then nothing is left to do.
    noisy = (*common, "--set", "noise.snr=[0, 15]", "--test_snr", "10")
    status, printed, said = bench(output, *noisy, tasks=["SD"])
    assert status == 0, said
    assert "Robustness to white noise" in printed
    with open(output / "robustness.csv") as file:
        lines = list(csv.DictReader(file))
    tests = [(line["task"], line["snr"]) for line in lines]
    assert tests == [("SD", ""), ("SD", "10.0")]
    assert (output / "robustness.png").is_file()
    assert len(json.loads((output / "table.json").read_text())["rows"]) == 2
    _, again, said = bench(output, *noisy, tasks=["SD"])
    assert again == printed and "2 jobs, 2 of them done" in said
    assert "started" not in said
