"""Measures of several runs in the same order of items.

Authors
 * The s3prl_sb developers, 2026
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from s3prl_sb.errors import UserError

if TYPE_CHECKING:
    from s3prl_sb.metrics.measures import Measures


class OtherTestSet(UserError, ValueError):
    """Runs whose measures are not of the same items."""


def aligned(runs: Sequence[Measures]) -> list[Measures]:
    """Returns measures in the order of the items of the first ones.

    Arguments
    ---------
    runs : list of Measures
        One or more.

    Returns
    -------
    list of Measures

    Raises
    ------
    OtherTestSet
        If the items, or what is drawn, are not the same; the message names those that
        differ.
    """
    first, result = runs[0], [runs[0]]
    for run in runs[1:]:
        lacking, more = (
            _lacking(first.items, run.items),
            _lacking(run.items, first.items),
        )
        if lacking or more:
            sides = [_some(lacking, "the first"), _some(more, "the second")]
            raise OtherTestSet(
                f"test sets differ: of {len(first.items)} and {len(run.items)} items, "
                + ", ".join(filter(None, sides))
            )
        run = run.only(first.items)
        if _drawn(run) != _drawn(first):
            raise OtherTestSet(
                f"test sets differ: the same items have other {first.unit}s or parts"
            )
        result.append(run)
    return result


def _drawn(run):
    return run.units, run.strata, run.shares


def _lacking(items, others):
    others = set(others)
    return [item for item in items if item not in others]


def _some(items, side):
    if not items:
        return ""
    names = ", ".join(items[:3]) + (", …" if len(items) > 3 else "")
    return f"{len(items)} are only in {side} ({names})"
