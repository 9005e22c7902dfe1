"""Regression: one or several numbers for each utterance.

Authors
 * The s3prl_sb developers, 2026
"""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import speechbrain as sb
import torch
import torch.nn.functional as F

from s3prl_sb.brains import plots
from s3prl_sb.brains.base import SSLBrain
from s3prl_sb.brains.scatter_plot import scatter_plot
from s3prl_sb.dataio.splits import make_splits, read_splits
from s3prl_sb.dataio.utterance_values import UtteranceValues
from s3prl_sb.metrics.contributions import Entry, mean
from s3prl_sb.metrics.correlation import mean_squared_error, pearson, spearman
from s3prl_sb.metrics.measures import Measures
from s3prl_sb.startup.configuration import RecipeError
from s3prl_sb.storage.csv_files import write_csv

#: Names of the metrics of utterances; those of systems begin with :data:`SYSTEM`.
METRICS = {"mse": mean_squared_error, "lcc": pearson, "srcc": spearman}
SYSTEM = "system_"


class RegressionBrain(SSLBrain):
    """Brain for numbers of utterances, trained with the squared error.

    It measures the squared error (``mse``) and the correlations of Pearson (``lcc``)
    and Spearman (``srcc``). If the records have ``system``, it also measures them over
    systems (``system_mse`` and so on), whose numbers are the means of their utterances.
    Of several numbers, each has its own metrics (``valence_mse``), and their mean has
    the plain name.

    Arguments
    ---------
    values : list of str
        Names of the numbers.
    choose_by : str, optional
        Validation metric that chooses checkpoint and learning rate; the smallest is the
        best if it is a squared error, else the largest. Default: that of the class.
    **kwargs
        See :class:`~s3prl_sb.brains.base.SSLBrain`. The module ``head`` maps features
        and relative lengths to [batch, values].
    """

    metric = "mse"

    def __init__(self, values=("value",), choose_by=None, **kwargs):
        super().__init__(**kwargs)
        self.values, self.metric = list(values), choose_by or self.metric
        self.higher_is_better = not self.metric.endswith("mse")

    def compute_objectives(self, predictions, batch, stage):
        """Returns the loss; in evaluation, collects the predictions."""
        true = batch.targets.data
        if stage != sb.Stage.TRAIN:
            self.collect(batch, predictions.float(), true)
        return self.loss(predictions.float(), true)

    def loss(self, predictions: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
        """Returns the training loss; override it for another loss.

        Arguments
        ---------
        predictions : torch.Tensor
            [batch, values], output of ``head``.
        true : torch.Tensor
            [batch, values].

        Returns
        -------
        torch.Tensor
            A scalar.
        """
        return F.mse_loss(predictions, true)

    def start_stage(self, stage):
        """Starts collecting predictions."""
        self.ids, self.systems, self.truth_of_systems = [], [], {}
        self.collected = []

    def collect(self, batch, predicted, true):
        """Collects the predictions for a batch.

        Arguments
        ---------
        batch : speechbrain.dataio.batch.PaddedBatch
            The batch.
        predicted, true : torch.Tensor
            [batch, values].
        """
        self.ids += batch.id
        self.collected.append((predicted.cpu(), true.cpu()))
        if hasattr(batch, "system"):
            self.systems += batch.system
        if hasattr(batch, "system_value"):
            self.truth_of_systems.update(zip(batch.system, batch.system_value))

    def joined(self):
        """Returns the predicted and the true numbers, [utterances, values] each."""
        predicted, true = zip(*self.collected)
        return torch.cat(predicted), torch.cat(true)

    def by_system(self):
        """Returns the numbers of systems.

        Returns
        -------
        dict
            Each system to its number of utterances and its predicted and true numbers,
            [values] each; empty without systems. The truth is ``system_value`` of the
            records if they have it, else the mean of the utterances.
        """
        predicted, true = (side.double() for side in self.joined())
        places = defaultdict(list)
        for place, system in enumerate(self.systems):
            places[system].append(place)
        means = {}
        for system in sorted(places):
            there = places[system]
            truth = true[there].mean(0)
            if system in self.truth_of_systems:
                truth = torch.full_like(truth, float(self.truth_of_systems[system]))
            means[system] = len(there), predicted[there].mean(0), truth
        return means

    def stage_stats(self, stage):
        """Returns the metrics of utterances, and of systems."""
        stats = self.measured_on(*self.joined())
        if means := self.by_system():
            _, predicted, true = zip(*means.values())
            sides = torch.stack(predicted), torch.stack(true)
            stats |= {SYSTEM + k: v for k, v in self.measured_on(*sides).items()}
        return stats

    def measured_on(self, predicted, true):
        """Returns the metrics of numbers.

        Arguments
        ---------
        predicted, true : torch.Tensor
            [examples, values].

        Returns
        -------
        dict
            Names to floats.
        """
        stats = {}
        for name, metric in METRICS.items():
            each = [metric(*sides) for sides in zip(predicted.T, true.T)]
            stats[name] = sum(each) / len(each)
            if len(each) > 1:
                names = (f"{value}_{name}" for value in self.values)
                stats.update(zip(names, each))
        return stats

    def measures(self):
        """Returns the true and the predicted numbers."""
        predicted, true = (side.double() for side in self.joined())
        entries = self._entries(predicted, true)
        if means := self.by_system():
            numbers = {system: number for number, system in enumerate(means)}
            groups = [numbers[system] for system in self.systems]
            truth = true.clone()
            for row, system in enumerate(self.systems):
                if system in self.truth_of_systems:
                    truth[row] = float(self.truth_of_systems[system])
            for name, entry in self._entries(predicted, truth, groups).items():
                entries[SYSTEM + name] = entry
        return Measures.build(self.unit, self.ids, entries)

    def _entries(self, predicted, true, groups=None):
        """Returns the entries of all metrics, of utterances or of systems."""
        start, entries = SYSTEM if groups else "", {}
        several = len(self.values) > 1
        for name in METRICS:
            terms = [f"{value}_{name}" if several else name for value in self.values]
            for term, *sides in zip(terms, predicted.T, true.T):
                entries[term] = entry_of(name, *sides, groups)
            if several:
                terms = [start + term for term in terms]
                entries[name] = {"kind": "mean_of", "terms": terms}
        return entries

    def write_predictions(self):
        """Writes ``predictions.csv``, ``systems.csv`` and a scatter plot of each
        number."""
        folder = Path(self.hparams.output_folder)
        predicted, true = self.joined()
        single = len(self.values) == 1
        names = [
            name for value in self.values for name in (value, f"predicted_{value}")
        ]
        names = ["value", "prediction"] if single else names
        sides = [self._cells(p, t) for p, t in zip(predicted, true)]
        extra = [[system] for system in self.systems] or [[]] * len(self.ids)
        rows = ([i, *cells, *more] for i, cells, more in zip(self.ids, sides, extra))
        columns = ["id", *names, *(["system"] if self.systems else [])]
        write_csv(folder / "predictions.csv", columns, rows)
        means = self.by_system()
        if means:
            rows = ([s, n, *self._cells(p, t)] for s, (n, p, t) in means.items())
            write_csv(folder / "systems.csv", ["system", "utterances", *names], rows)
        for index, value in enumerate(self.values):
            file = "scatter.png" if single else f"scatter_{value}.png"
            systems = None
            if means:
                _, *both = zip(*means.values())
                systems = [torch.stack(side)[:, index] for side in both]
            pair, title = (predicted[:, index], true[:, index]), plots.heading(self)
            scatter_plot(folder / file, *pair, title, value, systems)

    def _cells(self, predicted, true):
        """Returns the true and the predicted numbers of a row, in turn."""
        pairs = zip(true.tolist(), predicted.tolist())
        return [f"{number:.6f}" for pair in pairs for number in pair]

    def interface(self):
        """Returns a predictor of these numbers."""
        return {
            "class": "s3prl_sb.inference.regressor.Regressor",
            "head": {"num_classes": len(self.values)},
            "hparams": {"values": self.values},
        }


def entry_of(
    name: str,
    predicted: torch.Tensor,
    true: torch.Tensor,
    groups: Sequence[int] | None = None,
) -> Entry:
    """Returns the contributions to a metric of numbers.

    Arguments
    ---------
    name : str
        One of :data:`METRICS`.
    predicted, true : torch.Tensor
        [utterances].
    groups : list of int, optional
        [utterances], number of the system of each, whose means are measured.

    Returns
    -------
    dict

    Example
    -------
    >>> entry_of("mse", torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0]))["values"]
    [0.0, 4.0]
    """
    if name == "mse" and groups is None:
        return mean((predicted - true).square())
    kind = {"mse": "group_mse", "lcc": "pearson", "srcc": "spearman"}[name]
    entry = {"kind": kind, "x": predicted.tolist(), "y": true.tolist()}
    return entry if groups is None else {**entry, "groups": groups}


def regression_splits(hparams, values=("value",)):
    """Returns the three datasets of a regression recipe.

    Arguments
    ---------
    hparams : dict
        Settings: ``save_folder`` with ``train.json``, ``valid.json`` and ``test.json``;
        ``train_pipes`` and ``eval_pipes``; ``train_fraction`` or ``train_hours`` for
        few-shot training; ``choose_by``.
    values : list of str
        Keys of the numbers.

    Returns
    -------
    dict
        "train", "valid", "test" to :class:`~s3prl_sb.dataio.dataset.ManifestDataset`,
        whose examples have ``id``, ``sig``, ``targets``, and ``system`` and
        ``system_value`` if the records have them.

    Raises
    ------
    RecipeError
        If ``choose_by`` needs systems, and the validation set has none.
    """
    records = read_splits(hparams)
    choose_by = str(hparams.get("choose_by"))
    if choose_by.startswith(SYSTEM) and "system" not in value_keys(records["valid"]):
        raise RecipeError(
            f"choose_by {choose_by}: the validation set has no systems. Add a column "
            f"system to its table, or set choose_by: {choose_by.removeprefix(SYSTEM)}."
        )
    splits = {}
    for split, utterances in records.items():
        made = make_splits(
            hparams,
            {split: utterances},
            [UtteranceValues(values)],
            value_keys(utterances),
        )
        splits[split] = made[split]
    return splits


def value_keys(records):
    """Returns the items of an example of regression.

    Arguments
    ---------
    records : dict
        ``{id: record}``.

    Returns
    -------
    list of str

    Example
    -------
    >>> value_keys({"a": {"value": 3.5, "system": "B01"}})
    ['id', 'sig', 'targets', 'system']
    """
    first = next(iter(records.values()))
    extra = [key for key in ("system", "system_value") if key in first]
    return ["id", "sig", "targets", *extra]
