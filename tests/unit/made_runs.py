"""Runs of made-up results, and what every chart of a report must be."""

import csv
import json

from s3prl_sb.report import charts
from s3prl_sb.report.blocks import Chart, Grid, Group
from s3prl_sb.report.gathered import Run

#: Labels, ids and paths that somebody else chose.
HOSTILE = [
    "</script><script>alert(1)</script>",
    '"]; alert(1); ["',
    "__proto__",
    "{{7*7}}\u2028\u202e",
    "palette:accent",
    "x" * 10_000,
    "",
]
LARGEST = 200_000  # characters of the specification of a chart


def make_run(folder, task, metric="accuracy", highest=True, **results):
    """A run with results.json."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "task": task,
        "upstream": "fbank",
        "chosen_by": {"metric": metric, "highest": highest},
        "metrics": {metric: 0.5},
        "seed": 1,
        "total_steps": 100,
        "seconds": 60.0,
        **results,
    }
    (folder / "results.json").write_text(json.dumps(content))
    return Run({**content, "folder": str(folder)})


def write_table(run, rows, name="predictions.csv"):
    """A CSV of a run: a header, and rows."""
    with open(run.folder / name, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def charts_of(blocks):
    """All charts, those of groups too."""
    for block in blocks:
        if isinstance(block, Chart):
            yield block
        elif isinstance(block, Group):
            yield from charts_of(block.blocks)


def only_chart(section, title=None):
    """The chart of a section, or the first whose title begins so."""
    found = [c for c in charts_of(section.blocks) if c.title.startswith(title or "")]
    assert found and (title or len(found) == 1), [chart.title for chart in found]
    return found[0]


def values(chart, layer=None):
    """The data of a chart, or of one of its layers."""
    spec = chart.spec if layer is None else chart.spec["layer"][layer]
    return spec["data"]["values"]


def assert_drawn(section, capfd):
    """Every chart is drawn without a warning, and told in words."""
    import vl_convert

    found = list(charts_of(section.blocks))
    assert found
    capfd.readouterr()
    for chart in found:
        assert len(json.dumps(chart.spec)) < LARGEST, chart.title
        assert chart.spec["width"] == "container" and chart.title
        assert chart.summary.endswith((".", ")")) and "None" not in chart.summary
        assert any(letter.isdigit() for letter in chart.summary), chart.summary
        drawn = {**charts.themed(chart.spec, "dark"), "width": 400}
        assert "<svg" in vl_convert.vegalite_to_svg(drawn, show_warnings=True)
        assert "NaN" not in json.dumps(chart.spec)
    for block in section.blocks:
        block.html()
    assert capfd.readouterr() == ("", "")  # Vega-Lite warns there


def grids(blocks):
    """All tables, those of charts and groups too."""
    for block in blocks:
        if isinstance(block, Grid):
            yield block
        elif isinstance(block, Group):
            yield from grids(block.blocks)
        elif getattr(block, "table", None):
            yield block.table
