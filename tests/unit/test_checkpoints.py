"""Checkpoints: read without executing anything, strictly; errors name the file."""

import argparse
import collections
import functools
import gc
import hashlib
import io
import os
import pickle
import struct
import subprocess
import warnings
import zipfile

import pytest
import torch

from s3prl_sb.lobes.upstreams import checkpoints
from s3prl_sb.lobes.upstreams.checkpoints import CheckpointError, Stub, plain, read

WEIGHTS = {"w": torch.arange(6.0).view(2, 3), "n": torch.tensor([1, 2])}


class Call:
    """Pickles as a call of a function."""

    def __init__(self, function, *args):
        self.reduced = function, args

    def __reduce__(self):
        return self.reduced


def zipped(path, pickled):
    """A file in torch's format around any pickle."""
    torch.save(WEIGHTS, path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in parts.items():
            archive.writestr(name, pickled if name.endswith("/data.pkl") else data)


# ---------------------------------------------------------------- hostile ones
def hostile(mark):
    """{name: (what is refused, an object that would make the file ``mark``)}."""
    command = f"touch {mark}"
    system = Call(os.system, command)
    name = f"{os.system.__module__}.system"
    return {
        "os.system": (name, system),
        "eval": (r"_*builtins?_*\.eval", Call(eval, f"open({str(mark)!r}, 'w')")),
        "exec": (r"_*builtins?_*\.exec", Call(exec, f"open({str(mark)!r}, 'w')")),
        "open": (r"\w+\.open", Call(open, str(mark), "w")),
        "getattr": (r"_*builtins?_*\.getattr", Call(getattr, os, "system")),
        "Popen": (r"\w+\.Popen", Call(subprocess.Popen, ["touch", str(mark)])),
        "nested": (name, {"model": [WEIGHTS, {"args": ({"deep": system},)}]}),
        "as a key": (name, {("a", system): 1}),
        "in a namespace": (name, argparse.Namespace(lr=0.1, hook=system)),
        "in an ordered dict": (name, collections.OrderedDict(a=system)),
        "torch.load": ("torch", Call(torch.load, str(mark))),
        "partial": ("functools.partial", Call(functools.partial, os.system)),
    }


KINDS = list(hostile("mark"))


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("kind", KINDS)
def test_hostile(kind, legacy, tmp_path):
    mark, path = tmp_path / "mark", tmp_path / "evil.pt"
    refused, value = hostile(mark)[kind]
    if kind == "getattr":  # a module cannot be pickled, its name can
        text = b"cbuiltins\ngetattr\n(cos\nsystem\nX\x08\x00\x00\x00__call__tR."
        path.write_bytes(text) if legacy else zipped(path, text)
    else:
        content = {"model": WEIGHTS, "extra": value}
        torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(CheckpointError, match=rf"evil.pt' is refused.* {refused}"):
        read(path)
    assert not mark.exists()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("form", ["zip", "bare"])
def test_hostile_protocols(protocol, form, tmp_path):
    mark, path = tmp_path / "mark", tmp_path / "evil.bin"
    text = pickle.dumps({"a": Call(os.system, f"touch {mark}")}, protocol)
    path.write_bytes(text) if form == "bare" else zipped(path, text)
    with pytest.raises(CheckpointError, match="evil.bin"):
        read(path)
    assert not mark.exists()


@pytest.mark.parametrize(
    "text",
    [
        b"cs3prl.x\nsystem\n(X\x04\x00\x00\x00trueR.",  # a stubbed module
        b"ios\nsystem\n(X\x04\x00\x00\x00true.",
        b"(X\x04\x00\x00\x00trueios\nsystem\n.",  # INST
        b"(cos\nsystem\nX\x04\x00\x00\x00trueo.",  # OBJ
        b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x011\x85R.",  # STACK_GLOBAL
        b"\x80\x04\x8c\x0bcollections\x8c\x09abc.sys.x\x93.",  # dotted
        b"\x80\x02\x82\x01.",  # EXT1
    ],
)
def test_hostile_opcodes(text, tmp_path):
    path = tmp_path / "evil.pt"
    zipped(path, text)
    try:
        value = read(path)
    except CheckpointError:
        return
    assert isinstance(value, (Stub, type)) and not callable(getattr(os, "pwned", None))
    assert value is not os.system and "sys" not in repr(type(value))


def test_objects_of_the_standard_library_are_stubs(tmp_path):
    import datetime
    import pathlib

    value = {
        "path": pathlib.PurePosixPath("/tmp"),
        "date": datetime.timedelta(1),
        "counter": collections.Counter("aab"),
        "default": collections.defaultdict(list, a=[1]),
    }
    value["set"] = {1, 2}
    torch.save(value, tmp_path / "a.pt")
    found = read(tmp_path / "a.pt")
    assert isinstance(found["path"], Stub) and isinstance(found["date"], Stub)
    assert plain(found["default"]) == {"a": [1]} and found["set"] == {1, 2}


# ----------------------------------------------------------------- honest ones
@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_namespaces_and_optimizers_are_stubs(legacy, tmp_path):
    layer = torch.nn.Linear(2, 2)
    optimizer = torch.optim.Adam(layer.parameters())
    layer(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    args = argparse.Namespace(lr=0.1, inner=argparse.Namespace(sizes=[1, 2]))
    content = {"model": layer.state_dict(), "args": args, "optimizer": optimizer}
    torch.save(content, tmp_path / "a.pt", _use_new_zipfile_serialization=not legacy)
    found = read(tmp_path / "a.pt")
    assert torch.equal(found["model"]["weight"], layer.weight)
    assert isinstance(found["args"], Stub) and not isinstance(
        found["args"], argparse.Namespace
    )
    assert isinstance(found["optimizer"], Stub)
    assert plain(found["args"]) == {"lr": 0.1, "inner": {"sizes": [1, 2]}}


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("suffix", [".pt", ".ckpt", ".bin"])
def test_weights_come_back(suffix, legacy, tmp_path):
    path = tmp_path / f"a{suffix}"
    torch.save(WEIGHTS, path, _use_new_zipfile_serialization=not legacy)
    for found in (read(path), read(str(path))):
        assert all(torch.equal(found[name], WEIGHTS[name]) for name in WEIGHTS)


def test_safetensors(tmp_path):
    from safetensors.torch import save_file

    save_file(WEIGHTS, tmp_path / "a.safetensors")
    found = read(tmp_path / "a.safetensors")
    assert all(torch.equal(found[name], WEIGHTS[name]) for name in WEIGHTS)


def test_omegaconf_nodes_become_values():
    leaf, node = Stub(), Stub()
    leaf.__setstate__({"_val": 3, "_parent": node})
    node.__setstate__({"_content": {"size": leaf, "list": [leaf]}, "_metadata": None})
    slots = Stub()
    slots.__setstate__((None, {"a": 1}))
    assert plain({"cfg": node, "slots": slots, "tuple": (1,)}) == {
        "cfg": {"size": 3, "list": [3]},
        "slots": {"a": 1},
        "tuple": [1],
    }


# ----------------------------------------------------------------- broken ones
def saved(legacy=False, **content):
    stream = io.BytesIO()
    content = {**WEIGHTS, "args": argparse.Namespace(a=1), **content}
    torch.save(content, stream, _use_new_zipfile_serialization=not legacy)
    return stream.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"PK\x03\x04",
        b"<!DOCTYPE html><html>404</html>",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
        bytes(range(256)) * 20,
        b"0" * 1000,
        b"\x80\x02.",
        b"\x80\x02}q\x00(X\xff\xff\xff\x7f",
        b"(((((((",
        b"ccollections\na\x00b\n.",
        b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f.",
        pickle.dumps({"a": 1}),
        struct.pack("<Q", 1 << 60) + b"{}",
    ],
    ids=lambda data: repr(data[:12]),
)
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_garbage(data, suffix, tmp_path):
    path = tmp_path / f"broken{suffix}"
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match="broken"):
        read(path)


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.999])
def test_truncated(part, legacy, tmp_path):
    data = saved(legacy)
    (tmp_path / "broken.pt").write_bytes(data[: int(part * len(data))])
    with pytest.raises(CheckpointError, match="broken.pt"):
        read(tmp_path / "broken.pt")


def test_flipped_bytes_fail_in_words(tmp_path):
    """Whatever byte of a pickle is hit: an error of ours, or some value."""
    data, path = saved(legacy=True), tmp_path / "broken.pt"
    for position in range(0, len(data), 7):
        broken = bytearray(data)
        broken[position] ^= 0x55
        path.write_bytes(broken)
        try:
            read(path)
        except CheckpointError as error:
            assert "broken.pt" in str(error)


def test_absent(tmp_path):
    with pytest.raises(FileNotFoundError, match="No checkpoint at .*absent.pt"):
        read(tmp_path / "absent.pt")


def test_no_file_stays_open(tmp_path):
    torch.save(WEIGHTS, tmp_path / "a.pt")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        read(tmp_path / "a.pt")
        gc.collect()
    assert not [str(w.message) for w in caught if w.category is ResourceWarning]


def test_json(tmp_path):
    (tmp_path / "a.json").write_text('{"a": 1}')
    assert checkpoints.read_json(tmp_path / "a.json") == {"a": 1}
    (tmp_path / "a.json").write_text('{"a": ')
    with pytest.raises(CheckpointError, match="a.json' is not valid JSON"):
        checkpoints.read_json(tmp_path / "a.json")


# ------------------------------------------------------------------ load_weights
def test_weights_fit_exactly():
    module = torch.nn.Linear(2, 3)
    with pytest.raises(CheckpointError) as caught:
        checkpoints.load_weights(
            module, {"weight": torch.ones(2, 2), "extra": torch.ones(1)}, "x.pt"
        )
    lines = str(caught.value).splitlines()
    assert lines[0] == "'x.pt' does not fit Linear:"
    assert lines[1:4] == [
        "  missing (1): bias",
        "  unexpected (1): extra",
        "  of another shape (1): weight [2, 2] instead of [3, 2]",
    ]


def test_weights_are_assigned_and_cast():
    with torch.device("meta"):
        module = torch.nn.Linear(2, 3)
    weights = {"weight": torch.ones(3, 2), "bias": torch.ones(3, dtype=torch.float16)}
    checkpoints.load_weights(module, weights, "x.pt")
    assert module.weight.data_ptr() == weights["weight"].data_ptr()  # not copied
    assert module.bias.dtype == torch.float32
    assert torch.equal(module(torch.ones(1, 2)), torch.full((1, 3), 3.0))


# -------------------------------------------------------------------- digest
def test_digest(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert checkpoints.digest(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()
    before = checkpoints.digest(tmp_path)
    assert checkpoints.digest(str(tmp_path)) == before
    (tmp_path / "a").rename(tmp_path / "b")
    renamed = checkpoints.digest(tmp_path)
    (tmp_path / "c").write_bytes(b"")
    assert len({before, renamed, checkpoints.digest(tmp_path)}) == 3
