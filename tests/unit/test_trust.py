"""Nothing that comes with a card, a checkpoint, an export or a run is run unasked.

Each way to have something run leaves a canary, in each place where a file is read.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile
import torch
from hyperpyyaml import load_hyperpyyaml

from s3prl_sb.cli import main
from s3prl_sb.errors import UserError
from s3prl_sb.foreign import trust
from s3prl_sb.foreign.trust import TrustError
from s3prl_sb.inference import Classifier, export
from s3prl_sb.inference import load as load_model
from s3prl_sb.lobes.upstreams import card, load
from s3prl_sb.startup.configuration import load_recipe

MEL = "!new:s3prl_sb.lobes.upstreams.features.StftFeatures"
SYSTEM = "os.system ['touch {canary}']"
#: Files that leave a canary when they are imported, and are upstreams.
MODULE = """
import pathlib
pathlib.Path({canary!r}).touch()
from s3prl_sb.lobes.upstreams.features import StftFeatures
class Mine(StftFeatures):
    pass
"""
OWN = "mine: !new:my_upstream.Mine {feature: mel}\n"
#: Ways of a card to have something run.
CARDS = {
    "apply": f"mine: {MEL}\n  feature: mel\n  n_mels: !apply:{SYSTEM}\n",
    "apply as the card": f"mine: !apply:{SYSTEM}\n",
    "applyref": f"mine: {MEL}\n  feature: mel\n  n_mels: !applyref:{SYSTEM}\n",
    "python/object/apply": f"mine: {MEL}\n  feature: mel\n"
    f"  n_mels: !!python/object/apply:{SYSTEM}\n",
    "python/object/apply, deep": f"mine: {MEL}\n  feature: mel\n"
    f"  adapter: {{a: [1, {{b: !!python/object/apply:{SYSTEM}}}]}}\n",
    "python/object/new": f"mine: {MEL}\n  feature: mel\n"
    "  n_mels: !!python/object/new:subprocess.Popen [[touch, {canary}]]\n",
    "Popen as the card": "mine: !new:subprocess.Popen\n  args: [touch, {canary}]\n",
    "Popen in a list": "mine: !new:subprocess.Popen [[touch, {canary}]]\n",
    "Popen as an argument": f"mine: {MEL}\n  feature: mel\n"
    "  n_mels: !new:subprocess.Popen {{args: [touch, {canary}]}}\n",
    "name": f"mine: {MEL}\n  feature: !name:{SYSTEM}\n",
    "module": f"mine: {MEL}\n  feature: !module:my_upstream\n",
    "include": f"mine: {MEL}\n  feature: !include:hostile.yaml\n",
    "own module": OWN,
    "own module, in a folder": "mine: !new:models.my_upstream.Mine {{feature: mel}}\n",
    "own module called as an installed one": "mine: !new:wave.Mine {{feature: mel}}\n",
    "installed module": "mine: !new:this.Zen {{}}\n",
    "something of ours": "mine:\n"
    "  !new:s3prl_sb.brains.tensorboard.TensorboardLogger\n  folder: {canary}\n",
    "what ours imports": "mine: !new:s3prl_sb.lobes.cards.hub.Path {{}}\n",
    "verbatim tag": f"mine: {MEL}\n  n_mels: "
    "!<!apply:os.system> ['touch {canary}']\n",
    "verbatim tag of Python": f"mine: {MEL}\n  n_mels: "
    "!<tag:yaml.org,2002:python/object/apply:os.system> ['touch {canary}']\n",
    "%TAG": "%TAG !e! tag:yaml.org,2002:python/object/apply:\n---\n"
    f"mine: {MEL}\n  n_mels: !e!os.system ['touch {{canary}}']\n",
    "%TAG of the card": "%TAG !n! !new:subprocess.\n---\n"
    "mine: !n!Popen {{args: [touch, {canary}]}}\n",
    "alias": f"_a: &a !apply:{SYSTEM}\nmine: {MEL}\n  n_mels: *a\n",
    "merge key": f"_a: &a {{{{n_mels: !apply:{SYSTEM}}}}}\nmine: {MEL}\n  <<: *a\n",
    "merged list": f"_a: &a {{{{n_mels: !apply:{SYSTEM}}}}}\nmine: {MEL}\n  <<: [*a]\n",
    "key": f"mine: {MEL}\n  ? !!python/object/apply:{SYSTEM}\n  : 1\n",
    "key, deep": f"mine: {MEL}\n  adapter: {{{{!apply:os.system x: 1}}}}\n",
    "two documents": f"mine: {MEL}\n  feature: mel\n---\nx: !apply:{SYSTEM}\n",
    "set": f"mine: {MEL}\n  feature: !!set {{{{!apply:{SYSTEM}}}}}\n",
    "getattr": f"mine: {MEL}\n  n_mels: !apply:getattr [!apply:{SYSTEM}, real]\n",
    "reference": f"mine: {MEL}\n  n_mels: !ref <mine.__class__>\n",
}
CARDS = {
    name: text.replace("{{", "{").replace("}}", "}") for name, text in CARDS.items()
}
#: Texts that HyperPyYAML would make a tuple of; here they are texts.
TUPLES = {
    "plain": f"mine: {MEL}\n  feature: (!!python/object/apply:{SYSTEM})\n",
    "key": f"mine: {MEL}\n  (!!python/object/apply:{SYSTEM}): 1\n",
    "deep key": f"mine: {MEL}\n  adapter:\n    (!!python/object/apply:{SYSTEM}): 1\n",
    "lines": f"mine: {MEL}\n  feature: >-\n    (!!python/object/apply:{SYSTEM})\n",
    "quoted": f'mine: {MEL}\n  feature: "(!!python/object/apply:{SYSTEM})"\n',
    "reference": f'a: "!!python/object/apply:{SYSTEM}"\n'
    f"mine: {MEL}\n  feature: !ref (<a>)\n",
    "tag": f'mine: {MEL}\n  feature: !!str "(!!python/object/apply:{SYSTEM})"\n',
}
RECIPE = """
upstream: fbank
upstream_model: !applyref:s3prl_sb.lobes.upstreams.card
    name: !ref <upstream>
    freeze: True
size: !ref <upstream_model.output_size>
"""


@pytest.fixture
def canary(tmp_path):
    return tmp_path / "canary"


@pytest.fixture
def wav(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, 0.1 * torch.randn(8000).numpy(), 16000)
    return str(path)


@pytest.fixture
def write(tmp_path, canary):
    """``write(text)``: a card, beside it all that it may name."""

    def write(text, folder=None):
        folder = folder or tmp_path / "from elsewhere"
        (folder / "models").mkdir(parents=True, exist_ok=True)
        module = MODULE.format(canary=str(canary))
        for name in ("my_upstream", "models/my_upstream", "wave", "conftest", "torch"):
            (folder / f"{name}.py").write_text(module)
        (folder / "hostile.yaml").write_text(
            f"a: !apply:os.system ['touch {canary}']\n"
        )
        (folder / "card.yaml").write_text(text.replace("{canary}", str(canary)))
        return str(folder / "card.yaml")

    return write


class Places:
    """Entry points for a card; each raises the user's error."""

    def __init__(self, folder, wav, capsys):
        self.folder, self.wav, self.capsys = folder, wav, capsys
        table = [f"id,wav,duration\na,{wav},0.5\n"]
        (folder / "table.csv").write_text(table[0])
        (folder / "recipe.yaml").write_text(RECIPE)

    def load(self, path, options=()):
        return load(path)

    def card(self, path, options=()):
        return card(path)

    def recipe(self, path, options=()):
        return load_recipe(self.folder / "recipe.yaml", f"upstream: '{path}'")

    def check(self, path, options=()):
        self.verb("check", path, *options)

    def convert(self, path, options=()):
        self.verb("convert", path, self.folder / "converted", *options)

    def convert_a_file(self, path, options=()):
        torch.save({}, self.folder / "a.pt")
        more = [self.folder / "converted", "--upstream", path]
        self.verb("convert", self.folder / "a.pt", *more, *options)

    def extract(self, path, options=()):
        table = ["--manifest", self.folder / "table.csv"]
        output = ["--output", self.folder / "features"]
        self.verb("extract", "--upstream", path, *table, *output, *options)

    def superb(self, path, options=()):
        table = str(self.folder / "table.csv")
        tables = {f"{name}_csv": table for name in ("train", "valid", "test")}
        (self.folder / "data.yaml").write_text(json.dumps({"KS": tables}))
        data = ["--data", self.folder / "data.yaml", "--tasks", "KS", "--jobs", "1"]
        output = ["--output", self.folder / "superb"]
        self.verb("superb", "--upstream", path, *data, *output, *options)

    def verb(self, *argv):
        self.capsys.readouterr()
        status = main([str(argument) for argument in argv])
        out, err = self.capsys.readouterr()
        if status:
            assert err.startswith("s3prl-sb: ") and "Traceback" not in err, err
            raise UserError(err)


PLACES = [name for name in vars(Places) if name[0] != "_" and name != "verb"]


@pytest.fixture
def places(tmp_path, wav, capsys):
    return Places(tmp_path, wav, capsys)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("way", CARDS)
def test_a_card_is_data(way, place, write, places, canary):
    path, before = write(CARDS[way]), (list(sys.path), set(sys.modules))
    with pytest.raises(UserError):
        getattr(places, place)(path)
    assert not canary.exists()
    assert sys.path == before[0]
    new = {name.split(".")[0] for name in set(sys.modules) - before[1]}
    assert not new & {"my_upstream", "models", "wave", "this", "conftest"}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("way", TUPLES)
def test_a_text_is_no_tuple(way, place, write, places, canary, monkeypatch):
    load_hyperpyyaml("a: (1, 2)")  # from now on other readers take it for one, too
    monkeypatch.setattr(
        "s3prl_sb.engines.local.Local.run", lambda *args, **kwargs: None
    )
    path = write(TUPLES[way].replace("{{", "{").replace("}}", "}")) + ":mine"
    try:
        node = getattr(places, place)(path)
    except Exception as error:  # there is no such feature
        assert place != "card" and not isinstance(error, TrustError), error
    else:
        assert place in ("card", "superb")
        assert place == "superb" or "(!!python" in str(dict(node))
    assert not canary.exists()


FRESH = """
import sys
from s3prl_sb.startup.configuration import Configuration
try:
    configuration = Configuration(sys.argv[1], f"upstream: '{sys.argv[2]}'")
    print(configuration.text())
    configuration.make()
except Exception as error:  # there is no such feature
    print(error)
"""


@pytest.mark.parametrize("way", ["quoted", "deep key"])
def test_a_text_is_no_tuple_in_a_new_process(way, write, places, canary, tmp_path):
    """HyperPyYAML forgets quotes when it is used for the first time."""
    path = write(TUPLES[way])
    command = [sys.executable, "-c", FRESH, tmp_path / "recipe.yaml", path]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert '"(!!python' in out and len(out.splitlines()) > 8, out
    assert not canary.exists()


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("given", ["environment", "folder", "folder above", "flag"])
def test_a_trusted_card_runs(given, place, write, places, canary, monkeypatch):
    def start(self, jobs, ended):
        flags = ["--trust" in job.command() for job in jobs]
        assert flags == [given == "flag"]
        raise UserError("started")

    monkeypatch.setattr("s3prl_sb.engines.local.Local.run", start)
    path, options = write(OWN), []
    if given == "environment":
        monkeypatch.setenv("S3PRL_SB_TRUST", "1")
    elif given == "flag" and place in ("load", "card", "recipe"):
        pytest.skip("no flag there")
    elif given == "flag":
        options = ["--trust"]
    else:
        parents = {"folder": 0, "folder above": 1}
        trust.add(Path(path).parents[parents[given]])
    before = list(sys.path)
    try:
        getattr(places, place)(path, options)
    except UserError as error:  # features have no weights
        expected = {"superb": "started", "convert": "nothing to convert"}
        assert expected.get(place, "takes no 'source'") in str(error)
    assert canary.exists() and sys.path == before


def test_trust_in_python(write, canary):
    path = write(OWN)
    assert load(path, trust=True).output_size == 80 and canary.exists()
    with pytest.raises(TrustError):  # for that call alone
        load(path)
    assert card(path, trust=True)["feature"] == "mel"
    with trust.trusting():
        assert load(path).n_mels == 80
    with pytest.raises(TrustError), trust.trusting(False):
        load(path)


def test_everything_of_hyperpyyaml_when_trusted(write, canary):
    text = f"mine: {MEL}\n  feature: mel\n  n_mels: !apply:operator.mul [4, 5]\n"
    assert load(write(text), trust=True).output_size == 20
    with pytest.raises(TrustError, match=r"would run !apply:operator.mul \(line 3\)"):
        load(write(text))


def test_what_it_would_run_is_said(write):
    path = write(OWN)
    with pytest.raises(TrustError) as error:
        load(path)
    text, folder = str(error.value), Path(path).parent
    assert text.startswith(f"'{path}' would run my_upstream.py beside it")
    assert f"s3prl-sb trust '{folder}'" in text and "--trust" in text
    assert "S3PRL_SB_TRUST=1" in text and "trust=True" in text
    assert len(text.splitlines()) <= 3
    for way in ("apply", "python/object/apply", "Popen as an argument", "%TAG"):
        with pytest.raises(TrustError, match="os.system|subprocess.Popen"):
            load(write(CARDS[way]))
    with pytest.raises(TrustError, match=r"my_upstream.Mine, line 3\)"):
        load(write("# A card.\n_x: 1\n" + OWN))
    both = CARDS["apply"] + "  win_ms: !new:my_upstream.Mine\n"
    with pytest.raises(TrustError, match="!apply:os.system.*my_upstream.py beside it"):
        load(write(both))


def test_a_key_in_the_card_is_no_trust(write, canary):
    for more in ("  trust: True\n", "  trust_remote_code: True\n"):
        with pytest.raises(TrustError):
            load(write(f"mine: !new:my_upstream.Mine\n  feature: mel\n{more}"))
        with pytest.raises(TrustError):
            load(write(f"trust: True\n_trust: True\n{OWN}") + ":mine")
    assert not canary.exists()


@pytest.mark.parametrize("value", ["0", "", "no", "false", "off"])
def test_the_variable_says_yes_or_no(value, write, monkeypatch):
    monkeypatch.setenv("S3PRL_SB_TRUST", value)
    with pytest.raises(TrustError):
        load(write(OWN))


def test_cards_of_ours_need_no_trust(write):
    text = f"mine: {MEL}\n  feature: &f mel\n  n_mels: 0x14\n  freeze: &b True\n"
    upstream = load(write(text), hop_ms=20)
    assert upstream.output_size == 20 and upstream.freeze is True
    assert type(upstream.arguments["n_mels"]) is int
    text = "mine: !new:s3prl_sb.lobes.upstreams.features.StftFeature {feature: mel}"
    with pytest.raises(UserError, match="no upstream 'StftFeature' in .*StftFeatures"):
        load(write(text))


# ------------------------------------------------------------- what is remembered
def test_folders_are_remembered(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("a", "a/b", "ab", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "a")
    (tmp_path / "a" / "out").symlink_to(tmp_path / "other")
    assert main(["trust", str(tmp_path / "link")]) == 0
    assert main(["trust", "--list"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / "a")
    assert trust.is_trusted(tmp_path / "a/b/card.yaml")
    assert trust.is_trusted(tmp_path / "link/b")
    assert not trust.is_trusted(tmp_path / "ab/card.yaml")
    assert not trust.is_trusted(tmp_path / "a/../ab")
    assert not trust.is_trusted(tmp_path / "a/out/card.yaml")  # it lies elsewhere
    assert not trust.is_trusted(tmp_path)
    file = tmp_path / "config/s3prl_sb/trusted.json"
    assert json.loads(file.read_text()) == [str(tmp_path / "a")]
    assert main(["trust", str(tmp_path / "a")]) == 0  # twice is once
    assert len(trust.folders()) == 1
    monkeypatch.chdir(tmp_path / "a")
    assert main(["trust", "--remove", "."]) == 0
    assert not trust.is_trusted(tmp_path / "a/b") and not trust.folders()
    assert main(["trust", "--remove", "."]) == 1
    assert main(["trust", str(tmp_path / "absent")]) == 1
    assert main(["trust"]) == 1
    file.write_text('["relative", 3')
    assert main(["trust", "--list"]) == 1
    assert str(file) in capsys.readouterr().err


def test_folders_that_anybody_writes_into(tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    for folder in (shared, "/"):
        with pytest.raises(TrustError, match="Not only you can write .* your own"):
            trust.add(folder)
    (shared / "mine").mkdir()
    trust.add(shared / "mine")
    file = trust.configuration()
    assert file.stat().st_mode & 0o077 == 0
    file.chmod(0o666)
    assert not trust.is_trusted(shared / "mine")
    with pytest.raises(UserError, match="Anybody may write"):
        trust.require(shared / "mine", ["a.py"])


@pytest.mark.parametrize("damage", ["text", "folder", "impossible"])
def test_data_need_no_list(damage, write, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    file = trust.configuration()
    file.parent.mkdir(parents=True)
    if damage == "text":
        file.write_text("{")
    elif damage == "folder":
        file.mkdir()
    else:
        monkeypatch.setenv("XDG_CONFIG_HOME", "/dev/null/a")
    assert load(write(f"mine: {MEL}\n  feature: mel\n")).output_size == 80
    with pytest.raises(UserError) as error:  # says why what was trusted is not
        load(write(OWN))
    assert str(file) in str(error.value) or damage == "impossible"
    assert main(["trust", str(tmp_path)]) == 1
    assert "Traceback" not in capsys.readouterr().err


def test_a_relative_configuration_is_anybodys(write, tmp_path, monkeypatch):
    path = write(OWN)
    monkeypatch.chdir(Path(path).parent)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", "config")
    theirs = Path("config/s3prl_sb/trusted.json")
    theirs.parent.mkdir(parents=True)
    theirs.write_text(json.dumps([str(Path(path).parent)]))
    with pytest.raises(TrustError):
        load(path)
    assert trust.configuration() == tmp_path / "home/.config/s3prl_sb/trusted.json"


def test_the_command_in_the_error_can_be_pasted(write, tmp_path, canary, monkeypatch):
    import re
    import shlex

    path = write(OWN, tmp_path / f"a'; touch {canary.name}; '")
    with pytest.raises(TrustError) as error:
        load(path)
    command = shlex.split(re.search("`(.*)`", str(error.value))[1])
    assert command == ["s3prl-sb", "trust", str(Path(path).parent)]
    assert main(command[1:]) == 0 and load(path).output_size == 80


def test_the_error_is_ours_alone(write, tmp_path):
    """Untrusted names neither move the cursor nor begin a line."""
    tag = "!<!apply:os.system%1B%5B2K%0Aall is well>".replace(" ", "")
    text = f"mine: {MEL}\n  feature: {tag} [x]\n" + "".join(
        f"  k{i}: !apply:os.system [x]\n" for i in range(99)
    )
    for folder in ("plain", "a\x1b[2K\nb"):
        with pytest.raises(TrustError) as error:
            load(write(text, tmp_path / folder))
        lines = str(error.value).splitlines()
        assert len(lines) == 2 and all(line.isprintable() for line in lines)
        assert "and 95 more" in lines[0] and len(lines[0]) < 1000


@pytest.mark.parametrize("what", ["module", "package", "helper"])
def test_what_a_link_leads_to_is_not_trusted(what, write, tmp_path, canary):
    outside = Path(write(OWN)).parent
    mine = tmp_path / "mine"
    mine.mkdir()
    name = "models.my_upstream" if what == "package" else "my_upstream"
    (mine / "card.yaml").write_text(f"mine: !new:{name}.Mine {{feature: mel}}\n")
    if what == "package":
        (mine / "models").symlink_to(outside / "models")
    elif what == "module":
        (mine / "my_upstream.py").symlink_to(outside / "my_upstream.py")
    else:
        (mine / "my_upstream.py").write_text("from conftest import Mine\n")
        (mine / "conftest.py").symlink_to(outside / "conftest.py")
    trust.add(mine)
    with pytest.raises(TrustError, match="as part of .*mine'") as error:
        load(mine / "card.yaml")
    assert not canary.exists() and str(outside) in str(error.value)
    trust.add(outside)
    assert load(mine / "card.yaml").output_size == 80 and canary.exists()


def test_files_that_are_links(write, tmp_path, canary):
    """As the cache of Hugging Face has them."""
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots/1"
    source = Path(write(OWN)).parent
    blobs.mkdir(), snapshot.mkdir(parents=True)
    for number, name in enumerate(("card.yaml", "my_upstream.py")):
        (blobs / str(number)).write_bytes((source / name).read_bytes())
        (snapshot / name).symlink_to(f"../../blobs/{number}")
    with pytest.raises(TrustError, match="my_upstream.py beside it") as error:
        load(snapshot / "card.yaml")
    assert f"s3prl-sb trust {blobs}" in str(error.value) and not canary.exists()
    trust.add(blobs)
    assert load(snapshot / "card.yaml").output_size == 80 and canary.exists()


def test_many_at_once_are_all_remembered(tmp_path):
    program = "import sys; from s3prl_sb.foreign import trust; trust.add(sys.argv[1])"
    for number in range(4):
        (tmp_path / str(number)).mkdir()
    running = [
        subprocess.Popen([sys.executable, "-c", program, str(tmp_path / str(number))])
        for number in range(4)
    ]
    assert [process.wait() for process in running] == [0] * 4
    assert {path.name for path in trust.folders()} == set("0123")


# ------------------------------------------------------------------- checkpoints
@pytest.mark.parametrize(
    "name", ["this.x", "my_upstream.Mine", "subprocess.Popen", "s3prl_sb.cli.main"]
)
def test_metadata_imports_nothing(name, tmp_path, monkeypatch, capsys):
    from safetensors.torch import save_file

    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "my_upstream.py").write_text("open('canary', 'w')")
    about = json.dumps({"class": name, "config": {"args": ["touch", "canary"]}})
    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors", {"s3prl_sb": about})
    for module in ("this", "my_upstream"):  # of an earlier test in this process
        sys.modules.pop(module, None)
    for trusted in ([], ["--trust"]):  # a class is chosen by a card, never by a file
        assert main(["convert", "a.safetensors", "out", *trusted]) == 1
        assert "no published card" in capsys.readouterr().err
    with pytest.raises(Exception):  # a configuration of nothing
        load("tera", source="a.safetensors")
    assert "this" not in sys.modules and "my_upstream" not in sys.modules
    assert not (tmp_path / "canary").exists()


def test_code_of_a_hugging_face_folder(tmp_path):
    pytest.importorskip("transformers")
    config = {
        "model_type": "mine",
        "auto_map": {"AutoConfig": "code.Config", "AutoModel": "code.Model"},
        "_attn_implementation_internal": "evil/kernel",
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "code.py").write_text("raise SystemExit")
    torch.save({}, tmp_path / "pytorch_model.bin")
    for trusted in (False, True):
        with pytest.raises(UserError, match="code of its own, which is never run"):
            load("hf_w2v_bert_2", trusted, source=str(tmp_path))


# ------------------------------------------------------------- exports and runs
HPARAMS = """
upstream: fbank
upstream_model: &model !new:s3prl_sb.lobes.upstreams.features.StftFeatures
    feature: mel
    n_mels: 8
featurizer: !new:s3prl_sb.lobes.featurizer.Featurizer
    num_layers: !apply:getattr [*model, num_layers]
head: !name:s3prl_sb.lobes.heads.utterance.UtteranceClassifier
    input_size: !apply:getattr [*model, output_size]
    hidden_size: 4
eval_pipes:
    - !new:s3prl_sb.dataio.pipes.LoadAudio
        sample_rate: 16000
"""


@pytest.fixture
def make_run(tmp_path):
    """A finished run of nothing, whose settings may be changed."""

    def make_run(change=lambda text: text, name="run"):
        from s3prl_sb.brains.checkpointer import AtomicCheckpointer
        from s3prl_sb.lobes.heads.utterance import UtteranceClassifier

        folder = tmp_path / name
        (folder / "save").mkdir(parents=True)
        (folder / "hyperparams.yaml").write_text(change(HPARAMS))
        chosen = {"metric": "accuracy", "highest": True}
        results = {"task": "KS", "upstream": "x", "total_steps": 1, "chosen_by": chosen}
        (folder / "results.json").write_text(json.dumps(results))
        interface = {
            "class": "s3prl_sb.inference.classifier.Classifier",
            "head": {"num_classes": 2},
            "hparams": {"labels": ["no", "yes"]},
        }
        (folder / "save/interface.json").write_text(json.dumps(interface))
        modules = {"head": UtteranceClassifier(8, 2, 4)}
        AtomicCheckpointer(str(folder / "save"), modules).save_checkpoint(
            meta={"accuracy": 1.0}
        )
        return folder

    return make_run


#: Ways of an export: what is replaced in its settings, and by what.
EXPORTS = {
    "argument of the head": ("hidden_size: 4", f"hidden_size: !apply:{SYSTEM}"),
    "argument of the upstream": ("n_mels: 8", f"n_mels: !apply:{SYSTEM}"),
    "argument of the featurizer": ("layers: 9", f"layers: !apply:{SYSTEM}"),
    "a head": (
        "!new:s3prl_sb.lobes.heads.utterance.UtteranceClassifier",
        "!new:my_head.Head",
    ),
    "an upstream": (MEL, "!new:my_head.Upstream"),
    "a featurizer": ("!new:s3prl_sb.lobes.featurizer.Featurizer", "!new:my_head.F"),
    "a pipe": ("!new:s3prl_sb.dataio.pipes.LoadAudio", "!new:my_head.Pipe"),
    "an upstream as a head": (
        "!new:s3prl_sb.lobes.heads.utterance.UtteranceClassifier",
        MEL,
    ),
    "another pipe": ("sample_rate: 16000", "!apply:os.system x"),
    "interface": (
        "!name:s3prl_sb.inference.classifier.Classifier",
        "!name:subprocess.Popen",
    ),
    "interface of one's own": (
        "!name:s3prl_sb.inference.classifier.Classifier",
        "!name:my_head.Interface",
    ),
    "labels": ("- yes", f"- !!python/object/apply:{SYSTEM}"),
    "more": ("task: KS", f"task: KS\n__more: !apply:{SYSTEM}"),
    "include": ("task: KS", "task: !include:hostile.yaml"),
    "module": ("task: KS", "task: !module:my_head"),
    "pretrainer": (
        "!new:speechbrain.utils.parameter_transfer.Pretrainer",
        "!new:my_head.Pretrainer",
    ),
    "hook": ("s3prl_sb.brains.checkpointer.load_trained", "os.system"),
    "modules": ("modules:", f"modules:\n    x: !apply:{SYSTEM}"),
    "files of noise, tagged": (
        "!new:s3prl_sb.dataio.pipes.LoadAudio\n",
        "!new:s3prl_sb.dataio.pipes.AddNoise\n    snr: [0, 1]\n    files: !!str /\n",
    ),
    "files of noise": (
        "!new:s3prl_sb.dataio.pipes.LoadAudio\n",
        "!new:s3prl_sb.dataio.pipes.AddNoise\n    snr: [0, 1]\n    files: /\n",
    ),
}


def hostile(folder, way, canary):
    old, new = EXPORTS[way]
    path = folder / "hyperparams.yaml"
    text = path.read_text()
    if "files of noise" in way:
        text = text.replace("    sample_rate: 16000\n", "").replace(
            "  sample_rate: 16000\n", ""
        )
    if way == "argument of the featurizer":
        text = text.replace("featurizer: ", "featurizer: ", 1)
        text = text.replace("Featurizer\n", "Featurizer\n  layers: 9\n", 1)
    assert old in text, text
    path.write_text(text.replace(old, new.replace("{canary}", str(canary)), 1))
    for name in ("my_head", "custom"):
        (folder / f"{name}.py").write_text(MODULE.format(canary=str(canary)))
    (folder / "hostile.yaml").write_text(f"a: !apply:os.system ['touch {canary}']\n")
    (folder / "SHA256SUMS").unlink(missing_ok=True)  # a stranger writes his own


@pytest.mark.parametrize("way", EXPORTS)
def test_an_export_is_data(way, make_run, tmp_path, canary, wav, capsys):
    exported = export(make_run(), tmp_path / "exported")
    label, score = load_model(exported).classify_file(wav)
    assert label in ("no", "yes")
    hostile(exported, way, canary)
    before = list(sys.path), set(sys.modules)
    for attempt in (load_model, Classifier.from_hparams):
        if attempt is not load_model and way.startswith("interface"):
            continue  # which is not asked for its class
        with pytest.raises(UserError):
            attempt(exported).classify_file(wav)
    assert main(["predict", str(exported), wav]) == 1
    assert "Traceback" not in capsys.readouterr().err
    assert not canary.exists() and sys.path == before[0]
    assert "my_head" not in sys.modules and "custom" not in sys.modules


RUNS = [
    "argument of the head",
    "argument of the upstream",
    "argument of the featurizer",
    "an upstream",
    "a featurizer",
    "a pipe",
    "files of noise",
]


@pytest.mark.parametrize("way", RUNS)
def test_a_run_is_data(way, make_run, tmp_path, canary, wav, capsys):
    run = make_run()
    hostile(run, way, canary)
    with pytest.raises(UserError):
        load_model(run).classify_file(wav)
    assert main(["predict", str(run), wav]) == 1
    assert "Traceback" not in capsys.readouterr().err
    main(["export", str(run), str(tmp_path / "exported")])
    assert not canary.exists() and "my_head" not in sys.modules


def test_labels_in_parentheses(make_run, tmp_path, wav, canary):
    """HyperPyYAML would parse them as tuples and execute their content."""
    exported = export(make_run(), tmp_path / "exported")
    path = exported / "hyperparams.yaml"
    hostile = f"(!!python/object/apply:os.system ['touch {canary}'])"
    text = path.read_text().replace("- yes", f"- {hostile}").replace("- no", "- (no)")
    path.write_text(text)
    (exported / "SHA256SUMS").unlink()
    load_hyperpyyaml("a: (1, 2)")  # from now on other readers take it for one, too
    assert load_model(exported).hparams.labels == ["(no)", hostile]
    assert load_model(exported).classify_file(wav)[0] in ("(no)", hostile)
    assert not canary.exists()


def test_an_interface_that_is_a_text_of_yaml(make_run, tmp_path, canary):
    run = make_run()
    path = run / "save/interface.json"
    interface = json.loads(path.read_text())
    interface["class"] = f"x ''\nmore: !apply:os.system ['touch {canary}']\ny: 1 #"
    path.write_text(json.dumps(interface))
    with pytest.raises(UserError, match="interface"):
        export(run, tmp_path / "exported")
    with pytest.raises(UserError, match="interface"):
        load_model(run)


@pytest.mark.parametrize("key", ["task", "upstream"])
def test_results_are_no_yaml(key, make_run, tmp_path, canary, wav):
    """They are in an export's first line; and where that lies may be trusted."""
    run = make_run()
    results = json.loads((run / "results.json").read_text())
    results[key] = f"KS\nmore: !apply:os.system ['touch {canary}']\n#"
    (run / "results.json").write_text(json.dumps(results))
    (tmp_path / "mine").mkdir()
    trust.add(tmp_path / "mine")
    exported = export(run, tmp_path / "mine/exported")
    model = load_model(exported)
    assert model.classify_file(wav)[0] in ("no", "yes") and not canary.exists()
    assert key != "task" or model.hparams.task == results[key]


@pytest.mark.parametrize(
    "way", ["argument of the head", "an upstream", "a pipe", "own"]
)
def test_exporting_gives_no_trust(way, make_run, tmp_path, canary):
    """An untrusted export is not written to a trusted folder."""
    run = own_run(make_run, "run", 1) if way == "own" else make_run()
    if way != "own":
        hostile(run, way, canary)
    (tmp_path / "mine").mkdir()
    trust.add(tmp_path / "mine")
    with pytest.raises(TrustError, match=f"'{run}/hyperparams.yaml' would run"):
        export(run, tmp_path / "mine/exported")
    assert main(["export", str(run), str(tmp_path / "mine/exported")]) == 1
    assert not (tmp_path / "mine/exported").exists() and not canary.exists()
    if way == "own":
        assert main(["export", "--trust", str(run), str(tmp_path / "mine/e")]) == 0


def test_labels_are_texts_to_speechbrain(make_run, tmp_path, canary):
    """In a process that uses HyperPyYAML for the first time."""
    run = make_run()
    path = run / "save/interface.json"
    interface = json.loads(path.read_text())
    labels = ["(no)", f"(!!python/object/apply:os.system ['touch {canary}'])"]
    interface["hparams"]["labels"] = labels
    path.write_text(json.dumps(interface))
    exported = export(run, tmp_path / "exported")
    program = "import json, sys; from hyperpyyaml import load_hyperpyyaml as load\n"
    program += "text = open(sys.argv[1]).read().partition('upstream:')[0]\n"
    program += "print(json.dumps(load(text)['labels']))"
    command = [sys.executable, "-c", program, exported / "hyperparams.yaml"]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert json.loads(out) == labels and not canary.exists()
    assert load_model(exported).hparams.labels == labels


def test_an_address_is_not_fetched_unasked(monkeypatch):
    def fetch(*args, **kwargs):
        raise AssertionError("fetched")

    monkeypatch.setattr("speechbrain.inference.interfaces.fetch", fetch)
    address = "https://example.org/model"
    with pytest.raises(TrustError, match=f"'{address}' is no folder here"):
        Classifier.from_hparams(address)
    with pytest.raises(AssertionError, match="fetched"):
        Classifier.from_hparams(address, trust=True)


HEAD = """
from sizes import SCALE
import torch
class Head(torch.nn.Module):
    def __init__(self, input_size, num_classes, hidden_size=1):
        super().__init__()
        self.bias = torch.nn.Parameter(torch.zeros(num_classes))
    def forward(self, features, lens):
        return SCALE * torch.ones(len(features), len(self.bias)) * torch.tensor([0, 1.])
"""


def own_run(make_run, name, scale):
    """A run with a head of its own, as a recipe leaves it."""
    change = (
        "!name:s3prl_sb.lobes.heads.utterance.UtteranceClassifier",
        "!name:my_head.Head",
    )
    run = make_run(lambda text: text.replace(*change), name)
    (run / "my_head.py").write_text(HEAD)
    (run / "sizes.py").write_text(f"SCALE = {scale}\n")
    (checkpoint,) = run.glob("save/CKPT*")
    from s3prl_sb.brains.checkpointer import AtomicCheckpointer

    for file in sorted(checkpoint.iterdir(), reverse=True):
        file.unlink()
    checkpoint.rmdir()
    head = torch.nn.Module()
    head.bias = torch.nn.Parameter(torch.zeros(2))
    AtomicCheckpointer(str(run / "save"), {"head": head}).save_checkpoint(
        meta={"accuracy": 1.0}
    )
    return run


def test_two_exports_of_one_name(make_run, tmp_path, wav):
    runs = [own_run(make_run, name, scale) for name, scale in (("a", 1), ("b", 9))]
    with trust.trusting():
        exports = [export(run, tmp_path / f"exported {run.name}") for run in runs]
    assert (exports[0] / "sizes.py").is_file()
    before = list(sys.path)
    for folder in (*exports, *runs):
        with pytest.raises(TrustError, match="my_head.py beside it"):
            load_model(folder)
    for folders in (exports, runs):
        models = [load_model(folder, trust=True) for folder in folders]
        for model, score in zip(models, (0.7310586, 0.9998766)):
            assert model.classify_file(wav)[1] == pytest.approx(score, abs=1e-6)
    models = [Classifier.from_hparams(folder, trust=True) for folder in exports]
    scores = [model.classify_file(wav)[1] for model in models]
    assert scores == pytest.approx([0.7310586, 0.9998766], abs=1e-6)
    assert sys.path == before
    assert not {"my_head", "sizes"} & set(sys.modules)


def test_predict_with_each_kind_of_trust(make_run, tmp_path, wav, capsys, monkeypatch):
    with trust.trusting():
        exported = export(own_run(make_run, "a", 1), tmp_path / "exported")
    assert main(["predict", str(exported), wav]) == 1
    assert "my_head.py beside it" in capsys.readouterr().err
    assert main(["predict", "--trust", str(exported), wav]) == 0
    assert capsys.readouterr().out.strip().endswith("yes\t0.731")
    monkeypatch.setenv("S3PRL_SB_TRUST", "yes")
    assert main(["predict", str(exported), wav]) == 0
    monkeypatch.delenv("S3PRL_SB_TRUST")
    assert main(["trust", str(exported)]) == 0
    assert main(["predict", str(exported), wav]) == 0


def test_overrides_and_options_of_an_export(make_run, tmp_path, wav):
    exported = export(make_run(), tmp_path / "exported")
    model = load_model(exported, overrides={"labels": ["a", "b"]})
    assert model.classify_file(wav)[0] in "ab"
    model = Classifier.from_hparams(exported, overrides="labels: [c, d]", savedir="x")
    assert model.classify_file(wav)[0] in "cd"
    with pytest.raises(UserError, match="no 'lables' to override"):
        load_model(exported, overrides={"lables": []})
    (exported / "head.ckpt").unlink()
    (exported / "SHA256SUMS").unlink(missing_ok=True)
    with pytest.raises(UserError, match="head.ckpt"):
        load_model(exported)


# --------------------------------------------------------------------- passing on
def test_superb_and_run_pass_it_on(tmp_path, monkeypatch):
    from s3prl_sb.benchmark import plan
    from s3prl_sb.commands import run

    runs = plan.make(["fbank"], ["KS"], {"KS": {"data_folder": "/x"}}, {}, tmp_path)
    assert "--trust" not in runs[0].command()
    with trust.trusting():
        assert "--trust" in runs[0].command()
    assert trust.taken(["a.yaml", "--trust", "--lr=1"]) == (["a.yaml", "--lr=1"], True)
    monkeypatch.setattr(run.os, "execv", lambda _, command: commands.append(command))
    commands = []
    main(["run", "SUPERB/KS", "--trust"])
    assert "--trust" in commands[0]


def test_a_search_that_somebody_sends_is_data(tmp_path, canary):
    from s3prl_sb.benchmark import plan
    from s3prl_sb.startup.arguments import parse
    from s3prl_sb.startup.configuration import Configuration

    data = {"KS": {"data_folder": "/x"}}
    runs = plan.make(["mel"], ["KS"], data, {}, tmp_path, seeds=(1, 2), rates=[0.1])
    runs[0].folder.mkdir(parents=True)
    best = f"!apply:os.system ['touch {canary}']"
    (runs[0].folder / plan.SEARCH).write_text(json.dumps({"best": best}))
    argv = [str(argument) for argument in runs[1].command()[2:]]
    with pytest.raises(UserError, match="lr is a number above 0"):
        file, _, overrides = parse(argv)
        Configuration(file, overrides).make()
    assert not canary.exists()


def test_a_recipe_takes_the_flag_and_keeps_the_code(tmp_path, write, canary):
    from s3prl_sb.startup.experiment import start

    path = write(OWN + "# settings\n")
    recipe = tmp_path / "recipe.yaml"
    out = f"output_folder: {tmp_path}/out\nsave_folder: {tmp_path}/out/save\n"
    recipe.write_text(RECIPE + out)
    argv = [str(recipe), "--upstream", path]
    with pytest.raises(TrustError):
        start(argv, lambda hparams: None)
    assert not canary.exists()
    excepthook = sys.excepthook
    try:
        hparams, _ = start([*argv, "--trust"], lambda hparams: None)
    finally:
        sys.excepthook = excepthook
    assert type(hparams["upstream_model"]).__name__ == "Mine" and hparams["size"] == 80
    saved = (tmp_path / "out/hyperparams.yaml").read_text()
    assert "!new:my_upstream.Mine" in saved and "s3prl_sb.own" not in saved
    assert (tmp_path / "out/my_upstream.py").is_file()
    assert not (tmp_path / "out/wave.py").exists()  # which it does not import
    assert (
        hparams["recipe_settings"]["upstream_model"]["tag"] == "!new:my_upstream.Mine"
    )


@pytest.mark.skipif(os.name != "posix", reason="a shell")
def test_the_canaries_sing(write, canary):
    """The inputs above would execute code in plain HyperPyYAML."""
    ways = {**CARDS, **TUPLES}
    for way in ("apply", "python/object/apply", "%TAG", "plain", "alias"):
        try:
            load_hyperpyyaml(Path(write(ways[way])).read_text())
        except Exception:  # whatever comes after
            pass
        assert canary.exists(), way
        canary.unlink()
