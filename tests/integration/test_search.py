"""The best learning rate of a search is the run: nothing is trained twice."""

import json
import operator
import shutil
from pathlib import Path

import pytest
import torch
from conftest import KS, TINY, command, results, trained
from outcomes import assert_same_outcome, assert_searched_outcome, best_checkpoint

RATES = "[0.01, 0.001, 1.0e-9]"
#: A head that is stacked, and one whose copies train in turns.
HEADS = {"stacked": "linear", "in turns": "{name: rnn, hidden_size: 8}"}
#: Counts the utterances that the upstream encodes.
COUNTING = """
from s3prl_sb.lobes.upstreams.base import Upstream
original = Upstream.forward
def forward(self, sig, *rest, **more):
    with open({path!r}, "a") as file:
        file.write(str(len(sig)) + chr(10))
    return original(self, sig, *rest, **more)
Upstream.forward = forward
"""


@pytest.fixture(scope="module")
def recipe(corpus, tmp_path_factory):
    """``recipe(output, how, …)``: the arguments of a run, without a cache."""
    card = tmp_path_factory.mktemp("card") / "tiny.yaml"
    card.write_text(TINY)

    def recipe(output, how="in turns", **more):
        loader = "{batch_size: 8, num_workers: 0}"
        given = {
            "data_folder": corpus,
            "labels": "folders",
            "version": "v0.02",
            "upstream": card,
            "head": HEADS[how],
            "cache": "off",
            "total_steps": 9,
            "steps_per_epoch": 3,
            "batch_size": 8,
            "grad_accumulation_factor": 1,
            "train_dataloader_opts": "{num_workers: 0, balance: label}",
            "valid_dataloader_opts": loader,
            "test_dataloader_opts": loader,
            "ckpt_interval_steps": 2,
            **more,
        }
        return command(KS, output, **given)

    return recipe


def lines(folder):
    return (Path(folder) / "train_log.txt").read_text().splitlines()


def points(folder):
    """The curves of a TensorBoard log: {tag: [(step, value), …]}."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(Path(folder) / "tensorboard")).Reload()
    tags = events.Tags()["scalars"]
    return {t: [(e.step, e.value) for e in events.Scalars(t)] for t in tags}


@pytest.mark.parametrize("how", HEADS)
def test_it_is_the_run(how, recipe, launcher, tmp_path):
    searched, alone = tmp_path / "searched", tmp_path / "alone"
    assert launcher.run(recipe(searched, how, lr_search=RATES)) == 0
    search = json.loads((searched / "lr_search.json").read_text())
    assert launcher.run(recipe(alone, how, lr=search["best"])) == 0
    assert json.loads((alone / "results.json").read_text())["search"] is None
    found = assert_searched_outcome(searched, alone)
    assert found == {"rates": [0.01, 0.001, 1e-9], "trained": how}
    assert points(searched).keys() == points(alone).keys()
    if how == "in turns":
        assert lines(searched) == lines(alone)
        assert points(searched) == points(alone)
    assert len(lines(searched)) == 3 + 1  # validations, and the test
    # What a run leaves, and nothing of the other copies.
    names = [sorted(p.name for p in (f / "save").iterdir()) for f in (searched, alone)]
    kept = [[n for n in each if not n.startswith("CKPT")] for each in names]
    assert kept[0] == kept[1]
    assert len(names[0]) == len(names[1])
    size = max(path.stat().st_size for path in best_checkpoint(searched).iterdir())
    assert size <= 1.1 * max(p.stat().st_size for p in best_checkpoint(alone).iterdir())


#: With batches by seconds the largest one is rehearsed.
BY_SECONDS = {
    "cache": "off",
    "batch_seconds": 5,
    "train_dataloader_opts": "{num_workers: 0, balance: null}",
}


@pytest.mark.parametrize(
    "given", ({"cache": "off"}, {"cache": "pooled"}, {"cache": "frames"}, BY_SECONDS)
)
def test_the_upstream_runs_as_often_as_in_one_run(given, recipe, launcher, tmp_path):
    counts = []
    for name, more in ("one", {"lr": 0.01}), ("searched", {"lr_search": RATES}):
        path = tmp_path / f"{name}.txt"
        prelude = COUNTING.format(path=str(path))
        argv = recipe(tmp_path / name, "stacked", **{**given, **more})
        assert launcher.run(argv, prelude=prelude) == 0
        counts.append(sum(map(int, path.read_text().split())))
    assert counts[0] >= 48
    assert counts[1] <= 1.05 * counts[0], counts


#: In the search; when it has ended; while the copy becomes the run; in the test.
KILLS = [
    ("s3prl_sb.brains.sweep.Sweep.fit_batch", 2, "after"),
    ("s3prl_sb.brains.sweep.Sweep.keep_validated", 5, "after"),
    ("s3prl_sb.brains.sweep.Sweep.tidy", 3, "before"),
    ("shutil.copytree", 1, "after"),
    ("s3prl_sb.brains.train_log.TrainLog.log_stats", 2, "after"),
    ("s3prl_sb.brains.results.write", 1, "before"),
]


@pytest.fixture(scope="module")
def whole(recipe, launcher, tmp_path_factory):
    """A search in one go, for each kind of head."""
    folder = tmp_path_factory.mktemp("whole")
    for how in HEADS:
        assert launcher.run(recipe(folder / how, how, lr_search=RATES)) == 0
    return folder


@pytest.mark.parametrize("point, call, when", KILLS)
def test_killed_anywhere_it_ends_the_same(
    point, call, when, recipe, launcher, whole, tmp_path
):
    how = "in turns" if call % 2 else "stacked"
    argv = recipe(tmp_path / "out", how, lr_search=RATES)
    kill = {"point": point, "call": call, "how": when}
    assert launcher.run(argv, kill=kill) == -9
    assert launcher.run(argv) == 0
    assert_same_outcome(tmp_path / "out", whole / how)
    assert lines(tmp_path / "out") == lines(whole / how)
    assert points(tmp_path / "out") == points(whole / how)
    assert not (tmp_path / "out/save/lr_search").exists()


def test_run_again_it_trains_nothing(recipe, launcher, whole, tmp_path):
    shutil.copytree(whole / "stacked", tmp_path / "out")
    path = tmp_path / "count.txt"
    argv = recipe(tmp_path / "out", "stacked", lr_search=RATES)
    assert launcher.run(argv, prelude=COUNTING.format(path=str(path))) == 0
    assert_same_outcome(tmp_path / "out", whole / "stacked")
    assert sum(map(int, path.read_text().split())) == 8  # the test set


@pytest.mark.parametrize("how", HEADS)
def test_extended_it_is_as_a_longer_search(how, recipe, launcher, whole, tmp_path):
    shutil.copytree(whole / how, tmp_path / "out")
    longer = {"lr_search": RATES, "total_steps": 12}
    assert launcher.run(recipe(tmp_path / "out", how, **longer)) == 0
    assert launcher.run(recipe(tmp_path / "longer", how, **longer)) == 0
    assert_same_outcome(tmp_path / "out", tmp_path / "longer")
    assert lines(tmp_path / "out") == lines(tmp_path / "longer")


def test_it_stops_as_the_run_would(recipe, launcher, tmp_path):
    more = {"patience": 1, "total_steps": 24}
    searched, alone = tmp_path / "searched", tmp_path / "alone"
    assert launcher.run(recipe(searched, lr_search=RATES, **more)) == 0
    best = json.loads((searched / "lr_search.json").read_text())["best"]
    assert launcher.run(recipe(alone, lr=best, **more)) == 0
    assert assert_searched_outcome(searched, alone)["trained"] == "in turns"
    assert results(searched)["stopped"] is not None
    assert lines(searched) == lines(alone)


def test_a_run_of_its_own_is_not_replaced(recipe, launcher, tmp_path):
    """A search in the folder of a run at the best rate finds it finished."""
    out = tmp_path / "out"
    assert launcher.run(recipe(out, lr=0.01)) == 0
    before = trained(out)
    assert launcher.run(recipe(out, lr_search="[0.01, 1.0e-9]")) == 0
    after = trained(out)
    assert results(out)["search"] is None
    for name, value in before.items():
        same = torch.equal if torch.is_tensor(value) else operator.eq
        assert same(value, after[name]), name
