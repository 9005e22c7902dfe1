"""A run that resumes keeps the kinds of its caches, whatever the disk has room for."""

import shutil
import sys

import pytest
from conftest import REPOSITORY, assert_same_outcome, command

sys.path.append(str(REPOSITORY / "tests/contract/small"))
from tasks import small  # noqa: E402

DISK = """
import shutil, types
shutil.disk_usage = lambda _: types.SimpleNamespace(free={free})
"""
ROOM = {"little": 20_000, "much": 10**12}  # bytes


SEARCH = {"lr_search": "[0.01, 0.001]"}


@pytest.mark.parametrize(
    "before, after, more", [("little", "much", SEARCH), ("much", "little", {})]
)
def test_another_free_disk(before, after, more, tiny_card, launcher, tmp_path):
    small("SUPERB/PR").corpus(tmp_path / "corpus")

    def run(name, room, **options):
        argv = command(
            REPOSITORY / "recipes/SUPERB/PR",
            tmp_path / name,
            data_folder=tmp_path / "corpus",
            upstream=tiny_card,
            cache="auto",
            cache_folder=tmp_path / f"cache of {name}",
            total_steps=4,
            steps_per_epoch=2,
            batch_size=4,
            ckpt_interval_steps=1,
            train_dataloader_opts="{num_workers: 0}",
            **more,
        )
        prelude = DISK.format(free=ROOM[room])
        return launcher.run(argv, prelude=prelude, **options)

    assert run("whole", before) == 0
    point = "s3prl_sb.brains.ctc.CTCBrain.compute_objectives"
    assert run("killed", before, kill={"point": point, "call": 7, "how": "before"})
    shutil.rmtree(tmp_path / "cache of killed", ignore_errors=True)
    if after == "little":
        with pytest.raises(AssertionError, match="cache would take"):
            run("killed", after)
    assert run("killed", "much") == 0
    assert_same_outcome(tmp_path / "killed", tmp_path / "whole")
