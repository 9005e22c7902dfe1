"""Makes fixtures/poolings.safetensors from S3PRL 0.4.18, in its environment (make.py).

    PYTHONPATH=benchmarks s3prl-env/bin/python tests/parity/downstream/make_poolings.py

It has three utterances, and for each of S3PRL's poolings its weights, its output and
the gradients of the mean of its squares. All classes are S3PRL's own, run on one
utterance at a time: the mask of its ``AttentivePooling`` does not remove padding.
"""

from pathlib import Path

import peer_stand_ins  # noqa: F401  (stands in for what torchaudio removed)
import torch
from s3prl.downstream.model import AttentivePooling
from s3prl.nn import pooling
from safetensors.torch import save_file

SIZE, FRAMES = 6, (9, 4, 2)
HERE = Path(__file__).parent


def attentive(features, frames):
    """S3PRL's downstream pooling, of one utterance."""
    return modules["attentive"](features, frames)[0]


torch.manual_seed(0)
modules = {
    "mean": pooling.MeanPooling(SIZE),
    "statistics": pooling.TemporalStatisticsPooling(SIZE),
    "attentive": AttentivePooling(SIZE, "ReLU"),
    "self_attentive": pooling.SelfAttentivePooling(SIZE),
}
torch.nn.init.normal_(modules["self_attentive"].attention)  # S3PRL leaves it unset
features = [torch.randn(frames, SIZE).requires_grad_() for frames in FRAMES]
tensors = {f"feature/{i}": x.detach() for i, x in enumerate(features)}
for name, module in modules.items():
    run = attentive if name == "attentive" else module
    outputs = torch.cat([run(x[None], torch.tensor([len(x)])) for x in features])
    tensors[f"{name}/output"] = outputs.detach()
    outputs.square().mean().backward()
    for i, x in enumerate(features):
        tensors[f"{name}/gradient/feature/{i}"], x.grad = x.grad, None
    for key, parameter in module.named_parameters():
        tensors[f"{name}/weight/{key}"] = parameter.detach()
        tensors[f"{name}/gradient/{key}"] = parameter.grad
contiguous = {key: value.contiguous() for key, value in tensors.items()}
save_file(contiguous, HERE / "fixtures/poolings.safetensors")
