"""Checkpoints and logs of a copy, until it is known whether it is the run."""

import json
import math
from types import SimpleNamespace

import torch

from s3prl_sb.brains.checkpointer import AtomicCheckpointer, ranking
from s3prl_sb.brains.winner import (
    CopyCheckpointer,
    Diary,
    Origin,
    folder_of,
    take_over,
)


class Log:
    """Remembers all calls."""

    def __init__(self):
        self.told = ["of another run"]

    def begin_again(self):
        self.told.clear()

    def log_stats(self, *arguments, verbose):
        assert not verbose  # the search has said it
        self.told.append(arguments)


class Curves(Log):
    def __init__(self, every):
        super().__init__()
        self.every = every

    def log_step(self, *arguments):
        self.told.append(arguments)

    def log_weights(self, *arguments):
        self.told.append(arguments)


def written(path, loggers):
    diary = Diary(path, loggers)
    diary.resume(0)
    for step in range(10, 50, 10):
        diary.log_step(step, {"loss": step / 7})
    diary.log_stats(
        {"epoch": 1, "steps": 40}, {"loss": math.nan}, {"per": torch.ones(1)}
    )
    diary.log_weights(40, [0, 3], [0.25, 0.75])
    return diary


def test_every_logger_is_told_what_it_would_have_logged(tmp_path):
    log, often, rarely = loggers = [Log(), Curves(10), Curves(20)]
    diary = written(tmp_path / "diary.jsonl", loggers)
    assert diary.every == 10
    for _ in range(2):  # again after a kill
        diary.tell(loggers)
    [[meta, train, valid]] = log.told
    assert meta == {"epoch": 1, "steps": 40} and valid == {"per": 1.0}
    assert math.isnan(train["loss"])
    assert [told[0] for told in often.told[:4]] == [10, 20, 30, 40]
    assert often.told[0][1] == {"loss": 10 / 7}  # to the last bit
    assert [told[0] for told in rarely.told[:2]] == [20, 40]
    assert rarely.told[-1] == often.told[-1] == (40, [0, 3], [0.25, 0.75])


def test_without_curves_it_has_no_points():
    assert Diary("diary.jsonl", [Log()]).every == 0


def test_what_comes_after_the_checkpoint_is_void(tmp_path):
    diary = written(tmp_path / "diary.jsonl", [])
    with open(diary.path, "a") as file:
        file.write('{"method": "log_st')  # cut off by a kill
    diary.resume(30)
    assert [entry["step"] for entry in diary.entries()] == [10, 20, 30]
    diary.log_step(35, {})
    assert [entry["step"] for entry in diary.entries()] == [10, 20, 30, 35]
    assert all(json.loads(line) for line in diary.path.read_text().splitlines())


def test_a_replaced_checkpoint_stays_until_the_search_is_saved(tmp_path):
    checkpointer = CopyCheckpointer(str(tmp_path), {"layer": torch.nn.Linear(1, 1)})
    best = ranking("accuracy")

    def epochs():
        return sorted(c.meta["epoch"] for c in checkpointer.list_checkpoints())

    def save(epoch, accuracy):
        meta = {"epoch": epoch, "accuracy": accuracy}
        checkpointer.save_and_keep_only(meta=meta, importance_keys=[best])

    save(1, 0.5)
    checkpointer.tidy()
    save(2, 0.25)
    checkpointer.tidy()
    save(3, 0.75)  # which the search has not been saved with
    assert epochs() == [1, 2, 3]
    checkpointer.rewind(2, best)
    assert epochs() == [1, 2]
    save(3, 0.75)
    checkpointer.tidy()
    assert epochs() == [3]
    save(4, 0.25)
    checkpointer.rewind(4, best)  # killed before it was tidied
    assert epochs() == [3, 4]
    checkpointer.rewind(0, best)  # another search
    assert epochs() == []


def test_a_damaged_copy_is_trained_again(tmp_path, caplog):
    hparams = SimpleNamespace(save_folder=str(tmp_path), lr=0.1)
    folder = folder_of(vars(hparams), 0.1)
    copy = CopyCheckpointer(str(folder), {"layer": torch.nn.Linear(1, 1)})
    file = copy.save_checkpoint(meta={"epoch": 1}).path / "layer.ckpt"
    file.write_bytes(file.read_bytes()[:-1])
    run = AtomicCheckpointer(str(tmp_path))
    take_over(SimpleNamespace(debug=False, hparams=hparams, checkpointer=run))
    assert not run.list_checkpoints() and not folder.exists()
    assert str(file) in caplog.text and "lr 0.1 is trained again" in caplog.text


def test_the_origin_is_saved(tmp_path):
    origin, path = Origin([0.1, 0.3]), tmp_path / "search.ckpt"
    origin.stacked = True
    origin._save(path)
    loaded = Origin()
    loaded._load(path, end_of_epoch=True)
    assert loaded.description() == {"rates": [0.1, 0.3], "trained": "stacked"}
