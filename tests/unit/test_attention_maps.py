"""Recorded attention: the weights that the output is made of, in every kind."""

import pytest
import torch

from s3prl_sb.lobes.networks.attention import (
    BucketedDistances,
    GatedRelativeAttention,
    RotaryAttention,
    SelfAttention,
    TransformerXLAttention,
)
from s3prl_sb.lobes.networks.attention_maps import AttentionError, AttentionMaps
from s3prl_sb.lobes.upstreams import load
from s3prl_sb.lobes.upstreams.ast import Ast
from s3prl_sb.lobes.upstreams.atst import Atst
from s3prl_sb.lobes.upstreams.beats import Beats
from s3prl_sb.lobes.upstreams.hubert import Hubert

SIZE, HEADS, FRAMES = 16, 4, 11
KINDS = {
    "plain": lambda: SelfAttention(SIZE, HEADS),
    "rotary": lambda: RotaryAttention(SIZE, HEADS),
    "transformer_xl": lambda: TransformerXLAttention(SIZE, HEADS),
    **{
        f"gated by {gate}": lambda gate=gate: GatedRelativeAttention(
            SIZE, HEADS, 0.0, BucketedDistances(HEADS, 8, 20), True, gate
        )
        for gate in ("frames", "queries")
    },
}


@pytest.fixture
def x():
    return torch.randn(FRAMES, SIZE, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_output_is_the_weighted_sum(kind, causal, x, monkeypatch):
    """Weights times values are the output, so nothing is missing in them."""
    monkeypatch.setattr("s3prl_sb.lobes.networks.attention.BLOCK", 3 * HEADS * FRAMES)
    torch.manual_seed(0)
    attention = KINDS[kind]().eval()
    for parameter in attention.parameters():
        parameter.normal_(std=0.4)
    attention.causal = causal
    expected = attention(x, [FRAMES])
    with AttentionMaps(attention, heads=range(HEADS)) as maps:
        torch.testing.assert_close(attention(x, [FRAMES]), expected, rtol=0, atol=0)
    (weights,) = maps.weights()
    values = attention.value(x).unflatten(1, (HEADS, -1)).transpose(0, 1)
    mixed = (weights @ values).transpose(0, 1).flatten(1)
    torch.testing.assert_close(attention.output(mixed), expected, atol=1e-5, rtol=1e-5)
    assert bool((weights.triu(1) == 0).all()) is causal
    with AttentionMaps(attention) as mean:
        attention(x, [FRAMES])
    torch.testing.assert_close(mean.weights()[0][0], weights.mean(0))
    assert "kernel" not in vars(attention)  # as before


def test_what_cannot_be_shown():
    with pytest.raises(AttentionError, match="KaldiFeatures has no self-attention"):
        AttentionMaps(load("fbank"))
    tiny = {"hidden_size": 16, "ffn_size": 16, "num_layers": 1, "num_heads": 2}
    for upstream in (Ast(config=tiny), Beats(config=tiny | {"position_groups": 2})):
        with pytest.raises(AttentionError, match="patches of the spectrogram"):
            AttentionMaps(upstream)
    with pytest.raises(AttentionError, match="the heads 0 to 3, not"):
        AttentionMaps(SelfAttention(SIZE, HEADS), heads=[1, 4])


def test_patches_that_are_frames_have_a_map():
    tiny = {"hidden_size": 16, "ffn_size": 16, "num_layers": 2, "num_heads": 2}
    upstream = Atst(config=tiny)
    with AttentionMaps(upstream) as maps:
        states, _ = upstream(torch.randn(1, 8000))
    weights = maps.weights()
    frames = states[0].shape[1]
    assert [each.shape for each in weights] == 2 * [(1, frames, frames)]
    with AttentionMaps(upstream) as maps:
        upstream(torch.randn(1, 12 * 16000))  # two chunks
    with pytest.raises(AttentionError, match="within chunks"):
        maps.weights()


def test_chunks_have_no_map_of_the_whole():
    tiny = {"hidden_size": 16, "ffn_size": 16, "num_layers": 2, "num_heads": 2}
    tiny |= {"position_kernel": 8, "position_groups": 2}
    tiny["conv_layers"] = [[8, 10, 5], [8, 8, 64]]
    hubert = Hubert(config=tiny, chunk_seconds=0.5)
    for seconds, whole in ((0.4, True), (3, False)):
        with AttentionMaps(hubert) as maps:
            hubert(torch.randn(1, int(seconds * 16000)))
        if whole:
            assert [tuple(each.shape) for each in maps.weights()] == [(1, 20, 20)] * 2
        else:
            with pytest.raises(AttentionError, match="chunk_seconds"):
                maps.weights()
