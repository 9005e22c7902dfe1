"""Makes fixtures/ctc_head.safetensors from S3PRL 0.4.18, in its environment (make.py).

    cd tests/parity/downstream
    PYTHONPATH=../../../benchmarks s3prl-env/bin/python make_ctc_head.py

It has the features of three utterances at a stride of 160 samples, and for S3PRL's
network of OOD-ASR, in a small size, its weights, its logits, the loss of CTC and all
gradients. Utterances have even and odd numbers of frames.
"""

from pathlib import Path

import peer_stand_ins  # noqa: F401  (stands in for what torchaudio removed)
import torch
from s3prl.downstream.asr.model import RNNs
from safetensors.torch import save_file
from torch.nn.utils.rnn import pad_sequence

SIZE, PROJECTED, HIDDEN, TOKENS, FRAMES = 6, 5, 4, 7, (13, 18, 9)
TARGETS = torch.tensor([[3, 4, 1], [5, 6, 1], [2, 1, 0]])
HERE = Path(__file__).parent

torch.set_default_dtype(torch.float64)
torch.manual_seed(0)
projector = torch.nn.Linear(SIZE, PROJECTED)
model = RNNs(
    PROJECTED,
    TOKENS,
    upstream_rate=160,
    total_rate=320,
    module="LSTM",
    bidirection=True,
    dim=[HIDDEN, HIDDEN],
    dropout=[0.2, 0.2],
    layer_norm=[False, False],
    proj=[True, True],
    sample_rate=[1, 1],
    sample_style="drop",
)
network = torch.nn.ModuleDict({"projector": projector, "model": model}).eval()
for parameter in network.parameters():
    torch.nn.init.normal_(parameter, std=0.5)
features = [torch.randn(frames, SIZE).requires_grad_() for frames in FRAMES]
tensors = {f"feature/{i}": x.detach() for i, x in enumerate(features)}
batch = pad_sequence(features, batch_first=True)
logits, lengths = model(projector(batch), torch.tensor(FRAMES))
log_probs = logits.log_softmax(-1)
loss = torch.nn.CTCLoss(blank=0, zero_infinity=True)(
    log_probs.transpose(0, 1), TARGETS, lengths, torch.tensor([3, 3, 2])
)
loss.backward()
tensors["loss"] = loss.detach()
for i, n in enumerate(lengths):
    tensors[f"log_probs/{i}"] = log_probs[i, :n].detach()
    tensors[f"gradient/feature/{i}"] = features[i].grad
for key, parameter in network.named_parameters():
    tensors[f"weight/{key}"] = parameter.detach()
    tensors[f"gradient/{key}"] = parameter.grad
contiguous = {key: value.contiguous() for key, value in tensors.items()}
save_file(contiguous, HERE / "fixtures/ctc_head.safetensors")
