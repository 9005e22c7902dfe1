"""Schedules of the learning rate: a share of the rate for each update.

A schedule is a pure function of the number of updates so far. It has no state, so a
resumed run, several processes, accumulated gradients and a search of learning rates
need nothing more to be exact. Names and shapes are those of Hugging Face's
``get_…_schedule_with_warmup`` and of SpeechBrain's ``NoamScheduler``,
``WarmAndExpDecayLRSchedule`` and ``TriStageLRSchedule``.

Note: the warm-up is one update ahead of Hugging Face's and SpeechBrain's. Their first
update has the rate 0 and changes nothing; here update n of W has the share n / W.

Authors
 * The s3prl_sb developers, 2026
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

from s3prl_sb.schema.declarations import KeysError, shared
from s3prl_sb.schema.kinds import WrongKind
from s3prl_sb.terminal.messages import near

CONSTANT = "constant"


@dataclasses.dataclass(frozen=True)
class Shape:
    """Shape of a schedule after its warm-up.

    Arguments
    ---------
    share : callable
        Takes the updates since the warm-up, the :class:`Schedule` and its options;
        returns the share of the rate.
    ends : bool
        Whether the shape depends on ``total_steps``.
    options : dict
        Options and their defaults.
    """

    share: Callable[..., float]
    ends: bool = True
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Schedule:
    """Share of the learning rate as a function of the updates so far.

    Arguments
    ---------
    name : str
        Key of :data:`SHAPES`.
    warmup : int
        Number of updates over which the rate rises from zero.
    total : int
        Number of updates of the whole run.
    options : dict
        Options of the shape; missing ones have their defaults.
    is_share : bool
        Whether the warm-up was given as a share of ``total``.

    Example
    -------
    >>> linear = Schedule("linear", warmup=2, total=6)
    >>> [linear.share(step) for step in range(6)]
    [0.5, 1.0, 1.0, 0.75, 0.5, 0.25]
    """

    name: str
    warmup: int = 0
    total: int = 0
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    is_share: bool = False

    def share(self, step: int) -> float:
        """Returns the share of the learning rate for one update.

        Arguments
        ---------
        step : int
            Number of updates before it.

        Returns
        -------
        float
            0 to 1.
        """
        if step < self.warmup:
            return (step + 1) / self.warmup
        shape = SHAPES[self.name]
        return shape.share(
            step - self.warmup, self, **{**shape.options, **self.options}
        )

    def __str__(self):
        """Describes the schedule in a few words."""
        if not self.warmup:
            return self.name
        return f"{self.name} after a warm-up of {self.warmup:,}"

    @property
    def needs_total(self) -> bool:
        """True if the shares change with ``total_steps``."""
        return SHAPES[self.name].ends or self.is_share

    def progress(self, since: int, skipped: int = 0) -> float:
        """Returns how far the run is between the warm-up and its end.

        Arguments
        ---------
        since : int
            Updates since the warm-up.
        skipped : int
            Updates after the warm-up that do not count.

        Returns
        -------
        float
            0 to 1.
        """
        span = max(1, self.total - self.warmup - skipped)
        return min(max(0.0, (since - skipped) / span), 1.0)


def _constant(since, schedule):
    return 1.0


def _polynomial(since, schedule, min_lr, power=1.0):
    return min_lr + (1 - min_lr) * (1 - schedule.progress(since)) ** power


def _cosine(since, schedule, min_lr):
    falling = (1 + math.cos(math.pi * schedule.progress(since))) / 2
    return min_lr + (1 - min_lr) * falling


def _cosine_with_restarts(since, schedule, min_lr, cycles):
    progress = schedule.progress(since)
    if progress == 1:
        return min_lr
    falling = (1 + math.cos(math.pi * (cycles * progress % 1))) / 2
    return min_lr + (1 - min_lr) * falling


def _exponential(since, schedule, min_lr):
    return min_lr ** schedule.progress(since)


def _tri_stage(since, schedule, min_lr, hold):
    return min_lr ** schedule.progress(since, updates(hold, schedule.total))


def _inverse_sqrt(since, schedule, timescale):
    timescale = timescale or schedule.warmup
    return math.sqrt(timescale / (timescale + since))


def _noam(since, schedule):
    return math.sqrt(schedule.warmup / (schedule.warmup + since + 1))


#: Names of schedules and their shapes. ``min_lr`` is a share of the rate.
SHAPES = {
    CONSTANT: Shape(_constant, ends=False),
    "linear": Shape(_polynomial, options={"min_lr": 0.0}),
    "cosine": Shape(_cosine, options={"min_lr": 0.0}),
    "cosine_with_restarts": Shape(
        _cosine_with_restarts, options={"min_lr": 0.0, "cycles": 1}
    ),
    "polynomial": Shape(_polynomial, options={"min_lr": 0.0, "power": 1.0}),
    "exponential": Shape(_exponential, options={"min_lr": 0.1}),
    "tri_stage": Shape(_tri_stage, options={"min_lr": 0.05, "hold": 0.4}),
    "inverse_sqrt": Shape(_inverse_sqrt, ends=False, options={"timescale": None}),
    "noam": Shape(_noam, ends=False),
}


def updates(amount: float, total: int) -> int:
    """Returns a number of updates that may be given as a share of the run.

    Arguments
    ---------
    amount : float
        Number from 1 on, or share below 1.
    total : int
        Number of updates of the whole run.

    Returns
    -------
    int
        Shares are rounded up, as by Hugging Face's ``warmup_ratio``.

    Example
    -------
    >>> updates(500, 1000), updates(0.25, 1000), updates(0, 1000)
    (500, 250, 0)
    """
    # A product such as 0.07 * 100 is a little above the whole number.
    return math.ceil(round(amount * total, 6)) if amount < 1 else int(amount)


def schedule_of(hparams: Mapping[str, Any]) -> Schedule | None:
    """Returns the schedule that the keys of a recipe describe.

    Arguments
    ---------
    hparams : dict
        ``scheduler``, a name or ``{name: cosine, min_lr: 0.1}``; ``warmup_steps`` and
        ``total_steps``.

    Returns
    -------
    Schedule or None
        None if the learning rate never changes.

    Raises
    ------
    KeysError
        For an unknown name or option, and for numbers that do not fit.

    Example
    -------
    >>> keys = {"scheduler": "cosine", "warmup_steps": 0.1, "total_steps": 1000}
    >>> schedule_of(keys)
    Schedule(name='cosine', warmup=100, total=1000, options={}, is_share=True)
    """
    scheduler = hparams.get("scheduler") or CONSTANT
    total = hparams.get("total_steps", 0)
    options = dict(scheduler) if isinstance(scheduler, Mapping) else {"name": scheduler}
    name = options.pop("name", None)
    if name not in SHAPES:
        lacks = "no name is given" if name is None else f"there is no '{name}'"
        raise KeysError(f"scheduler: {lacks}. {near(str(name or ''), [*SHAPES])}")
    options = {key: _option(name, key, value) for key, value in options.items()}
    amount = hparams.get("warmup_steps") or 0
    for key, number in {"warmup_steps": amount, "hold": options.get("hold", 0)}.items():
        if number >= 1 and number != int(number):
            raise KeysError(
                f"{key} {number} is neither a whole number of updates nor a share "
                "below 1."
            )
    schedule = Schedule(name, updates(amount, total), total, options, 0 < amount < 1)
    _check(schedule)
    return None if name == CONSTANT and not schedule.warmup else schedule


def _option(name, key, value):
    """Returns the value of an option of a schedule, checked and as a number."""
    defaults = SHAPES[name].options
    if key not in defaults:
        raise KeysError(
            f"scheduler: {name} has no option '{key}'. Options: "
            f"{', '.join(defaults) or 'none'}."
        )
    declaration = shared()["scheduler"].inside[key]
    try:
        value = declaration.value(value)
    except WrongKind:
        raise KeysError(
            f"scheduler: {key} is {declaration.words()}, not {value!r}."
        ) from None
    if key == "min_lr" and value == 0 and defaults[key] > 0:
        raise KeysError(
            f"scheduler: {name} never reaches min_lr 0: give a share of lr."
        )
    return value


def _check(schedule):
    """Raises KeysError if the numbers of a schedule do not fit together."""
    name, warmup, total = schedule.name, schedule.warmup, schedule.total
    if warmup and warmup >= total:
        raise KeysError(
            f"warmup_steps {warmup} leaves no update of total_steps {total} after it: "
            "lower it, or give a share such as 0.1."
        )
    options = {**SHAPES[name].options, **schedule.options}
    if name == "tri_stage":
        hold = updates(options["hold"], total)
        if warmup + hold >= total:
            raise KeysError(
                f"scheduler: tri_stage leaves no update of total_steps {total} for its "
                f"decay, after {warmup} of warmup_steps and {hold} of hold: lower them."
            )
    needs = name == "noam" or name == "inverse_sqrt" and not options["timescale"]
    if needs and not warmup:
        raise KeysError(
            f"scheduler: {name} falls from the end of its warm-up on: give "
            "warmup_steps, such as 0.1."
        )
