"""Several processes: the same optimization as one, each utterance counted once."""

import csv
import json
from pathlib import Path

import pytest
import torch
from conftest import KS, TINY, assert_same_outcome, command, results, trained

COMMON = {
    "labels": "folders",
    "version": "v0.02",
    "total_steps": 10,
    "steps_per_epoch": 5,
    "batch_size": 8,
    "lr": 0.01,
    "ckpt_interval_steps": 2,
}
#: Shards of four utterances, and a note of who wrote each.
SMALL_SHARDS = """
import os
from s3prl_sb.dataio import cache, shard_plan
shard_plan.SHARD_UTTERANCES = 4
write = cache.FeatureCache.write
def noting(self, entries):
    path = write(self, entries)
    with open(path.with_suffix(".writer" + os.environ.get("RANK", "")), "w"):
        return path
cache.FeatureCache.write = noting
"""
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")


@pytest.fixture(scope="module")
def cached(corpus, tiny_card):
    """The arguments of a probe on cached features."""
    return lambda output, **overrides: command(
        KS,
        output,
        **{**COMMON, "data_folder": corpus, "upstream": tiny_card, **overrides},
    )


@pytest.fixture(scope="module")
def shared_out(cached, launcher, tmp_path_factory):
    """The output of two processes."""
    output = tmp_path_factory.mktemp("two") / "output"
    assert launcher.run_distributed(cached(output), prelude=SMALL_SHARDS) == 0
    return output


@pytest.fixture(scope="module")
def alone(cached, launcher, tmp_path_factory):
    """The output of one process."""
    output = tmp_path_factory.mktemp("one") / "output"
    assert launcher.run(cached(output), prelude=SMALL_SHARDS) == 0
    return output


def assert_close(output, expected, atol=1e-5):
    weights, others = trained(output), trained(expected)
    assert weights.keys() == others.keys()
    for name, value in others.items():
        if torch.is_tensor(value):
            torch.testing.assert_close(weights[name], value, atol=atol, rtol=1e-3)


def test_each_utterance_counts_once(shared_out, corpus):
    listed = (corpus / "testing_list.txt").read_text().split()
    expected = sorted(
        Path(name).with_suffix("").as_posix().replace("/", "--") for name in listed
    )
    with open(shared_out / "predictions.csv") as file:
        rows = list(csv.DictReader(file))
    assert sorted(row["id"] for row in rows) == expected
    assert results(shared_out)["utterances"] == {"train": 32, "valid": 8, "test": 8}
    right = sum(row["label"] == row["prediction"] for row in rows)
    assert results(shared_out)["metrics"]["accuracy"] == right / len(rows)


def test_each_process_extracts_its_part_and_no_other(shared_out):
    cache = shared_out / "cache"
    shards = {path.stem for path in cache.rglob("*.safetensors")}
    first, second = (
        {path.stem for path in cache.rglob(f"*.writer{rank}")} for rank in "01"
    )
    assert len(shards) == 12  # 32, 8 and 8 utterances, four in each
    assert first | second == shards
    assert len(first) > 3 and len(second) > 3
    assert not first & second, "extracted twice"


def test_two_processes_learn_what_one_learns(shared_out, alone):
    assert_close(shared_out, alone, atol=1e-4)  # Adam magnifies rounding errors
    ours, theirs = results(shared_out)["metrics"], results(alone)["metrics"]
    assert ours == pytest.approx(theirs, abs=1e-5)


#: One process finds room for frames, the other one finds none.
OTHER_DISKS = """
import os
from s3prl_sb.brains import cache_budget
cache_budget.Disk.free = lambda self: (1 << 40) * (os.environ["RANK"] == ROOMY)
"""


@pytest.mark.parametrize("roomy, kind", [("0", "frames"), ("1", "off")])
def test_one_process_decides_what_is_cached(roomy, kind, cached, launcher, tmp_path):
    output = tmp_path / "output"
    argv = cached(output, head="{name: rnn, hidden_size: 4}", total_steps=5)
    prelude = SMALL_SHARDS + OTHER_DISKS.replace("ROOMY", repr(roomy))
    assert launcher.run_distributed(argv, prelude=prelude) == 0
    kept = json.loads((output / "cache.json").read_text())
    assert kept == {"train": kind, "valid": kind}


def test_two_processes_fine_tune_as_one_does(corpus, launcher, tmp_path):
    """Without dropout: its random numbers are each process's own."""
    card = tmp_path / "still.yaml"
    still = ("dropout", "attention_dropout", "activation_dropout", "input_dropout")
    card.write_text(TINY + "".join(f"        {name}: 0.0\n" for name in still))
    # Adam makes a gradient of rounding errors as large as any other.
    text = (KS / "hparams/train.yaml").read_text().replace("optim.Adam", "optim.SGD")
    (tmp_path / "sgd.yaml").write_text(text)

    def argv(output):
        overrides = {**COMMON, "data_folder": corpus, "upstream": card, "freeze": False}
        hparams = tmp_path / "sgd.yaml"
        return command(KS, output, hparams=hparams, **overrides, lr_upstream=0.01)

    assert launcher.run_distributed(argv(tmp_path / "two")) == 0
    assert launcher.run(argv(tmp_path / "one")) == 0
    assert_close(tmp_path / "two", tmp_path / "one")


@pytest.mark.parametrize(
    "point, how, call",
    [
        ("os.replace", "before", 5),  # in preparation or extraction
        ("torch.save", "half", 7),
    ],
)
def test_killed_and_resumed(point, how, call, cached, shared_out, launcher, tmp_path):
    argv = cached(tmp_path / "output")
    kill = {"point": point, "how": how, "call": call}
    assert launcher.run_distributed(argv, kill=kill, prelude=SMALL_SHARDS) == -9
    assert launcher.run_distributed(argv, prelude=SMALL_SHARDS) == 0
    assert_same_outcome(tmp_path / "output", shared_out)


def test_one_process_goes_on_with_what_two_began(cached, launcher, tmp_path):
    argv = cached(tmp_path / "output")
    kill = {"point": "torch.save", "how": "before", "call": 7}
    assert launcher.run_distributed(argv, kill=kill) == -9
    assert launcher.run(argv) == 0
    assert results(tmp_path / "output")["utterances"]["test"] == 8


def test_nobody_leaves_before_the_results_are_written(cached, launcher, tmp_path):
    """Else torchrun may end the first process in the middle of its writing."""
    written = tmp_path / "output/results.json"
    prelude = f"""
import os, time
leave, replace = os._exit, os.replace
def slowly(source, target):
    time.sleep(1.0 * str(target).endswith(("predictions.csv", "results.json")))
    return replace(source, target)
def checking(code):
    leave(code or 3 * (not os.path.exists({str(written)!r})))
os.replace, os._exit = slowly, checking
"""
    assert launcher.run_distributed(cached(tmp_path / "output"), prelude=prelude) == 0


def test_torchrun_itself(cached, shared_out, launcher, tmp_path):
    """Its processes are new interpreters."""
    argv = [*cached(tmp_path / "output"), "--distributed_backend=gloo"]
    process = launcher.program([*TORCHRUN, *argv], tmp_path, {})
    said, _ = process.communicate()
    assert process.returncode == 0, said[-4000:]
    assert_same_outcome(tmp_path / "output", shared_out)


def test_a_batch_that_cannot_be_shared_is_an_error(cached, launcher, tmp_path):
    words = "batch_size 7 cannot be shared equally by 2 processes"
    with pytest.raises(AssertionError, match=words):
        launcher.run_distributed(cached(tmp_path / "output", batch_size=7))
    assert not (tmp_path / "output/results.json").exists()
