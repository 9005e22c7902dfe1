"""Encoders over stacked features: frames, positions, causality, conversion."""

import itertools

import pytest
import torch

from s3prl_sb.lobes.cards.check import check_upstream
from s3prl_sb.lobes.cards.conversion import convert
from s3prl_sb.lobes.causality import is_causal
from s3prl_sb.lobes.networks.attention import (
    RotaryAttention,
    SelfAttention,
    TransformerXLAttention,
)
from s3prl_sb.lobes.upstreams import load
from s3prl_sb.lobes.upstreams.acoustic_encoder import AcousticEncoder

TINY = {
    "hidden_size": 32,
    "ffn_size": 48,
    "num_layers": 2,
    "num_heads": 4,
    "position_kernel": 16,
    "position_groups": 4,
    "convolution_kernel": 7,
}
ATTENTION = ("plain", "gated_relative", "transformer_xl", "rotary")
POSITIONS = ("convolutional", "sinusoidal", "none")


def build(**entries):
    return AcousticEncoder(config={**TINY, **entries})


@pytest.mark.parametrize("kind", ["mel", "kaldi_fbank"])
@pytest.mark.parametrize("stack", [1, 2, 4, 7])
def test_frames_are_stacked_and_the_rest_is_dropped(stack, kind):
    upstream = build(stack=stack, features={"kind": kind})
    wav = torch.randn(16000)
    (x, frames), y = upstream.local([wav]), upstream.features(wav[None])[0][0][0]
    assert frames == [len(y) // stack] == [upstream.frames(16000)]
    assert torch.equal(x[1, : y.shape[1]], y[stack])
    assert torch.equal(x[-1, -y.shape[1] :], y[len(x) * stack - 1])
    assert upstream.stride == 160 * stack
    shortest = upstream.min_samples
    assert upstream.local([wav[:shortest]])[1] == [upstream.frames(shortest)]
    assert upstream.frames(1) == upstream.frames(shortest) <= 2


@pytest.mark.parametrize(
    "layer, attention, positions, causal",
    [
        *itertools.product(("transformer", "conformer"), ATTENTION, POSITIONS, (0, 1)),
        *itertools.product(("e_branchformer",), ("plain",), POSITIONS[:1], (0, 1)),
    ],
)
def test_causal_ones_alone_see_no_future(layer, attention, positions, causal):
    upstream = build(
        layer=layer, attention=attention, positions=positions, causal=bool(causal)
    )
    assert is_causal(upstream) == bool(causal)


@pytest.mark.parametrize("attention", ATTENTION)
def test_every_kind_keeps_the_contract_when_causal(attention):
    check_upstream(
        build(layer="conformer", attention=attention, causal=True, norm_first=True)
    )


def test_several_positional_convolutions_are_causal():
    assert is_causal(build(position_depth=2, causal=True))


def test_a_frame_of_the_future_has_no_gradient():
    """Another way than the probe's."""
    upstream = build(layer="conformer", attention="transformer_xl", causal=True)
    x = torch.randn(30, upstream.embedded_size, requires_grad=True)
    last = list(upstream.contextualize(x, [20, 10]))[-1]
    last[12].sum().backward()
    reached = x.grad.abs().sum(1) > 0
    assert reached[:13].all() and not reached[13:].any()


@pytest.mark.parametrize("kind", [SelfAttention, RotaryAttention])
def test_causal_attention_is_softmax_over_the_past(kind):
    attention, frames = kind(16, 2).eval(), [7, 4, 1]
    attention.causal = True
    x = torch.randn(sum(frames), 16)
    rotated = x if kind is SelfAttention else attention._rotated(x, frames)
    q, k, v = attention.query(rotated), attention.key(rotated), attention.value(x)
    rows = []
    for q_i, k_i, v_i in zip(q.split(frames), k.split(frames), v.split(frames)):
        for t in range(len(q_i)):
            for head in (slice(0, 8), slice(8, 16)):
                scores = (k_i[: t + 1, head] @ q_i[t, head]) / 8**0.5
                rows.append(scores.softmax(0) @ v_i[: t + 1, head])
    expected = attention.output(torch.stack(rows).view(sum(frames), 16))
    assert torch.allclose(attention(x, frames), expected, atol=1e-5)


def test_blocks_of_relative_attention_know_their_place(monkeypatch):
    attention = TransformerXLAttention(16, 2).eval()
    attention.causal = True
    x = torch.randn(12, 16)
    expected = attention(x, [9, 3])
    monkeypatch.setattr("s3prl_sb.lobes.networks.attention.BLOCK", 2 * 9 * 2)
    assert torch.allclose(attention(x, [9, 3]), expected, atol=1e-6)


def test_sinusoidal_positions_begin_anew_in_each_utterance():
    encoder = build(positions="sinusoidal", num_layers=1).network.encoder
    x = encoder.positions(torch.zeros(5, 32), [3, 2])
    assert torch.equal(x[0], x[3]) and torch.equal(x[1], x[4])
    assert x[0, :4].tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize(
    "entries, words",
    [
        ({"stack": 0}, "stack must be 1 frame or more"),
        ({"features": {"kind": "mels"}}, "kind of features must be one of mel"),
        ({"features": {"n_mel": 40}}, "Unknown entry of features: n_mel. Known: kind"),
        ({"features": {"kind": "kaldi_mfcc", "n_mels": 4}}, "Unknown option of kaldi"),
        ({"positions": "learned"}, "positions must be one of convolutional"),
        ({"conv_layers": []}, "Unknown entry of config: conv_layers"),
    ],
)
def test_wrong_entries(entries, words):
    with pytest.raises(ValueError, match=words):
        build(**entries)


def test_a_conversion_is_the_same(tmp_path):
    text = """mine: !new:s3prl_sb.lobes.upstreams.acoustic_encoder.AcousticEncoder
    config:
        {hidden_size: 32, ffn_size: 48, num_layers: 1, num_heads: 4, stack: 2,
         layer: conformer, causal: True, features: {kind: kaldi_fbank, deltas: 0}}
"""
    (tmp_path / "mine.yaml").write_text(text)
    card, upstream = convert(str(tmp_path / "mine.yaml"), str(tmp_path / "converted"))
    original, wavs = load(str(tmp_path / "mine.yaml")), torch.randn(2, 8000)
    again = load(str(card))
    assert again.config == original.config and is_causal(again)
    for a, b in zip(original(wavs)[0], again(wavs)[0]):
        assert torch.equal(a, b)
    alone = AcousticEncoder(str(tmp_path / "converted" / "model.safetensors"))
    assert alone.stride == 320
    (tmp_path / "other.ckpt").write_bytes(b"no checkpoint")
    with pytest.raises(ValueError, match="model.safetensors of a pre-training"):
        AcousticEncoder(str(tmp_path / "other.ckpt"))
