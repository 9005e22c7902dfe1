"""DistilHuBERT's objective against S3PRL's, see make_distillation.py."""

from pathlib import Path

import numpy as np
import pytest
import torch

from s3prl_sb.lobes.pretext.draws import Draws
from s3prl_sb.lobes.upstreams.distilhubert import DistilHubert, read_distiller
from s3prl_sb.lobes.upstreams.hubert import Hubert
from s3prl_sb.objectives.distillation import Distillation

FIXTURES = Path(__file__).parent / "fixtures"
PENALTY = 0.5
LAYER = "encoder.layers.0"
#: Our names of the weights whose gradient S3PRL's fixture has.
NAMES = {
    "feature_extractor.conv_layers.0.0.weight": "front_end.convolutions.0.weight",
    "post_extract_proj.weight": "projection.weight",
    f"{LAYER}.self_attn.q_proj.weight": f"{LAYER}.attention.query.weight",
    "encoder.layers.1.fc2.bias": "encoder.layers.1.contract.bias",
}


@pytest.fixture
def reference():
    return np.load(FIXTURES / "distillation.npz")


def objective(init_from_teacher):
    config, weights = read_distiller(FIXTURES / "distilhubert/ckpt.pt")
    kinds = ("dropout", "attention_dropout", "activation_dropout", "input_dropout")
    config |= {"targets": [1, 2, 3], **dict.fromkeys(kinds, 0.0)}
    network = DistilHubert.from_weights(config, weights, freeze=False)
    teacher = Hubert(str(FIXTURES / "hubert/ckpt.pt"))
    options = {"penalty_weight": PENALTY, "init_from_teacher": init_from_teacher}
    return Distillation(network, teacher, **options).train()


def test_loss_and_gradients_equal_those_of_s3prl(reference):
    made = objective(init_from_teacher=False)
    wavs = np.load(FIXTURES / "wavs.npz")
    wavs = [torch.from_numpy(wavs[name][:8000]) for name in ("utt0", "utt1")]
    loss, count, sums = made(wavs, Draws(0, [1, 1], [0, 1]))
    mean = loss / count
    assert mean.item() == pytest.approx(float(reference["loss"]), rel=1e-5)
    assert (sums["l1"] / count).tolist() == pytest.approx(reference["rec"], rel=1e-5)
    mean.backward()
    network = made.network.network
    gradients = {n: p.grad for n, p in network.named_parameters()}
    compared = {theirs: gradients[ours] for theirs, ours in NAMES.items()}
    heads = [(head[0].weight.grad, head[2].weight.grad) for head in network.heads]
    inner, outer = zip(*heads)
    compared["output_layer.0.weight"] = torch.cat(inner)
    compared["output_layer.2.weight"] = torch.stack(outer).mT
    for name, gradient in compared.items():
        expected = torch.from_numpy(reference[f"gradient/{name}"])
        error = (gradient - expected.view(gradient.shape)).abs().max()
        assert error <= 1e-5 * expected.abs().max(), name


def test_starts_as_the_first_layers_of_the_teacher_as_in_s3prl(reference):
    weights = objective(init_from_teacher=True).network.network.state_dict()
    for theirs, ours in list(NAMES.items())[:3]:
        expected = torch.from_numpy(reference[f"started/{theirs}"])
        assert torch.equal(weights[ours], expected), ours
