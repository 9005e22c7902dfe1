"""Files of the data that --debug leaves."""

import pytest

from s3prl_sb.brains.debugging import keep_few, spread
from s3prl_sb.dataio.dataset import ManifestDataset


def datasets(sizes, seconds=2.0):
    return {
        split: ManifestDataset(
            {f"{n:04d}": {"label": n // 10, "duration": seconds} for n in range(size)},
            [],
            ["id", "label"],
        )
        for split, size in sizes.items()
    }


@pytest.mark.parametrize(
    "hparams, batches, kept",
    [
        ({"batch_size": 8}, 2, {"train": 16, "valid": 4, "test": 100}),
        (
            {"batch_size": 8, "grad_accumulation_factor": 3},
            1,
            {"train": 24, "valid": 2},
        ),
        ({"batch_size": None, "batch_seconds": 20}, 2, {"train": 21, "valid": 4}),
        ({"batch_size": 9999}, 1, {"train": 1000, "valid": 2}),
    ],
)
def test_a_few_batches_of_each(hparams, batches, kept):
    splits = datasets({"train": 1000, "valid": 50, "test": 100})
    hparams = {
        **hparams,
        "train_dataloader_opts": {"batch_size": hparams["batch_size"]},
        "valid_dataloader_opts": {"batch_size": 2},
        "test_dataloader_opts": {"batch_size": 64},
    }
    keep_few(splits, hparams, {"debug_batches": batches})
    found = {split: len(dataset) for split, dataset in splits.items()}
    assert {split: found[split] for split in kept} == kept
    labels = {example["label"] for example in splits["train"]}
    assert len(labels) == min(kept["train"], 100)  # not all of the first classes


def test_the_same_few_each_time():
    for items, count in (([*range(10)], 3), ([], 4), ([1], 1)):
        assert spread(items, count) == spread(items, count)
        assert len(spread(items, count)) == min(count, len(items))
