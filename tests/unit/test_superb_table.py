"""The table of s3prl-sb superb."""

import argparse
import json
import statistics

import pytest

from s3prl_sb.benchmark import (
    command,
    grid,
    layout,
    notes,
    plan,
    published,
    superb,
    table,
)
from s3prl_sb.engines.jobs import Job
from s3prl_sb.runs.suite_tasks import task_of


@pytest.fixture
def runs(tmp_path):
    """Two seeds of KS and SID of two upstreams, none of them run."""
    places = {task: {"data_folder": "/data"} for task in ("KS", "SID")}
    return plan.make(
        ["hubert_base", "mel"], ["KS", "SID"], places, {}, tmp_path, (1, 2)
    )


FULL = {"followed": True, "settings": {}, "data": None, "differs": []}


def finish(run, accuracy, lr=None, differs=(), data=None):
    run.command()
    differs = [*([data] if data else []), *differs]
    judged = {**FULL, "followed": not differs, "differs": differs, "data": data}
    results = {"metrics": {"accuracy": accuracy}, "valid": {}, "seconds": 2.0}
    results.update(lr=lr, protocol=judged)
    (run.folder / "results.json").write_text(json.dumps(results))


def cells(text):
    return [line.split() for line in text.splitlines()]


def test_mean_and_spread(runs):
    for run, accuracy in zip(runs, (0.9, 0.94)):
        finish(run, accuracy)
    found = table.gather(runs, ["KS", "SID"])
    summary = found["rows"][0]["cells"]["KS"]["metrics"]["accuracy"]
    assert summary["mean"] == pytest.approx(92) and summary["seeds"] == 2
    assert summary["spread"] == pytest.approx(statistics.stdev((90, 94)))
    text = layout.as_text(found)
    assert "92.00 ± 2.83" in text and "mean ± standard deviation" in text
    assert "KS Acc ↑" in text


def test_a_mean_of_some_seeds_is_no_result(runs):
    finish(runs[0], 0.9)
    found = table.gather(runs, ["KS", "SID"])
    assert found["rows"][0]["cells"]["KS"]["state"] == "missing"
    assert "90.00" not in layout.as_text(found)
    runs[1].job = Job("x", None, None, None, state="failed")
    assert "failed" in layout.as_text(table.gather(runs, ["KS", "SID"]))


def test_a_task_without_data(runs):
    found = table.gather(runs, ["PR", "KS", "SID"], missing=["PR"])
    assert all("no data" in line for line in grid.blocks(found)[0][1::2][:1])
    assert grid.blocks(found)[0][0][1] == "PR PER ↓"


def test_published_and_unverified(runs):
    for run in runs:
        finish(run, 0.5)
    found = table.gather(runs, ["KS", "SID"])
    reported = found["rows"][0]["published"]
    assert reported["SID"]["accuracy"]["verified"]
    assert reported["SID"]["accuracy"]["source"].startswith("https://")
    assert not found["rows"][1]["published"]  # mel
    lines = grid.blocks(found)[0]
    assert [line[0] for line in lines] == [
        "upstream",
        "hubert_base",
        "  published",
        "mel",
    ]
    column = lines[0].index("SID Acc ↑")
    assert lines[2][column] == "81.42"
    unverified = [
        number
        for metrics in published.read()["fbank"].values()
        for number in metrics.values()
    ]
    assert any(number.source is None for number in unverified)
    [run] = _of("fbank", runs)
    assert "~" not in layout.as_text(table.gather([run], ["KS", "SID"]))  # not run yet
    finish(run, 0.5)
    assert "~" in layout.as_text(table.gather([run], ["KS", "SID"]))


def _of(upstream, runs):
    output = runs[0].output
    return plan.make([upstream], ["SID"], {"SID": {}}, {}, output, (1,))


def test_every_published_number_is_of_a_card_and_a_metric():
    from s3prl_sb.lobes.upstreams import names

    known = set(names())
    for card, row in published.read().items():
        assert card in known
        for task, metrics in row.items():
            assert set(metrics) <= {metric.key for metric in task_of(task).metrics}


def test_aliases_are_cards_of_the_same_weights():
    from s3prl_sb.lobes.upstreams import card
    from s3prl_sb.runs.suites import suite

    [found] = suite("superb").published
    for alias, name in found["aliases"].items():
        one, other = card(alias), card(name)
        assert (one.tag.value, dict(one)) == (other.tag.value, dict(other)), alias


def test_every_verified_cell_names_its_source():
    for row in published.read().values():
        for metrics in row.values():
            for number in metrics.values():
                assert number.source is None or number.source.startswith("https://")


def test_what_one_must_know_of_a_published_number_stands_below_it(runs):
    [run] = _of("distilhubert", runs)
    assert grid.REMARK not in layout.as_text(table.gather([run], ["SID"]))
    finish(run, 0.5)
    found = table.gather([run], ["KS", "SID"])
    text = layout.as_text(found)
    assert "~73.54*" in text
    [note] = [line for line in text.splitlines() if line.startswith("*: ")]
    assert note.startswith("*: distilhubert, SID: ") and "{layers: 2}" in note
    shown = layout.as_text(found, published=True)  # of KS too, which has not run
    assert "*: distilhubert, KS, SID: " in shown


def test_a_remark_may_be_of_a_cell():
    tera = published.read()["tera"]
    assert "18.45" in tera["ASR"]["wer"].remark
    assert tera["KS"]["accuracy"].remark is None


def test_narrow_terminals_get_blocks(runs):
    for run in runs:
        finish(run, 0.5)
    found = table.gather(runs, ["KS", "SID"])
    wide, narrow = layout.as_text(found), layout.as_text(found, width=34)
    assert max(map(len, narrow.splitlines()[:4])) <= 34
    assert len(narrow.splitlines()) > len(wide.splitlines())
    for word in ("KS", "SID", "81.42"):
        assert word in narrow


def test_markdown(runs):
    for run in runs:
        finish(run, 0.5)
    lines = layout.as_markdown(table.gather(runs, ["KS", "SID"])).splitlines()
    assert lines[0] == "| upstream | KS Acc ↑ | SID Acc ↑ |"
    assert lines[1] == "| --- | ---: | ---: |"
    assert lines[2].startswith("| hubert_base | 50.00 ± 0.00 |")


def test_small_numbers_and_units(runs, tmp_path):
    known = published.read()["fbank"]
    assert (
        grid.number(known["SID"]["accuracy"][0], task_of("SID").metrics[0]) == "8.5e-04"
    )
    assert grid.number(known["QbE"]["mtwv"][0], task_of("QbE").metrics[0]) == "0.0058"
    assert grid.number(0.0, task_of("SID").metrics[0]) == "0.00"


def test_written_and_read(runs, tmp_path):
    found = table.gather(runs, ["KS", "SID"])
    table.write(found, tmp_path)
    assert table.read(tmp_path) == json.loads(json.dumps(found))
    assert (tmp_path / "table.md").read_text().startswith("| upstream |")
    with pytest.raises(ValueError, match="is not there"):
        table.read(tmp_path / "nowhere")
    for damage in ("{", "[]", '{"tasks": ["KS"], "rows": [{}]}', '{"tasks": 1}'):
        (tmp_path / "table.json").write_text(damage)
        with pytest.raises(ValueError, match="table.json' is not the table of a"):
            table.read(tmp_path)


# ------------------------------------------------------------- of several commands
def planned(tmp_path, tasks=("KS", "SID"), seeds=(1, 2), lr=0.1, **kwargs):
    places = {task: {"data_folder": "/data"} for task in tasks}
    budget = {task: {"lr": lr} for task in tasks}
    return plan.make(["mel"], list(tasks), places, budget, tmp_path, seeds, **kwargs)


def shown(found):
    return {
        row["upstream"]: {
            task: (cell["state"], sorted(run["seed"] for run in cell["runs"]))
            for task, cell in row["cells"].items()
        }
        for row in found["rows"]
    }


def test_a_narrower_command_forgets_nothing(tmp_path):
    for run in planned(tmp_path):
        finish(run, 0.5)
    narrow = planned(tmp_path, tasks=["KS"], seeds=[1])
    found = table.gather(narrow, ["KS"], ["PR"], tmp_path)
    assert shown(found) == {
        "mel · lr=0.1": {
            "KS": ("done", [1, 2]),
            "SID": ("done", [1, 2]),
            "PR": ("no data", []),
        }
    }
    assert found["tasks"] == ["KS", "SID"]
    # What is printed is what was asked for.
    printed = shown(table.gather(narrow, ["KS"]))
    assert printed == {"mel · lr=0.1": {"KS": ("done", [1])}}


def test_other_settings_get_other_rows(tmp_path):
    for run in planned(tmp_path):
        finish(run, 0.5)
    other = planned(tmp_path, tasks=["KS"], lr=0.2)
    finish(other[0], 0.7)
    found = table.gather(other, ["KS"], (), tmp_path)
    assert shown(found) == {
        "mel · lr=0.2": {"KS": ("missing", [1, 2])},
        "mel · lr=0.1": {"KS": ("done", [1, 2]), "SID": ("done", [1, 2])},
    }


def test_seeds_of_one_search_are_one_cell(tmp_path):
    for run in planned(tmp_path, tasks=["KS"], rates=[0.1, 0.2]):
        finish(run, 0.5)
    found = table.gather([], [], (), tmp_path)
    assert shown(found) == {"mel · lr=0.1 · lr searched": {"KS": ("done", [1, 2])}}


def test_debug_is_no_result(tmp_path):
    [run] = planned(tmp_path, tasks=["KS"], seeds=[1])
    run.command()
    (run.folder / "debug").mkdir()
    (run.folder / "debug/results.json").write_text("{}")
    assert not run.is_done() and not run.has_features()
    assert not table.gather([], [], (), tmp_path)["rows"]


def test_several_versions_are_told(tmp_path, monkeypatch):
    runs = planned(tmp_path, tasks=["KS"])
    finish(runs[0], 0.5)
    monkeypatch.setattr(plan.s3prl_sb, "__version__", "99")
    finish(runs[1], 0.5)
    before = notes.of_table(table.gather(runs, ["KS"]))
    assert any("of several versions of s3prl_sb" in note for note in before)
    finish(runs[0], 0.5)
    assert len(notes.of_table(table.gather(runs, ["KS"]))) == len(before) - 1


def test_a_full_disk_hides_no_table(tmp_path, monkeypatch, capsys):
    parser = argparse.ArgumentParser()
    superb.add_arguments(parser)
    (tmp_path / "data.yaml").write_text("KS: {data_folder: /data}")
    line = f"--upstream mel --tasks KS --data {tmp_path}/data.yaml --output {tmp_path}"
    [run] = plan.make(["mel"], ["KS"], {"KS": {"data_folder": "/data"}}, {}, tmp_path)
    finish(run, 0.25)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(table, "write", full)
    assert command.main(parser.parse_args(line.split())) == 1
    said = capsys.readouterr()
    assert "25.00" in said.out and "No space left" in said.err


# --------------------------------------------------------------------- two benchmarks
@pytest.fixture
def generative():
    """A table of a task of SUPERB and of four of SUPERB-SG, one of them without ASR."""

    def row(name, **values):
        cells = {}
        for task, metrics in values.items():
            summaries = table._summaries(task.replace("_", "-"), [metrics])
            cell = {"state": "done", "runs": [], "metrics": summaries}
            cells[task.replace("_", "-")] = cell
        reported = table._public(name, published.read())
        about = {"upstream": name, "setting": "", "series": name, "amount": None}
        fixed = {"version": "", "lr_searched": False, "published": reported}
        return {"upstream": name, "about": about, "cells": cells, **fixed}

    return {
        "tasks": ["KS", "ST", "VC", "SS", "SE"],
        "rows": [
            row(
                "hubert_base",
                KS={"accuracy": 0.9},
                ST={"bleu": 14.26},
                VC={"mcd": 7.5},
                SS={"si_sdr_improvement": -0.5},
                SE={"pesq": 2.5, "stoi": 0.94, "si_sdr": 12.0},
            ),
            row("mel", KS={"accuracy": 0.5}),
        ],
    }


def test_each_benchmark_is_a_block(generative):
    first, second = grid.blocks(generative)
    assert first == [
        ["upstream", "KS Acc ↑"],
        ["hubert_base", "90.00"],
        ["  published", "~96.30"],
        ["mel", "50.00"],
    ]
    titles = ["ST BLEU ↑", "VC MCD dB ↓", "SS SI-SDRi dB ↑", "SE PESQ ↑", "SE STOI ↑"]
    assert second == [
        ["upstream", *titles],
        ["hubert_base", "14.26", "7.50", "-0.50", "2.50", "94.00"],
        ["  published", "~15.53", "~7.47", "~9.36", "~2.58", "~93.90"],
    ]
    markdown = layout.as_markdown(generative)
    assert markdown.count("| upstream |") == markdown.count("\n\n") == 2
    assert layout.as_text(generative).count("\n\n") == 2


def test_a_metric_that_nobody_has_has_no_column(generative):
    cell = generative["rows"][0]["cells"]["VC"]
    cell["metrics"] = table._summaries("VC", [{"mcd": 7.5, "wer": 0.08}])
    second = grid.blocks(generative)[1]
    assert second[0][2:4] == ["VC MCD dB ↓", "VC WER ↓"] and "8.00" in second[1]
    assert not any("ASV" in title for title in second[0])


def test_numbers_that_are_not_per_cent_say_what_they_are(generative):
    found = table.metrics_of("VC")
    assert found["mcd"] == {"title": "MCD", "unit": "dB", "higher": False}
    assert table.metrics_of("ST")["bleu"]["unit"] == ""
