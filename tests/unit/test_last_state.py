"""The last state of a recurrent layer: against packed sequences of plain torch."""

import torch
from torch.nn.utils.rnn import pack_padded_sequence

from s3prl_sb.lobes.heads.last_state import LastStateClassifier


def test_its_state_is_that_of_packed_sequences():
    """Also an utterance of fewer frames than the GRU skips; gradients as well."""
    torch.manual_seed(0)
    head = LastStateClassifier(6, 3, hidden_size=16).eval()
    frames = torch.tensor([40, 23, 10, 4])
    x = torch.randn(4, 40, 6, requires_grad=True)
    plain = torch.nn.GRU(6, 16, batch_first=True)
    plain.load_state_dict(head.gru.state_dict())
    lengths = (frames // 5).clamp_min(1)
    state = plain(pack_padded_sequence(x[:, ::5], lengths, batch_first=True))[1][-1]
    expected = head.classifier(state)
    logits = head(x, frames / 40)
    assert torch.allclose(logits, expected, atol=1e-6)
    gradients = [torch.autograd.grad(y.sum(), x)[0] for y in (logits, expected)]
    assert torch.allclose(*gradients, atol=1e-6)
    assert gradients[0][1, 16:].eq(0).all() and gradients[0][1, 15].ne(0).any()
