"""Makes fixtures/intent_head.safetensors from S3PRL 0.4.18, in its environment.

    cd tests/parity/downstream
    PYTHONPATH=../../../benchmarks s3prl-env/bin/python make_intent_head.py

It has three utterances, and for S3PRL's network of ``atis``, in a small size, its
weights, its logits and the gradients of the mean of their squares. All classes are
S3PRL's own, run on one utterance at a time: the mask does not remove padding.
"""

from pathlib import Path

import peer_stand_ins  # noqa: F401  (stands in for what torchaudio removed)
import torch
from s3prl.downstream.atis.model import Model
from safetensors.torch import save_file

SIZE, HIDDEN, CLASSES, FRAMES = 6, 8, 5, (12, 7, 1)
HERE = Path(__file__).parent
HPARAMS = {
    "hidden_size": HIDDEN,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "layer_norm_eps": 1.0e-12,
    "share_layer": False,
    "pre_layer_norm": False,
}

torch.set_default_dtype(torch.float64)  # what cancels in a softmax is mostly rounding
torch.manual_seed(0)
connector = torch.nn.Linear(SIZE, HIDDEN)
config = {"module": "TransformerEncoder", "hparams": HPARAMS}
model = Model(HIDDEN, "SAP", CLASSES, config)
for parameter in model.parameters():  # S3PRL's layers begin with equal weights
    torch.nn.init.normal_(parameter, std=0.5)
network = torch.nn.ModuleDict({"connector": connector, "model": model}).eval()
features = [torch.randn(frames, SIZE).requires_grad_() for frames in FRAMES]
tensors = {f"feature/{i}": x.detach() for i, x in enumerate(features)}
outputs = torch.cat(
    [model(connector(x)[None], torch.zeros(1, len(x))) for x in features]
)
tensors["output"] = outputs.detach()
outputs.square().mean().backward()
for i, x in enumerate(features):
    tensors[f"gradient/feature/{i}"] = x.grad
for key, parameter in network.named_parameters():
    tensors[f"weight/{key}"] = parameter.detach()
    tensors[f"gradient/{key}"] = parameter.grad
contiguous = {key: value.contiguous() for key, value in tensors.items()}
save_file(contiguous, HERE / "fixtures/intent_head.safetensors")
