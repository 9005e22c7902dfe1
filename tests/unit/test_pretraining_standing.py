"""Sums, alarms and unreadable audio of a pre-training, and what a checkpoint keeps."""

import math

import pytest
import torch

from s3prl_sb.brains import distributed
from s3prl_sb.brains.pretraining_standing import Collapsed, Standing, Unreadable
from s3prl_sb.brains.pretraining_sums import (
    NOTHING,
    SECONDS,
    Sums,
    judged,
    measured,
    valued,
    worded,
)
from s3prl_sb.lobes.pretext.alterations import TimeMask
from s3prl_sb.lobes.pretext.draws import Draws
from s3prl_sb.lobes.upstreams.acoustic_encoder import AcousticEncoder
from s3prl_sb.lobes.upstreams.apc import Apc
from s3prl_sb.objectives.apc import APC
from s3prl_sb.objectives.base import Outcome
from s3prl_sb.objectives.best_rq import BestRq
from s3prl_sb.objectives.masked_prediction import HubertObjective
from s3prl_sb.objectives.masked_reconstruction import MaskedReconstruction
from s3prl_sb.objectives.wav2vec2 import Wav2Vec2Objective

#: an encoder whose shortest utterance has one frame
KALDI = {
    "features": {"kind": "kaldi_fbank"},
    "hidden_size": 8,
    "ffn_size": 8,
    "num_layers": 1,
    "num_heads": 2,
    "position_groups": 2,
}


def outcome(loss, count=2.0, **sums):
    made = {name: torch.tensor(value) for name, value in sums.items()}
    return Outcome(torch.tensor(loss), torch.tensor(count), made)


def test_each_reader_gets_what_is_new_to_it():
    sums = Sums()
    sums.add(outcome(1.0, hits=[1.0, 2.0]), seconds=3.0)
    assert sums.since("display")["hits"].tolist() == [1, 2]
    sums.add(outcome(4.0, hits=[1.0, 0.0]), seconds=1.0)
    assert sums.since("display")["hits"].tolist() == [1, 0]
    assert float(sums.since("recorders")["loss"]) == 5
    assert sums.since("display") == sums.since("recorders") == {}
    assert float(sums.values[SECONDS]) == 4


def test_sums_are_exact_over_many_batches():
    sums = Sums()
    for _ in range(3):
        sums.add(outcome(2.0**24), seconds=0.0)
        sums.add(outcome(1.0), seconds=0.0)
    assert float(sums.values["loss"]) == 3 * (2**24 + 1)  # not in single precision


def test_losses_that_are_not_finite_do_not_count():
    sums = Sums()
    sums.add(outcome(float("nan")))
    assert sums.values == {} and measured(sums.values, lambda found: {}) == {}


def test_chance_stands_beside_the_loss():
    found = measured(
        {"loss": torch.tensor(1.0), "count": torch.tensor(1)},
        lambda s: dict(accuracy=0, chance=2, loss=1),
    )
    assert list(found) == ["loss", "chance", "accuracy"]


def short(make):
    """Sums of an objective over an utterance that is too short for it."""
    objective = make().eval()
    wav = 0.1 * torch.randn(objective.network.min_samples)
    codes = [torch.zeros(3, dtype=torch.long)] if objective.needs_codes else None
    sums = Sums()
    sums.add(objective([wav], Draws(0, [0], [0]), codes))
    return objective, sums


def hubert():
    objective = HubertObjective(AcousticEncoder(config=KALDI, freeze=False))
    objective.prepare_codes(4, 160)
    return objective


@pytest.mark.parametrize(
    "make",
    [
        lambda: APC(Apc(config={"hidden_size": 8}, freeze=False)),
        lambda: MaskedReconstruction(
            AcousticEncoder(config=KALDI, freeze=False), [TimeMask()]
        ),
        lambda: BestRq(AcousticEncoder(config=KALDI, freeze=False), entries=8),
        lambda: Wav2Vec2Objective(AcousticEncoder(config=KALDI, freeze=False)),
        hubert,
    ],
    ids=["apc", "reconstruction", "best_rq", "wav2vec2", "hubert"],
)
def test_nothing_predicted_is_an_alarm_and_no_perfect_loss(make):
    objective, sums = short(make)
    assert float(sums.values["count"]) == 0
    stats = measured(sums.values, objective.measures)
    assert math.isnan(stats["loss"])  # 0 would be the best of all checkpoints
    alarms, _ = judged(stats, objective)
    assert alarms
    assert judged({}, objective)[0]  # of batches without a finite loss
    # No share or mean of nothing is logged; a number of nothing may be.
    assert worded(stats)["loss"] == NOTHING
    ratios = {"loss", "chance", "accuracy", "perplexity", "chance_accuracy", "penalty"}
    assert not ratios & valued(stats).keys()
    assert not any(map(math.isnan, valued(stats).values()))


def test_a_checkpoint_keeps_all_of_it(tmp_path):
    standing = Standing(rows=2000)
    standing.sums.add(outcome(1 / 3, hits=[0.1, 0.7]), seconds=0.3)
    standing.read(10, [("a\udce4.wav", "it is empty")])
    standing.sound(["Look out."])
    standing.history.append({"step": 1, "train": {}, "valid": {"loss": 1 / 3}})
    standing._save(tmp_path / "standing.ckpt")
    again = Standing(rows=2000)
    again._load(tmp_path / "standing.ckpt", end_of_epoch=True)
    for name in ("seconds", "alarms", "tried", "history", "failed"):
        assert getattr(again, name) == getattr(standing, name)
    for name, value in standing.sums.values.items():
        assert torch.equal(again.sums.values[name], value.double())
    again.write_failed(tmp_path / "unreadable.tsv")
    assert (tmp_path / "unreadable.tsv").read_text("utf-8").endswith("\tit is empty\n")


def test_an_alarm_must_persist():
    standing = Standing()
    for alarms in (["Bad."], ["Bad."], [], ["Bad."], ["Bad."]):
        standing.check_collapse(standing.sound(alarms))
    with pytest.raises(Collapsed, match="3 validations in a row.*Bad"):
        standing.check_collapse(standing.sound(["Bad."]))


@pytest.mark.parametrize(
    "rows, share, failures, fails",
    [(20, 0.01, 1, True), (5000, 0.01, 10, False), (5000, 0.01, 11, True)],
)
def test_share_of_unreadable_audio(rows, share, failures, fails):
    standing = Standing(rows, share)
    failed = [(f"{number}.wav", "it is empty") for number in range(failures)]
    if not fails:
        standing.read(20, failed)
        standing.read(20, failed)  # named once, counted once
        assert len(standing.failed) == failures
        return
    with pytest.raises(Unreadable, match=f"{failures} of 20 utterances"):
        standing.read(20, failed)


def test_one_process_is_its_own_sum():
    assert distributed.summed({"a": torch.tensor(1.0)}) == {"a": torch.tensor(1.0)}
