"""Intervals in the tables of runs and of benchmarks.

Authors
 * The s3prl_sb developers, 2026
"""

import csv
import io
import json

import pytest
from finished_runs import results

from s3prl_sb.benchmark import layout, plan, table
from s3prl_sb.cli import main
from s3prl_sb.metrics.measures import Measures, combined, intervals_of
from s3prl_sb.runs.results import find_runs


def measures(values):
    accuracy = {"kind": "mean", "values": values}
    items = [f"u{number}" for number in range(len(values))]
    return Measures.build("utterance", items, {"accuracy": accuracy})


def finish(run, values):
    """Writes what a finished run of the benchmark leaves."""
    run.command()
    mine = measures(values)
    mine.write(run.folder)
    protocol = {"followed": True, "settings": {}, "data": None, "differs": []}
    found = {
        "metrics": {"accuracy": mine.value("accuracy")},
        "intervals": intervals_of(mine),
        **{"valid": {}, "seconds": 2.0, "lr": None, "protocol": protocol},
    }
    (run.folder / "results.json").write_text(json.dumps(found))


@pytest.fixture
def runs(tmp_path):
    """Two seeds of KS."""
    places = {"KS": {"data_folder": "/data"}}
    return plan.make(["mel"], ["KS"], places, {}, tmp_path, (1, 2))


VALUES = [1, 0, 1, 1, 0, 1, 1, 1, 0, 1], [1, 1, 1, 1, 0, 0, 1, 1, 1, 1]


def cell(runs):
    return table.gather(runs, ["KS"])["rows"][0]["cells"]["KS"]


def test_a_cell_of_one_run_has_its_interval(runs):
    finish(runs[0], VALUES[0])
    low, high = intervals_of(measures(VALUES[0]))["metrics"]["accuracy"]
    found = cell(runs[:1])["metrics"]["accuracy"]
    assert found["interval"] == [100 * low, 100 * high]


def test_a_cell_of_seeds_has_the_interval_of_their_mean(runs):
    for run, values in zip(runs, VALUES):
        finish(run, values)
    _, low, high = combined(list(map(measures, VALUES)), "accuracy")
    found = cell(runs)["metrics"]["accuracy"]
    assert found["mean"] == pytest.approx(75)
    assert found["interval"] == pytest.approx([100 * low, 100 * high])
    gathered = table.gather(runs, ["KS"])
    brackets = f"± 7.07 [{100 * low:.2f}, {100 * high:.2f}]"
    assert brackets in layout.as_markdown(gathered)
    assert brackets in layout.as_text(gathered, intervals=True)
    assert "interval of the bootstrap" in layout.as_text(gathered, intervals=True)
    plain = layout.as_text(gathered)
    assert "± 7.07" in plain and "[" not in plain and "bootstrap" not in plain


def test_without_measures_a_mean_has_no_interval(runs):
    for run, values in zip(runs, VALUES):
        finish(run, values)
    (runs[1].folder / "measures.json").unlink()
    assert cell(runs)["metrics"]["accuracy"]["interval"] is None
    assert "[" not in layout.as_markdown(table.gather(runs, ["KS"]))
    finish(runs[1], VALUES[1][:4])  # another test set
    assert cell(runs)["metrics"]["accuracy"]["interval"] is None


def test_runs_of_older_versions_stay_in_the_table(runs):
    finish(runs[0], VALUES[0])
    path = runs[0].folder / "results.json"
    found = json.loads(path.read_text())
    del found["intervals"]
    path.write_text(json.dumps(found))
    assert cell(runs[:1])["metrics"]["accuracy"]["interval"] is None
    found["intervals"] = {"level": 0.95, "metrics": {"accuracy": ["<b>", 1]}}
    path.write_text(json.dumps(found))
    assert cell(runs[:1])["state"] == "failed"


@pytest.fixture
def said(tmp_path, capsys):
    """The verb's output of a run with an interval and one without."""
    for name, changes in (("a", {}), ("b", {"intervals": None})):
        (tmp_path / name).mkdir()
        content = results(seconds=1.0, **changes)
        (tmp_path / name / "results.json").write_text(json.dumps(content))

    def run(*options):
        capsys.readouterr()
        assert main(["results", str(tmp_path), *options]) == 0
        return capsys.readouterr().out

    return run


def test_results_show_intervals_where_they_are_known(said):
    assert "[" not in said()
    assert said("--intervals").count("accuracy 90.00 [80.00, 96.00] %") == 1
    assert said("--format", "markdown").count("90.00 [80.00, 96.00] %") == 1
    one, other = csv.DictReader(io.StringIO(said("--format", "csv")))
    assert (one["accuracy [%] low"], one["accuracy [%] high"]) == ("80.0", "96.0")
    assert other["accuracy [%] low"] == "" and other["accuracy [%]"] == "90.0"
    found = json.loads(said("--format", "json"))
    assert found[0]["intervals"]["metrics"] == {"accuracy": [0.8, 0.96]}


@pytest.mark.parametrize(
    "intervals",
    [
        "none",
        {"level": 0.95},
        {"level": 0.95, "metrics": {"accuracy": [0.1]}},
        {"level": 0.95, "metrics": {"accuracy": ["<script>", 1]}},
        {"level": "high", "metrics": {}},
    ],
)
def test_intervals_of_another_form_are_named(tmp_path, intervals):
    content = json.dumps(results(seconds=1.0, intervals=intervals))
    (tmp_path / "results.json").write_text(content)
    failed = []
    assert find_runs([str(tmp_path)], failed.append) == []
    assert "results.json' is not the results of a run" in str(failed[0])
