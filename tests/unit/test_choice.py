"""Choice of the checkpoint if validation and test differ in class frequencies."""

import importlib.util

import pytest
import speechbrain as sb
import torch

from s3prl_sb import resources
from s3prl_sb.brains.checkpointer import AtomicCheckpointer
from s3prl_sb.brains.classification import ClassificationBrain
from s3prl_sb.runs.results import goodness, main_metrics
from s3prl_sb.startup.configuration import Configuration

LABELS = ["_unknown_", "yes", "no"]
TRUE = torch.tensor([0] * 63 + [1] * 20 + [2] * 17)


def brain(folder, **options):
    made = ClassificationBrain.__new__(ClassificationBrain)
    made.labels, made.metric = LABELS, options.get("choose_by", "accuracy")
    module = torch.nn.Linear(1, 1)
    made.checkpointer = AtomicCheckpointer(str(folder), {"head": module})
    return made


def validate(made, predicted, epoch):
    made.start_stage(sb.Stage.VALID)
    made.collected.append([TRUE, predicted, torch.ones(len(TRUE))])
    stats = made.stage_stats(sb.Stage.VALID)
    made.save_best(stats, epoch)
    return stats


@pytest.mark.parametrize(
    "choose_by, epoch", [("accuracy", 1), ("balanced_accuracy", 2)]
)
def test_a_checkpoint_that_knows_the_rare_classes(choose_by, epoch, tmp_path):
    made = brain(tmp_path, choose_by=choose_by)
    one = validate(made, torch.where(torch.arange(100) < 85, 0, TRUE), 1)
    rare = torch.where(TRUE == 0, torch.arange(100) % 3, TRUE)
    two = validate(made, rare, 2)
    assert one["accuracy"] > two["accuracy"]
    assert one["balanced_accuracy"] < two["balanced_accuracy"]
    validate(made, torch.ones(100, dtype=torch.long), 3)
    best = made.checkpointer.find_best(made.metric)
    assert best.meta["epoch"] == epoch


def keyword_spotting():
    folder = resources.recipes()["SUPERB/KS"]
    spec = importlib.util.spec_from_file_location("ks_train", folder / "train.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module, folder / "hparams/train.yaml"


@pytest.mark.parametrize(
    "overrides, expected",
    [
        ("", "balanced_accuracy"),  # of the validation set 63 % are _unknown_
        ("version: v0.02", "balanced_accuracy"),
        ("labels: folders", "accuracy"),
        ("train_csv: a.csv", "accuracy"),
        ("{choose_by: accuracy}", "accuracy"),
        ("{choose_by: balanced_accuracy, labels: folders}", "balanced_accuracy"),
    ],
)
def test_what_keyword_spotting_is_chosen_by(overrides, expected):
    module, yaml = keyword_spotting()
    settings = Configuration(yaml, overrides).resolved
    assert module.chosen_by(settings) == expected


def test_a_table_shows_what_superb_reports():
    run = {
        "task": "SUPERB/KS",
        "chosen_by": {"metric": "balanced_accuracy", "highest": True},
        "metrics": {"balanced_accuracy": 0.25, "accuracy": 0.5, "loss": 1.0},
    }
    assert main_metrics(run) == [("accuracy", 50.0, None, 2, "%")]
    assert goodness(run) == -50.0
