"""Several slots an utterance, and folds: losses, metrics, caches, settings."""

import csv
import itertools
import json
import re
import types

import numpy as np
import pytest
import soundfile
import speechbrain as sb
import torch
from speechbrain.dataio.batch import PaddedBatch

from s3prl_sb import resources
from s3prl_sb.brains import folds
from s3prl_sb.brains.intents import IntentBrain, intent_splits, split_slots
from s3prl_sb.inference.intents import IntentClassifier
from s3prl_sb.startup.configuration import RecipeError, load_recipe
from s3prl_sb.storage.files import write_json

YAML = resources.recipes()["SUPERB/IC"] / "hparams/train.yaml"
VALUES = {"action": ["off", "on"], "object": ["heat", "lights", "tea"], "room": ["den"]}


@pytest.fixture
def hparams(tmp_path):
    """A recipe whose manifests have every intent twice in each set."""
    for split, (n, intent) in itertools.product(
        ("train", "valid", "test"), enumerate(itertools.product(*VALUES.values()))
    ):
        path, manifest = tmp_path / f"{n}.wav", tmp_path / f"save/{split}.json"
        time = np.arange(3200 + 800 * n) / 16000
        soundfile.write(path, 0.1 * np.sin(900 * (n + 1) * time), 16000)
        record = {"wav": str(path), "duration": len(time) / 16000, "start": None}
        record |= {"stop": None, **dict(zip(VALUES, intent))}
        record["labels"] = " ; ".join(intent)
        found = json.loads(manifest.read_text()) if n else {}
        found |= {f"{split}{n}{take}": record for take in "ab"}
        write_json(manifest, found)
    settings = "upstream: fbank_no_cmvn\nslots: [action, object, room]\n"
    return load_recipe(YAML, f"{settings}output_folder: {tmp_path}\ncache: pooled\n")


def make(hparams, splits, slots):
    torch.manual_seed(0)
    values = sum(map(len, slots.values()))
    return IntentBrain(
        slots,
        modules={
            "featurizer": hparams["featurizer"],
            "head": hparams["head"](num_classes=values),
        },
        hparams=hparams,
        run_opts={"device": "cpu", "noprogressbar": True},
    )


def batch(dataset, *indices):
    return PaddedBatch([dataset[i] for i in indices])


def test_slots_are_those_of_the_training_set(hparams, tmp_path):
    splits, slots = intent_splits(hparams)
    assert slots == VALUES
    example = splits["test"][9]
    assert example["id"] == "test4b"  # on, lights, den
    assert [example[f"{slot}_encoded"] for slot in slots] == [1, 1, 0]
    for key, few in (("train_per_class", 1), ("train_fraction", 0.5)):
        splits, same = intent_splits({**hparams, key: few})
        assert len(splits["train"]) == 6 and len(splits["test"]) == 12 and same == slots
        intents = {record["labels"] for record in splits["train"].data.values()}
        assert len(intents) == 6
    path = tmp_path / "save/valid.json"
    path.write_text(path.read_text().replace("lights", "music"))
    with pytest.raises(ValueError, match="valid.json has values of object .*: music"):
        intent_splits(hparams)


def test_loss_is_the_sum_of_cross_entropies(hparams):
    splits, slots = intent_splits(hparams)
    brain = make(hparams, splits, slots)
    logits = torch.randn(4, 6, requires_grad=True)
    true = torch.tensor([[0, 2, 0], [1, 0, 0], [1, 1, 0], [0, 0, 0]])
    examples = types.SimpleNamespace(
        **{f"{slot}_encoded": true[:, n] for n, slot in enumerate(slots)}
    )
    loss = brain.compute_objectives(logits, examples, sb.Stage.TRAIN)
    expected = 0.0
    for row, (a, b, c) in zip(logits.detach().double().numpy(), true.tolist()):
        for part, index in ((row[:2], a), (row[2:5], b), (row[5:], c)):
            expected -= np.log(np.exp(part[index]) / np.exp(part).sum()) / 4
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    loss.backward()
    assert not logits.grad[:, 5].any()  # a slot of one value teaches nothing
    parts = split_slots(logits, slots)
    assert [tuple(part.shape) for part in parts] == [(4, 2), (4, 3), (4, 1)]


def test_metrics_and_predictions(hparams, tmp_path):
    splits, slots = intent_splits(hparams)
    brain = make(hparams, splits, slots)
    examples = batch(splits["test"], *range(12))
    true = torch.stack([getattr(examples, f"{s}_encoded") for s in slots], 1)
    guess = true.clone()
    guess[0, 0], guess[1, 1], guess[2, :2] = 1, 2, torch.tensor([1, 0])
    logits, scores = torch.rand(12, 6), []
    for n, (a, b, c) in enumerate(guess.tolist()):
        logits[n, [a, 2 + b, 5 + c]] += 1
        exps = np.exp(logits[n].double().numpy())  # the score is a product of two
        scores.append(exps[a] / exps[:2].sum() * exps[2 + b] / exps[2:5].sum())
    brain.start_stage(sb.Stage.TEST)
    for part in (slice(0, 5), slice(5, 12)):
        some = batch(splits["test"], *range(12)[part])
        brain.compute_objectives(logits[part], some, sb.Stage.TEST)
    stats = brain.stage_stats(sb.Stage.TEST)
    right = (guess == true).double()
    assert stats["accuracy"] == pytest.approx(9 / 12)
    for n, slot in enumerate(slots):
        assert stats[f"accuracy_{slot}"] == pytest.approx(right[:, n].mean().item())
    brain.write_predictions()
    with open(tmp_path / "predictions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == examples.id
    for row, a, b, score in zip(rows, true.tolist(), guess.tolist(), scores):
        for n, slot in enumerate(slots):
            assert row[f"{slot}_label"] == slots[slot][a[n]]
            assert row[f"{slot}_prediction"] == slots[slot][b[n]]
        assert float(row["score"]) == pytest.approx(score, abs=1e-5)
    assert brain.interface()["head"] == {"num_classes": 6}
    assert json.loads(json.dumps(brain.interface()))["hparams"] == {"slots": slots}


def test_neither_padding_nor_a_pooled_cache_changes_anything(hparams, tmp_path):
    hparams = {**hparams, "cache_folder": str(tmp_path), "cache_dtype": "float32"}
    splits, slots = intent_splits(hparams)
    brain = make(hparams, splits, slots)
    with torch.no_grad():
        alone = [
            brain.compute_forward(batch(splits["test"], i), sb.Stage.TEST)
            for i in (0, 5, 11)
        ]
        padded = brain.compute_forward(batch(splits["test"], 0, 5, 11), sb.Stage.TEST)
        brain.use_cache(splits)
        examples = batch(splits["test"], 0, 5, 11)
        assert hasattr(examples, "feats") and examples.feats.data.shape[1] == 1
        cached = brain.compute_forward(examples, sb.Stage.TEST)
    assert torch.allclose(torch.cat(alone), padded, atol=1e-4)
    assert torch.allclose(cached, padded, atol=1e-4)


def test_a_loaded_model_says_the_same(hparams, tmp_path):
    splits, slots = intent_splits(hparams)
    brain = make(hparams, splits, slots)
    model = IntentClassifier(
        modules={
            "upstream": hparams["upstream_model"],
            "featurizer": hparams["featurizer"],
            "head": brain.modules["head"],
        },
        hparams={"slots": slots, "audio_pipes": hparams["eval_pipes"]},
        run_opts={"device": "cpu"},
    )
    with torch.no_grad():
        logits = brain.compute_forward(batch(splits["test"], 7), sb.Stage.TEST)[0]
    chances = {}  # of every intent, by brute force
    for a, b in itertools.product(range(2), range(3)):
        chance = logits[:2].softmax(0)[a] * logits[2:5].softmax(0)[b]
        chances[VALUES["action"][a], VALUES["object"][b], "den"] = float(chance)
    intent, score = model.classify_file(splits["test"].data["test3b"]["wav"])
    best = max(chances, key=chances.get)
    assert intent == dict(zip(slots, best))
    assert score == pytest.approx(chances[best], abs=1e-5)
    path = splits["test"].data["test3b"]["wav"]
    values = "\t".join(f"{slot}={value}" for slot, value in intent.items())
    assert list(model.lines([path])) == [f"{path}\t{values}\t{score:.3f}"]
    found = model.probabilities_file(path)
    assert found.names[:2] == [f"action={value}" for value in VALUES["action"]]
    torch.testing.assert_close(found.values[0, 2:5], logits[2:5].softmax(0))


# ---- folds

RESULT = {
    "task": "t",
    "metrics": {"accuracy": 0.5},
    "valid": {"accuracy": 0.25},
    "utterances": {"train": 3, "valid": 1, "test": 2},
    "best_step": 10,
    "lr": 0.1,
    "layer_weights": [0.25, 0.75],
    "seconds": 1.5,
    "peak_memory_gb": 1.0,
}


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "train.yaml"
    path.write_text(
        f"fold: all\ntrain_csv: null\nname: x\noutput_folder: !ref {tmp_path}/<name>\n"
    )
    return str(path)


def test_every_fold_is_a_run_of_its_own(recipe, tmp_path):
    runs = []

    def train(argv):
        settings = folds.read_settings(argv, ("fold", "output_folder"))
        runs.append(settings)
        n = settings["fold"]
        found = {**RESULT, "metrics": {"accuracy": n / 10}, "best_step": 10 * n}
        found = {**found, "layer_weights": [n / 10, 1 - n / 10]}
        write_json(f"{settings['output_folder']}/results.json", found)

    folds.cross_validate([recipe, "--name=y"], train, (1, 2, 4))
    assert runs == [
        {"fold": n, "output_folder": f"{tmp_path}/y/fold{n}"} for n in (1, 2, 4)
    ]
    found = json.loads((tmp_path / "y/results.json").read_text())
    assert found["metrics"]["accuracy"] == pytest.approx(7 / 30)
    spread = np.std([0.1, 0.2, 0.4], ddof=1)
    assert found["metrics"]["accuracy_std"] == pytest.approx(spread)
    assert found["valid"] == {"accuracy": 0.25, "accuracy_std": 0}
    assert found["utterances"] == {"train": [3] * 3, "valid": [1] * 3, "test": [2] * 3}
    assert found["best_step"] == [10, 20, 40] and found["seconds"] == 4.5
    assert found["layer_weights"] == pytest.approx([7 / 30, 23 / 30])
    assert [one["fold"] for one in found["folds"]] == [1, 2, 4]
    assert found["folds"][2]["metrics"] == {"accuracy": 0.4}
    (tmp_path / "y/results.json").unlink()
    folds.cross_validate([recipe, "--name", "y", "--fold", "4"], train, (1, 2, 4))
    assert runs[3:] == [{"fold": 4, "output_folder": f"{tmp_path}/y/fold4"}]
    assert not (tmp_path / "y/results.json").exists()


def test_own_tables_have_no_folds(recipe):
    runs, argv = [], [recipe, "--train_csv=mine.csv", "--fold=all"]
    folds.cross_validate(argv, runs.append, (1, 2))
    assert runs == [argv]


def test_folds_that_do_not_exist(recipe):
    for wrong in ("3", "some", "null"):
        message = re.escape("There are 1, 2, and all.")
        with pytest.raises(RecipeError, match=f"fold: .*{message}"):
            folds.cross_validate([recipe, f"--fold={wrong}"], None, (1, 2))


def test_changed_command_lines():
    argv = ["a.yaml", "--fold", "all", "--lr", "-1", "--folder=x", "--debug"]
    assert folds.override(argv, fold=1, lr=2) == [
        *("a.yaml", "--folder=x", "--debug", "--fold=1", "--lr=2")
    ]


def test_a_users_own_tables_have_no_folds(recipe):
    with pytest.raises(RecipeError, match="fold: your own tables have none"):
        folds.cross_validate([recipe, "--train_csv=a.csv", "--fold=2"], None, (1, 2))
