"""XEUS: ESPnet's numbers for each utterance alone, from files in ESPnet's layout."""

import pytest
import torch
import yaml
from npz_fixtures import Fixture, assert_fits, linear, norm, ones
from tensors import error
from torch.nn.utils.rnn import pad_sequence

from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.upstreams.wavlm import WavLM
from s3prl_sb.lobes.upstreams.xeus import Xeus, read_xeus

POSITIONS = "encoder.embed.0."


@pytest.fixture(scope="module")
def fixture():
    return Fixture("xeus")


@pytest.fixture
def checkpoint(fixture, tmp_path):
    torch.save(fixture.below("state/"), tmp_path / "xeus_checkpoint.pth")
    return tmp_path / "xeus_checkpoint.pth"


def assert_equal_alone(upstream, fixture):
    """A padded batch has the numbers that ESPnet gives without padding."""
    wavs = fixture.wavs
    lens = torch.tensor([len(wav) for wav in wavs]) / max(map(len, wavs))
    states, _ = upstream(pad_sequence(wavs, batch_first=True), lens)
    worst = 0
    for i in range(len(wavs)):
        expected = fixture.listed(f"hidden/{i}/")
        assert len(states) == len(expected) + 1  # the input of the first layer before
        for state, hidden in zip(states[1:], expected):
            worst = max(worst, error(state[i, : len(hidden)], hidden))
            assert not state[i, len(hidden) :].any()
    assert worst < 1e-4


def test_equals_espnet(fixture, checkpoint):
    assert_equal_alone(Xeus(str(checkpoint)), fixture)


def test_folder_with_its_config(fixture, checkpoint):
    """As cloned from Hugging Face; the configuration has the number of heads."""
    (checkpoint.parent / "model").mkdir()
    checkpoint = checkpoint.rename(checkpoint.parent / "model" / checkpoint.name)
    options = {"encoder_conf": {"attention_heads": 8, "pos_enc_layer_type": "conv"}}
    options["frontend_conf"] = {"normalize_audio": True}
    config = checkpoint.with_name("config.yaml")
    config.write_text(yaml.safe_dump(options))
    assert_equal_alone(Xeus(str(checkpoint.parents[1])), fixture)
    options["encoder_conf"]["attention_heads"] = 4
    options["frontend_conf"]["normalize_audio"] = False
    config.write_text(yaml.safe_dump(options))
    read = Xeus(str(checkpoint)).config
    assert (read.num_heads, read.normalize_wav) == (4, False)
    config.write_text("encoder_conf: {}")  # ESPnet's defaults, not those of XEUS
    read = Xeus(str(checkpoint)).config
    assert (read.num_heads, read.normalize_wav) == (4, False)
    options["encoder_conf"]["pos_enc_layer_type"] = "rel_pos"
    config.write_text(yaml.safe_dump(options))
    with pytest.raises(CheckpointError, match="pos_enc_layer_type: rel_pos"):
        Xeus(str(checkpoint))


@pytest.mark.parametrize("module", ["conv.", "convs.0."])
def test_names_of_other_releases(module, fixture, tmp_path):
    """Before ESPnet 202511: one convolution, PyTorch's old weight norm; wrappers."""
    states = fixture.below("state/")
    old = POSITIONS + "convs.0.parametrizations.weight.original"
    for i, part in enumerate("gv"):
        states[f"{POSITIONS}{module}weight_{part}"] = states.pop(f"{old}{i}")
    states[POSITIONS + module + "bias"] = states.pop(POSITIONS + "convs.0.bias")
    wrapped = {f"module.{name}": tensor for name, tensor in states.items()}
    torch.save({"model": wrapped}, tmp_path / "old.pth")
    assert_equal_alone(Xeus(str(tmp_path / "old.pth")), fixture)


def test_strict(fixture, checkpoint):
    states = fixture.below("state/")
    del states["encoder.encoders.1.merge_proj.bias"]
    states["encoder.interctc.weight"] = torch.ones(2)
    torch.save(states, checkpoint)
    with pytest.raises(CheckpointError, match="layers.1.merge.bias(.|\n)*interctc"):
        Xeus(str(checkpoint))


def test_other_families(fixture, checkpoint, tmp_path):
    torch.save({"encoder.layers.0.weight": torch.ones(2)}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match="no checkpoint of XEUS"):
        Xeus(str(tmp_path / "other.pth"))
    with pytest.raises(CheckpointError, match="2 files"):
        Xeus(str(tmp_path))
    with pytest.raises(CheckpointError):
        WavLM(str(checkpoint))


def published():
    """Every name in xeus_checkpoint.pth with its shape; the heads of training aside."""
    state, channels = {"global_step": torch.zeros(1).long()}, 1
    for i, kernel in enumerate([10, 3, 3, 3, 3, 2, 2]):
        layer = f"frontend.layers.{i}."
        state[layer + "conv.weight"] = ones(512, channels, kernel)
        state[layer + "conv.bias"], channels = ones(512), 512
        state |= norm(layer + "layer_norm", 512)
    state |= linear("preencoder.linear_out", 1024, 512)
    part = POSITIONS + "convs.0."
    state[part + "bias"] = ones(1024)
    state[part + "parametrizations.weight.original0"] = ones(1, 1, 128)
    state[part + "parametrizations.weight.original1"] = ones(1024, 64, 128)
    for i in range(19):
        layer = f"encoder.encoders.{i}."
        for name in "qkv":
            state |= linear(layer + f"attn.linear_{name}", 1024, 1024)
        state |= linear(layer + "attn.linear_out", 1024, 1024)
        state |= linear(layer + "cgmlp.channel_proj1.0", 4096, 1024)
        state |= norm(layer + "cgmlp.csgu.norm", 2048)
        state[layer + "cgmlp.csgu.conv.weight"] = ones(2048, 1, 31)
        state[layer + "cgmlp.csgu.conv.bias"] = ones(2048)
        state |= linear(layer + "cgmlp.channel_proj2", 1024, 2048)
        for name in ("feed_forward", "feed_forward_macaron"):
            state |= linear(layer + name + ".w_1", 4096, 1024)
            state |= linear(layer + name + ".w_2", 1024, 4096)
        for name in ("ff", "ff_macaron", "mha", "mlp", "final"):
            state |= norm(layer + f"norm_{name}", 1024)
        state[layer + "depthwise_conv_fusion.weight"] = ones(2048, 1, 31)
        state[layer + "depthwise_conv_fusion.bias"] = ones(2048)
        state |= linear(layer + "merge_proj", 1024, 2048)
    state |= norm("encoder.after_norm", 1024)
    state |= linear("losses.0.decoder.final_proj", 256, 1024)
    state |= linear("losses.0.decoder.label_embeddings", 2048, 256)
    state["util_modules.mask.mask_embedding"] = ones(1024)
    return state


def test_every_published_name(tmp_path):
    torch.save(published(), tmp_path / "xeus_checkpoint.pth")
    config, weights = read_xeus(tmp_path / "xeus_checkpoint.pth")
    parameters = assert_fits(Xeus, config, weights)
    assert assert_fits(Xeus, {}, weights) == parameters  # the defaults are XEUS's
    assert round(parameters / 1e6) == 574
