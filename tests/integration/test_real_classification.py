"""IC and ER on real speech: their layouts, and that a probe learns its labels.

A linear probe of mean filter banks cannot tell everything by heart. It is proven to
learn by what it then knows of its own training set, far above chance.
"""

import collections
import json

import pytest
from conftest import REPOSITORY, command

from s3prl_sb.corpora.fluent_speech_commands import SLOTS, prepare_intent_tables
from s3prl_sb.corpora.fluent_speech_commands import (
    prepare_fluent_speech_commands as prepare_commands,
)
from s3prl_sb.corpora.iemocap import prepare_iemocap
from s3prl_sb.dataio import manifest


def trained(launcher, task, output, batch_size, **overrides):
    """``results.json`` of a recipe with filter banks, one batch an update."""
    settings = {"upstream": "fbank_no_cmvn", "grad_accumulation_factor": 1}
    for split in ("train", "valid", "test"):
        settings[f"{split}_dataloader_opts"] = f"{{batch_size: {batch_size}}}"
    argv = command(
        REPOSITORY / "recipes/SUPERB" / task, output, **{**settings, **overrides}
    )
    assert launcher.run(argv) == 0
    return json.loads((output / "results.json").read_text())


def as_its_own_test(path, labels):
    """A table of a manifest's records, to train, validate and test on."""
    records = manifest.read(path)
    table = path.replace(".json", "_table.json")
    keys = ("wav", "duration", *labels)
    kept = {name: {key: r[key] for key in keys} for name, r in records.items()}
    with open(table, "w", encoding="utf-8") as file:
        json.dump(kept, file)
    return records, dict.fromkeys(("train_csv", "valid_csv", "test_csv"), table)


def commonest(values):
    """The share of the commonest value: what knowing nothing gives."""
    values = list(values)
    return max(collections.Counter(values).values()) / len(values)


def test_commands(data_folder, launcher, tmp_path):
    folder = data_folder / "FluentSpeechCommands_like"
    paths = prepare_commands(folder, tmp_path / "save")
    found = {split: manifest.read(path) for split, path in paths.items()}
    sizes = {split: len(records) for split, records in found.items()}
    assert sizes == {"train": 38, "valid": 12, "test": 18}
    for split, path in paths.items():
        manifest.validate(found[split], path, SLOTS)

    records, tables = as_its_own_test(paths["train"], SLOTS)
    same = prepare_intent_tables(*tables.values(), tmp_path / "again")
    assert manifest.read(same["test"]).keys() == records.keys()
    budget = {"total_steps": 1000, "steps_per_epoch": 500, "lr": 0.001}
    results = trained(launcher, "IC", tmp_path / "out", 38, **budget, **tables)
    assert commonest(record["labels"] for record in records.values()) < 0.1
    assert results["metrics"]["accuracy"] > 0.4
    for slot in SLOTS:
        chance = commonest(record[slot] for record in records.values())
        assert results["metrics"][f"accuracy_{slot}"] > max(0.6, chance + 0.15)


def test_emotions(data_folder, launcher, tmp_path):
    folder = data_folder / "IEMOCAP_like_RAVDESS"
    tested = set()
    for fold in range(1, 6):
        paths = prepare_iemocap(folder, tmp_path / f"save{fold}", fold=fold)
        found = {split: manifest.read(path) for split, path in paths.items()}
        assert sum(map(len, found.values())) == 109
        rest = len(found["train"]) + len(found["valid"])
        assert len(found["train"]) == int(0.8 * rest)
        assert not tested & set(found["test"])
        tested |= set(found["test"])
    assert len(tested) == 109

    records, tables = as_its_own_test(paths["train"], ["label"])
    budget = {"total_steps": 1000, "steps_per_epoch": 500, "lr": 0.003}
    results = trained(
        launcher, "ER", tmp_path / "out", len(records), **budget, **tables
    )
    assert commonest(record["label"] for record in records.values()) < 0.35
    assert results["metrics"]["accuracy"] > 0.6


def test_emotions_in_five_folds(data_folder, launcher, tmp_path):
    results = trained(
        launcher,
        "ER",
        tmp_path / "out",
        16,
        data_folder=data_folder / "IEMOCAP_like_RAVDESS",
        total_steps=100,
        steps_per_epoch=50,
        lr=0.001,
    )
    assert sum(results["utterances"]["test"]) == 109
    assert all(fold["utterances"]["test"] in (21, 22) for fold in results["folds"])
    accuracies = [fold["metrics"]["accuracy"] for fold in results["folds"]]
    assert results["metrics"]["accuracy"] == pytest.approx(sum(accuracies) / 5)
    assert results["valid"]["accuracy"] > 0.3  # of known speakers; the commonest: 0.28
