"""Colours and sizes of charts.

A specification names a colour of the palette as ``color("accent")``; the page puts
in what the reader's theme has for it. Scales without a ``range`` get the palette's by
themselves: categories, ramps (``"ramp"``), heat maps and diverging scales.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Sequence
from typing import Any

MARK = "palette:"
SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"  # a name; nothing is loaded
CATEGORY = "category"
#: Horizontal axis of what training records, by the number of updates.
UPDATES = {
    "field": "step",
    "type": "quantitative",
    "title": "updates",
    "axis": {"tickMinStep": 1, "tickCount": 8},
}
#: Of a legend of lines: pieces of them, on which dashes are seen.
LINES = {"symbolType": "stroke", "symbolSize": 400}

#: Colours by theme. Categories are after Okabe and Ito, darkened or lightened until
#: each has a contrast of 3:1 with the background.
PALETTE: dict[str, dict[str, Any]] = {
    "light": {
        "text": "#1d2433",
        "soft": "#566074",
        "line": "#d9dee7",
        "back": "#ffffff",
        "raised": "#f5f7fa",
        "edge": "#848e9e",
        "faint": "#848e9e",
        "accent": "#0b62a8",
        "strong": "#b3400a",
        "good": "#00724f",
        "bad": "#b3261e",
        CATEGORY: [
            "#0b62a8",
            "#b3400a",
            "#00795a",
            "#a8417f",
            "#8a6500",
            "#2e7fb8",
            "#5b4fb0",
            "#5a6270",
        ],
        "ramp": ["#e8f1f9", "#a9cbe6", "#5c9bcb", "#1f6aa8", "#08335c"],
        "diverging": ["#0b62a8", "#9fc3e0", "#f3f3f3", "#e8b18f", "#b3400a"],
    },
    "dark": {
        "text": "#e7eaf0",
        "soft": "#a6b0c0",
        "line": "#39414f",
        "back": "#14181f",
        "raised": "#1c222c",
        "edge": "#6c7687",
        "faint": "#6c7687",
        "accent": "#6cb6ee",
        "strong": "#f2935c",
        "good": "#4ecfa2",
        "bad": "#ff8a80",
        CATEGORY: [
            "#6cb6ee",
            "#f2935c",
            "#4ecfa2",
            "#e58fc2",
            "#e3bd4a",
            "#9ad0f5",
            "#a99cf0",
            "#b4bcc8",
        ],
        "ramp": ["#1a2838", "#24486b", "#2f72a8", "#63a8dc", "#d3e9fb"],
        "diverging": ["#6cb6ee", "#2f5f86", "#2a2f38", "#8a4f2c", "#f2935c"],
    },
}


def color(name: str) -> str:
    """Returns how a specification names a colour of the palette.

    Arguments
    ---------
    name : str
        "text", "soft", "line", "back", "accent", "strong", "good" or "bad"; of a
        category its number: "category:2".

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If the palette has no such colour.

    Example
    -------
    >>> themed({"mark": {"color": color("accent")}}, "light")["mark"]
    {'color': '#0b62a8'}
    """
    _value(f"{MARK}{name}", "light")
    return f"{MARK}{name}"


def themed(spec: Any, theme: str) -> Any:
    """Returns a specification with the colours of a theme, as the page draws it.

    Arguments
    ---------
    spec : dict
        Specification. Its data are left alone.
    theme : str
        "light" or "dark".

    Returns
    -------
    dict
    """
    if isinstance(spec, str):
        return _value(spec, theme) if spec.startswith(MARK) else spec
    if isinstance(spec, list | tuple):
        return [themed(value, theme) for value in spec]
    if isinstance(spec, dict):
        data = ("data", "datasets")
        return {k: v if k in data else themed(v, theme) for k, v in spec.items()}
    return spec


def _value(mark, theme):
    name, _, number = mark.removeprefix(MARK).partition(":")
    value = PALETTE[theme].get(name)
    if number.isdigit() and isinstance(value, list):
        value = value[int(number) % len(value)]
    if not isinstance(value, str) or bool(number) != (name == CATEGORY):
        raise ValueError(f"the palette has no '{mark}'")
    return value


def plain(rows: Sequence[dict], **rest: Any) -> dict:
    """Returns the beginning of a specification: its data, the width of the page.

    Arguments
    ---------
    rows : list of dict
        The data.
    **rest : object
        Further keys, such as ``mark`` and ``encoding``.

    Returns
    -------
    dict

    Example
    -------
    >>> plain([{"a": 1}], mark="bar")["data"]
    {'values': [{'a': 1}]}
    """
    data = {"values": list(rows)}
    return {"$schema": SCHEMA, "data": data, "width": "container", **rest}


def thinned(points: Sequence[tuple], most: int = 300) -> list[tuple]:
    """Returns a curve with fewer points: the highest and lowest of each part.

    Arguments
    ---------
    points : list of tuple
        x, y, and anything else, in the order of x.
    most : int
        Most points, at least 4.

    Returns
    -------
    list of tuple
        The first and the last are among them.

    Example
    -------
    >>> [x for x, _ in thinned([(x, x == 70) for x in range(100)], 6)]
    [0, 1, 50, 70, 99]
    """
    if len(points) <= most:
        return list(points)
    first, inner, last = points[0], points[1:-1], points[-1]
    parts = max(1, (most - 2) // 2)
    kept = []
    for i in range(parts):
        part = inner[i * len(inner) // parts : (i + 1) * len(inner) // parts]
        ends = {
            min(range(len(part)), key=lambda j: part[j][1]),
            max(range(len(part)), key=lambda j: part[j][1]),
        }
        kept += [part[j] for j in sorted(ends)]
    return [first, *kept, last]
