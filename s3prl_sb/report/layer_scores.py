"""Scores of the hidden states one by one: of probes, and of query by example.

Authors
 * The s3prl_sb developers, 2026
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from s3prl_sb.report.axes import Axis, axis_of, main_axis, short
from s3prl_sb.report.blocks import Block, Chart, Grid, Options, Section
from s3prl_sb.report.charts import LINES, color, plain
from s3prl_sb.report.gathered import Run
from s3prl_sb.report.layer_weights import LAYER, bars
from s3prl_sb.runs.suite_tasks import metrics_of

FILE, TABLE = "layers.json", "layers.csv"
HEIGHT = 240
MOST = 40  # probings of a page


def section(run: Run, options: Options) -> Section | None:
    """Returns the scores of each hidden state; None if a run did not compute them.

    Arguments
    ---------
    run : Run
        The run.
    options : Options
        Not used.
    """
    blocks = [*_probes(run), *_searched(run)]
    return Section("Scores by layer", "layer-scores", blocks) if blocks else None


def overview(runs: Sequence[Run], options: Options) -> Section | None:
    """Returns the scores by layer of the probings in the folders of a page.

    Arguments
    ---------
    runs : list of Run
        Runs with details; their own probes are there.
    options : Options
        ``folders`` are searched.
    """
    shown = {run.folder.resolve() for run in runs}
    blocks: list[Block] = []
    for folder in _folders(options.folders):
        if folder.resolve() not in shown and len(blocks) < 2 * MOST:
            probing = Run({"folder": str(folder)})
            found = probing.json(FILE)
            if isinstance(found, dict):
                about = {k: v for k, v in found.items() if k != "folder"}
                probing = Run({**about, "folder": str(folder)})
                blocks += _probes(probing)
            for note in probing.notes if runs else ():
                runs[0].note(note)  # the page has no other place for it
    return Section("Scores by layer", "all-layer-scores", blocks) if blocks else None


def _folders(folders: Iterable[str]) -> list[Path]:
    """Returns the folders with probes of all layers; parts of one count with it."""
    walks = (walk for folder in folders for walk in os.walk(folder))  # some may vanish
    found = sorted(Path(place) for place, _, files in walks if FILE in files)
    return [folder for folder in found if folder.parent not in found]


def _probes(run: Run) -> list[Block]:
    found = run.json(FILE)
    if found is None:
        return []
    try:
        return _of_probes(run, found)
    except (AttributeError, KeyError, TypeError, ValueError):
        run.note(f"'{run.folder / FILE}' has another form.")
        return []


def _of_probes(run, found):
    of = Run({**found, "folder": str(run.folder)})
    tested = [row["test"] for row in found["layers"] if row["test"]]
    names = [metric.key for metric in metrics_of(of.task)]
    names.append(found["chosen_by"]["metric"])
    name = next((n for n in names if any(n in test for test in tested)), None)
    if name is None:
        return []
    axis = axis_of(of, name)
    rows = [
        {
            "layer": row["layer"],
            "value": axis.of((row[split] or {}).get(name)),
            "set": words,
            **(_ends(row, name, axis) if split == "test" else {}),
        }
        for split, words in (("test", "test"), ("valid", "validation"))
        for row in found["layers"]
    ]
    rows = [row for row in rows if row["value"] is not None]
    summed = ((found["weighted_sum"] or {}).get("test") or {}).get(name)
    level = axis.of(summed)
    title = " · ".join(part for part in (of.task, of.upstream) if part)
    chart = _chart(rows, axis, f"Probes of each hidden state: {title}", level)
    weights = found["weights"]
    if not weights:
        return [chart]
    note = " A weight need not agree with the score."
    return [chart, bars(weights["layers"], weights["weights"], note)]


def _ends(row: dict, name: str, axis: Axis) -> dict[str, float | None]:
    """Returns the interval of the score of a hidden state on the test set, if known."""
    ends = ((row.get("intervals") or {}).get("metrics") or {}).get(name)
    return {"low": axis.of(ends[0]), "high": axis.of(ends[1])} if ends else {}


def _searched(run: Run) -> list[Block]:
    """Returns the scores of a search, which has a table of its own."""
    rows = run.table(TABLE) or []
    axis = main_axis(run)
    if axis is None or run.json(FILE) is not None or len(rows) < 2:
        return []
    points = [
        {
            "layer": short(row.get("layer")),
            "value": axis.of(row.get(column)),
            "set": words,
        }
        for column, words in (
            (f"test_{axis.name}", "test"),
            (f"valid_{axis.name}", "validation"),
        )
        for row in rows
    ]
    points = [p for p in points if p["layer"] is not None and p["value"] is not None]
    return [_chart(points, axis, "Scores of each hidden state")] if points else []


def _chart(
    rows: list[dict], axis: Axis, title: str, level: float | None = None
) -> Chart:
    """Returns lines over the hidden states, and the level of their weighted sum."""
    place: dict[str, Any] = {
        "x": {
            "field": "layer",
            "type": "quantitative",
            "title": LAYER,
            "axis": {"values": sorted({row["layer"] for row in rows}), "format": "d"},
        },
        "y": {
            "field": "value",
            "type": "quantitative",
            "title": axis.heading,
            "scale": {"zero": False},
        },
    }
    which = {"field": "set", "type": "nominal", "title": None, "legend": LINES}
    sets = list(dict.fromkeys(row["set"] for row in rows))
    layer: list[dict] = [
        {
            "mark": {"type": "line", "point": {"size": 50}},
            "encoding": {
                **place,
                "color": {**which, "scale": {"domain": sets}},
                "strokeDash": {**which, "scale": {"domain": sets}},
                "tooltip": [
                    {"field": "layer", "title": "hidden state"},
                    {"field": "set"},
                    {"field": "value", "title": axis.heading},
                ],
            },
        }
    ]
    limits = [row for row in rows if row.get("low") is not None]
    if limits:
        layer.insert(0, _whiskers(place, limits, which, sets))
    tested = [row for row in rows if row["set"] == "test"] or rows
    best = (max if axis.higher else min)(tested, key=lambda row: row["value"])
    summary = (
        f"The best hidden state on the {best['set']} set is {best['layer']:g}: "
        f"{axis.words_on(best['value'])}."
    )
    if best.get("low") is not None:
        between = f"{axis.words_on(best['low'])} to {axis.words_on(best['high'])}"
        summary = f"{summary[:-1]}, 95 % interval {between}. Bars are such intervals."
    if level is not None:
        line = {"type": "rule", "strokeDash": [4, 3], "color": color("soft")}
        datum = {"datum": level, "type": "quantitative"}
        layer.append({"mark": line, "encoding": {"y": datum}})
        summary += f" The dashed line is the weighted sum: {axis.words_on(level)}."
    header = ["hidden state", "set", axis.heading]
    lines = [[row["layer"], row["set"], row["value"]] for row in rows]
    if limits:
        header += ["low", "high"]
        for line, row in zip(lines, rows):
            line += [row.get("low", ""), row.get("high", "")]
    table = Grid(header, lines, title, numeric={0, 2, 3, 4})
    return Chart(plain(rows, height=HEIGHT, layer=layer), title, summary, table)


def _whiskers(place: dict, limits: list[dict], which: dict, sets: list[str]) -> dict:
    """Returns the layer with the intervals of the scores."""
    return {
        "data": {"values": limits},
        "mark": {"type": "rule", "strokeWidth": 2, "opacity": 0.45},
        "encoding": {
            "x": place["x"],
            "y": {**place["y"], "field": "low"},
            "y2": {"field": "high"},
            "color": {**which, "scale": {"domain": sets}},
            "tooltip": [
                {"field": "layer", "title": "hidden state"},
                {"field": "low", "title": "95 % interval from"},
                {"field": "high", "title": "to"},
            ],
        },
    }
