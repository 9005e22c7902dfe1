"""Forms of an utterance that pipes make: their number and their durations.

Authors
 * The s3prl_sb developers, 2026
"""

import functools
import math
from collections.abc import Iterable, Mapping
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class CountsVariants(Protocol):
    """A pipe that says how many forms it makes of an utterance."""

    def variants(self, record: Mapping[str, Any]) -> int | None:
        """Returns the number of forms of an utterance; None means unlimited."""
        ...


@runtime_checkable
class ChangesSeconds(Protocol):
    """A pipe that says how long a form is."""

    def form_seconds(self, seconds: float, draw: int) -> float:
        """Returns the duration of a form, from that of the form before this pipe."""
        ...


def seconds_of_forms(
    pipes: Iterable[Any], record: Mapping[str, Any], unlimited: int | None = None
) -> list[float | None] | None:
    """Returns the duration of each form that pipes make of an utterance together.

    Arguments
    ---------
    pipes : list of callable
        Pipes; a plain function may be random.
    record : dict
        Record of the utterance.
    unlimited : int, optional
        Number of forms to assume for a pipe with an unlimited number of them.

    Returns
    -------
    list of float or None
        Seconds of each form, by ``draw``; None if the record has no duration. None
        instead of the list if the number of forms is unlimited.

    Example
    -------
    >>> from s3prl_sb.dataio.pipes import ChangeSpeed, RandomCrop
    >>> pipes = [ChangeSpeed([0.8, 1.0]), RandomCrop(3.0, crops=1)]
    >>> seconds_of_forms(pipes, {"duration": 2.5})
    [3.0, 2.5]
    """
    forms: list[float | None] = [record.get("duration")]
    for pipe in pipes:
        if forms[0] is not None:  # those of a crop depend on it
            longest = max(forms)  # type: ignore[type-var]
            if longest != record["duration"]:
                record = {**record, "duration": longest}
        count = pipe.variants(record) if _is(type(pipe), CountsVariants) else None
        count = unlimited if count is None else count
        if count is None:
            return None
        if count == len(forms) == 1:
            if forms[0] is not None:
                forms = [seconds_after(pipe, forms[0], 0)]
            continue
        draws = range(math.lcm(len(forms), count))
        before = [forms[draw % len(forms)] for draw in draws]
        forms = [
            None if seconds is None else seconds_after(pipe, seconds, draw)
            for draw, seconds in zip(draws, before)
        ]
    return forms


def seconds_after(pipe: Any, seconds: float, draw: int) -> float:
    """Returns the duration of a form after a pipe.

    Arguments
    ---------
    pipe : callable
        The pipe; a plain function keeps the duration.
    seconds : float
        Duration before the pipe.
    draw : int
        Number of the form.

    Returns
    -------
    float
    """
    changes = _is(type(pipe), ChangesSeconds)
    return pipe.form_seconds(seconds, draw) if changes else seconds


@functools.cache
def _is(kind, protocol):
    """Returns whether a type follows a protocol. Python looks it up by its attributes,
    which takes longer than all the rest, of millions of records."""
    return issubclass(kind, protocol)
