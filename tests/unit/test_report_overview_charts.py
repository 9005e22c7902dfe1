"""Charts of a report over all runs: layers, noise, amounts, seeds, costs."""

import json

import numpy
import pytest
from made_runs import (
    HOSTILE,
    assert_drawn,
    charts_of,
    make_run,
    only_chart,
    values,
    write_table,
)

from s3prl_sb.report import layer_scores, layer_weights, robustness, spreads
from s3prl_sb.report.blocks import Options

pytest.importorskip("vl_convert")
SEEDS = (1, 2)


def cells(folder, tasks=("SUPERB/KS", "SUPERB/SID"), upstreams=("hubert", "wavlm")):
    """Two seeds of each task and upstream, which weigh the last layer but one most."""
    runs = []
    for task in tasks:
        for upstream in upstreams:
            for seed in SEEDS:
                name = f"{tasks.index(task)}-{upstreams.index(upstream)}-{seed}"
                runs.append(
                    make_run(
                        folder / name,
                        task,
                        upstream=upstream,
                        seed=seed,
                        metrics={"accuracy": 0.9 + 0.01 * seed},
                        seconds=600.0 * seed,
                        peak_memory_gb=2.0 + tasks.index(task),
                        layers=[0, 1, 2],
                        layer_weights=[0.1, 0.5 + 0.1 * seed, 0.4 - 0.1 * seed],
                    )
                )
    return runs


# --------------------------------------------------------------- layer weights
def test_weights_are_means_over_seeds(tmp_path, capfd):
    section = layer_weights.overview(cells(tmp_path), Options())
    assert_drawn(section, capfd)
    by_upstream, by_task = section.blocks
    row = next(r for r in values(by_upstream) if (r["of"], r["row"]) == ("wavlm", "KS"))
    assert row["weights"] == pytest.approx([10, 65, 25]) and row["runs"] == 2
    [chosen] = by_upstream.spec["params"]
    assert chosen["bind"]["options"] == ["hubert", "wavlm"]
    assert {r["of"] for r in values(by_task)} == {"KS", "SID"}
    table = by_upstream.table.rows[0]
    assert table[2:] == [1, 65.0, 1.15, 2]  # 0.65 + 2 * 0.25


def test_runs_of_other_settings_are_rows_of_their_own(tmp_path):
    runs = cells(tmp_path, tasks=("SUPERB/KS",), upstreams=("hubert",))
    for run, settings in zip(runs, ({}, {"head": "mlp"})):
        run.results.update(settings=settings, protocol={"settings": settings})
    found = layer_weights.gathered(runs)
    assert [each.runs for each in found] == [1, 1]
    assert len({each.upstream for each in found}) == 2


def test_weights_of_a_run(tmp_path, capfd):
    run = cells(tmp_path)[0]
    section = layer_weights.section(run, Options())
    assert_drawn(section, capfd)
    assert "60.0 %, has hidden state 1 of 3" in section.blocks[0].summary
    run.results["layer_weights"] = [0.1, None, 0.2]
    assert layer_weights.section(run, Options()) is None
    run.results.update(layers=[4], layer_weights=[1.0])
    assert layer_weights.section(run, Options()) is None


def test_names_of_others_are_data(tmp_path, capfd):
    runs = cells(tmp_path, tuple(HOSTILE[:3]), tuple(HOSTILE[:6]))
    for maker in (layer_weights.overview, spreads.overview):
        section = maker(runs, Options())
        assert_drawn(section, capfd)
        for chart in charts_of(section.blocks):
            spec = {k: v for k, v in chart.spec.items() if k not in ("data", "params")}
            assert "alert" not in json.dumps(spec)


# -------------------------------------------------------------- scores by layer
def probing(folder, **more):
    """The file of probes of three hidden states, of which one diverged."""
    rows = [
        {"layer": n, "valid": {"accuracy": v}, "test": v and {"accuracy": v - 0.1}}
        for n, v in ((0, 0.5), (1, 0.75), (2, None))
    ]
    content = {
        "task": "SUPERB/KS",
        "upstream": "hubert",
        "chosen_by": {"metric": "accuracy", "highest": True},
        "layers": rows,
        "weighted_sum": {"layer": None, "test": {"accuracy": 0.8}},
        "weights": {"layers": [0, 1, 2], "weights": [0.2, 0.3, 0.5]},
        **more,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / layer_scores.FILE).write_text(json.dumps(content))


def test_probes_without_a_run_are_found(tmp_path, capfd):
    probing(tmp_path / "page" / "layers")
    probing(tmp_path / "page" / "layers" / "fold1")  # a part of it
    section = layer_scores.overview([], Options(folders=[str(tmp_path / "page")]))
    assert_drawn(section, capfd)
    scores, weights = section.blocks
    tested = [row for row in values(scores) if row["set"] == "test"]
    assert [(row["layer"], row["value"]) for row in tested] == [(0, 40.0), (1, 65.0)]
    assert "is 1: 65.00 %" in scores.summary and "80.00 %" in scores.summary
    assert [row["weight"] for row in values(weights)] == [20.0, 30.0, 50.0]


def test_damaged_probes_are_named(tmp_path):
    run = make_run(tmp_path / "run", "SUPERB/KS")
    probing(tmp_path / "form", layers=3)
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / layer_scores.FILE).write_text('{"task"')
    assert layer_scores.overview([run], Options(folders=[str(tmp_path)])) is None
    assert len(run.notes) == 2 and "cut" in run.notes[0] and "form" in run.notes[1]


def test_probes_with_intervals_have_bars(tmp_path, capfd):
    run = make_run(tmp_path / "run", "SUPERB/KS")
    probing(run.folder)
    found = json.loads((run.folder / layer_scores.FILE).read_text())
    found["layers"][2]["intervals"] = None  # it diverged
    found["layers"][1]["intervals"] = {"metrics": {"accuracy": [0.6, 0.7]}}
    (run.folder / layer_scores.FILE).write_text(json.dumps(found))
    section = layer_scores.section(run, Options())
    assert_drawn(section, capfd)
    scores = section.blocks[0]
    assert [(r["layer"], r["low"], r["high"]) for r in values(scores, 0)] == [
        (1, 60.0, 70.0)
    ]
    assert "95 % interval 60.00 % to 70.00 %" in scores.summary
    assert [row[3:] for row in scores.table.rows[:2]] == [["", ""], [60.0, 70.0]]


def test_probes_of_a_run_and_layers_of_a_search(tmp_path, capfd):
    run = make_run(tmp_path / "run", "SUPERB/KS")
    probing(run.folder)
    assert_drawn(layer_scores.section(run, Options()), capfd)
    run = make_run(tmp_path / "qbe", "SUPERB/QbE", "mtwv", metrics={"mtwv": 0.1})
    header = ["layer", "valid_mtwv", "test_mtwv"]
    write_table(run, [header, [0, 0.05, 0.04], [1, 0.1, 0.12]], "layers.csv")
    section = layer_scores.section(run, Options())
    assert_drawn(section, capfd)
    assert "is 1: 0.12" in section.blocks[0].summary


def test_damaged_probes_are_noted(tmp_path):
    run = make_run(tmp_path / "run", "SUPERB/KS")
    (run.folder / layer_scores.FILE).write_text('{"layers": [1]}')
    assert layer_scores.section(run, Options()) is None and len(run.notes) == 1


# ------------------------------------------------------------ noise and amounts
def test_curves_over_noise(tmp_path, capfd):
    runs = cells(tmp_path, tasks=("SUPERB/KS",))
    for run in runs:
        for snr, loss in ((20, 0.1), (0.0, 0.4)):
            place = run.folder / "noisy" / f"{snr:g}dB"
            (place / "score").mkdir(parents=True)
            about = {"snr": snr, "noise": "babble", "content": None}
            (place / "condition.json").write_text(json.dumps(about))
            value = run.results["metrics"]["accuracy"] - loss
            found = {"metrics": {"accuracy": value}}
            (place / "score" / "results.json").write_text(json.dumps(found))
    section = robustness.overview(runs, Options())
    assert_drawn(section, capfd)
    [chart] = section.blocks
    drawn = [
        (row["at"], row["value"]) for row in values(chart) if row["line"] == "hubert"
    ]
    assert drawn == [("clean", 91.5), ("20", 81.5), ("0", 51.5)]
    assert "hubert: 91.50 % to 51.50 %" in chart.summary


def test_curves_over_amounts(tmp_path, capfd):
    runs = cells(tmp_path, tasks=("SUPERB/KS",))
    for run, share in zip(runs, (None, 0.1, 0.1, 0.5)):  # of two upstreams
        run.results["settings"] = {} if share is None else {"train_fraction": share}
    section = robustness.overview(runs, Options())
    assert_drawn(section, capfd)
    drawn = {
        (row["line"], row["number"]): row["value"] for row in values(section.blocks[0])
    }
    assert drawn == {
        ("hubert", 1.0): 91.0,
        ("hubert", 0.1): 92.0,
        ("wavlm", 0.1): 91.0,
        ("wavlm", 0.5): 92.0,
    }


# -------------------------------------------------------------- seeds and costs
def test_spread_over_seeds_and_costs(tmp_path, capfd):
    section = spreads.overview(cells(tmp_path), Options())
    assert_drawn(section, capfd)
    spread = only_chart(section, "Spread over seeds (percentage points)")
    assert sorted(row["away"] for row in values(spread)) == [-0.5] * 4 + [0.5] * 4
    deviation = 100 * numpy.std([0.91, 0.92], ddof=1)
    assert spread.table.rows[0][4:] == pytest.approx(
        [91.5, deviation, 91, 92], rel=1e-4
    )
    time = only_chart(section, "Time")
    assert {row["value"] for row in values(time)} == {15.0}  # minutes
    assert "All runs together took 2 h" in time.summary
    memory = only_chart(section, "Memory")
    assert [row["value"] for row in values(memory)] == [3.0, 3.0, 2.0, 2.0]


def test_one_run_has_no_spread(tmp_path):
    [run, *_] = cells(tmp_path)
    assert spreads.overview([run], Options()) is None
    assert layer_weights.overview([run], Options()) is None
    assert robustness.overview([run], Options()) is None


def test_searched_rates_make_no_other_rows(tmp_path):
    runs = cells(tmp_path, tasks=("SUPERB/SID", "SUPERB/PR"), upstreams=("hubert",))
    for number, run in enumerate(runs):
        run.results.update(lr=10.0**-number, search={"rates": [1, 0.1]})
    found = layer_weights.gathered(runs)
    assert [(each.task, each.upstream, each.runs) for each in found] == [
        ("SUPERB/PR", "hubert", 2),  # in SUPERB's order
        ("SUPERB/SID", "hubert", 2),
    ]
    for run in runs:  # as a benchmark starts them: by their settings
        rate = {} if run.results["lr"] == 1.0 else {"lr": run.results["lr"]}
        run.results.update(settings=rate, defaults={"lr": 1.0})
    assert [each.upstream for each in layer_weights.gathered(runs)] == ["hubert"] * 2
    for run in runs:
        run.results.update(search=None)
    assert len(layer_weights.gathered(runs)) == 4
