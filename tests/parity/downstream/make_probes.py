"""Makes fixtures/probes.safetensors from S3PRL 0.4.18, in its environment (make.py).

    PYTHONPATH=benchmarks s3prl-env/bin/python tests/parity/downstream/make_probes.py

It has three utterances, and for each of S3PRL's probes of phones its weights, its
logits and the gradients of the mean of their squares. All classes are S3PRL's own, run
on one utterance at a time: they see the padding of a batch. Its expert also matches
features to labels of other lengths (``match/…``).
"""

from pathlib import Path

import peer_stand_ins  # noqa: F401  (stands in for what torchaudio removed)
import torch
from s3prl.downstream.phone_1hidden.model import Model as OneHidden
from s3prl.downstream.phone_linear.expert import DownstreamExpert
from s3prl.downstream.phone_linear.model import Model as Linear
from s3prl.downstream.phone_linear_concat.model import (
    Model as Concat,
)
from s3prl.downstream.timit_phone.model import ConvBank
from safetensors.torch import save_file

SIZE, CLASSES, FRAMES = 6, 5, (12, 7, 5)
HERE = Path(__file__).parent
BANK = {"kernels": [3, 5, 7], "cnn_size": 4, "hidden_size": 8, "dropout": 0.0}

torch.manual_seed(0)
modules = {
    "phone_linear": Linear(SIZE, CLASSES),
    "phone_1hidden": OneHidden(SIZE, CLASSES, hidden_size=8, dropout=0.0),
    "phone_linear_concat": Concat(SIZE, CLASSES, concat_n_frames=9),
    "timit_phone": ConvBank(SIZE, CLASSES, **BANK),
}
features = [torch.randn(frames, SIZE).requires_grad_() for frames in FRAMES]
tensors = {f"feature/{i}": x.detach() for i, x in enumerate(features)}
for name, module in modules.items():
    outputs = torch.cat([module(x[None])[0] for x in features])
    tensors[f"{name}/output"] = outputs.detach()
    outputs.square().mean().backward()
    for i, x in enumerate(features):
        tensors[f"{name}/gradient/feature/{i}"], x.grad = x.grad, None
    for key, parameter in module.named_parameters():
        tensors[f"{name}/weight/{key}"] = parameter.detach()
        tensors[f"{name}/gradient/{key}"] = parameter.grad
expert = DownstreamExpert.__new__(DownstreamExpert)  # without its data
for i, labels in ((0, 24), (0, 23), (0, 26), (1, 7), (1, 6), (1, 9), (2, 20)):
    made, _ = expert._match_length(features[i].detach()[None], torch.zeros(1, labels))
    tensors[f"match/{i}/{labels}"] = made[0].clone()
contiguous = {key: value.contiguous() for key, value in tensors.items()}
save_file(contiguous, HERE / "fixtures/probes.safetensors")
