"""The Brain of numbers: what is learned, measured, chosen and written."""

import csv
from types import SimpleNamespace

import pytest
import scipy.stats
import speechbrain as sb
import torch
from speechbrain.dataio.batch import PaddedBatch

from s3prl_sb.brains.opinion_scores import (
    OpinionScoreBrain,
    modules_for,
    opinion_score_splits,
)
from s3prl_sb.brains.regression import RegressionBrain, regression_splits
from s3prl_sb.dataio import manifest
from s3prl_sb.lobes.heads.mos import MosHead
from s3prl_sb.lobes.heads.utterance import UtteranceClassifier
from s3prl_sb.startup.configuration import RecipeError

SIZE = 6


def brain(tmp_path, modules, cls=RegressionBrain, values=("value",), **hparams):
    """One without an upstream."""
    made = cls.__new__(cls)
    weights = {"segment_weight": 1.0, "bias_weight": 1.0}
    made.hparams = SimpleNamespace(output_folder=str(tmp_path), **weights, **hparams)
    made.values, made.device, made.task, made.tested = list(values), "cpu", "t", {}
    made.modules = torch.nn.ModuleDict(modules)
    made.raw_modules = made.modules
    made.compute_features = lambda batch: batch.states
    made.start_stage(sb.Stage.VALID)
    return made


def examples(number=8, seed=0, values=1, frames=(9, 5, 2, 1), judges=0):
    """Features whose mean decides the numbers, of two systems."""
    random = torch.Generator().manual_seed(seed)
    made = []
    for i in range(number):
        states = torch.randn(frames[i % len(frames)], SIZE, generator=random)
        targets = 3 + states.mean(0)[:values].clamp(-1, 1)
        example = {"id": f"u{i}", "states": states, "targets": targets}
        example["system"] = "AB"[i % 2]
        if judges:
            some = torch.arange(1 + i % judges)
            example["judges"] = some
            example["judgement_values"] = targets + (some - 1) * 0.5
        made.append(example)
    return made


def run(made, few, stage=sb.Stage.VALID):
    batch = PaddedBatch(few)
    with torch.set_grad_enabled(stage == sb.Stage.TRAIN):
        output = made.compute_forward(batch, stage)
        return made.compute_objectives(output, batch, stage)


def linear(values=1):
    torch.manual_seed(0)
    return UtteranceClassifier(SIZE, values, hidden_size=None)


def test_metrics_of_utterances_and_systems(tmp_path):
    made, few = brain(tmp_path, {"head": linear()}), examples()
    run(made, few[:5])
    run(made, few[5:])
    stats = made.stage_stats(sb.Stage.VALID)
    predicted, true = (side[:, 0].double().numpy() for side in made.joined())
    assert stats["mse"] == pytest.approx(((predicted - true) ** 2).mean())
    assert stats["lcc"] == pytest.approx(scipy.stats.pearsonr(predicted, true)[0])
    assert stats["srcc"] == pytest.approx(scipy.stats.spearmanr(predicted, true)[0])
    means = [[side[i::2].mean() for i in (0, 1)] for side in (predicted, true)]
    errors = [(p - t) ** 2 for p, t in zip(*means)]
    assert stats["system_mse"] == pytest.approx(sum(errors) / 2)
    assert abs(stats["system_lcc"]) == pytest.approx(1)


def test_known_scores_of_systems_are_the_truth(tmp_path):
    made, few = brain(tmp_path, {"head": linear()}), examples()
    for example in few:
        example["system_value"] = {"A": 4.0, "B": 2.0}[example["system"]]
    run(made, few)
    assert {s: float(true) for s, (_, _, true) in made.by_system().items()} == {
        "A": 4.0,
        "B": 2.0,
    }


def test_several_numbers(tmp_path):
    values = ["valence", "arousal"]
    made = brain(tmp_path, {"head": linear(2)}, values=values)
    few = [{k: v for k, v in e.items() if k != "system"} for e in examples(values=2)]
    loss = run(made, few)
    stats = made.stage_stats(sb.Stage.VALID)
    mean = (stats["valence_mse"] + stats["arousal_mse"]) / 2
    assert float(loss) == pytest.approx(mean) == pytest.approx(stats["mse"])
    assert not any(name.startswith("system") for name in stats)
    made.write_predictions()
    with open(tmp_path / "predictions.csv", newline="") as file:
        row = next(csv.DictReader(file))
    assert list(row) == ["id", *(f"{p}{v}" for v in values for p in ("", "predicted_"))]
    assert (tmp_path / "scatter_arousal.png").is_file()


def test_written_files(tmp_path):
    made = brain(tmp_path, {"head": linear()}, upstream_name="mel")
    run(made, examples())
    made.write_predictions()
    with open(tmp_path / "predictions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    with open(tmp_path / "systems.csv", newline="") as file:
        systems = list(csv.DictReader(file))
    assert list(rows[0]) == ["id", "value", "prediction", "system"]
    for row in systems:
        mine = [float(r["prediction"]) for r in rows if r["system"] == row["system"]]
        assert int(row["utterances"]) == len(mine) == 4
        assert float(row["prediction"]) == pytest.approx(sum(mine) / 4, abs=1e-5)
    assert (tmp_path / "scatter.png").stat().st_size > 5000


def opinion(tmp_path, judges=3):
    torch.manual_seed(0)
    head = MosHead(SIZE, stride=4000, hidden_size=16)
    modules = modules_for(head, [f"j{i}" for i in range(judges)])
    return brain(tmp_path, modules, OpinionScoreBrain)


def test_loss_of_opinion_scores_by_hand(tmp_path):
    """Whatever the batch is, and however many judges an utterance has."""
    made, few = opinion(tmp_path), examples(judges=3)
    head, judges = made.modules["head"], made.modules["judges"]
    losses = []
    for example in few:
        windows = head(example["states"][None], torch.ones(1), in_windows=True)
        score, true = windows.scores.mean(), example["targets"][0]
        loss = (score - true) ** 2 + ((windows.scores - true) ** 2).mean()
        errors = []
        for judge, value in zip(example["judges"], example["judgement_values"]):
            who = judge.expand(len(windows.scores))
            bias = judges(windows.frames, windows.mask, who).mean()
            errors.append((score + bias - value) ** 2)
        losses.append(loss + sum(errors) / len(errors))
    expected = torch.stack(losses).mean()
    assert torch.allclose(run(made, few, sb.Stage.TRAIN), expected, atol=1e-5)
    alone = torch.stack([run(made, [e], sb.Stage.TRAIN) for e in few])
    assert torch.allclose(alone, torch.stack(losses), atol=1e-5)


def test_a_wrapped_head_is_asked_for_its_windows_too(tmp_path):
    """DistributedDataParallel hides the head behind its own class."""

    class Wrapped(torch.nn.Module):
        def __init__(self, module):
            super().__init__()
            self.module = module

        def forward(self, *inputs, **options):
            return self.module(*inputs, **options)

    made, few = opinion(tmp_path), examples(judges=3)
    expected = run(made, few, sb.Stage.TRAIN)
    made.modules["head"] = Wrapped(made.modules["head"])
    assert torch.equal(run(made, few, sb.Stage.TRAIN), expected)


def test_an_evaluation_needs_no_judges(tmp_path):
    """Its loss is that of the utterances."""
    made, few = opinion(tmp_path), examples()
    loss = run(made, few)
    assert float(loss) == pytest.approx(made.stage_stats(sb.Stage.VALID)["mse"])


def test_other_heads_and_tables_without_judges(tmp_path):
    few = examples()
    modules = modules_for(linear(), ["ann"])
    assert list(modules) == ["head"]
    made = brain(tmp_path, modules, OpinionScoreBrain)
    assert torch.allclose(run(made, few, sb.Stage.TRAIN), run(made, few))
    head = MosHead(SIZE, stride=4000)
    assert list(modules_for(head, [])) == ["head"]
    assert run(opinion(tmp_path, 0), few, sb.Stage.TRAIN).requires_grad


def test_scores_of_another_scale_need_another_head():
    """Or they could not be learned, without a word about it."""
    head, values = MosHead(SIZE), [1.0, 5.0, 80.0]
    with pytest.raises(RecipeError, match="1 scores .* as 80, are not from 1 to 5"):
        modules_for(head, [], values)
    assert modules_for(head, [], values[:2])
    assert modules_for(MosHead(SIZE, clipping=False), [], values)
    assert modules_for(linear(), [], values)


def test_a_few_utterances_are_learned_by_heart(tmp_path):
    """Scores and the judges' biases: half a point below, and half above."""
    made, few = opinion(tmp_path), examples(number=4, judges=3)
    optimizer = torch.optim.Adam(made.modules.parameters(), lr=0.03)
    for _ in range(100):
        optimizer.zero_grad()
        loss = run(made, few, sb.Stage.TRAIN)
        loss.backward()
        optimizer.step()
    made.start_stage(sb.Stage.VALID)
    run(made, few)
    stats = made.stage_stats(sb.Stage.VALID)
    assert stats["mse"] < 0.01 and stats["lcc"] > 0.98
    batch = PaddedBatch(few)
    with torch.no_grad():
        windows = made.modules["head"](*batch.states, in_windows=True)
        assert float(made.judged(windows, batch)) < 0.02


def splits_of(tmp_path, choose_by="mse", **record):
    for split in manifest.SPLITS:
        whole = {"wav": "a.wav", "duration": 1.0, "value": 3.0, **record}
        if split == "train":
            whole["judgements"] = [["bob", 4.0], ["ann", 2.0]]
        manifest.write({f"{split}1": whole}, tmp_path / f"{split}.json")
    pipes = {"train_pipes": [], "eval_pipes": []}
    return {"save_folder": str(tmp_path), "choose_by": choose_by, "seed": 0, **pipes}


def test_judges_are_items_of_training(tmp_path):
    splits, judges = opinion_score_splits(splits_of(tmp_path))
    assert judges == ["ann", "bob"]
    outputs = {n: set(s.pipeline.output_mapping) for n, s in splits.items()}
    assert outputs["train"] - outputs["test"] == {"judges", "judgement_values"}


def test_choice_by_systems_needs_systems(tmp_path):
    with pytest.raises(RecipeError, match="has no systems. Add a column system"):
        regression_splits(splits_of(tmp_path, "system_srcc"))
    assert regression_splits(splits_of(tmp_path, "system_srcc", system="A"))


@pytest.mark.parametrize(
    ("choose_by", "highest"), [("mse", False), ("system_mse", False), ("srcc", True)]
)
def test_direction_of_the_choice(choose_by, highest, monkeypatch):
    monkeypatch.setattr(RegressionBrain.__mro__[1], "__init__", lambda self: None)
    made = RegressionBrain(choose_by=choose_by)
    assert (made.metric, made.higher_is_better) == (choose_by, highest)
