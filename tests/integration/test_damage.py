"""Every file of a run or an export, damaged in every way: an error of one to three
lines that names it, or the same outcome as of the sound one. Nothing is silent."""

import re
import shutil

import pytest
import torch
from conftest import KS, assert_same_outcome, command

from s3prl_sb.cli import main
from s3prl_sb.storage import checksums

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


#: The same in fewer, where each takes longer.
FEW = ("truncated", "empty", "flipped", "folder", "deleted")


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


def every(source, ways, left_out=r"(png|txt|log|csv|tfevents.*|train\.py)$"):
    """(file, way) of all that a program reads again."""
    for file in files(source):
        if not re.search(left_out, str(file)):
            yield from ((file, way) for way in ways)


def predicted(model, wav, capsys):
    """(exit code, output, errors)"""
    code = main(["predict", str(model), wav])
    return code, *capsys.readouterr()


@pytest.mark.parametrize("what", ["whole", "exported"])
def test_predict_and_export(what, run, corpus, tmp_path, capsys):
    wav = str(next(corpus.rglob("*.wav")))
    sound, faults, errors = predicted(run.whole, wav, capsys)[1], [], 0
    source = getattr(run, what)
    read = r"hyperparams|results|interface|settings|SUMS|head|CKPT.yaml"
    for file, way in every(source, WAYS):
        if not re.search(read, str(file)) and way not in ("flipped", "deleted"):
            continue
        model = copied(source, tmp_path)
        WAYS[way](model / file)
        code, output, error = predicted(model, wav, capsys)
        if code == 0:
            same = output == sound
        else:
            same, errors = is_good_error(error, model), errors + 1
        if not same:
            faults.append(f"predict, {file} {way}: {code} {output} {error}")
        if what == "whole" and way == "deleted":  # predict exports, too
            code = main(["export", str(model), str(tmp_path / "out")])
            error = capsys.readouterr().err
            if code and not is_good_error(error, model):
                faults.append(f"export, {file} {way}: {error}")
            shutil.rmtree(tmp_path / "out", ignore_errors=True)
        shutil.rmtree(model)
    assert not faults, "\n".join(faults)
    assert errors > 10


@pytest.mark.parametrize("way", FEW)
@pytest.mark.parametrize("what", ["killed", "whole"])
def test_resume(what, way, run, launcher, tmp_path):
    source, faults = getattr(run, what), []
    for number, (file, _) in enumerate(every(source, [way])):
        if what == "killed" and "CKPT" not in str(file):
            continue  # what else it reads a whole one reads, too
        in_all = what == "killed" and "head" in str(file)
        if number % len(FEW) != FEW.index(way) and not in_all:
            continue  # each file in one way, the head in all
        output = copied(source, tmp_path)
        WAYS[way](output / file)
        log = launcher.log.with_name("damage.txt")
        log.write_text("")
        code = launcher._ask(wait=launcher._start(run.argv(output), log=log))
        text = log.read_text(errors="replace")
        if code == 0:
            try:
                assert_same_outcome(output, run.whole)
            except AssertionError as error:
                faults.append(f"{file} {way}: another outcome: {error}")
        else:  # of the fork server; train.py prints the message alone
            last = text.rpartition("\ns3prl_sb.")[2]
            if (
                not re.match(r"[\w.]*(File|Settings|Missing)", last)
                or str(output) not in last
            ):
                faults.append(f"{file} {way}: {text[-400:]}")
        shutil.rmtree(output)
    assert not faults, "\n".join(faults)


def test_going_back_makes_the_same_bits(run, launcher, tmp_path):
    """From a damaged newest checkpoint, to the older, to the same end."""
    output = copied(run.killed, tmp_path)
    newest = sorted((output / "save").glob("CKPT*"))[-1]
    WAYS["flipped"](newest / "head.ckpt")
    assert launcher.run(run.argv(output)) == 0
    assert_same_outcome(output, run.whole)
    assert [p.name for p in (output / "save").glob("damaged-*")]


def test_other_modules_than_the_heads(run, launcher, tmp_path):
    """A head of other shapes in a checkpoint with sound checksums."""
    output = copied(run.whole, tmp_path)
    for path in (output / "save").glob("CKPT*"):
        torch.save({"linear.w.weight": torch.zeros(2, 3)}, path / "head.ckpt")
        checksums.write(path)
    assert "head.ckpt" in launcher.failure(run.argv(output))
    wav = str(output / "a.wav")
    assert main(["predict", str(output), wav]) == 1
