"""Heads and pooling: formulas, masks, and what commutes with a mean."""

import functools

import pytest
import torch
from hyperpyyaml import load_hyperpyyaml

from s3prl_sb.lobes.heads.attentive_pooling import AttentivePooling
from s3prl_sb.lobes.heads.composed import FrameHead, UtteranceHead
from s3prl_sb.lobes.heads.contract import HeadError
from s3prl_sb.lobes.heads.encoders import MLP
from s3prl_sb.lobes.heads.named_poolings import POOLINGS
from s3prl_sb.lobes.heads.pooling import MeanPooling, frame_mask, is_poolable
from s3prl_sb.lobes.heads.utterance import UtteranceClassifier


def batch(frames=(7, 3, 1), size=6, fill=0.0):
    """[batch, frames, size] with ``fill`` in the padding, lens, and the pieces."""
    generator = torch.Generator().manual_seed(0)
    pieces = [torch.randn(n, size, generator=generator) for n in frames]
    x = torch.nn.utils.rnn.pad_sequence(pieces, batch_first=True, padding_value=fill)
    return x, torch.tensor(frames) / max(frames), pieces


@pytest.mark.parametrize("fill", [0.0, 1e30])
def test_mean_ignores_padding(fill):
    x, lens, pieces = batch(fill=fill)
    expected = torch.stack([piece.mean(0) for piece in pieces])
    torch.testing.assert_close(MeanPooling()(x, lens), expected)


def test_mean_passes_gradients_to_true_frames_only():
    x, lens, pieces = batch()
    x.requires_grad_()
    MeanPooling()(x, lens).sum().backward()
    for row, piece in zip(x.grad, pieces):
        assert torch.allclose(row[: len(piece)], torch.tensor(1 / len(piece)))
        assert not row[len(piece) :].any()


@pytest.mark.parametrize("longest", [1, 2, 3, 10, 49, 85, 149, 1499, 4999, 65537])
def test_mask_counts_exactly(longest):
    """Every number of frames survives its way through a relative length."""
    frames = torch.arange(1, min(longest, 200) + 1)
    frames = torch.cat([frames, torch.arange(max(1, longest - 50), longest + 1)])
    mask = frame_mask(torch.empty(len(frames), longest, 0), frames / longest)
    assert torch.equal(mask.sum(1), frames)
    assert mask[:, 0].all() and mask.dtype == torch.bool


def test_classifier_formula():
    head = UtteranceClassifier(input_size=6, num_classes=3, hidden_size=5)
    x, lens, pieces = batch(fill=100.0)
    logits = head(x, lens)
    assert logits.shape == (3, 3)
    for row, piece in zip(logits, pieces):
        hidden = piece @ head.projection.weight.T + head.projection.bias
        expected = head.classifier.weight @ hidden.mean(0) + head.classifier.bias
        torch.testing.assert_close(row, expected)


def test_linear_head_commutes_with_the_mean():
    head = UtteranceClassifier(6, 3)
    x, lens, pieces = batch()
    assert head.linear
    pooled = torch.stack([piece.mean(0, keepdim=True) for piece in pieces])
    torch.testing.assert_close(head(pooled, torch.ones(3)), head(x, lens))


def test_other_poolings_say_for_themselves():
    class Maximum(torch.nn.Module):
        def forward(self, x, lens):
            return x.masked_fill(~frame_mask(x, lens)[..., None], -1e9).amax(1)

    head = UtteranceClassifier(6, 3, pooling=Maximum())
    assert not head.linear
    x, lens, pieces = batch(fill=50.0)
    alone = [head(piece[None], torch.ones(1))[0] for piece in pieces]
    torch.testing.assert_close(head(x, lens), torch.stack(alone))


def test_a_layer_called_linear_declares_nothing():
    class Head(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = torch.nn.Linear(6, 3)

    assert not is_poolable(Head())
    assert is_poolable(UtteranceClassifier(6, 3))


def test_sizes_and_defaults():
    head = UtteranceClassifier(768, 12)
    shapes = {name: tuple(p.shape) for name, p in head.named_parameters()}
    assert shapes == {
        "projection.weight": (256, 768),
        "projection.bias": (256,),
        "classifier.weight": (12, 256),
        "classifier.bias": (12,),
    }


# ------------------------------------------------------------------ composed of parts
@pytest.mark.parametrize("pooling", POOLINGS)
def test_poolings_by_name(pooling):
    head = UtteranceClassifier(6, 3, hidden_size=4, pooling=pooling).eval()
    assert head.linear is (pooling == "mean")
    assert head.classifier.in_features == head.pooling.output_size
    x, lens, pieces = batch(fill=50.0)
    alone = [head(piece[None], torch.ones(1))[0] for piece in pieces]
    torch.testing.assert_close(head(x, lens), torch.stack(alone))


def test_default_pooling_has_the_same_weights():
    heads = []
    for options in ({}, {"pooling": "mean"}, {"pooling": MeanPooling()}):
        torch.manual_seed(0)
        heads.append(UtteranceClassifier(6, 3, **options).state_dict())
    for other in heads[1:]:
        assert all(torch.equal(other[name], value) for name, value in heads[0].items())


def test_a_linear_composition_is_the_probe():
    composed = UtteranceHead(6, 3, encoder="linear", hidden_size=5)
    probe = UtteranceClassifier(6, 3, hidden_size=5)
    state = composed.state_dict().items()
    probe.load_state_dict(
        {name.replace("encoder.layer", "projection"): value for name, value in state}
    )
    x, lens, _ = batch()
    assert composed.linear
    torch.testing.assert_close(composed(x, lens), probe(x, lens))


@pytest.mark.parametrize(
    "encoder, options",
    [
        ("mlp", {"hidden_size": 4, "num_layers": 1}),
        ({"name": "mlp", "num_layers": 1}, {"hidden_size": 4}),
        (functools.partial(MLP, hidden_size=4), {"num_layers": 1}),
        (MLP(6, 4, num_layers=1), {}),
    ],
)
def test_an_encoder_by_name_mapping_class_and_module(encoder, options):
    head = FrameHead(6, 3, encoder, **options)
    assert [tuple(p.shape) for p in head.parameters()] == [(4, 6), (4,), (3, 4), (3,)]


def test_heads_of_one_node_do_not_share_a_module():
    """A search of learning rates makes several heads of one node."""
    make = functools.partial(UtteranceHead, 6, 3, MLP(6, 4), AttentivePooling(4))
    first, second = make(), make()
    assert not {id(p) for p in first.parameters()} & {
        id(p) for p in second.parameters()
    }


def test_a_made_module_takes_no_options():
    with pytest.raises(HeadError, match="MLP is made already, so it takes no dropout"):
        FrameHead(6, 3, MLP(6, 4), dropout=0.1)
    with pytest.raises(HeadError, match="pooling: there is none called 'max'"):
        UtteranceHead(6, 3, pooling="max")


def test_in_a_yaml():
    """As a recipe, or a SpeechBrain project, writes it."""
    text = """
head: !new:s3prl_sb.lobes.heads.composed.UtteranceHead
    input_size: 6
    num_classes: 3
    encoder: {name: rnn, cell: gru, hidden_size: 4}
    pooling: !name:s3prl_sb.lobes.heads.attentive_pooling.AttentivePooling
        hidden_size: 5
"""
    head = load_hyperpyyaml(text)["head"]
    assert head.pooling.project.weight.shape == (5, 8)
    x, lens, _ = batch()
    assert head(x, lens).shape == (3, 3)
