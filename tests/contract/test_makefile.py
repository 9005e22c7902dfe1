"""The Makefile: a Python that cannot make an environment, and the demo's commands."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from s3prl_sb.schema.keys import Schema

MAKEFILE = Path(__file__).parents[2] / "Makefile"
SHELL = {"PATH": "/usr/bin:/bin"}
#: An installer that says what it is asked for, and leaves an environment with pip.
INSTALLER = """#!/bin/sh
echo "$(basename "$0")" "$@" > asked
mkdir -p .venv/bin && touch .venv/bin/pip
"""
pytestmark = pytest.mark.skipif(
    not MAKEFILE.is_file() or shutil.which("make", path=SHELL["PATH"]) is None,
    reason="installed without its Makefile, or no make",
)


@pytest.fixture
def bare(tmp_path):
    """Runs make with a Python that has no ensurepip, as Debian's."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules/ensurepip.py").write_text("raise ImportError")
    write_script(
        tmp_path / "bin/python3",
        f'#!/bin/sh\nPYTHONPATH={tmp_path}/modules exec {sys.executable} "$@"\n',
    )
    shutil.copy(MAKEFILE, tmp_path)
    environment = {"PATH": f"{tmp_path}/bin:{SHELL['PATH']}"}

    def make():
        command = ["make", ".venv/bin/pip"]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True
        )

    return make


def write_script(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def test_the_two_fixes_are_named(bare, tmp_path):
    done = bare()
    assert done.returncode and not (tmp_path / ".venv").exists()
    assert "apt install python3-venv" in done.stdout and "uv venv" in done.stdout


@pytest.mark.parametrize("name", ["uv", "virtualenv"])
def test_another_installer_is_used(name, bare, tmp_path):
    write_script(tmp_path / "bin" / name, INSTALLER)
    done = bare()
    assert done.returncode == 0, done.stderr
    words = (tmp_path / "asked").read_text().split()
    assert words[0] == name and words[-1] == ".venv"
    assert words[words.index("--python") + 1] == f"{tmp_path}/bin/python3"
    assert "--seed" in words or name == "virtualenv"


@pytest.fixture
def demo(tmp_path):
    """Runs ``make demo`` or another target with a program that only notes how it is
    called."""
    shutil.copy(MAKEFILE, tmp_path)
    for name in ("setup.py", "constraints.txt"):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (0, 0))
    write_script(tmp_path / ".venv/bin/pip", "")
    (tmp_path / ".venv/ready").touch()

    def make(last="", target="demo"):
        script = f"#!/bin/sh\nprintf '%s\\t' \"$@\" >> asked; echo >> asked\n{last}\n"
        write_script(tmp_path / ".venv/bin/s3prl-sb", script)
        done = subprocess.run(
            ["make", target], cwd=tmp_path, env=SHELL, capture_output=True, text=True
        )
        lines = (tmp_path / "asked").read_text().splitlines()
        return done, [line.rstrip("\t").split("\t") for line in lines]

    return make


def keys_of(command):
    """Returns the keys of ``s3prl-sb run RECIPE --key value …``."""
    names, values = command[2::2], command[3::2]
    assert all(name.startswith("--") for name in names), command
    return dict(zip((name[2:] for name in names), values, strict=True))


def test_the_demo_pretrains_and_probes(demo):
    """Its keys are known, and the three probes differ in the upstream only."""
    done, commands = demo()
    assert done.returncode == 0, done.stderr
    runs = [(command[1], keys_of(command)) for command in commands if "run" in command]
    for recipe, keys in runs:
        assert keys.keys() <= set(Schema.of_recipe(recipe)), recipe
    recipes = [recipe for recipe, _ in runs]
    assert recipes == ["SUPERB/KS"] * 2 + ["pretraining/apc"] + ["SUPERB/KS"] * 2
    fbank, _, pretraining, probe, twin = (keys for _, keys in runs)
    folder = pretraining["output_folder"]
    assert probe["upstream"] == f"{folder}/card.yaml"
    assert f"Figures: {folder}/training.png" in done.stdout

    own = {"upstream", "upstream_model", "upstream_name", "output_folder"}
    shared = [
        {key: value for key, value in keys.items() if key not in own}
        for keys in (fbank, probe, twin)
    ]
    assert shared[0] == shared[1] == shared[2]
    network = yaml.safe_load(pretraining["upstream_model"])
    seed = Schema.of_recipe("pretraining/apc").tree["seed"]
    assert yaml.safe_load(twin["upstream_model"]) == {
        "source": None,
        "seed": seed,
        **network,
    }
    table = [command for command in commands if command[0] == "results"][-1]
    for keys in (fbank, probe, twin):
        assert any(keys["output_folder"].startswith(shown) for shown in table[1:])


def test_the_demo_ends_at_the_first_error(demo):
    done, commands = demo("exit 1")
    assert done.returncode and len(commands) == 1


def test_the_scenes_are_mixed_learned_and_drawn(demo, tmp_path):
    (tmp_path / "demo/scenes/corpus/audio/test").mkdir(parents=True)
    (tmp_path / "demo/scenes/corpus/audio/test/test-00012-both.wav").touch()
    done, (toy, run, predict) = demo(target="scenes")
    assert done.returncode == 0, done.stderr
    assert toy[:2] == ["toy", "scenes"] and run[1] == "Scenes/recognition"
    keys = keys_of(run)
    assert keys.keys() <= set(Schema.of_recipe("Scenes/recognition"))
    assert keys["data_folder"] == toy[2] and keys["output_folder"] == predict[1]
    assert predict[2].endswith("test-00012-both.wav") and "--plot" in predict
