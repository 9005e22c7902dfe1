"""Costs of a benchmark are the sums of what recipes plan."""

from types import SimpleNamespace

import pytest

from s3prl_sb.superb.costs import gather, show

PART = {"utterances": 10, "seconds": 100.0, "reason": "exact", "bytes": 5}
CACHED = [
    {**PART, "split": split, "cache": "pooled", "passes": 1.0, "features": split}
    for split in ("train", "valid", "test")
]
ENDLESS = [{**CACHED[0], "cache": "off", "passes": 7.0, "features": ""}, *CACHED[1:]]


def plan(parts):
    return {
        "parts": parts,
        "once": sum(part["seconds"] for part in parts),
        "upstream": sum(part["seconds"] * part["passes"] for part in parts),
        "bytes": 15,
        "updates": 1000,
        "speed": 10.0,
        "update": 0.01,
    }


def run(task="KS", rates=None):
    return SimpleNamespace(task=task, title="fbank", rates=rates)


TWO = [run("PR"), run("ASR")]


def test_seeds_share_what_is_cached():
    [row] = gather(["a", "a"], {"a": plan(CACHED)}, [run(), run()])
    assert row["runs"] == 2 and row["updates"] == 2000 and row["bytes"] == 15
    assert row["upstream"] == row["once"] == 300
    assert row["hours"] == pytest.approx((300 / 10 + 2000 * 0.01) / 3600)


def test_what_is_not_cached_is_encoded_by_each_run_and_not_by_the_search():
    runs = [run(rates=[0.1, 0.01]), run()]
    [row] = gather(["a", "a"], {"a": plan(ENDLESS)}, runs)
    assert row["upstream"] == 900 + 700  # valid and test are cached, train is not
    assert row["updates"] == 2 * 1000 + 1000


def test_tasks_share_what_is_cached():
    """As phones and characters of the same audio do."""
    both = gather(["a", "b"], {"a": plan(CACHED), "b": plan(CACHED)}, TWO)
    assert [row["upstream"] for row in both] == [300, 0]
    assert [row["bytes"] for row in both] == [15, 0]
    assert [row["once"] for row in both] == [300, 300]
    both = gather(["a", "b"], {"a": plan(ENDLESS), "b": plan(ENDLESS)}, TWO)
    assert [row["upstream"] for row in both] == [900, 700]


def test_runs_without_a_plan_are_left_out(capsys):
    runs = [run(), run("QbE"), run("SID")]
    rows = gather(["a", "b"], {"a": plan(CACHED)}, runs)
    assert [row["task"] for row in rows] == ["KS"]
    show(rows, "text")
    assert "KS" in capsys.readouterr().out
