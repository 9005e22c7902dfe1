"""Learned weights of the hidden states: of a run, and over tasks and upstreams.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import NamedTuple

from s3prl_sb.report.axes import short
from s3prl_sb.report.blocks import Block, Chart, Grid, Options, Section
from s3prl_sb.report.cells import cells, short_names
from s3prl_sb.report.charts import color, plain
from s3prl_sb.report.diarization_errors import unique
from s3prl_sb.report.gathered import Run

LAYER = "hidden state (0: the input of the first layer)"
MOST = 60  # rows of a heat map


class Weights(NamedTuple):
    """Weights of the hidden states of an upstream for a task.

    Arguments
    ---------
    task, upstream : str
        Names; the upstream's with the settings that distinguish it from others.
    layers : list of int
        Numbers of the hidden states.
    weights : list of float
        Weight of each, a mean over runs; their sum is 1.
    runs : int
        Number of runs.
    """

    task: str
    upstream: str
    layers: Sequence[int]
    weights: Sequence[float]
    runs: int = 1

    @property
    def highest(self) -> int:
        """The hidden state with the highest weight."""
        return self.layers[max(range(len(self.weights)), key=self.weights.__getitem__)]

    @property
    def centre(self) -> float:
        """Mean of the hidden states by their weights."""
        return sum(n * w for n, w in zip(self.layers, self.weights)) / sum(self.weights)


def weights_of(run: Run) -> tuple[list[int], list[float]] | None:
    """Returns the layers and weights of a run; None if it learned none.

    Arguments
    ---------
    run : Run
        The run.

    Returns
    -------
    (list of int, list of float) or None

    Example
    -------
    >>> weights_of(Run({"folder": "a", "layers": [0, 1], "layer_weights": [0.3, 0.7]}))
    ([0, 1], [0.3, 0.7])
    """
    layers, weights = (run.results.get(key) for key in ("layers", "layer_weights"))
    if not isinstance(layers, list) or not isinstance(weights, list):
        return None
    if len(layers) != len(weights) or len(layers) < 2:
        return None
    if not all(isinstance(n, int) for n in layers):
        return None
    return (layers, weights) if None not in map(short, weights) else None


def section(run: Run, options: Options) -> Section | None:
    """Returns the layer weights of a run; None if it has one layer.

    Arguments
    ---------
    run : Run
        The run.
    options : Options
        Not used.
    """
    found = weights_of(run)
    if found is None or not sum(found[1]):
        return None
    return Section("Layer weights", "layer-weights", [bars(*found)])


def bars(layers: Sequence[int], weights: Sequence[float], note: str = "") -> Chart:
    """Returns the weights of hidden states as bars, beside a line of equal ones.

    Arguments
    ---------
    layers : list of int
        Numbers of the hidden states.
    weights : list of float
        The weight of each.
    note : str
        Further sentence of the summary.

    Returns
    -------
    Chart
    """
    summary = _words(Weights("", "", layers, weights)) + note
    rows = [{"layer": n, "weight": short(w, 100)} for n, w in zip(layers, weights)]
    equal = {"datum": short(100 / len(layers)), "type": "quantitative"}
    spec = plain(
        rows,
        height=180,
        layer=[
            {
                "mark": "bar",
                "encoding": {
                    "x": {
                        "field": "layer",
                        "type": "ordinal",
                        "title": LAYER,
                        "axis": {"labelAngle": 0, "labelOverlap": True},
                    },
                    "y": {
                        "field": "weight",
                        "type": "quantitative",
                        "title": "weight, %",
                    },
                    "tooltip": [
                        {"field": "layer", "title": "hidden state"},
                        {"field": "weight", "title": "weight, %"},
                    ],
                },
            },
            {
                "mark": {"type": "rule", "strokeDash": [4, 3], "color": color("soft")},
                "encoding": {"y": equal},
            },
        ],
    )
    table = Grid(
        ["hidden state", "weight, %"],
        [[row["layer"], row["weight"]] for row in rows],
        "Weights of the hidden states",
        numeric={0, 1},
    )
    return Chart(spec, "Weights of the hidden states", summary, table)


def _words(weights):
    highest = max(weights.weights) / sum(weights.weights)
    return (
        f"The highest weight, {100 * highest:.1f} %, has hidden state "
        f"{weights.highest} of {len(weights.layers)}; the mean hidden state by weight "
        f"is {weights.centre:.1f}. The dashed line is where all are equal."
    )


# -------------------------------------------------------------------- all runs
def overview(runs: Sequence[Run], options: Options) -> Section | None:
    """Returns the layer weights of all runs over tasks and upstreams.

    Arguments
    ---------
    runs : list of Run
        All runs; those of several seeds become a mean.
    options : Options
        Not used.
    """
    found = gathered(runs)
    if len(found) < 2:
        return None
    blocks: list[Block] = []
    for by, across in (("upstream", "task"), ("task", "upstream")):
        if len({getattr(each, across) for each in found}) > 1 or not blocks:
            blocks.append(_heat_map(found, by, across, table=not blocks))
    return Section("Layer weights", "all-layer-weights", blocks)


def gathered(runs: Sequence[Run]) -> list[Weights]:
    """Returns the mean weights of each task and upstream.

    Arguments
    ---------
    runs : list of Run
        All runs. Those are together that differ in nothing but the seed and what a
        search chose.

    Returns
    -------
    list of Weights
    """
    found = []
    for setup in cells(runs):
        groups: dict[tuple, list] = {}
        for layers, weights in filter(None, map(weights_of, setup.runs)):
            if sum(weights) > 0:
                groups.setdefault(tuple(layers), []).append(weights)
        found += [
            Weights(
                setup.task, setup.name, layers, list(map(fmean, zip(*rows))), len(rows)
            )
            for layers, rows in groups.items()
        ]
    return found


def _heat_map(found: Sequence[Weights], by: str, across: str, table: bool) -> Chart:
    """Returns a map of one upstream or task at a time, whose rows are the others."""
    names_of = short_names([each.task for each in found])
    found = [each._replace(task=names_of[each.task]) for each in found]
    sides = list(dict.fromkeys(getattr(each, by) for each in found))
    names = dict(zip(sides, unique(sides, 60)))
    others = list(dict.fromkeys(getattr(each, across) for each in found))
    rows_of = dict(zip(others, unique(others)))
    rows = [
        {
            "of": names[getattr(each, by)],
            "row": rows_of[getattr(each, across)],
            "layers": list(each.layers),
            "weights": [short(w / sum(each.weights), 100) for w in each.weights],
            "runs": each.runs,
        }
        for each in found
    ]
    most = max(sum(getattr(each, by) == side for each in found) for side in sides)
    spec = heat_map_spec(rows, list(names.values()), by, across, min(most, MOST))
    best = [f"{each.task} with {each.upstream}: {each.highest}" for each in found[:4]]
    summary = (
        f"Weights of the hidden states of {len(found)} pairs of a task and an upstream"
        f". The hidden state with the highest weight: {'; '.join(best)}"
        f"{' and so on' if len(found) > len(best) else ''}."
    )
    title = f"Layer weights of each {by}: {across}s and hidden states"
    return Chart(spec, title, summary, _table(found) if table else None)


def heat_map_spec(
    rows: Sequence[Mapping], choices: Sequence[str], by: str, across: str, height: int
) -> dict:
    """Returns a heat map of weights, with a choice of what it is of.

    Arguments
    ---------
    rows : list of dict
        ``of``, one of the choices; ``row``, the label of the row; ``layers`` and
        ``weights``, in percent; ``runs``, their number.
    choices : list of str
        Choices.
    by, across : str
        Names of choices and rows, for people.
    height : int
        Number of rows.

    Returns
    -------
    dict
        A specification of Vega-Lite.
    """
    chosen: dict = {"name": "chosen", "value": choices[0]}
    if len(choices) > 1:
        name = f"{by.capitalize()} "
        chosen["bind"] = {"input": "select", "options": list(choices), "name": name}
    return plain(
        [dict(row) for row in rows],
        height=max(60, 24 * height),
        params=[chosen],
        transform=[
            {"filter": "datum.of === chosen"},
            {"flatten": ["layers", "weights"], "as": ["layer", "weight"]},
        ],
        mark={"type": "rect", "stroke": color("back"), "strokeWidth": 0.5},
        encoding={
            "x": {
                "field": "layer",
                "type": "ordinal",
                "title": LAYER,
                "axis": {"labelAngle": 0, "labelOverlap": True},
            },
            "y": {"field": "row", "type": "nominal", "title": None, "sort": None},
            "color": {
                "field": "weight",
                "type": "quantitative",
                "title": "weight, %",
                "scale": {"domainMin": 0},
                "legend": {"gradientLength": 160},
            },
            "tooltip": [
                {"field": "of", "title": by},
                {"field": "row", "title": across},
                {"field": "layer", "title": "hidden state"},
                {"field": "weight", "title": "weight, %"},
                {"field": "runs"},
            ],
        },
    )


def _table(found: Sequence[Weights]) -> Grid:
    header = ["task", "upstream", "highest weight at", "weight, %", "mean", "runs"]
    rows = [
        [
            each.task,
            each.upstream,
            each.highest,
            short(max(each.weights) / sum(each.weights), 100),
            round(each.centre, 2),
            each.runs,
        ]
        for each in found
    ]
    caption = "Hidden states by weight; 'mean' is the mean hidden state by weight"
    return Grid(header, rows, caption, numeric={2, 3, 4, 5})
