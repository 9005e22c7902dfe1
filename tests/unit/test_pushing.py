"""Exports to the hub and back: what is sent, kept, refused, resumed and said."""

import itertools
import json
import multiprocessing
import shutil
import signal
import threading
import time
from pathlib import Path

import pytest
from finished_runs import make_run, make_wav
from hub_server import hub, use_cache  # noqa: F401
from test_published import files_of, own_export

from s3prl_sb.cli import main
from s3prl_sb.errors import UserError
from s3prl_sb.foreign.trust import TrustError, trusting
from s3prl_sb.inference import export, load
from s3prl_sb.sharing import push
from s3prl_sb.sharing.licences import LicenceError
from s3prl_sb.sharing.private import PrivateError
from s3prl_sb.sharing.pushing import PushError
from s3prl_sb.storage import checksums
from s3prl_sb.storage.files import make_folder
from s3prl_sb.storage.repositories import HubError


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path / "run")


@pytest.fixture
def exported(run, tmp_path):
    return export(run, tmp_path / "exported")


@pytest.fixture
def wav(tmp_path):
    return make_wav(tmp_path / "a.wav")


@pytest.fixture
def quick(monkeypatch):
    """Pauses between two tries take no time."""
    monkeypatch.setattr("time.sleep", lambda seconds: None)


def test_there_and_back(run, exported, wav, hub, tmp_path, monkeypatch, capsys):  # noqa: F811
    before = files_of(exported)
    assert main(["push", str(exported), "anna/ks"]) == 0
    out = capsys.readouterr().out
    assert hub.repos["anna/ks"].branches["main"] in out and "predict anna/ks" in out
    assert files_of(exported) == before
    pushed = hub.repos["anna/ks"].files("main")
    assert set(pushed) == {*before, "README.md", ".gitattributes"}
    # On another machine, with an empty cache.
    use_cache(tmp_path / "elsewhere", monkeypatch)
    here, there = load(exported), load("anna/ks")
    assert here.probabilities_file(wav).values.equal(
        there.probabilities_file(wav).values
    )
    assert main(["predict", str(run), wav, "--json"]) == 0
    text = capsys.readouterr().out
    assert main(["predict", "anna/ks", wav, "--json"]) == 0
    assert capsys.readouterr().out == text


def test_a_run_is_exported_first(run, exported, hub):  # noqa: F811
    push(run, "anna/run")
    push(exported, "anna/export")
    one, other = (hub.repos[name].files("main") for name in ("anna/run", "anna/export"))
    assert {k: v for k, v in one.items() if k != "README.md"} == {
        k: v for k, v in other.items() if k != "README.md"
    }


def test_twice(exported, hub, tmp_path, monkeypatch):  # noqa: F811
    first = push(exported, "anna/ks")
    uploads = hub.count("PUT", "^/lfs/")
    assert push(exported, "anna/ks") == first
    assert hub.count("PUT", "^/lfs/") == uploads == 2
    other = own_export(tmp_path, monkeypatch)
    with trusting():
        second = push(other, "anna/ks", message="code of its own")
    repo = hub.repos["anna/ks"]
    assert repo.messages[-1] == "code of its own" and second != first
    assert "my_head.py" in repo.files("main") and "head.ckpt" not in repo.files("main")
    assert push(exported, "anna/ks") != second  # and back again
    assert "my_head.py" not in repo.files("main") and load("anna/ks")


def test_branches(exported, hub, tmp_path, wav):  # noqa: F811
    other = export(make_run(tmp_path / "other"), tmp_path / "other export")
    push(exported, "anna/ks")
    assert main(["push", str(other), "anna/ks", "--revision", "v2"]) == 0
    push(other, "anna/ks@v2")  # again, in the other spelling
    scores = [load(f"anna/ks{at}").classify_file(wav)[1] for at in ("", "@v2")]
    assert scores == [load(each).classify_file(wav)[1] for each in (exported, other)]


def test_private(exported, hub):  # noqa: F811
    push(exported, "anna/ks", private=True)
    assert hub.repos["anna/ks"].private
    push(exported, "anna/open")
    with pytest.raises(PushError, match="'anna/open' is there, and public"):
        push(exported, "anna/open", private=True)


def test_what_others_have_put_there_stays(exported, hub):  # noqa: F811
    hub.put("anna/ks", {"hyperparams.yaml": b"theirs: 1", "a.txt": b"a"})
    with pytest.raises(
        PushError, match="holds something else, with 'hyperparams.yaml'"
    ):
        push(exported, "anna/ks")
    assert hub.repos["anna/ks"].files("main")["hyperparams.yaml"] == b"theirs: 1"
    push(exported, "anna/ks", force=True)
    assert hub.repos["anna/ks"].files("main")["a.txt"] == b"a"
    load("anna/ks")


def test_own_text_of_the_card_stays(exported, hub, tmp_path):  # noqa: F811
    push(exported, "anna/ks")
    repo = hub.repos["anna/ks"]
    text = repo.files("main")["README.md"].decode()
    assert "accuracy | 90.00 % | 80.00 % to 96.00 %" in text
    mine = text.replace("---\n\n", "language: en\n---\n\nHello of mine.\n\n", 1)
    mine = mine.replace("90.00 %", "12.00 %") + "\nBye of mine.\n"
    hub.put("anna/ks", {"README.md": mine.encode()})
    push(exported, "anna/ks")
    again = repo.files("main")["README.md"].decode()
    assert "Hello of mine." in again and again.endswith("\nBye of mine.\n")
    assert "language: en\n" in again and "90.00 %" in again and "12.00 %" not in again
    (tmp_path / "mine.md").write_text("# Mine\n\nNothing else.")
    push(exported, "anna/ks", card=tmp_path / "mine.md")
    assert "# Mine\n\nNothing else.\n\n<!--" in repo.files("main")["README.md"].decode()


def test_a_dry_run_sends_nothing(exported, hub, capsys, monkeypatch):  # noqa: F811
    monkeypatch.delenv("HF_TOKEN")
    assert main(["push", str(exported), "anna/ks", "--dry_run"]) == 0
    out = capsys.readouterr().out
    assert "# SUPERB/KS with tiny" in out and "  head.ckpt\n" in out
    assert not hub.requests and not hub.repos


def test_predictions_are_exported_if_asked_for_and_never_sent(run, hub, tmp_path):  # noqa: F811
    with pytest.raises(UserError, match="has no predictions.csv to export"):
        export(run, tmp_path / "a", predictions=True)
    assert not (tmp_path / "a").exists()
    (run / "predictions.csv").write_text("id,label,prediction\nx,yes,no\n")
    assert "predictions.csv" not in files_of(export(run, tmp_path / "a"))
    arguments = ["export", str(run), str(tmp_path / "b"), "--predictions"]
    assert main(arguments) == 0
    assert "predictions.csv" in checksums.verify(tmp_path / "b")
    push(tmp_path / "b", "anna/ks")
    assert "predictions.csv" not in hub.repos["anna/ks"].files("main")
    assert load("anna/ks")


# ------------------------------------------------------------------ private facts
def test_a_hostile_home(hub, tmp_path, monkeypatch):  # noqa: F811
    """Neither folders nor names of users nor keys of this machine arrive."""
    home = tmp_path / "Anna (Ünlü) O'Neil-geheim #1"
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr("socket.gethostname", lambda: "geheim-host-7")
    data = home / "corpora geheim/speech commands"
    data.mkdir(parents=True)
    weights = home / "my geheim weights.pt"
    weights.write_bytes(b"stands for a checkpoint")
    run = make_run(
        home / "runs geheim/ks",
        source=json.dumps(str(weights)),
        settings={
            "data_folder": str(data),
            "upstream": f"{home}/cards/mine.yaml:tiny",
            "test_noise": {"snr": 5, "folder": "~/geheim/noise"},
            "cluster": "/scratch/geheim user/lists/a.csv",
            "windows": "C:\\Users\\geheim\\data",
        },
        protocol={
            "followed": False,
            "corpus": str(data),
            "differs": [
                f"data_folder {data}",
                "list /scratch/geheim user/lists/a.csv on geheim-host-7",
                "other /scratch/geheim/b.csv",
            ],
        },
        test={
            "name": "test",
            "source": f"https://geheim:secret@host/a.tar?X-Amz-Signature=geheim#{data}",
        },
        identity={"files": {f"{home}/x.txt": "1", "/elsewhere/geheim/x.txt": "2"}},
    )
    (run / "measures.json").write_text('{"items": ["geheim/patient-1"]}')
    monkeypatch.chdir(home)
    monkeypatch.setattr("s3prl_sb.inference.exporting._check_weights", lambda run: None)
    exported = export(run, home / "exported")
    for source in (exported, run):
        push(source, "anna/ks", licence_accepted=True)
        for name, content in hub.repos["anna/ks"].files("main").items():
            assert b"geheim" not in content and "Ünlü".encode() not in content, name
            assert str(tmp_path).encode() not in content, name
    files = hub.repos["anna/ks"].files("main")
    settings = json.loads(files["results.json"])["settings"]
    assert settings["data_folder"] == "speech commands"
    assert settings["upstream"] == "mine.yaml:tiny" and settings["windows"] == "data"
    assert files["upstream_source.pt"] == b"stands for a checkpoint"
    assert "measures.json" in checksums.verify(exported)


def test_code_with_a_folder_of_this_machine(hub, tmp_path, monkeypatch):  # noqa: F811
    exported = own_export(tmp_path, monkeypatch)
    code = exported / "my_head.py"
    code.write_text(f"# fine\nDATA = '{exported.parent}/x'\n")
    checksums.write(exported)
    with pytest.raises(
        PrivateError, match="'my_head.py', line 2, holds '.*', a folder"
    ):
        push(exported, "anna/ks")
    code.write_text("TOKEN = 'hf_" + 34 * "a" + "'\n")
    checksums.write(exported)
    with pytest.raises(PrivateError, match="line 1, holds a key of a service"):
        push(exported, "anna/ks")
    assert not hub.requests


@pytest.mark.parametrize(
    "line, words",
    [
        ("vocoder: {file}", "vocoder is '.*a file of this machine"),
        ("vocoder: https://me:pw@host/a.pt", "an address with a log-in"),
    ],
)
def test_settings_that_others_cannot_use(line, words, exported, hub):  # noqa: F811
    path = exported / "hyperparams.yaml"
    text = path.read_text() + line.format(file=exported / "head.ckpt") + "\n"
    path.write_text(text)
    checksums.write(exported)
    with pytest.raises(UserError, match=words):
        push(exported, "anna/ks")
    assert not hub.requests


def test_damaged(exported, hub):  # noqa: F811
    (exported / "head.ckpt").write_bytes(b"damaged")
    with pytest.raises(UserError, match="head.ckpt' is damaged"):
        push(exported, "anna/ks")
    (exported / "SHA256SUMS").unlink()
    with pytest.raises(UserError, match="older version"):
        push(exported, "anna/ks")
    with pytest.raises(UserError, match="There is no folder"):
        push(exported / "nowhere", "anna/ks")
    with pytest.raises(UserError, match="neither a run .* nor an export"):
        push(make_folder(exported.parent / "empty"), "anna/ks")
    (exported.parent / "empty/card.yaml").write_text("{}")
    with pytest.raises(UserError, match="card.yaml' holds no cards"):
        push(exported.parent / "empty", "anna/ks")
    with pytest.raises(PushError, match="it is owner/name"):
        push(exported, "ks")
    with pytest.raises(PushError, match="is a commit"):
        push(exported, "anna/ks", revision=40 * "a")
    for revision in ("a b", "-x", "../a", "a/../b", "x\n"):
        with pytest.raises(HubError, match="is no name of a branch"):
            push(exported, "anna/ks", revision=revision)
    assert not hub.requests


@pytest.mark.parametrize(
    "changes",
    [{"test": "x"}, {"upstream_model": "x"}, {"metrics": [1]}, {"utterances": 3}],
)
def test_results_of_another_form(changes, exported, hub):  # noqa: F811
    content = json.loads((exported / "results.json").read_text())
    (exported / "results.json").write_text(json.dumps({**content, **changes}))
    checksums.write(exported)
    with pytest.raises(UserError, match="results.json' is not the results of a run"):
        push(exported, "anna/ks")
    assert not hub.requests


def test_code_of_its_own(hub, tmp_path, monkeypatch):  # noqa: F811
    exported = own_export(tmp_path, monkeypatch)
    push(exported, "anna/own")
    card = hub.repos["anna/own"].files("main")["README.md"].decode()
    assert "code of its own**: `my_head.py`" in card
    use_cache(tmp_path / "elsewhere", monkeypatch)
    with pytest.raises(TrustError, match="my_head.py beside it"):
        load("anna/own")
    assert not (tmp_path / "canary").exists()
    load("anna/own", trust=True)


def test_weights_of_others(hub, tmp_path):  # noqa: F811
    model = {"source": "/x/y.pt", "trained": "fine-tuned"}
    exported = export(make_run(tmp_path / "r", upstream_model=model), tmp_path / "e")
    (exported / "upstream.ckpt").write_bytes(b"weights")
    checksums.write(exported)
    with pytest.raises(
        LicenceError, match="(?s)is not known.*weights_licence_accepted"
    ):
        push(exported, "anna/ks")
    assert not hub.requests
    options = ["--weights_licence_accepted", "--license", "CC-BY-4.0"]
    assert main(["push", str(exported), "anna/ks", *options]) == 0
    card = hub.repos["anna/ks"].files("main")["README.md"].decode()
    assert "\nlicense: cc-by-4.0\n" in card and "holds weights of the upstream" in card


# ------------------------------------------------------------------ faults
def test_faults(exported, hub, monkeypatch, quick):  # noqa: F811
    hub.faults += [("POST", "/preupload/", 503)]  # once: the library tries again
    push(exported, "anna/ks")
    for fault, words in [
        (("POST", "/commit/", 403), "may not write 'anna/er'"),
        (("POST", "/commit/", 412), "changed meanwhile"),
        (("POST", "objects/batch", 402), "no more room"),
        (("POST", "/commit/", 500), "out of order"),
        (("GET", "whoami", 429), "asks for a pause"),
    ]:
        hub.faults[:] = [fault] * 60
        with pytest.raises(HubError, match=words):
            push(exported, "anna/er")
    hub.faults.clear()
    push(exported, "anna/er")
    load("anna/er")


def test_log_ins(exported, hub, monkeypatch, quick):  # noqa: F811
    with pytest.raises(HubError, match="may not write 'berta/ks'"):
        push(exported, "berta/ks")
    monkeypatch.setenv("HF_TOKEN", "hf_stranger")
    with pytest.raises(HubError, match="(?s)does not know who you are.*hf auth login"):
        push(exported, "anna/ks")
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(HubError, match="does not know who you are"):
        push(exported, "anna/ks")
    monkeypatch.setenv("HF_TOKEN", "hf_writer")
    monkeypatch.setenv("S3PRL_SB_OFFLINE", "1")
    with pytest.raises(HubError, match="Offline: unset HF_HUB_OFFLINE"):
        push(exported, "anna/ks")
    monkeypatch.delenv("S3PRL_SB_OFFLINE")
    hub.close()
    with pytest.raises(HubError, match="cannot be reached"):
        push(exported, "anna/ks")


def test_killed_and_run_again(exported, hub, tmp_path, wav):  # noqa: F811
    """After the first of the large files has arrived."""
    arrived, go_on, uploads = threading.Event(), threading.Event(), itertools.count()

    def hook(method, path):
        if method == "PUT" and next(uploads):  # both may come at the same time
            while not hub.blobs:
                time.sleep(0.01)
            arrived.set()
            return go_on.wait(30)

    hub.hook = hook
    # A copy of this process: a new one would import for as long as all else lasts.
    process = multiprocessing.get_context("fork").Process(
        target=push, args=(exported, "anna/ks")
    )
    process.start()
    assert arrived.wait(120)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    go_on.set()
    assert list(hub.repos["anna/ks"].files("main")) == [".gitattributes"]  # nothing yet
    hub.hook, before = None, hub.count("PUT", "^/lfs/")
    push(exported, "anna/ks")
    assert len(hub.blobs) == 2
    assert hub.count("PUT", "^/lfs/") == before + 1  # only what was missing
    shutil.rmtree(tmp_path / "hub cache", ignore_errors=True)
    assert load("anna/ks").classify_file(wav) == load(exported).classify_file(wav)
    assert Path(exported).is_dir()
