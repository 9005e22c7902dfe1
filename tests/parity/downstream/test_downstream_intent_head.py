"""The head of ATIS and SNIPS against S3PRL's own (see make_intent_head.py), padded."""

import torch
from peer_values import HERE, error
from safetensors.torch import load_file
from torch.nn.utils.rnn import pad_sequence

from s3prl_sb.lobes.heads.composed import UtteranceHead

SIZE, CLASSES = 6, 5
LIMIT = 1e-9  # the gradient of the scores is 1e-6, from terms of about 1
VALUES = load_file(HERE / "intent_head.safetensors")
FEATURES = [VALUES[f"feature/{i}"] for i in range(3)]
FRAMES = torch.tensor([len(x) for x in FEATURES])
#: S3PRL's names of modules to ours; query, key and value are one of ours.
OUTSIDE = {
    "connector": "encoder.projection",
    "model.agg_method.sap_layer.W": "pooling.score",
    "model.linear": "classifier",
}
INSIDE = {
    "attention.output.dense": "self_att.att.out_proj",
    "attention.output.LayerNorm": "norm1.norm",
    "intermediate.dense": "pos_ffn.ffn.0",
    "output.dense": "pos_ffn.ffn.3",
    "output.LayerNorm": "norm2.norm",
}


def ours(kind):
    """Returns S3PRL's weights or gradients under our names."""
    tensors = {}
    for name, theirs in OUTSIDE.items():
        for part in ("weight", "bias"):
            tensors[f"{theirs}.{part}"] = VALUES[f"{kind}/{name}.{part}"]
    del tensors["pooling.score.bias"]  # it cancels in the softmax
    for layer in range(2):
        begin = f"{kind}/model.model.layer.{layer}"
        for part in ("weight", "bias"):
            for name, theirs in INSIDE.items():
                key = f"encoder.layers.layers.{layer}.{theirs}.{part}"
                tensors[key] = VALUES[f"{begin}.{name}.{part}"]
            attention = f"encoder.layers.layers.{layer}.self_att.att.in_proj_{part}"
            tensors[attention] = torch.cat(
                [
                    VALUES[f"{begin}.attention.self.{name}.{part}"]
                    for name in ("query", "key", "value")
                ]
            )
    return tensors


def test_head_is_s3prls():
    """Values, and gradients of weights and features."""
    head = UtteranceHead(
        SIZE,
        CLASSES,
        encoder="transformer",
        pooling={"name": "linear_attentive", "activation": "tanh"},
        hidden_size=8,
        num_heads=2,
        ffn_size=16,
        norm_first=False,
        positions=False,
        activation="gelu",
    )
    head.double().eval()
    for module in head.modules():
        if isinstance(module, torch.nn.LayerNorm):
            module.eps = 1e-12  # S3PRL's; SpeechBrain's is 1e-6
    head.load_state_dict(ours("weight"))
    features = pad_sequence(FEATURES, batch_first=True, padding_value=7.0)
    features.requires_grad_()
    output = head(features, (FRAMES / FRAMES.max()).double())
    assert error(output, VALUES["output"]) < LIMIT
    output.square().mean().backward()
    for name, gradient in ours("gradient").items():
        assert error(head.get_parameter(name).grad, gradient) < LIMIT, name
    for i, row in enumerate(features.grad):
        expected = VALUES[f"gradient/feature/{i}"]
        assert error(row[: FRAMES[i]], expected) < LIMIT
        assert not row[FRAMES[i] :].any()
