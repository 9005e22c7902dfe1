"""Jobs and actors in a Ray cluster of two nodes, whose workers are killed."""

import os
import signal
import threading
import time
from pathlib import Path

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
from engine_jobs import job, order, until

import s3prl_sb
from s3prl_sb.errors import UserError

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install ray")

from s3prl_sb import cli  # noqa: E402
from s3prl_sb.engines import actors  # noqa: E402
from s3prl_sb.engines.ray import Ray  # noqa: E402

NODE = {"num_cpus": 1, "object_store_memory": 80 << 20}


@pytest.fixture(scope="module")
def nodes():
    """A cluster of two nodes, which do not know where this package is."""
    from ray.cluster_utils import Cluster

    hidden = os.environ.pop("PYTHONPATH", None)
    try:
        cluster = Cluster(
            initialize_head=True, head_node_args={**NODE, "include_dashboard": False}
        )
        cluster.add_node(**NODE)
    finally:
        if hidden is not None:
            os.environ["PYTHONPATH"] = hidden
    ray.init(cluster.address, log_to_driver=False, logging_level="ERROR")
    yield cluster
    ray.shutdown()
    cluster.shutdown()


@pytest.fixture(autouse=True)
def nothing_keeps_running():
    """Workers of the cluster live from test to test."""
    yield


def parent(pid):
    """The process id of the parent of a process."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_jobs_in_order_with_their_states(nodes, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MINE", "yes")
    monkeypatch.chdir(tmp_path)
    here = "assert os.environ['MINE'] == 'yes' and os.getcwd() == folder; "
    a = job(tmp_path, "a", here + "import time; time.sleep(0.5)")
    package = f"import s3prl_sb; assert s3prl_sb.__file__ == {s3prl_sb.__file__!r}"
    b = job(tmp_path, "b", package, after=[a])
    bad = job(tmp_path, "bad", "print('oh no', flush=True); 1 / 0")
    lost = job(tmp_path, "lost", after=[bad])
    told = []
    Ray().run([b, a, bad, lost], lambda: told.append(a.state))
    states = [each.state for each in (a, b, bad, lost)]
    assert states == ["done", "done", "failed", "skipped"], a.error + b.error
    assert told and "oh no" in bad.error
    said = capsys.readouterr().err
    assert "queued   a" in said and "started  a" in said and "done     a (" in said
    assert "failed   bad (exit status 1, " in said
    Ray().run([a])
    assert order(tmp_path).count("+a") == 1


def test_a_killed_worker_takes_its_command_along_and_the_job_runs_again(
    nodes, tmp_path, capsys
):
    code = (
        "mark = os.path.join(folder, 'pid')\n"
        "if not os.path.exists(mark):\n"
        "    open(mark + '.new', 'w').write(str(os.getpid()))\n"
        "    os.rename(mark + '.new', mark)\n"
        "    time.sleep(60)\n"
    )
    a = job(tmp_path, "a", code)
    thread = threading.Thread(target=Ray().run, args=[[a]])
    thread.start()
    until((tmp_path / "pid").exists)
    pid = int((tmp_path / "pid").read_text())
    worker = parent(parent(pid))  # above the guard
    os.kill(worker, signal.SIGKILL)
    thread.join(60)
    assert a.state == "done" and a.tries == 2 and order(tmp_path).count("+a") == 2
    stat = Path(f"/proc/{pid}/stat")  # gone, or not yet fetched by its new parent
    assert not stat.exists() or " Z " in stat.read_text()
    assert "again    a (" in capsys.readouterr().err


def test_what_ray_does_not_have(nodes, tmp_path, capsys):
    with pytest.raises(UserError, match="--ray: .*cups"):
        Ray({"num_cups": 1}).run([job(tmp_path, "a")])
    Ray({"num_gpus": 8}).run([])
    assert "No node has num_gpus=8, at most 0" in capsys.readouterr().err


# ------------------------------------------------------------------------ features
@pytest.fixture(scope="module")
def audio(tmp_path_factory):
    """Ten minutes, which are three shards."""
    folder = tmp_path_factory.mktemp("audio")
    for number in range(5):
        noise = np.random.default_rng(number).standard_normal(120 * 16000)
        soundfile.write(folder / f"{number}.wav", 0.1 * noise, 16000)
    return folder


def extract(audio, output, *more):
    words = ["extract", str(audio), "--upstream", "fbank", "--output", str(output)]
    return cli.main([*words, *more])


def test_features_are_those_of_this_machine(nodes, audio, tmp_path, capsys):
    assert extract(audio, tmp_path / "local") == 0
    assert extract(audio, tmp_path / "ray", "--engine", "ray", "--jobs", "2") == 0
    ours = shards(tmp_path / "local")
    assert len(ours) == 3 and shards(tmp_path / "ray") == ours
    assert extract(audio, tmp_path / "x", "--engine", "ray", "--format", "npy") == 1
    assert "--format cache" in capsys.readouterr().err


def test_items_of_killed_actors_are_pulled_by_others(nodes, tmp_path, capsys):
    results = {}

    def make(folder):
        def work(item):
            Path(folder, f"{item}-{os.getpid()}").touch()
            time.sleep(0.5)
            return item**2

        return work

    def kill():
        until(lambda: any(tmp_path.iterdir()))
        path = next(tmp_path.iterdir())
        os.kill(int(path.name.partition("-")[2]), signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    # More actors than places: those that wait hold no item.
    actors.pull(make, (str(tmp_path),), list(range(6)), 3, ended=results.__setitem__)
    thread.join()
    assert results == {n: n**2 for n in range(6)}
    assert "again    " in capsys.readouterr().err


def test_an_error_of_an_actor_is_the_users(nodes, audio, tmp_path, capsys):
    one = ("--engine", "ray", "--jobs", "1")
    (tmp_path / "bad.csv").write_text("id,wav\na,nowhere.wav\n")
    assert extract(tmp_path / "bad.csv", tmp_path / "out", *one) == 1
    assert "nowhere.wav" in capsys.readouterr().err


def test_an_actor_that_always_dies(nodes, monkeypatch):
    monkeypatch.setattr(actors, "TRIES", 2)

    def make():
        return lambda item: os._exit(1)

    with pytest.raises(UserError, match="7 has lost 2 actors"):
        actors.pull(make, (), [7], 1)


def test_a_benchmark_has_the_same_results(
    nodes,
    corpora,  # noqa: F811
    reference,  # noqa: F811
    tmp_path,
):
    words = arguments_of(corpora, tmp_path, "--engine", "ray")
    assert cli.main(["superb", *words]) == 0
    assert learned(tmp_path) == learned(reference) != {}


def test_work_goes_on_without_a_node_that_is_gone(nodes, tmp_path, capsys):
    """Last in this module: the node does not come back."""
    results = {}

    def make(folder):
        node = ray.get_runtime_context().get_node_id()

        def work(item):
            Path(folder, node).touch()
            time.sleep(0.5)
            return node

        return work

    def remove():
        until(lambda: len(list(tmp_path.iterdir())) == 2)
        nodes.remove_node(nodes.worker_nodes.copy().pop(), allow_graceful=False)

    thread = threading.Thread(target=remove)
    thread.start()
    actors.pull(make, (str(tmp_path),), list(range(8)), 2, ended=results.__setitem__)
    thread.join()
    assert sorted(results) == list(range(8))
    assert "again    " in capsys.readouterr().err
