"""One's own code by its path: side by side, reloaded, and nobody else's business."""

import concurrent.futures
import inspect
import multiprocessing
import os
import pickle
import pydoc
import sys

import pytest
import torch

from s3prl_sb import own
from s3prl_sb.errors import UserError
from s3prl_sb.lobes.upstreams import load
from s3prl_sb.own import OwnCodeError

UPSTREAM = """
from s3prl_sb.lobes.upstreams.features import StftFeatures
from random import SIZE

class Mine(StftFeatures):
    def __init__(self, **arguments):
        from layers.deep import scale  # only when it is built
        super().__init__("mel", n_mels=scale(SIZE), **arguments)

    @property
    def kind(self):
        import layers.deep, os
        return layers.deep.KIND
"""


@pytest.fixture
def write(tmp_path):
    def write(files, folder="mine"):
        for name, text in files.items():
            path = tmp_path / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path / folder

    return write


@pytest.fixture
def model(write, monkeypatch):
    """``model(folder, size)``: the card of an upstream of some files."""
    monkeypatch.setenv("S3PRL_SB_TRUST", "1")

    def model(folder="mine", size=20):
        files = {
            "my_upstream.py": UPSTREAM,
            "random.py": f"SIZE = {size}\n",
            "layers/__init__.py": "import layers.other\n",
            "layers/other.py": f"KIND = {folder!r}\n",
            "layers/deep.py": "from .other import KIND\ndef scale(x):\n return 2 * x",
            "card.yaml": "mine: !new:my_upstream.Mine {}\n",
        }
        return str(write(files, folder) / "card.yaml")

    return model


def test_cards_side_by_side(model):
    before, modules = list(sys.path), set(sys.modules)
    cards = [model("a", 20), model("b", 30)]
    for _ in range(2):
        one, other = map(load, cards)
        assert (one.output_size, one.kind) == (40, "a")
        assert (other.output_size, other.kind) == (60, "b")
    assert type(one) is not type(other) and type(load(cards[0])) is type(one)
    assert sys.path == before
    import random

    assert random.random() < 1  # the installed one is as ever
    new = {name for name in set(sys.modules) - modules if "s3prl_sb.own." not in name}
    assert not {name for name in new if name.split(".")[0] in ("layers", "my_upstream")}


def test_anew_when_it_has_changed(model, write):
    path = model(size=20)
    first = load(path)
    random, state = write({}) / "random.py", None
    state = random.stat()
    random.write_text("SIZE = 21\n")  # of the same length, at the same time
    os.utime(random, ns=(state.st_atime_ns, state.st_mtime_ns))
    second = load(path)
    assert (first.output_size, second.output_size) == (40, 42)
    write({"layers/deep.py": "KIND = 'x'\ndef scale(x):\n    return x\n"})
    assert load(path).output_size == 21
    write({"layers/unused.py": "", "README.md": "other"})
    assert type(load(path)) is type(load(path))
    write(
        {"random.py": "SIZE = 20\n", "layers/deep.py": "def scale(x):\n return 2 * x"}
    )
    assert first.kind == "mine"  # what is loaded stays what it was
    assert load(path).output_size == 40


def test_no_compiled_files_are_left(model, write):
    load(model())
    assert not list(write({}).rglob("__pycache__"))


def _keep(upstream):
    global kept
    kept = upstream


def _kinds(upstream):
    return [(u.kind, type(u).__name__, u.output_size) for u in (kept, upstream)]


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_other_processes_find_it(method, model):
    upstream = load(model(size=25))
    context = multiprocessing.get_context(method)
    begin = {"initializer": _keep, "initargs": [upstream]}  # read before all else
    with concurrent.futures.ProcessPoolExecutor(1, context, **begin) as pool:
        assert pool.submit(_kinds, upstream).result() == [("mine", "Mine", 50)] * 2
    assert type(pickle.loads(pickle.dumps(upstream))) is type(upstream)


def test_a_name_alone_loads_nothing(write):
    folder = write({"a.py": "raise SystemExit"})
    label = os.fsencode(folder).hex() + "00" + b"a".hex()
    name = f"s3prl_sb.own.f{label}_{'0' * 16}.a.A"
    with pytest.raises(ImportError, match="was not loaded by this program"):
        __import__(name.rpartition(".")[0])
    with pytest.raises(pydoc.ErrorDuringImport, match="was not loaded"):
        pydoc.locate(name)  # as HyperPyYAML would


IMPORTS = {
    "import sibling": 1,
    "import sibling as s; sibling = s": 1,
    "from sibling import VALUE as v; sibling = type('S', (), {'VALUE': v})": 1,
    "from . import sibling": 1,
    "from .sibling import *; sibling = type('S', (), {'VALUE': VALUE})": 1,
    "import os, sibling, sys": 1,
    "import inner.deep\nsibling = inner.deep": 2,
    "import inner.deep as sibling": 2,
    "from inner import deep as sibling": 2,
    "from inner.deep import VALUE\nclass sibling: VALUE = VALUE": 2,
    "from .inner import deep as sibling": 2,
    "import plain.x as sibling": 3,
    "from plain import x as sibling": 3,
    "try:\n    import absent\nexcept ImportError:\n    import sibling": 1,
    "if True:\n    import sibling": 1,
    "import json as sibling\nsibling.VALUE = 4": 4,
    "from __future__ import annotations\nimport sibling": 1,
}


@pytest.mark.parametrize("statement", IMPORTS)
def test_imports(statement, write):
    body = statement.replace("\n", "\n    ").replace(
        "from __future__ import ", "pass #"
    )
    files = {
        "sibling.py": "VALUE = 1\n",
        "inner/__init__.py": "",
        "inner/deep.py": "from inner.deeper import VALUE\n",
        "inner/deeper.py": "from ..sibling import VALUE as V\nVALUE = V + 1\n",
        "plain/x.py": "import inner.deeper\nVALUE = inner.deeper.VALUE + 1\n",
        "main.py": f"{statement}\nvalue = sibling.VALUE\n",
    }
    if "*" not in statement and "__future__" not in statement:
        files["main.py"] += f"def function():\n    {body}\n    return sibling.VALUE\n"
    module = own.load(write(files) / "main.py")
    assert module.value == IMPORTS[statement]
    assert getattr(module, "function", lambda: module.value)() == module.value
    import json

    vars(json).pop("VALUE", None)


def test_names_of_installed_packages(write):
    folder = write(
        {
            "torch.py": "import json\nVALUE = 'mine'\n",
            "random.py": "import random\nfrom random import Random\n",
            "uses.py": "import torch, random\nVALUE = torch.VALUE, random.Random\n",
        }
    )
    import random

    assert own.load(folder / "uses.py").VALUE == ("mine", random.Random)
    assert sys.modules["torch"] is torch


@pytest.mark.parametrize(
    "text, line, message",
    [
        ("x = (", 3, "was never closed|invalid syntax|unexpected EOF"),
        ("import no_such_package", 3, "No module named 'no_such_package'.*neither"),
        ("from sibling import nothing", 3, "cannot import name 'nothing'"),
        ("def f():\n    return 1 / 0\nf()", 4, "ZeroDivisionError"),
        ("raise ValueError('of mine')", 3, "ValueError: of mine"),
        ("import sys; sys.exit(3)", 3, "SystemExit: 3"),
    ],
)
def test_errors_name_the_line(text, line, message, write):
    folder = write({"sibling.py": "", "my_upstream.py": f'"""Doc."""\n\n{text}\n'})
    with pytest.raises(OwnCodeError, match=message) as error:
        own.load(folder / "my_upstream.py")
    assert str(error.value).startswith(f"'{folder}/my_upstream.py', line {line}: ")
    assert "s3prl_sb.own" not in str(error.value)


def test_other_errors(write, monkeypatch):
    monkeypatch.setenv("S3PRL_SB_TRUST", "1")
    folder = write(
        {"my_upstream.py": "class Min: pass", "a b.py": "", "c.yaml": "c: 1"}
    )
    (folder / "card.yaml").write_text("mine: !new:my_upstream.Mine {}\n")
    with pytest.raises(
        OwnCodeError, match="my_upstream.py' has no 'Mine'. It has: Min"
    ):
        load(folder / "card.yaml")
    (folder / "null.py").write_bytes(b"x = 1\0")
    with pytest.raises(OwnCodeError, match=f"'{folder}/null.py'.* null bytes"):
        own.load(folder / "null.py")
    (folder / "absent.yaml").write_text("mine: !new:absent.Mine {}\n")
    with pytest.raises(UserError, match="absent.yaml', line 1: mine: .*'absent.Mine'"):
        load(folder / "absent.yaml")
    for name, message in (("x.py", "no file"), ("a b.py", "name"), ("c.yaml", "name")):
        with pytest.raises(OwnCodeError, match=message):
            own.load(folder / name)
    write({"my_upstream.py": "import other", "other.py": "\nx = y"})
    with pytest.raises(OwnCodeError, match=f"'{folder}/other.py', line 2: NameError"):
        load(folder / "card.yaml")


def test_source_and_names(model):
    upstream = load(model())
    assert "only when it is built" in inspect.getsource(type(upstream))
    assert inspect.getsourcefile(type(upstream)).endswith("mine/my_upstream.py")
    assert own.plain_name(type(upstream)) == "my_upstream.Mine"


def test_files_that_are_no_utf8(write):
    folder = write({})
    folder.mkdir()
    (folder / "latin.py").write_bytes(b"# coding: latin-1\nVALUE = '\xe9'\n")
    assert own.load(folder / "latin.py").VALUE == "é"
    odd = folder / "with ü, spaces"
    odd.mkdir()
    (odd / "a.py").write_text("VALUE = 1")
    assert own.load(odd / "a.py").VALUE == 1
