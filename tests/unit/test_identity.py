"""Identities: files by content, code by its imports."""

import functools
import importlib.metadata
import json
import logging
import os
import sqlite3
import sys

import pytest
import torch

from s3prl_sb.benchmark import contents
from s3prl_sb.dataio.dataset import ManifestDataset, Pipe
from s3prl_sb.dataio.pipes import AddNoise
from s3prl_sb.identity import code, content, data, differences, digest, opened
from s3prl_sb.identity.code import code_of
from s3prl_sb.identity.content import hash_file, hash_files, hash_folder
from s3prl_sb.identity.objects import hash_weights, identity_of
from s3prl_sb.identity.upstreams import (
    ChangedFileError,
    changed_since,
    first_identity,
    upstream_identity,
)
from s3prl_sb.lobes.upstreams import load
from s3prl_sb.lobes.upstreams.base import Upstream
from s3prl_sb.runs.suite_tasks import tasks_of
from s3prl_sb.runs.suites import SUPERB


@pytest.fixture(autouse=True)
def memory(tmp_path, monkeypatch):
    """A memory of its own, that has never complained."""
    monkeypatch.setenv("S3PRL_SB_CACHE", str(tmp_path / "user"))
    monkeypatch.setattr(content, "_warned", set())
    return tmp_path / "user" / content.MEMORY


@pytest.fixture
def reads(monkeypatch):
    """The files that are read."""
    found, original = [], content.read_hash

    def hashing(path):
        found.append(os.path.basename(path))
        return original(path)

    monkeypatch.setattr(content, "read_hash", hashing)
    return found


@pytest.fixture
def settled(monkeypatch):
    """Files have settled as soon as they are written."""
    monkeypatch.setattr(content, "TICK", 0)


def write(path, text="same"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


# ------------------------------------------------------------------- files by content
def test_a_file_is_read_once(tmp_path, reads, settled):
    path = write(tmp_path / "a")
    assert hash_file(path) == hash_file(path) and reads == ["a"]
    assert hash_files([path, path]) == {path: hash_file(path)} and len(reads) == 1


@pytest.mark.parametrize("replaced", [False, True])
def test_a_restored_time_hides_nothing(tmp_path, settled, replaced):
    path = write(tmp_path / "a", "one")
    before, stat = hash_file(path), os.stat(path)
    if replaced:
        os.replace(write(tmp_path / "b", "two"), path)
    else:
        write(tmp_path / "a", "two")  # in place, of the same size
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert hash_file(path) != before


def test_what_may_still_change_is_not_remembered(tmp_path, reads):
    path = write(tmp_path / "a")
    hash_file(path), hash_file(path)
    assert reads == ["a", "a"]
    write(tmp_path / "a", "othr")  # within one tick, unseen by a memory
    assert hash_file(path) == hash_file(write(tmp_path / "b", "othr"))


def test_damaged_memory(tmp_path, memory, reads, settled, caplog):
    paths = [write(tmp_path / "a"), write(tmp_path / "b", "b")]
    expected = hash_files(paths)
    memory.write_bytes(b"no database" * 1000)
    assert hash_files(paths) == expected == hash_files(paths)
    assert caplog.text.count("cannot be remembered") == 1
    assert hash_files(paths) == expected and len(reads) == 4  # remembered again


def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch, settled, caplog):
    monkeypatch.setenv("S3PRL_SB_CACHE", write(tmp_path / "a file"))
    assert hash_file(write(tmp_path / "a")) == hash_file(write(tmp_path / "b"))
    assert caplog.text.count("they are read anew") == 1


def test_a_memory_that_others_hold(tmp_path, memory, settled, monkeypatch):
    path = write(tmp_path / "a")
    expected = hash_file(path)
    connect = functools.partial(sqlite3.connect, memory)
    monkeypatch.setattr(content.sqlite3, "connect", lambda *a, **k: connect(timeout=0))
    other = connect()
    other.execute("BEGIN EXCLUSIVE")
    assert hash_file(path) == expected
    other.close()


def test_names_that_are_not_utf_8(tmp_path, reads, settled):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.wav")
    open(path, "w").close()
    assert hash_file(path) == hash_file(path) and len(reads) == 1


def test_the_cost_is_said(tmp_path, settled, monkeypatch, caplog):
    monkeypatch.setattr(content, "WORTH_SAYING", 0)
    paths = [write(tmp_path / str(n)) for n in range(3)]
    with caplog.at_level(logging.INFO):
        hash_files(paths)
        assert "Read 3 files" in caplog.text and "remembered" in caplog.text
        caplog.clear()
        hash_files(paths)
    assert not caplog.text


def test_folders(tmp_path):
    for name in ("a", "b"):
        write(tmp_path / name / "x" / "1.wav")
    assert hash_folder(tmp_path / "a") == hash_folder(tmp_path / "b")
    os.rename(tmp_path / "b/x", tmp_path / "b/y")  # folders may be labels
    assert hash_folder(tmp_path / "a") != hash_folder(tmp_path / "b")


def test_links_that_lead_in_circles(tmp_path):
    write(tmp_path / "a" / "x" / "y" / "1.wav")
    before = hash_folder(tmp_path / "a")
    os.symlink("..", tmp_path / "a" / "x" / "up")
    os.symlink("../..", tmp_path / "a" / "x" / "y" / "up")
    assert hash_folder(tmp_path / "a") == before
    write(tmp_path / "b" / "2.wav")
    os.symlink("../b", tmp_path / "a" / "b")  # a part of the corpus lies elsewhere
    assert hash_folder(tmp_path / "a") != before


# ----------------------------------------------------------------------------- code
def changed_modules(monkeypatch, name, text=b"\n"):
    """Our own package as it is where one module has one more line."""
    original = code._read

    def read(file):
        found, imports = original(file)
        parts = file.relative_to(code._ROOT).with_suffix("").parts
        is_it = ".".join(parts) == name
        return (found + "changed" if is_it else found), imports

    monkeypatch.setattr(code, "_read", read)


HUBERT = "s3prl_sb.lobes.upstreams.hubert.Hubert"


@pytest.mark.parametrize(
    "module, counts",
    [
        ("s3prl_sb.lobes.networks.packing", True),
        ("s3prl_sb.lobes.upstreams.base", True),
        ("s3prl_sb.errors", True),
        ("s3prl_sb.lobes.checkpoints.reading", True),
        ("s3prl_sb.cli", False),
        ("s3prl_sb.storage.files", False),
        ("s3prl_sb.identity.opened", False),
        ("s3prl_sb.own.modules", False),
        ("s3prl_sb.lobes.checkpoints.fetch", False),
        ("s3prl_sb.storage.remote_files", False),
        ("s3prl_sb.lobes.upstreams.pase", False),
        ("s3prl_sb.brains.base", False),
    ],
)
def test_what_a_change_of_a_module_changes(module, counts, monkeypatch):
    upstream = load("mel") if not counts else None
    before = code_of([HUBERT])
    known = upstream and upstream_identity(upstream)
    changed_modules(monkeypatch, module)
    assert (code_of([HUBERT]) != before) is counts
    assert upstream is None or upstream_identity(upstream) == known


def test_libraries_that_show_and_fetch_do_not_count():
    for name in (HUBERT, "s3prl_sb.dataio.audio.LoadAudio"):
        versions = code_of([name])["versions"]
        assert {"torch", "speechbrain"} <= versions.keys()
        assert not {"tqdm", "huggingface_hub", "ruamel"} & versions.keys()


def test_imports_for_types_do_not_count(tmp_path):
    """An upgrade of sentencepiece would have refused runs that cut their audio."""
    identity = code_of(["s3prl_sb.dataio.pipes.RandomCrop"])
    assert "s3prl_sb.dataio.audio" in identity["modules"]
    assert "s3prl_sb.dataio.tokenizers" not in identity["modules"]
    assert "sentencepiece" not in identity["versions"]
    write(
        tmp_path / "mine.py",
        "if TYPE_CHECKING:\n    import torch\nelse:\n    import numpy\n",
    )
    assert list(code_of(["mine.Mine"], tmp_path)["versions"]) == ["numpy"]


@pytest.mark.parametrize("task", tasks_of(SUPERB))
def test_what_is_logged_is_no_part_of_a_benchmark_run(task):
    """Another word in a log would have trained everything again."""
    modules = set(contents.of_recipe(task)["modules"])
    loggers = {f"s3prl_sb.brains.{name}" for name in ("train_log", "tensorboard")}
    assert "s3prl_sb.dataio.pipes" in modules and not modules & loggers


def test_names_need_no_torch_and_equal_classes():
    from s3prl_sb.lobes.upstreams.hubert import Hubert

    assert code_of([HUBERT]) == code_of([Hubert])


OWN = {
    "mine.py": "import numpy\nfrom helper import double\n\nclass Mine: pass\n",
    "helper.py": "def double(x):\n    from sub import deep\n    return 2 * x\n",
    "sub/__init__.py": "from . import deep\n",
    "sub/deep.py": "import os, yaml_free\n",
    "unused.py": "",
}


def own(folder):
    for name, text in OWN.items():
        write(folder / name, text)
    return folder


def test_own_code_is_its_folder_wherever_it_lies(tmp_path):
    first = code_of(["mine.Mine"], own(tmp_path / "a"))
    assert set(first["modules"]) == {
        "mine.py",
        "helper.py",
        "sub/__init__.py",
        "sub/deep.py",
    }
    assert set(first["versions"]) == {"numpy"}
    assert code_of(["mine.Mine"], own(tmp_path / "b")) == first
    for name in OWN:
        write(tmp_path / "b" / name, OWN[name] + "# changed\n")
        other = code_of(["mine.Mine"], tmp_path / "b")
        assert (other == first) is (name == "unused.py")
        write(tmp_path / "b" / name, OWN[name])


def test_own_modules_under_any_name(tmp_path, monkeypatch):
    """As they are loaded by their path."""
    module = type(sys)("s3prl_sb.own.f12_34.mine")
    module.__file__ = str(own(tmp_path) / "mine.py")
    exec(compile(OWN["mine.py"].splitlines()[3], "mine.py", "exec"), vars(module))
    module.Mine.__module__ = module.__name__
    monkeypatch.setitem(sys.modules, module.__name__, module)
    assert code_of([module.Mine]) == code_of(["mine.Mine"], tmp_path)


@pytest.mark.parametrize("place", ["site-packages", "dist-packages"])
def test_libraries_of_another_environment(place, tmp_path, monkeypatch):
    """Below ``venv --system-site-packages``, or installed with ``pip --user``: they
    count by version, and are not read as if the user had written them."""
    folder = tmp_path / "lib" / "python3" / place
    write(folder / "borrowed" / "__init__.py", "import numpy\nclass Layer: pass\n")
    monkeypatch.syspath_prepend(str(folder))
    import borrowed

    opened_files = []
    monkeypatch.setattr(code, "_read", opened_files.append)
    assert code_of([borrowed.Layer]) == code_of(["borrowed.Layer"])
    assert code_of([borrowed.Layer])["modules"] == {} and opened_files == []
    monkeypatch.delitem(sys.modules, "borrowed")


def test_distributions_are_listed_once(monkeypatch):
    """A list of all of them takes a second, and few imports are of none."""
    calls = []
    original = importlib.metadata.packages_distributions
    monkeypatch.setattr(
        importlib.metadata,
        "packages_distributions",
        lambda: calls.append(1) or original(),
    )
    code._distributions.cache_clear()
    code.versions(f"of_no_library_{number}" for number in range(3))
    assert len(calls) == 1


@pytest.mark.parametrize("library", ["torchaudio", "speechbrain", "torch"])
def test_versions_of_libraries_count(library, monkeypatch):
    upstream = load("fbank")
    before = upstream_identity(upstream)
    original = code._version
    monkeypatch.setattr(
        code,
        "_version",
        lambda name: "0.0" if name.startswith(library) else original(name),
    )
    after = upstream_identity(upstream)
    if library in before["code"]["versions"]:
        assert digest(after) != digest(before)
        assert (
            f"{library} 0.0, not" in differences.named({"u": before}, {"u": after})[0]
        )
    found = code_of(["s3prl_sb.dataio.audio.LoadAudio"])["versions"]
    assert found[library] == "0.0"


# -------------------------------------------------------------------------- the door
class Words(Upstream):
    """A custom upstream that is made of a list of words."""

    stride, num_layers, output_size = 160, 1, 1

    def __init__(self, tokenizer, freeze=True, precision="fp32"):
        super().__init__(freeze=freeze, precision=precision)
        with open(opened.opened(tokenizer)) as file:
            self.words = len(file.read())

    def frames(self, samples):
        return max(1, samples // 160)

    @property
    def min_samples(self):
        return 160

    def encode(self, wavs):
        return [self.words * wavs.unfold(1, 160, 160).mean(2, keepdim=True)]


def test_a_file_of_an_argument_is_its_content(tmp_path):
    a = write(tmp_path / "tok.txt", "two words")
    b = write(tmp_path / "elsewhere" / "copy.txt", "two words")
    before = upstream_identity(Words(a))
    assert before == upstream_identity(Words(b)) and str(tmp_path) not in str(before)
    stat = os.stat(a)
    write(tmp_path / "tok.txt", "2nd words")
    os.utime(a, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    after = upstream_identity(Words(a))
    assert after != before and after["weights"] == before["weights"]
    words = differences.named({"upstream": before}, {"upstream": after})
    assert words == ["another file tokenizer of the upstream"]


def test_a_file_that_changes_while_it_is_used(tmp_path):
    path = write(tmp_path / "tok.txt", "two words")
    upstream = Words(path)
    write(tmp_path / "tok.txt", "three words")
    with pytest.raises(ChangedFileError, match="tok.txt' has been changed since"):
        upstream_identity(upstream)


def test_an_upstream_made_of_another_is_made_of_its_files(tmp_path):
    path = write(tmp_path / "tok.txt")
    with opened.listening() as outside:
        Words(path)
    assert list(outside.files) == [path]


def test_first_and_present_identity():
    upstream = load("mel")
    upstream.register_buffer("scale", torch.ones(1))
    before = first_identity(upstream)
    upstream.scale += 1
    assert first_identity(upstream) == before != upstream_identity(upstream)
    assert changed_since(before, upstream) == ["other weights of the upstream"]
    assert changed_since(before["weights"], upstream) == ["other weights"]
    assert changed_since(hash_weights(upstream), upstream) == []


# --------------------------------------------------------------------- other objects
class Gain(Pipe):
    audio = True

    def __init__(self, gain, table=None):
        self.gain, self.table = gain, table


def test_recordings_of_noise_count_by_content(tmp_path):
    for name in ("a", "b"):
        write(tmp_path / name / "noise.wav", "one")
    first, moved = (identity_of(AddNoise([0, 5], str(tmp_path / n))) for n in "ab")
    assert first == moved
    write(tmp_path / "b" / "noise.wav", "two")
    assert identity_of(AddNoise([0, 5], str(tmp_path / "b"))) != first


class Slots:
    __slots__ = ("gain",)

    def __init__(self, gain):
        self.gain = gain


def gain_of(number, *, scale=1):
    """A pipe as a function that keeps a variable around it."""
    return lambda sig: number * sig


def gain_by(number):
    def multiplied(sig, number=number):
        return number * sig

    return multiplied


@pytest.mark.parametrize(
    "one, other",
    [
        (Gain(1), Gain(2)),
        (gain_of(1), gain_of(2)),
        (gain_by(1), gain_by(2)),
        (Gain(1, gain_of(1)), Gain(1, gain_of(2))),
        (Slots(1), Slots(2)),
        ("a".join, "b".join),
        (Gain(1, {"a": (1, 2)}), Gain(1, {"a": (1, 3)})),
        (Gain(1, torch.ones(2)), Gain(1, torch.zeros(2))),
        (Gain(1, torch.float16), Gain(1, torch.float32)),
        (Gain(1, Gain(1)), Gain(1, Gain(2))),
        (Gain(1, max), Gain(1, json.dumps)),
        (functools.partial(Gain, gain=1), functools.partial(Gain, gain=2)),
        (torch.nn.ReLU(), torch.nn.GELU()),
        (torch.nn.Dropout(0.1), torch.nn.Dropout(0.2)),
    ],
)
def test_objects_are_told_apart(one, other):
    assert identity_of(one)["is"] != identity_of(other)["is"]
    json.dumps(identity_of(one))


def test_what_holds_itself():
    gain = Gain(1)
    gain.table = [gain]
    json.dumps(identity_of(gain))


def test_own_pipes_count_by_their_code(monkeypatch):
    before = identity_of(Gain(1))
    original = code._read
    monkeypatch.setattr(
        code, "_read", lambda file: (original(file)[0] + "x", original(file)[1])
    )
    assert identity_of(Gain(1))["code"] != before["code"]


# ------------------------------------------------------------------------- the data
def records(folder):
    return ManifestDataset({"u": {"wav": str(folder / "a.wav"), "label": "yes"}})


def test_data_are_known_by_content(tmp_path):
    write(tmp_path / "clean/a.wav", "clean")
    write(tmp_path / "moved/a.wav", "clean")
    write(tmp_path / "noisy/a.wav", "noisy")  # of the same name, size and time
    stat = os.stat(tmp_path / "clean/a.wav")
    os.utime(tmp_path / "noisy/a.wav", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    found = {
        name: data.digests({"train": records(tmp_path / name)})["train"]
        for name in ("clean", "moved", "noisy")
    }
    assert found["clean"] == found["moved"] != found["noisy"]
    other = records(tmp_path / "clean")
    other.data["u"]["label"] = "no"
    assert data.digests({"train": other})["train"] != found["clean"]


def test_a_run(tmp_path):
    hparams = {"eval_pipes": [Gain(1)], "head": functools.partial(torch.nn.Linear, 3)}
    found = data.run_identity(load("fbank"), {"train": "ab"}, hparams)
    assert found["data"] == {"train": "ab"} and len(found["code"]) == 64
    assert found["versions"]["torch"] and json.dumps(found)
    hparams["eval_pipes"] = [Gain(2)]
    again = data.run_identity(load("fbank"), {"train": "ab"}, hparams)
    assert again["code"] == found["code"]  # the settings tell of arguments


@pytest.mark.parametrize(
    "statement",
    [
        "def f():\n    async def g():\n        import wave",
        "class A:\n    import wave",
        "try:\n    pass\nexcept ImportError:\n    import wave",
        "try:\n    pass\nfinally:\n    import wave",
        "for i in ():\n    pass\nelse:\n    import wave",
        "match 1:\n    case 1:\n        from wave import open",
        "with open('a'):\n    while True:\n        import wave",
        "if TYPE_CHECKING:\n    import ast\nelif True:\n    import wave",
    ],
)
def test_imports_are_found_in_every_statement(statement, tmp_path):
    from s3prl_sb.identity import code

    (tmp_path / "mine.py").write_text(statement)
    _, imports = code._read(tmp_path / "mine.py")
    assert [name for _, name, _ in imports] == ["wave"]


def test_the_environment_has_all_packages():
    import importlib.metadata

    from s3prl_sb.startup.snapshot import environment

    lines = environment().splitlines()
    for each in importlib.metadata.distributions():
        name = each.metadata["Name"]  # which parses a file
        assert any(line.startswith(f"{name}==") for line in lines)
