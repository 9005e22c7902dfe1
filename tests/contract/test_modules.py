"""Modules keep to one concept: they are short, and named after it."""

from pathlib import Path

import pytest

import s3prl_sb

PACKAGE = Path(s3prl_sb.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
MOST = 400  # lines
NO_CONCEPTS = {"utils", "util", "common", "helper", "helpers", "misc"}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_is_of_one_concept(path):
    lines = len(path.read_text("utf-8").splitlines())
    assert lines <= MOST, f"{lines} lines: which concept can stand alone?"
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    assert not NO_CONCEPTS & set(parts), "what is it about?"
