"""Reading files: whatever is wrong with one, the error names it in three lines."""

import json
import os
import time

import pytest
import torch

from s3prl_sb.storage import files, tensor_files
from s3prl_sb.storage.files import FileError, MissingFile

READERS = {
    "text": files.read_text,
    "json": files.read_json,
    "yaml": files.read_yaml,
    "safe yaml": lambda path: files.read_yaml(path, typ="safe"),
    "tensors": tensor_files.read_tensors,
    "safetensors": tensor_files.read_safetensors,
}
BOMB = "a0: &a0 [x, x]\n" + "".join(
    f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}, *a{i - 1}]\n" for i in range(1, 60)
)
CONTENTS = {
    "binary": b"\x80\xff\xfe\x00" * 9,
    "deep lists": b"[" * 100_000,
    "deep dicts": b'{"a":' * 100_000,
    "half": b'{"a": [1, 2',
    "number": b'{"a": ' + b"9" * 6000 + b"}",
}


def fails(read, path):
    with pytest.raises(FileError) as caught:
        read(path)
    message = str(caught.value)
    assert str(path) in message and len(message.splitlines()) <= 3, message
    assert len(message) < 1000
    return message


@pytest.mark.parametrize("reader", READERS)
def test_folders_and_absent_ones(reader, tmp_path):
    with pytest.raises(MissingFile):
        READERS[reader](tmp_path / "absent")
    fails(READERS[reader], tmp_path / "absent")
    fails(READERS[reader], tmp_path)
    (tmp_path / "link").symlink_to("link")
    fails(READERS[reader], tmp_path / "link")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("reader", READERS)
def test_without_permission(reader, tmp_path):
    path = tmp_path / "a"
    path.write_text("{}")
    path.chmod(0)
    fails(READERS[reader], path)


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("reader", ["json", "yaml", "tensors", "safetensors"])
def test_broken_content(reader, content, tmp_path):
    if (reader, content) == ("yaml", "number"):
        pytest.skip("is one")
    path = tmp_path / "a"
    path.write_bytes(CONTENTS[content])
    fails(READERS[reader], path)


@pytest.mark.parametrize("typ", ["rt", "safe"])
@pytest.mark.parametrize("text", [BOMB, "a: &a [1, *a]\n", "a: &a {b: *a}\n"])
def test_aliases(text, typ, tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(text)
    started = time.process_time()
    fails(lambda path: files.read_yaml(path, typ=typ), path)
    assert time.process_time() - started < 5


def test_honest_aliases(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("a: &a [1, 2]\nb: *a\nc: {d: *a}\n")
    assert files.read_yaml(path) == {"a": [1, 2], "b": [1, 2], "c": {"d": [1, 2]}}


def test_bombs_in_cards_recipes_and_budgets(tmp_path):
    from s3prl_sb.benchmark.data import read_data
    from s3prl_sb.lobes.upstreams import card
    from s3prl_sb.startup.configuration import load_recipe

    path = tmp_path / "bomb.yaml"
    path.write_text(BOMB)
    for read in (
        lambda: card(str(path)),
        lambda: load_recipe(path),
        lambda: read_data(path, tmp_path, ["KS"]),
    ):
        started = time.process_time()
        with pytest.raises(ValueError, match="bomb.yaml.*more than 1000000 values"):
            read()
        assert time.process_time() - started < 5


def test_kinds(tmp_path):
    path = tmp_path / "a.json"
    for value in ([], 3, "x", None, True):
        path.write_text(json.dumps(value))
        with pytest.raises(FileError, match="it holds a"):
            files.read_json(path, kind=dict)
        with pytest.raises(FileError, match="it holds a|it is empty"):
            files.read_yaml(path, kind=dict)


def test_what_torch_would_run(tmp_path):
    path = tmp_path / "a.ckpt"
    torch.save({"a": os.getcwd}, path)
    fails(tensor_files.read_tensors, path)


def test_writing_where_it_cannot_be(tmp_path):
    (tmp_path / "a.json").mkdir()
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "a.json", tmp_path / "file/b.json"):
        with pytest.raises(FileError, match="cannot be written"):
            files.write_json(path, {})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.json", "file"]


def test_signed(tmp_path):
    path = tmp_path / "a.json"
    value = {"b": [1, 2.5, None], "a": {"ü": True}}
    files.write_json(path, value, signed=True)
    assert files.read_json(path) == value
    text = path.read_text()
    path.write_text(text.replace("2.5", "2.6"))
    assert "checksum" in fails(files.read_json, path)
    path.write_text(text.replace("ü", "u").replace("\\u00fc", "u"))
    assert "checksum" in fails(files.read_json, path)
    files.write_json(path, value)  # as older versions
    assert files.read_json(path) == value


def test_a_folder_that_cannot_be_made_is_named(tmp_path, monkeypatch):
    assert files.make_folder(tmp_path / "a" / "b") == files.make_folder(
        tmp_path / "a" / "b"
    )
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "a"):
        with pytest.raises(FileError, match=f"'{path}' cannot be made .*Do this"):
            files.make_folder(path, "Do this.")
    monkeypatch.setattr("os.access", lambda path, mode: False)  # for root too
    with pytest.raises(FileError, match="a' cannot be made or written: Permission"):
        files.make_folder(tmp_path / "a")
