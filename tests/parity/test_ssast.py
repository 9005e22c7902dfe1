"""SSAST: the formulas on the authors' checkpoints, windows."""

import naive_vision_transformer as naive
import pytest
import torch
from tensors import close, noise

from s3prl_sb.lobes.cards.check import check_upstream
from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.upstreams.ssast import Ssast

TINY = {"hidden_size": 32, "ffn_size": 48, "num_layers": 2, "num_heads": 4}
FRAMES = {"patch": [128, 2], "patch_stride": [128, 1], "grid": [1, 512]}


def authors_checkpoint(patch):
    """Random weights in the authors' format, pre-trained on 128 x 1024."""
    count = (128 // patch[0]) * (1024 // patch[1])
    weights = naive.random_weights(patch=patch)
    weights["cls_token"] = naive.noise(1, 1, 128, seed=5)
    weights["dist_token"] = naive.noise(1, 1, 128, seed=6)
    weights["pos_embed"] = naive.noise(1, 2 + count, 128, seed=7)
    for name in ("head", "head_dist"):
        weights[f"{name}.weight"], weights[f"{name}.bias"] = torch.ones(2, 3)
    states = {f"module.v.{name}": tensor for name, tensor in weights.items()}
    for name in ("cpredlayer.0.weight", "gpredlayer.2.bias", "mask_embed"):
        states[f"module.{name}"] = torch.ones(2)
    states["module.p_input_fdim"] = torch.tensor(128)
    states["module.p_input_tdim"] = torch.tensor(1024)
    return states, weights


@pytest.mark.parametrize(
    "patch, stride, bands, times, first",
    [((16, 16), (10, 10), 12, 3, 31), ((128, 2), (128, 1), 1, 35, 239)],
    ids=["patch", "frame"],
)
def test_authors_checkpoint(patch, stride, bands, times, first, tmp_path):
    states, weights = authors_checkpoint(patch)
    torch.save(states, tmp_path / "ssast.pth")
    upstream = Ssast(tmp_path / "ssast.pth", window_secs=0.36)
    wav = noise(10000)
    found, _ = upstream(wav[None])
    positions = weights["pos_embed"][0]
    tokens = torch.cat([weights["cls_token"][0], weights["dist_token"][0]])
    tokens = tokens + positions[:2]
    positions = positions[2:].unflatten(0, (128 // patch[0], -1))
    positions = positions[:, first : first + times]  # the middle of them
    if bands == 12:
        positions = torch.nn.functional.interpolate(
            positions.permute(2, 0, 1)[None], (12, times), mode="bilinear"
        )[0].permute(1, 2, 0)
    expected = []
    for features in upstream._log_mel(upstream._windows(wav)):
        assert features.shape == (128, 36)
        layers = naive.forward(weights, features, positions, tokens, stride)
        grid = (bands, times)
        expected.append([x[2:].unflatten(0, grid).transpose(0, 1) for x in layers])
    assert len(found) == 2 and len(expected) == 2
    frames = upstream.frames(10000)
    assert frames == min(2 * times, -(-10000 // upstream.stride))
    for i, state in enumerate(found):
        reference = torch.cat([layers[i] for layers in expected]).flatten(1)
        close(state[0], reference[:frames])


def test_other_files_are_refused(tmp_path):
    file = tmp_path / "ssast.pth"

    def error(states):
        torch.save(states, file)
        with pytest.raises(CheckpointError) as caught:
            Ssast(file)
        return str(caught.value)

    states, _ = authors_checkpoint((16, 16))
    assert "missing (1): patches.bias" in error(
        {k: v for k, v in states.items() if "proj.bias" not in k or "attn" in k}
    )
    del states["module.p_input_tdim"]
    assert "SSAST: these have v.cls_token" in error(states)
    assert "Its keys: Config, Transformer" in error({"Transformer": 1, "Config": 2})
    states, _ = authors_checkpoint((32, 32))
    assert "patches of [32, 32] on 128 x 1024" in error(states)


@pytest.mark.parametrize("frames", [False, True], ids=["patch", "frame"])
@pytest.mark.parametrize("freeze", [False, True])
def test_contract_over_several_windows(frames, freeze):
    config = {**TINY, **(FRAMES if frames else {})}
    upstream = Ssast(config=config, window_secs=0.5, freeze=freeze)
    check_upstream(upstream)
    for samples in (1, 7999, 8000, 8001, 30000):
        states, _ = upstream(noise(samples)[None])
        assert states[0].shape == (1, upstream.frames(samples), upstream.output_size)


@pytest.mark.parametrize("frames", [False, True], ids=["patch", "frame"])
def test_frames(frames):
    config = {**TINY, **(FRAMES if frames else {})}
    upstream = Ssast(config=config)
    expected = {1: 1, 8000: 50, 16000: 99, 16001: 101, 17000: 107, 160000: 990}
    if not frames:
        expected = {1: 1, 8000: 5, 16000: 9, 16001: 11, 17000: 11, 160000: 90}
    assert {n: upstream.frames(n) for n in expected} == expected


def test_long_windows_stretch_positions():
    config = {**TINY, **FRAMES, "grid": [1, 20]}
    states, _ = Ssast(config=config, window_secs=1.0)(noise(16000)[None])
    assert states[0].shape == (1, 99, 32) and states[0].isfinite().all()
