"""Spin and R-Spin: the authors' numbers, and Spin's files of Lightning."""

import pytest
import torch
from npz_fixtures import Fixture, assert_fits, linear, norm, ones
from tensors import error, noise
from torch.nn.utils.rnn import pad_sequence
from transformer_checkpoint_files import fairseq, randomized

from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.upstreams.hubert import Hubert
from s3prl_sb.lobes.upstreams.spin import Spin, read_spin

TINY = {
    "conv_layers": [[16, 10, 5], *[[16, 3, 2]] * 4, *[[16, 2, 2]] * 2],
    "hidden_size": 128,
    "ffn_size": 48,
    "num_layers": 2,
    "num_heads": 2,
    "position_kernel": 16,
    "position_groups": 4,
}


def test_equals_rspin(tmp_path):
    fixture = Fixture("rspin")
    content = {"cfg": {"codebook_dim": 8}, "state_dict": fixture.below("state/")}
    torch.save(content, tmp_path / "wavlm_rspin_32-40k.pt")
    upstream = Spin(str(tmp_path / "wavlm_rspin_32-40k.pt"))
    wavs = fixture.wavs
    lens = torch.tensor([len(wav) for wav in wavs]) / max(map(len, wavs))
    states, _ = upstream(pad_sequence(wavs, batch_first=True), lens)
    for i in range(len(wavs)):
        expected = fixture.listed(f"hidden/{i}/")
        assert len(states) == len(expected) == 3
        for state, hidden in zip(states, expected):
            assert error(state[i, : len(hidden)], hidden) < 1e-4


def lightning(original):
    """A file of Spin's training."""
    _, _, weights = fairseq(original)
    states = {f"encoder.model.{name}": tensor for name, tensor in weights.items()}
    states |= linear("pred_head.layers.0", 256, 128)
    states["loss_module.codebook.weight"] = ones(256, 256)
    options = {"model": {"encoder": {"type": "HuBERT", "use_layer": 12}}}
    return {"state_dict": states, "hyper_parameters": options, "global_step": 5000}


def test_spin_over_hubert(tmp_path):
    original = randomized(TINY)
    torch.save(lightning(original), tmp_path / "spin_hubert_256.ckpt")
    upstream = Spin(str(tmp_path / "spin_hubert_256.ckpt"))
    wavs = noise(16000).view(2, 8000)
    states, expected = upstream(wavs)[0], original(wavs)[0]
    assert len(states) == len(expected) == 3
    for state, hidden in zip(states[1:], expected[1:]):
        assert error(state, hidden) < 1e-5
    x, _ = original.network.front(list(wavs))  # without positions
    assert error(states[0].flatten(0, 1), x) < 1e-5


def test_other_families(tmp_path):
    path = tmp_path / "a.ckpt"
    content = lightning(randomized(TINY))
    torch.save(content, path)
    with pytest.raises(CheckpointError, match="encoder_embed_dim"):
        Hubert(str(path))
    states = content["state_dict"]
    del states["encoder.model.encoder.layers.1.fc2.bias"]
    states["encoder.model.extra"] = torch.ones(2)
    torch.save(content, path)
    with pytest.raises(CheckpointError, match="layers.1.contract.bias(.|\n)*extra"):
        Spin(str(path))
    network = {n: t for n, t in states.items() if n.startswith("encoder.")}
    torch.save({"state_dict": network}, path)
    with pytest.raises(CheckpointError, match="no checkpoint of Spin or R-Spin"):
        Spin(str(path))


def published(prefix):
    """Every name in a file of Spin or R-Spin over WavLM with its shape."""
    state, channels = {"mask_emb": ones(768)}, 1
    for i, kernel in enumerate([10, 3, 3, 3, 3, 2, 2]):
        name = f"feature_extractor.conv_layers.{i}.0.weight"
        state[name], channels = ones(512, channels, kernel), 512
    state |= norm("feature_extractor.conv_layers.0.2", 512)
    state |= norm("layer_norm", 512) | linear("post_extract_proj", 768, 512)
    state["encoder.pos_conv.0.bias"] = ones(768)
    state["encoder.pos_conv.0.weight_g"] = ones(1, 1, 128)
    state["encoder.pos_conv.0.weight_v"] = ones(768, 48, 128)
    state |= norm("encoder.layer_norm", 768)
    table = "encoder.layers.0.self_attn.relative_attention_bias.weight"
    state[table] = ones(320, 12)
    for i in range(12):
        layer = f"encoder.layers.{i}."
        for part in ("q", "k", "v", "out"):
            state |= linear(layer + f"self_attn.{part}_proj", 768, 768)
        state |= linear(layer + "self_attn.grep_linear", 8, 64)
        state[layer + "self_attn.grep_a"] = ones(1, 12, 1, 1)
        state |= linear(layer + "fc1", 3072, 768) | linear(layer + "fc2", 768, 3072)
        state |= norm(layer + "self_attn_layer_norm", 768)
        state |= norm(layer + "final_layer_norm", 768)
    return {prefix + name: tensor for name, tensor in state.items()}


@pytest.mark.parametrize("kind", ["spin", "rspin"])
def test_every_published_name(kind, tmp_path):
    if kind == "rspin":
        state = published("encoder.") | linear("pred_head", 256, 768)
        state["codebook.weight"] = ones(32, 256)
    else:
        state = published("encoder.model.") | linear("pred_head.layers.0", 256, 768)
        state["loss_module.codebook.weight"] = ones(256, 256)
    torch.save({"state_dict": state, "cfg": {}}, tmp_path / "a.pt")
    config, weights = read_spin(tmp_path / "a.pt")
    parameters = assert_fits(Spin, config, weights)
    wavlm = {"attention": "gated_relative"}  # as the cards have it
    assert assert_fits(Spin, wavlm, weights) == parameters
