"""Makes fixtures/mos.safetensors from S3PRL 0.4.18, in its environment (make.py).

    PYTHONPATH=benchmarks s3prl-env/bin/python tests/parity/downstream/make_mos.py

It has the windows of two utterances, and S3PRL's loss, scores and gradients for them:
its own expert runs on a batch with a row for each of the two judges of an utterance.
"""

from collections import defaultdict
from pathlib import Path

import peer_stand_ins  # noqa: F401  (stands in for what torchaudio removed)
import torch
from s3prl.downstream.mos_prediction.expert import DownstreamExpert
from s3prl.downstream.mos_prediction.model import Model
from safetensors.torch import save_file

SIZE, HIDDEN, FRAMES, JUDGES = 6, 8, 4, 3
WINDOWS = (3, 1)  # of the utterances
MEANS, JUDGED, SCORES = (3.5, 2.0), ((0, 2), (1, 2)), ((4.0, 3.0), (1.0, 3.0))
HERE = Path(__file__).parent

tensors = {}
for pooling in (True, False):
    torch.manual_seed(0)
    expert = DownstreamExpert.__new__(DownstreamExpert)  # without its data
    torch.nn.Module.__init__(expert)
    expert.connector = torch.nn.Linear(SIZE, HIDDEN)
    expert.model = Model(HIDDEN, True, pooling, num_judges=JUDGES)
    expert.objective = torch.nn.MSELoss()
    expert.segment_weight, expert.bias_weight = 1, 0.5
    windows = [torch.randn(count, FRAMES, SIZE) for count in WINDOWS]
    rows = [
        (w, m, score, judge)
        for w, m, judges, scores in zip(windows, MEANS, JUDGED, SCORES)
        for judge, score in zip(judges, scores)
    ]
    sums = [0]
    for w, *_ in rows:
        sums.append(sums[-1] + len(w))
    judges = [judge for w, _, _, judge in rows for _ in w]
    records, names = defaultdict(list), [f"S{i}" for i in range(len(rows))]
    loss = expert(
        "train",
        [window for w, *_ in rows for window in w],
        sums,
        torch.tensor([m for _, m, _, _ in rows]),
        names,
        torch.tensor([score for _, _, score, _ in rows]),
        torch.tensor(judges),
        records,
    )
    loss.backward()
    kind = "attention" if pooling else "mean"
    for i, w in enumerate(windows):
        tensors[f"{kind}/windows/{i}"] = w
    tensors[f"{kind}/loss"] = loss.detach()
    tensors[f"{kind}/scores"] = torch.stack(records["pred_scores"])[::2]
    for key, parameter in expert.named_parameters():
        tensors[f"{kind}/weight/{key}"] = parameter.detach()
        tensors[f"{kind}/gradient/{key}"] = parameter.grad
contiguous = {key: value.contiguous().clone() for key, value in tensors.items()}
save_file(contiguous, HERE / "fixtures/mos.safetensors")
