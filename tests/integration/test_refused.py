"""A command that a finished run refuses leaves the run as it was, to the byte."""

import csv
import hashlib

import pytest
from conftest import KS

from s3prl_sb.startup.acceptance import BEFORE

#: Of every command that was tried.
JOURNALS = ("log.txt", "run.lock")
SMALL = {"total_steps": 4, "steps_per_epoch": 2, "batch_size": 4}
SMALL |= {"upstream": "fbank", "device": "cpu"}


def state(folder):
    return {
        str(path.relative_to(folder)): (
            hashlib.sha256(path.read_bytes()).hexdigest(),
            path.stat().st_mtime_ns if path.suffix == ".json" else None,
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in JOURNALS and "cache" not in path.parts
    }


@pytest.fixture(scope="module")
def tables(corpus, tmp_path_factory):
    """Three tables of the corpus, and another one."""
    folder = tmp_path_factory.mktemp("tables")
    rows = [
        (path.parent.name + "-" + path.stem, str(path), path.parent.name)
        for path in sorted(corpus.rglob("*.wav"))
    ]
    for number, name in enumerate(("train", "valid", "test", "other")):
        with open(folder / f"{name}.csv", "w", newline="") as file:
            csv.writer(file).writerows([("id", "wav", "label"), *rows[number::4]])
    return folder


def argv(tables, output, **changes):
    given = {f"{name}_csv": tables / f"{name}.csv" for name in ("train", "valid")}
    given |= {"test_csv": tables / "test.csv", "output_folder": output}
    given |= {"cache_folder": output / "cache", **SMALL, **changes}
    listed = [part for k, v in given.items() for part in (f"--{k}", str(v))]
    recipe = [str(KS / "train.py"), str(KS / "hparams/train.yaml"), "--noprogressbar"]
    return [*recipe, *listed]


@pytest.fixture(scope="module")
def finished(tables, launcher, tmp_path_factory):
    output = tmp_path_factory.mktemp("run") / "run"
    launcher.run(argv(tables, output))
    return output


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"test_csv": "other"}, "is of another test set"),
        ({"train_csv": "other"}, "checkpoints of another experiment"),
        ({"lr": 0.5}, "checkpoints of another experiment"),
        ({"test_csv": "absent"}, "absent.csv"),
    ],
)
def test_a_finished_run_stays_as_it_is(changes, words, finished, tables, launcher):
    before = state(finished)
    changes = {
        key: tables / f"{value}.csv" if key.endswith("_csv") else value
        for key, value in changes.items()
    }
    assert words in launcher.failure(argv(tables, finished, **changes))
    assert state(finished) == before
    launcher.run(argv(tables, finished))  # is the run's own, and finds all it needs
    assert not (finished / "save" / BEFORE).exists()


@pytest.mark.parametrize("point", ["s3prl_sb.brains.settings.check_test", "os.replace"])
def test_killed_before_it_is_refused(point, finished, tables, launcher):
    before = state(finished)
    other = argv(tables, finished, test_csv=tables / "other.csv")
    assert launcher.run(other, kill={"point": point, "call": 1, "how": "before"}) == -9
    launcher.failure(argv(tables, finished, lr=0.5))  # whatever comes next
    assert state(finished) == before


def test_what_is_accepted_is_kept(finished, tables, launcher):
    """The same utterances in a table at another place."""
    moved = tables / "moved.csv"
    moved.write_bytes((tables / "test.csv").read_bytes())
    launcher.run(argv(tables, finished, test_csv=moved))
    assert "moved.csv" in (finished / "save" / "prepare.json").read_text()
    assert "moved.csv" in (finished / "hyperparams.yaml").read_text()
