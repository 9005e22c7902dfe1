"""An LSTM and a GRU for which padding is nothing, on either of their two ways."""

import pytest
import torch

from s3prl_sb.lobes.heads import recurrent
from s3prl_sb.lobes.heads.recurrent import RaggedGRU, RaggedLSTM

LENGTHS = (9, 12, 1, 7)
LENS = torch.tensor(LENGTHS) / 12


@pytest.fixture
def x():
    return torch.randn(4, 12, 3)


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", [RaggedLSTM, RaggedGRU])
def test_turned_is_packed(layers, bias, kind, x):
    """Values and gradients: what a CPU computes is what a GPU does."""
    lstm = kind(3, 5, layers, bidirectional=True, bias=bias)
    found = []
    for way in (lstm._packed, lstm._padded):
        lstm.zero_grad()
        x.grad = None
        x.requires_grad_()
        hidden = (
            way(x, LENS)
            * (torch.arange(12) < torch.tensor(LENGTHS)[:, None])[..., None]
        )
        hidden.pow(2).sum().backward()
        found.append([hidden, x.grad, *(p.grad for p in lstm.parameters())])
    for packed, turned in zip(*found):
        torch.testing.assert_close(packed, turned)


@pytest.mark.parametrize("bidirectional", [True, False])
def test_each_alone_is_as_in_company(bidirectional, x):
    lstm = RaggedLSTM(3, 5, 2, bidirectional=bidirectional)
    together = lstm(x, LENS)
    assert together.shape == (4, 12, 10 if bidirectional else 5)
    plain = torch.nn.LSTM(3, 5, 2, batch_first=True, bidirectional=bidirectional)
    plain.load_state_dict(lstm.state_dict())
    for row, length in enumerate(LENGTHS):
        alone = plain(x[row : row + 1, :length])[0][0]
        torch.testing.assert_close(together[row, :length], alone)
        assert not together[row, length:].any()


def test_dropout_between_layers_in_training_alone(x):
    lstm = RaggedLSTM(3, 5, 2, bidirectional=True, dropout=0.5)
    assert not torch.equal(lstm(x, LENS), lstm(x, LENS))
    lstm.eval()
    assert torch.equal(lstm(x, LENS), lstm(x, LENS))


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", [RaggedLSTM, RaggedGRU])
def test_autocast_works_on_every_cpu(kind, bidirectional, dtype, x):
    """Values and gradients, also where oneDNN has no LSTM of this precision."""
    lstm = kind(3, 5, 2, bidirectional=bidirectional)
    expected = lstm(x, LENS)
    with torch.autocast("cpu", dtype):
        hidden = lstm(x.to(dtype), LENS)
    torch.testing.assert_close(hidden.float(), expected, atol=0.02, rtol=0.02)
    hidden.float().sum().backward()
    assert all(p.grad.isfinite().all() for p in lstm.parameters())


def test_autocast_without_a_kernel_computes_in_float32(monkeypatch, x):
    def lstm_of_a_cpu_without(x, *args):
        if torch.is_autocast_enabled("cpu"):
            raise RuntimeError("could not create a primitive descriptor")
        return original(x, *args)

    lstm, original = RaggedLSTM(3, 5, 2, bidirectional=True), torch.lstm
    expected = lstm(x, LENS)
    monkeypatch.setattr(torch, "lstm", lstm_of_a_cpu_without)
    recurrent._onednn_has_lstm.cache_clear()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(lstm(x, LENS), expected)
    recurrent._onednn_has_lstm.cache_clear()
