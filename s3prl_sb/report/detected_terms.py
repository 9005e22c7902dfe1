"""Query by example: the term-weighted value over the threshold.

Authors
 * The s3prl_sb developers, 2026
"""

import csv
import math
from array import array
from pathlib import Path
from typing import Any, NamedTuple

from s3prl_sb.errors import UserError
from s3prl_sb.report.axes import short
from s3prl_sb.report.blocks import Block, Chart, Grid, Options, Prose, Section
from s3prl_sb.report.charts import color, plain, thinned
from s3prl_sb.report.gathered import Run
from s3prl_sb.report.histories import inside, parts_of
from s3prl_sb.storage.files import FileError, naming

TABLE = "predictions.csv"
COLUMNS = ("query", "document", "score", "true")
HEIGHT = 240
MOST_EMPTY = 20  # pairs for each one that was searched
UNSEARCHED = -10.0  # score of a pair without one, as in metrics/query_trials.py


class Found(NamedTuple):
    """Scores of all pairs of a query and a document.

    Arguments
    ---------
    scores, true : list of float
        One for each pair, query by query.
    queries, documents : int
        Their numbers.
    """

    scores: Any
    true: Any
    queries: int
    documents: int


def section(run: Run, options: Options) -> Section | None:
    """Returns the term-weighted values of a search; None for other tasks.

    Arguments
    ---------
    run : Run
        The run.
    options : Options
        ``points`` limits those of the curve.
    """
    blocks: list[Block] = []
    for part in parts_of(run):
        path = run.folder / inside(part, TABLE)
        if not path.is_file():
            continue
        try:
            found = read(path)
        except UserError as error:
            run.note(error)
            continue
        if found is not None and any(found.true):
            blocks.append(_chart(run, found, f" of {part}" if part else "", options))
    return Section("Term-weighted value", "twv", blocks) if blocks else None


def read(path: Path) -> Found | None:
    """Reads the pairs of a run, of which a corpus has millions, line by line.

    Arguments
    ---------
    path : pathlib.Path
        CSV file with the columns ``query``, ``document``, ``score`` and ``true``.

    Returns
    -------
    Found or None
        None for a table with other columns.

    Raises
    ------
    FileError
        If a row is damaged.
    """
    queries: dict[str, int] = {}
    documents: dict[str, int] = {}
    scores, true, places = array("d"), array("b"), array("q")
    with naming(path, "the predictions of a run"), open(path, encoding="utf-8") as file:
        reader = csv.reader(file, strict=True)
        header = next(reader, [])
        if any(name not in header for name in COLUMNS):
            return None
        query, document, score, label = map(header.index, COLUMNS)
        for row in reader:
            value = float(row[score])
            if not math.isfinite(value):
                raise ValueError(f"line {reader.line_num}: a score is not finite")
            scores.append(value)
            true.append(row[label] == "1")
            places.append(queries.setdefault(row[query], len(queries)))
            places.append(documents.setdefault(row[document], len(documents)))
    width = len(documents)
    if len(queries) * width > MOST_EMPTY * (len(scores) + 1000):
        raise FileError(f"'{path}': most queries were searched in few documents")
    whole = array("d", [UNSEARCHED]) * (len(queries) * width)
    held = array("b", [0]) * len(whole)
    for i, (value, label_) in enumerate(zip(scores, true)):
        place = places[2 * i] * width + places[2 * i + 1]
        whole[place], held[place] = value, label_
    return Found(whole, held, len(queries), width)


def _chart(run, found, of, options):
    import torch

    from s3prl_sb.metrics.retrieval import term_weighted_values

    shape = (found.queries, found.documents)
    scores = torch.frombuffer(found.scores, dtype=torch.float64).view(shape)
    true = torch.frombuffer(found.true, dtype=torch.int8).view(shape)
    thresholds, values = term_weighted_values(scores, true)
    best = int(values.argmax())
    highest = float(values[best])
    # From the highest threshold, at which nothing is found, to the lowest.
    curve = list(zip(thresholds[1:].tolist(), values[1:].tolist()))
    curve = [pair for pair in curve if pair[1] >= min(-1.0, highest - 1.0)]
    rows = [
        {"at": short(at), "value": short(value)}
        for at, value in thinned(curve, options.points)
    ]
    marks = [_mark("MTWV", float(thresholds[best]), highest)] if best else []
    chosen = (run.results.get("valid") or {}).get("threshold")
    if not of and short(chosen) is not None:
        i = int((thresholds >= chosen).sum()) - 1
        marks.append(_mark("threshold of dev", chosen, float(values[i])))
    metrics = run.results.get("metrics") or {}
    summary = (
        f"Over {found.queries} queries in {found.documents} documents, the highest "
        f"value (MTWV) is {highest:.4f}"
    )
    summary += f", at a threshold of {thresholds[best]:.3g}. " if best else ": none. "
    for mark in marks[1:]:
        summary += f"At the threshold of dev it is {mark['value']:.4f}. "
    stated = metrics.get("mtwv")
    if not of and stated is not None and abs(stated - highest) > 1e-4:
        summary += (
            f"The MTWV of the results, {stated:.4f}, also counts the queries and "
            "documents that were not searched. "
        )
    if not rows:
        return Prose(f"{summary}Every threshold has a value below -1.")
    table = Grid(
        ["point", "threshold", "TWV"],
        [[m["what"], m["at"], m["value"]] for m in marks],
        "Marked points",
        numeric={1, 2},
        sortable=False,
    )
    title = f"Term-weighted value over the threshold{of}"
    spec = twv_spec(rows, marks)
    return Chart(spec, title, f"{summary}Higher is better.", table if marks else None)


def _mark(what, at, value):
    return {"what": what, "at": short(at), "value": short(value)}


def twv_spec(rows: list[dict], marks: list[dict]) -> dict:
    """Returns the term-weighted value over the threshold, with marked points.

    Arguments
    ---------
    rows : list of dict
        Thresholds ``at``, and ``value``.
    marks : list of dict
        The same, and ``what``.

    Returns
    -------
    dict
        A specification of Vega-Lite.
    """
    place = {
        "x": {
            "field": "at",
            "type": "quantitative",
            "title": "threshold (standard deviations over the mean)",
            "scale": {"zero": False},
        },
        "y": {
            "field": "value",
            "type": "quantitative",
            "title": "TWV (higher is better)",
        },
    }
    tips = [{"field": "at", "title": "threshold"}, {"field": "value", "title": "TWV"}]
    what = {"field": "what", "type": "nominal", "title": None}
    dots = {"type": "point", "filled": True, "size": 110, "opacity": 1}
    return plain(
        rows,
        height=HEIGHT,
        layer=[
            {"mark": "line", "encoding": place},
            {
                "mark": {"type": "point", "size": 90, "opacity": 0},
                "encoding": {**place, "tooltip": tips},
            },
            {
                "data": {"values": marks},
                "mark": dots,
                "encoding": {
                    **place,
                    "color": {
                        **what,
                        "scale": {"range": [color("strong"), color("good")]},
                    },
                    "shape": {**what, "scale": {"range": ["diamond", "circle"]}},
                    "tooltip": [{"field": "what", "title": "point"}, *tips],
                },
            },
        ],
    )
