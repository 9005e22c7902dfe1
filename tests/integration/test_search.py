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


@pytest.fixture(scope="module")
def made(recipe, launcher, tmp_path_factory):
    """``made[kind, how]``: a search, and the run alone at its best rate."""
    folders = {}
    for how in HEADS:
        folder = tmp_path_factory.mktemp("made")
        searched, alone = folder / "searched", folder / "alone"
        counted = COUNTING.format(path=str(folder / "searched.txt"))
        argv = recipe(searched, how, lr_search=RATES)
        assert launcher.run(argv, prelude=counted) == 0
        best = json.loads((searched / "lr_search.json").read_text())["best"]
        counted = COUNTING.format(path=str(folder / "alone.txt"))
        assert launcher.run(recipe(alone, how, lr=best), prelude=counted) == 0
        folders |= {("searched", how): searched, ("alone", how): alone}
    return folders


def encoded(path):
    """The number of utterances that the upstream has encoded."""
    return sum(map(int, Path(path).read_text().split()))


@pytest.mark.parametrize("how", HEADS)
def test_it_is_the_run(how, made):
    searched, alone = made["searched", how], made["alone", how]
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
    counts = [encoded(folder.with_suffix(".txt")) for folder in (alone, searched)]
    assert counts[0] >= 9 * 8 and counts[1] <= 1.05 * counts[0], counts


#: With batches by seconds the largest one is rehearsed.
BY_SECONDS = {
    "cache": "off",
    "batch_seconds": 5,
    "train_dataloader_opts": "{num_workers: 0, balance: null}",
}


def test_batches_by_seconds_are_encoded_as_often_as_in_one_run(
    recipe, launcher, tmp_path
):
    counts = []
    for name, more in ("one", {"lr": 0.01}), ("searched", {"lr_search": RATES}):
        path = tmp_path / f"{name}.txt"
        prelude = COUNTING.format(path=str(path))
        argv = recipe(tmp_path / name, "stacked", **{**BY_SECONDS, **more})
        assert launcher.run(argv, prelude=prelude) == 0
        counts.append(encoded(path))
    assert 48 <= counts[1] <= 1.05 * counts[0], counts


@pytest.mark.parametrize("cache", ["pooled", "frames"])
def test_what_is_cached_is_encoded_once(cache, recipe, launcher, tmp_path):
    path = tmp_path / "count.txt"
    argv = recipe(tmp_path / "out", "stacked", cache=cache, lr_search=RATES)
    assert launcher.run(argv, prelude=COUNTING.format(path=str(path))) == 0
    assert encoded(path) == 48


#: In the search; when it has ended; while the copy becomes the run; in the test.
KILLS = {
    "stacked": [
        ("s3prl_sb.brains.sweep.Sweep.fit_batch", 2, "after"),
        ("s3prl_sb.brains.sweep.Sweep.keep_validated", 5, "after"),
        ("s3prl_sb.brains.train_log.TrainLog.log_stats", 2, "after"),
    ],
    "in turns": [
        ("s3prl_sb.brains.sweep.Sweep.tidy", 3, "before"),
        ("shutil.copytree", 1, "after"),
        ("s3prl_sb.brains.results.write", 1, "before"),
    ],
}


@pytest.mark.parametrize("how", HEADS)
def test_killed_anywhere_it_ends_the_same(how, recipe, launcher, made, tmp_path):
    """Several times, ever later."""
    argv, whole = recipe(tmp_path / "out", how, lr_search=RATES), made["searched", how]
    for point, call, when in KILLS[how]:
        kill = {"point": point, "call": call, "how": when}
        assert launcher.run(argv, kill=kill) == -9
    assert launcher.run(argv) == 0
    assert_same_outcome(tmp_path / "out", whole)
    assert lines(tmp_path / "out") == lines(whole)
    assert points(tmp_path / "out") == points(whole)
    assert not (tmp_path / "out/save/lr_search").exists()


def test_run_again_it_trains_nothing(recipe, launcher, made, tmp_path):
    whole = made["searched", "stacked"]
    shutil.copytree(whole, tmp_path / "out")
    left = tmp_path / "out/save/.CKPT+2026-01-01+00-00-00+00.part"
    left.mkdir()  # by a kill after the last rename
    (left / "lock").touch()
    path = tmp_path / "count.txt"
    argv = recipe(tmp_path / "out", "stacked", lr_search=RATES)
    assert launcher.run(argv, prelude=COUNTING.format(path=str(path))) == 0
    assert_same_outcome(tmp_path / "out", whole)
    assert encoded(path) == 8  # the test set
    assert not left.exists()


def test_extended_it_is_as_a_longer_search(recipe, launcher, made, tmp_path):
    how = "in turns"
    shutil.copytree(made["searched", how], tmp_path / "out")
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


@pytest.mark.parametrize("how", HEADS)
def test_its_best_rate_alone_continues_it(how, recipe, launcher, made, tmp_path):
    """More updates without another search: of the winner of the shorter one."""
    shutil.copytree(made["searched", how], tmp_path / "out")
    best = json.loads((tmp_path / "out/lr_search.json").read_text())["best"]
    path, longer = tmp_path / "count.txt", {"lr": best, "total_steps": 12}
    argv = recipe(tmp_path / "out", how, **longer)
    assert launcher.run(argv, prelude=COUNTING.format(path=str(path))) == 0
    assert encoded(path) == (3 + 2) * 8  # three updates, a validation, the test
    assert results(tmp_path / "out")["search"]["trained"] == how
    if how == "in turns":
        shutil.copytree(made["alone", how], tmp_path / "alone")
        assert launcher.run(recipe(tmp_path / "alone", how, **longer)) == 0
        assert_searched_outcome(tmp_path / "out", tmp_path / "alone")


def test_a_run_of_its_own_is_not_replaced(recipe, launcher, made, tmp_path):
    """A search in the folder of a run at the best rate finds it finished."""
    out = tmp_path / "out"
    shutil.copytree(made["alone", "in turns"], out)
    before = trained(out)
    assert launcher.run(recipe(out, lr_search="[0.01, 1.0e-9]")) == 0
    after = trained(out)
    assert results(out)["search"] is None
    for name, value in before.items():
        same = torch.equal if torch.is_tensor(value) else operator.eq
        assert same(value, after[name]), name
