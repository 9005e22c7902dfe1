"""Confusion matrices as charts, of many labels the most confused ones.

Authors
 * The s3prl_sb developers, 2026
"""

from collections import Counter
from collections.abc import Sequence

from s3prl_sb.report.blocks import Chart
from s3prl_sb.report.charts import color, plain
from s3prl_sb.report.diarization_errors import unique

MOST = 60  # classes that are drawn, all of them
CONFUSED = 40  # classes that are drawn of more than that
COUNTED = 16  # labels with counts in the cells
ALIKE = 7  # classes in a zoomed part
OTHER = "(other)"


def matrix(
    counts: dict[tuple[str, str], int], title: str, summary: str, last: str = ""
) -> Chart:
    """Returns a confusion matrix of any pairs.

    Arguments
    ---------
    counts : dict
        Pairs of a true and a predicted label to numbers.
    title, summary : str
        See :class:`~s3prl_sb.report.blocks.Chart`. The summary gets a sentence if only
        some of the labels are drawn.
    last : str
        Label that is the last one, if there are others.

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
    chosen = labels if whole else most_confused(counts, CONFUSED)
    ordered = in_order(counts, [label for label in chosen if label != last])
    ordered += [last] if last in chosen else []
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
        height=max(160, min(620, 26 * number), 14 * number),
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
