"""SpidR and DinoSR: the authors' numbers, from files of their code and of fairseq."""

import json
import re

import pytest
import torch
from npz_fixtures import Fixture, assert_fits, linear, norm, ones
from tensors import error
from torch.nn.utils.rnn import pad_sequence

from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.upstreams.data2vec import Data2VecAudio
from s3prl_sb.lobes.upstreams.spidr import SpidR, read_spidr

FFN = "fairseq_layers_before_residual"
#: Names of SpidR's code and fairseq's.
FAIRSEQ = [
    (r"feature_extractor.conv_layers.(\d+).conv",
     r"feature_extractor.conv_layers.\1.0"),
    (r"feature_extractor.conv_layers.(\d+).layer_norm",
     r"feature_extractor.conv_layers.\1.2.1"),
    (r"feature_projection.layer_norm", "layer_norm"),
    (r"feature_projection.projection", "post_extract_proj"),
    (r"student.pos_conv_embed.convs.(\d+)", r"encoder.pos_conv.\1.0"),
    (r"student.layers.(\d+).attention.proj", r"encoder.layers.\1.self_attn.out_proj"),
    (r"student.layers.(\d+).attention", r"encoder.layers.\1.self_attn"),
    (r"student.layers.(\d+).layer_norm", r"encoder.layers.\1.self_attn_layer_norm"),
    (r"student.layers.(\d+).feed_forward.intermediate_dense", r"encoder.layers.\1.fc1"),
    (r"student.layers.(\d+).feed_forward.output_dense", r"encoder.layers.\1.fc2"),
    (r"student", "encoder"),
    (r"mask_embedding", "mask_emb"),
]  # fmt: skip


@pytest.fixture(scope="module")
def fixture():
    return Fixture("spidr")


def trained(states):
    """A state dict as training leaves it, with the teacher's weights."""
    teacher = {
        name.replace("student.", "teacher."): tensor + 1
        for name, tensor in states.items()
        if name.startswith("student.")
    }
    return {**states, **teacher}


def save(fixture, folder, name="spidr"):
    """A checkpoint and its configuration."""
    model = trained(fixture.below(f"{name}/state/"))
    torch.save({"model": model, "step": torch.zeros(1)}, folder / f"{name}_base.pt")
    config = {"model": {"encoder_num_heads": 4, "encoder_embed_dim": 32}}
    (folder / "config.json").write_text(json.dumps(config))
    return folder / f"{name}_base.pt"


def assert_equal(upstream, fixture, name, kind):
    wavs = fixture.wavs
    lens = torch.tensor([len(wav) for wav in wavs]) / max(map(len, wavs))
    states, _ = upstream(pad_sequence(wavs, batch_first=True), lens)
    for i in range(len(wavs)):
        expected = fixture.listed(f"{name}/{kind}/{i}/")
        assert len(expected) == 2
        for state, hidden in zip(states[-2:], expected):
            assert error(state[i, : len(hidden)], hidden) < 1e-4


@pytest.mark.parametrize("name", ["spidr", "dinosr"])
def test_equals_the_authors_code(name, fixture, tmp_path):
    path = str(save(fixture, tmp_path, name))
    assert_equal(SpidR(path), fixture, name, "layers")
    assert_equal(SpidR(path, feature_selection=FFN), fixture, name, "ffn")
    assert SpidR(path).config.qkv_bias == (name == "dinosr")


def test_weights_alone_and_compiled(fixture, tmp_path):
    states = trained(fixture.below("spidr/state/"))
    path = save(fixture, tmp_path)
    torch.save({f"module._orig_mod.{n}": t for n, t in states.items()}, path)
    assert_equal(SpidR(str(path)), fixture, "spidr", "layers")


def in_fairseq(states):
    """The model of the authors of DinoSR, with the options that it needs."""
    weights = {}
    for name, tensor in states.items():
        for pattern, new in FAIRSEQ:
            name = re.sub(f"^{pattern}", new, name)
        if ".self_attn.qkv." in name:
            for part, rows in zip("qkv", tensor.chunk(3)):
                weights[name.replace("qkv", f"{part}_proj")] = rows
        elif not name.startswith(("codebooks.", "current_step")):
            weights[name] = tensor
    weights["_ema"] = {name: tensor + 1 for name, tensor in weights.items()}
    weights |= {"_codebook0": ones(8, 32), "_codebook_cnts0": ones(8)}
    model = {
        "_name": "dinosr",
        "extractor_mode": "layer_norm",
        "encoder_layers": 2,
        "encoder_embed_dim": 32,
        "encoder_ffn_embed_dim": 48,
        "encoder_attention_heads": 4,
        "layer_norm_first": False,
        "conv_feature_layers": "[(16,10,5)] + [(16,3,2)] * 4 + [(16,2,2)] * 2",
        "conv_pos": 95,
        "conv_pos_groups": 16,
        "pos_conv_depth": 5,
    }
    return {"cfg": {"task": {"normalize": True}, "model": model}, "model": weights}


@pytest.mark.parametrize("kind", [SpidR, Data2VecAudio])
def test_dinosr_of_fairseq(kind, fixture, tmp_path):
    content = in_fairseq(fixture.below("dinosr/state/"))
    torch.save(content, tmp_path / "dinosr.ckpt")
    upstream = kind(str(tmp_path / "dinosr.ckpt"))
    assert_equal(upstream, fixture, "dinosr", "layers")


def test_configuration_beside_it(fixture, tmp_path):
    """It says what weights do not show."""
    path = save(fixture, tmp_path)
    layers = [[16, 10, 5], *[[16, 3, 2]] * 4, [16, 2, 2], [16, 2, 1]]
    content = json.loads((tmp_path / "config.json").read_text())
    content["model"]["extractor_conv_layer_config"] = layers
    (tmp_path / "config.json").write_text(json.dumps(content))
    upstream = SpidR(str(path))
    assert (upstream.stride, upstream.config.num_heads) == (160, 4)


def test_strict(fixture, tmp_path):
    states = fixture.below("spidr/state/")
    del states["student.layers.1.feed_forward.output_dense.bias"]
    path = tmp_path / "a.pt"
    torch.save({"model": {**states, "student.extra": torch.ones(2)}}, path)
    with pytest.raises(CheckpointError, match="layers.1.contract.bias(.|\n)*extra"):
        SpidR(str(path))
    torch.save({"model": {"encoder.weight": torch.ones(2)}}, path)
    with pytest.raises(CheckpointError):
        SpidR(str(path))


def test_no_bias_with_other_attention():
    with pytest.raises(ValueError, match="qkv_bias: False is for plain attention"):
        SpidR(config={"attention": "rotary"})


def published():
    """Every name in spidr_base.pt with its shape."""
    state, channels = {"mask_embedding": ones(768), "current_step": ones(1)}, 1
    for i, kernel in enumerate([10, 3, 3, 3, 3, 2, 2]):
        layer = f"feature_extractor.conv_layers.{i}."
        state[layer + "conv.weight"], channels = ones(512, channels, kernel), 512
        state |= norm(layer + "layer_norm", 512)
    state |= norm("feature_projection.layer_norm", 512)
    state |= linear("feature_projection.projection", 768, 512)
    for network in ("student.", "teacher."):
        for i in range(5):
            part = f"{network}pos_conv_embed.convs.{i}."
            state |= {part + "weight": ones(768, 48, 19), part + "bias": ones(768)}
        state |= norm(network + "layer_norm", 768)
        for i in range(12):
            layer = f"{network}layers.{i}."
            state |= linear(layer + "attention.qkv", 2304, 768, bias=False)
            state |= linear(layer + "attention.proj", 768, 768)
            state |= linear(layer + "feed_forward.intermediate_dense", 3072, 768)
            state |= linear(layer + "feed_forward.output_dense", 768, 3072)
            state |= norm(layer + "layer_norm", 768)
            state |= norm(layer + "final_layer_norm", 768)
    for i in range(8):
        state |= linear(f"heads.{i}.0", 256, 768)
        state[f"codebooks.{i}.codebook"] = ones(256, 768)
        state[f"codebooks.{i}.counts"] = ones(256)
    return state


def test_every_published_name(tmp_path):
    torch.save({"model": published()}, tmp_path / "spidr_base.pt")
    config, weights = read_spidr(tmp_path / "spidr_base.pt")
    assert (config["num_heads"], config["position_kernel"]) == (12, 95)
    parameters = assert_fits(SpidR, config, weights)
    assert assert_fits(SpidR, {}, weights) == parameters  # the defaults are SpidR's
