"""PASE+: against its formulas, and checkpoints in PASE's layout."""

import argparse
import json
import math

import pytest
import torch
import torch.nn.functional as F
from tensors import close

from s3prl_sb.lobes.cards.check import check_upstream
from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.upstreams import load
from s3prl_sb.lobes.upstreams.pase import BandPass, PasePlus, QuasiRecurrentLayer

KERNELS, STRIDES = [251, 20, 11, 11, 11, 11, 11, 11], [1, 10, 2, 1, 2, 1, 2, 2]
CHANNELS, SIZE, RNN = [6, 6, 8, 8, 10, 10, 12, 12], 9, 14


def weights(layers=1):
    """Random weights, as PASE saves them."""
    generator = torch.Generator().manual_seed(1)

    def random(*shape, mean=0.0):
        scale = 0.3 if len(shape) == 1 else math.prod(shape[1:]) ** -0.5
        return mean + scale * torch.randn(*shape, generator=generator)

    def statistics(name, channels):
        found[f"{name}.running_mean"] = random(channels)
        found[f"{name}.running_var"] = random(channels).square() + 0.5
        found[f"{name}.num_batches_tracked"] = torch.tensor(3)

    found, inputs = {}, 1
    for i, (channels, kernel) in enumerate(zip(CHANNELS, KERNELS)):
        name = f"blocks.{i}"
        if i == 0:
            found[f"{name}.conv.low_hz_"] = 1000 * random(channels, 1)
            found[f"{name}.conv.band_hz_"] = 500 * random(channels, 1)
        else:
            found[f"{name}.conv.weight"] = random(channels, inputs, kernel)
            found[f"{name}.conv.bias"] = random(channels)
            found[f"denseskips.{i - 1}.weight"] = random(SIZE, inputs, 1)
        found[f"{name}.norm.weight"] = random(channels, mean=1.0)
        found[f"{name}.norm.bias"] = random(channels)
        statistics(f"{name}.norm", channels)
        found[f"{name}.act.weight"] = random(channels)
        inputs = channels
    for i in range(layers):
        found[f"rnn.layers.{i}.linear.weight"] = random(3 * RNN, 2 * inputs)
        found[f"rnn.layers.{i}.linear.bias"] = random(3 * RNN)
        inputs = RNN
    found["W.weight"], found["W.bias"] = random(SIZE, RNN, 1), random(SIZE)
    statistics("norm_out", SIZE)
    return found


def naive_filters(low_hz, band_hz, size=251):
    """Equation 4 of SincNet, sample by sample."""
    rows = []
    for low, band in zip(low_hz.flatten().tolist(), band_hz.flatten().tolist()):
        low = 50 + abs(low)
        high = min(low + 50 + abs(band), 8000)
        row, half = [], size // 2
        for n in range(half):
            t = 2 * math.pi * (n - half) / 16000
            step = n * (size / 2 - 1) / (half - 1)
            window = 0.54 - 0.46 * math.cos(2 * math.pi * step / size)
            value = (math.sin(high * t) - math.sin(low * t)) / (t / 2) * window
            row.append(value / (2 * (high - low)))
        rows.append([*row, 1.0, *row[::-1]])
    return torch.tensor(rows, dtype=torch.double)


def naive_qrnn(x, weight, bias):
    """Frame by frame: x [frames, inputs]."""
    previous, state, out = torch.zeros_like(x[0]), torch.zeros(len(weight) // 3), []
    for frame in x:
        z, f, o = (weight @ torch.cat([frame, previous]) + bias).chunk(3)
        f = f.sigmoid()
        state = f * z.tanh() + (1 - f) * state
        out.append(o.sigmoid() * state)
        previous = frame
    return torch.stack(out)


def naive_pase(w, wav, layers=1):
    """All hidden states as the published code computes them."""

    def norm(x, name):
        shape = (-1, 1)
        x = x - w[f"{name}.running_mean"].view(shape)
        x = x / (w[f"{name}.running_var"].view(shape) + 1e-5).sqrt()
        scale = w.get(f"{name}.weight", torch.ones(1)).view(shape)
        return x * scale + w.get(f"{name}.bias", torch.zeros(1)).view(shape)

    x, skips = wav[None], []
    for i, (kernel, stride) in enumerate(zip(KERNELS, STRIDES)):
        before = kernel // 2 - (1 if stride > 1 or kernel % 2 == 0 else 0)
        x = F.pad(x, (before, kernel // 2), mode="reflect")
        name = f"blocks.{i}"
        if i == 0:
            edges = w[f"{name}.conv.low_hz_"], w[f"{name}.conv.band_hz_"]
            x = F.conv1d(x, naive_filters(*edges).float()[:, None])
        else:
            bias = w[f"{name}.conv.bias"]
            x = F.conv1d(x, w[f"{name}.conv.weight"], bias, stride)
        x = norm(x, f"{name}.norm")
        x = torch.where(x > 0, x, x * w[f"{name}.act.weight"][:, None])
        if i < 7:
            skips.append(F.conv1d(x, w[f"denseskips.{i}.weight"]))
    frames, x = x.shape[1], x.T
    for i in range(layers):
        name = f"rnn.layers.{i}.linear"
        x = naive_qrnn(x, w[f"{name}.weight"], w[f"{name}.bias"])
    states = []
    for skip in skips:
        factor = skip.shape[1] // frames
        states.append(F.avg_pool1d(skip[:, : frames * factor], factor))
    states.append(F.conv1d(x.T, w["W.weight"], w["W.bias"]))
    total = states[-1] + sum(states[:-1])
    return [state.T for state in [*states, norm(total, "norm_out")]]


# --------------------------------------------------------------------- formulas
def test_filters():
    layer = BandPass(6, 251)
    generator = torch.Generator().manual_seed(0)
    layer.low_hz.data = 4000 * torch.rand(6, 1, generator=generator) - 2000
    layer.band_hz.data = 8000 * torch.rand(6, 1, generator=generator) - 4000
    expected = naive_filters(layer.low_hz, layer.band_hz)
    close(layer.weight()[:, 0].double(), expected)


@pytest.mark.parametrize("frames", [1, 2, 3, 17, 64])
def test_qrnn(frames):
    layer, x = QuasiRecurrentLayer(5, 7), torch.randn(2, frames, 5)
    torch.nn.init.normal_(layer.linear.weight)
    with torch.no_grad():
        found = layer(x)
        for row, item in zip(found, x):
            close(row, naive_qrnn(item, layer.linear.weight, layer.linear.bias))


@pytest.mark.parametrize("samples", [471, 5000, 16159])
@pytest.mark.parametrize("layers", [1, 2])
def test_hidden_states(samples, layers, tmp_path):
    found = weights(layers)
    torch.save(found, tmp_path / "pase.ckpt")
    upstream = PasePlus(str(tmp_path / "pase.ckpt"))
    assert upstream.stride == 160 and upstream.output_size == SIZE
    wav = 0.1 * torch.randn(samples)
    states, _ = upstream(wav[None])
    expected = naive_pase(found, wav, layers)
    assert len(states) == upstream.num_layers == len(expected) == 9
    for state, reference in zip(states, expected):
        close(state[0], reference)


def test_shortest_audio(tmp_path):
    """The reflection of the published code fails for less."""
    found = weights()
    torch.save(found, tmp_path / "pase.ckpt")
    upstream = PasePlus(tmp_path / "pase.ckpt")
    assert upstream.min_samples == 471 and upstream.frames(1) == 3
    naive_pase(found, torch.randn(471))
    with pytest.raises(RuntimeError, match="[Pp]adding size"):
        naive_pase(found, torch.randn(470))
    padded = torch.zeros(471)
    padded[:100] = 0.1
    states, _ = upstream(padded[None, :100])
    close(states[-1][0], naive_pase(found, padded)[-1])


# ------------------------------------------------------------------ checkpoints
def test_checkpoint_of_a_trainer(tmp_path):
    states = {"state_dict": weights(), "step": 7, "options": argparse.Namespace(a=1)}
    torch.save(states, tmp_path / "pase.ckpt")
    check_upstream(PasePlus(tmp_path / "pase.ckpt", freeze=False))


def test_model_config(tmp_path):
    torch.save(weights(), tmp_path / "pase.ckpt")
    cfg = {"strides": [1, 5, 2, 1, 2, 1, 2, 2], "denseskips": True, "emb_dim": SIZE}
    (tmp_path / "PASE.cfg").write_text(json.dumps(cfg))
    files = {"source": tmp_path / "pase.ckpt", "model_config": tmp_path / "PASE.cfg"}
    assert PasePlus(**files).stride == 80
    (tmp_path / "PASE.cfg").write_text(json.dumps({**cfg, "denseskips": False}))
    with pytest.raises(CheckpointError, match="not of PASE\\+.*denseskips: False"):
        PasePlus(**files)
    (tmp_path / "PASE.cfg").write_text(json.dumps({**cfg, "emb_dim": SIZE + 1}))
    with pytest.raises(CheckpointError, match="of another shape"):
        PasePlus(**files)


def test_other_checkpoints_are_refused(tmp_path):
    file = tmp_path / "pase.ckpt"

    def error(change):
        states = weights()
        change(states)
        torch.save(states, file)
        with pytest.raises(CheckpointError) as caught:
            PasePlus(file)
        return str(caught.value)

    message = error(lambda w: (w.clear(), w.update(model_weight=1)))
    assert "not a checkpoint of PASE+" in message and "keys: model_weight" in message
    name = "denseskips.3.weight"
    assert "missing (1): skips.3.weight" in error(lambda w: w.pop(name))
    assert "unexpected (1): extra" in error(lambda w: w.update(extra=torch.ones(1)))
    names = [name for name in weights() if name.startswith("blocks.7")]
    message = error(lambda w: [w.pop(name) for name in names])
    assert "has 7 blocks where PASE+ has 8" in message


# ------------------------------------------------------------------ the upstream
def test_card():
    upstream = load("pase_plus", source=None)
    assert upstream.num_layers == 9 and upstream.output_size == 256
    assert upstream.network.projection.weight.shape == (256, 512)
    filters = upstream.network.blocks[0].conv
    edges = 50 + filters.low_hz.flatten()
    assert edges[0] == 80 and edges.diff().gt(0).all() and edges[-1] < 8000


def test_edges_of_the_filters_stay_exact():
    config = {"fmaps": CHANNELS, "emb_dim": 8, "rnn_dim": 8}
    exact, half = PasePlus(config=config), PasePlus(config=config, precision="bf16")
    assert half.network.projection.weight.dtype == torch.bfloat16
    for a, b in zip(exact.network.blocks[0].conv.parameters(), half.parameters()):
        assert torch.equal(a, b)
    exact.double()
    assert exact.network.projection.weight.dtype == torch.double


def test_statistics_stay_when_fine_tuned():
    config = {"fmaps": CHANNELS, "emb_dim": 8, "rnn_dim": 8}
    upstream = PasePlus(config=config, freeze=False)
    before = {name: tensor.clone() for name, tensor in upstream.named_buffers()}
    upstream(torch.randn(2, 8000))[0][-1].sum().backward()
    assert before and all(
        torch.equal(tensor, before[name]) for name, tensor in upstream.named_buffers()
    )


@pytest.mark.parametrize(
    "config, message",
    [
        ({"embed": 3}, "Unknown in config: embed. Known: kwidths, strides, fmaps"),
        ({"fmaps": [8, 8]}, "one entry for each block, got 8, 8 and 2"),
    ],
)
def test_mistakes_are_explained(config, message):
    with pytest.raises(ValueError, match=message):
        PasePlus(config=config)
