"""The Vision Transformer that AST, SSAST and PaSST share."""

import naive_vision_transformer as naive
import pytest
import torch

from s3prl_sb.lobes.checkpoints.building import build
from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.checkpoints.timm_layout import from_timm
from s3prl_sb.lobes.networks.vision_transformer import (
    VisionTransformer,
    VisionTransformerConfig,
    fitted,
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
    config = VisionTransformerConfig(**sizes, factorized=factorized, **options)
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
                naive.close(state[i], reference)
            for result, reference in zip(
                (logits[i], features[i]), naive.classify(theirs, expected[-1])
            ):
                naive.close(result, reference)


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
        naive.close(stretched[band], expected)


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
    with pytest.raises(CheckpointError, match="here.*no Vision Transformer.*patches"):
        from_timm({"conv.weight": torch.ones(1)}, "here")
