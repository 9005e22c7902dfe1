"""torch.hub: every name, from a checkout alone, called in S3PRL's way."""

import ast
import copy
import json
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from s3prl_sb.lobes.cards.finding import card_file
from s3prl_sb.lobes.cards.hub import HubUpstream, entries, loaders
from s3prl_sb.lobes.checkpoints.building import CONVERTED
from s3prl_sb.lobes.upstreams import card, load, names
from s3prl_sb.storage import remote_files

ROOT = Path(__file__).parents[2]
#: What S3PRL 0.4.18 calls the loaders of files.
S3PRL = """apc_local apc_url audio_albert_local audio_albert_url cpc_local cpc_url
data2vec_custom data2vec_local data2vec_url decoar2_custom decoar2_local decoar2_url
decoar_custom decoar_layers_custom decoar_layers_local decoar_layers_url decoar_local
decoar_url distiller_local distiller_url espnet_hubert_custom espnet_hubert_local
hf_hubert_custom hf_wav2vec2_custom hubert_custom hubert_local hubert_url
lighthubert_local lighthubert_url mae_ast_local mae_ast_url mockingjay_local
mockingjay_url mos_apc_local mos_apc_url mos_tera_local mos_tera_url
mos_wav2vec2_local mos_wav2vec2_url multires_hubert_custom multires_hubert_local
npc_local npc_url pase_local pase_url tera_local tera_url unispeech_sat_local
unispeech_sat_url vq_apc_url vq_wav2vec_custom wav2vec2_custom wav2vec2_local
wav2vec2_url wav2vec_custom wav2vec_local wav2vec_url wavlm_local wavlm_url""".split()
TINY = {"transformer": {"hidden_size": 32, "num_attention_heads": 4}}
pytestmark = pytest.mark.skipif(
    not (ROOT / "hubconf.py").is_file(), reason="installed, not a checkout"
)


@pytest.fixture
def github(tmp_path, monkeypatch):
    """The checkout as torch.hub would keep it after a download."""
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "hub"))
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / "someone_s3prl_sb_main").symlink_to(ROOT)
    return "someone/s3prl_sb:main"


@pytest.fixture
def tiny(tmp_path):
    """A checkpoint of TERA, and its upstream."""
    upstream = load("tera", source=None, config=TINY, seed=7)
    path = tmp_path / "tiny.safetensors"
    about = json.dumps({"class": "tera", "config": upstream.config})
    save_file(upstream.network.state_dict(), path, {CONVERTED: about})
    return path, upstream


def wavs(*lengths):
    generator = torch.Generator().manual_seed(0)
    return [0.1 * torch.randn(n, generator=generator) for n in lengths]


def local(name, **options):
    return torch.hub.load(str(ROOT), name, source="local", **options)


# -------------------------------------------------------------------------- names
def test_every_name_is_listed(github):
    found = torch.hub.list(github, trust_repo=True, verbose=False)
    assert set(found) == set(entries()) >= set(names())
    assert all(callable(entry) for entry in entries().values())


def test_families_have_cards():
    missing = set(loaders().values()) - set(names())
    assert not missing, f"no card for {missing}"
    assert all("source" in card(name) for name in loaders().values())
    assert "_hub: {distiller: " in card_file(loaders()["distiller"]).read_text()


def test_names_of_s3prl():
    assert set(S3PRL) <= set(entries()), set(S3PRL) - set(entries())


@pytest.mark.parametrize("name", ["hubert_base", "hubert_local", "mel"])
def test_help(name, github):
    text = torch.hub.help(github, name, trust_repo=True)
    assert text.startswith(f"{name}: ") and "ckpt : str" in text
    assert ("https://arxiv.org/abs/2106.07447" in text) == (name == "hubert_base")


def test_dependencies():
    """Libraries that the upstreams import are dependencies of ours."""
    tree = ast.parse((ROOT / "hubconf.py").read_text("utf-8"))
    named = [ast.literal_eval(n) for n in ast.walk(tree) if isinstance(n, ast.List)]
    dependencies = set(sum(named, []))
    imported = set()
    for path in (ROOT / "s3prl_sb" / "lobes" / "upstreams").glob("*.py"):
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(node.module.split(".")[0])
    imported -= {*sys.stdlib_module_names, "s3prl_sb"}
    assert imported <= dependencies, imported - dependencies
    installed = re.findall(r'"([\w.-]+)>=', (ROOT / "setup.py").read_text("utf-8"))
    assert dependencies <= set(installed), dependencies - set(installed)


def test_from_a_checkout_alone(tmp_path):
    """In a process that knows nothing of the package."""
    code = f"""
import sys, torch
model = torch.hub.load({str(ROOT)!r}, "mel", source="local", n_mels=20)
import s3prl_sb
assert s3prl_sb.__file__.startswith({str(ROOT)!r}), s3prl_sb.__file__
print(model([torch.randn(16000)])["hidden_states"][0].shape)
"""
    command = [sys.executable, "-I", "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.strip() == "torch.Size([1, 101, 20])", done.stderr


# -------------------------------------------------------------------------- calls
@pytest.mark.parametrize("name", ["mel", "fbank", "tera"])
def test_lists_as_in_s3prl(name):
    options = {"ckpt": None, "config": TINY} if name == "tera" else {}
    model, batch = local(name, **options), wavs(16000, 4960, 23000)
    found = model(batch)
    expected = model.upstream.extract(batch)
    assert found.keys() == expected.keys()
    states = found["hidden_states"]
    assert found["last_hidden_state"] is states[-1] and len(states) == model.num_layers
    assert all(map(torch.equal, states, expected["hidden_states"]))
    stride = model.get_downsample_rates("hidden_states")
    for i, wav in enumerate(batch):
        frames = model.frames(len(wav))
        assert abs(frames - len(wav) / stride) < 5  # what S3PRL tolerates
        for state, alone in zip(states, model([wav])["hidden_states"]):
            torch.testing.assert_close(state[i, :frames], alone[0])
            assert not state[i, frames:].any()


def test_batches_as_in_speechbrain():
    model, lens = local("mel"), torch.tensor([1.0, 0.5])
    batch = torch.stack(wavs(16000, 16000))
    (states, lens_of_states), (expected, expected_lens) = (
        model(batch, lens),
        model.upstream(batch, lens),
    )
    assert torch.equal(states[0], expected[0])
    assert torch.equal(lens_of_states, expected_lens)
    assert torch.equal(model(batch)[0][0], model.upstream(batch)[0][0])


def test_it_remains_the_upstream():
    model = local("tera", ckpt=None, config=TINY)
    assert (model.num_layers, model.output_size, model.stride) == (4, 32, 160)
    assert model.output_sizes == [32] * 4 and model.sample_rate == 16000
    with pytest.raises(AttributeError, match="nothing"):
        model.nothing
    batch = wavs(8000, 9000)
    expected = model(batch)["last_hidden_state"]
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(other(batch)["last_hidden_state"], expected)


def test_frozen_unless_told():
    frozen = local("tera", ckpt=None, config=TINY).train()
    assert not any(module.training for module in frozen.modules())
    assert not frozen(wavs(8000))["last_hidden_state"].requires_grad
    trained = local("tera", ckpt=None, config=TINY, freeze=False)
    assert trained.training and not trained.eval().upstream.training
    assert trained(wavs(8000))["last_hidden_state"].requires_grad
    half = local("tera", ckpt=None, config=TINY, precision="bf16")
    assert half(wavs(8000))["last_hidden_state"].dtype == torch.bfloat16


# -------------------------------------------------------------------------- files
@pytest.mark.parametrize("name", ["tera_local", "tera_url", "mockingjay_local", "tera"])
def test_files(name, tiny):
    path, upstream = tiny
    batch = wavs(9000, 16000)
    expected = upstream.extract(batch)["last_hidden_state"]
    for ckpt in (path, str(path)):
        found = local(name, ckpt=ckpt)(batch)["last_hidden_state"]
        assert torch.equal(found, expected)


def test_a_file_is_needed():
    with pytest.raises(TypeError, match="ckpt"):
        local("tera_local")
    with pytest.raises(FileNotFoundError, match="No checkpoint at 'absent.ckpt'"):
        local("tera_local", ckpt="absent.ckpt")
    with pytest.raises(ValueError, match="mel: .*StftFeatures takes no 'source'"):
        entries()["mel"](ckpt="a.pt")


def test_refresh(tiny, tmp_path, monkeypatch):
    path, upstream = tiny
    url = "https://example.org/tiny.safetensors"
    monkeypatch.setenv("S3PRL_SB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("S3PRL_SB_OFFLINE", "0")
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    downloads = []

    def download(address, part, name):
        downloads.append(address)
        part.write_bytes(path.read_bytes())

    monkeypatch.setattr(remote_files, "_resume", download)
    for refresh, count in ((False, 1), (False, 1), (True, 2)):
        model = entries()["tera_url"](url, refresh=refresh)
        assert isinstance(model, HubUpstream) and downloads == [url] * count
    monkeypatch.setenv("S3PRL_SB_OFFLINE", "1")  # keep what cannot be had again
    entries()["tera"](ckpt=url, refresh=True)
    assert len(downloads) == 2
    entries()["mel"](refresh=True)  # nothing to download


def test_baseline_local(tmp_path):
    """S3PRL's custom configuration of acoustic features."""
    (tmp_path / "mel.yaml").write_text("n_mels: 40\ninput: {feat_type: mel, log: true}")
    model = torch.hub.load(
        str(ROOT), "baseline_local", str(tmp_path / "mel.yaml"), source="local"
    )
    assert model([torch.randn(16000)])["hidden_states"][0].shape == (1, 101, 40)
