"""The benchmark looks at what all tasks need before it begins with the first."""

import importlib.util
from pathlib import Path

import pytest

from s3prl_sb.benchmark import requirements
from s3prl_sb.benchmark.requirements import missing
from s3prl_sb.cli import main
from s3prl_sb.engines.local import Local
from s3prl_sb.runs.suite_tasks import task_of, tasks_of
from s3prl_sb.runs.suites import SUPERB


@pytest.fixture
def begun(monkeypatch):
    """The jobs that were begun."""
    found = []
    monkeypatch.setattr(Local, "run", lambda self, jobs, ended=None: found.extend(jobs))
    return found


def superb(tmp_path, text, capsys, *more, suites=("superb",)):
    data = tmp_path / "data.yaml"
    data.write_text(text)
    argv = ["bench", *suites, "--upstream", "mel", "--data", str(data), *more]
    status = main([*argv, "--output", str(tmp_path / "out")])
    return status, capsys.readouterr().err


def test_all_faults_at_once(tmp_path, begun, capsys):
    libri = tmp_path / "LibriSpeech"
    for name in ("train-clean-100", "dev-clean"):
        (libri / name).mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    text = f"""
PR: {{data_folder: {libri}}}
KS: {{data_folder: {tmp_path}/nowhere}}
IC: {{data_folder: {tmp_path}/empty}}
SID: {{train_csv: {tmp_path}/a.csv, valid_csv: {tmp_path}/b.csv, test_csv: b.csv}}
ER: {{data_folder: {tmp_path}/empty}}
ASV: {{data_folder: {tmp_path}/empty}}
QbE: {{language: all}}
"""
    status, err = superb(tmp_path, text, capsys)
    assert status == 1 and not begun
    lines = [line.strip() for line in err.splitlines()]
    for task, words in {
        "PR": "test-clean: no such folder",
        "KS": "nowhere' is not there",
        "IC": "train_data.csv: no such file",
        "ER": "Session1 to Session5",
        "QbE": "data_folder is not set",
    }.items():
        assert any(x.startswith(f"{task}: ") and words in x for x in lines), (task, err)
    assert sum(line.startswith("SID: ") for line in lines) == 3
    assert not any(line.startswith("ASV: ") for line in lines)  # its folder is there
    assert not (tmp_path / "out/mel").exists()


def test_faults_of_other_suites(tmp_path, begun, capsys):
    (tmp_path / "dev-clean").mkdir()
    (tmp_path / "mls/eng/wav").mkdir(parents=True)
    (tmp_path / "slue-voxpopuli_fine-tune.tsv").write_text("id")
    folder = f"{{data_folder: {tmp_path}}}"
    names = "mono-1h", "multi-10min", "LID-1h", "NER", "sentiment", "dev-clean"
    text = "\n".join(f"{name}: {folder}" for name in names)
    own = f"{{valid_csv: {tmp_path}, test_csv: {tmp_path}}}"
    more = f"{text}\ndev-other: {own}\n"
    status, err = superb(tmp_path, more, capsys, suites=("ml_superb", "slue", "abx"))
    assert status == 1 and not begun
    lines = [line.strip() for line in err.splitlines()]
    for task, words in {
        "ml_superb/mono-1h": "nchlt/eng: no such folder",
        "slue/NER": "slue-voxpopuli_dev.tsv: no such file",
        "slue/sentiment": "slue-voxceleb_fine-tune.tsv: no such file",
        "abx/dev-clean": "dev-other: no such folder",
    }.items():
        assert any(x.startswith(f"{task}: ") and words in x for x in lines), (task, err)
    assert "multi-10min" not in err and "LID-1h" not in err  # all that is there
    assert "abx/dev-other" not in err  # its own lists


def test_sound_ones_begin(tmp_path, begun, capsys):
    (tmp_path / "words").mkdir()
    status, err = superb(tmp_path, f"KS: {{data_folder: {tmp_path}/words}}", capsys)
    assert [job.name for job in begun] == ["mel KS 1986"], err


def test_what_is_done_needs_no_data(tmp_path, begun, capsys, monkeypatch):
    from s3prl_sb.benchmark.plan import Run

    monkeypatch.setattr(Run, "is_done", lambda self: True)
    superb(tmp_path, f"KS: {{data_folder: {tmp_path}/unplugged}}", capsys)
    assert begun


def _without_espeak(name, package=None, find=importlib.util.find_spec):
    return None if name == "espeakng_loader" else find(name, package)


@pytest.mark.parametrize(
    "text, words",
    [
        ("KS: toy", "toys need espeakng-loader: pip install"),
        ("ASR: {{lm: {0}/lm, data_folder: {0}}}", "flashlight-text"),
    ],
)
def test_extras_that_are_not_installed(
    text, words, tmp_path, begun, capsys, monkeypatch, without_flashlight
):
    monkeypatch.setattr(importlib.util, "find_spec", _without_espeak)
    (tmp_path / "lm").write_text("x")
    status, err = superb(tmp_path, text.format(tmp_path), capsys)
    assert status == 1 and words in err and not begun


def test_packages_of_metrics(monkeypatch):
    """Said before hours of training whose test would lack a number."""
    absent = {"pesq", "fastdtw"}

    def find(name, package=None, find=importlib.util.find_spec):
        return None if name in absent else find(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", find)
    [words] = requirements._missing_packages("SE")
    assert words == "its metrics need pesq: pip install 's3prl_sb[se]'"
    [words] = requirements._missing_packages("VC")
    assert "fastdtw: pip install 's3prl_sb[vc]'" in words
    assert not requirements._missing_packages("KS")


def test_extras_are_those_of_the_installation():
    """Names in setup.py, which is beside the tests."""
    text = (Path(__file__).parents[2] / "setup.py").read_text()
    needs = [task_of(task).needs for task in tasks_of(SUPERB)]
    for extra, packages in [item for each in needs for item in each.items()]:
        [line] = [n for n in text.splitlines() if f'"{extra}": [' in n]
        assert all(f'"{name}>=' in line for name in packages)


@pytest.mark.parametrize("task", tasks_of(SUPERB))
def test_every_task_is_looked_at(task, tmp_path):
    from s3prl_sb.benchmark.requirements import _plain

    assert missing(task, {**_plain(task), "data_folder": str(tmp_path / "none")})
    assert missing(task, _plain(task))
