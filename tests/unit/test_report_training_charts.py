"""Charts of trainings in a report: curves, searches, codes of pre-training."""

import json
import math

import pytest
from made_runs import assert_drawn, grids, make_run, only_chart, values

from s3prl_sb.brains.train_log import TrainLog
from s3prl_sb.report import codes, curves, searches
from s3prl_sb.report.axes import axis_of, with_interval
from s3prl_sb.report.blocks import Group, Options
from s3prl_sb.report.histories import histories, of_log

pytest.importorskip("vl_convert")


def write_log(run, validations, part=""):
    """The log of a training, by the logger of every run."""
    folder = run.folder / part
    folder.mkdir(exist_ok=True)
    log = TrainLog(str(folder / "train_log.txt"))
    for step, loss, wer in validations:
        about = {"epoch": step // 10, "steps": step, "lr": 0.1 / step}
        valid = {"loss": loss + 0.5, "wer": wer, "cer": wer / 2, "threshold": 0.5}
        log.log_stats(about, {"loss": loss}, valid, verbose=False)
    log.log_stats({"best step": 20}, test_stats={"wer": 0.125}, verbose=False)


def asr(folder, best=20, **results):
    return make_run(
        folder,
        "SUPERB/ASR",
        "wer",
        False,
        best_step=best,
        valid={"wer": 0.25},
        **results,
    )


COURSE = [(10, 2.0, 0.5), (20, 1.0, 0.25), (30, 0.5, 0.3)]


def test_a_log_is_read_as_it_was_written(tmp_path):
    run = asr(tmp_path / "run")
    write_log(run, COURSE)
    points = histories(run)[""]
    assert [p.step for p in points] == [10, 20, 30]
    assert points[1].train == {"loss": 1.0}
    assert points[1].valid == {"loss": 1.5, "wer": 0.25, "cer": 0.125, "threshold": 0.5}
    assert points[1].about == {"lr": 0.005}


def test_odd_lines_of_a_log_do_not_count():
    text = "\n".join(
        [
            "Epoch loaded: 3 - test wer: 1.00 %",
            "epoch: 1, steps: 10 - train loss: nothing predicted - valid loss: nan",
            "epoch: 1, steps: 10 - train loss: 2 - valid wer: 50.00 %",
            "epoch: 1, steps: 10 - train loss: 1.5e-05 - valid wer: 40.00 %",  # again
            "\x00 garbage, with: colons - and: dashes",
        ]
    )
    [point] = of_log(text)
    assert point.train == {"loss": 1.5e-5} and point.valid == {"wer": 0.4}


def test_curves_of_a_run(tmp_path, capfd):
    run = asr(tmp_path / "run")
    write_log(run, COURSE)
    section = curves.section(run, Options())
    assert_drawn(section, capfd)
    losses = {(r["step"], r["set"]): r["value"] for r in values(section.blocks[0])}
    assert losses[30, "training"] == 0.5 and losses[10, "validation"] == 2.5
    chosen = only_chart(section, "WER in validation")
    assert [row["value"] for row in values(chosen)] == [50.0, 25.0, 30.0]
    assert "25.00 % at update 20" in chosen.summary
    assert "lower is better" in json.dumps(chosen.spec)
    titles = [chart.title for chart in section.blocks[2].blocks]
    assert titles == ["CER in validation", "Learning rate"]  # not the constant one


def test_seeds_of_a_cell_are_over_each_other(tmp_path, capfd):
    runs = [asr(tmp_path / f"seed{seed}", seed=seed) for seed in (1, 2, 2)]
    for run in runs:
        write_log(run, COURSE)
    section = curves.of_runs(runs, Options())
    assert_drawn(section, capfd)
    names = {row["run"] for row in values(only_chart(section, "WER"))}
    assert len(names) == 3 and "seed 1" in names  # although two have one name


def test_folds_have_curves_and_long_ones_are_thinned(tmp_path, capfd):
    run = asr(tmp_path / "run", folds=[{"folder": "fold1"}, {"folder": "../fold2"}])
    steps = range(10, 10_000, 10)
    write_log(run, [(n, 1 + math.sin(n), math.cos(n) ** 2) for n in steps], "fold1")
    assert list(histories(run)) == ["fold1"]  # a damaged name leads nowhere
    section = curves.section(run, Options(points=50))
    assert_drawn(section, capfd)
    assert len(values(only_chart(section, "WER"))) <= 50
    assert all(len(grid.rows) <= curves.ROWS for grid in grids(section.blocks))


def test_there_is_nothing_to_draw_without_a_log(tmp_path):
    run = make_run(tmp_path / "run", "SUPERB/QbE")
    assert curves.section(run, Options()) is None
    assert searches.section(run, Options()) is None
    assert codes.section(run, Options()) is None


# -------------------------------------------------------------------- searches
def search(**rates):
    found = {
        name.replace("r", ""): {
            "wer": value,
            "loss": 1.0,
            "epoch": 2,
            "diverged_at_step": 7 if value is None else None,
            "stopped_at_step": None,
            "validations": [[10, 2.0, 0.9], [20, None, value]],
        }
        for name, value in rates.items()
    }
    return {"metric": "wer", "highest": False, "rates": found, "best": 0.01}


def test_a_search_of_learning_rates(tmp_path, capfd):
    run = asr(tmp_path / "run")
    found = search(**{"r0.1": None, "r0.01": 0.25, "r0.001": 0.5})
    (run.folder / searches.RATES).write_text(json.dumps(found))
    section = searches.section(run, Options())
    assert_drawn(section, capfd)
    rates = only_chart(section, "Learning rates")
    drawn = {row["name"]: (row["value"], row["state"]) for row in values(rates)}
    assert drawn == {
        "0.001": (50.0, "tried"),
        "0.01": (25.0, "chosen"),
        "0.1": (None, "diverged"),
    }
    assert "0.01: WER 25.00 %" in rates.summary and "0.1 diverged" in rates.summary
    course = values(only_chart(section, "Course"))
    assert {"step": 20, "value": 25.0, "rate": "0.01"} in course


def test_the_edge_of_a_search_is_pointed_out(tmp_path):
    run = asr(tmp_path / "run")
    found = search(**{"r0.01": 0.25, "r0.001": 0.5})
    (run.folder / searches.RATES).write_text(json.dumps(found))
    [chart, *_] = searches.section(run, Options()).blocks
    assert "highest of the search" in chart.summary


def test_searches_of_folds_are_together(tmp_path, capfd):
    run = asr(tmp_path / "run", folds=[{"folder": f"fold{n}"} for n in (1, 2, 3)])
    for number in (1, 2, 3):
        folder = run.folder / f"fold{number}"
        folder.mkdir()
        found = search(**{"r0.01": 0.25, "r0.001": 0.5})
        (folder / searches.RATES).write_text(json.dumps(found))
    section = searches.section(run, Options())
    assert_drawn(section, capfd)
    assert isinstance(section.blocks[-1], Group) and len(section.blocks) == 3


def test_a_grid(tmp_path, capfd):
    run = asr(tmp_path / "run")
    points = [
        {
            "point": {"lr": rate, "layers": n, "name": "a"},
            "valid": {"wer": n / 10 + rate},
        }
        for rate in (0.1, 0.01)
        for n in (1, 2)
    ]
    points.append({"point": {"lr": 1.0, "layers": 1, "name": "a"}, "diverged": True})
    found = {"best": {"lr": 0.01, "layers": 1, "name": "a"}, "points": points}
    (run.folder / searches.GRID).write_text(json.dumps(found))
    section = searches.section(run, Options())
    assert_drawn(section, capfd)
    assert [chart.title for chart in section.blocks] == ["Grid: lr", "Grid: layers"]
    table = section.blocks[0].table
    assert table.rows[0] == ["0.01", "1", 11.0] and table.rows[-1][-1] == "diverged"


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"metric": 1}', '{"rates": {"a": {}}, "metric": "wer"}']
)
def test_a_damaged_search_is_noted(tmp_path, content):
    run = asr(tmp_path / "run")
    (run.folder / searches.RATES).write_text(content)
    assert searches.section(run, Options()) is None
    assert len(run.notes) == 1 and searches.RATES in run.notes[0]


# ----------------------------------------------------------------------- codes
def test_codes_of_a_pretraining(tmp_path, capfd):
    history = [
        {
            "step": n,
            "train": {"loss": 2.0},
            "valid": {"loss": 2.0, "perplexity": 3.0 + n},
        }
        for n in (10, 20)
    ]
    run = make_run(
        tmp_path / "run", "pretraining/wav2vec2", "loss", False, history=history
    )
    content = {"step": 20, "codes": {"codewords": [[3, 1, 0, 0], [1, 1, 1, 1]]}}
    (run.folder / codes.FILE).write_text(json.dumps(content))
    section = codes.section(run, Options())
    assert_drawn(section, capfd)
    assert [row["value"] for row in values(section.blocks[0])] == [13.0, 23.0]
    use = section.blocks[1]
    assert use.table.rows[0][:3] == ["codewords 1", 4, 2]
    assert use.table.rows[1][:4] == ["codewords 2", 4, 4, 4.0]
    assert_drawn(curves.section(run, Options()), capfd)


def test_a_damaged_file_of_codes_is_noted(tmp_path):
    run = make_run(tmp_path / "run", "pretraining/wav2vec2", "loss", False)
    (run.folder / codes.FILE).write_text('{"codes": {"units": [["a"], [-1], 3]}}')
    assert codes.section(run, Options()) is None and len(run.notes) == 1


# ------------------------------------------------------------------------ axes
def test_intervals_are_said(tmp_path):
    ends = {"level": 0.95, "metrics": {"wer": [0.4, 0.6], "cer": [0.1, None]}}
    run = asr(tmp_path / "run", intervals=ends, metrics={"wer": 0.5, "cer": 0.1})
    expected = "50.00 % (95 % interval 40.00 % to 60.00 %)"
    assert with_interval(run, "wer") == expected
    assert with_interval(run, "cer") == "10.00 %"
    assert axis_of(run, "mtwv").higher and axis_of(run, "false_alarm").higher is False
