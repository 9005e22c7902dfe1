"""APC and VQ-APC: the papers' formulas, S3PRL's checkpoints, codes."""

import argparse
import dataclasses
import json

import pytest
import safetensors.torch
import torch
import torchaudio
from tensors import close, noise

from s3prl_sb.lobes.cards.check import check_upstream
from s3prl_sb.lobes.checkpoints.building import CONVERTED
from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.networks.time_major import TimeMajor
from s3prl_sb.lobes.upstreams import load
from s3prl_sb.lobes.upstreams.apc import Apc, ApcConfig, RecurrentNetwork
from s3prl_sb.lobes.upstreams.npc import Npc


def checkpoint(vq=True, layers=3, **audio):
    """Random weights in S3PRL's layout, with what its trainer leaves beside."""
    paras = {"num_layers": layers, "hidden_size": 24, "dropout": 0.1, "residual": True}
    if vq:
        paras["vq"] = {
            "codebook_size": [7, 9],
            "code_dim": [8, 16],
            "gumbel_temperature": 0.5,
        }
    audio = {"feat_type": "fbank", "feat_dim": 20, "decode_wav": False, **audio}
    shapes = {"postnet.weight": (20, 24), "postnet.bias": (20,)}
    for i in range(layers):
        prefix = f"rnn_layers.{i}."
        shapes[prefix + "weight_ih_l0"] = (72, 24 if i else 20)
        shapes[prefix + "weight_hh_l0"] = (72, 24)
        shapes[prefix + "bias_ih_l0"] = shapes[prefix + "bias_hh_l0"] = (72,)
    for i, (count, size) in enumerate([(7, 8), (9, 16)] if vq else []):
        prefix = f"vq_layers.{i}."
        shapes[prefix + "vq_logits.weight"] = (count, size)
        shapes[prefix + "vq_logits.bias"] = (count,)
        shapes[prefix + "codebook_CxE.weight"] = (size, count)
    return {
        "config": {"model": {"paras": paras}, "data": {"audio": audio}},
        "model": {
            name: noise(*shape, seed=i, scale=0.3)
            for i, (name, shape) in enumerate(shapes.items())
        },
        "Args": argparse.Namespace(upstream="apc"),
        "Step": 5,
    }


def saved(states, folder):
    torch.save(states, folder / "states.ckpt")
    return str(folder / "states.ckpt")


def gru(x, weights, prefix):
    """A GRU by its equations, from zero."""
    w_x, w_h, b_x, b_h = (
        weights[prefix + name]
        for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    )
    h, states = torch.zeros(w_h.shape[1]), []
    for frame in x:
        given, kept = (w_x @ frame + b_x).chunk(3), (w_h @ h + b_h).chunk(3)
        reset, update = (torch.sigmoid(given[i] + kept[i]) for i in (0, 1))
        new = torch.tanh(given[2] + reset * kept[2])
        h = (1 - update) * new + update * h
        states.append(h)
    return torch.stack(states)


# ---------------------------------------------------------------- the network
@pytest.mark.parametrize("residual", [True, False])
def test_hidden_states_by_the_equations(residual, tmp_path):
    states = checkpoint()
    states["config"]["model"]["paras"]["residual"] = residual
    upstream = Apc(saved(states, tmp_path))
    x, frames = noise(40, 20, scale=1), [11, 23, 1, 5]
    found = list(upstream.network(x, frames))
    assert len(found) == 3
    start = 0
    for count in frames:
        y = x[start : start + count]
        for i, state in enumerate(found):
            new = gru(y, states["model"], f"rnn_layers.{i}.")
            y = y + new if residual and i else new
            close(state[start : start + count], y)
        start += count


def test_input_is_kaldis_fbank(tmp_path):
    """With S3PRL's normalization: over time, by the unbiased deviation."""
    wav = noise(16000)
    upstream = Apc(saved(checkpoint(frame_length=32, frame_shift=20), tmp_path))
    assert upstream.stride == 320 and upstream.min_samples == 512
    x = torchaudio.compliance.kaldi.fbank(
        wav[None],
        num_mel_bins=20,
        sample_frequency=16000,
        window_type="hamming",
        frame_length=32,
        frame_shift=20,
    )
    x = (x - x.mean(0)) / (1e-10 + x.std(0))
    expected = list(upstream.network(x, [len(x)]))
    assert len(x) == upstream.frames(16000)
    for state, reference in zip(upstream(wav[None])[0], expected):
        close(state[0], reference)


def test_cmvn_can_be_off(tmp_path):
    wav = noise(1, 16000)
    states = [
        Apc(saved(checkpoint(cmvn=cmvn), tmp_path)).features(wav)[0][0]
        for cmvn in (True, False)
    ]
    assert states[0].mean().abs() < 1e-5 and states[1].mean().abs() > 1


def test_time_major():
    order = TimeMajor([2, 4, 1], "cpu", backward=True)
    assert order.rows.tolist() == [5, 1, 6, 4, 0, 3, 2]
    assert order.sizes.tolist() == [3, 2, 1, 1]
    assert order.rows[order.back].tolist() == list(range(7))


def test_dropout_follows_every_layer():
    config = ApcConfig(hidden_size=24, dropout=0.5, residual=False)
    network = RecurrentNetwork(20, config)
    x = noise(50, 20, scale=1)
    for state in network.train()(x, [50]):
        assert 0.3 < state.eq(0).float().mean() < 0.7
    for state in network.eval()(x, [50]):
        assert not state.eq(0).any()


# ------------------------------------------------------------------ the codes
def test_codes(tmp_path):
    """Codes are those of the last hidden state, in every batch."""
    states = checkpoint()
    upstream = Apc(saved(states, tmp_path))
    wavs = noise(2, 16000)
    codes, lens = upstream.codes(wavs, torch.tensor([1.0, 0.5]))
    assert codes.dtype == torch.int64 and codes.shape == (2, 98, 2)
    ends = [98, upstream.frames(8000)]
    assert (lens * 98).round().tolist() == ends
    hidden_states, _ = upstream(wavs, torch.tensor([1.0, 0.5]))
    weights = states["model"]
    for i, end in enumerate(ends):
        assert codes[i, end:].eq(-1).all() and codes[i, :end].ge(0).all()
        last = hidden_states[-1][i, :end]
        for part, x in enumerate(last.split([8, 16], -1)):
            prefix = f"vq_layers.{part}."
            logits = x @ weights[prefix + "vq_logits.weight"].T
            logits += weights[prefix + "vq_logits.bias"]
            chosen = logits.argmax(-1)
            assert torch.equal(codes[i, :end, part], chosen)
            assert len(chosen.unique()) > 2
            one_hot = torch.nn.functional.one_hot(chosen, logits.shape[1]).float()
            vectors = one_hot @ weights[prefix + "codebook_CxE.weight"].T
            assert torch.equal(
                upstream.network.quantizer.codebooks[part](chosen), vectors
            )


def test_codes_need_a_quantizer(tmp_path):
    with pytest.raises(ValueError, match="This Apc has no vector quantization"):
        Apc(saved(checkpoint(vq=False), tmp_path)).codes(noise(1, 16000))


def test_quantizer_is_not_trained(tmp_path):
    upstream = Apc(saved(checkpoint(), tmp_path), freeze=False)
    check_upstream(upstream)
    fixed = {name for name, p in upstream.named_parameters() if not p.requires_grad}
    assert fixed == {
        name for name, _ in upstream.named_parameters() if "quantizer" in name
    }


# ---------------------------------------------------------------- checkpoints
@pytest.mark.parametrize("layers", [1, 3, 4])
def test_as_many_hidden_states_as_layers(layers, tmp_path):
    upstream = Apc(saved(checkpoint(layers=layers), tmp_path))
    assert len(upstream(noise(1, 8000))[0]) == upstream.num_layers == layers


def test_converted_checkpoint(tmp_path):
    upstream = Apc(saved(checkpoint(), tmp_path))
    content = json.dumps(
        {"class": "Apc", "config": dataclasses.asdict(upstream.config)}
    )
    path = tmp_path / "apc.safetensors"
    weights = upstream.network.state_dict()
    safetensors.torch.save_file(weights, path, {CONVERTED: content})
    again, wavs = Apc(str(path)), noise(1, 8000)
    assert again.config == upstream.config
    assert weights.keys() == again.network.state_dict().keys()
    for name, tensor in again.network.state_dict().items():
        assert torch.equal(tensor, weights[name])
    for a, b in zip(again(wavs)[0], upstream(wavs)[0]):
        close(a, b)


def test_nothing_is_missing_nor_left_over(tmp_path):
    def error(change):
        states = checkpoint()
        change(states)
        with pytest.raises(CheckpointError) as caught:
            Apc(saved(states, tmp_path))
        return str(caught.value)

    name = "rnn_layers.1.bias_hh_l0"
    message = error(lambda s: s["model"].pop(name))
    assert "missing (1): layers.1.bias_hh_l0" in message
    message = error(lambda s: s["model"].update(extra=torch.ones(1)))
    assert "unexpected (1): extra" in message
    paras = ("config", "model", "paras")
    message = error(lambda s: s[paras[0]][paras[1]][paras[2]].update(beams=1))
    assert "Unknown entry of config: beams. Known: num_layers" in message
    message = error(lambda s: s["config"]["data"]["audio"].update(feat_type="mfcc"))
    assert "of other features than Kaldi's fbank" in message


@pytest.mark.parametrize(
    "states, held",
    [
        ({"Transformer": {}, "Config": {}}, "holds Config, Transformer."),
        ({"model": {"encoder.w": torch.ones(1)}}, "holds model; in 'model': encoder"),
        ([1, 2], "holds nothing known"),
    ],
)
def test_other_checkpoints_are_refused(states, held, tmp_path):
    with pytest.raises(CheckpointError, match=f"not a checkpoint of APC.*{held}"):
        Apc(saved(states, tmp_path))


def test_apc_is_not_npc(tmp_path):
    with pytest.raises(CheckpointError, match="not a checkpoint of NPC.*rnn_layers.0"):
        Npc(saved({**checkpoint(), "Args": None}, tmp_path))


# ---------------------------------------------------------------------- cards
@pytest.mark.parametrize("name, codes", [("apc_960hr", None), ("vq_apc", 512)])
def test_published_sizes(name, codes):
    upstream = load(name, source=None)
    assert upstream.num_layers == 3 and upstream.output_size == 512
    assert upstream.features.output_size == 80 and upstream.stride == 160
    quantizer = upstream.network.quantizer
    assert codes == (quantizer and quantizer.codebooks[0].num_embeddings)


@pytest.mark.parametrize(
    "config, message",
    [
        ({"layers": 2}, "Unknown entry of config: layers. Known: num_layers"),
        ({"audio": {"mels": 2}}, "option of kaldi's fbank: mels"),
        ({"codebook_size": [4], "code_dim": [5]}, "code_dim .5. must have one entry"),
    ],
)
def test_mistakes_are_explained(config, message):
    with pytest.raises(ValueError, match=message):
        Apc(config=config)
