"""Few-shot subsets: shares, numbers per class and hours; what is kept is logged."""

import logging
import re

import pytest

from s3prl_sb.brains.classification import classification_splits
from s3prl_sb.dataio import few_shot, manifest
from s3prl_sb.dataio.manifest import ManifestError
from s3prl_sb.dataio.splits import read_splits
from s3prl_sb.schema.combinations import check_together
from s3prl_sb.schema.declarations import KeysError


def many(count=100):
    """A tenth is rare; the lengths are 1 to 7 s."""
    return {
        f"u{n}": {"label": "common" if n % 10 else "rare", "duration": 1.0 + n % 7}
        for n in range(count)
    }


def fails(*words):
    return pytest.raises(ManifestError, match="(?s:.*)".join(map(re.escape, words)))


def hours_of(records):
    return sum(record["duration"] for record in records.values()) / 3600


def test_subsets_are_nested_and_stratified():
    full, last = many(), {}
    for fraction in (0.01, 0.1, 0.25, 0.5, 1):
        part = few_shot.subset(full, fraction=fraction)
        labels = [record["label"] for record in part.values()]
        assert set(last) <= set(part)
        assert labels.count("rare") == max(1, int(10 * fraction + 0.5))
        assert labels.count("common") == max(1, int(90 * fraction + 0.5))
        assert list(part) == [name for name in full if name in part]  # their order
        last = part
    assert last == full
    assert set(few_shot.subset(full, per_class=2)) < set(
        few_shot.subset(full, per_class=5)
    )


def test_subsets_are_deterministic():
    full = many()
    part = few_shot.subset(full, fraction=0.3)
    assert part == few_shot.subset(dict(reversed(full.items())), fraction=0.3)
    assert set(part) != set(few_shot.subset(full, fraction=0.3, seed=1))
    # ranks do not depend on the rest: what stays in the pool stays chosen
    pool = {n: r for n, r in full.items() if n in part or r["label"] == "rare"}
    few = few_shot.subset(full, per_class=3)
    assert set(few) <= set(few_shot.subset({**pool, **few}, per_class=3))
    assert few_shot.subset(full) == full and few_shot.subset(full) is not full


@pytest.mark.parametrize("key", ["label", None])
def test_hours_are_nested_and_just_reached(key):
    full, last = many(), {}
    total = hours_of(full)
    for hours in (0.004, 0.01, 0.05, 0.1, total):
        part = few_shot.subset(full, hours=hours, key=key)
        assert set(last) < set(part)
        assert hours <= hours_of(part) + 1e-9 < hours + 7 / 3600  # the longest one
        assert list(part) == [name for name in full if name in part]
        last = part
    assert last == full
    backwards = dict(reversed(full.items()))
    part = few_shot.subset(full, hours=0.05, key=key)
    assert part == few_shot.subset(backwards, hours=0.05, key=key)
    assert set(part) != set(few_shot.subset(full, hours=0.05, key=key, seed=1))


def test_hours_take_turns_by_class():
    """While a class has utterances left, it has as many as the others."""
    for hours in (0.004, 0.01, 0.02):
        part = few_shot.subset(many(), hours=hours)
        labels = [record["label"] for record in part.values()]
        assert abs(labels.count("rare") - labels.count("common")) <= 1
    most = few_shot.subset(many(), hours=0.09)
    assert [r["label"] for r in most.values()].count("rare") == 10
    # The first two of each class, as few_shot.subset draws them by their number.
    two = few_shot.subset(many(), per_class=2)
    assert few_shot.subset(many(), hours=hours_of(two)) == two


def test_hours_of_a_hundred_classes_have_them_all():
    full = {f"{n}": {"label": f"{n % 100}", "duration": 3.0} for n in range(1000)}
    part = few_shot.subset(full, hours=300 / 3600)
    assert {record["label"] for record in part.values()} == set(map(str, range(100)))
    words = "train_hours 0.08: one utterance of each of the 100 classes takes 0.08334"
    with fails(words, "Ask for at least that."):
        few_shot.subset(full, hours=0.08)
    assert len(few_shot.subset(full, hours=0.08, key=None)) == 96
    assert len(few_shot.subset(full, hours=0.08334)) == 101  # as the message says


def test_more_hours_than_there_are():
    full = many()  # 395 s
    with fails("train_hours 2: the training set lasts 0.1097 hours"):
        few_shot.subset(full, hours=2)
    few_shot.subset(full, hours=0.1097)  # as the message says
    tenths = {str(n): {"duration": 360.1} for n in range(9998)}
    tenths["last"] = {"duration": 3600 * 1000.1 - 9998 * 360.1}
    assert few_shot.subset(tenths, hours=1000.1, key=None) == tenths


def test_subset_errors():
    for fraction in (0, -0.1, 1.01, float("nan"), "0.5"):
        with fails(f"fraction {fraction!r} is outside (0, 1]"):
            few_shot.subset(many(), fraction=fraction)
    with fails("per_class 0 is not a positive"):
        few_shot.subset(many(), per_class=0)
    for hours in (0, -1, float("inf"), "1", True):
        with fails(f"train_hours {hours!r} is not a positive"):
            few_shot.subset(many(), hours=hours)
    for two in ({"fraction": 0.5}, {"hours": 1}):
        with fails("only one"):
            few_shot.subset(many(), per_class=1, **two)
    with fails("class 'rare' has only 10", "at most 10 per class, not 11"):
        few_shot.subset(many(), per_class=11)
    with fails("train_per_class 101: there are only 100"):
        few_shot.subset(many(), per_class=101, key=None)
    with fails("'u0' has no 'speaker'"):
        few_shot.subset(many(), per_class=1, key="speaker")
    with fails("train_hours: 'a' has no duration"):
        few_shot.subset({"a": {"label": "x"}}, hours=1)


def test_amounts_exclude_each_other():
    for hours in (1, 0.5):
        with pytest.raises(KeysError, match=f"per_class 2 and train_hours {hours} ex"):
            check_together({"train_per_class": 2, "train_hours": hours})
    check_together({"train_hours": 1, "train_fraction": None})


@pytest.fixture
def folder(tmp_path):
    for split in manifest.SPLITS:
        records = {n: {"wav": f"{n}.wav", **r} for n, r in many().items()}
        manifest.write(records, tmp_path / f"{split}.json")
    return tmp_path


@pytest.mark.parametrize("key", [None, "label"])
def test_only_the_training_set_is_cut(folder, key, caplog):
    caplog.set_level(logging.INFO)
    hparams = {"save_folder": folder, "seed": 0}
    whole = read_splits(hparams, key)
    assert not caplog.text and {len(records) for records in whole.values()} == {100}
    for name, value in (("hours", 0.01), ("fraction", 0.1), ("per_class", 3)):
        records = read_splits({**hparams, f"train_{name}": value}, key)
        expected = few_shot.subset(whole["train"], **{name: value}, key=key)
        assert records == {**whole, "train": expected}
        kept = 3600 * hours_of(expected)
        words = f"Training set: {len(expected)} of 100 utterances, {kept:.1f} s of 6.6"
        assert words in caplog.messages[-1]


def test_a_recipe_with_hours(folder):
    hparams = {"save_folder": folder, "seed": 0, "train_pipes": [], "eval_pipes": []}
    splits, labels = classification_splits({**hparams, "train_hours": 0.01})
    expected = few_shot.subset(many(), hours=0.01)
    assert splits["train"].data_ids == sorted(expected)
    assert labels == ["common", "rare"] and len(splits["valid"]) == 100
