"""Costs of a benchmark are the sums of what recipes plan."""

from types import SimpleNamespace

import pytest

from s3prl_sb.benchmark.cost_table import notes, show
from s3prl_sb.benchmark.costs import _job, figures, gather
from s3prl_sb.errors import UserError
from s3prl_sb.terminal import quantities

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
    return SimpleNamespace(task=task, title="fbank", rates=rates, variant=None)


TWO = [run("PR"), run("ASR")]


def test_a_plan_is_kept_for_any_seed_of_the_same_data_and_code(tmp_path):
    def place(**configuration):
        kind = SimpleNamespace(task="KS", title="fbank", output=tmp_path)
        kind.configuration, kind.words = configuration, list
        return _job(kind, {}).folder

    first = place(seed=1, lr_search=[0.1], lr_searched_by=None, data={"a": 1})
    assert first == place(seed=2, lr_search=None, lr_searched_by="x", data={"a": 1})
    assert first != place(seed=1, lr_search=[0.1], lr_searched_by=None, data={"a": 2})


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
    show(rows)
    assert "KS" in capsys.readouterr().out


def test_another_machine_changes_hours_alone():
    plans = {"a": plan(CACHED)}
    [here] = gather(["a"], plans, [run()])
    [there] = gather(["a"], plans, [run()], {"speed": 20, "updates": 5})
    assert there["upstream_hours"] == pytest.approx(300 / 20 / 3600)
    assert there["hours"] - there["upstream_hours"] == pytest.approx(2 / 3600)
    same = ("runs", "once", "upstream", "bytes", "updates", "caches")
    assert [here[key] for key in same] == [there[key] for key in same]
    said = " ".join(notes([there], 1, {"speed": 20, "updates": 5}))
    assert "speed=20, updates=5" in said


@pytest.mark.parametrize(
    "words", [["speed=0"], ["speed=-1"], ["speed=fast"], ["sped=1"], ["updates=true"]]
)
def test_figures_that_make_no_sense_are_refused(words):
    with pytest.raises(UserError, match="--plan_as"):
        figures(words)


def test_several_jobs_take_as_long_as_the_longest_run_at_least():
    rows = gather(["a", "b"], {"a": plan(CACHED), "b": plan(ENDLESS)}, TWO)
    total, longest = sum(row["hours"] for row in rows), rows[1]["longest"]
    assert longest == rows[1]["hours"] > rows[0]["hours"]

    said = [notes(rows, jobs)[1] for jobs in (1, 2, 9, None)]
    most = quantities.duration(3600 * longest)
    assert all(f"is one of ASR of fbank, with {most}" in text for text in said)
    assert said[0].startswith(
        f"One job at a time takes {quantities.duration(3600 * total)}."
    )
    assert "2 jobs, each with" in said[1] and f"take {most} at least" in said[1]
    assert f"take {most} at least" in said[2] and "together at least" in said[3]


def test_notes_say_why_the_upstream_runs_at_every_step():
    large = [{**ENDLESS[0], "reason": "frames would take 610 GB, over 50"}, *CACHED[1:]]
    both = {"a": plan(CACHED), "b": plan(large), "c": plan(ENDLESS)}
    said = notes(gather(["a"], both, [run()]))
    assert not any("in each batch" in text for text in said)
    said = notes(gather(["a", "b"], both, TWO))
    assert (
        "ASR encodes its training set in each batch: frames would take 610" in said[-2]
    )
    assert "cache_budget" in said[-1]
    said = notes(gather(["a", "c"], both, TWO))
    assert "ASR encodes" in said[-1]
