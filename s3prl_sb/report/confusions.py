"""Confusion matrices, and the pairs of labels that are confused most.

Authors
 * The s3prl_sb developers, 2026
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from s3prl_sb.report.axes import short
from s3prl_sb.report.blocks import Block, Chart, Grid, Options, Section
from s3prl_sb.report.charts import color, plain
from s3prl_sb.report.diarization_errors import unique
from s3prl_sb.report.gathered import Run
from s3prl_sb.report.histories import inside, parts_of

TABLE, COUNTS = "predictions.csv", "confusions.csv"
MOST = 60  # classes that are drawn, all of them
CONFUSED = 40  # classes that are drawn of more than that
COUNTED = 16  # labels with counts in the cells
ALIKE = 7  # classes in a zoomed part
PAIRS = 20  # rows of the table
OTHER = "(other)"


class Confusions(NamedTuple):
    """Numbers of (true label, predicted label).

    Arguments
    ---------
    name : str
        Name of the labels, such as a slot; nothing where there is one kind.
    counts : dict
        Pairs of labels to numbers.
    unit : str
        Things that are counted.
    """

    name: str
    counts: dict[tuple[str, str], int]
    unit: str = "utterances"

    @property
    def right(self) -> int:
        """Number of right predictions."""
        return sum(n for (true, guess), n in self.counts.items() if true == guess)

    @property
    def total(self) -> int:
        """Number of all predictions."""
        return sum(self.counts.values())


def section(run: Run, options: Options) -> Section | None:
    """Returns the confusion matrices of a run; None if it predicts no labels.

    Arguments
    ---------
    run : Run
        The run.
    options : Options
        Not used.
    """
    blocks: list[Block] = []
    for confusions in confusions_of(run):
        blocks += _blocks(confusions)
    return Section("Confusions", "confusions", blocks) if blocks else None


def confusions_of(run: Run) -> list[Confusions]:
    """Returns what a run confused, over all its folds.

    Arguments
    ---------
    run : Run
        The run.

    Returns
    -------
    list of Confusions
        One for each kind of label: of utterances, of slots, of frames.
    """
    found: dict[tuple[str, str], Counter] = {}
    for part in parts_of(run):
        rows = run.table(inside(part, TABLE)) or []
        for name, true, guess in _columns(rows[0]) if rows else ():
            counts = found.setdefault((name, "utterances"), Counter())
            counts.update((str(row[true]), str(row[guess])) for row in rows)
        for row in run.table(inside(part, COUNTS)) or []:
            try:
                pair, number = (row["label"], row["prediction"]), int(row["frames"])
            except (KeyError, TypeError, ValueError):
                run.note(f"'{run.folder / inside(part, COUNTS)}' has another form.")
                break
            found.setdefault(("", "frames"), Counter())[pair] += number
    return [
        Confusions(name, dict(counts), unit) for (name, unit), counts in found.items()
    ]


def _columns(row):
    """Returns names, and the columns of true and predicted labels."""
    if "id" not in row:  # such as pairs of utterances
        return []
    if "label" in row and "prediction" in row:
        return [("", "label", "prediction")]
    ends = [name.removesuffix("_label") for name in row if name.endswith("_label")]
    pairs = [(name, f"{name}_label", f"{name}_prediction") for name in ends]
    return [pair for pair in pairs if pair[2] in row]


# ------------------------------------------------------------------- the matrix
def _blocks(confusions: Confusions) -> list[Block]:
    labels = {label for pair in confusions.counts for label in pair}
    if len(labels) < 2:
        return []
    of = f": {confusions.name}" if confusions.name else ""
    what = " of frames" if confusions.unit == "frames" else ""
    rate = 100 * confusions.right / max(confusions.total, 1)
    summary = (
        f"{confusions.right} of {confusions.total} {confusions.unit} are right "
        f"({rate:.2f} %), over {len(labels)} labels."
    )
    pairs = top_pairs(confusions.counts)
    if pairs:
        (true, guess), number = pairs[0]
        summary += f" The most frequent confusion is {true} taken for {guess}, {number}"
        summary += f" time{'s' if number != 1 else ''}."
    title = f"Confusion matrix{what}{of}"
    blocks: list[Block] = [matrix(confusions.counts, title, summary)]
    if pairs:
        blocks.append(_table(confusions, pairs))
    return blocks


def matrix(counts: dict[tuple[str, str], int], title: str, summary: str) -> Chart:
    """Returns a confusion matrix of any pairs.

    Arguments
    ---------
    counts : dict
        Pairs of a true and a predicted label to numbers.
    title, summary : str
        See :class:`~s3prl_sb.report.blocks.Chart`. The summary gets a sentence if only
        some of the labels are drawn.

    Returns
    -------
    Chart
        Labels that are confused are neighbours; of many labels the most confused ones.

    Example
    -------
    >>> matrix({("a", "b"): 1, ("b", "b"): 2}, "Phones", "1 of 3 is wrong.").title
    'Phones'
    """
    labels = sorted({label for pair in counts for label in pair})
    whole = len(labels) <= MOST
    ordered = in_order(counts, labels if whole else most_confused(counts, CONFUSED))
    if not whole:
        summary += f" Only the {len(ordered)} most confused labels are drawn."
    spec = matrix_spec(_rows(counts, ordered), ordered, counts, not whole)
    return Chart(spec, title, summary)


def top_pairs(counts: dict[tuple[str, str], int]) -> list[tuple[tuple[str, str], int]]:
    """Returns the confused pairs, the most frequent one first.

    Arguments
    ---------
    counts : dict
        Pairs of a true and a predicted label to numbers.

    Returns
    -------
    list of tuple

    Example
    -------
    >>> top_pairs({("a", "a"): 9, ("a", "b"): 1, ("b", "a"): 2})
    [(('b', 'a'), 2), (('a', 'b'), 1)]
    """
    wrong = [(pair, n) for pair, n in counts.items() if pair[0] != pair[1] and n]
    return sorted(wrong, key=lambda item: (-item[1], item[0]))


def most_confused(counts: dict[tuple[str, str], int], most: int) -> list[str]:
    """Returns the labels of the most frequent confusions.

    Arguments
    ---------
    counts : dict
        Pairs of a true and a predicted label to numbers.
    most : int
        Number of labels.

    Returns
    -------
    list of str
        Sorted.

    Example
    -------
    >>> most_confused({("a", "b"): 2, ("c", "d"): 5, ("e", "e"): 9}, 2)
    ['c', 'd']
    """
    chosen: dict[str, None] = {}
    for pair, _ in top_pairs(counts):
        if len(chosen.keys() | set(pair)) > most:
            break
        chosen.update(dict.fromkeys(pair))
    return sorted(chosen)


def in_order(counts: dict[tuple[str, str], int], labels: Sequence[str]) -> list[str]:
    """Orders labels so that those that are confused are neighbours.

    Arguments
    ---------
    counts : dict
        Pairs of a true and a predicted label to numbers.
    labels : list of str
        Labels to order; a few stay as they are.

    Returns
    -------
    list of str

    Example
    -------
    >>> wrong = {("a", "z"): 5, ("b", "y"): 5, ("c", "x"): 5, ("d", "w"): 5}
    >>> in_order(wrong, list("abcdwxyz"))[:2] in (["a", "z"], ["d", "w"], ["z", "a"])
    True
    """
    if len(labels) < 4:
        return list(labels)
    import numpy
    from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering
    from scipy.spatial.distance import squareform

    places = {label: i for i, label in enumerate(labels)}
    table = numpy.zeros((len(labels), len(labels)))
    totals = Counter[str]()
    for (true, guess), number in counts.items():
        totals[true] += number
        if true in places and guess in places and true != guess:
            table[places[true], places[guess]] = number
    shares = table / numpy.array([[max(totals[label], 1)] for label in labels])
    apart = 1 - numpy.clip(shares + shares.T, 0, 1)
    numpy.fill_diagonal(apart, 0)
    distances = squareform(apart, checks=False)
    tree = optimal_leaf_ordering(linkage(distances, "average"), distances)
    return [labels[i] for i in leaves_list(tree)]


def _rows(counts, ordered):
    """Returns the cells of the matrix that are not empty: numbers of the row and the
    column, and the count; the last column is that of all other labels."""
    places = {label: i for i, label in enumerate(ordered)}
    cells = Counter[tuple[int, int]]()
    for (true, guess), number in counts.items():
        if true in places and number:
            cells[places[true], places.get(guess, len(ordered))] += number
    return [{"t": t, "p": p, "n": n} for (t, p), n in sorted(cells.items())]


def matrix_spec(
    rows: Sequence[dict],
    labels: Sequence[str],
    counts: dict[tuple[str, str], int],
    others: bool,
) -> dict:
    """Returns a confusion matrix whose rows sum to one, with a choice of what to see.

    Arguments
    ---------
    rows : list of dict
        Cells: ``t`` and ``p``, numbers of the true and the predicted label, and ``n``.
    labels : list of str
        Labels in their order.
    counts : dict
        All pairs to numbers, for the totals of the rows.
    others : bool
        Whether there are further labels, in a last column.

    Returns
    -------
    dict
        A specification of Vega-Lite. Labels are values of it, never expressions.
    """
    number = len(labels)
    names = [*unique(labels, 24), *([OTHER] if others else [])]
    totals = Counter[str]()
    for (true, _), count in counts.items():
        totals[true] += count
    params = [
        {"name": "names", "value": names},
        {"name": "totals", "value": [totals[label] for label in labels]},
    ]
    low, right, down = _ends(len(names), number)
    if number > 2 * ALIKE:
        params.append(_zoom(names[:number]))
    place = {
        "x": _axis("p", "predicted", len(names), low, right),
        "x2": {"field": "p2"},
        "y": _axis("t", "true", number, down, low),
        "y2": {"field": "t2"},
    }
    layer = [_cells(place), *([_numbers(place)] if number <= COUNTED else [])]
    return plain(
        rows,
        height=max(160, min(620, 26 * number)),
        params=params,
        transform=[
            {"calculate": "datum.p + 1", "as": "p2"},
            {"calculate": "datum.t + 1", "as": "t2"},
            {"calculate": "names[datum.t]", "as": "true"},
            {"calculate": "names[datum.p]", "as": "predicted"},
            {"calculate": "100 * datum.n / totals[datum.t]", "as": "share"},
            {"calculate": "datum.p + 0.5", "as": "x"},
            {"calculate": "datum.t + 0.5", "as": "y"},
        ],
        layer=layer,
    )


def _axis(field, title, number, first, last):
    """Returns an axis of numbered labels between two expressions."""
    turned = field == "p" and number > 8
    return {
        "field": field,
        "type": "quantitative",
        "title": title,
        "scale": {
            "domain": [{"expr": first}, {"expr": last}],
            "nice": False,
            "zero": False,
        },
        "axis": {
            "values": [i + 0.5 for i in range(number)],
            "labelExpr": "names[floor(datum.value)]",
            "labelOverlap": True,
            "labelAngle": -90 if turned else 0,
            "labelLimit": 110,
            "grid": False,
            "ticks": False,
        },
    }


def _cells(place):
    """Returns the layer with a colour for each cell."""
    share = {"field": "share", "type": "quantitative", "title": "% of the true label"}
    legend = {"gradientLength": 160}
    return {
        "mark": {"type": "rect", "clip": True},
        "encoding": {
            **place,
            "color": {**share, "scale": {"domain": [0, 100]}, "legend": legend},
            "tooltip": [
                {"field": "true", "title": "true"},
                {"field": "predicted", "title": "predicted"},
                {"field": "n", "title": "number"},
                {**share, "format": ".2f"},
            ],
        },
    }


def _ends(columns, rows):
    """Returns expressions of the first cell, and of the last of rows and columns."""
    if rows <= 2 * ALIKE:
        return "0", str(columns), str(rows)
    start = f"clamp(zoom - {ALIKE // 2}, 0, {rows - ALIKE})"
    parts = ((0, start), (columns, f"{start} + {ALIKE}"), (rows, f"{start} + {ALIKE}"))
    return [f"zoom < 0 ? {whole} : {part}" for whole, part in parts]


def _zoom(names):
    """Returns the choice of a label around which the matrix is enlarged."""
    numbers = sorted(range(len(names)), key=lambda i: names[i])
    bind = {
        "input": "select",
        "name": "Zoom to ",
        "options": [-1, *numbers],
        "labels": ["all labels", *(names[i] for i in numbers)],
    }
    return {"name": "zoom", "value": -1, "bind": bind}


def _numbers(place):
    """Returns the layer with the counts in the cells."""
    centre = {side: {**place[side], "field": side} for side in ("x", "y")}
    light = {"test": "datum.share > 60", "value": color("back")}
    return {
        "mark": {"type": "text", "fontSize": 10, "clip": True},
        "encoding": {
            **centre,
            "text": {"field": "n", "type": "quantitative"},
            "color": {"condition": light, "value": color("text")},
        },
    }


def _table(confusions, pairs):
    totals = Counter[str]()
    for (true, _), number in confusions.counts.items():
        totals[true] += number
    rows = [
        [true, guess, number, short(number / totals[true], 100)]
        for (true, guess), number in pairs[:PAIRS]
    ]
    left = len(pairs) - len(rows)
    more = f"; {left} pairs more are confused" if left else ""
    of = f" of {confusions.name}" if confusions.name else ""
    caption = f"Most frequent confusions{of}{more}"
    header = ["true", "predicted", confusions.unit, "% of the true label"]
    return Grid(header, rows, caption, numeric={2, 3})
