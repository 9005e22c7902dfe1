"""Every file of a run or an export, damaged in every way: an error of one to three
lines that names it, or the same outcome as of the sound one. Nothing is silent."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest
from conftest import KS, assert_same_outcome, command

from s3prl_sb.cli import main

WAYS = {
    "truncated": lambda p: p.write_bytes(p.read_bytes()[: p.stat().st_size // 2]),
    "empty": lambda p: p.write_bytes(b""),
    "flipped": lambda p: p.write_bytes(flipped(p.read_bytes())),
    "list": lambda p: p.write_text("[1, 2]\n"),
    "number": lambda p: p.write_text("3\n"),
    "nested": lambda p: p.write_text("[" * 100_000),
    "binary": lambda p: p.write_bytes(b"\xff\xfe\x00" * 50),
    "deleted": lambda p: p.unlink(),
    "folder": lambda p: (p.unlink(), p.mkdir()),
    "link": lambda p: (p.unlink(), p.symlink_to("nowhere")),
}


def flipped(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.fixture(scope="module")
def run(corpus, launcher, tmp_path_factory):
    """``run.argv(output)``, ``run.whole`` and ``run.killed``, a run's folders."""
    folder = tmp_path_factory.mktemp("damage")

    class Run:
        whole, killed = folder / "whole", folder / "killed"
        exported, cache = folder / "exported", folder / "cache"

        @staticmethod
        def argv(output):
            options = {"data_folder": corpus, "labels": "folders", "lr": 0.01}
            options |= {"total_steps": 15, "steps_per_epoch": 5, "batch_size": 8}
            return command(
                KS,
                output,
                cache_folder=folder / "cache",
                upstream="fbank_no_cmvn",
                version="v0.02",
                ckpt_interval_steps=2,
                **options,
            )

    assert launcher.run(Run.argv(Run.whole)) == 0
    point = "s3prl_sb.brains.base.SSLBrain.fit_batch"
    kill = {"point": point, "call": 13, "how": "after"}
    assert launcher.run(Run.argv(Run.killed), kill=kill) == -9
    assert main(["export", str(Run.whole), str(Run.exported)]) == 0
    return Run


def files(folder):
    return sorted(p.relative_to(folder) for p in folder.rglob("[!.]*") if p.is_file())


def copied(source, tmp_path, name="copy"):
    target = tmp_path / name
    shutil.copytree(source, target, symlinks=True)
    return target


def is_good_error(text, folder):
    """One to three lines that name the folder, and no traceback."""
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return 1 <= len(lines) <= 3 and "Traceback" not in text and str(folder) in text
