"""Folds and corpora as their users run them: killed, alone, gathered."""

import json
import sys

import pytest
from conftest import REPOSITORY, assert_same_outcome, command, results

from s3prl_sb.inference import export
from s3prl_sb.inference.finished import ExportError
from s3prl_sb.metrics.measures import Measures

sys.path.insert(0, str(REPOSITORY / "tests/contract/small"))
from tasks import small  # noqa: E402

RECIPE = REPOSITORY / "recipes/SUPERB/ER"
LOADERS = {
    f"{split}_dataloader_opts": "{num_workers: 0, batch_size: 4}"
    for split in ("train", "valid", "test")
}
BUDGET = {"total_steps": 6, "steps_per_epoch": 2, "grad_accumulation_factor": 2}
FOLDS = [f"fold{n}" for n in range(1, 6)]


@pytest.fixture(scope="module")
def sessions(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sessions")
    small("SUPERB/ER").corpus(folder)
    return folder


@pytest.fixture(scope="module")
def emotions(sessions, tiny_card):
    def emotions(output, **overrides):
        settings = {**LOADERS, **BUDGET, "upstream": tiny_card, "lr": 0.01}
        settings |= {"data_folder": sessions, **overrides}
        return command(RECIPE, output, **settings)

    return emotions


@pytest.fixture(scope="module")
def whole(emotions, launcher, tmp_path_factory):
    """The output of all folds."""
    output = tmp_path_factory.mktemp("folds") / "whole"
    assert launcher.run(emotions(output)) == 0
    return output


def gathered(output):
    """The results of all folds, less what differs from run to run."""
    return json.dumps(results(output), sort_keys=True)


def assert_measured(output):
    """Means over the parts follow from their measures, and have intervals."""
    found, measures = results(output), Measures.read(output)
    metric = found["chosen_by"]["metric"]
    assert metric in measures.names and set(measures.strata) == {
        str(part["fold"]) for part in found["folds"]
    }
    for name in measures.names:
        assert measures.value(name) == pytest.approx(found["metrics"][name], rel=1e-6)
    low, high = found["intervals"]["metrics"][metric]
    assert low <= found["metrics"][metric] <= high
    assert found["intervals"]["units"] == found["test"]["utterances"]


def test_killed_folds_go_on_and_end_the_same(emotions, whole, launcher, tmp_path):
    broken, apart = (tmp_path / name for name in ("broken", "apart"))
    assert all((whole / fold / "results.json").is_file() for fold in FOLDS)
    caches = {path.name for path in (whole / "cache").iterdir()}
    assert len(caches) == 1  # all folds share it

    # In the second fold, after its first checkpoint; then, going on, in the fourth
    save = "s3prl_sb.brains.checkpointer.AtomicCheckpointer.save_checkpoint"
    kill = {"point": save, "call": 4, "how": "after"}
    assert launcher.run(emotions(broken), kill=kill) == -9
    assert (broken / "fold1/results.json").is_file()
    assert not (broken / "fold2/results.json").exists()
    before = sorted((broken / "fold1/save").glob("CKPT*"))
    assert launcher.run(emotions(broken), kill={**kill, "call": 7}) == -9
    assert not (broken / "results.json").exists()
    launcher.run(emotions(broken))
    assert sorted((broken / "fold1/save").glob("CKPT*")) == before  # not trained
    for fold in FOLDS:
        assert_same_outcome(broken / fold, whole / fold)
    assert gathered(broken) == gathered(whole)
    assert_measured(whole)

    # Alone, in any order; then gathered
    launcher.run(emotions(apart, fold=4))
    assert not (apart / "results.json").exists()
    assert_same_outcome(apart / "fold4", whole / "fold4")
    launcher.run(emotions(apart))
    assert gathered(apart) == gathered(whole)


def test_each_fold_has_a_search_of_its_own(emotions, launcher, tmp_path):
    """The best copy is the run of the fold; killed while it becomes that."""
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    rates = {"lr_search": "[0.01, 1.0e-9]"}
    assert launcher.run(emotions(whole, **rates)) == 0
    found = json.loads((whole / "results.json").read_text())
    assert found["search"]["rates"] == [0.01, 1e-9]
    kill = {"point": "s3prl_sb.brains.winner.Diary.tell", "call": 2, "how": "before"}
    assert launcher.run(emotions(broken, **rates), kill=kill) == -9
    assert launcher.run(emotions(broken, **rates)) == 0
    for fold in FOLDS:
        assert_same_outcome(broken / fold, whole / fold)
    assert gathered(broken) == gathered(whole)


def test_another_budget_is_refused(emotions, whole, launcher):
    said = launcher.failure(emotions(whole, fold=1, lr=0.5))
    assert "fold1/save' holds checkpoints of another experiment" in said


def test_two_processes(emotions, whole, launcher, tmp_path):
    """Train every fold in one process group."""
    launcher.run_distributed(emotions(tmp_path / "two"))
    found, expected = results(tmp_path / "two"), results(whole)
    assert found["utterances"] == expected["utterances"]
    loss = expected["metrics"]["loss"]
    assert found["metrics"]["loss"] == pytest.approx(loss, rel=1e-3)


def test_killed_corpora_go_on_and_end_the_same(launcher, tiny_card, tmp_path):
    """Corpora by name are parts like folds; their mean is the result."""
    recipe = small("SUPERB/OOD-ASR")
    given = {**LOADERS, **BUDGET, **recipe.BUDGET, "upstream": tiny_card}
    given |= recipe.corpus(tmp_path / "corpus")
    given["data_folder"] = tmp_path / "corpus"
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    folder = REPOSITORY / "recipes/SUPERB/OOD-ASR"
    assert launcher.run(command(folder, whole, **given)) == 0
    save = "s3prl_sb.brains.checkpointer.AtomicCheckpointer.save_checkpoint"
    kill = {"point": save, "call": 4, "how": "after"}
    assert launcher.run(command(folder, broken, **given), kill=kill) == -9
    assert (broken / "es/results.json").is_file()
    assert not (broken / "sbcsae/results.json").exists()
    assert launcher.run(command(folder, broken, **given)) == 0
    assert gathered(broken) == gathered(whole)
    metrics = results(whole)["metrics"]
    each = [metrics[f"error_rate_{name}"] for name in ("es", "sbcsae")]
    assert metrics["error_rate"] == pytest.approx(sum(each) / 2)
    assert_measured(whole)
    with pytest.raises(ExportError, match="a run for each of es, sbcsae. Choose one"):
        export(whole, tmp_path / "exported")
