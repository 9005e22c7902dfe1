"""Curves of a benchmark: each metric over noise, and over amounts of training data.

Authors
 * The s3prl_sb developers, 2026
"""

import dataclasses

from s3prl_sb.benchmark.row_names import AMOUNTS
from s3prl_sb.runs.suite_tasks import in_order, task_of

CLEAN = None  # the point of the test set as it is
AXES = {
    "train_hours": "hours of training data",
    "train_fraction": "share of the training data",
    "train_per_class": "training utterances per class",
}


@dataclasses.dataclass
class Curves:
    """Metrics of all tasks as functions of one quantity.

    Arguments
    ---------
    name : str
        Name of the files.
    title : str
        Title of the table and the plot.
    axis : str
        Quantity, with its unit.
    key : str
        Name of the quantity in files: "snr", or the key of a recipe.
    lines : dict
        Name of a line, to (task, key of a metric), to points, to the ``mean``,
        ``spread`` and number of ``seeds``.
    """

    name: str
    title: str
    axis: str
    key: str
    lines: dict = dataclasses.field(default_factory=dict)

    def add(self, line, task, point, metrics):
        """Adds the metrics of a task at one point of a line.

        Arguments
        ---------
        line : str
            Name of the line.
        task : str
            Name such as "KS".
        point : float or None
            Value of the quantity; None: the clean test set.
        metrics : dict
            Key of a metric to its summary, or None.
        """
        for key, summary in metrics.items():
            if summary is not None:
                panels = self.lines.setdefault(line, {})
                panels.setdefault((task, key), {})[point] = summary

    @property
    def points(self):
        """All points, the clean one and then the least difficult first."""
        unique = {
            point
            for panels in self.lines.values()
            for points in panels.values()
            for point in points
        }
        numbers = sorted(unique - {CLEAN}, reverse=self.key == "snr")
        return [CLEAN] * (CLEAN in unique) + numbers

    @property
    def panels(self):
        """All pairs of a task and a metric, in the table's order."""
        held = {panel for panels in self.lines.values() for panel in panels}
        tasks = in_order({task for task, _ in held})
        every = [(task, metric) for task in tasks for metric in task_of(task).metrics]
        return [(task, m) for task, m in every if (task, m.key) in held]

    def point_name(self, point):
        """Returns the name of a point.

        Example
        -------
        >>> curves = Curves("robustness", "", "", "snr")
        >>> curves.point_name(None), curves.point_name(10.0)
        ('clean', '10 dB')
        """
        if point is CLEAN:
            return "clean"
        return f"{point:g} dB" if self.key == "snr" else AMOUNTS[self.key](point)

    def records(self):
        """Returns the numbers, one row for each.

        Returns
        -------
        list of list
            Line, task, metric, point (empty if clean), mean, spread, seeds.
        """
        return [
            [
                line,
                task,
                metric,
                "" if point is CLEAN else point,
                summary["mean"],
                "" if summary["spread"] is None else summary["spread"],
                summary["seeds"],
            ]
            for line, panels in self.lines.items()
            for (task, metric), points in panels.items()
            for point in self.points
            if point in points
            for summary in [points[point]]
        ]


COLUMNS = ["row", "task", "metric", "{}", "mean", "spread", "seeds"]


def of_table(table):
    """Returns the curves that a table has.

    Arguments
    ---------
    table : dict
        Output of :func:`s3prl_sb.benchmark.table.gather`.

    Returns
    -------
    list of Curves
        Metrics over signal-to-noise ratios for each kind of noise, then over each kind
        of amount of training data. A line has at least two points.
    """
    curves = {}
    for row in table["rows"]:
        for task, cell in row["cells"].items():
            if cell["state"] == "done":
                _add_noisy(curves, row["upstream"], task, cell)
                _add_amount(curves, row.get("about") or {}, task, cell)
    for each in curves.values():
        for line, panels in list(each.lines.items()):
            kept = {k: points for k, points in panels.items() if len(points) > 1}
            each.lines[line] = kept
            if not kept:
                del each.lines[line]
    ordered = sorted(curves, key=lambda key: key[0] in AMOUNTS)
    return [curves[key] for key in ordered if curves[key].lines]


def _add_noisy(curves, name, task, cell):
    for test in cell.get("noisy") or ():
        key = "snr", test["noise"], test["content"]
        if key not in curves:
            alike = sum(other[:2] == key[:2] for other in curves)
            mark = f" {test['content'][:6]}" if alike else ""
            noise = test["noise"] + mark
            white = test["content"] is None
            stem = "robustness" + ("" if white else f"-{noise.replace(' ', '-')}")
            title = f"Robustness to {noise}"
            curves[key] = Curves(stem, title, "signal-to-noise ratio, dB", "snr")
        curves[key].add(name, task, test["snr"], test["metrics"])
        clean = {k: cell["metrics"].get(k) for k in test["metrics"]}
        curves[key].add(name, task, CLEAN, clean)


def _add_amount(curves, about, task, cell):
    key, value = about.get("amount") or (None, None)
    if key is None:
        return
    if (key,) not in curves:
        stem = f"amounts-{key.removeprefix('train_')}"
        curves[key,] = Curves(stem, "Amount of training data", AXES[key], key)
    curves[key,].add(about["series"], task, value, cell["metrics"])
