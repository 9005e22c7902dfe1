"""Files of users and of runs are read in one place, which names them in its errors.

Elsewhere json, yaml, torch and safetensors may parse texts, but open no file.
"""

import ast
from pathlib import Path

import pytest

import s3prl_sb

PACKAGE = Path(s3prl_sb.__file__).parent
#: The places that read: of files of ours and users', of checkpoints of others, their
#: headers, and caches, whose tensors are read one by one.
DOORS = {
    "storage/files.py",
    "storage/tensor_files.py",
    "dataio/shards.py",
    "lobes/checkpoints/building.py",
    "lobes/checkpoints/reading.py",
}
#: Functions that always take a file.
OF_FILES = {"load_file", "safetensors.torch.load_file", "safe_open"}
OF_FILES |= {"torch.load", "json.load", "pickle.load"}
#: What reads a file right where it is parsed.
READING = {"open", "read_text", "read_bytes"}


def name(node):
    return ast.unparse(node.func) if isinstance(node, ast.Call) else ""


def last(node):
    return name(node).rpartition(".")[2]


def readings(source):
    """(line, what is called) of each reading that no error would name."""
    found = []
    if not any(word in source for word in (*OF_FILES, "YAML(")):
        return found  # unparsed: most modules read nothing
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        if name(node) in OF_FILES:
            found.append((node.lineno, name(node)))
        elif "json.loads" == name(node) or "YAML(" in name(node):
            inner = [n for a in node.args for n in ast.walk(a)]
            if READING & {last(n) for n in inner}:
                found.append((node.lineno, name(node)))
    return found


MODULES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_reads_through_the_door(path):
    module = path.relative_to(PACKAGE).as_posix()
    if module in DOORS:
        return
    found = readings(path.read_text("utf-8"))
    assert not found, f"{module} reads past s3prl_sb/storage/files.py: {found}"


@pytest.mark.parametrize(
    "source",
    [
        "json.loads(path.read_text())",
        "json.load(open(path))",
        "YAML(typ='safe').load(Path(x).read_text())",
        "ruamel.yaml.YAML().load(open(path))",
        "torch.load(path)",
        "with safe_open(path, 'pt') as file: pass",
        "safetensors.torch.load_file(path)",
    ],
)
def test_it_sees_them(source):
    assert readings(source)


def test_it_lets_texts_pass():
    assert not readings("json.loads(text); yaml_of(text); read_json(path)")
