"""The adapter of transformers: inputs, refusals, and what is read of larger models."""

import json
import math
import sys
import types

import pytest
import torch

from s3prl_sb.errors import UserError
from s3prl_sb.lobes.cards.families import of_checkpoint
from s3prl_sb.lobes.checkpoints import huggingface_folder
from s3prl_sb.lobes.checkpoints.huggingface_architecture import needed_files
from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.networks.huggingface_layouts import TYPES, WHOLE
from s3prl_sb.lobes.upstreams.huggingface import HuggingFace

pytest.importorskip("transformers")

CLAP = {
    "model_type": "clap_audio_model",
    "patch_embeds_hidden_size": 16,
    "depths": [1, 1],
    "num_attention_heads": [2, 4],
    "spec_size": 32,
    "num_mel_bins": 8,
    "window_size": 4,
    "preprocessor": {"max_length_s": 1, "feature_size": 8},
}
WHISPER = {
    "d_model": 32,
    "encoder_layers": 1,
    "encoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "max_source_positions": 50,
    "num_mel_bins": 20,
}


def noise(samples):
    generator = torch.Generator().manual_seed(samples)
    return 0.1 * torch.randn(samples, generator=generator)


def test_bands_of_clap():
    mean, both = (HuggingFace(config=CLAP, bands=b) for b in ("mean", None))
    assert mean.sample_rate == 48000 and mean.output_sizes == [16, 32, 32]
    assert both.output_sizes == [32, 32, 32]  # two bands, then one
    wav = noise(70000)[None]
    for a, b in zip(mean(wav)[0], both(wav)[0]):
        bands = b.unflatten(2, (-1, a.shape[2]))
        torch.testing.assert_close(bands.mean(2), a)
    with pytest.raises(ValueError, match="Unknown bands 'sum'. Known: mean, concat"):
        HuggingFace(config=CLAP, bands="sum")
    with pytest.raises(ValueError, match="bands: mean is for CLAP"):
        HuggingFace(config={"model_type": "voxtral_encoder", **WHISPER}, bands="mean")


def test_clap_repeats_the_audio():
    """A sound that repeats itself has the same frames however often it is there."""
    upstream, wav = HuggingFace(config=CLAP), noise(12000)
    once, twice = (upstream(wav.repeat(n)[None])[0] for n in (1, 2))
    assert [once[0].shape[1], twice[0].shape[1]] == [4, 8]
    for a, b in zip(once, twice):
        torch.testing.assert_close(a, b[:, :4], rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", ["qwen2_audio", "qwen2_5_omni_audio", "voxtral"])
def test_groups_of_windows(kind):
    """Hours run part by part, with the same result."""
    config = {"model_type": f"{kind}_encoder", **WHISPER}
    if kind == "qwen2_5_omni_audio":
        config["n_window"] = 10
    upstream = HuggingFace(config=config)
    wav = noise(5 * 16000 + 700)[None]
    states, _ = upstream(wav)
    upstream.group_seconds = {"cpu": 2.5}
    for state, parts in zip(states, upstream(wav)[0], strict=True):
        torch.testing.assert_close(state, parts, rtol=0, atol=1e-5)


def test_frames_of_qwen3_omni_lie_on_a_grid():
    """A second of 13 frames of 80 ms ends with one of 40 ms."""
    config = {"model_type": "qwen3_omni_moe_audio_encoder", **WHISPER}
    upstream = HuggingFace(config={**config, "downsample_hidden_size": 8})
    assert upstream.stride == 640
    assert [upstream.frames(n) for n in (1, 640, 641, 16000, 16001)] == [
        1,
        1,
        2,
        25,
        26,
    ]
    rows = upstream.network.grid(211)
    assert rows[:4].tolist() == [0, 0, 1, 1]
    assert rows[23:27].tolist() == [11, 12, 13, 13]
    assert len(rows) == math.ceil(211 / 4) and rows[-1] == 26 + math.ceil(11 / 8) - 1
    with pytest.raises(ValueError, match="n_window: 20 of Qwen3-Omni"):
        HuggingFace(config={**config, "n_window": 20})


def test_short_audio_runs_through_few_frames():
    """The layers of Qwen2-Audio never get the silence up to 30 s."""
    upstream = HuggingFace(config={"model_type": "qwen2_audio_encoder", **WHISPER})
    sizes = []
    upstream.network.model.layers[0].fc1.register_forward_hook(
        lambda module, args, output: sizes.append(output.shape[1])
    )
    upstream(noise(1600)[None])
    assert sizes == [5]


def test_unknown_types(tmp_path, monkeypatch):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(CheckpointError, match="their models: audioflamingo3, clap"):
        HuggingFace(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "voxtral"}')
    with pytest.raises(CheckpointError, match="voxtral has no audio_config, which"):
        HuggingFace(tmp_path)
    older = types.SimpleNamespace(CONFIG_MAPPING={}, __version__="4.57.0")
    monkeypatch.setitem(sys.modules, "transformers", older)
    with pytest.raises(
        CheckpointError, match="glmasr_encoder.*since version 5.0; here is 4"
    ):
        HuggingFace(config={"model_type": "glmasr_encoder"})


def test_where_a_network_was_loaded_from_is_left_out(tmp_path):
    """It is a folder of its author."""
    config = {"model_type": "sew", "_name_or_path": "/home/anna/geheim"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    read = huggingface_folder.entries(tmp_path)
    assert read["model_type"] == "sew" and "geheim" not in json.dumps(read)


def test_only_the_files_of_the_encoder_are_downloaded(tmp_path, monkeypatch):
    huggingface_hub = pytest.importorskip("huggingface_hub")
    places = {
        "audio_tower.conv1.weight": "b.safetensors",
        "lm_head.weight": "a.safetensors",
    }
    config = {"model_type": "qwen2_audio", "audio_config": WHISPER}
    (tmp_path / "config.json").write_text(json.dumps(config))
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": places}))
    asked = []

    def snapshot_download(name, local_files_only, **patterns):
        asked.append(patterns["allow_patterns"])
        return str(tmp_path)

    monkeypatch.delenv("S3PRL_SB_OFFLINE", raising=False)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    for load in (HuggingFace, of_checkpoint):  # with a card, and without one
        asked.clear()
        with pytest.raises(UserError, match="b.safetensors' is missing, one of the 1"):
            load("Qwen/Some-Audio")
        assert asked == [["*.json"], ["*.json", "b.safetensors"]]
    index.unlink()  # all in one file
    assert needed_files(tmp_path) == []


def test_every_tower_has_its_class_and_prefixes():
    for kind, _ in WHOLE.values():
        assert TYPES[kind].network and TYPES[kind].prefixes
