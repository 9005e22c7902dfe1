"""Schedules equal those of Hugging Face, SpeechBrain and torch."""

import math

import pytest
import torch
from speechbrain.nnet import schedulers

from s3prl_sb.lobes.schedules import SHAPES, Schedule, schedule_of
from s3prl_sb.schema.declarations import KeysError, shared

WARMUP, TOTAL = 7, 40


def ours(scheduler, warmup=WARMUP, total=TOTAL, steps=None):
    keys = {"scheduler": scheduler, "warmup_steps": warmup, "total_steps": total}
    schedule = schedule_of(keys)
    return [schedule.share(step) for step in range(steps or total)]


def theirs(make, steps=TOTAL):
    """The rates of a scheduler of torch, one for each update."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0)
    scheduler, rates = make(optimizer), []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def ahead(rates):
    """The warm-up of Hugging Face, without its first update at the rate 0."""
    return [*rates[1 : WARMUP + 1], *rates[WARMUP:]]


@pytest.mark.parametrize(
    "scheduler, name, options",
    [
        ("constant", "constant_schedule_with_warmup", {}),
        ("linear", "linear_schedule_with_warmup", {}),
        ("cosine", "cosine_schedule_with_warmup", {}),
        (
            {"name": "cosine", "min_lr": 0.1},
            "cosine_with_min_lr_schedule_with_warmup",
            {"min_lr_rate": 0.1},
        ),
        (
            {"name": "cosine_with_restarts", "cycles": 3},
            "cosine_with_hard_restarts_schedule_with_warmup",
            {"num_cycles": 3},
        ),
        (
            {"name": "polynomial", "power": 2, "min_lr": 0.01},
            "polynomial_decay_schedule_with_warmup",
            {"power": 2.0, "lr_end": 0.01},
        ),
        ("inverse_sqrt", "inverse_sqrt_schedule", {}),
        (
            {"name": "inverse_sqrt", "timescale": 50},
            "inverse_sqrt_schedule",
            {"timescale": 50},
        ),
    ],
)
def test_as_hugging_face(scheduler, name, options):
    optimization = pytest.importorskip("transformers.optimization")
    make = getattr(optimization, f"get_{name}")
    if "constant" not in name and "inverse" not in name:
        options = {**options, "num_training_steps": TOTAL}
    expected = theirs(lambda o: make(o, num_warmup_steps=WARMUP, **options), TOTAL + 1)
    assert ours(scheduler) == pytest.approx(ahead(expected)[:TOTAL])


def test_as_speechbrain():
    exponential = schedulers.WarmAndExpDecayLRSchedule(1, WARMUP, TOTAL, 0.1)
    stages = schedulers.TriStageLRSchedule(1, WARMUP, 10, 23, TOTAL, 0.0, 0.05)
    noam = schedulers.NoamScheduler(1.0, WARMUP)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0)
    rates = {"exponential": [], "tri_stage": [], "noam": []}
    for update in range(TOTAL + 1):
        exponential(optimizer)
        rates["exponential"].append(optimizer.param_groups[0]["lr"])
        stages(optimizer, update)
        rates["tri_stage"].append(optimizer.param_groups[0]["lr"])
        noam(optimizer)
        rates["noam"].append(optimizer.param_groups[0]["lr"])
    assert ours("noam") == pytest.approx(rates["noam"][:TOTAL])
    assert ours("exponential") == pytest.approx(ahead(rates["exponential"])[:TOTAL])
    options = {"name": "tri_stage", "hold": 10}
    assert ours(options) == pytest.approx(ahead(rates["tri_stage"])[:TOTAL])


def test_as_torch():
    lr = torch.optim.lr_scheduler
    cosine = theirs(lambda o: lr.CosineAnnealingLR(o, TOTAL, eta_min=0.2))
    assert ours({"name": "cosine", "min_lr": 0.2}, 0) == pytest.approx(cosine)
    falling = theirs(lambda o: lr.LinearLR(o, 1.0, 0.3, TOTAL))
    assert ours({"name": "linear", "min_lr": 0.3}, 0) == pytest.approx(falling)
    power = theirs(lambda o: lr.PolynomialLR(o, TOTAL, power=3))
    assert ours({"name": "polynomial", "power": 3}, 0) == pytest.approx(power)
    gamma = 0.01 ** (1 / TOTAL)
    exponential = theirs(lambda o: lr.ExponentialLR(o, gamma))
    assert ours({"name": "exponential", "min_lr": 0.01}, 0) == pytest.approx(
        exponential
    )


@pytest.mark.parametrize("name", SHAPES)
def test_every_update_changes_something(name):
    shares = ours(name)
    assert shares[:WARMUP] == [(n + 1) / WARMUP for n in range(WARMUP)]
    assert all(0 < share <= 1 for share in shares)
    falling = shares[WARMUP - 1 :]
    assert falling == sorted(falling, reverse=True) and falling[0] == 1
    assert all(math.isfinite(share) for share in ours(name, steps=3 * TOTAL))


@pytest.mark.parametrize("name", SHAPES)
def test_which_shapes_follow_the_number_of_updates(name):
    schedule = schedule_of({"scheduler": name, "warmup_steps": 7, "total_steps": 40})
    changes = ours(name) != ours(name, total=80, steps=TOTAL)
    assert schedule.needs_total == changes
    keys = {"scheduler": name, "warmup_steps": 0.1, "total_steps": 40}
    assert schedule_of(keys).needs_total  # the warm-up does


def test_a_share_of_warmup():
    keys = {"scheduler": "linear", "warmup_steps": 0.07, "total_steps": 100}
    assert schedule_of(keys) == Schedule("linear", 7, 100, {}, is_share=True)
    assert schedule_of({**keys, "total_steps": 10}).warmup == 1


def test_off_by_default():
    assert schedule_of({}) is None
    keys = {"scheduler": "constant", "warmup_steps": 0, "total_steps": 10}
    assert schedule_of(keys) is schedule_of({**keys, "scheduler": {"name": "constant"}})
    assert schedule_of({**keys, "warmup_steps": 2}) is not None


def test_the_names_are_declared():
    declaration = shared()["scheduler"]
    assert set(declaration.choices) == set(SHAPES)
    options = {key for shape in SHAPES.values() for key in shape.options}
    assert options == declaration.inside.keys() - {"name"}


COSINE, RESTARTS, STAGES = "cosine", "cosine_with_restarts", "tri_stage"


@pytest.mark.parametrize(
    "scheduler, warmup, message",
    [
        ("cosin", 0, "there is no 'cosin'. Did you mean cosine"),
        ({"min_lr": 0.1}, 0, "no name is given. There are: constant, linear"),
        ({"name": "linear", "power": 2}, 0, "linear has no option 'power'"),
        ({"name": "noam", "power": 2}, 0, "Options: none"),
        ({"name": COSINE, "min_lr": 2}, 0, "min_lr is a number from 0 to 1"),
        ({"name": "exponential", "min_lr": 0}, 0, "never reaches min_lr 0"),
        ({"name": RESTARTS, "cycles": 0}, 0, "cycles is a whole number"),
        ("noam", 0, "noam falls from the end of its warm-up"),
        ("inverse_sqrt", 0, "inverse_sqrt falls from the end"),
        ("constant", 40, "warmup_steps 40 leaves no update of total_steps 40"),
        ("constant", 2.5, "warmup_steps 2.5 is neither a whole number"),
        ({"name": STAGES, "hold": 1.5}, 0, "hold 1.5 is neither a whole number"),
        (STAGES, 0.6, "24 of warmup_steps and 16 of"),
    ],
)
def test_refused(scheduler, warmup, message):
    keys = {"scheduler": scheduler, "warmup_steps": warmup, "total_steps": 40}
    with pytest.raises(KeysError, match=message):
        schedule_of(keys)
