"""Setups compared on a page: the numbers of ``compare``, verdicts, examples, limits."""

import html
import re

import pytest
from report_runs import write_run

from s3prl_sb.metrics.measures import Measures
from s3prl_sb.report import differences, setups
from s3prl_sb.report.blocks import Grid, Group, Options
from s3prl_sb.report.gathered import gather
from s3prl_sb.runs.comparing import compare


def section(folder, **options):
    found = setups.of_runs(gather([str(folder)], pytest.fail))
    return differences.section(found, Options(**options))


def text(section):
    joined = " ".join(str(block.html()) for block in section.blocks)
    return html.unescape(re.sub("<[^>]*>", " ", joined))


def worse(folder):
    """Turns half of the right answers of a run into wrong ones."""
    measures = Measures.read(folder)
    values = list(measures.by_item("accuracy")[0])
    values[::2] = [0.0] * len(values[::2])
    metrics = {"accuracy": {"kind": "mean", "values": values}}
    Measures.build("utterance", measures.items, metrics).write(folder)
    return sum(values) / len(values)


def test_the_numbers_of_compare(tmp_path):
    for seed in (1, 2):
        write_run(tmp_path / f"a{seed}", upstream="good", seed=seed)
        write_run(tmp_path / f"b{seed}", upstream="bad", seed=seed)
        accuracy = worse(tmp_path / f"b{seed}")
        write_run_with(tmp_path / f"b{seed}", accuracy, seed)
    found = section(tmp_path)
    sides = [[Measures.read(tmp_path / f"{x}{s}") for s in (1, 2)] for x in "ab"]
    difference = compare(*sides).differences["accuracy"]
    value, low, high = (100 * each for each in difference.interval)
    words = text(found)
    assert f"{value:+.2f}" in words and f"[{low:+.2f}, {high:+.2f}]" in words
    assert high < 0 and "good is better" in words
    assert "Where good and bad differ most in accuracy" in words
    assert "1 pair, on 200 items" in words


def write_run_with(folder, accuracy, seed):
    kept = (folder / "measures.json").read_text()
    write_run(folder, upstream="bad", seed=seed, metrics={"accuracy": accuracy})
    (folder / "measures.json").write_text(kept)


def test_runs_that_are_not_told_apart(tmp_path):
    write_run(tmp_path / "a", lr=0.1)
    write_run(tmp_path / "b", lr=0.2)
    assert "not told apart" in text(section(tmp_path))


def test_other_test_sets_are_a_note(tmp_path):
    for name, items in (("a", "xyz"), ("b", "xyw")):
        write_run(tmp_path / name, upstream=name)
        metrics = {"accuracy": {"kind": "mean", "values": [1, 0, 1]}}
        Measures.build("utterance", items, metrics).write(tmp_path / name)
    found = setups.of_runs(gather([str(tmp_path)], pytest.fail))
    assert differences.section(found, Options()) is None
    (note,) = [n for s in found for run in s.runs for n in run.notes]
    assert "SUPERB/KS, a" in note and "w" in note


def test_runs_without_measures_are_left_out(tmp_path):
    write_run(tmp_path / "a", upstream="a")
    write_run(tmp_path / "b", upstream="b")
    (tmp_path / "b" / "measures.json").unlink()
    assert section(tmp_path) is None


def test_too_many_pairs_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(differences, "PAIRS", 2)
    for name in "abcd":
        write_run(tmp_path / name, upstream=name)
    found = text(section(tmp_path))
    assert "2 pairs" in found and "4 more pairs are not here" in found


def test_one_pair_of_each_task_is_one_table(tmp_path):
    for task in ("SUPERB/KS", "SUPERB/SID"):
        for name in "ab":
            write_run(tmp_path / task / name, task, upstream=name)
    found = section(tmp_path)
    (table,) = (block for block in found.blocks if isinstance(block, Grid))
    assert table.header[0] == "task" and len(table.rows) == 2
    assert {row.cells[0] for row in table.rows} == {"SUPERB/KS", "SUPERB/SID"}
    titles = [block.title for block in found.blocks if isinstance(block, Group)]
    assert [title.partition(":")[0] for title in titles] == ["SUPERB/KS", "SUPERB/SID"]


def test_of_many_pairs_those_with_the_best_are_picked(tmp_path):
    for name in "abcde":
        write_run(tmp_path / name, upstream=name, seed=1)
    body = str(section(tmp_path).blocks[1].html())
    best = re.search("<tbody><tr[^>]*><th[^>]*>([^<]*)<", body)[1]
    assert f'<option value="0" selected>{best}</option>' in body
    assert body.count(" selected") == 1
    assert body.count('<details class="group" data-pair="0 ') == 4


def test_texts_are_aligned(tmp_path):
    for name, guess in (("a", "the cat"), ("b", "the hat")):
        folder = tmp_path / name
        write_run(
            folder,
            task="SUPERB/ASR",
            upstream=name,
            metrics={"wer": 0.0 if name == "a" else 0.5},
            chosen_by={"metric": "wer", "highest": False},
        )
        rows = f"id,reference,prediction\nu1,the cat,{guess}\n"
        (folder / "predictions.csv").write_text(rows)
        errors = [int(name == "b")]
        wer = {"kind": "ratio", "numerators": errors, "denominators": [2]}
        Measures.build("utterance", ["u1"], {"wer": wer}).write(folder)
    body = "".join(str(block.html()) for block in section(tmp_path).blocks)
    assert '<dl class="compared">' in body and "<del>cat</del><ins>hat</ins>" in body
    assert "Where a and b differ most in WER" in body
    assert "WER 0.00 % with a" in body and "WER 50.00 % with b" in body


@pytest.mark.parametrize("worst", [0, 3])
def test_as_many_as_are_asked_for(tmp_path, worst):
    for name in "ab":
        write_run(tmp_path / name, upstream=name)
    found = "".join(
        str(block.html()) for block in section(tmp_path, worst=worst).blocks
    )
    assert len(re.findall(r'<tr><th scope="row"[^>]*>utterance', found)) == worst
