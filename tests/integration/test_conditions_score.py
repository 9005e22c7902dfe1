"""A finished run, scored under other conditions of the test than its own."""

import csv
import json
import shutil
import sys
from pathlib import Path

import pytest
from conftest import command, results

from s3prl_sb.cli import main
from s3prl_sb.inference import export
from s3prl_sb.scoring.robustness import at_snr

sys.path.append(str(Path(__file__).parents[1] / "contract/small"))
from tasks import RECIPES, small  # noqa: E402

BUDGET = {"total_steps": 4, "steps_per_epoch": 2, "batch_size": 4}


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """``tables(name)``: the keys of a recipe for its small tables."""
    made = {}

    def tables(name):
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            made[name] = small(f"SUPERB/{name}").tables(folder)
        return made[name]

    return tables


@pytest.fixture(scope="module")
def run(tables, launcher, tmp_path_factory):
    """``run(name, **keys)``: the folder of a finished run."""
    done = {}

    def run(name, **keys):
        mark = json.dumps([name, keys])
        if mark not in done:
            done[mark] = tmp_path_factory.mktemp(f"{name}-run") / "out"
            given = {**tables(name), "upstream": "fbank_no_cmvn", "cache": "off"}
            if name != "QbE":
                given.update(BUDGET, **small(f"SUPERB/{name}").BUDGET)
                for split in ("train", "valid", "test"):
                    loader = "{num_workers: 0, batch_size: 4}"
                    given[f"{split}_dataloader_opts"] = loader
            recipe = RECIPES[f"SUPERB/{name}"]
            argv = command(recipe, done[mark], **{**given, **keys})
            assert launcher.run(argv) == 0
        return done[mark]

    return run


def score(model, output, *rest):
    """``s3prl-sb score`` on the CPU; gives the results."""
    argv = ["score", str(model), "--output", str(output), "--device", "cpu", *rest]
    assert main(argv) == 0
    return results(output)


def close(metrics):
    return {k: pytest.approx(v, rel=1e-5, abs=1e-6) for k, v in metrics.items()}


def predictions(folder):
    return list(csv.DictReader((folder / "predictions.csv").open()))


@pytest.mark.parametrize("name", ["KS", "PR", "ASV", "SD", "QbE"])
def test_as_if_tested_in_it_from_the_beginning(name, run, tmp_path, capsys):
    """A run and its export; the list is the run's own."""
    clean = run(name)
    exported = export(clean, tmp_path / "exported")
    quiet = 20 if name == "KS" else -10  # a ratio is not a matter of the task
    for of, snr, model in (("run", quiet, clean), ("export", -10, exported)):
        noise = f"{{snr: {snr}}}"
        found = score(model, tmp_path / of, "--test_noise", noise)
        expected = results(run(name, test_noise=noise))
        assert found["metrics"] == close(
            {k: v for k, v in expected["metrics"].items() if k in found["metrics"]}
        )
        assert expected["chosen_by"]["metric"] in found["metrics"]
        assert found["test"] == expected["test"]  # the same utterances in this noise
        assert found["test"]["conditions"] == {"test_noise": {"snr": snr}}
        assert found["settings"] == expected["settings"]
        assert found["scored"] == {
            "model": str(model),
            "run": results(clean)["metrics"],
            "under": {"test_noise": {"snr": snr}},
        }
        assert f"test_noise.snr {snr}" in capsys.readouterr().out
    loud = predictions(tmp_path / "export")
    assert loud != predictions(clean) and len(loud) == len(predictions(clean))
    assert results(clean)["test"]["conditions"] is None  # the run stays


def test_a_table_of_ratios(run, tmp_path, capsys):
    clean = tmp_path / "model"
    shutil.copytree(run("KS"), clean)
    expected = {}
    for snr in (20, 0):
        expected[snr] = at_snr(clean, snr, device="cpu")["metrics"]
    folders = sorted(path.name for path in Path(f"{clean}-scores").iterdir())
    assert [name.rpartition("-")[0] for name in folders] == [
        "noise_snr_0",
        "noise_snr_20",
    ]
    assert main(["results", f"{clean}-scores", "--format", "csv"]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    found = {int(r["test_noise.snr"]): float(r["accuracy [%]"]) for r in rows}
    assert found == {
        snr: pytest.approx(100 * metrics["accuracy"], abs=0.01)
        for snr, metrics in expected.items()
    }
    assert main(["results", f"{clean}-scores"]) == 0
    assert "test_noise.snr 20" in capsys.readouterr().out


def test_of_a_noisy_run(run, tmp_path, capsys):
    """A condition that the command does not name is off; another list may have it."""
    noisy = run("KS", test_noise="{snr: -10}", test_speed=1.1)
    table = results(run("KS"))["test"]["source"]
    found = score(noisy, tmp_path / "clean", "--test_csv", table)
    assert found["metrics"] == close(results(run("KS"))["metrics"])
    assert found["test"]["conditions"] is found["scored"]["under"] is None
    assert not [key for key in found["settings"] if key.startswith("test_noise")]
    assert found["protocol"]["differs"][0].startswith("scored on")
    assert not [words for words in found["protocol"]["differs"] if "test_no" in words]
    rest = ["--test_csv", table, "--test_noise", "{snr: -10}", "--test_speed", "1.1"]
    found = score(noisy, tmp_path / "again", *rest)
    assert found["metrics"] == close(results(noisy)["metrics"])
    assert found["protocol"]["differs"][:3] == [
        f"scored on {Path(table).name}",
        "test_noise.snr -10",
        "test_speed 1.1",
    ]


def test_documents_of_query_by_example(run, tmp_path):
    """The queries stay clean, or not, as a run has it."""
    rest = {"test_noise": "{snr: 0}", "test_conditions_of": "documents"}
    options = [part for key, value in rest.items() for part in (f"--{key}", value)]
    found = score(run("QbE"), tmp_path / "out", *options)
    expected = results(run("QbE", **rest))
    assert found["metrics"] == close(
        {k: v for k, v in expected["metrics"].items() if k in found["metrics"]}
    )
    assert found["test"] == expected["test"]
    assert found["settings"]["test_conditions_of"] == "documents"


@pytest.mark.parametrize(
    "name, rest, words",
    [
        ("KS", [], "nothing to score"),
        ("KS", ["--lr", "1"], "nothing to score"),
        ("KS", ["--test_noise", "{snr: [5, 0]}"], "test_noise.snr is a number or"),
        ("KS", ["--test_noise", "{folder: none}"], "test_noise has no snr"),
        ("KS", ["--test_noise", "{snr: 1, folder: none}"], "none"),
        ("SD", ["--test_speed", "0.9"], "test_speed 0.9 does not fit this task"),
    ],
)
def test_refused_conditions(name, rest, words, run, tmp_path, capsys):
    output = tmp_path / "out"
    argv = ["score", str(run(name)), "--output", str(output), *rest]
    assert main(argv) == 1
    err = capsys.readouterr().err
    assert words in err and err.count("\n") <= 3, err
    assert not output.exists()


def test_a_list_that_is_gone(run, tmp_path, capsys):
    moved = tmp_path / "moved"
    shutil.copytree(run("KS"), moved)
    content = json.loads((moved / "results.json").read_text())
    gone = {**content["test"], "source": "/gone/test.csv"}
    for test, words in ((gone, "'/gone/test.csv', which is not there"), (None, "not")):
        text = json.dumps({**content, "test": test})
        (moved / "results.json").write_text(text)
        assert main(["score", str(moved), "--test_noise", "{snr: 10}"]) == 1
        err = capsys.readouterr().err
        assert words in err and "Give --test_csv FILE" in err and "data_folder" in err
