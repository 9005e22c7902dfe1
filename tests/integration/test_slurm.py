"""Jobs in a Slurm cluster: what happens to them, and to their master."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import fake_slurm
import numpy as np
import pytest
import soundfile
from benchmark_runs import (  # noqa: F401
    arguments_of,
    corpora,
    learned,
    reference,
    shards,
)
from engine_jobs import CODE, job, order, until

from s3prl_sb import cli
from s3prl_sb.commands import extract_jobs
from s3prl_sb.engines.local import Local
from s3prl_sb.engines.options import values
from s3prl_sb.errors import UserError

pytest.importorskip("submitit")

from s3prl_sb.engines import submitted  # noqa: E402
from s3prl_sb.engines.slurm import Slurm  # noqa: E402


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """Folder of a cluster whose programs are on the path."""
    for name, value in fake_slurm.install(tmp_path / "cluster").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(Slurm, "PAUSE", 0.1)
    monkeypatch.setattr(Slurm, "ASKS", (0.3, 0.3))
    monkeypatch.setattr(Slurm, "GRACE", 0.5)
    monkeypatch.setattr(submitted, "DYING", 1)
    return tmp_path / "cluster"


def engine(folder, *pairs, **options):
    return Slurm(folder / "slurm", values(pairs), **options)


def scripts(cluster):
    return [path.read_text() for path in sorted(cluster.glob("*.submission"))]


# ----------------------------------------------------------------------- its jobs
def test_jobs_that_are_ready_together_are_an_array(cluster, tmp_path, capsys):
    a, b = job(tmp_path, "a"), job(tmp_path, "b")
    c = job(tmp_path, "c", after=[a, b])
    told = []
    pairs = ("partition=gpu", "time=8:00:00", "gpus_per_node=1", "mem=32G", "qos=low")
    engine(tmp_path, *pairs, "setup=echo hello").run(
        [c, a, b], lambda: told.append([each.state for each in (a, b, c)])
    )
    assert [each.state for each in (a, b, c)] == ["done"] * 3
    assert order(tmp_path)[-2:] == ["+c", "-c"] and told[-1] == ["done"] * 3
    array, single = scripts(cluster)
    assert "--array=0-1%2" in array and "--array" not in single
    options = "partition=gpu", "time=480", "gpus-per-node=1", "mem=32G", "qos=low"
    assert all(f"#SBATCH --{option}\n" in array for option in options)
    assert "#SBATCH --requeue\n" in array and "\necho hello\n" in array
    said = capsys.readouterr().err
    assert "queued   a, job 100_0" in said and "done     c (" in said
    engine(tmp_path).run([c, a, b])
    assert len(scripts(cluster)) == 2  # nothing was left to do


def test_a_failure_does_not_stop_the_others(cluster, tmp_path, capsys):
    bad = job(tmp_path, "bad", "print('oh no', flush=True); 1 / 0")
    lost = job(tmp_path, "lost", after=[bad])
    killed = job(tmp_path, "killed", "os.kill(os.getpid(), 9)")
    good = job(tmp_path, "good")
    jobs = [bad, lost, killed, good]
    engine(tmp_path).run(jobs)
    assert [j.state for j in jobs] == ["failed", "skipped", "failed", "done"]
    assert "oh no" in bad.error and "ZeroDivisionError" in bad.error
    said = capsys.readouterr().err
    assert "failed   bad (exit status 1, " in said
    assert "failed   killed (killed by signal 9, perhaps out of memory, " in said
    assert str(tmp_path / "bad/job.log") in said


def test_results_that_are_late_or_missing(cluster, tmp_path):
    """On a network file system a result may be visible a while after the job."""
    late, never = job(tmp_path, "late"), job(tmp_path, "never")
    seen = []
    late.is_done = lambda: seen.append(1) or len(seen) > 3
    never.is_done = lambda: False
    engine(tmp_path).run([late, never])
    assert (late.state, never.state) == ("done", "failed")


def test_not_more_at_a_time(cluster, tmp_path):
    jobs = [job(tmp_path, name, "time.sleep(0.3)") for name in "ab"]
    engine(tmp_path, parallel=1).run(jobs)
    assert order(tmp_path) == ["+a", "-a", "+b", "-b"]


def test_a_node_on_which_nothing_starts(cluster, tmp_path, capsys):
    broken = job(tmp_path, "broken")
    engine(tmp_path, "setup=echo no such module >&2; exit 3").run([broken])
    assert broken.state == "failed" and "| no such module" in broken.error
    assert "Slurm: FAILED" in capsys.readouterr().err


# ------------------------------------------------------ what a cluster does to jobs
TWICE = """
mark = os.path.join(folder, name + ".began")
if not os.path.exists(mark):
    open(mark, "w")
    time.sleep(60)
"""


@pytest.fixture
def running(cluster, tmp_path):
    """Runs an engine in a thread, and waits until its jobs have begun."""
    threads = []

    def running(jobs, *pairs):
        new = engine(tmp_path, *pairs)
        threads.append(threading.Thread(target=new.run, args=[jobs]))
        threads[-1].start()
        until(lambda: all((tmp_path / f"{j.name}.began").exists() for j in jobs))
        return threads[-1]

    yield running
    for thread in threads:
        thread.join(30)


def test_jobs_that_lose_their_node_run_again(cluster, tmp_path, running, capsys):
    """And one that its user has cancelled does not; nor does silence end any."""
    jobs = [job(tmp_path, name, TWICE) for name in "abcd"]
    preempted, failed, out_of_time, cancelled = jobs
    thread = running(jobs)
    (cluster / "down").touch()
    time.sleep(0.7)
    (cluster / "down").unlink()
    fake_slurm.preempt("100_0", folder=cluster)
    fake_slurm.fail("100_1", folder=cluster)
    subprocess.check_call(["scancel", "100_2", "--signal", "USR2"])
    subprocess.check_call(["scancel", "100_3"])
    thread.join(60)
    assert [j.state for j in jobs] == ["done", "done", "done", "failed"]
    assert [order(tmp_path).count(f"+{name}") for name in "abcd"] == [2, 2, 2, 1]
    said = capsys.readouterr().err
    assert "again    b (NODE_FAIL)" in said and said.count("again  ") == 1
    assert "requeued a" in said and "requeued c" in said
    assert len(scripts(cluster)) == 2  # of all, and of the one on a node that failed
    assert "failed   d (Slurm: CANCELLED, " in said and said.count("failed   ") == 1
    assert "squeue does not answer, trying again" in said


def test_not_for_ever(cluster, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(Slurm, "TRIES", 2)
    code = "import subprocess; subprocess.Popen(['sh', '-c', '{}']); time.sleep(60)"
    line = f"{sys.executable} -S {fake_slurm.__file__} fail_me"
    unlucky = job(tmp_path, "a", code.format(line))
    engine(tmp_path).run([unlucky])
    assert unlucky.state == "failed" and unlucky.tries == 2
    assert "failed   a (NODE_FAIL, " in capsys.readouterr().err


# ---------------------------------------------------------------------- its master
MASTER = """
import sys
from pathlib import Path
from s3prl_sb.engines.jobs import Job
from s3prl_sb.engines.local import Local
from s3prl_sb.engines.slurm import Slurm
folder, jobs = Path(sys.argv[1]), []
for name in "ab":
    words = [sys.executable, "-S", "-c", *sys.argv[2:3], folder, name, sys.argv[3]]
    is_done = (folder / f"{name}.done").is_file
    jobs.append(Job(name, folder / name, lambda words=words: words, is_done))
Slurm.PAUSE, Slurm.ASKS = 0.1, (0.1, 0.3)
Slurm(folder / "slurm").run(jobs)
"""


@pytest.fixture
def master(cluster, tmp_path):
    """Starts a master of two jobs, which end when there is a file ``go``."""
    wait = "while not os.path.exists(folder + '/go'): time.sleep(0.05)"
    words = [sys.executable, "-c", MASTER, tmp_path, CODE, wait]

    def start():
        return subprocess.Popen(words, stderr=subprocess.PIPE, text=True)

    return start


@pytest.mark.parametrize("moment", ["pending", "running"])
def test_a_dead_master_is_replaced(moment, cluster, tmp_path, master):
    """Killed while its jobs wait in the queue, interrupted while they run."""
    if moment == "pending":
        (cluster / "hold").touch()
    first = master()
    log = tmp_path / "log"

    def records():
        return [submitted.read_record(tmp_path / name) for name in "ab"]

    until(lambda: all(record.get("id") for record in records()))
    tokens = [record["token"] for record in records()]
    until(lambda: moment == "pending" or log.exists() and len(order(tmp_path)) > 1)
    first.send_signal(signal.SIGKILL if moment == "pending" else signal.SIGINT)
    _, said = first.communicate(timeout=30)
    assert moment == "pending" or "2 jobs stay in the queue" in said
    assert moment == "pending" or "scancel 100\n" in said
    second = master()
    lines = iter(second.stderr.readline, "")
    assert "found    " in next(line for line in lines if "jobs" not in line)
    (cluster / "hold").unlink(missing_ok=True)
    (tmp_path / "go").touch()
    assert second.wait(60) == 0
    assert sorted(order(tmp_path)) == ["+a", "+b", "-a", "-b"]
    assert [record["token"] for record in records()] == tokens
    assert len(scripts(cluster)) == 1


def test_a_submission_that_was_replaced_does_not_start(tmp_path, monkeypatch):
    monkeypatch.setattr(submitted, "STALE", 0)
    code = f"open({str(tmp_path / 'ran')!r}, 'w')"
    command = submitted.Submitted([sys.executable, "-c", code], str(tmp_path), "old")
    (tmp_path / "slurm.json").write_text('{"token": "new", "id": null}')
    with pytest.raises(RuntimeError, match="another job was submitted"):
        command()
    assert not (tmp_path / "ran").exists()


def test_another_engine_takes_jobs_from_the_queue(cluster, tmp_path, capsys):
    (cluster / "hold").touch()
    a = job(tmp_path, "a")
    queue = engine(tmp_path)
    queue.executor = queue._executor()
    list(queue.launch([a]))
    Local(progress=False).run([a])
    assert a.state == "done" and order(tmp_path) == ["+a", "-a"]
    assert not submitted.read_record(a.folder)  # so that it does not begin
    assert "scancel 100" in capsys.readouterr().err
    subprocess.check_call(["scancel", "100"])


@pytest.mark.parametrize("text", ['{"id": ["7"], "token": {}}', "[1]", "{", ""])
def test_a_record_that_somebody_has_changed(text, cluster, tmp_path):
    a = job(tmp_path, "a")
    a.folder.mkdir()
    (a.folder / "slurm.json").write_text(text)
    assert engine(tmp_path).adopt([a]) == {}
    Local(progress=False).take(a)
    assert not (a.folder / "slurm.json").exists()


def test_without_an_answer_nothing_is_started_twice(cluster, tmp_path):
    a = job(tmp_path, "a")
    a.folder.mkdir()
    (a.folder / "slurm.json").write_text('{"token": "x", "id": "7", "folder": "/"}')
    (cluster / "down").touch()
    with pytest.raises(UserError, match="squeue does not answer"):
        engine(tmp_path).run([a])
    assert not scripts(cluster)


# --------------------------------------------------------------------- its options
def test_a_dry_run_needs_no_cluster(tmp_path, capsys):
    a, b = job(tmp_path, "a"), job(tmp_path, "b")
    after = job(tmp_path, "c", after=[a])
    engine(tmp_path, "account=me", "time=1-12", dry_run=True).run([a, b, after])
    printed = capsys.readouterr().out
    assert "#SBATCH --account=me\n" in printed and "#SBATCH --time=2160\n" in printed
    assert "--array=0-1%2" in printed and "# 1: b, in " in printed
    assert "# 1 more jobs after these" in printed and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "pair, message",
    [
        ("nodes=2", "a job here is one process"),
        ("tasks_per_node=4", "a job here is one process"),
        ("array=1-3", "sets it itself"),
        ("time=soon", "write minutes"),
        ("time=0", "write minutes"),
        ("partition", "not KEY=VALUE"),
    ],
)
def test_wrong_options(pair, message, tmp_path):
    with pytest.raises(UserError, match=message):
        engine(tmp_path, pair)


def test_names_of_submitit(tmp_path):
    pairs = ("timeout_min=30", "mem_gb=2.5", "slurm_partition=p", "nodes=1", "name=x")
    assert engine(tmp_path, *pairs).options == {
        "time": 30,
        "mem": "2.5G",
        "partition": "p",
        "job_name": "x",
    }


def test_what_sbatch_refuses(cluster, tmp_path):
    with pytest.raises(UserError, match="invalid partition specified: wrong"):
        engine(tmp_path, "partition=wrong").run([job(tmp_path, "a")])


def test_without_slurm(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="where sbatch and srun work"):
        engine(tmp_path).run([job(tmp_path, "a")])


def test_a_folder_that_others_can_write_in(cluster, tmp_path):
    (tmp_path / "slurm").mkdir()
    os.chmod(tmp_path / "slurm", 0o777)
    with pytest.raises(UserError, match="chmod go-w"):
        engine(tmp_path).run([job(tmp_path, "a")])
    os.chmod(tmp_path, 0o777)
    with pytest.raises(UserError, match="Everybody can write in .* chmod o-w"):
        engine(tmp_path / "open").run([job(tmp_path, "a")])
    os.chmod(tmp_path, 0o1777)  # as /tmp: nobody else can rename what is there
    engine(tmp_path / "new").run([])
    assert (tmp_path / "new/slurm").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("name", ["local", "debug"])
def test_other_executors_of_submitit(name, tmp_path, monkeypatch):
    monkeypatch.setattr(Slurm, "PAUSE", 0.1)
    a = job(tmp_path, "a")
    b = job(tmp_path, "b", after=[a])
    engine(tmp_path, f"cluster={name}").run([a, b])
    assert a.state == b.state == "done"
    assert order(tmp_path) == ["+a", "-a", "+b", "-b"]


def test_a_login_node_does_not_load_torch(corpora, tmp_path):  # noqa: F811
    parts = "extract wavs --upstream fbank --output out --engine slurm --jobs 3".split()
    runs = ["superb", *arguments_of(corpora, tmp_path, "--engine", "slurm")]
    code = (
        "import sys; from s3prl_sb import cli; from s3prl_sb.engines import submitted\n"
        f"for words in {[parts, runs]}: cli.main([*words, '--dry_run'])\n"
        "print('torch' in sys.modules)"
    )
    output = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert "--array=0-2%3" in output and "# 0: fbank KS 1986, in" in output
    assert output.endswith("False\n")


# --------------------------------------------------------------- whole commands
def test_a_benchmark_has_the_same_results(
    cluster,
    corpora,  # noqa: F811
    reference,  # noqa: F811
    tmp_path,
    capsys,
):
    """With a master that is killed, and a run that loses its node."""
    (cluster / "hold").touch()
    words = arguments_of(corpora, tmp_path, "--engine", "slurm", "--slurm", "time=9")
    line = [sys.executable, "-m", "s3prl_sb.cli", "superb", *words]
    first = subprocess.Popen(line, stderr=subprocess.DEVNULL)
    until(lambda: [p for p in tmp_path.rglob("slurm.json") if '"100"' in p.read_text()])
    first.kill()
    first.wait()
    (cluster / "hold").unlink()

    def preempt():
        until(lambda: list(tmp_path.glob("*/KS/*/save")), 120)
        fake_slurm.preempt("100", folder=cluster)

    thread = threading.Thread(target=preempt)
    thread.start()
    assert cli.main(["superb", *words]) == 0
    thread.join()
    said = capsys.readouterr()
    assert "found    fbank" in said.err and "requeued fbank" in said.err
    assert len(scripts(cluster)) == 1
    assert learned(tmp_path) == learned(reference) != {}
    assert said.out == (reference / "printed").read_text()


def test_what_has_ended_and_is_still_in_the_queue_runs_again(
    cluster, tmp_path, monkeypatch
):
    """As Slurm lists jobs for a while whose nodes are tidied up."""
    bad = job(tmp_path, "bad", "1 / os.path.exists(os.path.join(folder, 'go'))")
    engine(tmp_path).run([bad])
    assert bad.state == "failed"
    number, ask = submitted.read_record(bad.folder)["id"], Slurm._ask

    def late(self):
        answer = ask(self)
        self.states.setdefault(number, "COMPLETING")
        return answer

    monkeypatch.setattr(Slurm, "_ask", late)
    (tmp_path / "go").touch()
    engine(tmp_path).run([bad])
    assert bad.state == "done"


def test_parts_of_an_extraction(cluster, tmp_path, capsys, monkeypatch):
    """The jobs note their words, and fail once; the words are carried out here."""
    for number in range(5):
        noise = np.random.default_rng(number).standard_normal(120 * 16000)
        soundfile.write(tmp_path / f"{number}.wav", 0.1 * noise, 16000)
    words = ["extract", str(tmp_path), "--upstream", "fbank", "--layers", "0"]
    assert cli.main([*words, "--output", str(tmp_path / "local")]) == 0
    words += ["--output", str(tmp_path / "slurm"), "--engine", "slurm", "--jobs", "2"]
    note = tmp_path / "note.py"
    note.write_text(
        f"import json, os, sys; folder = {str(tmp_path)!r}\n"
        "name = os.path.join(folder, sys.argv[-1].replace('/', '-') + '.json')\n"
        "again = os.path.exists(name); json.dump(sys.argv, open(name, 'w'))\n"
        "sys.exit(0 if again or '0-2' in name else 'oh no')\n"
    )
    real = extract_jobs.command

    def noting(*given):
        program, *rest = real(*given)
        return [program, "-S", str(note), *rest]

    monkeypatch.setattr(extract_jobs, "command", noting)
    assert cli.main(words) == 1
    assert "| oh no" in capsys.readouterr().err
    assert cli.main(words) == 0
    printed, said = capsys.readouterr()
    assert "all 2 parts are in" in printed and "done     part 1/2" in said
    assert scripts(cluster)[0].count("--array=0-1%2") == 1
    for part in ("0-2", "1-2"):
        _, *line = json.loads((tmp_path / f"{part}.json").read_text())
        assert line[:2] == ["-m", "s3prl_sb.cli"] and cli.main(line[2:]) == 0
    assert shards(tmp_path / "slurm") == shards(tmp_path / "local")
    assert len(shards(tmp_path / "slurm")) == 3


@pytest.mark.parametrize(
    "words, message",
    [
        (["--engine", "slurm"], "needs --jobs N"),
        (["--engine", "slurm", "--jobs", "0"], "give 1 or more"),
        (["--engine", "slurm", "--jobs", "2", "--format", "npy"], "--format cache"),
        (["--engine", "slurm", "--jobs", "2", "--part", "0/2"], "--part belongs"),
        (["--jobs", "2"], "--processes N"),
        (["--dry_run"], "--dry_run belongs to --engine slurm"),
        (["--address", "auto"], "--address belongs to --engine ray"),
    ],
)
def test_wrong_arguments_of_extract(words, message, tmp_path, capsys):
    line = ["extract", str(tmp_path), "--upstream", "fbank", "--output", "x", *words]
    assert cli.main(line) == 1
    assert message in capsys.readouterr().err
