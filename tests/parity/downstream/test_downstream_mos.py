"""Scores and loss of MOS prediction against S3PRL's own (see make_mos.py)."""

from types import SimpleNamespace

import pytest
import speechbrain as sb
import torch
from peer_values import HERE, error
from safetensors.torch import load_file
from speechbrain.dataio.batch import PaddedBatch

from s3prl_sb.brains.opinion_scores import OpinionScoreBrain
from s3prl_sb.lobes.heads.mos import JudgeBias, MosHead, Windows

VALUES = load_file(HERE / "mos.safetensors")
NAMES = {  # S3PRL's, ours
    "connector": "head.scorer.projection",
    "model.mean_net_linear": "head.scorer.score",
    "model.mean_net_pooling.W": "head.scorer.attention",
    "model.bias_net_linear": "judges.score",
    "model.bias_net_pooling.W": "judges.attention",
    "model.judge_embbeding": "judges.judges",
}
LIMIT = 2e-6


def ours(name):
    place, _, kind = name.rpartition(".")
    return f"{NAMES[place]}.{kind}"


@pytest.mark.parametrize("pooling", ["attention", "mean"])
def test_loss_and_scores_are_s3prls(pooling):
    """Values, and gradients of all weights, for the same windows."""
    attention = pooling == "attention"
    head = MosHead(6, stride=4000, hidden_size=8, attention_pooling=attention)
    judges = JudgeBias(8, 3, attention)
    modules = torch.nn.ModuleDict({"head": head, "judges": judges})
    prefix = f"{pooling}/weight/"
    names = [k.removeprefix(prefix) for k in VALUES if k.startswith(prefix)]
    modules.load_state_dict({ours(name): VALUES[prefix + name] for name in names})
    made = OpinionScoreBrain.__new__(OpinionScoreBrain)
    made.hparams = SimpleNamespace(segment_weight=1.0, bias_weight=0.5)
    made.modules = modules
    cut = [VALUES[f"{pooling}/windows/{i}"] for i in range(2)]
    frames = head.scorer.projection(torch.cat(cut))
    mask = torch.ones(frames.shape[:2], dtype=torch.bool)
    there = torch.tensor([[True, True, True], [True, False, False]])
    windows = Windows(frames, mask, head.scorer.scores(frames, mask), there)
    batch = PaddedBatch(
        [
            {
                "targets": torch.tensor([mean]),
                "judges": torch.tensor(who),
                "judgement_values": torch.tensor(what),
            }
            for mean, who, what in (
                (3.5, (0, 2), (4.0, 3.0)),
                (2.0, (1, 2), (1.0, 3.0)),
            )
        ]
    )
    scores = windows.means(windows.scores, there)
    assert error(scores, VALUES[f"{pooling}/scores"]) < LIMIT
    loss = made.compute_objectives(windows, batch, sb.Stage.TRAIN)
    assert error(loss, VALUES[f"{pooling}/loss"]) < LIMIT
    loss.backward()
    for name in names:
        gradient = modules.get_parameter(ours(name)).grad
        expected = VALUES[f"{pooling}/gradient/{name}"]
        if name.endswith("pooling.W.bias"):  # it cancels in the softmax
            assert max(gradient.abs(), expected.abs()) < 1e-6  # rounding
        else:
            assert error(gradient, expected) < 1e-5, name
    single = head(cut[1], torch.ones(1))  # an utterance of one window
    assert error(single[0], VALUES[f"{pooling}/scores"][1:]) < LIMIT
