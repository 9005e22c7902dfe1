"""The script for GPUs, on a CPU: each part with tiny networks, and what fails in it."""

import itertools
import json
import math
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    before = set(sys.modules)
    import gpu

    yield gpu
    for name in set(sys.modules) - before:  # such as "measure", which is any name
        if (FOLDER / f"{name}.py").is_file():
            del sys.modules[name]


@pytest.fixture
def options(gpu):
    words = ["--device", "cpu", "--size", "tiny", "--repeats", "1"]
    return gpu.parse(words)


def test_ours(gpu, options):
    rows = dict(gpu.extraction(options))
    assert {"S3PRL, padded batch, fp32", "Hugging Face, one at a time, bf16"} < {*rows}
    full, half = rows["ours, fp32"](), rows["ours, bf16"]()
    assert full["audio s / s"] > 1 and full["error"] == 0
    assert 1e-4 < half["error"] < 0.03


def test_hugging_face(gpu, options):
    pytest.importorskip("transformers")
    row = dict(gpu.extraction(options))["Hugging Face, padded batch, fp32"]()
    assert row["audio s / s"] > 1 and row.keys() == {"audio s / s", "peak GB"}


def test_steps(gpu, options):
    rows = dict(gpu.steps(options))
    one = rows["pooled, 1 learning rate(s)"]()
    five = rows["pooled, 5 learning rate(s)"]()
    assert one["of one"] == 1
    assert five["ms"] == pytest.approx(five["of one"] * one["ms"]) and five["ms"] > 0


def test_plan(gpu, options, monkeypatch):
    from s3prl_sb.brains import planning

    monkeypatch.setattr(planning, "FIRST", 3)  # updates that it measures
    first, second = (function() for _, function in gpu.plan(options))
    assert first.keys() == second.keys()
    assert all(math.isfinite(value) and value > 0 for value in first.values())
    assert 0.02 < first["s in all"] / second["s in all"] < 50


@pytest.mark.parametrize("name", ["fbank", "apc", "hubert_base", "vggish"])
def test_equality(gpu, options, name):
    row = dict(gpu.families(options))[name]()
    assert row["fp32"] == 0 < row["bf16"] and "problem" not in row


def test_differences_are_found(gpu, options, monkeypatch):
    monkeypatch.setitem(gpu.TOLERANCES, "bf16", 1e-6)
    rows = dict(gpu.families(options))
    assert rows["hubert_base"]()["problem"] == "bf16 is over 1e-06"
    monkeypatch.setattr(gpu, "error", lambda states, references: float("nan"))
    assert rows["fbank"]()["problem"] == "fp32 is over 1e-04"


def test_a_part_survives_another(gpu, options, monkeypatch, tmp_path, capsys):
    def breaks(options):
        yield "one", lambda: {"ms": 1.0}
        yield "two", lambda: 1 / 0
        yield "three", lambda: {"s": 2.0}
        import nowhere_at_all  # noqa: F401

    def works(options):
        written.append(json.loads(path.read_text()))
        yield "four", lambda: {"ms": 4.0}
        yield "five", lambda: pytest.fail("it has no time")

    path, written = tmp_path / "rows.json", []
    monkeypatch.setattr(gpu, "PARTS", {"breaks": breaks, "works": works})
    options.parts, options.json, options.minutes = ["breaks", "works"], str(path), 1
    clock = itertools.count(0, 4).__next__  # seconds: three calls a row
    rows = gpu.run(options, clock)
    assert [row.get("problem", "").split(":")[0] for row in rows["breaks"]] == [
        "", "ZeroDivisionError", "", "ModuleNotFoundError",
    ]  # fmt: skip
    assert [row.get("problem") for row in rows["works"]] == [None, "no time left"]
    assert len(written[0]["breaks"]) == 4  # before the next part begins
    stored = json.loads(path.read_text())
    assert stored["works"] == rows["works"] and stored["torch"]
    gpu.report(rows)
    assert "| two | – | " in capsys.readouterr().out


def test_every_kind_of_upstream_is_a_row(gpu, options):
    from s3prl_sb.lobes.cards.finding import notes, published

    about = [notes(file, "_test").get("kinds", {}) for file in published()]
    kinds = [name for names in about for name in names]
    assert len(kinds) > 60 and [name for name, _ in gpu.families(options)] == kinds
