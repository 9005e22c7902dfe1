"""Exports on the hub: what is downloaded, kept, refused and said; nothing is run."""

import json
import shutil
from pathlib import Path

import pytest
from finished_runs import make_run, make_wav
from hub_server import hub, use_cache  # noqa: F401

from s3prl_sb.cli import main
from s3prl_sb.errors import UserError
from s3prl_sb.foreign import trust
from s3prl_sb.foreign.trust import TrustError
from s3prl_sb.inference import Classifier, ExportError, export, load
from s3prl_sb.inference.published import folder_of
from s3prl_sb.storage import checksums
from s3prl_sb.storage.repositories import HubError, repository

OWN = """
import os, pathlib
pathlib.Path(os.environ["CANARY"]).touch()
import torch
class Head(torch.nn.Module):
    def __init__(self, input_size, num_classes, hidden_size=1):
        super().__init__()
        self.classes = num_classes
    def forward(self, features, lens):
        return torch.ones(len(features), self.classes)
"""


def files_of(folder):
    """{path: bytes} of a folder."""
    paths = [path for path in Path(folder).rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


@pytest.fixture
def exported(tmp_path):
    return export(make_run(tmp_path / "run"), tmp_path / "exported")


@pytest.fixture
def wav(tmp_path):
    return make_wav(tmp_path / "a.wav")


def own_export(tmp_path, monkeypatch):
    """An export with code of its own, which leaves a canary when it runs."""
    monkeypatch.setenv("CANARY", str(tmp_path / "canary"))
    run = make_run(tmp_path / "own run", head="!name:my_head.Head")
    (run / "my_head.py").write_text(OWN)
    with trust.trusting():
        exported = export(run, tmp_path / "own export")
    (tmp_path / "canary").unlink(missing_ok=True)
    return exported


@pytest.mark.parametrize(
    "text, name, revision",
    [
        ("anna/ks", "anna/ks", None),
        ("anna/ks@v1.0", "anna/ks", "v1.0"),
        ("anna/ks@refs/pr/1", "anna/ks", "refs/pr/1"),
        ("a-b_c.d/e-f_g.h", "a-b_c.d/e-f_g.h", None),
    ],
)
def test_names(text, name, revision):
    assert repository(text) == (name, revision)


@pytest.mark.parametrize(
    "text",
    "ks ./a/b ../a /a/b a/b/c a/../b a//b a/b@ a/b@../c ~/a https://a/b a\\b 'a b/c'"
    " ä/ö .a/b -a/b a/b@-c".split(" "),
)
def test_what_is_no_name(text):
    assert repository(text) is None


def test_loads_the_same_model(exported, wav, hub):  # noqa: F811
    others = {"notes.md": b"", "big.bin": b"x"}
    commit = hub.put("anna/ks", {**files_of(exported), **others})
    here = load(exported).classify_file(wav)
    for model in (
        load("anna/ks"),
        load("anna/ks@main"),
        load("anna/ks", revision=commit),
        Classifier.from_hparams("anna/ks"),
        Classifier.from_hparams("anna/ks", revision=commit),
    ):
        assert model.classify_file(wav) == here
    folder = folder_of("anna/ks")
    assert folder.name == commit
    # What the export does not list stays where it is.
    assert not (folder / "big.bin").exists() and not (folder / "notes.md").exists()
    assert hub.count("GET", "^/lfs/") == 2  # once each: the weights of two modules


def test_predict_and_score(exported, wav, hub, capsys, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    hub.put("anna/ks", files_of(exported))
    assert main(["predict", str(exported), wav]) == 0
    here = capsys.readouterr().out
    assert main(["predict", "anna/ks", wav]) == 0
    assert capsys.readouterr().out == here
    Path("list.csv").write_text(f"id,wav,label\n1,{wav},yes\n2,{wav},no\n")
    assert main(["score", "anna/ks", "--test_csv", "list.csv"]) == 0
    (scores,) = tmp_path.glob("ks-scores/*/results.json")
    assert json.loads(scores.read_text())["metrics"]["accuracy"] == 0.5


def test_a_folder_comes_first(exported, hub, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    hub.put("anna/ks", {"SHA256SUMS": b"", "hyperparams.yaml": b""})
    shutil.copytree(exported, "anna/ks")
    load("anna/ks")
    # The folder of a name that is there is no owner: nobody is asked.
    words = "no folder 'anna/kss'.* on the hub is anna/kss@main"
    with pytest.raises(ExportError, match=words):
        load("anna/kss")
    assert not hub.requests


@pytest.mark.parametrize("name", ["results/KS/a", "/results/a", "a"])
def test_a_folder_that_is_not_there(name, hub, wav, tmp_path, monkeypatch, capsys):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    for command in (
        ["predict", name, wav],
        ["score", name, "--test_csv", wav],
        ["export", name, "exported"],
        ["compare", name, name],
        ["push", name, "anna/ks"],
    ):
        assert main(command) == 1, command
        assert f"There is no folder '{name}'. Give" in capsys.readouterr().err, command
    assert not hub.requests


def test_revisions(exported, hub, wav, tmp_path):  # noqa: F811
    other = export(make_run(tmp_path / "other"), tmp_path / "other export")
    first = hub.put("anna/ks", files_of(exported))
    hub.repos["anna/ks"].branches["v1"] = first
    second = hub.put("anna/ks", files_of(other))
    old, new = (load(each).classify_file(wav)[1] for each in (exported, other))
    assert old != new
    scores = [
        load(f"anna/ks{at}").classify_file(wav)[1]
        for at in ("", "@v1", f"@{first}", f"@{second}")
    ]
    assert scores == [new, old, old, new]
    with pytest.raises(HubError, match="'anna/ks' has no branch, tag or commit 'v2'"):
        load("anna/ks@v2")


def test_offline(exported, hub, wav, monkeypatch, tmp_path):  # noqa: F811
    hub.put("anna/ks", files_of(exported))
    here = load("anna/ks").classify_file(wav)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    before = len(hub.requests)
    assert load("anna/ks").classify_file(wav) == here
    words = "Offline, and 'anna/sid' is not whole in the cache.*hf download anna/sid"
    with pytest.raises(HubError, match=f"(?s){words}.*models--anna--sid"):
        load("anna/sid")
    (folder_of("anna/ks") / "head.ckpt").unlink()
    with pytest.raises(UserError, match="anna/ks"):
        load("anna/ks")
    assert len(hub.requests) == before


def test_without_a_hub(exported, hub, wav, monkeypatch):  # noqa: F811
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    hub.put("anna/ks", files_of(exported))
    here = load("anna/ks").classify_file(wav)
    hub.close()
    assert load("anna/ks").classify_file(wav) == here  # it is in the cache
    with pytest.raises(HubError, match="cannot be reached"):
        load("anna/sid")


def test_private(exported, hub, monkeypatch):  # noqa: F811
    hub.put("anna/ks", files_of(exported), private=True)
    monkeypatch.setenv("HF_TOKEN", "hf_stranger")
    with pytest.raises(HubError, match="(?s)that you may read.*hf auth login"):
        load("anna/ks")
    hub.readers.add("hf_friend")
    monkeypatch.setenv("HF_TOKEN", "hf_friend")
    load("anna/ks")


def test_code_is_not_run_unasked(hub, tmp_path, wav, monkeypatch, capsys):  # noqa: F811
    canary = tmp_path / "canary"
    exported = own_export(tmp_path, monkeypatch)
    first = hub.put("anna/own", files_of(exported))
    words = f"(?s)my_head.py.*s3prl-sb trust .*{first}"
    for attempt in (load, Classifier.from_hparams):
        with pytest.raises(TrustError, match=words):
            attempt("anna/own")
    assert not canary.exists()
    load("anna/own", trust=True)
    assert canary.exists()
    assert main(["trust", str(folder_of("anna/own"))]) == 0
    assert load("anna/own").classify_file(wav)[1] == 0.5
    # What is pushed later is asked for again.
    (exported / "my_head.py").write_text(OWN + "CHANGED = True\n")
    checksums.write(exported)
    second = hub.put("anna/own", files_of(exported))
    canary.unlink()
    with pytest.raises(TrustError, match=second):
        load("anna/own")
    load(f"anna/own@{first}")
    assert main(["predict", "anna/own", wav]) == 1
    assert "my_head.py beside it" in capsys.readouterr().err


def test_trust_in_a_snapshot_is_none_in_links(tmp_path):
    folder = tmp_path / "models--a--b/snapshots" / ("0" * 40)
    folder.mkdir(parents=True)
    (tmp_path / "models--a--b/blobs").mkdir()
    for place in ("models--a--b/blobs/x", "elsewhere"):
        (tmp_path / place).write_text("")
    (folder / "good.py").symlink_to("../../blobs/x")
    (folder / "bad.py").symlink_to(tmp_path / "elsewhere")
    trust.add(folder)
    assert trust.is_trusted(folder / "good.py")
    assert not trust.is_trusted(folder / "bad.py")
    assert not trust.is_trusted(tmp_path / "models--a--b/blobs/x")


def test_what_looks_like_a_run_is_an_export(exported, hub, wav):  # noqa: F811
    (exported / "save").mkdir()
    (exported / "save/interface.json").write_text("{}")
    checksums.write(exported)
    hub.put("anna/ks", files_of(exported))
    assert load("anna/ks").classify_file(wav)


def test_damage_in_the_cache(exported, hub):  # noqa: F811
    hub.put("anna/ks", files_of(exported))
    folder = folder_of("anna/ks")
    (folder / "head.ckpt").resolve().write_bytes(b"damaged")
    with pytest.raises(UserError, match="head.ckpt' is damaged.*Delete.*--anna--ks'"):
        load("anna/ks")
    shutil.rmtree(folder.parents[1])
    load("anna/ks")


HOSTILE = ["../../evil", "/tmp/evil", "a/../../evil", "..\\evil", ".git/config"]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names(name, exported, hub, tmp_path, monkeypatch):  # noqa: F811
    """Neither from the list of the export nor from that of the hub."""
    cache = use_cache(tmp_path / "deep/er/cache", monkeypatch)
    files = {**files_of(exported), name: b"evil"}
    sums = files["SHA256SUMS"] + f"{64 * '0'}  {name}\n".encode()
    hub.put("anna/ks", {**files, "SHA256SUMS": sums})
    with pytest.raises((UserError, ValueError)):
        load("anna/ks")
    outside = [
        path
        for path in tmp_path.rglob("*evil*")
        if not path.resolve().is_relative_to(cache.resolve())
    ]
    assert not outside and not Path("/tmp/evil").exists()


@pytest.mark.parametrize(
    "files, words",
    [
        ({"config.json": b"{}"}, "no export of s3prl_sb: .*network of transformers"),
        ({"hyperparams.yaml": b"a: 1"}, "no export of s3prl_sb: .*SpeechBrain's"),
        ({"a.txt": b""}, "no export of s3prl_sb: it has no SHA256SUMS .*a.txt"),
    ],
)
def test_what_is_no_export(files, words, hub):  # noqa: F811
    hub.put("anna/other", files)
    with pytest.raises(ExportError, match=f"(?s){words}"):
        load("anna/other")


def test_a_hub_that_stumbles(exported, hub, monkeypatch):  # noqa: F811
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    hub.put("anna/ks", files_of(exported))
    hub.faults += [("GET", "^/lfs/", 503)]
    load("anna/ks")
    assert not hub.faults
    hub.put("anna/er", files_of(exported))
    hub.faults += [("GET", "api/models/anna/er", 403)] * 3
    with pytest.raises(HubError, match="may not read 'anna/er'"):
        load("anna/er")
