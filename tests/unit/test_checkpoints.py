"""Checkpoints: read without executing anything, strictly; errors name the file."""

import argparse
import codecs
import collections
import datetime
import enum
import functools
import gc
import hashlib
import io
import operator
import os
import pathlib
import pickle
import resource
import struct
import subprocess
import sys
import tarfile
import types
import warnings
import zipfile
from pathlib import Path

import numpy
import pytest
import torch

from s3prl_sb.lobes.checkpoints import reading as checkpoints
from s3prl_sb.lobes.checkpoints.reading import CheckpointError, Stub, plain, read

WEIGHTS = {"w": torch.arange(6.0).view(2, 3), "n": torch.tensor([1, 2])}


class Call:
    """Pickles as a call of a function, and what follows one."""

    def __init__(self, function, *args, state=None):
        self.reduced = function, args, state

    def __reduce__(self):
        return self.reduced[: 2 if self.reduced[2] is None else 3]


class Name:
    """Pickles as a global: (module, name)."""

    def __init__(self, module, name):
        self.module, self.name = module, name

    def __reduce__(self):
        return f"{self.module} {self.name}"


def text(value):
    """A string's opcodes."""
    value = value.encode()
    return b"X" + struct.pack("<I", len(value)) + value


def call(module, name, *args):
    """Opcodes of a call, by protocol 2."""
    return f"c{module}\n{name}\n(".encode() + b"".join(map(text, args)) + b"tR"


def dotted(module, name, *args):
    """The same by protocol 4, whose names may have dots."""
    stacked = text(module) + text(name) + b"\x93("
    return b"\x80\x04" + stacked + b"".join(map(text, args)) + b"tR"


def zipped(path, pickled, **more):
    """A file in torch's format around any pickle."""
    torch.save(WEIGHTS, path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
        parts.update({f"{next(iter(parts))[:-9]}/{n}": d for n, d in more.items()})
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in parts.items():
            archive.writestr(name, pickled if name.endswith("/data.pkl") else data)


def legacy(path, pickled, keys=()):
    """A file as torch before 1.6 wrote them, around any pickle."""
    head = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})
    parts = [*(pickle.dumps(part, 2) for part in head), pickled]
    path.write_bytes(b"".join(parts) + pickle.dumps(list(keys), 2))


def bare(path, pickled):
    """No format of torch: its first pickle is read in search of a mark."""
    path.write_bytes(pickled)


FORMATS = pytest.mark.parametrize("write", [zipped, legacy, bare])


@pytest.fixture
def mark(tmp_path, monkeypatch):
    """The file that hostile ones try to make."""
    monkeypatch.chdir(tmp_path)  # where they might leave others
    yield tmp_path / "mark"
    assert not (tmp_path / "mark").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"evil.pt"}


def refused(path, name):
    with pytest.raises(CheckpointError, match=r"evil.pt' is refused: .* run") as caught:
        read(path)
    assert f" run {name}, which" in str(caught.value)
    assert "Do not trust" in str(caught.value)


# ---------------------------------------------------------------- hostile ones
SHELL = os.system.__module__
#: What a pickle may name to get at the machine.
NAMES = """
    posix.system os.system nt.system os.popen os.execv os.remove os._exit
    posix.unlink shutil.rmtree subprocess.Popen subprocess.check_output pty.spawn
    builtins.eval builtins.exec builtins.getattr builtins.setattr builtins.open
    builtins.__import__ builtins.compile builtins.globals builtins.print builtins.map
    builtins.apply builtins.memoryview builtins.range io.open _io.open _io.FileIO
    codecs.open codecs.decode _codecs.decode _codecs.lookup functools.partial
    functools.reduce operator.attrgetter operator.itemgetter operator.methodcaller
    _operator.attrgetter itertools.accumulate importlib.import_module runpy.run_path
    runpy._run_code code.interact pdb.run timeit.timeit cProfile.run bdb.Bdb
    pickle.loads _pickle.loads marshal.loads types.FunctionType types.CodeType
    ctypes.CDLL multiprocessing.util.spawnv_passfds webbrowser.open urllib.request
    socket.socket http.client.HTTPSConnection tempfile.mkstemp sys.exit sys.modules
    gc.get_objects inspect.stack logging.config.dictConfig copyreg.add_extension
    copyreg.__newobj__ torch.load torch.save torch.hub.load torch.hub._get_cache_or
    torch.jit.load torch.jit._script.script torch.storage._load_from_bytes
    torch.serialization.load torch.serialization._load torch.package.PackageImporter
    torch.utils.cpp_extension.load_inline torch.utils.data.DataLoader
    torch._utils._rebuild_device_tensor_from_numpy torch._utils._rebuild_qtensor
    torch._utils._rebuild_sparse_tensor torch._utils._import_dotted_name
    torch._dynamo.guards.GuardBuilder.get torch._inductor.codecache.compile_file
    torch.nn.modules.linear.Linear torch.nn.Module torch.autograd.Function
    torch.from_file torch.ops.load_library torch.classes.load_library
    torch.fx.graph_module.reduce_graph_module torch.ByteTensor torch.set_default_device
    numpy.f2py.diagnose.run_command numpy.f2py.main numpy.f2py.crackfortran.myeval
    numpy.load numpy.save numpy.fromfile numpy.memmap numpy.frompyfunc
    numpy.testing._private.utils.runstring numpy.testing.runstring
    numpy.distutils.exec_command.exec_command numpy.core.multiarray.fromfile
    numpy.lib.npyio.DataSource numpy._core.multiarray.set_string_function
    joblib.load dill.loads cloudpickle.loads yaml.unsafe_load pandas.read_pickle
    s3prl_sb.cli.run speechbrain.utils.fetching.fetch __main__.anything
""".split()  # fmt: skip


@FORMATS
def test_hostile_names(write, mark):
    path = mark.with_name("evil.pt")
    for name in NAMES:
        write(path, b"\x80\x02" + call(*name.rsplit(".", 1), f"touch {mark}") + b".")
        refused(path, name)


@pytest.mark.parametrize(
    "value, name",
    [
        (lambda m: Call(os.system, f"touch {m}"), f"{SHELL}.system"),
        (lambda m: {"a": [WEIGHTS, {"b": ({"c": Call(os.system, f"touch {m}")},)}]},
         f"{SHELL}.system"),
        (lambda m: {("a", Call(os.system, f"touch {m}")): 1}, f"{SHELL}.system"),
        (lambda m: argparse.Namespace(lr=1, hook=Call(os.system, f"touch {m}")),
         f"{SHELL}.system"),
        (lambda m: collections.OrderedDict(a=Call(os.system, f"touch {m}")),
         f"{SHELL}.system"),
        (lambda m: Call(collections.OrderedDict, state={"a": Call(eval, str(m))}),
         "builtins.eval"),
        (lambda m: Call(exec, f"open('{m}', 'w')"), "builtins.exec"),
        (lambda m: Call(open, str(m), "w"), f"{io.open.__module__}.open"),
        (lambda m: Call(subprocess.Popen, ["touch", str(m)]), "subprocess.Popen"),
        (lambda m: Call(functools.partial, os.system), "functools.partial"),
        (lambda m: Call(torch.hub.load, str(m), "x"), "torch.hub.load"),
        (lambda m: {"w": Call(torch.storage._load_from_bytes, b"")},
         "torch.storage._load_from_bytes"),
        (lambda m: Call(functools.reduce, os.system), "functools.reduce"),
        (lambda m: Call(operator.attrgetter("system")), "operator.attrgetter"),
        (lambda m: Call(codecs.lookup, "x"), "_codecs.lookup"),
        (lambda m: torch.nn.Linear(2, 2), "torch.nn.modules.linear.Linear"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("modern", [True, False], ids=["zip", "legacy"])
def test_hostile_objects(value, name, modern, mark):
    content = {"model": WEIGHTS, "extra": value(mark)}
    path = mark.with_name("evil.pt")
    torch.save(content, path, _use_new_zipfile_serialization=modern)
    refused(path, name)


@FORMATS
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_hostile_protocols(protocol, write, mark):
    content = {"a": Call(os.system, f"touch {mark}")}
    write(mark.with_name("evil.pt"), pickle.dumps(content, protocol))
    refused(mark.with_name("evil.pt"), f"{SHELL}.system")


TENSOR = b"ctorch._utils\n_rebuild_tensor_v2\n"


@FORMATS
@pytest.mark.parametrize(
    "name, opcodes",
    [
        ("os.system", b"(" + text("true") + b"ios\nsystem\n."),  # INST
        ("os.system", b"(cos\nsystem\n" + text("true") + b"o."),  # OBJ
        ("os.system", b"cos\nsystem\n)\x81."),  # NEWOBJ
        ("os.system", b"cos\nsystem\n)}\x92."),  # NEWOBJ_EX
        ("builtins.eval", b"c__builtin__\neval\n" + text("1") + b"\x85R."),
        ("builtins.eval", dotted("builtins", "eval", "1") + b"."),
        ("argparse._os.system", dotted("argparse", "_os.system", "true") + b"."),
        ("fairseq.x.y", dotted("fairseq", "x.y", "true") + b"."),
        ("collections.abc.sys", dotted("collections", "abc.sys") + b"."),
        ("torch.os.system", dotted("torch", "os.system", "true") + b"."),
        ("torch._utils._rebuild_tensor.__globals__.get",
         dotted("torch._utils", "_rebuild_tensor.__globals__.get", "x") + b"."),
        ("builtins.dict.__class__", dotted("builtins", "dict.__class__") + b"."),
        ("argparsed.system", call("argparsed", "system") + b"."),
        ("evil.FloatStorage.x", dotted("evil", "FloatStorage.x", "1") + b"."),
        # What can be named must not be changed, nor made to change.
        ("_tensor.__setstate__",
         TENSOR + b"N}" + text("__name__") + text("/tmp/x") + b"s\x86b."),
        ("_tensor.__setstate__",
         TENSOR + b"}" + text("dump_patches") + b"\x88sb."),
        ("dict.__setstate__", b"cbuiltins\ndict\n}" + text("a") + b"\x88sb."),
        ("list.__setstate__", b"]}" + text("append") + b"\x88sb."),
        ("set.__setstate__", b"cbuiltins\nset\n)R}b."),
        ("copyreg._reconstructor",
         b"ccopy_reg\n_reconstructor\n(ctorch\ndevice\ncbuiltins\nobject\nNtR."),
        ("_codecs.encode to rot13",
         call("_codecs", "encode", "x", "rot13") + b"."),
        # What torch would look up outside of the pickle.
        ("a pickled module",
         b"(" + text("module") + TENSOR + text("a.py") + text("source") + b"tQ."),
        ("a pickled module", text("module") + b"Q."),
        ("a pickled module", b"N)Q."),
        ("a persistent id", b"P1\n."),
    ],
)  # fmt: skip
def test_hostile_opcodes(name, opcodes, write, mark):
    path = mark.with_name("evil.pt")
    write(path, opcodes if opcodes[:1] == b"\x80" else b"\x80\x02" + opcodes)
    before = torch._utils._rebuild_tensor_v2.__name__
    refused(path, name)
    assert torch._utils._rebuild_tensor_v2.__name__ == before


def test_torch_writes_no_patch_file(mark):
    """torch compares the source of a pickled class to the installed one, and
    leaves the difference in a file beside, if the class says so."""
    fixed = b"}" + text("dump_patches") + b"\x88s}" + text("__name__")
    fixed += text(str(mark)) + b"s\x86b0"
    module = b"(" + text("module") + TENSOR + text("a.py") + text("payload") + b"tQ."
    for opcodes in (TENSOR + fixed + module, module):
        legacy(mark.with_name("evil.pt"), b"\x80\x02" + opcodes)
        with pytest.raises(CheckpointError, match="is refused"):
            read(mark.with_name("evil.pt"))


def test_stubs_do_nothing(tmp_path):
    """Called, built, filled: whatever the opcodes, they only remember."""
    made = call("s3prl.x", "system", "true")
    path = tmp_path / "a.pt"
    for opcodes in (
        made,
        made + b"(" + text("true") + b"tR",  # a call of what was made
        made + text("a") + text("b") + b"s",
        made + b"(" + text("a") + b"e",
        b"cfairseq\nX\n" + b"(" + text("a") + b"t\x81" + b"}" + text("args") + b"Nsb",
        b"cfairseq\nX\n)}" + text("k") + b"Ns\x92N}" + text("__class__") + b"Ns\x86b",
    ):
        zipped(path, b"\x80\x04" + opcodes + b".")
        found = read(path)
        assert isinstance(found, Stub) and type(found).__mro__[-2] is Stub
        assert all(not callable(value) for value in vars(found).values())
        plain(found)


class Program(torch.nn.Module):
    """Code that TorchScript runs on loading."""

    def __init__(self):
        super().__init__()
        self.w = torch.nn.Parameter(torch.ones(2))

    @torch.jit.export
    def __getstate__(self):
        return self.w, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[torch.Tensor, bool]):
        print("executed")
        self.w = state[0]
        self.training = state[1]

    def forward(self, x):
        return x


def test_torchscript_is_not_run(mark, capfd):
    path = mark.with_name("evil.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(Program()), path)
    refused(path, "a TorchScript program")
    zipped(path, pickle.dumps(1, 2), **{"constants.pkl": b"", "code/x.py": b""})
    refused(path, "a TorchScript program")
    assert "executed" not in "".join(capfd.readouterr())


def test_other_pickles_of_a_zip_are_not_read(mark):
    evil = b"\x80\x02" + call("os", "system", f"touch {mark}") + b"."
    path = mark.with_name("evil.pt")
    zipped(path, pickle.dumps({"a": 1}, 2), **{"more.pkl": evil, "data/data.pkl": evil})
    assert read(path) == {"a": 1}
    with zipfile.ZipFile(path, "a") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        archive.writestr(archive.namelist()[0], evil)  # the same name again
    try:
        assert read(path) == {"a": 1}
    except CheckpointError as error:
        assert "refused" in str(error)


@pytest.mark.parametrize("kind", ["honest", tarfile.SYMTYPE, tarfile.FIFOTYPE])
def test_tar_archives_are_not_unpacked(kind, mark):
    """torch unpacks two members of the archives that it wrote before 0.1.10."""
    path = mark.with_name("evil.pt")
    with tarfile.open(path, "w") as archive:
        for name in ("storages", "tensors", "pickle"):
            data = b"\x80\x02" + call("os", "system", f"touch {mark}") + b"."
            member = tarfile.TarInfo(name)
            if kind == "honest":
                member.size = len(data)
            else:
                member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member, io.BytesIO(data))
    with pytest.raises(CheckpointError, match="is a tar archive.*unpack it"):
        read(path)


@pytest.mark.parametrize("variable", ["FORCE", "FORCE_NO"])
def test_the_environment_changes_nothing(variable, mark, monkeypatch):
    name, path = f"TORCH_{variable}_WEIGHTS_ONLY_LOAD", mark.with_name("evil.pt")
    monkeypatch.setenv(name, "1")
    torch.save({"args": argparse.Namespace(lr=1)}, path)
    assert plain(read(path)) == {"args": {"lr": 1}}
    torch.save(Call(os.system, f"touch {mark}"), path)
    refused(path, f"{SHELL}.system")
    assert os.environ[name] == "1"


def test_names_are_shown_without_control_characters(tmp_path):
    bare(tmp_path / "a.pt", b"\x80\x02cevil\x1b[2J\r\nx\x07" + b"y" * 1000 + b"\n.")
    with pytest.raises(CheckpointError) as caught:
        read(tmp_path / "a.pt")
    message = str(caught.value).replace(str(tmp_path), "")
    assert message.isprintable() and len(message) < 300


# -------------------------------------------------------------------- bombs
def storage(numel, key="0"):
    """Opcodes of a storage in the file."""
    head = text("storage") + b"ctorch\nFloatStorage\n" + text(key) + text("cpu")
    return b"(" + head + b"\x8a\x08" + struct.pack("<q", numel) + b"tQ"


def number(value):
    return b"\x8a\x08" + struct.pack("<q", value)


def tensor(numel, size, stride=0, offset=0):
    args = number(offset) + number(size) + b"\x85" + number(stride) + b"\x85\x89N"
    return TENSOR + b"(" + storage(numel) + args + b"tR"


@pytest.mark.skipif(
    not Path("/proc/self/statm").exists(), reason="needs /proc to limit memory"
)
@pytest.mark.parametrize("write", [zipped, legacy])
@pytest.mark.parametrize(
    "opcodes",
    [
        tensor(6, 1 << 50),  # repeats a few numbers
        tensor(1 << 50, 1 << 50, 1),  # says to have stored them
        tensor(-6, 6, 1),
        tensor(6, 7, 1),
        tensor(6, 6, 1, 1),
        tensor(6, 6, 1, -1),
        tensor(6, -6, 1),
        tensor(6, 3, -1, 5),
        TENSOR + b"(" + call("s3prl", "X") + b"K\x00K\x06\x85K\x01\x85tR",
        b"cbuiltins\nbytearray\n" + number(1 << 50) + b"\x85R",
        b"cbuiltins\nbytes\n" + number(1 << 50) + b"\x85R",
        b"\x8e" + struct.pack("<Q", 1 << 50),  # BINBYTES8
        b"\x96" + struct.pack("<Q", 1 << 50),  # BYTEARRAY8
        b"\x95" + struct.pack("<Q", 1 << 50),  # FRAME
        b"B" + struct.pack("<I", 0xFFFFFFFF),
        b"Nr" + struct.pack("<I", 0xFFFFFFFF) + b"j" + struct.pack("<I", 5),
    ],
)
def test_bombs(opcodes, write, tmp_path):
    kept = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 30), kept[1]))
    try:
        write(tmp_path / "bomb.pt", b"\x80\x05" + opcodes + b".")
        with pytest.raises(CheckpointError, match="bomb.pt"):
            read(tmp_path / "bomb.pt")
    finally:
        resource.setrlimit(resource.RLIMIT_AS, kept)


def test_compressed_zips_are_refused(tmp_path):
    """torch would take compressed bytes for weights, and bombs for pickles."""
    torch.save(WEIGHTS, tmp_path / "a.pt")
    with zipfile.ZipFile(tmp_path / "a.pt") as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(tmp_path / "b.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    with pytest.raises(CheckpointError, match="b.pt' is a compressed zip"):
        read(tmp_path / "b.pt")


def test_options_that_hold_themselves_or_billions(tmp_path):
    circle = argparse.Namespace()
    circle.inner = {"outer": circle}
    laughs = ["ha"]
    for _ in range(12):
        laughs = [laughs] * 10
    for value in (circle, argparse.Namespace(a=laughs)):
        torch.save(value, tmp_path / "a.pt")
        with pytest.raises(CheckpointError, match="options"):
            plain(read(tmp_path / "a.pt"))
    shared = argparse.Namespace(lr=1)  # no circle
    torch.save([shared, {"a": shared}], tmp_path / "a.pt")
    assert plain(read(tmp_path / "a.pt")) == [{"lr": 1}, {"a": {"lr": 1}}]


# ----------------------------------------------------------- what old files hold
class Choice(enum.Enum):
    GELU = "gelu"


Choice.__module__, Choice.__qualname__ = "fairseq.dataclass.constants", "Choice"


def stubbed_module(monkeypatch, kind):
    """Lets a class be pickled as if it were of another package."""
    package = types.ModuleType(kind.__module__)
    setattr(package, kind.__name__, kind)
    monkeypatch.setitem(sys.modules, kind.__module__, package)
    for parent in ("fairseq", "fairseq.dataclass"):
        monkeypatch.setitem(sys.modules, parent, types.ModuleType(parent))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_values_of_the_standard_library(protocol, tmp_path, monkeypatch):
    stubbed_module(monkeypatch, Choice)
    given = {
        "path": pathlib.PurePosixPath("/tmp/a b"),
        "time": datetime.timedelta(1, 2),
        "counter": collections.Counter("aab"),
        "default": collections.defaultdict(list, a=[1]),
        "empty": collections.defaultdict(list),
        "deque": collections.deque([1, 2], 5),
        "choice": Choice.GELU,
        "set": {1, 2},
        "frozen": frozenset("a"),
        "bytes": b"\x00\xff",
        "no bytes": b"",
        "array": bytearray(b"\x00\xff"),
        "no array": bytearray(),
        "complex": 1j,
        "slice": slice(1, 2),
        "type": float,
        "text": str,
        "dtype": torch.float16,
        "device": torch.device("cuda:1"),
        "size": torch.Size([1, 2]),
        "namespace": argparse.Namespace(deep=argparse.Namespace(a=(1, None))),
        (1, "tuple"): 1,
        "large": 1 << 100,
    }
    for write in (zipped, legacy):
        write(tmp_path / "a.pt", pickle.dumps(given, protocol))
        found = read(tmp_path / "a.pt")
        assert isinstance(found["path"], Stub) and isinstance(found["choice"], Stub)
        assert plain(found) == {
            **given,
            "path": "/tmp/a b",
            "time": [1, 2, 0],
            "counter": {"a": 2, "b": 1},
            "default": {"a": [1]},
            "empty": {},
            "deque": [1, 2],
            "choice": "gelu",
            "text": "builtins.str",
            "size": [1, 2],
            "namespace": {"deep": {"a": [1, None]}},
        }
        assert type(found["counter"]) is type(found["default"]) is dict


ARRAYS = {
    "vector": numpy.arange(5, dtype=numpy.float32),
    "matrix": numpy.arange(6.0).reshape(2, 3),
    "columns": numpy.asfortranarray(numpy.arange(6).reshape(2, 3)),
    "big endian": numpy.arange(3, dtype=">i4"),
    "bools": numpy.array([True, False]),
    "text": numpy.array(["a", "bcd"]),
    "bytes": numpy.array([b"a", b"bcd"]),
    "complex": numpy.array([1j]),
    "empty": numpy.zeros((0, 3), numpy.uint8),
    "no dimension": numpy.array(3),
    "strided": numpy.arange(10)[::2],
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("old", [False, True], ids=["numpy", "numpy 1"])
def test_numpy(protocol, old, tmp_path):
    scalars = {
        "float": numpy.float64(0.1),
        "half": numpy.float16(0.5),
        "int": numpy.int64(-3),
        "bool": numpy.bool_(True),
        "text": numpy.str_("ab"),
    }
    given = pickle.dumps({"arrays": ARRAYS, "scalars": scalars}, protocol)
    if old and protocol < 4:  # names end with a newline there
        given = given.replace(b"numpy._core.", b"numpy.core.")
    for write in (zipped, legacy):
        write(tmp_path / "a.pt", given)
        found = read(tmp_path / "a.pt")
        assert isinstance(found["arrays"]["vector"], Stub)
        found = plain(found)
        for name, array in ARRAYS.items():
            assert isinstance(found["arrays"][name], numpy.ndarray)
            assert found["arrays"][name].dtype == array.dtype
            assert found["arrays"][name].shape == array.shape
            assert (found["arrays"][name] == array).all()
            assert found["arrays"][name].flags.writeable
        for name, value in scalars.items():
            assert found["scalars"][name] == value.item()
            assert type(found["scalars"][name]) is type(value.item())


def test_numpy_with_a_namespace_as_s3prl_writes(tmp_path):
    content = {
        "Args": argparse.Namespace(device="cuda", path=pathlib.PurePosixPath("a")),
        "Step": numpy.int64(7),
        "Loss": numpy.float32(0.5),
        "Mean": numpy.ones(2),
        "types": [numpy.dtype("float32"), numpy.float32],
        "objects": numpy.array([1, "a"], dtype=object),
        "model": WEIGHTS,
    }
    torch.save(content, tmp_path / "a.pt")
    found = plain(read(tmp_path / "a.pt"))
    assert found["Args"] == {"device": "cuda", "path": "a"}
    assert (found["Step"], found["Loss"], found["Mean"].tolist()) == (7, 0.5, [1, 1])
    assert found["types"] == ["float32", "numpy.float32"]
    assert found["objects"] == [1, "a"]
    assert torch.equal(found["model"]["w"], WEIGHTS["w"])


@pytest.mark.parametrize(
    "state",
    [
        (1, (2,), numpy.dtype("f4"), False, b"short"),
        (1, (1 << 50,), numpy.dtype("f4"), False, b"1234"),
        (1, (2,), numpy.dtype("f4"), False, 1 << 50),
        (1, (2,), "f4", False, b"12345678"),
        (1, (1,), numpy.dtype("O"), False, b"12345678"),
        (1, (1,), numpy.dtype([("a", "f4")]), False, b"1234"),
        (1,),
        "state",
    ],
)
def test_broken_arrays_stay_stubs(state, tmp_path):
    """numpy's own __setstate__ never sees them."""
    make = numpy.ndarray(0).__reduce__()[0]
    made = Call(make, numpy.ndarray, (0,), b"b", state=state)
    torch.save(made, tmp_path / "a.pt")
    found = read(tmp_path / "a.pt")
    assert isinstance(found, Stub) and plain(found) is found


def test_omegaconf_as_it_pickles(tmp_path):
    omegaconf = pytest.importorskip("omegaconf")
    node = omegaconf.OmegaConf.create({"a": {"b": [1, "x", None]}, "c": "${a.b}"})
    torch.save({"cfg": node, "model": WEIGHTS}, tmp_path / "a.pt")
    assert plain(read(tmp_path / "a.pt")["cfg"]) == {
        "a": {"b": [1, "x", None]},
        "c": "${a.b}",
    }


@pytest.mark.parametrize("modern", [True, False], ids=["zip", "legacy"])
def test_parameters_and_what_hangs_on_them(modern, tmp_path):
    """Hooks and attributes are dropped, dtypes and sharing are kept."""
    parameter = torch.nn.Parameter(torch.ones(2))
    marked = torch.nn.Parameter(torch.ones(2))
    marked.expert = True
    attributed = torch.ones(2)
    attributed.note = "a"
    whole = torch.arange(4.0)
    given = {
        "parameter": parameter, "marked": marked, "attributed": attributed,
        "head": whole[:2], "tail": whole[2:], "turned": whole.view(2, 2).t(),
        "expanded": torch.ones(1).expand(3, 2), "scalar": torch.tensor(3),
        "empty": torch.empty(0, 3), "half": torch.ones(2, dtype=torch.float16),
        "bfloat": torch.ones(2, dtype=torch.bfloat16), "bool": torch.tensor([True]),
    }  # fmt: skip
    torch.save(given, tmp_path / "a.pt", _use_new_zipfile_serialization=modern)
    found = read(tmp_path / "a.pt")
    for name, value in given.items():
        assert torch.equal(found[name], value) and found[name].dtype == value.dtype
        assert type(found[name]) is torch.Tensor and not vars(found[name])
    assert found["head"].untyped_storage().nbytes() == 16  # both halves of it
    conjugated = torch.ones(2, dtype=torch.complex64).conj()
    torch.save(conjugated, tmp_path / "a.pt", _use_new_zipfile_serialization=modern)
    with pytest.raises(CheckpointError, match="flags"):
        read(tmp_path / "a.pt")


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
