"""NPC: the paper's formulas in full convolutions, and S3PRL's checkpoints."""

import argparse
import dataclasses
import json

import pytest
import safetensors.torch
import torch
import torch.nn.functional as F
from tensors import close, noise

from s3prl_sb.lobes.cards.check import check_upstream
from s3prl_sb.lobes.checkpoints.building import CONVERTED
from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.upstreams import load
from s3prl_sb.lobes.upstreams.npc import Npc

PARAS = {
    "kernel_size": 15,
    "mask_size": 5,
    "n_blocks": 3,
    "hidden_size": 12,
    "dropout": 0.1,
    "residual": True,
    "batch_norm": True,
    "activate": "relu",
    "disable_cross_layer": False,
    "vq": {"codebook_size": [5, 6], "code_dim": [4, 8], "gumbel_temperature": 1.0},
}
VARIANTS = [
    {},
    {"residual": False, "activate": "tanh"},
    {"batch_norm": False, "vq": None},
    {"disable_cross_layer": True},
    {"dim_bottleneck": 7, "vq": None},
    {"kernel_size": 11, "mask_size": 3},
]


def mask_size(paras, i):
    return paras["mask_size"] + 2 * (i + 1)


def checkpoint(**changes):
    """Random weights in S3PRL's layout, with what its trainer leaves beside."""
    paras = {**PARAS, **changes}
    bottleneck = paras.get("dim_bottleneck")
    size, n_blocks = paras["hidden_size"], paras["n_blocks"]
    shapes = {"postnet.weight": (20, bottleneck or size), "postnet.bias": (20,)}
    if bottleneck:
        shapes["ae_bottleneck.weight"] = (bottleneck, size)
    for i in range(n_blocks):
        prefix = f"blocks.{i}."
        shapes[prefix + "conv.weight"] = (size, size if i else 20, 3)
        shapes[prefix + "linear.weight"] = (size, size, 1)
        names = ["conv.bias", "linear.bias"]
        if paras["batch_norm"]:
            statistics = ("weight", "bias", "running_mean", "running_var")
            names += [f"bn{n}.{name}" for n in (1, 2) for name in statistics]
        shapes.update({prefix + name: (size,) for name in names})
        if i == n_blocks - 1 or not paras["disable_cross_layer"]:
            prefix = f"masked_convs.{i}.conv."
            shapes[prefix + "weight"] = (size, size, paras["kernel_size"])
            shapes[prefix + "bias"] = (size,)
    for i, (count, part) in enumerate([(5, 4), (6, 8)] if paras["vq"] else []):
        prefix = f"vq_layers.{i}."
        shapes[prefix + "vq_logits.weight"] = (count, part)
        shapes[prefix + "vq_logits.bias"] = (count,)
        shapes[prefix + "codebook_CxE.weight"] = (part, count)
    model = {
        name: noise(*shape, seed=i, scale=0.3)
        for i, (name, shape) in enumerate(shapes.items())
    }
    for name, tensor in list(model.items()):
        if name.endswith("running_var"):
            tensor.abs_().add_(0.5)
            count = name.replace("running_var", "num_batches_tracked")
            model[count] = torch.tensor(3)
        if name.startswith("masked_convs") and name.endswith("weight"):
            mask = torch.ones_like(tensor)
            hidden = mask_size(paras, int(name.split(".")[1]))
            head = (paras["kernel_size"] - hidden) // 2
            mask[..., head : head + hidden] = 0
            model[name.replace("conv.weight", "conv_mask")] = mask
    audio = {"feat_type": "fbank", "feat_dim": 20, "frame_length": 25, "cmvn": True}
    return {
        "config": {"model": {"paras": paras}, "data": {"audio": audio}},
        "model": model,
        "Args": argparse.Namespace(upstream="npc"),
    }


def saved(states, folder):
    torch.save(states, folder / "states.ckpt")
    return str(folder / "states.ckpt")


def by_the_formulas(x, paras, weights):
    """[frames, size] of one utterance -> all hidden states, by whole kernels."""
    act = {"relu": torch.relu, "tanh": torch.tanh}[paras["activate"]]

    def norm(x, name):
        if not paras["batch_norm"]:
            return x
        weight, bias, mean, var = (
            weights[f"{name}.{part}"][:, None]
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        return (x - mean) / (var + 1e-5).sqrt() * weight + bias

    def convolution(x, name, mask=1):
        kernel = weights[name + ".weight"] * mask
        padding = kernel.shape[-1] // 2
        return F.conv1d(x, kernel, weights[name + ".bias"], padding=padding)

    x, states, total = x.T, [], 0
    for i in range(paras["n_blocks"]):
        name = f"blocks.{i}."
        y = act(norm(convolution(x, name + "conv"), name + "bn1"))
        y = norm(convolution(y, name + "linear"), name + "bn2")
        x = act(y + x if paras["residual"] and i else y)
        states.append(x.T)
        name = f"masked_convs.{i}."
        if name + "conv_mask" in weights:
            y = convolution(x, name + "conv", weights[name + "conv_mask"]).tanh()
            states.append(y.T)
            total = total + y.T
    if "ae_bottleneck.weight" in weights:
        total = total @ weights["ae_bottleneck.weight"].T
    return [*states, total]


# ---------------------------------------------------------------- the network
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_hidden_states_by_the_formulas(variant, tmp_path):
    states = checkpoint(**variant)
    upstream = Npc(saved(states, tmp_path))
    x, frames = noise(60, 20, scale=1), [31, 1, 9, 19]
    found, start = list(upstream.network(x, frames)), 0
    assert len(found) == upstream.num_layers
    assert [state.shape[1] for state in found] == upstream.output_sizes
    for count in frames:
        piece = x[start : start + count]
        expected = by_the_formulas(piece, {**PARAS, **variant}, states["model"])
        assert len(expected) == len(found)
        for state, reference in zip(found, expected):
            close(state[start : start + count], reference)
        start += count


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_variants_keep_the_contract(variant, tmp_path):
    check_upstream(Npc(saved(checkpoint(**variant), tmp_path)))


def test_a_frame_does_not_see_what_it_predicts(tmp_path):
    """The mask hides ``mask_size`` input frames from the last state."""
    upstream = Npc(saved(checkpoint(activate="tanh"), tmp_path))
    x = noise(61, 20, scale=1).requires_grad_()
    *_, last = upstream.network(x, [61])
    last[30].sum().backward()
    seen = x.grad.abs().sum(1).nonzero().flatten() - 30
    reach = 15 // 2 + 3  # of the kernel, and one for each block
    hidden = 5 // 2
    expected = [n for n in range(-reach, reach + 1) if abs(n) > hidden]
    assert seen.tolist() == expected


def test_statistics_of_pre_training_are_kept(tmp_path):
    upstream = Npc(saved(checkpoint(), tmp_path), freeze=False)
    before = {n: b.clone() for n, b in upstream.named_buffers() if "running" in n}
    upstream(noise(2, 8000))[0][-1].sum().backward()
    assert upstream.training and upstream.network.blocks[0].training
    assert len(before) == 12
    for name, buffer in upstream.named_buffers():
        if name in before:
            assert torch.equal(buffer, before[name])
    assert upstream.network.blocks[0].convolution_norm.weight.grad.abs().sum() > 0


def test_codes(tmp_path):
    states = checkpoint()
    upstream = Npc(saved(states, tmp_path))
    wavs = noise(2, 16000)
    codes, lens = upstream.codes(wavs, torch.tensor([1.0, 0.5]))
    frames = [98, upstream.frames(8000)]
    assert codes.shape == (2, 98, 2) and (lens * 98).round().tolist() == frames
    last = upstream(wavs, torch.tensor([1.0, 0.5]))[0][-1]
    for i, end in enumerate(frames):
        assert codes[i, end:].eq(-1).all()
        for part, x in enumerate(last[i, :end].split([4, 8], -1)):
            prefix = f"vq_layers.{part}.vq_logits."
            weight, bias = (states["model"][prefix + k] for k in ("weight", "bias"))
            assert torch.equal(
                codes[i, :end, part], F.linear(x, weight, bias).argmax(-1)
            )


# ---------------------------------------------------------------- checkpoints
def test_converted_checkpoint(tmp_path):
    upstream = Npc(saved(checkpoint(), tmp_path))
    content = json.dumps(
        {"class": "Npc", "config": dataclasses.asdict(upstream.config)}
    )
    path = tmp_path / "npc.safetensors"
    weights = upstream.network.state_dict()
    safetensors.torch.save_file(weights, path, {CONVERTED: content})
    again, wavs = Npc(str(path)), noise(1, 8000)
    assert again.config == upstream.config
    assert weights.keys() == again.network.state_dict().keys()
    for name, tensor in again.network.state_dict().items():
        assert torch.equal(tensor, weights[name])
    for a, b in zip(again(wavs)[0], upstream(wavs)[0]):
        close(a, b)


def test_nothing_is_missing_nor_left_over(tmp_path):
    def error(change):
        states = checkpoint()
        change(states["model"])
        with pytest.raises(CheckpointError) as caught:
            Npc(saved(states, tmp_path))
        return str(caught.value)

    message = error(lambda w: w.pop("masked_convs.1.conv.bias"))
    assert "missing (1): masked.1.before.bias" in message
    message = error(lambda w: w.update(extra=torch.ones(1)))
    assert "unexpected (1): extra" in message


def test_other_checkpoints_are_refused(tmp_path):
    states = {"model": {"rnn_layers.0.bias": torch.ones(1)}, "config": {}}
    message = "not a checkpoint of NPC.*holds config, model; in 'model': rnn_layers"
    with pytest.raises(CheckpointError, match=message):
        Npc(saved(states, tmp_path))


# ---------------------------------------------------------------------- cards
def test_published_sizes():
    upstream = load("npc", source=None)
    assert upstream.num_layers == 9 and upstream.output_sizes == [512] * 9
    assert upstream.features.output_size == 80 and upstream.stride == 160
    taps = [m.before.kernel_size[0] for m in upstream.network.masked.values()]
    assert taps == [4, 3, 2, 1]
    books = upstream.network.quantizer.codebooks
    assert [tuple(book.weight.shape) for book in books] == [(64, 128)] * 4


@pytest.mark.parametrize(
    "config, message",
    [
        ({"blocks": 2}, "Unknown entry of config: blocks. Known: n_blocks"),
        ({"activate": "gelu"}, "activate must be one of: relu, tanh"),
        ({"kernel_size": 14}, "must be odd"),
        ({"n_blocks": 5}, "the last of 5 blocks, 15, shorter than the kernel"),
    ],
)
def test_mistakes_are_explained(config, message):
    with pytest.raises(ValueError, match=message):
        Npc(config=config)
