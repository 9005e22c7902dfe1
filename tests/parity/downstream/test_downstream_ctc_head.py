"""The head of OOD-ASR against S3PRL's own (see make_ctc_head.py), in our Brain."""

from types import SimpleNamespace

import pytest
import speechbrain as sb
import torch
from peer_values import HERE, error
from safetensors.torch import load_file
from torch.nn.utils.rnn import pad_sequence

from s3prl_sb.brains.ctc import CTCBrain
from s3prl_sb.dataio.tokenizers import SymbolTokenizer
from s3prl_sb.lobes.heads.blstm import ProjectedBLSTMHead

VALUES = load_file(HERE / "ctc_head.safetensors")
FEATURES = [VALUES[f"feature/{i}"] for i in range(3)]
FRAMES = torch.tensor([len(x) for x in FEATURES])
TARGETS = torch.tensor([[3, 4, 1], [5, 6, 1], [2, 1, 0]])


def ours(name):
    """Returns our name of S3PRL's parameter."""
    name = name.replace("projector.", "projection.")
    name = name.replace("model.linear.", "classifier.")
    for i in range(2):
        name = name.replace(f"model.rnns.{i}.layer.", f"lstms.{i}.")
        name = name.replace(f"model.rnns.{i}.pj.", f"layers.{i}.")
    return name


def named(kind):
    begin = f"{kind}/"
    keys = [k for k in VALUES if k.startswith(begin) and "feature" not in k]
    return {ours(key.removeprefix(begin)): VALUES[key] for key in keys}


class Brain(CTCBrain):
    """With features instead of audio, and without the rest of a run."""

    def __init__(self, head):
        self.modules = torch.nn.ModuleDict({"head": head})
        self.hparams, self.device = SimpleNamespace(), "cpu"
        self.tokenizer = SymbolTokenizer(list("abcd"))
        self.subsampling, self.impossible = head.subsampling, set()

    def compute_features(self, batch):
        return batch.features, batch.lens


@pytest.mark.parametrize("padding", [0, 1])
def test_loss_and_gradients_are_s3prls(padding):
    """More padding changes nothing, nor does whether the batch is of even length."""
    head = ProjectedBLSTMHead(6, 7, 160, projection_size=5, hidden_size=4).double()
    head.eval().load_state_dict(named("weight"))
    features = pad_sequence(FEATURES, batch_first=True, padding_value=7.0)
    rest = torch.full((3, padding, 6), 7.0, dtype=features.dtype)
    features = torch.cat([features, rest], 1).requires_grad_()
    batch = SimpleNamespace(
        id=["a", "b", "c"],
        features=features,
        lens=(FRAMES / features.shape[1]).double(),
        tokens=(TARGETS, torch.tensor([1, 1, 2 / 3])),
        tokens_list=[[3, 4, 1], [5, 6, 1], [2, 1]],
    )
    batch.to = lambda device: batch
    brain = Brain(head)
    log_probs, lens = brain.compute_forward(batch, sb.Stage.TRAIN)
    counts = (lens * log_probs.shape[1]).round().long().tolist()
    assert counts == [6, 9, 4]
    for i, n in enumerate(counts):
        assert error(log_probs[i, :n], VALUES[f"log_probs/{i}"].float()) < 1e-6
    loss = brain.compute_objectives((log_probs, lens), batch, sb.Stage.TRAIN)
    assert float(loss.detach()) == pytest.approx(float(VALUES["loss"]), rel=1e-6)
    loss.backward()
    for name, gradient in named("gradient").items():
        assert error(head.get_parameter(name).grad, gradient) < 1e-5, name
    for i, row in enumerate(features.grad):
        assert error(row[: FRAMES[i]], VALUES[f"gradient/feature/{i}"]) < 1e-5
        assert not row[FRAMES[i] :].any()
