"""The Vision Transformer that the models of sound share."""

import naive_vision_transformer as naive
import pytest
import torch
from tensors import close

from s3prl_sb.lobes.checkpoints.building import build
from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.checkpoints.timm_layout import from_timm
from s3prl_sb.lobes.networks.vision_transformer import (
    VisionTransformer,
    VisionTransformerConfig,
    fitted,
    sines,
)
from s3prl_sb.lobes.upstreams.passt import Passt


def network(factorized, **options):
    """Ours and the weights in timm's layout; positions for 3 x 4 patches."""
    theirs = {**naive.random_weights(patch=(8, 4)), **naive.head()}
    sizes, weights = from_timm(theirs, "here")
    weights["tokens"] = naive.noise(2, 128, seed=5)
    if factorized:
        weights["band_positions"] = naive.noise(3, 128, seed=6)
        weights["time_positions"] = naive.noise(4, 128, seed=7)
    else:
        weights["positions"] = naive.noise(3, 4, 128, seed=6)
    options = {"patch_stride": [6, 3], "grid": [3, 4], "num_classes": 7, **options}
    positions = "factorized" if factorized else "centred"
    config = VisionTransformerConfig(**sizes, positions=positions, **options)
    return build(lambda: VisionTransformer(config), weights).eval(), theirs


@pytest.mark.parametrize("factorized", [False, True])
def test_equals_the_formulas(factorized):
    ours, theirs = network(factorized)
    x = naive.noise(2, 20, 13, seed=8)  # 3 x 4 patches
    assert ours.grid(20, 13) == [3, 4]
    with torch.no_grad():
        states = list(ours(x))
        logits, features = ours.classify(states[-1])
        positions = ours._positions(3, 4)
        if factorized:
            for band, time in ((0, 0), (2, 1), (1, 3)):
                expected = ours.band_positions[band] + ours.time_positions[time]
                assert torch.equal(positions[band, time], expected)
        for i in range(2):
            expected = naive.forward(theirs, x[i], positions, ours.tokens, (6, 3))
            assert len(states) == len(expected) == 2
            for state, reference in zip(states, expected):
                close(state[i], reference)
            for result, reference in zip(
                (logits[i], features[i]), naive.classify(theirs, expected[-1])
            ):
                close(result, reference)


def test_fewer_times_are_the_first_ones_of_factorized_positions():
    ours, _ = network(factorized=True)
    assert torch.equal(ours._positions(3, 2), ours._positions(3, 4)[:, :2])


@pytest.mark.parametrize("own, count, first", [(101, 49, 26), (64, 9, 28), (8, 8, 0)])
def test_fewer_positions_are_cut_from_the_middle(own, count, first):
    table = naive.noise(1, own, 5)
    assert torch.equal(fitted(table, 1, count), table[:, first : first + count])
    turned = fitted(table.transpose(0, 1), count, 1)
    assert torch.equal(turned, table.transpose(0, 1)[first : first + count])


def test_more_positions_are_stretched():
    table = naive.noise(8, 64, 5)
    stretched = fitted(table, 12, 9)
    cut = table[:, 28:37]
    for band in range(12):  # centres of the new bands, in old ones
        place = min(max((band + 0.5) * 8 / 12 - 0.5, 0), 7)
        low = int(place)
        high = min(low + 1, 7)
        expected = cut[low] + (place - low) * (cut[high] - cut[low])
        close(stretched[band], expected)


@pytest.mark.parametrize("bands", ["mean", "concat"])
@pytest.mark.parametrize("positions", ["first", "factorized", "sines"])
@pytest.mark.parametrize("norm", ["last", "every"])
def test_spectrograms_of_any_lengths_equal_the_formulas(positions, norm, bands):
    theirs = naive.random_weights(patch=(8, 4))
    sizes, weights = from_timm(theirs, "here")
    weights["tokens"] = naive.noise(1, 128, seed=5)
    if positions == "factorized":
        weights["band_positions"] = naive.noise(3, 128, seed=6)
        weights["time_positions"] = naive.noise(5, 128, seed=7)
        table = weights["band_positions"][:, None] + weights["time_positions"]
    elif positions == "first":
        weights["positions"] = table = naive.noise(3, 5, 128, seed=6)
    else:
        table = sines(3, 5, 128)
    options = {"patch_stride": [8, 4], "grid": [3, 5], "num_classes": 0}
    config = VisionTransformerConfig(
        **sizes, positions=positions, num_tokens=1, norm=norm, **options
    )
    ours = build(lambda: VisionTransformer(config), weights).eval()
    spectrograms = [naive.noise(24, n, seed=n) for n in (20, 4, 15)]
    with torch.no_grad():
        states = list(ours.encode(spectrograms, bands))
        pieces = [state.split([5, 1, 3]) for state in states]
        for i, (x, times) in enumerate(zip(spectrograms, (5, 1, 3))):
            cut = table[:, :times]
            expected = naive.forward(theirs, x, cut, ours.tokens, (8, 4))
            for layer, reference in enumerate(expected, start=1):
                if norm == "every" or layer == 2:
                    reference = ours.norm(reference)
                grid = reference[1:].unflatten(0, (3, times)).transpose(0, 1)
                frames = grid.mean(1) if bands == "mean" else grid.flatten(1)
                close(pieces[layer][i], frames)
            patches = ours.patches(x[None, None])[0].permute(1, 2, 0) + cut
            frames = patches.mean(0) if bands == "mean" else patches.permute(1, 0, 2)
            close(pieces[0][i], frames.reshape(times, -1))


def test_norms_after_the_residuals_equal_torch():
    sizes = {"hidden_size": 32, "ffn_size": 48, "num_layers": 2, "num_heads": 4}
    config = VisionTransformerConfig(
        **sizes, positions="sines", norm_first=False, norm="input", num_classes=0,
        num_tokens=1, patch_stride=[16, 16], grid=[2, 9],
    )  # fmt: skip
    ours = build(lambda: VisionTransformer(config)).eval()
    for seed, parameter in enumerate(ours.parameters()):
        parameter.data = 0.2 * naive.noise(*parameter.shape, seed=seed)
    x = naive.noise(1, 32, 70, seed=3)
    *states, last = ours.contextualize(ours.embed(x)[0], [1 + 2 * 4])
    for layer, state, result in zip(ours.layers, states, [*states[1:], last]):
        theirs = torch.nn.TransformerEncoderLayer(
            32, 4, 48, 0.0, "gelu", 1e-6, batch_first=True
        )
        own = layer.attention
        qkv = (own.query, own.key, own.value)
        theirs.load_state_dict(
            {
                "self_attn.in_proj_weight": torch.cat([m.weight for m in qkv]),
                "self_attn.in_proj_bias": torch.cat([m.bias for m in qkv]),
                "self_attn.out_proj.weight": own.output.weight,
                "self_attn.out_proj.bias": own.output.bias,
                "linear1.weight": layer.expand.weight,
                "linear1.bias": layer.expand.bias,
                "linear2.weight": layer.contract.weight,
                "linear2.bias": layer.contract.bias,
                "norm1.weight": layer.attention_norm.weight,
                "norm1.bias": layer.attention_norm.bias,
                "norm2.weight": layer.ffn_norm.weight,
                "norm2.bias": layer.ffn_norm.bias,
            }
        )
        close(result, theirs(state[None])[0])


def test_layer_scale_becomes_part_of_the_linear_layers():
    theirs = naive.random_weights(patch=(8, 4), norm=False)
    scales = {
        f"blocks.{i}.ls{j}.gamma": naive.noise(128) for i in (0, 1) for j in (1, 2)
    }
    _, plain = from_timm(theirs, "here")
    _, scaled = from_timm({**theirs, **scales}, "here")
    assert scaled.keys() == plain.keys()
    x = naive.noise(3, 160)
    for name in ("layers.0.contract", "layers.1.attention.output"):
        inner = x[:, : plain[f"{name}.weight"].shape[1]]
        linear = torch.nn.functional.linear
        expected = linear(inner, plain[f"{name}.weight"], plain[f"{name}.bias"])
        result = linear(inner, scaled[f"{name}.weight"], scaled[f"{name}.bias"])
        close(result, expected * naive.noise(128))


def test_positions_get_gradients_through_the_fitting():
    ours, _ = network(factorized=False, grid=[3, 4])
    last = list(ours(naive.noise(1, 20, 22)))[-1]  # 7 times
    assert last.shape == (1, 2 + 3 * 7, 128)
    last.square().sum().backward()
    assert ours.positions.grad.abs().min() > 0


def test_mistakes_are_explained():
    with pytest.raises(ValueError, match="Unknown config: depth. Known: hidden_size"):
        Passt(config={"depth": 3})
    with pytest.raises(ValueError, match="768 is no multiple of num_heads 7"):
        VisionTransformerConfig(num_heads=7)
    with pytest.raises(ValueError, match="positions must be one of centred, first"):
        VisionTransformerConfig(positions="middle")
    with pytest.raises(ValueError, match="needs norm: none and num_tokens of 1"):
        VisionTransformerConfig(norm="last")
    with pytest.raises(CheckpointError, match="here.*no Vision Transformer.*patches"):
        from_timm({"conv.weight": torch.ones(1)}, "here")
