"""Clips as their users classify them: a grid over folds, and any number of labels."""

import csv
import json

import pytest
from conftest import REPOSITORY, assert_same_outcome, command, results

from s3prl_sb.cli import main
from s3prl_sb.corpora.toys.hear import hear
from s3prl_sb.inference import export, load

RECIPE = REPOSITORY / "recipes/HEAR/scene"
VOICES, FSD = "vocal_imitation-v1.1.3-full", "fsd50k-v1.0-full"
LOADERS = {
    f"{split}_dataloader_opts": "{num_workers: 0, batch_size: 8}"
    for split in ("train", "valid", "test")
}
BUDGET = {"total_steps": 4, "steps_per_epoch": 2, "head.hidden_size": 8}
METRIC = "mean_average_precision"  # of this task
GRID = {"grid": "[{lr: [0.1, 0.01], num_layers: [0, 1]}]", "grid_points": 3}


@pytest.fixture(scope="module")
def toys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy") / "hear"
    return hear(folder, clips=1, tasks=[VOICES, FSD]) / "tasks"


@pytest.fixture
def clips(toys, tiny_card):
    def clips(task, output, *options, **overrides):
        settings = {**LOADERS, **BUDGET, "upstream": tiny_card}
        settings |= {"data_folder": toys / task, **overrides}
        return command(RECIPE, output, *options, **settings)

    return clips


def searched(output):
    return json.loads((output / "grid.json").read_text())


def test_a_grid_over_folds_killed_and_resumed(clips, launcher, tmp_path):
    whole, broken, alone = (tmp_path / name for name in ("whole", "broken", "alone"))
    assert launcher.run(clips(VOICES, whole, **GRID)) == 0
    found = searched(whole / "fold1")
    assert len(found["points"]) == 3 and found["best"] in [
        row["point"] for row in found["points"]
    ]
    best = max(found["points"], key=lambda row: row["valid"][METRIC])
    rows = [row["valid"][METRIC] for row in found["points"]]
    chosen = next(r for r in found["points"] if r["point"] == found["best"])
    assert chosen["valid"][METRIC] == best["valid"][METRIC] == max(rows)
    assert not list(whole.rglob("grid"))  # the points are gone
    gathered = json.loads((whole / "results.json").read_text())
    assert gathered["lr"] == found["best"]["lr"]  # one search for all folds
    assert gathered["settings"]["num_layers"] == found["best"]["num_layers"]
    assert not (whole / "fold2/grid.json").exists()

    save = "s3prl_sb.brains.checkpointer.AtomicCheckpointer.save_checkpoint"
    kill = {"point": save, "call": 3, "how": "after"}  # in the second point
    assert launcher.run(clips(VOICES, broken, **GRID), kill=kill) == -9
    assert (broken / "fold1/grid").is_dir()
    assert launcher.run(clips(VOICES, broken, **GRID)) == 0
    assert searched(broken / "fold1")["points"] == found["points"]
    for number in range(1, 4):
        assert_same_outcome(broken / f"fold{number}", whole / f"fold{number}")

    # The point alone is the run; a key of the command line is not searched
    point = {"grid": "null", **found["best"], "fold": 1}
    assert launcher.run(clips(VOICES, alone, **point)) == 0
    same = results(alone / "fold1")["metrics"]
    assert same == results(whole / "fold1")["metrics"]
    words = launcher.failure(clips(VOICES, tmp_path / "third", **GRID, fold=3))
    assert "run that first (--fold 1), or give --grid_each_fold True" in words


def test_wrong_grids(clips, launcher, tmp_path):
    for grid, message in (
        ("[{lrr: [0.1]}]", "grid: there is no key 'lrr'. Did you mean lr"),
        ("[{lr: [0.1, -1]}]", "grid: lr is a number"),
    ):
        words = launcher.failure(clips(VOICES, tmp_path, grid=grid))
        assert message in words
    words = launcher.failure(clips(FSD, tmp_path, fold=2))
    assert "fold: this corpus has fixed splits" in words
    words = launcher.failure(clips(FSD, tmp_path, grid="null", choose_by="accuracy"))
    assert "choose_by: 'accuracy'. Clips with any number of labels have mean" in words


def test_any_number_of_labels(clips, launcher, toys, tmp_path, capsys):
    run = tmp_path / "run"
    assert launcher.run(clips(FSD, run, grid="null", lr=0.01, total_steps=20)) == 0
    found = results(run)
    assert found["chosen_by"]["metric"] == "mean_average_precision"
    assert found["metrics"].keys() >= {"d_prime", "auc", "macro_f1", "threshold"}
    assert found["metrics"]["threshold"] == found["valid"]["threshold"]
    with open(run / "predictions.csv", newline="") as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    wavs = sorted((toys / FSD / "16000/test").glob("*.wav"))
    content = json.loads((toys / FSD / "test.json").read_text())
    for model in (load(export(run, tmp_path / "exported")), load(run)):
        for wav in wavs[:3]:
            row, tags = rows[wav.stem], model.tag_file(wav)
            assert row["labels"].split(";") == sorted(content[wav.name])
            assert set(filter(None, row["prediction"].split(";"))) == set(tags)
            best, score = row["scores"].split(";")[0].rsplit(" ", 1)
            assert all(value <= float(score) + 2e-6 for value in tags.values())
            assert tags.get(best, float(score)) == pytest.approx(float(score), abs=2e-6)
    with open(run / "labels.csv", newline="") as file:
        precisions = [float(r["average_precision"]) for r in csv.DictReader(file)]
    mean = found["metrics"]["mean_average_precision"]
    assert sum(precisions) / len(precisions) == pytest.approx(mean, abs=1e-6)

    table = tmp_path / "test.csv"
    lines = [f"{wav.stem},{wav},{';'.join(content[wav.name])}" for wav in wavs]
    table.write_text("\n".join(["id,wav,labels", *lines]) + "\n")
    scored = ["score", str(run), "--device", "cpu", "--test_csv", str(table)]
    assert main([*scored, "--output", str(tmp_path / "scored")]) == 0
    again = results(tmp_path / "scored")["metrics"]
    for name in ("mean_average_precision", "auc", "d_prime", "macro_f1", "threshold"):
        assert again[name] == pytest.approx(found["metrics"][name], rel=1e-5)
    capsys.readouterr()
    predict = ["predict", str(run), *map(str, wavs[:2]), "--device", "cpu"]
    assert main([*predict, "--json"]) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [set(r) for r in records] == [{"wav", "labels", "scores"}] * 2
    assert main(predict) == 0
    for record, line in zip(records, capsys.readouterr().out.splitlines()):
        shown = [part.rsplit(" ", 1)[0] for part in line.split("\t")[1:]]
        assert shown == record["labels"]
