"""Codes of a pre-training: how many are used, over the updates and one by one.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Sequence
from math import exp, log
from typing import Any

from s3prl_sb.report.axes import named, short
from s3prl_sb.report.blocks import Block, Chart, Grid, Options, Section
from s3prl_sb.report.charts import LINES, UPDATES, plain, thinned
from s3prl_sb.report.gathered import Run
from s3prl_sb.report.histories import histories

FILE = "codes.json"
HEIGHT = 220
#: Measures of a validation that are numbers of codes.
NUMBERS = (
    "perplexity",
    "code_perplexity",
    "unit_perplexity",
    "guess_perplexity",
    "codes_used",
)


def section(run: Run, options: Options) -> Section | None:
    """Returns the use of codes in a pre-training; None for a run without codes.

    Arguments
    ---------
    run : Run
        The run.
    options : Options
        ``points`` limits those of each curve.
    """
    blocks: list[Block] = []
    points = histories(run).get("", []) if "history" in run.results else []
    rows = [
        {"step": step, "value": short(value), "measure": named(name)}
        for name in NUMBERS
        for step, value in thinned(
            [(p.step, p.valid[name]) for p in points if name in p.valid], options.points
        )
    ]
    if len({row["step"] for row in rows}) > 1:
        blocks.append(_course(rows))
    content = run.json(FILE)
    books = _codebooks(content)
    if content is not None and not books:
        run.note(f"'{run.folder / FILE}' has another form.")
    if books:
        blocks.append(_use(books, content.get("step"), options))
    return Section("Codes", "codes", blocks) if blocks else None


def _course(rows: list[dict]) -> Chart:
    measures = list(dict.fromkeys(row["measure"] for row in rows))
    which = {"field": "measure", "type": "nominal", "title": None}
    scale = {"scale": {"domain": measures}, "legend": {"columns": 2, **LINES}}
    spec = plain(
        rows,
        height=HEIGHT,
        mark={"type": "line", "point": len(rows) <= 60},
        encoding={
            "x": UPDATES,
            "y": {
                "field": "value",
                "type": "quantitative",
                "title": "codes (higher: more of them are in use)",
            },
            "color": {**which, **scale},
            "strokeDash": {**which, **scale},
            "tooltip": [
                {"field": "measure"},
                {"field": "step", "title": "updates", "format": ","},
                {"field": "value"},
            ],
        },
    )
    words = []
    for measure in measures:
        values = [row["value"] for row in rows if row["measure"] == measure]
        words.append(f"{measure} goes from {values[0]:g} to {values[-1]:g}")
    summary = f"On held-out audio, {'; '.join(words)}. A perplexity is the number of"
    summary += " equally frequent codes that would be as unpredictable."
    return Chart(spec, "Number of codes in use", summary)


def _codebooks(content: Any) -> dict[str, list[float]]:
    """Returns the counts of each codebook by its name; damaged ones are left out."""
    codes = content.get("codes") if isinstance(content, dict) else None
    books: dict[str, list[float]] = {}
    for name, parts in (codes if isinstance(codes, dict) else {}).items():
        for number, counts in enumerate(parts if isinstance(parts, list) else (), 1):
            values = counts if isinstance(counts, list) else []
            usable = values and all(
                isinstance(v, int | float) and short(v) is not None and v >= 0
                for v in values
            )
            if usable and sum(values) > 0:
                book = f" {number}" if len(parts) > 1 else ""
                books[f"{name}{book}"] = sorted(values, reverse=True)
    return books


def perplexity(counts: Sequence[float]) -> float:
    """Returns the perplexity of codes by their counts.

    Arguments
    ---------
    counts : list of float
        Numbers or probabilities, at least one of them positive.

    Returns
    -------
    float

    Example
    -------
    >>> round(perplexity([5, 5, 0]), 6)
    2.0
    """
    total = sum(counts)
    shares = [count / total for count in counts if count > 0]
    return exp(-sum(share * log(share) for share in shares))


def _use(books: dict[str, list[float]], step: Any, options: Options) -> Chart:
    most = max(4, options.points // len(books))
    rows, table, words = [], [], []
    for name, counts in books.items():
        total, used = sum(counts), sum(count > 0 for count in counts)
        points = [(i, count / total) for i, count in enumerate(counts, 1) if count > 0]
        rows += [
            {"rank": rank, "share": short(share, 100), "codes": name}
            for rank, share in thinned(points, most)
        ]
        effective = perplexity(counts)
        table.append(
            [name, len(counts), used, short(effective), short(points[0][1], 100)]
        )
        words.append(
            f"of {len(counts)} {name}, {used} occur (perplexity {effective:.4g})"
        )
    which = {"field": "codes", "type": "nominal", "title": None}
    scale = {"scale": {"domain": list(books)}, "legend": {"columns": 2, **LINES}}
    shades = {"color": {**which, **scale}} if len(books) > 1 else {}
    spec = plain(
        rows,
        height=HEIGHT,
        mark={"type": "line", "interpolate": "step", "point": len(rows) <= 60},
        encoding={
            "x": {
                "field": "rank",
                "type": "quantitative",
                "title": "code, the most frequent one first",
                "scale": {"zero": False},
                "axis": {"tickMinStep": 1, "tickCount": 8},
            },
            "y": {
                "field": "share",
                "type": "quantitative",
                "scale": {"type": "log"},
                "title": "share of all, % (logarithmic)",
            },
            **shades,
            "tooltip": [
                {"field": "codes"},
                {"field": "rank", "title": "place"},
                {"field": "share", "title": "share, %"},
            ],
        },
    )
    when = f" at update {step}" if isinstance(step, int) else ""
    summary = f"On held-out audio{when}: {'; '.join(words[:4])}."
    header = ["codes", "number", "used", "perplexity", "most frequent, %"]
    grid = Grid(header, table, "Use of codes", numeric={1, 2, 3, 4})
    return Chart(spec, "Use of each code", summary, grid)
