"""Encoders over frames against torch and SpeechBrain, with padding and without."""

import inspect

import pytest
import torch
from speechbrain.lobes.models.transformer import Conformer, Transformer
from speechbrain.nnet.attention import RelPosEncXL

from s3prl_sb.lobes.heads.contract import HeadError
from s3prl_sb.lobes.heads.encoders import MLP, Projection, RecurrentEncoder
from s3prl_sb.lobes.heads.named_encoders import ENCODERS, made_encoder
from s3prl_sb.lobes.heads.pooling import is_poolable
from s3prl_sb.lobes.heads.transformers import ConformerEncoder, TransformerEncoder

FRAMES = (9, 40, 1, 17)
LENS = torch.tensor(FRAMES) / 40


@pytest.fixture
def x():
    x = torch.randn(4, 40, 6)
    for row, frames in zip(x, FRAMES):
        row[frames:] = 1e5
    return x


def test_projection_and_mlp(x):
    projection, mlp = Projection(6, 5), MLP(6, 5, num_layers=2)
    torch.testing.assert_close(
        projection(x, LENS), x @ projection.layer.weight.T + projection.layer.bias
    )
    hidden = x
    for layer in mlp.layers:
        hidden = torch.relu(hidden @ layer.weight.T + layer.bias)
    torch.testing.assert_close(mlp(x, LENS), hidden)
    assert is_poolable(projection) and not is_poolable(mlp)
    assert MLP(6, 5, num_layers=0).output_size == 6


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_recurrent_is_torchs(cell, bidirectional, x):
    encoder = RecurrentEncoder(6, 5, cell=cell, bidirectional=bidirectional)
    kind = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[cell]
    plain = kind(6, 5, 2, bidirectional=bidirectional, batch_first=True)
    plain.load_state_dict(encoder.recurrent.state_dict())
    assert encoder.output_size == (10 if bidirectional else 5)
    for output, row, frames in zip(encoder(x, LENS), x, FRAMES):
        torch.testing.assert_close(output[:frames], plain(row[None, :frames])[0][0])
        assert not output[frames:].any()


def transformer():
    """Ours, and the same of SpeechBrain's parts, for utterances without padding."""
    encoder = TransformerEncoder(6, 8, num_heads=2).eval()
    plain = Transformer.TransformerEncoder(
        2, 2, 32, d_model=8, dropout=0.1, normalize_before=True
    ).eval()
    plain.load_state_dict(encoder.layers.state_dict())
    positions = Transformer.PositionalEncoding(8)

    def reference(x):
        x = encoder.projection(x)
        return plain(x + positions(x))[0]

    return encoder, reference


def conformer():
    """See transformer."""
    encoder = ConformerEncoder(6, 8, num_heads=2, kernel_size=7).eval()
    plain = Conformer.ConformerEncoder(2, 8, 32, 2, kernel_size=7, dropout=0.1).eval()
    plain.load_state_dict(encoder.layers.state_dict())
    positions = RelPosEncXL(8)

    def reference(x):
        x = encoder.projection(x)
        return plain(x, pos_embs=positions(x))[0]

    return encoder, reference


def post_norm():
    """Without positions; the reference is torch's."""
    options = {"norm_first": False, "positions": False, "activation": "gelu"}
    encoder = TransformerEncoder(6, 8, num_heads=2, num_layers=1, **options).eval()
    plain = torch.nn.TransformerEncoderLayer(
        8, 2, 32, activation="gelu", layer_norm_eps=1e-6, batch_first=True
    ).eval()
    names = {
        "self_att.att": "self_attn",
        "pos_ffn.ffn.0": "linear1",
        "pos_ffn.ffn.3": "linear2",
        "norm1.norm": "norm1",
        "norm2.norm": "norm2",
    }
    ours = encoder.layers.layers[0]
    for mine, theirs in names.items():
        weights = ours.get_submodule(mine).state_dict()
        plain.get_submodule(theirs).load_state_dict(weights)
    return encoder, lambda x: plain(encoder.projection(x))


@pytest.mark.parametrize("made", [transformer, conformer, post_norm])
def test_attention_is_the_librarys(made, x):
    encoder, reference = made()
    together = encoder(x, LENS)
    assert together.isfinite().all()
    for output, row, frames in zip(together, x, FRAMES):
        expected = reference(row[None, :frames])[0]
        torch.testing.assert_close(output[:frames], expected, atol=1e-5, rtol=1e-4)


def test_speechbrains_conformer_sees_padding(x):
    """If it no longer does, our convolution module is not needed."""
    encoder, _ = conformer()
    plain = Conformer.ConformerEncoder(2, 8, 32, 2, kernel_size=7).eval()
    plain.load_state_dict(encoder.layers.state_dict())
    features = encoder.projection(x.clamp(-9, 9))
    padding = torch.arange(40) >= torch.tensor(FRAMES)[:, None]
    positions = RelPosEncXL(8)(features)
    mixed, _ = plain(features, src_key_padding_mask=padding, pos_embs=positions)
    expected = encoder(x, LENS)
    assert torch.allclose(mixed[1], expected[1], atol=1e-5)
    assert not torch.allclose(mixed[0, :9], expected[0, :9], atol=1e-3)


@pytest.mark.parametrize("name", ["transformer", "conformer"])
def test_dropout_in_training_alone(name, x):
    encoder = made_encoder(name, 6, hidden_size=8, num_layers=1, dropout=0.5)
    assert not torch.equal(encoder(x, LENS), encoder(x, LENS))
    encoder.eval()
    assert torch.equal(encoder(x, LENS), encoder(x, LENS))


@pytest.mark.parametrize("name", ["transformer", "conformer"])
def test_a_long_utterance(name):
    """SpeechBrain's absolute positions end after 2500 frames."""
    encoder = made_encoder(name, 6, hidden_size=4, num_layers=1, num_heads=1).eval()
    with torch.no_grad():
        assert encoder(torch.randn(1, 2501, 6), torch.ones(1)).shape == (1, 2501, 4)


@pytest.mark.parametrize("name", ENCODERS)
def test_sizes(name, x):
    """With a size where there is a hidden layer: concatenation has none."""
    hidden = "hidden_size" in inspect.signature(ENCODERS[name]).parameters
    encoder = made_encoder(name, 6, **({"hidden_size": 8} if hidden else {}))
    assert encoder(x, LENS).shape == (4, 40, encoder.output_size)
    assert hidden or encoder.output_size == 6 * encoder.window


@pytest.mark.parametrize(
    "name, options, message",
    [
        ("rnn", {"cell": "rnn"}, "cell: lstm or gru, not 'rnn'"),
        ("transformer", {"hidden_size": 9}, "hidden_size 9 and num_heads 4"),
        ("conformer", {"hidden_size": 10}, "hidden_size 10 and num_heads 4"),
        ("conformer", {"kernel_size": 4}, "kernel_size: an odd number, not 4"),
        (
            "concat",
            {"hidden_size": 8},
            "'concat' takes no hidden_size. There are",
        ),
        ("mlp", {"num_layer": 4}, "'mlp' takes no num_layer. Did you mean num_layers"),
        ("mpl", {}, "none called 'mpl'. Did you mean mlp"),
    ],
)
def test_wrong_options(name, options, message):
    with pytest.raises(HeadError, match=message):
        made_encoder(name, 6, **options)
