"""s3prl-sb report: what is on the page, its size, its safety, its colours."""

import html
import json
import math
import os
import re
import shutil

import pytest
from report_runs import write_benchmark, write_run

from s3prl_sb.cli import main
from s3prl_sb.report import (
    blocks,
    charts,
    contents,
    details,
    differences,
    making,
    overview,
    page,
    progress,
    setups,
)
from s3prl_sb.report.gathered import Run, gather

HOSTILE = (
    "</script><script>window.ran=1</script>",
    '" onmouseover="window.ran=1',
    "'><img src=x onerror=window.ran=1>",
    "{{7*7}}{% raise %}",
    "a\u2028b\u202ec",
    "__proto__",
    "n" * 10_000,
)


def made(*folders, **options):
    return making.make(list(map(str, folders)), **options)


def text_of(page_html):
    return html.unescape(re.sub(r"<script.*?</script>|<style.*?</style>|<[^>]*>", " ",
                                page_html, flags=re.S))  # fmt: skip


def test_a_benchmark(tmp_path):
    table = write_benchmark(tmp_path / "bench")
    found = made(tmp_path / "bench")
    assert found.faults == [] and len(found.runs) == 7
    body, words = found.html, text_of(found.html)
    for row in table["rows"]:
        summary = row["cells"]["KS"]["metrics"]["accuracy"]
        key = f"run-ks-{row['upstream'].replace('_', '-')}"
        number = f"{summary['mean']:.2f}"
        assert re.search(f'<a href="#{key}">(<b class="best">)?{number}', body)
        assert f'<details class="setup" id="{key}" data-task="KS"' in body
        assert f"± {summary['spread']:.2f}" in words
    assert "@0.001" in words and "mean ± standard deviation over seeds" in words
    assert "96.30" in words  # the published number
    assert len(re.findall('<tr class="attached"', body)) == 2
    options = ("--upstream fbank", "--data_folder /data/KS", "--seed 1")
    command = "s3prl-sb run SUPERB/KS \\ " + " \\ ".join(options)
    assert command in " ".join(words.split())
    assert "2000, the best at 1500" in words and "0.99 GB" in words


def test_tasks_are_in_the_order_of_the_table(tmp_path):
    """Its cells are in the order in which they were made."""
    table = write_benchmark(tmp_path / "bench")
    for row in table["rows"]:
        row["cells"] = dict(reversed(row["cells"].items()))
    (tmp_path / "bench" / "table.json").write_text(json.dumps(table))
    found = made(tmp_path / "bench").html
    names = re.findall('<div class="of-task" data-task="([^"]*)"', found)
    assert len(names) > 1 and names == [t for t in table["tasks"] if t in names]


def test_a_cell_that_lacks_a_seed_has_no_number(tmp_path):
    table = write_benchmark(tmp_path / "bench")
    cell = table["rows"][0]["cells"]["KS"]
    cell["state"] = "missing"  # as the table was before its last seed
    (tmp_path / "bench" / "table.json").write_text(json.dumps(table))
    cells = re.findall(r"<td[^>]*><a .*?</td>", made(tmp_path / "bench").html)
    lacks = [found for found in cells if "–" in found]
    assert lacks and not any("best" in found or "[" in found for found in lacks)


def test_intervals_of_one_run_and_of_seeds(tmp_path):
    one = write_run(tmp_path / "a", seed=1)
    write_run(tmp_path / "b", seed=2)
    runs = gather([str(tmp_path)], pytest.fail)
    low, high = one["intervals"]["metrics"]["accuracy"]
    assert setups.interval_of(runs[:1], "accuracy") == (low, high)
    both = setups.interval_of(runs, "accuracy")
    assert both[1] - both[0] < high - low  # of the mean of two
    (setup,) = setups.of_runs(runs)
    assert setup.scores[0].interval == pytest.approx([100 * end for end in both])
    assert setups.interval_of(runs, "loss") is None


def test_published_numbers_are_said_to_have_no_interval(tmp_path):
    table = write_benchmark(tmp_path)
    assert overview.UNKNOWN in text_of(made(tmp_path).html)
    for row in table["rows"]:
        row["published"] = {}
    (tmp_path / "table.json").write_text(json.dumps(table))
    found = text_of(made(tmp_path).html)
    assert overview.UNKNOWN not in found and "95 % interval of the number" in found


def test_runs_are_grouped_by_all_but_the_seed(tmp_path):
    for name, seed, lr in (("a", 1, 0.1), ("b", 2, 0.1), ("c", 1, 0.5)):
        write_run(tmp_path / name, seed=seed, lr=lr)
    groups = setups.of_runs(gather([str(tmp_path)], pytest.fail))
    assert sorted(len(setup.runs) for setup in groups) == [1, 2]
    setups.give_keys(groups)
    assert len({setup.key for setup in groups}) == 2


def test_settings_that_differ(tmp_path):
    for name, lr in (("a", 0.1), ("b", 0.5)):
        write_run(tmp_path / name, lr=lr)
    write_run(tmp_path / "c", task="SUPERB/IC", lr=0.9)  # alone in its task
    settings = details.settings_of(setups.of_runs(gather([str(tmp_path)], pytest.fail)))
    assert sorted(map(str, settings.values())) == [
        "[('lr', '0.1')]",
        "[('lr', '0.5')]",
        "[]",
    ]
    words = text_of(made(tmp_path).html)
    assert words.count("Settings that differ between the runs of this task") == 2


def test_a_benchmark_that_has_been_moved(tmp_path):
    write_benchmark(tmp_path / "bench")
    shutil.move(tmp_path / "bench", tmp_path / "elsewhere")
    found = made(tmp_path / "elsewhere")
    assert found.html.count('<details class="setup"') == 4
    assert 'id="single-runs"' not in found.html
    above = made(tmp_path)  # a folder of benchmarks
    assert above.html.count('<details class="setup"') == 4


CONTENTS = (b"", b"{}", b"[1]", b'{"rows": 3}', b"\xff\x00")


@pytest.mark.parametrize("content", CONTENTS)
def test_damaged_files_are_named(tmp_path, content):
    write_benchmark(tmp_path / "bench")
    (tmp_path / "bench" / "table.json").write_bytes(content)
    for place, name in zip(
        sorted(tmp_path.glob("bench/*/*/*")),
        ("results.json", "predictions.csv", "measures.json", "train_log.txt"),
    ):
        (place / name).write_bytes(content)
    found = made(tmp_path / "bench")
    assert found.html.count('class="setup"') == 4
    names = ["table.json", "results.json"]
    if not content.startswith(b"{"):  # else it may be the counts of an older version
        names.append("measures.json")
    for name in names:
        assert name in " ".join(found.faults) and name in text_of(found.html)


@pytest.mark.parametrize("kind", [ValueError, AttributeError, RecursionError, OSError])
@pytest.mark.parametrize("when", ["RUN_SECTIONS", "CELL_SECTIONS", "OVERVIEW_SECTIONS"])
def test_a_section_that_fails_is_named(tmp_path, monkeypatch, kind, when):
    class Broken:
        def html(self):
            raise kind("<b>no</b>" + "x" * 9000)

    def broken(run, options):
        return blocks.Section("Broken", "broken", [Broken()])

    monkeypatch.setattr(contents, when, [broken])
    write_run(tmp_path / "a")
    found = made(tmp_path)
    assert any("<b>no</b>" in fault and "broken" in fault for fault in found.faults)
    assert "<b>no</b>" not in found.html and "x" * 1000 not in found.html
    assert found.html.count('class="setup"') == 1


WRONG = (None, [], {}, "x", -1, True, 10**400, math.inf, math.nan, [[None]], "9" * 5000)


@pytest.mark.parametrize("wrong", WRONG, ids=range(len(WRONG)))
def test_wrong_values_of_results(tmp_path, wrong, monkeypatch):
    """A wrong value of any key leaves the other run on the page."""
    write_run(tmp_path / "good")
    results = write_run(tmp_path / "bad", upstream="other")
    (tmp_path / "bad" / "measures.json").unlink()
    monkeypatch.setattr(differences, "section", lambda every, options: None)
    names = ["valid", "test", "utterances", "versions", "intervals", "folds"]
    for name in [*names, "peak_memory_gb", "layer_weights", "lr", "seed"]:
        text = json.dumps({**results, name: wrong})
        (tmp_path / "bad" / "results.json").write_text(text)
        assert 'id="run-superb-ks-fbank' in made(tmp_path).html, name


@pytest.mark.parametrize("wrong", [None, [1], "9" * 5000, {"a": [None]}])
def test_wrong_values_of_a_table(tmp_path, wrong, monkeypatch):
    for name in ("RUN_SECTIONS", "CELL_SECTIONS", "OVERVIEW_SECTIONS"):
        monkeypatch.setattr(contents, name, [])
    monkeypatch.setattr(differences, "section", lambda every, options: None)
    table = write_benchmark(tmp_path)
    for path in tmp_path.rglob("measures.json"):
        path.unlink()
    row = table["rows"][0]
    cell = row["cells"]["KS"]
    places = [(row, "without"), (row, "about"), (row["about"], "upstream")]
    places += [(row["about"], "amount"), (row, "published"), (table, "rankings")]
    places += [(cell, name) for name in ("state", "noisy", "metrics", "runs")]
    places += [(cell["metrics"]["accuracy"], "mean")]
    places += [(cell["runs"][0], name) for name in ("folder", "state", "s3prl_sb")]
    for place, key in places:
        kept, place[key] = place[key], wrong
        (tmp_path / "table.json").write_text(json.dumps(table))
        assert made(tmp_path).html.count('class="setup"') >= 3, key
        progress.scan([str(tmp_path)])
        place[key] = kept


def test_pipes_and_devices_are_left_alone(tmp_path, capsys):
    """A page that opened them would wait for ever."""
    write_run(tmp_path / "a")
    (tmp_path / "b").mkdir()
    for name in ("a/table.json", "b/results.json", "a/lr_search.json", "a/layers.json"):
        os.mkfifo(tmp_path / name)
    for name in ("measures.json", "predictions.csv", "train_log.txt"):
        (tmp_path / "a" / name).unlink()
        os.mkfifo(tmp_path / "a" / name)
    assert made(tmp_path).html.count('class="setup"') == 1
    assert [job.state for job in progress.scan([str(tmp_path)]).jobs] == ["done"]
    words = ["report", str(tmp_path / "a"), "--output"]
    assert main([*words, str(tmp_path / "b" / "results.json")]) == 1
    assert main([*words, os.devnull]) == 1
    assert capsys.readouterr().err.count("is no report") == 2


def test_names_that_are_not_unicode(tmp_path):
    write_run(tmp_path / "a", upstream="half")
    path = tmp_path / "a" / "results.json"
    path.write_text(path.read_text().replace("half", "half \\ud800"))
    os.rename(tmp_path / "a", os.fsencode(tmp_path) + b"/\xff")
    assert "half \\ud800" in text_of(made(tmp_path).html.encode().decode())


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_names(tmp_path, hostile):
    settings = {"upstream": hostile, "data_folder": hostile, hostile: hostile}
    write_run(
        tmp_path / "a",
        task=hostile,
        upstream=hostile,
        settings=settings,
        versions={hostile: hostile},
        test={"name": hostile},
    )
    write_run(tmp_path / "b", task=hostile, upstream="fbank", lr=0.1)
    body = made(tmp_path, title=hostile).html
    shown = blocks.shown(hostile)
    assert shown in text_of(body)
    assert "<script>window" not in body and "<img src=x" not in body
    assert ' onmouseover="' not in body and "\u2028" not in body
    assert body.count("<script>") == body.count("</script>") - body.count(
        "<script type="
    )


@pytest.mark.parametrize("count", [40, 200])
def test_size(tmp_path, count, monkeypatch):
    def large(run, options):
        return blocks.Section("Large", "large", [blocks.Prose(run.name + "x" * 80_000)])

    def never_too_large(run, options):
        return blocks.Section("Small", "small", [blocks.Prose("y" * 100)])

    monkeypatch.setattr(contents, "CELL_SECTIONS", [])
    monkeypatch.setattr(contents, "OVERVIEW_SECTIONS", [])
    monkeypatch.setattr(contents, "RUN_SECTIONS", [never_too_large, large])
    first = tmp_path / "0"
    write_run(first)
    for i in range(1, count):
        shutil.copytree(first, tmp_path / str(i))
        results = json.loads((first / "results.json").read_text())
        results.update(upstream=f"upstream {i}", seed=i)
        (tmp_path / str(i) / "results.json").write_text(json.dumps(results))
    found = made(tmp_path).html
    assert len(found.encode()) < 5_000_000
    assert text_of(found).count("y" * 100) == count
    left_out = re.findall(r"under 5 MB: Large \((\d+)\)", text_of(found))
    kept = len(re.findall("x{80000}", found))
    assert kept + sum(map(int, left_out)) == count and kept > 35
    assert ("Some charts were left out" in text_of(found)) == (count == 200)


def test_size_of_facts(tmp_path, monkeypatch):
    """Long values count too, in the bytes that they have."""
    for name in ("CELL_SECTIONS", "OVERVIEW_SECTIONS", "RUN_SECTIONS"):
        monkeypatch.setattr(contents, name, [])
    for i in range(5):
        write_run(tmp_path / str(i), versions={"v": "é" * 30_000}, lr=i)
    full = making.BASE + len(page.vega()) + 200_000
    monkeypatch.setattr(making, "FULL", full)
    found = made(tmp_path)
    assert len(found.html.encode()) < full
    assert re.search(r"Metrics, settings and costs \([1-4]\)", text_of(found.html))
    assert found.html.count('class="setup"') == 5


def test_long_names_lose_their_middle(tmp_path):
    """One name of a file that is not a name does not hide all others."""
    for name in ("a" + "n" * 9_000, "b" + "n" * 9_000):
        write_run(tmp_path / name[0], upstream=name)
    body = made(tmp_path).html
    for key in ("single-runs", "differences", "costs", "all-layer-weights"):
        (part,) = re.findall(f'(?s)<section id="{key}".*?</section>', body)
        words = text_of(part)
        assert "nnn […] nnn" in words and "n" * 1_100 not in words, key
    summary = re.search('(?s)<details class="setup".*?</summary>', body)[0]
    assert "nnn […] nnn" in summary and len(summary) < 20_000
    values = re.findall('<option value="([ab][^"]*)"', body)
    assert len(values) == 2 and len("".join(values)) < 1_000
    assert set(values) == set(re.findall('data-upstream="([^"]*)"', body))


def test_size_of_faults(tmp_path, monkeypatch):
    """Thousands of damaged runs do not fill the page; the verb prints them all."""
    write_run(tmp_path / "a")
    for i in range(making.FAULTS + 7):
        (tmp_path / f"{i}-{'n' * 200}").mkdir()
        (tmp_path / f"{i}-{'n' * 200}" / "results.json").write_text('{"a": 1}')
    monkeypatch.setattr(making, "MESSAGE", 100)
    found = made(tmp_path)
    assert len(found.faults) == making.FAULTS + 7
    (notes,) = re.findall('(?s)<section id="missing".*?</section>', found.html)
    assert notes.count("<li>") == making.FAULTS + 1 and "… and 7 more." in notes
    assert len(notes) < 60_000 and "it is not of a recipe" in notes


def test_control_characters_in_charts(tmp_path):
    """Labels of charts are not turned around either."""
    write_run(tmp_path / "a")
    path = tmp_path / "a" / "predictions.csv"
    path.write_text(path.read_text().replace('"yes"', '"y\u202ees"'))
    body = made(tmp_path).html
    specs = re.findall('<script type="application/json">(.*?)</script>', body)
    assert any("y\\\\u202ees" in spec for spec in specs)
    assert "\u202e" not in "".join(map(str, map(json.loads, specs)))


def test_filters_name_what_they_filter(tmp_path):
    """Blanks in a row are one in the text of a choice, and not in its value."""
    write_run(tmp_path / "a", task="a  task")
    write_run(tmp_path / "b", task="")
    write_run(tmp_path / "c", task="other")
    body = made(tmp_path).html
    values = re.findall('<option value="([^"]*)"', body)
    assert values == ["", "a  task", "other"]
    assert {"a  task", "other"} <= set(re.findall('data-task="([^"]*)"', body))


def test_nothing_runs_but_the_scripts_of_the_page(tmp_path):
    write_run(tmp_path / "a")
    body = made(tmp_path).html
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', body)[1]
    policy = html.unescape(policy)
    assert "default-src 'none'" in policy and "connect-src 'none'" in policy
    assert "unsafe-eval" not in policy
    assert re.search(r"script-src( 'sha256-[\w+/=]+')+;", policy)
    served = page.render([], live="1")
    assert "connect-src &#39;self&#39;" in served
    frame = re.sub(r"<script>.*?</script>", "", body, flags=re.S)
    assert not re.search(r'(src|href)="(?!data:|#)', frame)


def contrast(one, other):
    """Contrast of two colours, as WCAG 2 defines it."""

    def luminance(color):
        parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts
        ]
        return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear))

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_contrast(theme):
    colors = charts.PALETTE[theme]
    for back in ("back", "raised"):
        for text in ("text", "soft", "accent", "strong", "good", "bad"):
            assert contrast(colors[text], colors[back]) >= 4.5, (text, back)
        for part in ("edge", "faint"):
            assert contrast(colors[part], colors[back]) >= 3, (part, back)
    for mark in colors[charts.CATEGORY]:
        assert contrast(mark, colors["back"]) >= 3, mark


def test_headings_and_anchors(tmp_path):
    write_benchmark(tmp_path / "bench")
    write_run(tmp_path / "more" / "a", task="TIMIT/phones")
    body = made(tmp_path / "bench", tmp_path / "more").html
    body = re.sub(r"<script>.*?</script>", "", body, flags=re.S)
    levels = [int(level) for level in re.findall(r"<h(\d)", body)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(new <= old + 1 for old, new in zip(levels, levels[1:]))
    ids = re.findall(r' id="([^"]*)"', body)
    assert len(ids) == len(set(ids))
    assert {link for link in re.findall(r'href="#([^"]*)"', body)} <= set(ids)


def test_the_verb(tmp_path, capsys):
    write_run(tmp_path / "runs" / "a")
    output = tmp_path / "out" / "report.html"
    words = ["report", str(tmp_path / "runs"), "--output", str(output)]
    assert main(words) == 0
    assert "1 run, 1.0 MB" in capsys.readouterr().out
    assert "<title>Results of runs</title>" in output.read_text("utf-8")
    assert main([*words, "--title", "Mine"]) == 0  # over its own page
    assert "<title>Mine</title>" in output.read_text("utf-8")


@pytest.mark.parametrize("content", ["<!DOCTYPE html><p>mine", "a,b\n", "{}"])
def test_keeps_other_files(tmp_path, capsys, content):
    write_run(tmp_path / "runs" / "a")
    path = tmp_path / "notes.html"
    path.write_text(content)
    assert main(["report", str(tmp_path / "runs"), "--output", str(path)]) == 1
    assert "is no report" in capsys.readouterr().err and path.read_text() == content
    assert main(["report", str(tmp_path / "runs"), "--output", str(tmp_path)]) == 1
    assert "is a folder" in capsys.readouterr().err


def test_a_benchmark_before_its_first_run(tmp_path):
    write_benchmark(tmp_path)
    for path in tmp_path.rglob("results.json"):
        path.unlink()
    found = made(tmp_path)
    assert found.runs == [] and 'id="results"' in found.html
    assert 'id="runs"' not in found.html and "0 runs from" in found.html


def test_probes_of_layers_alone(tmp_path):
    """The output of s3prl-sb layers has no results.json."""
    content = {
        "task": "SUPERB/KS",
        "upstream": "hubert",
        "chosen_by": {"metric": "accuracy", "highest": True},
        "layers": [{"layer": n, "valid": {}, "test": {"accuracy": n}} for n in (0, 1)],
        "weighted_sum": None,
        "weights": None,
    }
    (tmp_path / "layers.json").write_text(json.dumps(content))
    found = made(tmp_path)
    assert "Probes of each hidden state: SUPERB/KS · hubert" in text_of(found.html)
    assert 'id="runs"' not in found.html


def test_no_runs(tmp_path, capsys):
    assert main(["report", str(tmp_path), "--output", str(tmp_path / "a.html")]) == 1
    assert "no results.json under" in capsys.readouterr().err
    assert main(["report", str(tmp_path / "none")]) == 1
    assert "none' cannot be read" in capsys.readouterr().err
    assert main(["report", str(tmp_path), "--worst", "-1"]) == 1
    assert "give 0 or more" in capsys.readouterr().err


def test_a_missing_library(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "vl_convert", None)
    page.vega.cache_clear()
    write_run(tmp_path / "a")
    assert main(["report", str(tmp_path), "--output", str(tmp_path / "a.html")]) == 1
    assert "pip install 's3prl_sb[report]'" in capsys.readouterr().err
    page.vega.cache_clear()


def test_tables_of_a_run(tmp_path):
    write_run(tmp_path / "a")
    run = Run({"folder": str(tmp_path / "a"), "task": "SUPERB/KS"})
    assert run.table("predictions.csv")[0]["label"] == "yes"
    assert run.table("none.csv") is None and run.notes == []
    (tmp_path / "a" / "b.csv").write_text('id\n"a')
    assert run.table("b.csv") is None and "b.csv" in run.notes[0]
    assert run.json("results.json")["seed"] == 1986


def test_few_large_tables_are_in_memory(tmp_path):
    for name in "abc":
        write_run(tmp_path / name, upstream=name)
    runs = gather([str(tmp_path)], pytest.fail)
    size = (tmp_path / "a" / "predictions.csv").stat().st_size
    runs[0].shelf.most = 2.5 * size
    rows = [run.table("predictions.csv") for run in runs]
    again = [run.table("predictions.csv") for run in reversed(runs)][::-1]
    assert again == rows and [a is b for a, b in zip(again, rows)] == [0, 1, 1]


def test_a_folder_that_vanishes(tmp_path, monkeypatch):
    """As those of checkpoints do while a benchmark runs."""
    write_run(tmp_path / "a")
    (tmp_path / "a" / "gone").mkdir()
    real = os.scandir

    def scandir(path="."):
        if os.path.basename(path) == "gone":
            raise FileNotFoundError(2, "No such file or directory", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert made(tmp_path).faults == []
