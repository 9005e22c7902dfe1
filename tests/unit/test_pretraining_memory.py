"""A pre-training on a GPU finds out at once whether its batches fit into memory."""

import sys
from pathlib import Path

import pytest
import speechbrain as sb
import torch

from s3prl_sb.brains.memory import BatchTooLarge
from s3prl_sb.brains.pretraining import PretrainingBrain
from s3prl_sb.lobes.upstreams.apc import Apc

sys.path.append(str(Path(__file__).parents[1] / "pretraining_toy"))
from toy_parts import Masked, Tones  # noqa: E402


@pytest.fixture
def brain(tmp_path):
    network = Apc(config={"hidden_size": 8}, freeze=False)
    hparams = {
        "upstream_model": network,
        "objective": Masked(network),
        "seed": 0,
        "opt_class": lambda parameters: torch.optim.Adam(parameters, lr=0.1),
        "total_steps": 4,
        "steps_per_epoch": 2,
        "batch_seconds": 1.0,
        "grad_accumulation_factor": 1,
        "output_folder": tmp_path,
        "save_folder": tmp_path,
    }
    made = PretrainingBrain(hparams, {"device": "cpu"})
    made.make_dataloader(Tones(), sb.Stage.TRAIN)
    made.init_optimizers()
    made.device_type = "cuda"  # as far as the decision goes
    return made


def test_a_rehearsal_of_the_largest_batch_changes_nothing(brain, monkeypatch):
    seen, forward = [], brain.objective.forward
    monkeypatch.setattr(
        brain.objective, "forward", lambda w, *a: seen.append(w) or forward(w, *a)
    )
    before = {k: v.clone() for k, v in brain.modules.state_dict().items()}
    brain.rehearse()
    audio = [sum(Tones.lengths[r] for r, _ in batch) for batch in brain.train_sampler]
    assert sum(map(len, seen[0])) == max(audio) and len(seen) == 1
    assert all(torch.equal(v, before[k]) for k, v in brain.modules.state_dict().items())
    assert all(p.grad is None for p in brain.modules.parameters())
    assert not brain.standing.sums.values and not brain.standing.failed
    assert brain.count == 0 and brain.standing.tried == 0


def test_one_that_does_not_fit_names_the_keys_of_pretraining(brain, monkeypatch):
    def forward(*arguments):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(brain.objective, "forward", forward)
    with pytest.raises(BatchTooLarge, match="s of audio: tone.*Lower batch_seconds"):
        brain.rehearse()
