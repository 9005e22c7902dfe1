"""Head of opinion scores: its windows, the contract of heads, and judges."""

import pytest
import torch

from s3prl_sb.lobes.heads.check import check_head
from s3prl_sb.lobes.heads.contract import HeadError
from s3prl_sb.lobes.heads.mos import MosHead
from s3prl_sb.lobes.upstreams.mos_prediction import MosPrediction


def head(**options):
    torch.manual_seed(0)
    return MosHead(6, stride=4000, hidden_size=8, **options).eval()  # windows of 4


@pytest.mark.parametrize("attention", [True, False])
def test_it_keeps_the_contract(attention):
    check_head(
        lambda size, classes: MosHead(size, classes, 4000, attention_pooling=attention),
        "utterances",
        num_classes=1,
    )


@pytest.mark.parametrize("frames", range(1, 14))
def test_windows(frames):
    """As many as S3PRL has; each has its true frames, and all frames are in one."""
    made = head()
    x = torch.randn(2, 13, 6)
    lens = torch.tensor([frames / 13, 1.0])
    windows = made(x, lens, in_windows=True)
    mos = MosPrediction.__new__(MosPrediction)
    mos.__dict__.update(segment=4, stride=2)
    count = int(windows.there[0].sum())
    assert count == mos.frames(frames)
    seen = set()
    for number in range(count):
        start = 2 * number
        true = x[0, start : min(start + 4, frames)]
        seen |= set(range(start, start + len(true)))
        score = made.scorer(true[None])
        assert torch.allclose(windows.scores[number], score[0], atol=1e-5)
    assert seen == set(range(frames))
    mean = windows.scores[:count].mean()
    assert torch.allclose(made(x, lens)[0, 0], mean, atol=1e-5)


def test_scores_are_limited():
    made = head()
    with torch.no_grad():
        made.scorer.score.weight.mul_(1e4)
    scores = made(torch.randn(50, 9, 6), torch.ones(50))
    assert scores.min() >= 1 and scores.max() <= 5
    assert scores.max() - scores.min() > 0.5


def test_there_is_one_score():
    with pytest.raises(HeadError, match="predicts one value, and the task has 2"):
        MosHead(6, 2)
