"""Poolings against S3PRL's own (see make_poolings.py), padded and not."""

import pytest
import torch
from peer_values import HERE, error
from safetensors.torch import load_file
from torch.nn.utils.rnn import pad_sequence

from s3prl_sb.lobes.heads.named_poolings import made_pooling

SIZE, LIMIT = 6, 2e-6
VALUES = load_file(HERE / "poolings.safetensors")
FEATURES = [VALUES[f"feature/{i}"] for i in range(3)]
#: S3PRL's names of weights to ours; a bias of the scores cancels in the softmax.
NAMES = {
    "mean": {},
    "statistics": {},
    "attentive": {
        "sap_layer.W_a.weight": "project.weight",
        "sap_layer.W_a.bias": "project.bias",
        "sap_layer.W.weight": "score.weight",
    },
    "self_attentive": {
        "sap_linear.weight": "project.weight",
        "sap_linear.bias": "project.bias",
        "attention": "score.weight",  # [size, 1]
    },
}


@pytest.mark.parametrize("name", NAMES)
def test_pooling_is_s3prls(name):
    """Values, and gradients of weights and features."""
    pooling, weights = made_pooling(name, SIZE), {}
    for theirs, ours in NAMES[name].items():
        shape = pooling.get_parameter(ours).shape
        weights[ours] = VALUES[f"{name}/weight/{theirs}"].reshape(shape)
    pooling.load_state_dict(weights)
    features = pad_sequence(FEATURES, batch_first=True, padding_value=7.0)
    features.requires_grad_()
    frames = torch.tensor([len(x) for x in FEATURES])
    output = pooling(features, frames / frames.max())
    assert error(output, VALUES[f"{name}/output"]) < LIMIT
    output.square().mean().backward()
    for theirs, ours in NAMES[name].items():
        gradient = pooling.get_parameter(ours).grad
        expected = VALUES[f"{name}/gradient/{theirs}"].reshape(gradient.shape)
        assert error(gradient, expected) < LIMIT
    for i, row in enumerate(features.grad):
        assert error(row[: frames[i]], VALUES[f"{name}/gradient/feature/{i}"]) < LIMIT
        assert not row[frames[i] :].any()
