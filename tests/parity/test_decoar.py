"""DeCoAR: torch's LSTM of several layers, and S3PRL's checkpoints."""

import argparse
import json

import pytest
import safetensors.torch
import torch
from tensors import close, noise

from s3prl_sb.lobes.cards.check import check_upstream
from s3prl_sb.lobes.checkpoints.building import CONVERTED, sizes_only
from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.upstreams import load
from s3prl_sb.lobes.upstreams.decoar import Decoar


def parts(layers=3):
    """The network as its authors wrote it: one LSTM for each direction."""
    modules = torch.nn.ModuleDict(
        {
            "post_extract_proj": torch.nn.Linear(20, 12),
            "forward_lstm": torch.nn.LSTM(12, 12, layers, batch_first=True),
            "backward_lstm": torch.nn.LSTM(12, 12, layers, batch_first=True),
        }
    )
    for i, parameter in enumerate(modules.parameters()):
        parameter.data = noise(*parameter.shape, seed=i, scale=0.4)
    return modules.requires_grad_(False)


def saved(states, folder):
    torch.save(states, folder / "checkpoint.pt")
    return str(folder / "checkpoint.pt")


def checkpoint(layers=3):
    """Its weights in S3PRL's layout."""
    weights = parts(layers).state_dict()
    return {"model": weights, "args": argparse.Namespace(arch="decoar")}


# ---------------------------------------------------------------- the network
def test_last_layer_is_torchs(tmp_path):
    upstream, theirs = Decoar(saved(checkpoint(), tmp_path)), parts()
    x, frames, start = noise(40, 20, scale=1), [11, 23, 1, 5], 0
    *_, found = upstream.network(x, frames)
    for count in frames:
        piece = theirs["post_extract_proj"](x[start : start + count])[None]
        past, _ = theirs["forward_lstm"](piece)
        future, _ = theirs["backward_lstm"](piece.flip(1))
        expected = torch.cat([past, future.flip(1)], dim=-1)[0]
        close(found[start : start + count], expected)
        start += count


def test_layers_are_those_of_shallower_networks(tmp_path):
    """A network cut after a layer ends with what the whole one has there."""
    wavs = noise(2, 8000)
    source = saved(checkpoint(), tmp_path)
    states = Decoar(source, every_layer=True)(wavs)[0]
    last = Decoar(source)(wavs)[0]
    assert len(states) == 3 and len(last) == 1
    assert torch.equal(states[-1], last[0])
    for layers in (1, 2):
        cut = checkpoint()
        cut["model"] = {
            name: tensor
            for name, tensor in cut["model"].items()
            if "lstm" not in name or int(name[-1]) < layers
        }
        (state,) = Decoar(saved(cut, tmp_path))(wavs)[0]
        close(state, states[layers - 1])


def test_directions(tmp_path):
    """The first half has seen nothing later, the second nothing earlier."""
    upstream = Decoar(saved(checkpoint(), tmp_path), every_layer=True)
    x = noise(30, 20, scale=1)
    changed = x.clone()
    changed[14] += 1
    for a, b in zip(upstream.network(x, [30]), upstream.network(changed, [30])):
        past, future = (a != b).split(12, dim=1)
        assert not past[:14].any() and past[14:].any(1).all()
        assert not future[15:].any() and future[:15].any(1).all()


@pytest.mark.parametrize("every_layer", [False, True])
def test_contract(every_layer, tmp_path):
    source = saved(checkpoint(), tmp_path)
    for freeze in (True, False):
        check_upstream(Decoar(source, every_layer=every_layer, freeze=freeze))


# ---------------------------------------------------------------- checkpoints
def test_sizes_are_those_of_the_checkpoint(tmp_path):
    upstream = Decoar(saved(checkpoint(layers=2), tmp_path), every_layer=True)
    assert upstream.num_layers == 2 and upstream.output_size == 24
    assert upstream.features.output_size == 20
    assert upstream.features.options["window_type"] == "hamming"
    assert upstream.features.cmvn and upstream.features.deltas == 0


def test_converted_checkpoint(tmp_path):
    upstream = Decoar(saved(checkpoint(), tmp_path))
    content = json.dumps({"class": "Decoar", "config": vars(upstream.config)})
    path = tmp_path / "decoar.safetensors"
    weights = upstream.network.state_dict()
    safetensors.torch.save_file(weights, path, {CONVERTED: content})
    again, wavs = Decoar(str(path)), noise(1, 8000)
    assert again.config == upstream.config
    assert weights.keys() == again.network.state_dict().keys()
    for name, tensor in again.network.state_dict().items():
        assert torch.equal(tensor, weights[name])
    close(again(wavs)[0][0], upstream(wavs)[0][0])


def test_nothing_is_missing_nor_left_over(tmp_path):
    def error(change):
        states = checkpoint()
        change(states["model"])
        with pytest.raises(CheckpointError) as caught:
            Decoar(saved(states, tmp_path))
        return str(caught.value)

    message = error(lambda w: w.pop("backward_lstm.bias_hh_l2"))
    assert "missing (1): backward_layers.2.bias_hh_l0" in message
    message = error(lambda w: w.update(extra=torch.ones(1)))
    assert "unexpected (1): extra" in message


@pytest.mark.parametrize(
    "states, held",
    [
        ({"model": {"w2v.bias": torch.ones(1)}}, "holds model; in 'model': w2v.bias."),
        ({"weights": {}, "config": {}}, "holds config, weights."),
    ],
)
def test_other_checkpoints_are_refused(states, held, tmp_path):
    with pytest.raises(CheckpointError, match=f"not a checkpoint of DeCoAR.*{held}"):
        Decoar(saved(states, tmp_path))


# ---------------------------------------------------------------------- cards
@pytest.mark.parametrize("name, num_layers", [("decoar", 1), ("decoar_layers", 4)])
def test_published_sizes(name, num_layers):
    with sizes_only():
        upstream = load(name, source=None)
    assert upstream.num_layers == num_layers and upstream.output_size == 2048
    assert upstream.features.output_size == 80 and upstream.stride == 160
    assert upstream.config.num_layers == 4


def test_mistakes_are_explained():
    message = "Unknown entry of config: layers. Known: num_layers, hidden_size, audio"
    with pytest.raises(ValueError, match=message):
        Decoar(config={"layers": 2})
