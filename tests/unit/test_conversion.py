"""s3prl-sb convert: whole or not at all, equal or not at all, errors in words."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from started_processes import Fork

from s3prl_sb.cli import main
from s3prl_sb.lobes.cards import conversion
from s3prl_sb.lobes.cards.conversion import ConversionError, convert
from s3prl_sb.lobes.cards.families import SourceError, classes
from s3prl_sb.lobes.cards.writing import write_network
from s3prl_sb.lobes.checkpoints.fetch import FetchError
from s3prl_sb.lobes.upstreams import card, load, names
from s3prl_sb.lobes.upstreams.mockingjay import Mockingjay, Tera
from s3prl_sb.storage.tensor_files import CRC

CONFIG = {"transformer": {"hidden_size": 24, "num_attention_heads": 4}}
TERA = "s3prl_sb.lobes.upstreams.mockingjay.Tera"
OWN = """
import torch
from s3prl_sb.lobes.upstreams.base import Upstream
from s3prl_sb.lobes.checkpoints.building import build, read_source

class Own(Upstream):
    stride, num_layers, output_size = 160, 1, 4

    def __init__(self, source=None, config=None, dictionary=None, scale=1.0,
                 freeze=True, precision="fp32", adapter=None):
        super().__init__(freeze, precision, adapter)
        self.config, weights = config or {"size": 160}, None
        if source is not None:
            self.config, weights = READ
        self.scale = scale
        self.network = build(
            lambda: torch.nn.Linear(self.config["size"], 4), weights, source
        )

    def frames(self, samples):
        return max(1, samples // 160)

    def encode(self, wavs):
        return [self.scale * self.network(wavs.unfold(1, 160, 160))]

    @property
    def min_samples(self):
        return 160
"""


def wavs():
    return 0.1 * torch.randn(2, 8000, generator=torch.Generator().manual_seed(3))


@pytest.fixture
def checkpoint(tmp_path):
    """One of TERA in S3PRL's layout, and an upstream of it."""
    upstream = Tera(config=CONFIG, seed=5)
    weights = {}
    for name, tensor in upstream.network.state_dict().items():
        for ours, theirs in (
            (r"^projection\.", "input_representations.spec_transform."),
            (r"^norm\.", "input_representations.LayerNorm."),
            (r"^layers\.(\d+)\.contract\.", r"encoder.layer.\1.output.dense."),
            (r"^layers\.(\d+)\.ffn_norm\.", r"encoder.layer.\1.output.LayerNorm."),
            (r"^layers\.(\d+)\.expand\.", r"encoder.layer.\1.intermediate.dense."),
            (r"^layers\.(\d+)\.output\.", r"encoder.layer.\1.attention.output.dense."),
            (r"^layers\.(\d+)\.attention_norm\.",
             r"encoder.layer.\1.attention.output.LayerNorm."),
            (r"^layers\.(\d+)\.(query|key|value)\.",
             r"encoder.layer.\1.attention.self.\2."),
        ):  # fmt: skip
            name = re.sub(ours, theirs, name)
        weights[name] = tensor
    path = tmp_path / "states-1.ckpt"
    torch.save({"Transformer": weights, "Upstream_Config": upstream.config}, path)
    return path


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Writes a trusted custom card with its class."""
    monkeypatch.setenv("S3PRL_SB_TRUST", "1")

    def write(module, read, options="", folder=tmp_path / "own"):
        folder.mkdir(exist_ok=True)
        (folder / f"{module}.py").write_text(OWN.replace("READ", read))
        (folder / "card.yaml").write_text(f"mine: !new:{module}.Own\n{options}")
        return str(folder / "card.yaml")

    return write


READER = "read_source(source, lambda path: 1 / 0)"


def content(folder):
    return sorted(path.name for path in Path(folder).iterdir())


# ------------------------------------------------------------------ what it does
def test_a_checkpoint(checkpoint, tmp_path):
    original = Tera(source=str(checkpoint))
    path, upstream = convert(checkpoint.as_posix(), tmp_path / "out", upstream="tera")
    assert path == tmp_path / "out" / "card.yaml"
    assert content(path.parent) == ["card.yaml", "model.safetensors"]
    assert content(tmp_path) == ["out", "states-1.ckpt"]
    assert path.read_text() == (
        f"# Written by s3prl-sb convert {checkpoint.name}\n"
        f"tera: !new:{TERA}\n    source: model.safetensors\n"
    )
    for again in (upstream, load(str(path)), load(f"{path}:tera")):
        assert type(again) is Tera and again.config == original.config
        for one, other in zip(original.network.parameters(), again.parameters()):
            assert torch.equal(one, other) and one.dtype == other.dtype
        for one, other in zip(original(wavs())[0], again(wavs())[0]):
            torch.testing.assert_close(one, other)
    with safe_open(path.parent / "model.safetensors", "pt") as file:
        about = json.loads(file.metadata()["s3prl_sb"])
    assert about.pop(CRC)
    assert about == {"class": TERA, "config": original.config}


@pytest.mark.parametrize(
    "name, kind", [("tera.ckpt", Tera), ("tera/a.ckpt", Tera), ("a.ckpt", Mockingjay)]
)
def test_the_family_is_found(name, kind, checkpoint, tmp_path):
    """By the name of the file, else by asking all."""
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    checkpoint.rename(path)
    made, upstream = convert(str(path), tmp_path / "out")
    assert type(upstream) is kind
    assert list(conversion.card(made)) == ["source"]
    assert made.read_text().splitlines()[1].startswith(f"{path.stem}: !new:")


def test_order_of_classes():
    """Every class, each once; those with a name that fits first."""
    found = classes("a.pt")
    assert sorted(found) == sorted({card(n).tag.value[5:] for n in names()})
    assert found[-1].endswith(".HuggingFace") or "huggingface" not in str(found)
    for source, first in (
        ("hubert_base_ls960.pt", "hubert.Hubert"),
        ("facebook/hubert-base-ls960", "hubert.Hubert"),
        ("https://x.org/wav2vec2_large.pt", "wav2vec2.Wav2Vec2"),
        ("tera_960hr/states-1000.ckpt", "mockingjay.Tera"),
        ("AUDIO-ALBERT.ckpt", "mockingjay.AudioAlbert"),
    ):
        assert classes(source)[0].endswith(first) and sorted(classes(source)) == sorted(
            found
        )
    found = [tag for tag in found if ".mockingjay." in tag]
    assert found[0].endswith("Mockingjay")


def test_a_card_by_its_name_or_file(checkpoint, tmp_path, monkeypatch):
    """Published ones are fetched."""
    monkeypatch.setattr(
        "s3prl_sb.lobes.checkpoints.building.fetch", lambda source: checkpoint
    )
    path, upstream = convert("tera", tmp_path / "a")
    assert type(upstream) is Tera and "\ntera: !new:" in path.read_text()
    (tmp_path / "mine.yaml").write_text(
        f"big: !new:{TERA}\n    source: {checkpoint.name}\nfbank: !new:x.Y\n"
    )
    again, upstream = convert(f"{tmp_path}/mine.yaml:big", tmp_path / "b")
    assert upstream.config == load(str(path)).config


def test_arguments_go_along(own, tmp_path):
    """All but those that name files, which are in the network by now."""
    (tmp_path / "words.txt").write_text("")
    name = own(
        "own_arguments",
        READER,
        "    config: {size: 160}\n    scale: 3.0\n    precision: bf16\n"
        f"    dictionary: {tmp_path}/words.txt\n",
    )
    path, upstream = convert(name, tmp_path / "out")
    assert upstream.precision == "fp32" and upstream.scale == 3.0
    assert content(path.parent)[::2] == ["card.yaml", "own_arguments.py"]
    text = path.read_text()
    assert "dictionary" not in text and "scale: 3.0" in text and "bf16" in text
    with safe_open(path.parent / "model.safetensors", "pt") as file:
        assert file.get_tensor("weight").dtype == torch.float32  # nothing is lost
    assert load(str(path)).network.weight.dtype == torch.bfloat16
    # In another place and process, too.
    (tmp_path / "own").rename(tmp_path / "gone")
    path.parent.rename(tmp_path / "moved")
    code = (
        "import sys, torch; from s3prl_sb.lobes.upstreams import load;"
        "upstream = load(sys.argv[1], precision='fp32');"
        "print(upstream(torch.ones(1, 800))[0][0].sum().item())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "moved" / "card.yaml"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    expected = upstream(torch.ones(1, 800))[0][0].sum().item()
    assert float(done.stdout) == pytest.approx(expected)


def test_own_code_comes_along_and_is_trusted_by_itself(
    own, tmp_path, monkeypatch, capsys
):
    card = own("own_class", f"({{'size': 160}}, None) if source is None else {READER}")
    (tmp_path / "own" / "sizes.py").write_text("")
    with open(tmp_path / "own" / "own_class.py", "a") as file:
        file.write("\nimport sizes\n")
    monkeypatch.delenv("S3PRL_SB_TRUST")
    assert main(["trust", str(tmp_path / "own")]) == 0
    assert main(["convert", card, str(tmp_path / "converted")]) == 0
    assert "card.yaml: own_class.Own" in capsys.readouterr().out
    files = ["card.yaml", "model.safetensors", "own_class.py", "sizes.py"]
    assert content(tmp_path / "converted") == files
    assert "!new:own_class.Own" in (tmp_path / "converted/card.yaml").read_text()
    assert main(["check", str(tmp_path / "converted/card.yaml")]) == 1
    assert "own_class.py beside it" in capsys.readouterr().err


def test_adapters_are_no_part_of_it(tmp_path):
    """They are trained later; the card still asks for them."""
    mine = tmp_path / "mine.yaml"
    mine.write_text(
        f"mine: !new:{TERA}\n    freeze: False\n    adapter: {{kind: lora, rank: 2}}\n"
        f"    config: {json.dumps(CONFIG)}\n"
    )
    path, _ = convert(str(mine), tmp_path / "out")
    upstream = load(str(path))
    assert upstream.adapter == {"kind": "lora", "rank": 2} and upstream.training
    with safe_open(path.parent / "model.safetensors", "pt") as file:
        assert set(file.keys()) == set(Tera(config=CONFIG).network.state_dict())
        assert set(file.keys()) != set(upstream.network.state_dict())


@pytest.mark.parametrize(
    "source, name",
    [
        ("a/hubert_base.pt", "hubert_base"),
        ("https://x.org/states-100.ckpt?dl=1&token=secret", "states_100"),
        ("facebook/hubert-base-ls960", "hubert_base_ls960"),
        ("960.pt", "model_960"),
        ("_.pt", "model"),
        ("HuBERT_2.7821.pt#sha256=00", "HuBERT_2_7821"),
        ("folder/", "folder"),
    ],
)
def test_names_of_cards(source, name):
    assert conversion._name(source) == name


def test_shared_and_sliced_weights(tmp_path):
    """safetensors takes no tensor that is a part of another's memory."""
    whole = torch.arange(12.0)
    network, upstream = torch.nn.Module(), torch.nn.Module()
    network.a = torch.nn.Parameter(whole[:6].view(2, 3).t())
    network.b = torch.nn.Parameter(whole[6:])
    network.c = network.b
    network.register_buffer("empty", torch.empty(0, 2))
    upstream.network, upstream.config = network, {}
    write_network(tmp_path / "a.safetensors", upstream)
    with safe_open(tmp_path / "a.safetensors", "pt") as file:
        assert torch.equal(file.get_tensor("a"), network.a)
        assert torch.equal(file.get_tensor("b"), file.get_tensor("c"))
        assert file.get_tensor("empty").shape == (0, 2)
    assert (tmp_path / "a.safetensors").stat().st_size < 500


# -------------------------------------------------------------- what it refuses
def test_nothing_can_read_it(tmp_path):
    torch.save({"weights of": "nobody", "w": torch.ones(1)}, tmp_path / "a.pt")
    with pytest.raises(SourceError) as caught:
        convert(str(tmp_path / "a.pt"), tmp_path / "out")
    lines = str(caught.value).splitlines()
    assert lines[0].startswith(f"No family can read '{tmp_path}/a.pt'.")
    said = " ".join(lines[1:])
    assert "- Mockingjay, AudioAlbert, Tera: it is not a checkpoint of" in said
    assert "KaldiFeatures" not in said and all(len(line) < 300 for line in lines)
    assert content(tmp_path) == ["a.pt"]


def test_hostile_and_broken_files(tmp_path):
    import pickle

    for data, message in ((pickle.dumps(os.system), "refused"), (b"abc", "broken")):
        (tmp_path / "a.pt").write_bytes(data)
        with pytest.raises(SourceError, match=message):
            convert(str(tmp_path / "a.pt"), tmp_path / "out")
    assert content(tmp_path) == ["a.pt"]


def test_no_such_source(tmp_path, monkeypatch):
    monkeypatch.setenv("S3PRL_SB_OFFLINE", "1")
    monkeypatch.setenv("S3PRL_SB_CACHE", str(tmp_path / "cache"))
    with pytest.raises(SourceError, match="No checkpoint at 'tra'.*Did you mean"):
        convert("tra", tmp_path / "out")
    with pytest.raises(FileNotFoundError, match="No checkpoint at"):
        convert(str(tmp_path / "absent.pt"), tmp_path / "out", upstream="tera")
    with pytest.raises(FetchError, match="Offline"):
        convert("tera", tmp_path / "out")
    with pytest.raises(ValueError, match="Did you mean .*tera"):
        convert(str(tmp_path / "absent.pt"), tmp_path / "out", upstream="terra")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["fbank", "mel"])
def test_features_have_no_weights(name, tmp_path):
    with pytest.raises(ConversionError, match=f"'{name}' is a .*Features, .* no weig"):
        convert(name, tmp_path / "out")
    assert content(tmp_path) == []


@pytest.mark.parametrize(
    "module, read, message",
    [
        (
            "own_deaf",
            "({'size': 160}, torch.load(source))",
            "cannot read what was conv",
        ),
        ("own_other", "({'size': 160}, None)", "gives other features"),
    ],
)
def test_what_does_not_come_back_is_not_written(module, read, message, own, tmp_path):
    name = own(module, read)
    if module == "own_other":  # random weights of another seed each time
        text = (tmp_path / "own" / f"{module}.py").read_text()
        text = text.replace("weights, source\n", "weights, source, id(self)\n")
        (tmp_path / "own" / f"{module}.py").write_text(text)
    with pytest.raises(ConversionError, match=f"{message}.*so nothing was written"):
        convert(name, tmp_path / "out")
    assert content(tmp_path) == ["own"]


def test_configuration_that_is_no_json(own, tmp_path):
    name = own("own_config", READER)
    path = tmp_path / "own" / "own_config.py"
    path.write_text(path.read_text().replace('"size": 160}', '"size": 160, "a": {1}}'))
    with pytest.raises(ConversionError, match="Own does not fit into JSON.*set"):
        convert(name, tmp_path / "out")
    assert content(tmp_path) == ["own"]


# -------------------------------------------------------------- the destination
def test_overwrites_only_by_force(checkpoint, tmp_path):
    out = tmp_path / "out"
    convert(str(checkpoint), out)
    before = (out / "model.safetensors").read_bytes()
    (out / "notes.txt").write_text("mine")
    with pytest.raises(ConversionError, match="is not empty. --force replaces"):
        convert("tera", out)  # before anything is fetched
    tiny = tmp_path / "tiny.yaml"
    tiny.write_text(f"tiny: !new:{TERA}\n    config: {json.dumps(CONFIG)}\n")
    convert(str(tiny), out, force=True)
    assert content(out) == ["card.yaml", "model.safetensors", "notes.txt"]
    assert (out / "model.safetensors").read_bytes() != before
    assert load(str(out / "card.yaml")).config == load(str(tiny)).config
    (tmp_path / "file").write_text("")
    with pytest.raises(ConversionError, match="file' is a file"):
        convert(str(tiny), tmp_path / "file", force=True)


def test_onto_itself(checkpoint, tmp_path):
    path, upstream = convert(str(checkpoint), tmp_path / "out")
    before = path.read_text(), (path.parent / "model.safetensors").read_bytes()
    again, other = convert(str(path), tmp_path / "out", force=True)
    assert again == path and other.config == upstream.config
    assert (path.parent / "model.safetensors").read_bytes() == before[1]


def test_into_an_empty_folder(checkpoint, tmp_path, monkeypatch):
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b")
    path, _ = convert(str(checkpoint), ".")
    assert path == tmp_path / "a" / "b" / "card.yaml" and content(".")[0] == "card.yaml"
    assert content(tmp_path / "a") == ["b"]
    path, _ = convert(str(checkpoint), tmp_path / "new" / "deep")
    assert content(tmp_path / "new") == ["deep"] and load(str(path))


KILLED = """
import os, sys, time
from s3prl_sb.lobes.cards import conversion, writing
moment, checkpoint, out, force = sys.argv[1:]

def wait(*args):
    print("now", flush=True)
    time.sleep(60)

if moment == "writing":
    save = writing.write_safetensors
    def half(path, weights, about):
        save(path, weights, about)
        os.truncate(path, os.path.getsize(path) // 2)
        wait()
    writing.write_safetensors = half
elif moment == "verifying":
    conversion.noise_features = wait
else:
    from s3prl_sb.storage import parts
    name = "_exchanged" if force else "_sync"  # the last one before it is published
    original = getattr(parts, name)
    def stopped(*paths):
        if moment == "published":
            original(*paths)
        if str(paths[0]).startswith(out.replace("/out", "/.out")):
            wait()
    setattr(parts, name, stopped)
conversion.convert(checkpoint, out, upstream="tera", force=force == "force")
"""


@pytest.mark.parametrize(
    "moment, force",
    [("writing", ""), ("verifying", ""), ("publishing", "")]
    + [("verifying", "force"), ("publishing", "force"), ("published", "force")],
)
def test_kill_9(moment, force, checkpoint, tmp_path):
    """Whenever it comes, what is there is whole; and the next run succeeds."""
    out = tmp_path / "out"
    if force:
        convert(str(checkpoint), out, upstream="mockingjay")
    process = Fork(KILLED, moment, str(checkpoint), str(out), force)
    assert process.stdout.readline() == "now\n"
    assert process.kill() == -signal.SIGKILL
    if not force:
        assert not out.exists()
    else:  # the old one or the new one, whole
        kind = Tera if moment == "published" else Mockingjay
        assert type(load(str(out / "card.yaml"))) is kind
    convert(str(checkpoint), out, upstream="tera", force=bool(force))
    assert type(load(str(out / "card.yaml"))) is Tera
    assert content(tmp_path) == ["out", "states-1.ckpt"]


# ------------------------------------------------------------------ command line
def test_verb(checkpoint, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["convert", str(checkpoint), str(out), "--upstream", "tera"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{out}/card.yaml: {TERA}"
    assert re.fullmatch(
        r"4 hidden states of 24, every 160 samples; 0.5 M weights, 1.\d MB", lines[1]
    )
    assert lines[2] == "features of noise: equal to the original's" and len(lines) == 3
    assert main(["check", str(out / "card.yaml")]) == 0
    assert main(["convert", str(checkpoint), str(out)]) == 1
    error = capsys.readouterr().err
    assert error == (
        f"s3prl-sb: '{out}' is not empty. --force replaces a conversion in it, and "
        "leaves other files.\n"
    )
    assert main(["convert", str(checkpoint), str(out), "--force"]) == 0


def test_help(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["convert", "--help"])
    text = capsys.readouterr().out
    assert stop.value.code == 0 and "usage: s3prl-sb convert" in text
    assert {"--upstream", "--force"} <= set(text.replace(",", " ").split())


def test_a_transformer_under_a_name_that_says_nothing_is_of_the_first_of_its_kin():
    """And no data2vec: all of wav2vec 2.0's kin have the same reader."""
    assert classes("x.pt")[0].endswith(".Wav2Vec2")
    assert classes("some-hubert.pt")[0].endswith(".Hubert")
    assert classes("data2vec.pt")[0].endswith(".Data2VecAudio")
