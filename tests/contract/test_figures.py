"""The sources stay as easy to read as they are: see tests/figures.py."""

from collections import defaultdict
from pathlib import Path

import figures
import pytest

import s3prl_sb

PACKAGE = Path(s3prl_sb.__file__).parent
MODULES = figures.modules(PACKAGE)
NO_CONCEPTS = {"utils", "util", "common", "helper", "helpers", "misc"}


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_is_of_one_concept(module):
    lines = len(module.text.splitlines())
    limit = figures.LONGEST_MODULE
    assert lines <= limit, f"{lines} lines: which concept can stand alone?"
    assert not NO_CONCEPTS & set(module.name.split(".")), "what is it about?"


def test_functions_are_short():
    functions = figures.long_functions(MODULES)
    assert len(functions) <= 3, functions


def test_modules_are_not_in_a_circle():
    assert not figures.circles(figures.module_imports(MODULES, lazy=False))
    assert not figures.circles(figures.module_imports(MODULES, lazy=True))


def test_rooms_import_downward():
    """Lazy imports included; a new room needs its place in ``figures.ROOMS``."""
    homeless = {m.name for m in MODULES if m.room not in figures.LEVELS}
    assert homeless == {"s3prl_sb"}
    assert not figures.imports_upward(MODULES)
    rooms = defaultdict(set)
    for room, other in figures.room_imports(MODULES):
        rooms[room].add(other)
    assert not figures.circles(rooms)


def test_upstreams_are_families_alone():
    """One flat file a family, with a card file of its name; and their base classes."""
    folder = PACKAGE / "lobes/upstreams"
    files = {path.stem for path in folder.glob("*.py")}
    cards = {
        path.stem for path in (PACKAGE.parent / "hparams/upstreams").glob("*.yaml")
    }
    bases = {"__init__", "base", "patches", "pretrained", "stages"}
    assert files - cards == bases


def test_public_names_are_documented():
    assert not figures.undocumented(MODULES)


def test_examples_do_not_become_fewer():
    assert len(figures.examples(MODULES)) >= 450


def test_code_does_not_grow_unseen():
    """Raise the limit in the change that adds the feature, not by accident."""
    assert sum(module.code_lines for module in MODULES) <= 77_000


# ------------------------------------------------------------ the figures themselves
@pytest.fixture
def small(tmp_path):
    """A package with one fault of each kind."""
    package = tmp_path / "s3prl_sb"
    files = {
        "audio/waves.py": '"""Has a docstring."""\nfrom s3prl_sb.dataio import pipes\n',
        "dataio/pipes.py": "def load():\n    from s3prl_sb.audio import waves\n",
        "brains/long.py": '"""\n>>> 1\n1\n"""\n\n# a comment\n' + "x = 1\n" * 400,
        "brains/main.py": "def run():\n" + "    x = 1\n" * 60 + "def _private(): 0\n",
    }
    for name, text in files.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(text)
    return package


def test_every_kind_of_fault_is_counted(small):
    measured = figures.measure(small)
    assert measured["modules"] == 4 and measured["modules over 400 lines"] == 1
    assert measured["functions"] == 3 and measured["functions over 60 lines"] == 1
    assert measured["circles of modules"] == 0
    assert measured["circles of modules, lazy imports included"] == 1
    assert measured["circles of rooms"] == 1
    assert measured["imports of a higher room"] == 1
    assert measured["public names"] == 6
    assert measured["public names without docstring"] == 4
    assert measured["examples that run"] == 1
    assert measured["lines of code"] == 1 + 2 + 400 + 62
