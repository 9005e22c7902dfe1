"""Pre-trained upstreams to the hub: what is sent, kept and refused, and the card."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from finished_runs import make_run
from hub_server import hub, use_cache  # noqa: F401
from test_published import files_of
from test_upstreams_on_hub import last, make_pretrained, own_code

from s3prl_sb.brains.pretrained_card import save_card
from s3prl_sb.cli import main
from s3prl_sb.errors import UserError
from s3prl_sb.foreign.trust import TrustError, trusting
from s3prl_sb.inference import export
from s3prl_sb.lobes.cards import continuing
from s3prl_sb.lobes.cards.catalogue import about
from s3prl_sb.lobes.cards.writing import write_network
from s3prl_sb.lobes.upstreams import load
from s3prl_sb.lobes.upstreams.apc import Apc
from s3prl_sb.sharing import push
from s3prl_sb.sharing.licences import LicenceError
from s3prl_sb.sharing.private import PrivateError
from s3prl_sb.sharing.pushing import PushError, named, prepared, send
from s3prl_sb.storage.files import FileError
from s3prl_sb.storage.repositories import HubError
from s3prl_sb.storage.tensor_files import write_safetensors

OBJECTIVE = "s3prl_sb.objectives.apc.AutoregressivePrediction"


def results(**changes):
    """Content of the results.json of a pre-training."""
    return {
        "task": "pretraining/apc",
        "best_step": 4,
        "seed": 1986,
        "lr": 0.001,
        "settings": {"train_data": "/corpora/geheim/train", "list": "~nobody/a/b.csv"},
        "identity": {"data": {"train": "abcd"}},
        "history": [
            {"step": 4, "train": {"loss": 0.75}, "valid": {"loss": 0.5}},
            {"step": 6, "train": {"loss": 0.25}, "valid": {"loss": 0.625}},
        ],
        **changes,
    }


@pytest.fixture
def pretrained(tmp_path):
    facts = {"objective": OBJECTIVE, "seed": 1986, "held_out": {"loss": 0.5}}
    folder = make_pretrained(tmp_path / "pretrained", **facts)
    (folder / "results.json").write_text(json.dumps(results()))
    return folder


def pushed(hub, name="anna/mine"):  # noqa: F811
    return hub.repos[name].files("main")


def test_there_and_back(pretrained, hub, tmp_path, monkeypatch, capsys):  # noqa: F811
    before = files_of(pretrained)
    assert main(["push", str(pretrained), "anna/mine"]) == 0
    assert "s3prl-sb check anna/mine" in capsys.readouterr().out
    assert files_of(pretrained) == before
    files = pushed(hub)
    assert set(files) == {*before, "README.md", "SHA256SUMS", ".gitattributes"}
    assert len(hub.repos["anna/mine"].messages) == 1
    use_cache(tmp_path / "elsewhere", monkeypatch)
    assert torch.equal(last(load("anna/mine")), last(load(str(pretrained))))
    saved = continuing.saved_objective("anna/mine")
    here = continuing.saved_objective(str(pretrained))
    assert all(torch.equal(saved.weights[k], w) for k, w in here.weights.items())
    # The folder that somebody downloads by other means works as well.
    (tmp_path / "by hand").mkdir()
    for name, content in files.items():
        (tmp_path / "by hand" / name).write_bytes(content)
    assert torch.equal(
        last(load(str(tmp_path / "by hand"))), last(load(str(pretrained)))
    )


def test_the_card(pretrained, hub):  # noqa: F811
    push(pretrained, "anna/mine", licence="cc-by-4.0")
    text = pushed(hub)["README.md"].decode()
    for words in (
        "\nlicense: cc-by-4.0\n",
        "\npipeline_tag: feature-extraction\n",
        'load("anna/mine")',
        "s3prl-sb run SUPERB/KS --upstream anna/mine",
        "| objective | AutoregressivePrediction |",
        "| updates | 4 |",
        "| audio learned from | 15.0 min |",
        "| digest of train data | abcd |",
        "| hidden states | 3 of 8 |",
        "| loss | 0.5 | 0.625 | 0.25 |",
        "at 6 updates",
        "trained from random weights",
        "Licence of this model: cc-by-4.0.",
    ):
        assert words in text, words


def test_the_five_lines_of_the_card_run(pretrained, hub):  # noqa: F811
    push(pretrained, "anna/mine")
    text = pushed(hub)["README.md"].decode()
    code = text.partition("```python\n")[2].partition("```")[0]
    names = {}
    exec(code, names)
    assert [state.shape[0] for state in names["hidden_states"]] == [2, 2, 2]


def test_twice(pretrained, hub, tmp_path):  # noqa: F811
    first = push(pretrained, "anna/mine")
    uploads = hub.count("PUT", "^/lfs/")
    assert push(pretrained, "anna/mine") == first
    assert hub.count("PUT", "^/lfs/") == uploads == 2
    load("anna/mine")
    other = make_pretrained(tmp_path / "other", seed=1)
    assert push(other, "anna/mine", message="again") != first
    # The name means the new weights in this process, too, and the old ones are gone.
    assert torch.equal(last(load("anna/mine")), last(load(str(other))))
    assert {*files_of(other)} <= {*pushed(hub)} and "results.json" not in pushed(hub)
    assert not {*files_of(pretrained)} - {*files_of(other), "results.json"} & {
        *pushed(hub)
    }


def test_of_two_kinds(pretrained, hub, tmp_path):  # noqa: F811
    exported = export(make_run(tmp_path / "run"), tmp_path / "exported")
    push(pretrained, "anna/mine")
    push(exported, "anna/ks")
    for source, name, kind in [
        (exported, "anna/mine", "a pre-trained upstream, and this is an export"),
        (pretrained, "anna/ks", "an export, and this is a pre-trained upstream"),
    ]:
        before = pushed(hub, name)
        with pytest.raises(PushError, match=f"holds {kind}"):
            push(source, name)
        assert pushed(hub, name) == before
    push(exported, "anna/mine", force=True)
    assert "card.yaml" not in pushed(hub) and "hyperparams.yaml" in pushed(hub)


def test_a_converted_upstream(hub, tmp_path, pretrained):  # noqa: F811
    """Nobody knows whose weights they are."""
    folder = tmp_path / "converted"
    assert main(["convert", str(pretrained / "card.yaml"), str(folder)]) == 0
    for source in (folder, folder / "card.yaml"):
        with pytest.raises(LicenceError, match="(?s)is not known.*licence_accepted"):
            push(source, "anna/mine")
    assert not hub.requests
    push(folder, "anna/mine", licence_accepted=True)
    assert torch.equal(last(load("anna/mine")), last(load(str(folder))))
    with open(folder / "card.yaml", "a") as file:
        file.write("_about: {'*': {licence: CC-BY-4.0, data: LibriSpeech}}\n")
    push(folder, "anna/mine")
    assert "\nlicense: cc-by-4.0\n" in pushed(hub)["README.md"].decode()
    assert about("anna/mine")["data"] == "LibriSpeech"


@pytest.mark.parametrize(
    "facts, words",
    [
        ({"teacher": "hubert_base"}, None),  # MIT
        ({"init": "hf_mms_300m"}, "restricts their use"),
        ({"init": "mine (a local checkpoint)"}, "is not known"),
        ({"init": "hubert_base", "teacher": "bertha/x"}, "is not known"),
    ],
)
def test_weights_that_were_made_from_others(facts, words, hub, tmp_path):  # noqa: F811
    folder = make_pretrained(tmp_path / "student", **facts)
    if words is None:
        push(folder, "anna/mine")
        text = pushed(hub)["README.md"].decode()
        assert "made from those of `hubert_base`" in text and "license: mit" in text
        return
    with pytest.raises(LicenceError, match=words):
        push(folder, "anna/mine")
    assert not hub.requests


def test_the_recipe_says_what_it_was_made_from(tmp_path):
    parts = {"network": Apc(config={"hidden_size": 8})}

    class Hparams:
        upstream_model, objective = parts["network"], torch.nn.ModuleDict(parts)
        output_folder, upstream_name, seed = str(tmp_path), "mine", 1
        init, teacher = "/home/anna/geheim/runs/card.yaml", "hubert_base"

    class Brain:
        hparams = Hparams

    text = save_card(Brain, {"steps": 3}).read_text()
    assert "init: runs (a local checkpoint)" in text and "geheim" not in text
    assert "teacher: hubert_base" in text


def test_a_training_that_goes_on(pretrained, hub):  # noqa: F811
    """Its next validation replaces the weights while they are on their way."""
    here = last(load(str(pretrained)))
    with prepared(pretrained, "anna/mine") as upload:
        for path in pretrained.iterdir():
            path.unlink()
        send(upload, named("anna/mine"))
    assert torch.equal(last(load("anna/mine")), here)


def test_an_interrupted_push_is_resumed(pretrained, hub, monkeypatch):  # noqa: F811
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    hub.faults += [("POST", "/commit/", 403)]
    with pytest.raises(HubError, match="may not write"):
        push(pretrained, "anna/mine")
    assert list(pushed(hub)) == [".gitattributes"] and len(hub.blobs) == 2
    before = hub.count("PUT", "^/lfs/")
    hub.faults += [("POST", "/commit/", 503)]
    push(pretrained, "anna/mine")
    assert hub.count("PUT", "^/lfs/") == before and load("anna/mine")


# ------------------------------------------------------------------ private facts
def test_a_hostile_home(hub, tmp_path, monkeypatch):  # noqa: F811
    home = tmp_path / "Anna geheim"
    monkeypatch.setenv("HOME", str(home))
    folder = make_pretrained(home / "runs geheim/apc", note=f"see {home}/a.txt")
    (folder / "results.json").write_text(json.dumps(results()))
    card = folder / "card.yaml"
    card.write_text(f"# made in {folder}\n{card.read_text()}# geheim: {home}\n")
    monkeypatch.chdir(folder)
    assert main(["push", ".", "anna/mine"]) == 0
    for name, content in pushed(hub).items():
        assert b"geheim" not in content, name
    settings = json.loads(pushed(hub)["results.json"])["settings"]
    assert settings == {"train_data": "train", "list": "b.csv"}


def test_private_facts_that_cannot_be_taken_out(hub, tmp_path, monkeypatch):  # noqa: F811
    folder = own_code(tmp_path / "own", monkeypatch)
    code = folder / "my_upstream.py"
    code.write_text(f"# fine\nDATA = '{folder}/x'\n{code.read_text()}")
    with pytest.raises(PrivateError, match="'my_upstream.py', line 2, holds"):
        push(folder, "anna/own")
    folder = make_pretrained(tmp_path / "weights")
    (weights,) = folder.glob("mine-????????????.safetensors")
    kind = "s3prl_sb.lobes.upstreams.apc.Apc"
    config = {"hidden_size": 8}
    about = {"class": kind, "config": config, "from": f"{tmp_path}/geheim"}
    write_safetensors(weights, Apc(config=config).network.state_dict(), about)
    with pytest.raises(PrivateError, match="mine-.*holds '.*', a folder .*convert"):
        push(folder, "anna/own")
    assert not hub.requests


def written(folder, weights=None, card="", code=None):
    """A pre-trained folder with further metadata, lines of the card, or own code."""
    folder = make_pretrained(folder)
    (file,) = folder.glob("mine-????????????.safetensors")
    config = {"hidden_size": 8}
    about = {"class": "s3prl_sb.lobes.upstreams.apc.Apc", "config": config}
    network = Apc(config=config).network.state_dict()
    write_safetensors(file, network, {**about, **(weights or {})})
    text = (folder / "card.yaml").read_text() + card
    if code is not None:
        text = text.replace("s3prl_sb.lobes.upstreams.apc.Apc", "my_upstream.Mine")
        (folder / "my_upstream.py").write_text(code)
    (folder / "card.yaml").write_text(text)
    return folder


@pytest.mark.parametrize(
    "made, words",
    [
        # Folders of another machine: nothing here has them.
        ({"weights": {"labels": "/scratch/bertha/geheim/a.txt"}}, "mine-.*/bertha/"),
        ({"card": "    seed: /scratch/bertha/geheim/a.txt\n"}, "card.yaml.*/bertha/"),
        ({"card": "    seed: ~bertha/geheim\n"}, "card.yaml.*~bertha/"),
        # JSON within JSON writes the letters of a home in its own way.
        ({"weights": {"labels": "in HOME/a.txt"}}, "mine-.*a folder of this machine"),
        ({"weights": {"labels": "on lab-7.example.org"}}, "mine-.*lab-7"),
        ({"code": "HOST = 'lab-7.example.org'\n"}, "upstream.py', line 1, .*lab-7"),
    ],
)
def test_facts_of_any_machine(made, words, hub, tmp_path, monkeypatch):  # noqa: F811
    home = '/home/Jürgen "J"'
    monkeypatch.setenv("HOME", home)
    monkeypatch.setattr("socket.gethostname", lambda: "lab-7.example.org")
    if "weights" in made:
        labels = made["weights"]["labels"].replace("HOME", home)
        made = {"weights": {"labels": labels}}
    folder = written(tmp_path / "pretrained", **made)
    with pytest.raises(PrivateError, match=words):
        push(folder, "anna/own")
    assert not hub.requests


def test_what_only_looks_private_is_sent(hub, tmp_path, monkeypatch):  # noqa: F811
    """Tokens with slashes, and a variable that has the name of the machine."""
    monkeypatch.setattr("socket.gethostname", lambda: "gpu1")
    folder = written(
        tmp_path / "pretrained",
        {"tokens": ["/s", "</s>", "a/b", "/", "\\", "https://a.org/b/c.pt"]},
        code="from s3prl_sb.lobes.upstreams.apc import Apc as Mine\ngpu1 = 3\n",
    )
    push(folder, "anna/own")


def test_weights_that_are_links(pretrained, hub):  # noqa: F811
    """As in the cache of the hub: the folder is a snapshot."""
    (pretrained / "blobs").mkdir()
    for file in list(pretrained.glob("*.safetensors")):
        file.rename(pretrained / "blobs" / file.name)
        file.symlink_to(Path("blobs", file.name))
    push(pretrained, "anna/mine")
    assert torch.equal(last(load("anna/mine")), last(load(str(pretrained))))


def test_own_text_of_the_card_is_searched(pretrained, hub, tmp_path, capsys):  # noqa: F811
    exported = export(make_run(tmp_path / "run"), tmp_path / "exported")
    text = tmp_path / "mine.md"
    for source in (pretrained, exported):
        for line, words in [
            (f"Trained on {source}/data", "a folder of this machine"),
            ("Use hf_" + 34 * "a", "a key of a service"),
            ("My token is hf_writer", "your token of the hub"),
        ]:
            text.write_text(f"# Mine\n\n{line}\n")
            for option in ([], ["--dry_run"]):
                arguments = [str(source), "anna/mine", "--card", str(text), *option]
                assert main(["push", *arguments]) == 1
                message = capsys.readouterr().err
                assert (
                    f"mine.md', line 3, holds {words}"
                    in message.replace(f"'{source}', ", "")
                    and "Take it out." in message
                )
    assert not hub.requests
    text.write_text("# Mine\n")
    push(pretrained, "anna/mine", card=text)
    assert "# Mine\n\n<!--" in pushed(hub)["README.md"].decode()


# ------------------------------------------------------------------ what does not fit
def test_code_of_its_own(hub, tmp_path, monkeypatch):  # noqa: F811
    folder = own_code(tmp_path / "own", monkeypatch)
    (folder / "unrelated.py").write_text("")
    push(folder, "anna/own")
    assert not (tmp_path / "canary").exists()  # a push runs nothing
    assert "my_upstream.py" in pushed(hub, "anna/own")
    assert "unrelated.py" not in pushed(hub, "anna/own")
    text = pushed(hub, "anna/own")["README.md"].decode()
    assert "code of its own**: `my_upstream.py`" in text
    use_cache(tmp_path / "elsewhere", monkeypatch)
    with pytest.raises(TrustError, match="my_upstream"):
        load("anna/own")
    with trusting():
        assert torch.equal(last(load("anna/own")), last(load(str(folder))))


def test_weights_that_are_not_ours(hub, tmp_path, pretrained):  # noqa: F811
    (tmp_path / "mine.yaml").write_text(
        "mine: !new:s3prl_sb.lobes.upstreams.apc.Apc\n    source: apc.ckpt\n"
    )
    torch.save({}, tmp_path / "apc.ckpt")
    with pytest.raises(PushError, match="(?s)'apc.ckpt'.*s3prl-sb convert .*mine.yaml"):
        push(tmp_path / "mine.yaml", "anna/mine")
    (weights,) = pretrained.glob("mine-????????????.safetensors")
    (pretrained / "elsewhere").mkdir()
    shutil.move(weights, pretrained / "elsewhere")
    with pytest.raises(PushError, match="no file of s3prl-sb beside"):
        push(pretrained, "anna/mine")
    write_network(weights, Apc(config={"hidden_size": 8}))
    text = (pretrained / "card.yaml").read_text()
    (pretrained / "card.yaml").write_text(f"{text}    seed: [{tmp_path}/mine.yaml]\n")
    with pytest.raises(PushError, match="(?s)seed names another file.*convert"):
        push(pretrained, "anna/mine")
    for source in ("hubert_base", weights):  # a card is a file .yaml
        with pytest.raises(UserError, match=f"There is no folder '{source}'. Give"):
            push(source, "anna/mine")
    with pytest.raises(UserError, match="nowhere.yaml"):
        push(tmp_path / "nowhere.yaml", "anna/mine")
    assert not hub.requests


@pytest.mark.parametrize(
    "notes",
    ["_pretraining: 3", "_pretraining: [a]", "_about: 3"]
    + [f"_about: {{'*': {each}}}" for each in ("3", "{licence: 3}", "{data: [a]}")],
)
def test_notes_of_another_form(notes, hub, tmp_path):  # noqa: F811
    folder = make_pretrained(tmp_path / "odd")
    _, card = (folder / "card.yaml").read_text().split("mine: ")
    (folder / "card.yaml").write_text(f"{notes}\nmine: {card}")
    with pytest.raises(FileError, match="card.yaml' is not a card of pre-training: "):
        push(folder, "anna/mine")
    assert not hub.requests


@pytest.mark.parametrize("ending", [".safetensors", ".objective.safetensors"])
def test_damaged_weights(ending, pretrained, hub):  # noqa: F811
    (file,) = pretrained.glob(f"mine-????????????{ending}")
    content = bytearray(file.read_bytes())
    content[-2] ^= 1
    file.write_bytes(content)
    with pytest.raises(UserError, match="is damaged, as its checksum says"):
        push(pretrained, "anna/mine")
    assert not hub.requests


def test_weights_that_are_not_finite(hub, tmp_path):  # noqa: F811
    folder = make_pretrained(tmp_path / "broken")
    (weights,) = folder.glob("mine-????????????.safetensors")
    network = Apc(config={"hidden_size": 8})
    next(network.parameters()).data[0] = float("nan")
    write_network(weights, network)
    with pytest.raises(UserError, match="(?i)nan|finite"):
        push(folder, "anna/mine")
    assert not hub.requests


def test_results_of_other_weights(pretrained, hub):  # noqa: F811
    """A run that has gone on since, or a task that used the weights."""
    for changes in ({"best_step": 2}, {"task": "SUPERB/KS"}):
        (pretrained / "results.json").write_text(json.dumps(results(**changes)))
        push(pretrained, "anna/mine")
        assert "results.json" not in pushed(hub)
        assert "| updates | 4 |" in pushed(hub)["README.md"].decode()
    for content in ("[]", json.dumps(results(history="x"))):
        (pretrained / "results.json").write_text(content)
        with pytest.raises(UserError):
            push(pretrained, "anna/er")


def test_a_dry_run_sends_nothing(pretrained, hub, capsys, monkeypatch):  # noqa: F811
    monkeypatch.delenv("HF_TOKEN")
    assert main(["push", str(pretrained), "anna/mine", "--dry_run"]) == 0
    out = capsys.readouterr().out
    assert "# mine\n" in out and "  card.yaml\n" in out
    assert not hub.requests and Path(pretrained).is_dir()
