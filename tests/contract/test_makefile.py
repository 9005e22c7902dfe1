"""The Makefile on a Python that cannot make an environment by itself."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

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
    path.parent.mkdir(exist_ok=True)
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
