"""Measures of a test: what each item contributed to each metric, and the intervals.

Not every number of ``results.json`` has an interval:

* ``loss`` is a number of each batch: a Brain's loss is any function of a batch, such as
  one over pairs of utterances or over frames that count, and single utterances have
  none;
* ``threshold``, ``median`` and the like were chosen in validation, and ``step`` is a
  fact of the training: they are no statistics of the test set;
* ``<name>_std`` and ``<name>_deviation`` are spreads over folds or classifiers, not
  over items;
* ``frame_average_precision`` depends on the scores of all frames together, millions in
  a few hours;
* of more than :data:`~s3prl_sb.metrics.contributions.LARGEST` scores of utterances, and
  of more counts than :data:`~s3prl_sb.metrics.psds_counts.MOST`, nothing is kept;
* ``mean_average_precision`` of repeated classifiers is a mean over all of them, whose
  scores are not kept; ``ensemble_mean_average_precision`` has one.

Authors
 * The s3prl_sb developers, 2026
"""

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from s3prl_sb.metrics.measure_intervals import intervals_of
from s3prl_sb.metrics.measure_parts import together
from s3prl_sb.metrics.measures import FILE, Measures

logger = logging.getLogger(__name__)

CLOSE = 1e-6  # relative difference of a metric from that of its measures


class Evaluated(Protocol):
    """A Brain after its test."""

    def measures(self) -> Measures | None:
        """Returns what each item of the test contributed."""


def publish(
    brain: Evaluated, metrics: Mapping[str, float], folder: Path
) -> dict[str, Any] | None:
    """Writes ``measures.json`` of a test.

    A metric that a subclass computes in another way than its measures has none.

    Arguments
    ---------
    brain : s3prl_sb.brains.evaluation.Evaluation
        Brain after its test.
    metrics : dict
        Names to numbers, of the test set.
    folder : pathlib.Path
        Folder of the results.

    Returns
    -------
    dict or None
        ``intervals`` for ``results.json``; None without measures.
    """
    (folder / FILE).unlink(missing_ok=True)  # of an earlier test
    try:
        measures = brain.measures()
    except Exception:  # of a custom Brain: a training of days keeps its results
        logger.exception("The measures of this test cannot be computed: no intervals")
        return None
    if measures is None:
        return None
    values = measures.values()
    others = [n for n in values if not _agrees(values[n], metrics.get(n))]
    if others:
        own = [n for n in others if _is_another(values[n], metrics.get(n))]
        if own:
            logger.warning(
                "%s: measures of the utterances give another value, so there are no "
                "intervals. Does the Brain override stage_stats, but not measures?",
                ", ".join(own),
            )
        measures = measures.without(others)
    if not measures.names:
        return None
    measures.write(folder)
    try:
        return intervals_of(measures)
    except Exception:  # such as too little memory
        logger.exception("There are no intervals")
        return None


def intervals_of_parts(
    folders: Mapping[str, Path], groups: Mapping[str, str]
) -> dict[str, Any] | None:
    """Returns the intervals of means over the parts of a run, such as folds.

    Arguments
    ---------
    folders : dict of str to pathlib.Path
        Names of the parts to their folders.
    groups : dict of str to str
        See :func:`s3prl_sb.metrics.measure_parts.together`.

    Returns
    -------
    dict or None
        ``intervals`` for ``results.json``; None if a part has no measures.
    """
    parts = {name: Measures.read(folder) for name, folder in folders.items()}
    every = {name: each for name, each in parts.items() if each is not None}
    if len(every) < len(parts):
        return None
    return intervals_of(Measures(**together(every, groups)))


def _is_another(value, metric):
    """Returns whether both are defined, and differ."""
    return metric is not None and not math.isnan(value + metric)


def _agrees(value, metric):
    """Returns whether a metric of the results is that of the measures."""
    close = {"rel_tol": CLOSE, "abs_tol": CLOSE}
    return metric is not None and math.isclose(metric, value, **close)
