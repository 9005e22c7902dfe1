"""Pre-trained upstreams on the hub: what names them, what is read, and when."""

import logging
import shutil
from pathlib import Path

import pytest
import torch
from finished_runs import make_run
from hub_server import hub, use_cache  # noqa: F401
from test_published import files_of

from s3prl_sb.benchmark import contents
from s3prl_sb.brains.pretrained_card import write_card
from s3prl_sb.cli import main
from s3prl_sb.errors import UserError
from s3prl_sb.foreign import trust
from s3prl_sb.foreign.trust import TrustError
from s3prl_sb.identity.upstreams import upstream_identity
from s3prl_sb.inference import ExportError, export
from s3prl_sb.inference import load as load_model
from s3prl_sb.lobes.cards import continuing, initializing
from s3prl_sb.lobes.cards.finding import UnknownUpstream
from s3prl_sb.lobes.cards.hub import entries
from s3prl_sb.lobes.cards.places import NoUpstream, card_of
from s3prl_sb.lobes.cards.sources import open_source
from s3prl_sb.lobes.checkpoints.fetch import FetchError, fetch
from s3prl_sb.lobes.ssl import SSL
from s3prl_sb.lobes.upstreams import card, load, title
from s3prl_sb.lobes.upstreams.apc import Apc
from s3prl_sb.storage import checksums
from s3prl_sb.storage.repositories import HubError

WEIGHTS = "^/lfs/"
OWN = """
import os, pathlib
pathlib.Path(os.environ["CANARY"]).touch()
from s3prl_sb.lobes.upstreams.apc import Apc
class Mine(Apc):
    pass
"""


def make_pretrained(folder, seed=0, size=8, **facts):
    """A folder with the card of a small network, as pre-training writes it."""
    folder.mkdir(parents=True)
    network = Apc(config={"hidden_size": size}, seed=seed)
    parts = {"network": network, "head": torch.nn.Linear(size, 80)}
    about = {"task": "pretraining/apc", "steps": 4, "hours": 0.25, **facts}
    write_card(network, torch.nn.ModuleDict(parts), folder, "mine", about)
    return folder


def put(hub, name, folder):  # noqa: F811
    """Puts a folder on the hub as it is, with checksums; returns the commit."""
    checksums.write(folder)
    return hub.put(name, files_of(folder))


def last(upstream):
    """Hidden states of noise."""
    wavs = 0.1 * torch.randn(1, 4000, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return upstream(wavs)[0][-1]


@pytest.fixture
def pretrained(tmp_path):
    return make_pretrained(tmp_path / "pretrained")


def own_code(folder, monkeypatch):
    """A folder with an upstream of its own code, which leaves a canary when it runs."""
    monkeypatch.setenv("CANARY", str(folder.parent / "canary"))
    make_pretrained(folder)
    text = (folder / "card.yaml").read_text()
    text = text.replace("s3prl_sb.lobes.upstreams.apc.Apc", "my_upstream.Mine")
    (folder / "card.yaml").write_text(text)
    (folder / "my_upstream.py").write_text(OWN)
    return folder


# ------------------------------------------------------------------ the same upstream
def test_the_same_upstream(pretrained, hub):  # noqa: F811
    commit = put(hub, "anna/mine", pretrained)
    here = load(str(pretrained))
    for name in ("anna/mine", "anna/mine@main", f"anna/mine@{commit}"):
        there = load(name)
        assert torch.equal(last(there), last(here))
        assert upstream_identity(there) == upstream_identity(here)
        assert contents.of_card(name) == contents.of_card(str(pretrained / "card.yaml"))
    assert hub.count("GET", WEIGHTS) == 1


def test_only_what_is_needed_is_downloaded(pretrained, hub):  # noqa: F811
    (pretrained / "notes.md").write_text("not read")
    commit = put(hub, "anna/mine", pretrained)
    node = card("anna/mine", freeze=True)
    (weights,) = pretrained.glob("mine-????????????.safetensors")
    start = f"hf://anna/mine@{commit}/{weights.name}#sha256="
    assert node["source"] == start + checksums.listed(pretrained)[weights.name]
    assert not hub.count("GET", WEIGHTS) and not hub.count("GET", "notes.md")
    load("anna/mine")
    assert hub.count("GET", WEIGHTS) == 1  # without the weights of the objective
    assert fetch(node["source"]).read_bytes() == weights.read_bytes()
    # A file of any repository is a checkpoint, too.
    here = last(load(str(pretrained)))
    for source in (node["source"], f"hf://anna/mine/{weights.name}"):
        assert torch.equal(last(load(source)), here)
        assert title(source) == weights.stem
    (pretrained.parent / "a.pt").write_bytes(b"x")
    for source in (
        "hf://anna/mine",
        "hf://anna/mine/",
        "hf://anna/nothing/a.pt",
        f"hf://anna/mine/{pretrained.parent}/a.pt",  # from the root
        "hf://anna/mine/../../../../a.pt",
    ):
        with pytest.raises(UserError, match="anna"):
            load(source)


def test_a_commit_in_the_cache_needs_no_hub(pretrained, hub):  # noqa: F811
    commit = put(hub, "anna/mine", pretrained)
    here, source = last(load("anna/mine")), card("anna/mine")["source"]
    before = len(hub.requests)
    assert torch.equal(last(load(f"anna/mine@{commit}")), here)
    assert torch.equal(last(open_source(source)), here)
    assert len(hub.requests) == before
    hub.repos.clear()  # nor does it matter that it has been deleted
    assert torch.equal(last(load(f"anna/mine@{commit}")), here)


def test_revisions(pretrained, hub, tmp_path):  # noqa: F811
    first = put(hub, "anna/mine", pretrained)
    hub.repos["anna/mine"].branches["v1"] = first
    other = make_pretrained(tmp_path / "other", seed=1)
    second = put(hub, "anna/mine", other)
    for revision, folder in {
        "v1": pretrained,
        first: pretrained,
        second: other,
        "main": other,
    }.items():
        assert torch.equal(last(load(f"anna/mine@{revision}")), last(load(str(folder))))
    with pytest.raises(HubError, match="has no branch, tag or commit 'v2'"):
        load("anna/mine@v2")
    titles = {title(f"anna/mine{at}") for at in ("", "@v1", f"@{first}")}
    assert titles == {"mine", "mine@v1", f"mine@{first[:7]}"}


def test_wherever_an_upstream_is_named(pretrained, hub, tmp_path, capsys):  # noqa: F811
    put(hub, "anna/mine", pretrained)
    here = last(load(str(pretrained)))
    assert torch.equal(last(open_source("anna/mine")), here)
    features = SSL("anna/mine", freeze=True)(torch.zeros(1, 4000))
    assert features.shape[-1] == 8
    (tmp_path / "both.yaml").write_text("fusion: [anna/mine, mel]")
    assert sorted(load(str(tmp_path / "both.yaml")).network) == ["mel", "mine"]
    model = entries()["upstream"]("anna/mine", freeze=True)
    states = model([torch.zeros(4000)])["hidden_states"]
    assert states[0].shape[-1] == 8
    both = load("anna/mine+mel")
    assert sorted(both.network) == ["mel", "mine"]
    network = Apc(config={"hidden_size": 8}, seed=9)
    initializing.initialize_from(network, "anna/mine")
    torch.testing.assert_close(last(network), here)
    saved = continuing.saved_objective("anna/mine")
    assert sorted(saved.weights) == ["head.bias", "head.weight"]
    assert main(["check", "anna/mine", "--random"]) == 0
    assert "ok  files" in capsys.readouterr().out


def test_converted(pretrained, hub, tmp_path):  # noqa: F811
    put(hub, "anna/mine", pretrained)
    assert main(["convert", "anna/mine", str(tmp_path / "converted")]) == 0
    assert torch.equal(
        last(load(str(tmp_path / "converted"))), last(load(str(pretrained)))
    )


def test_a_copy_of_the_cache(pretrained, hub, tmp_path, monkeypatch):  # noqa: F811
    """The folder of a snapshot is whole: nobody is asked for its weights."""
    here, commit = last(load(str(pretrained))), put(hub, "anna/mine", pretrained)
    load("anna/mine")
    shutil.copytree(tmp_path / "hub cache", tmp_path / "copy", symlinks=True)
    use_cache(tmp_path / "elsewhere", monkeypatch)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    place = tmp_path / "copy/models--anna--mine/snapshots" / commit
    assert torch.equal(last(load(str(place))), here)
    shutil.rmtree(tmp_path / "copy/models--anna--mine/blobs")
    with pytest.raises(UserError):
        load(str(place))


def test_a_name_that_is_too_long_for_a_file(tmp_path):
    (tmp_path / "a.yaml").write_text(
        f"mine: !new:s3prl_sb.lobes.upstreams.apc.Apc\n    source: {400 * 'x'}\n"
    )
    assert card(str(tmp_path / "a.yaml"))["source"] == 400 * "x"


# ------------------------------------------------------------------ names
def test_a_local_path_comes_first(pretrained, hub, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    other = make_pretrained(tmp_path / "other", seed=1)
    put(hub, "anna/mine", other)
    shutil.copytree(pretrained, "anna/mine")
    assert torch.equal(last(load("anna/mine")), last(load(str(pretrained))))
    before = len(hub.requests)
    # A misspelt path among those that are there, and other texts.
    for name in ("anna/mne", "anna/my model", "fbnk", "anna/x/y"):
        with pytest.raises(UserError):
            load(name)
    with pytest.raises(UnknownUpstream, match="on the hub is anna/mne@main"):
        load("anna/mne")
    assert len(hub.requests) == before
    assert torch.equal(last(load("anna/mine@main")), last(load(str(other))))


def test_near_names_are_still_offered(hub):  # noqa: F811
    with pytest.raises(UnknownUpstream, match="Did you mean hubert_base"):
        load("hubert_bas")
    with pytest.raises(HubError, match="no model 'anna/nothing' on .*may read"):
        load("anna/nothing")


def test_networks_of_transformers_stay_what_they_are(hub, caplog):  # noqa: F811
    hub.put("anna/other", {"config.json": b'{"model_type": "hubert"}'})
    assert card_of("anna/other") == "anna/other"
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING]
    with pytest.raises(UserError, match="anna--other"):  # its weights are missing
        load("anna/other")
    assert hub.count("GET", "config.json") == 1


def test_upstreams_and_models_are_different_things(pretrained, hub, tmp_path):  # noqa: F811
    put(hub, "anna/mine", pretrained)
    exported = export(make_run(tmp_path / "run"), tmp_path / "exported")
    hub.put("anna/ks", files_of(exported))
    with pytest.raises(NoUpstream, match="s3prl-sb predict anna/ks"):
        load("anna/ks")
    with pytest.raises(ExportError, match="pre-trained upstream, --upstream anna/mine"):
        load_model("anna/mine")


# ------------------------------------------------------------------ nothing is run
def test_code_is_not_run_unasked(hub, tmp_path, monkeypatch):  # noqa: F811
    folder = own_code(tmp_path / "own", monkeypatch)
    commit = put(hub, "anna/own", folder)
    canary = tmp_path / "canary"
    for attempt in (load, card, open_source):
        with pytest.raises(TrustError, match=f"(?s)my_upstream.*trust .*{commit}"):
            attempt("anna/own")
    assert main(["check", "anna/own"]) == 1 and not canary.exists()
    assert last(load("anna/own", trust=True)).shape[-1] == 8 and canary.exists()
    (folder / "my_upstream.py").write_text(OWN + "CHANGED = True\n")
    put(hub, "anna/own", folder)
    use_cache(tmp_path / "elsewhere", monkeypatch)
    with pytest.raises(TrustError):  # another commit is another decision
        load("anna/own")


@pytest.mark.parametrize(
    "text",
    [
        "x: !apply:os.system [touch evil]\nmine: !new:s3prl_sb.lobes.upstreams.apc.Apc",
        "mine: !new:os.system\n    command: touch evil",
        "mine: !new:s3prl_sb.lobes.upstreams.apc.Apc\n    config: !apply:os.getcwd []",
    ],
)
def test_a_card_is_data(text, hub, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "evil one"
    folder.mkdir()
    (folder / "card.yaml").write_text(text)
    put(hub, "anna/evil", folder)
    try:
        load("anna/evil")
    except UserError:
        pass
    assert not Path("evil").exists()


@pytest.mark.parametrize("name", ["../../evil.py", "/tmp/evil.py", "a/../../evil.py"])
def test_hostile_names(name, pretrained, hub, tmp_path, monkeypatch):  # noqa: F811
    cache = use_cache(tmp_path / "deep/er/cache", monkeypatch)
    checksums.write(pretrained)
    files = {**files_of(pretrained), name: b"evil"}
    files["SHA256SUMS"] += f"{64 * '0'}  {name}\n".encode()
    hub.put("anna/mine", files)
    with pytest.raises((UserError, ValueError)):
        load("anna/mine")
    outside = [p for p in tmp_path.rglob("*evil*") if not p.is_relative_to(cache)]
    assert not outside and not Path("/tmp/evil.py").exists()


# ------------------------------------------------------------------ faults
def test_offline(pretrained, hub, tmp_path, monkeypatch):  # noqa: F811
    put(hub, "anna/mine", pretrained)
    card("anna/mine")  # without weights
    cache = tmp_path / "hub cache"
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    before = len(hub.requests)
    words = "(?s)Offline, and 'anna/.*hf download anna/.*models--anna--"
    for name in ("anna/mine", "anna/nothing"):
        with pytest.raises(HubError, match=words):
            load(name)
    assert len(hub.requests) == before
    monkeypatch.delenv("HF_HUB_OFFLINE")
    here = last(load("anna/mine"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    use_cache(cache, monkeypatch)  # as in a new process
    assert torch.equal(last(load("anna/mine")), here)


def test_without_a_hub(pretrained, hub, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    put(hub, "anna/mine", pretrained)
    here = last(load("anna/mine"))
    hub.close()
    use_cache(tmp_path / "hub cache", monkeypatch)  # as in a new process
    assert torch.equal(last(load("anna/mine")), here)
    with pytest.raises(HubError, match="cannot be reached"):
        load("anna/nothing")


def test_private(pretrained, hub, monkeypatch):  # noqa: F811
    checksums.write(pretrained)
    hub.put("anna/mine", files_of(pretrained), private=True)
    monkeypatch.setenv("HF_TOKEN", "hf_stranger")
    with pytest.raises(HubError, match="(?s)that you may read.*hf auth login"):
        load("anna/mine")
    monkeypatch.setenv("HF_TOKEN", "hf_friend")
    hub.readers.add("hf_friend")
    load("anna/mine")


@pytest.mark.parametrize("name", ["card.yaml", "my_upstream.py", "mine-*.safetensors"])
def test_damage_in_the_cache(name, hub, tmp_path, monkeypatch):  # noqa: F811
    folder = own_code(tmp_path / "own", monkeypatch)
    commit = put(hub, "anna/own", folder)
    with trust.trusting():
        load("anna/own")
        cache = tmp_path / "hub cache"
        (file,) = [
            path
            for path in cache.glob(f"models--anna--own/snapshots/{commit}/{name}")
            if "objective" not in path.name
        ]
        content = bytearray(file.read_bytes())
        content[-1] ^= 1
        file.resolve().write_bytes(content)
        use_cache(cache, monkeypatch)
        with pytest.raises(
            (UserError, FetchError), match="Delete '.*models--anna--own"
        ):
            load("anna/own")
        shutil.rmtree(cache / "models--anna--own")
        load("anna/own")


def test_a_repository_that_is_not_whole(pretrained, hub):  # noqa: F811
    checksums.write(pretrained)
    (weights,) = pretrained.glob("mine-????????????.safetensors")
    files = files_of(pretrained)
    del files[weights.name]
    hub.put("anna/mine", files)
    with pytest.raises(HubError, match=f"has no file '{weights.name}'"):
        load("anna/mine")
    hub.put("anna/sums", {"card.yaml": b"x", "SHA256SUMS": b"nonsense\n"})
    with pytest.raises(UserError, match="damaged.*ask its owner to push it again"):
        load("anna/sums")
    hub.put("anna/bare", {"card.yaml": (pretrained / "card.yaml").read_bytes()})
    with pytest.raises(UserError):  # no list: nothing says what belongs together
        load("anna/bare")
