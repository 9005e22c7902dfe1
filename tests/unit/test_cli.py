"""The console script: every verb, and errors in one line."""

import csv
import os
import re
import subprocess
import sys

import pytest
import soundfile
import torch

import s3prl_sb
from s3prl_sb import resources
from s3prl_sb.cli import main
from s3prl_sb.dataio.cache import FeatureCache
from s3prl_sb.lobes.upstreams import load, names

VERBS = ("run", "upstreams", "check", "extract", "export", "predict", "results", "toy")
VERBS += ("convert", "heads", "check-head", "units", "cka", "abx", "plot", "layers")
RESULTS = """{"task": "SUPERB/KS", "upstream": "mel", "seed": 1, "total_steps": 7,
"chosen_by": {"metric": "accuracy", "highest": true}, "metrics": {"accuracy": 0.98764},
"seconds": 61.4}"""


@pytest.fixture
def table(tmp_path):
    """A CSV of three recordings."""
    generator = torch.Generator().manual_seed(0)
    with open(tmp_path / "list.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "wav", "start", "stop"])
        for name, seconds in (("a", 0.3), ("b", 0.5), ("c", 0.4)):
            wav = 0.1 * torch.randn(int(seconds * 16000), generator=generator)
            soundfile.write(tmp_path / f"{name}.wav", wav.numpy(), 16000)
            writer.writerow([name, f"{name}.wav", "", ""])
        writer.writerow(["d", "c.wav", "0.1", "0.3"])
    return tmp_path / "list.csv"


def fails(argv, message, capsys):
    """Exit status 1, and one line on stderr."""
    capsys.readouterr()
    assert main([str(part) for part in argv]) == 1
    out, err = capsys.readouterr()
    assert err.startswith("s3prl-sb: ") and err.count("\n") == 1, err
    assert re.search(message, err), err


# -------------------------------------------------------------------- start-up
def test_help_is_immediate():
    """No heavy import, and little work: other processes may keep the machine busy."""
    code = """
import sys
from s3prl_sb.cli import main
try:
    main(["--help"])
except SystemExit as stop:
    heavy = {"torch", "numpy", "speechbrain", "hyperpyyaml", "ruamel"}
    heavy = (heavy | {"ctypes", "socket", "inspect"}) & set(sys.modules)
    sys.exit(f"imported {heavy}" if heavy else stop.code)
"""
    before = os.times()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    after = os.times()
    assert done.returncode == 0, done.stderr
    assert all(re.search(rf"^ +{verb}\b", done.stdout, re.M) for verb in VERBS)
    user = after.children_user - before.children_user
    assert user + after.children_system - before.children_system < 0.5


def test_import_is_light():
    code = "import s3prl_sb, sys; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_verbs(verb, capsys):
    with pytest.raises(SystemExit) as stop:
        main([verb, "--help"])
    assert stop.value.code == 0 and f"usage: s3prl-sb {verb}" in capsys.readouterr().out


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out.strip() == s3prl_sb.__version__


@pytest.mark.parametrize("argv", [[], ["fly"], ["extract"], ["upstreams", "a", "b"]])
def test_misuse(argv, capsys):
    with pytest.raises(SystemExit) as stop:
        main(argv)
    assert stop.value.code == 2 and "usage:" in capsys.readouterr().err


# ------------------------------------------------------------------------ verbs
def test_upstreams(capsys):
    assert main(["upstreams"]) == 0
    assert capsys.readouterr().out.split() == names()
    assert main(["upstreams", "fbank*"]) == 0
    assert capsys.readouterr().out.split() == ["fbank", "fbank_no_cmvn"]
    fails(["upstreams", "nothing*"], "no upstream is called 'nothing", capsys)


@pytest.mark.parametrize("card", ["fbank", "mel"])
@pytest.mark.parametrize("options", [[], ["--random"]])
def test_check(card, options, capsys):
    assert main(["check", card, *options]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("ok  attributes: 1 x ") and len(lines) >= 6


def test_check_of_a_broken_one(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("S3PRL_SB_TRUST", "1")
    (tmp_path / "broken_upstream.py").write_text(
        "from s3prl_sb.lobes.upstreams.features import StftFeatures\n"
        "class Broken(StftFeatures):\n"
        "    num_layers = 2\n"
    )
    card = tmp_path / "broken.yaml"
    card.write_text("broken: !new:broken_upstream.Broken\n    feature: mel\n")
    assert main(["check", str(card)]) == 1
    assert "1 hidden states where num_layers is 2" in capsys.readouterr().err
    fails(["check", "fbnk"], "Did you mean fbank", capsys)
    fails(["check", tmp_path / "absent.yaml"], "no card file", capsys)
    card.write_text("typo: !new:s3prl_sb.lobes.upstreams.hubert.Hubert {sorce: a.pt}\n")
    fails(["check", card], "sorce", capsys)
    card.write_text("typo: !new:broken_upstream.Brken {}\n")
    fails(["check", card], "Brken", capsys)
    assert "broken_upstream" not in sys.modules


@pytest.mark.parametrize("kind", ["frames", "pooled"])
def test_extract(kind, table, tmp_path, capsys):
    argv = [
        "extract",
        "--upstream",
        "mel",
        "--manifest",
        table,
        "--output",
        tmp_path / "out",
    ]
    argv = [str(part) for part in [*argv, "--kind", kind, "--dtype", "float32"]]
    assert main(argv) == 0
    printed = capsys.readouterr().out
    cache = FeatureCache(re.search(r" in (.*)\n", printed)[1])
    assert printed.startswith("4 utterances, ") and set(cache.keys_of) == set("abcd")
    upstream = load("mel")
    for name in "abc":
        wav = torch.from_numpy(
            soundfile.read(tmp_path / f"{name}.wav", dtype="float32")[0]
        )
        expected = upstream(wav[None])[0][0][0]
        expected = expected.mean(0, keepdim=True) if kind == "pooled" else expected
        torch.testing.assert_close(cache[cache.keys_of[name]][:, 0], expected)
    assert main(argv) == 0 and capsys.readouterr().out == printed


def test_extract_in_parts(table, tmp_path, capsys):
    argv = [
        "extract",
        "--upstream",
        "mel",
        "--manifest",
        str(table),
        "--output",
        str(tmp_path),
    ]
    for part in ("1/2", "0/2"):
        assert main([*argv, "--part", part]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("4 utterances")


def test_extract_errors(table, tmp_path, capsys):
    argv = ["extract", "--manifest", table, "--output", tmp_path / "out", "--upstream"]
    for part in ("2/2", "1", "a/b", "-1/2", "1/2/3"):
        fails([*argv, "mel", f"--part={part}"], "--part is i/n", capsys)
    fails([*argv, "mels"], "Did you mean mel", capsys)
    fails(
        [*argv, "hubert", "--source", "absent.pt"],
        "No checkpoint at 'absent.pt'",
        capsys,
    )
    fails([*argv, "mel", "--layers", "7"], "layers|layer", capsys)
    fails(
        [*argv, "mel", "--manifest", tmp_path / "no.csv"],
        "no.csv: no such file",
        capsys,
    )
    table.write_text("id,wav,start\na,a.wav,soon\n")
    fails([*argv, "mel"], "list.csv:2: start 'soon' is not a number", capsys)


def test_results(tmp_path, capsys):
    for name in ("a", "b/c"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "results.json").write_text(RESULTS)
    assert main(["results", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    names = "task upstream seed steps test protocol time folder".split()
    assert lines[0].split() == names
    assert (
        lines[1].split()[:-1] == "SUPERB/KS mel 1 7 accuracy 98.76 % 1 min 1 s".split()
    )
    assert [line.split()[-1] for line in lines[1:]] == [
        str(tmp_path / "a"),
        str(tmp_path / "b/c"),
    ]
    fails(["results", tmp_path / "none"], "none' cannot be read: No such file", capsys)
    (tmp_path / "a" / "results.json").write_text('{"accuracy": 1}')
    fails(["results", tmp_path / "a"], "results.json", capsys)


def test_run_unknown_recipe(capsys):
    fails(
        ["run", "SUPERB/KSS"],
        "no recipe 'SUPERB/KSS'. Did you mean .*SUPERB/KS",
        capsys,
    )
    fails(["run", "xyzzy", "--lr", "1"], "There are: .*SUPERB/SID", capsys)


def test_run_help_prints_the_keys(capsys, tmp_path):
    assert main(["run", "SUPERB/KS", "--help"]) == 0
    printed = capsys.readouterr().out
    folder = resources.recipes()["SUPERB/KS"]
    assert str(folder / "hparams/train.yaml") in printed
    assert "  --total_steps 200000\n      [a whole number from 1 on] updates" in printed
    (tmp_path / "mine.yaml").write_text("mine: 1  # of me\n")
    assert main(["run", "SUPERB/KS", str(tmp_path / "mine.yaml"), "-h"]) == 0
    assert "  --mine 1\n      of me\n" in capsys.readouterr().out
    (tmp_path / "mine.yaml").write_text("mine: {\n")
    assert main(["run", "SUPERB/KS", str(tmp_path / "mine.yaml"), "-h"]) == 1
    assert "mine.yaml' is not a recipe: line 2" in capsys.readouterr().err


@pytest.mark.parametrize(
    "rest, expected",
    [
        ([], ["train.yaml"]),
        (["--lr", "1"], ["train.yaml", "--lr", "1"]),
        (["mine.yaml", "--lr=1"], ["mine.yaml", "--lr=1"]),
    ],
)
def test_run_becomes_the_recipe(rest, expected, monkeypatch):
    became = []
    monkeypatch.setattr(os, "execv", lambda path, argv: became.append((path, argv)))
    main(["run", "SUPERB/KS", *rest])
    [(path, (python, m, module, script, yaml, *options))] = became
    folder = resources.recipes()["SUPERB/KS"]
    assert path == python == sys.executable and script == str(folder / "train.py")
    assert (m, module) == ("-m", "s3prl_sb.startup.script")  # hears Ctrl-C
    assert [os.path.basename(yaml), *options] == expected
    assert os.path.isfile(yaml) or yaml == "mine.yaml"


def test_results_of_debug_are_none(tmp_path, capsys):
    for folder in (tmp_path / "run", tmp_path / "run/debug"):
        folder.mkdir()
        (folder / "results.json").write_text(RESULTS)
    assert main(["results", str(tmp_path)]) == 0
    assert capsys.readouterr().out.count("SUPERB/KS") == 1


def test_other_verbs_errors(tmp_path, table, capsys):
    fails(["export", tmp_path, tmp_path / "out"], "is no finished run", capsys)
    fails(
        ["predict", tmp_path, table], "neither a run of a recipe nor an export", capsys
    )
    fails(
        ["toy", "switchboard", tmp_path / "toy"],
        "no toy of 'switchboard'. There are",
        capsys,
    )
    assert not (tmp_path / "out").exists() and not (tmp_path / "toy").exists()


def test_tracebacks_on_demand(monkeypatch):
    monkeypatch.setenv("S3PRL_SB_TRACEBACK", "1")
    with pytest.raises(ValueError, match="no upstream is called"):
        main(["upstreams", "nothing*"])


def test_a_benchmark_without_its_data_leaves_no_folder(tmp_path, capsys):
    data, output = tmp_path / "no.yaml", tmp_path / "bench"
    argv = ["superb", "--upstream", "fbank", "--data", data, "--output", output]
    fails(argv, "no.yaml' cannot be read", capsys)
    assert not output.exists()
