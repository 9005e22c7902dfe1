"""Workflows run what make runs, and the version is the same wherever it stands."""

import re
from pathlib import Path

import pytest
import yaml

import s3prl_sb

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted(ROOT.glob(".github/workflows/*"))
pytestmark = pytest.mark.skipif(
    not (ROOT / "Makefile").is_file(), reason="installed without its repository"
)


def read(path):
    return yaml.safe_load(path.read_text("utf-8"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_run_make(path):
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = re.search(r"^\.PHONY: (.*)$", makefile, re.M)[1].split()
    assert targets == re.findall(r"^([a-z]+):", makefile, re.M)
    workflow = read(path)
    assert workflow[True].keys() == {"push", "pull_request"}  # "on", to YAML 1.1
    commands = []
    for job in workflow["jobs"].values():
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step)
            commands += step.get("run", "").splitlines()
    assert commands
    for command in commands:
        program, target, *variables = command.split()
        assert program == "make" and target in targets, command
        for variable in variables:
            assert f"$({variable.partition('=')[0]})" in makefile, command


def test_every_supported_python_is_tested():
    matrix = read(ROOT / ".github/workflows/full.yaml")["jobs"]["full"]["strategy"]
    versions = matrix["matrix"]["python"]
    assert versions == ["3.10", "3.11", "3.12", "3.13"]
    assert f'python_requires=">={versions[0]}"' in (ROOT / "setup.py").read_text()


def test_workflows_are_those_of_the_gate():
    assert {p.stem for p in WORKFLOWS} == {"docs", "full", "quick", "wheel"}


@pytest.mark.parametrize("name", ["bug", "upstream", "question"])
def test_issue_forms(name):
    form = read(ROOT / f".github/ISSUE_TEMPLATE/{name}.yaml")
    assert form["name"] and form["description"]
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    assert all(field["id"] and field["attributes"]["label"] for field in fields)
    assert len({field["id"] for field in fields}) == len(fields)


def test_pre_commit_has_the_tools_of_make():
    hooks = [
        hook
        for repository in read(ROOT / ".pre-commit-config.yaml")["repos"]
        for hook in repository["hooks"]
    ]
    makefile = (ROOT / "Makefile").read_text("utf-8").replace("$(BIN)", ".venv/bin")
    entries = [hook["entry"] for hook in hooks if "entry" in hook]
    assert len(entries) == 3
    for entry in entries:
        assert entry.replace(" --force-exclude", "") in makefile


def test_one_version():
    version = s3prl_sb.__version__
    assert read(ROOT / "CITATION.cff")["version"] == version
    headings = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert headings[0] == version
    numbers = [tuple(map(int, heading.split("."))) for heading in headings]
    assert numbers == sorted(numbers, reverse=True)
