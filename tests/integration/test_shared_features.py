"""Tasks on the same audio share features: phones and characters of LibriSpeech."""

import sys

import pytest
from conftest import REPOSITORY, command
from test_plan import COUNT

sys.path.append(str(REPOSITORY / "tests/contract/small"))
from tasks import small  # noqa: E402

BUDGET = {
    "total_steps": 4,
    "steps_per_epoch": 2,
    "batch_size": 4,
    "train_dataloader_opts": "{num_workers: 0}",
}


@pytest.fixture
def corpus(tmp_path):
    small("SUPERB/PR").corpus(tmp_path / "corpus")
    return tmp_path / "corpus"


@pytest.mark.parametrize("dtype", ["float16", "int8"])
def test_the_second_task_encodes_nothing(dtype, corpus, tiny_card, launcher, tmp_path):
    counts = []
    for task in ("PR", "ASR"):
        path = tmp_path / f"{task}.txt"
        path.write_text("")
        argv = command(
            REPOSITORY / "recipes/SUPERB" / task,
            tmp_path / task,
            data_folder=corpus,
            upstream=tiny_card,
            cache_folder=tmp_path / "cache",
            cache_dtype=dtype,
            **(small("SUPERB/ASR").BUDGET if task == "ASR" else {}),
            **BUDGET,
        )
        assert launcher.run(argv, prelude=COUNT.format(path=str(path))) == 0
        counts.append(sum(map(int, path.read_text().split())))
    assert counts[0] > 0 and counts[1] == 0, counts
