"""s3prl-sb compare: two runs, or the seeds of two, with intervals and utterances.

Authors
 * The s3prl_sb developers, 2026
"""

import csv
import io
import json

import numpy as np
import pytest
from scipy import stats

from s3prl_sb.cli import main
from s3prl_sb.commands.aligned_texts import rows_of
from s3prl_sb.metrics.measures import Measures, intervals_of
from s3prl_sb.metrics.transcription import edits
from s3prl_sb.runs.comparing import compare
from s3prl_sb.runs.shown import is_higher_better
from s3prl_sb.runs.sides import settings_apart, side_of
from s3prl_sb.storage.csv_files import write_csv

TEXTS = {
    "a": "the piano teacher led",
    "b": "the others fell asleep",
    "c": "last winter",
    "d": "a strange carried a map",
}
RIGHT = dict(TEXTS)
WRONG = {**TEXTS, "a": "the teacher lid", "d": "strange carried the map home"}


def make_run(folder, predicted, true=TEXTS, task="SUPERB/ASR", seed=1, **others):
    """Writes what a run leaves."""
    folder.mkdir(parents=True)
    counts = {i: edits(predicted[i].split(), true[i].split()) for i in true}
    measures = Measures.build(
        "utterance",
        list(true),
        {
            "wer": {
                "kind": "ratio",
                "numerators": [each.total for each in counts.values()],
                "denominators": [each.tokens for each in counts.values()],
            }
        },
    )
    measures.write(folder)
    rows = [(i, true[i], predicted[i]) for i in true]
    write_csv(folder / "predictions.csv", ["id", "reference", "prediction"], rows)
    results = {
        "task": task,
        "upstream": "fbank",
        "chosen_by": {"metric": "wer", "highest": False},
        "metrics": {"wer": measures.value("wer"), "loss": 0.5},
        "intervals": intervals_of(measures, resamples=50),
        "seed": seed,
        "total_steps": 100,
        "lr": 0.1,
        "seconds": 1.0,
        "test": {"sha256": "0" * 64},
        **others,
    }
    (folder / "results.json").write_text(json.dumps(results))
    return folder


@pytest.fixture
def runs(tmp_path):
    """Two seeds of an upstream, and one of another."""
    swapped = {**TEXTS, "c": "last summer"}
    for seed, predicted in enumerate([WRONG, swapped], start=1):
        make_run(tmp_path / f"one/{seed}", predicted, seed=seed)
    make_run(tmp_path / "two/1", RIGHT, upstream="hubert_base", lr=0.01)
    return tmp_path / "one", tmp_path / "two"


@pytest.fixture
def said(capsys):
    def run(*arguments, status=0):
        assert main(["compare", *map(str, arguments)]) == status
        output = capsys.readouterr()
        return output.err if status else output.out

    return run


def test_seeds_are_averaged_on_the_same_draws(runs):
    one, two = map(side_of, map(str, runs))
    found = compare(one.measures, two.measures, resamples=200, seed=4)
    words = np.array([4, 4, 2, 5])
    errors = np.array([[2, 0, 0, 3], [0, 0, 1, 0]])

    def difference(rows):
        return -np.mean(errors[:, rows].sum(1) / words[rows].sum())

    expected = stats.bootstrap(
        (np.arange(4),),
        difference,
        vectorized=False,
        method="percentile",
        n_resamples=200,
        rng=np.random.default_rng(4),
    )
    wer = found.differences["wer"]
    assert wer.interval.value == pytest.approx(difference(np.arange(4)))
    limits = expected.confidence_interval
    assert wer.interval[1:] == pytest.approx(limits[:], rel=1e-9)
    values = expected.bootstrap_distribution
    assert wer.opposite == pytest.approx(2 * (values >= 0).mean())
    assert (found.items, found.units, found.left_out) == (4, 4, (0, 0))
    changes = {each.item: each for each in found.changes["wer"]}
    assert [each.item for each in found.changes["wer"]][:2] == ["d", "a"]
    assert changes["d"] == ("d", pytest.approx(0.3), 0, pytest.approx(-1.5))
    assert settings_apart(one, two) == {
        "upstream": (["fbank"], ["hubert_base"]),
        "lr": ([0.1], [0.01]),
    }


def test_the_text(runs, said):
    text = said(*runs, "--top", 1)
    assert text.startswith("SUPERB/ASR, 4 utterances\n")
    assert "A  fbank        2 runs, seeds 1, 2" in text
    row = next(line for line in text.splitlines() if line.startswith("wer %"))
    assert row.split()[2:5] == ["20.00", "0.00", "-20.00"] and "[" in row
    assert "upstream  fbank  hubert_base" in text
    assert "Utterances that differ most in wer\n  d  A 30.00 %  B 0.00 %" in text
    lines = [line.split() for line in text.splitlines()]
    assert ["reference", "a", "strange", "carried", "a", "map"] in lines
    assert ["A", "1", "–", "·", "·", "the", "·", "home"] in lines
    assert ["A", "2", *"·····"] in lines and ["B", *"·····"] in lines
    assert "not about other seeds" in text
    assert "Only 4 utterances" in text  # too few for an interval


def test_a_run_beside_itself(runs, said):
    text = said(runs[0], runs[0])
    row = next(line for line in text.splitlines() if line.startswith("wer %"))
    assert "[0.00, 0.00]" in row and row.split()[-2:] == ["1", "neither"]
    assert "differ most" not in text and "reference" not in text
    assert "reference" not in said(runs[0], runs[0], "--format", "markdown")


def test_sides_that_are_swapped(runs, said):
    one, other = (
        json.loads(said(*sides, "--format", "json"))["metrics"]["wer"]
        for sides in (runs, runs[::-1])
    )
    assert one["A"] == other["B"] and one["p"] == other["p"]
    ends = [one["low"], one["high"], one["difference"]]
    wanted = [-other["high"], -other["low"], -other["difference"]]
    assert ends == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize(
    "metric", ["min_dcf", "cosine_min_dcf", "false_acceptance", "false_rejection"]
)
def test_errors_of_verification_are_better_where_they_are_lower(metric):
    run = {"task": "SUPERB/ASV", "chosen_by": {"metric": "eer", "highest": False}}
    assert is_higher_better(run, metric) is False


def test_the_other_forms(runs, said):
    found = json.loads(said(*runs, "--format", "json", "--top", 2))
    assert found["metrics"]["wer"]["A"] == pytest.approx(0.2)
    assert set(found["metrics"]["wer"]) == {
        *("A", "B", "difference", "low", "high", "p", "holds_zero")
    }
    assert [change["item"] for change in found["changes"]["wer"]] == ["d", "a"]
    assert found["changes"]["wer"][0]["B"] == [TEXTS["d"]]
    assert found["sides"][0]["seeds"] == [1, 2]
    (row,) = csv.DictReader(io.StringIO(said(*runs, "--format", "csv")))
    assert float(row["difference"]) == pytest.approx(-0.2)
    assert float(row["low"]) <= -0.2 <= float(row["high"])
    text = said(*runs, "--format", "markdown")
    assert "| metric | A | B | B - A | 95 % interval | p | better |" in text
    assert "| d | 30.00 % | 0.00 % | a strange carried a map |" in text


def test_only_what_is_asked_for(runs, said):
    assert "differ most" not in said(*runs, "--top", 0)
    message = said(*runs, "--metric", "wr", status=1)
    assert "--metric wr" in message and "Did you mean wer?" in message
    assert "80 % interval" in said(*runs, "--level", 0.8, "--resamples", 20)
    assert "--level 95" in said(*runs, "--level", 95, status=1)


def test_other_test_sets_are_an_error_unless_the_common_part_is_meant(
    runs, said, tmp_path
):
    true = {i: TEXTS[i] for i in "bcd"} | {"e": "yes"}
    make_run(tmp_path / "three", {**WRONG, "e": "yes"}, true)
    message = said(runs[1], tmp_path / "three", status=1)
    assert "test sets differ: of 4 and 4 items" in message
    assert "1 are only in the first (a)" in message and "(e)" in message
    text = said(runs[1], tmp_path / "three", "--common")
    assert "SUPERB/ASR, 3 utterances" in text
    assert "Left out, as only A or only B has them: 1 and 1 items." in text
    make_run(tmp_path / "four", {"x": "yes"}, {"x": "yes"})
    message = said(runs[1], tmp_path / "four", "--common", status=1)
    assert "no item in common" in message


def test_folders_that_cannot_be_compared(runs, said, tmp_path):
    make_run(tmp_path / "pr", RIGHT, task="SUPERB/PR")
    message = said(runs[0], tmp_path / "pr", status=1)
    assert "is of SUPERB/ASR" in message and "of SUPERB/PR" in message
    message = said(tmp_path, runs[0], status=1)
    assert "several tasks: SUPERB/ASR, SUPERB/PR" in message and "--task" in message
    message = said(tmp_path, runs[0], "--task", "asr", status=1)
    assert "3 runs that differ in" in message and "upstream" in message
    message = said(runs[0], runs[1], "--task", "SD", status=1)
    assert "no run of SD. There are: SUPERB/ASR" in message
    (tmp_path / "empty").mkdir()
    for name, words in [("empty", "no results.json under"), ("none", "is no folder")]:
        message = said(tmp_path / name, runs[1], status=1)
        assert words in message and "Give the folder of a finished run" in message
    (runs[1] / "1/measures.json").unlink()
    message = said(*runs, status=1)
    assert "has no measures.json" in message and "s3prl-sb score" in message
    (runs[1] / "1/measures.json").write_text("[]")
    assert "is not the measures of a run" in said(*runs, status=1)


def test_same_ids_of_other_content_are_told(runs, said, tmp_path):
    make_run(tmp_path / "noisy", WRONG, test={"sha256": "1" * 64})
    assert "same ids, but not the same content" in said(runs[1], tmp_path / "noisy")
    assert "same ids" not in said(*runs)


def test_hostile_names_and_texts_move_no_cursor(said, tmp_path):
    evil = "\x1b[2J\u202eevil | x"
    true = {f"{evil}{n}": f"yes {evil}" for n in range(3)}
    wrong = dict.fromkeys(true, f"no {evil}\x07")
    for name, predicted in (("one", true), ("two", wrong)):
        make_run(tmp_path / name, predicted, true, upstream=f"{name}{evil}")
    for form in ("text", "markdown"):
        text = said(tmp_path / "one", tmp_path / "two", "--format", form)
        assert not set(text) & set("\x1b\x07\u202e") and "evil" in text


def test_runs_without_predictions_are_compared_by_their_measures(runs, said):
    for run in (*runs[0].iterdir(), *runs[1].iterdir()):
        (run / "predictions.csv").unlink()
    queries = runs[1] / "1/predictions.csv"
    queries.write_text("query,document,score\n1,2,0.5\n")  # without ids
    text = said(*runs)
    assert "  d  A 30.00 %  B 0.00 %" in text and "reference" not in text


def test_a_side_without_predictions_is_named(runs, said):
    notes = said(*runs)
    assert "no predictions.csv" not in notes
    for run in runs[0].iterdir():
        (run / "predictions.csv").unlink()
    notes = " ".join(said(*runs).split())
    assert "A has no predictions.csv" in notes and "B has no" not in notes
    assert "export --predictions" in notes


def test_folds_show_what_their_parts_predicted(said, tmp_path):
    for name, predicted in (("one", WRONG), ("two", RIGHT)):
        for part, ids in (("fold1", "ab"), ("fold2", "cd")):
            true = {i: TEXTS[i] for i in ids}
            make_run(tmp_path / name / part, predicted, true)
        results = json.loads((tmp_path / name / "fold1/results.json").read_text())
        results["folds"] = [
            {"fold": n, "folder": f"fold{n}", "metrics": {}} for n in (1, 2)
        ]
        (tmp_path / name / "results.json").write_text(json.dumps(results))
    text = said(tmp_path / "one", tmp_path / "two")
    assert "SUPERB/ASR, 4 utterances" in text
    row = next(line for line in text.splitlines() if line.startswith("wer %"))
    assert row.split()[2] == "33.93"  # the mean of 2 in 8 and 3 in 7 words
    assert "teacher" in text and "strange" in text


def test_aligned_texts():
    texts = [("A", "the cat"), ("B", "")]
    assert rows_of("", texts) == [
        "reference",
        "A          the  cat",
        "B",
    ]
    rows = rows_of("a b c d e f", [("A", "a x c d e f")], width=20)
    assert rows[0] == "reference  a  b  c" and rows[1] == "A          ·  x  ·"
    assert rows[2] == "reference  d  e  f" and len(rows) == 4
    rows = rows_of("cat", [("A", "cut")], by_character=True)
    assert rows == ["reference  cat", "A          ·u·"]
    long = " ".join("x" * 5000)
    assert len("".join(rows_of(long, [("A", long)]))) < 9000
