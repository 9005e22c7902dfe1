"""Kinds of metrics as functions of how often each item counts.

The bootstrap counts an utterance several times or not at all, so every metric is needed
as a function of such weights. A kind is a function of the arrays of a metric, with a
row for each item, that returns a :class:`Weighted`; :data:`KINDS` names them.

===================  ===============================================================
``mean``             mean of ``values``; an item without one (NaN) does not count
``ratio``            sum of ``numerators`` over that of ``denominators``: error rates,
                     micro F1 scores
``macro_ratio``      the mean over parts (classes, labels) of their ratios; the arrays
                     are [items, parts]. Parts whose ``present`` (by default the
                     denominators) sum to 0 do not count
``group_ratio``      the mean over ``groups`` (a number for each item, of its class or
                     language) of their ratios: balanced accuracy, rates by language
``macro_f1``         the mean F1 score of classes, of ``predictions`` and ``targets``
``drawn_macro_f1``   the same, of classes that are the units themselves: speakers
``pearson``          correlation of ``x`` and ``y``; with ``groups`` (a number for each
                     item, of its system), of the means of groups
``spearman``         correlation of their ranks within each draw; ``groups`` as above
``group_mse``        the mean over ``groups`` of the squared difference of their means
``bleu``             ``matches`` and ``ngrams`` [items, 4], lengths ``predicted`` and
                     ``reference``; smoothed as sacreBLEU does
``eer``              equal error rate of ``scores`` and ``targets``
``min_dcf``          minimum detection cost of the same, with ``p_target``, ``c_miss``
                     and ``c_fa``
``detection_value``  maximum term-weighted value of ``hits`` and ``alarms`` [queries,
                     thresholds], ``targets`` and ``others`` [queries], with ``beta``
``detection_score``  polyphonic sound detection score, of the counts at thresholds of
                     :func:`~s3prl_sb.metrics.psds_counts.counts_of`
``mtwv``             the former of ``values`` [queries, thresholds], at least 0
``average_…``        ``average_precision``, ``auc``, ``d_prime``: means over labels of
                     average precision, area under the ROC curve and d', of ``scores``
                     and ``targets`` [items, labels]
``mean_of``          the mean of other metrics, its ``terms`` (names); those that are
                     ``complement`` enter as 1 minus their value, and each is ``least``
                     or more
===================  ===============================================================

Ratios have the parameter ``empty``, their value where all denominators are 0; without
it, they have none.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from s3prl_sb.metrics import weighted_correlations as correlations
from s3prl_sb.metrics import weighted_detections as detections
from s3prl_sb.metrics import weighted_labels as labels
from s3prl_sb.metrics import weighted_ranks as ranks
from s3prl_sb.metrics import weighted_searches as searches
from s3prl_sb.metrics import weighted_sums as sums
from s3prl_sb.metrics.weighted_sums import Array, Weighted


class Kind(NamedTuple):
    """A kind of metric.

    Arguments
    ---------
    make : callable
        Takes the arrays and parameters by name, and returns a
        :class:`~s3prl_sb.metrics.weighted_sums.Weighted`.
    arrays : tuple of str
        Names of the arrays with a row for each item.
    optional : tuple of str
        Names of further arrays.
    parameters : tuple of str
        Names of numbers.
    gaps : bool
        Whether an item may lack a value: its row is NaN then.
    prepare : callable, optional
        Takes the arrays by name; ``make`` then takes its result in their place, which
        metrics of the same arrays share.
    same : tuple of str
        Names of tables that have as many columns in all parts of a run. Others get the
        columns of the widest, zeros.
    """

    make: Callable[..., Weighted]
    arrays: tuple[str, ...]
    optional: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    gaps: bool = False
    prepare: Callable[..., Any] | None = None
    same: tuple[str, ...] = ()

    def weighted(
        self,
        arrays: Mapping[str, Array],
        parameters: Mapping[str, float],
        shared: dict,
    ) -> Weighted:
        """Returns a metric as a function of weights.

        Arguments
        ---------
        arrays : dict of str to numpy.ndarray
            Arrays with a row for each item.
        parameters : dict of str to float
            Numbers of the metric.
        shared : dict
            Results of ``prepare``; one that is missing is added.

        Returns
        -------
        Weighted
        """
        if self.prepare is None:
            return self.make(**arrays, **parameters)
        key = (self.prepare, *(id(array) for array in arrays.values()))
        if key not in shared:
            shared[key] = self.prepare(**arrays)
        return self.make(shared[key], **parameters)


SCORED = ("scores", "targets")
FRACTION = ("numerators", "denominators")
KINDS: Mapping[str, Kind] = {
    "mean": Kind(sums.mean, ("values",), gaps=True),
    "ratio": Kind(sums.ratio, FRACTION, (), ("empty",), gaps=True),
    "macro_ratio": Kind(sums.macro_ratio, FRACTION, ("present",), ("empty",), True),
    "group_ratio": Kind(sums.group_ratio, (*FRACTION, "groups"), (), ("empty",), True),
    "macro_f1": Kind(sums.macro_f1, ("predictions", "targets")),
    "drawn_macro_f1": Kind(sums.drawn_macro_f1, ("predictions", "targets")),
    "pearson": Kind(correlations.pearson, ("x", "y"), ("groups",)),
    "spearman": Kind(correlations.spearman, ("x", "y"), ("groups",)),
    "group_mse": Kind(correlations.group_mse, ("x", "y", "groups")),
    "bleu": Kind(sums.bleu, ("matches", "ngrams", "predicted", "reference")),
    "eer": Kind(ranks.equal_error_rate, SCORED),
    "min_dcf": Kind(ranks.minimum_cost, SCORED, (), ("p_target", "c_miss", "c_fa")),
    "detection_score": Kind(
        detections.detection_score,
        ("found", "wrong", "events", "seconds", "durations", "shift"),
        ("crossed",),
        ("alpha_ct", "alpha_st", "e_max"),
        same=("events",),
    ),
    "mtwv": Kind(searches.maximum, ("values",), gaps=True),
    "detection_value": Kind(
        searches.detection_value, ("hits", "alarms", "targets", "others"), (), ("beta",)
    ),
    **{
        name: Kind(labels.mean_over_labels(name), SCORED, prepare=labels.Labels)
        for name in labels.METRICS
    },
}
MEAN_OF = "mean_of"
