"""s3prl-sb bench with a custom suite: two tasks of one recipe."""

import json

import pytest
from test_superb import Forked, folder  # noqa: F401

from s3prl_sb import cli
from s3prl_sb.engines import guard
from s3prl_sb.runs import suites

SUITE = """
title: Words
paper: https://example.org
tasks:
    all-words:
        recipe: SUPERB/KS
        keys: {labels: folders, version: v0.02}
        metrics: [{key: accuracy, title: Acc, higher: True}]
        utterances: {train: 4, valid: 4, test: 4}
    few-words:
        recipe: SUPERB/KS
        keys: {labels: folders, version: v0.02, train_per_class: 1}
        metrics: [{key: accuracy, title: Acc, higher: True}]
budgets:
    short: {all: {total_steps: 4, steps_per_epoch: 2, batch_size: 4}}
published:
    source: https://example.org/numbers
    columns: [all-words.accuracy, few-words]
    numbers: {fbank: [90, 80]}
    models: {Ear: [null, 99]}
"""


@pytest.fixture
def bench(folder, launcher, monkeypatch, capsys, tmp_path):  # noqa: F811
    """``bench(words)``: the exit status of a benchmark, what it prints and says."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(guard, "start", lambda *given: Forked(launcher, *given))
    monkeypatch.setattr(suites, "_own", {})
    (tmp_path / "words.yaml").write_text(SUITE)
    (tmp_path / "data.yaml").write_text(
        f"all-words: {{data_folder: {folder}/gsc}}\n"
        f"few-words: {{data_folder: {folder}/gsc}}\nKS: {{data_folder: elsewhere}}\n"
    )

    def bench(*words):
        given = ["--upstream", "fbank", "--output", str(tmp_path / "bench")]
        given += ["--data", str(tmp_path / "data.yaml"), "--budget", "short"]
        status = cli.main(["bench", *map(str, words), *given])
        return status, *capsys.readouterr()

    return bench


def test_two_tasks_of_one_recipe(bench, tmp_path, capsys):
    file, output = tmp_path / "words.yaml", tmp_path / "bench"
    status, printed, said = bench(file, "--published")
    assert status == 0, said
    header, line, public, model = printed.splitlines()[:4]
    assert header.split() == "Words all-words Acc ↑ few-words Acc ↑".split()
    assert line.startswith("fbank · short")
    assert public.split()[-2:] == ["90.00", "80.00"]
    assert model.split() == ["Ear", "(published)", "99.00"]
    table = json.loads((output / "table.json").read_text())
    assert table["tasks"] == ["words/all-words", "words/few-words"]
    settings = {}
    for task, cell in table["rows"][0]["cells"].items():
        [run] = cell["runs"]
        assert run["folder"].startswith(f"{output}/fbank/{task}/1986-")
        found = json.loads(open(f"{run['folder']}/results.json").read())
        settings[task] = found["settings"].get("train_per_class")
    assert settings == {"words/all-words": None, "words/few-words": 1}
    # One extraction: the second task finds the features of the first.
    assert len(list((output / "cache").glob("*/*"))) >= 1

    # Nothing is left to do; the folder alone has all of it.
    again, same, said = bench(file, "--published")
    assert (again, same) == (0, printed) and "2 of them done" in said
    file.unlink()
    suites._own.clear()
    suites.suite.cache_clear()
    assert cli.main(["bench", "--table", str(output), "--published"]) == 0
    assert capsys.readouterr().out == printed
    assert cli.main(["results", str(output)]) == 0
    assert "accuracy" in capsys.readouterr().out
