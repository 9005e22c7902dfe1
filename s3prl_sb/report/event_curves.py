"""Sound events over all thresholds: the curves that PSDS are the areas of.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.report.axes import named, short
from s3prl_sb.report.blocks import Block, Chart, Grid, Options, Section
from s3prl_sb.report.charts import LINES, plain, thinned
from s3prl_sb.report.gathered import Run
from s3prl_sb.report.histories import inside, parts_of

TABLE = "psd_roc.csv"
COLUMNS = ("scenario", "false_positives_per_hour", "true_positives")
HIGHEST = 100  # false positives an hour, up to which the score is the area
READ = (0, 5, 10, 20, 50, 100)  # false positives an hour, in the table
HEIGHT = 260
Curve = list[tuple[float, float]]


def section(run: Run, options: Options) -> Section | None:
    """Returns the PSD-ROC of a run; None if it did not measure PSDS.

    Arguments
    ---------
    run : Run
        The run.
    options : Options
        ``points`` limits those of a curve.
    """
    blocks: list[Block] = []
    for part in parts_of(run):
        curves = _curves(run, inside(part, TABLE))
        if curves:
            metrics = {} if part else run.results.get("metrics") or {}
            of = f" of {part}" if part else ""
            blocks.append(_chart(curves, metrics, of, options.points))
    return Section("Events over all thresholds", "psd-roc", blocks) if blocks else None


def _curves(run: Run, name: str) -> dict[str, Curve]:
    """Returns the curves of a file by scenario."""
    curves: dict[str, Curve] = {}
    for row in run.table(name) or []:
        x, y = (short(row.get(column)) for column in COLUMNS[1:])
        if x is None or y is None or row.get(COLUMNS[0]) is None:
            run.note(f"'{run.folder / name}' has another form.")
            return {}
        curves.setdefault(row[COLUMNS[0]], []).append((x, y))
    return {scenario: sorted(curve) for scenario, curve in curves.items()}


def _chart(curves: dict[str, Curve], metrics: dict, of: str, points: int) -> Chart:
    rows = [
        {"set": named(scenario), "false": x, "true": y}
        for scenario, curve in curves.items()
        for x, y in [*thinned(curve, points), (HIGHEST, curve[-1][1])]
    ]
    parts = []
    for scenario, curve in curves.items():
        score = short(metrics.get(scenario))
        area = "" if score is None else f", an area (PSDS) of {score:.4f}"
        share = 100 * _at(curve, 10)
        parts.append(
            f"{named(scenario)} finds {share:.1f} % of events at 10 false positives an "
            f"hour{area}"
        )
    summary = (
        "The share of events that are found over false positives an hour, mean over "
        f"labels less their spread. {'; '.join(parts)}. Higher is better."
    )
    header = ["scenario", *(f"{x} an hour, %" for x in READ)]
    shares = [
        [named(name), *(short(_at(curve, x), 100) for x in READ)]
        for name, curve in curves.items()
    ]
    table = Grid(header, shares, "Events that are found", range(1, len(header)), False)
    return Chart(_spec(rows), f"PSD-ROC{of}", summary, table)


def _at(curve: Curve, x: float) -> float:
    """Returns the height of stairs at a place."""
    return next((y for place, y in reversed(curve) if place <= x), 0.0)


def _spec(rows: list[dict]) -> dict:
    which = {"field": "set", "type": "nominal", "title": None, "legend": LINES}
    scale = {"domain": list(dict.fromkeys(row["set"] for row in rows))}
    false = {"field": "false", "type": "quantitative"}
    true = {"field": "true", "type": "quantitative"}
    return plain(
        rows,
        height=HEIGHT,
        mark={"type": "line", "interpolate": "step-after", "clip": True},
        encoding={
            "x": {
                **false,
                "title": "false positives an hour (effective)",
                "scale": {"domain": [0, HIGHEST]},
            },
            "y": {**true, "title": "found events", "axis": {"format": "%"}},
            "color": {**which, "scale": scale},
            "strokeDash": {**which, "scale": scale},
            "tooltip": [
                {"field": "set", "title": "scenario"},
                {**false, "title": "false positives an hour"},
                {**true, "title": "found", "format": ".1%"},
            ],
        },
    )
