"""Sums of an objective over batches, of which measures are made.

Authors
 * The s3prl_sb developers, 2026
"""

import math
from collections.abc import Callable
from typing import Any

import torch

from s3prl_sb.objectives.base import Objective, Outcome

SECONDS = "audio_seconds"  #: name of the sum of the batches' durations

#: words instead of a loss that has no value
NOTHING, NOT_FINITE = "nothing predicted", "not finite"
#: alarms that no objective raises itself
INFINITE = "No batch has a finite loss: lower lr, or start again from a checkpoint."
UNPREDICTED = (
    "Nothing is predicted in the held-out audio: its utterances are too short for the "
    "objective. Raise min_seconds."
)


class Sums:
    """Sums over the batches of a stage, in double precision.

    Several readers, such as two logs, each read what has been added since their last
    reading.

    Arguments
    ---------
    values : dict, optional
        Names to sums, such as those of a checkpoint; lists of numbers will do.

    Example
    -------
    >>> one = torch.tensor(1.0)
    >>> sums = Sums()
    >>> sums.add(Outcome(one, one, {"hits": one}))
    >>> float(sums.since("log")["hits"]), sums.since("log")
    (1.0, {})
    """

    def __init__(self, values: dict | None = None):
        self.values = {
            name: torch.as_tensor(value, dtype=torch.float64)
            for name, value in (values or {}).items()
        }
        self._read: dict[str, dict[str, torch.Tensor]] = {}

    def add(self, outcome: Outcome, seconds: float = 0.0) -> None:
        """Adds the outcome of a batch.

        Arguments
        ---------
        outcome : s3prl_sb.objectives.base.Outcome
            Outcome; one whose loss is not finite does not count.
        seconds : float
            Duration of the batch.
        """
        if not torch.isfinite(outcome.loss):
            return
        found = {"loss": outcome.loss, "count": outcome.count, **outcome.sums}
        found[SECONDS] = torch.tensor(seconds, dtype=torch.float64)
        for name, value in found.items():
            value = value.detach().to(torch.float64)
            before = self.values.get(name)
            # A new tensor, because readers hold the old one.
            self.values[name] = value if before is None else before.to(value) + value

    def since(self, reader: str) -> dict[str, torch.Tensor]:
        """Returns what has been added since a reader's last reading.

        Arguments
        ---------
        reader : str
            Name of the reader.

        Returns
        -------
        dict
            Names to sums; empty if nothing has been added.
        """
        before = self._read.get(reader, {})
        self._read[reader] = dict(self.values)
        if self.values and all(before.get(k) is v for k, v in self.values.items()):
            return {}
        return {k: v - before[k] if k in before else v for k, v in self.values.items()}

    def as_lists(self) -> dict[str, float | list]:
        """Returns the sums as JSON values, which :class:`Sums` takes."""
        return {name: value.tolist() for name, value in self.values.items()}


def measured(
    sums: dict[str, torch.Tensor],
    measures: Callable[[dict[str, torch.Tensor]], dict[str, float]],
) -> dict[str, float]:
    """Returns the measures of sums.

    Arguments
    ---------
    sums : dict
        Names to sums.
    measures : callable
        :meth:`~s3prl_sb.objectives.base.Objective.measures` of the objective.

    Returns
    -------
    dict
        Names to numbers, ``loss`` first; empty without a batch. Those without a value,
        such as the ``loss`` where nothing was predicted, are NaN: zero would be better
        than any that is learned.
    """
    sums = {name: value for name, value in sums.items() if name != SECONDS}
    if not sums:
        return {}
    found = {name: float(value) for name, value in measures(sums).items()}
    if not sums["count"]:
        found["loss"] = math.nan
    first = ("loss", "chance")  # the chance stands beside the loss
    order = [name for name in first if name in found]
    return {name: found[name] for name in dict.fromkeys([*order, *found])}


def valued(stats: dict[str, float]) -> dict[str, float]:
    """Returns the measures that have a value.

    Arguments
    ---------
    stats : dict
        Result of :func:`measured`.

    Returns
    -------
    dict

    Example
    -------
    >>> valued({"loss": math.nan, "predictions": 0.0})
    {'predictions': 0.0}
    """
    return {name: value for name, value in stats.items() if not math.isnan(value)}


def worded(stats: dict[str, float]) -> dict[str, Any]:
    """Returns measures for people: a loss without a value is said in words.

    Arguments
    ---------
    stats : dict
        Result of :func:`measured`.

    Returns
    -------
    dict
        Names to numbers or words, ``loss`` first.

    Example
    -------
    >>> worded({"loss": math.nan, "accuracy": math.nan, "predictions": 0.0})
    {'loss': 'nothing predicted', 'predictions': 0.0}
    >>> worded({})
    {'loss': 'not finite'}
    """
    return {"loss": NOTHING if stats else NOT_FINITE, **valued(stats)}


def judged(stats: dict[str, float], objective: Objective) -> tuple[list, list]:
    """Returns the alarms and the hints of a validation.

    Arguments
    ---------
    stats : dict
        Result of :func:`measured`.
    objective : s3prl_sb.objectives.base.Objective
        Objective, which judges measures only where there are any.

    Returns
    -------
    alarms, hints : list of str
    """
    if not stats:
        return [INFINITE], []
    alarms, hints = objective.alarms(stats), objective.hints(stats)
    if math.isnan(stats["loss"]) and not alarms:
        alarms = [UNPREDICTED]
    return alarms, hints


def frames_of_a_batch(hparams: dict[str, Any], network: Any) -> float:
    """Returns the usual number of frames of a batch, as a power of two.

    A loss is divided by it before the backward pass, and the gradient multiplied by it
    after, both exactly: sums over a batch would overflow half precision.

    Arguments
    ---------
    hparams : dict
        Settings with ``batch_seconds``.
    network : s3prl_sb.lobes.upstreams.base.Upstream
        Network to train.

    Returns
    -------
    float

    Example
    -------
    >>> from s3prl_sb.lobes.upstreams import load
    >>> frames_of_a_batch({"batch_seconds": 10}, load("mel"))
    1024.0
    """
    frames = hparams["batch_seconds"] * network.sample_rate / network.stride
    return 2.0 ** max(0, round(math.log2(frames)))
