"""Errors of diarization by their kind, over all recordings and by recording.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Sequence

from s3prl_sb.report.axes import short, with_interval
from s3prl_sb.report.blocks import Block, Chart, Grid, Options, Section
from s3prl_sb.report.charts import plain
from s3prl_sb.report.detection import short_score as number
from s3prl_sb.report.gathered import Run
from s3prl_sb.report.histories import inside, parts_of

TABLE = "predictions.csv"
#: Columns of the table, with names for people.
KINDS = {
    "missed": "missed speech",
    "false_alarm": "false alarm",
    "confusion": "speaker confusion",
}
MOST = 25  # recordings that are shown one by one


def section(run: Run, options: Options) -> Section | None:
    """Returns the errors of a diarization by kind; None for other tasks.

    Arguments
    ---------
    run : Run
        The run.
    options : Options
        Not used.
    """
    rows = []
    for part in parts_of(run):
        table = run.table(inside(part, TABLE)) or []
        if table and {"speech", *KINDS} <= set(table[0]):
            rows += [read for row in table if (read := _read(row))]
    speech = sum(row["speech"] for row in rows)
    if not speech:
        return None
    blocks: list[Block] = [_overall(run, rows, speech), _by_recording(rows)]
    return Section("Kinds of diarization errors", "diarization-errors", blocks)


def _read(row):
    values = {name: number(row.get(name)) for name in ("speech", *KINDS)}
    if None in values.values():
        return None
    return {"id": str(row.get("id")), **values}


def _errors(row):
    return sum(row[kind] for kind in KINDS)


def _overall(run, rows, speech):
    shares = {kind: sum(row[kind] for row in rows) / speech for kind in KINDS}
    data = [
        {"all": "all", "kind": name, "share": short(shares[kind], 100)}
        for kind, name in KINDS.items()
    ]
    parts = ", ".join(f"{100 * shares[k]:.2f} % {name}" for k, name in KINDS.items())
    total = sum(shares.values())
    stated = (run.results.get("metrics") or {}).get("der")
    rate = f"{100 * total:.2f} %"
    if stated is not None and abs(stated - total) < 1e-4:
        rate = with_interval(run, "der")
    summary = (
        f"The diarization error rate over {len(rows)} recordings is {rate}: {parts}."
    )
    table = Grid(
        ["kind", "share of the speech, %", "seconds"],
        [
            [name, short(shares[kind], 100), short(sum(row[kind] for row in rows))]
            for kind, name in KINDS.items()
        ],
        f"Errors in {speech:.0f} s of speech",
        numeric={1, 2},
    )
    spec = _bars(data, "all", ["all"], 46)
    spec["encoding"]["y"]["axis"] = None
    return Chart(spec, "Diarization error rate by kind", summary, table)


def _by_recording(rows):
    spoken = [row for row in rows if row["speech"] > 0]
    ordered = sorted(spoken, key=lambda row: (-_errors(row) / row["speech"], row["id"]))
    worst = ordered[:MOST]
    names = unique([row["id"] for row in worst])
    data = [
        {"id": name, "kind": words, "share": short(row[kind] / row["speech"], 100)}
        for name, row in zip(names, worst)
        for kind, words in KINDS.items()
    ]
    rates = sorted(_errors(row) / row["speech"] for row in spoken)
    middle = rates[len(rates) // 2]
    left = len(ordered) - len(worst)
    which = f"The {MOST} worst of {len(ordered)} recordings." if left else ""
    first = worst[0]
    summary = (
        f"{which} The worst one, {first['id']}, has "
        f"{100 * _errors(first) / first['speech']:.1f} %; the median of all recordings "
        f"is {100 * middle:.1f} %."
    ).strip()
    table = Grid(
        [
            "recording",
            *(f"{name}, %" for name in KINDS.values()),
            "DER, %",
            "speech, s",
        ],
        [
            [
                row["id"],
                *(short(row[kind] / row["speech"], 100) for kind in KINDS),
                short(_errors(row) / row["speech"], 100),
                short(row["speech"]),
            ]
            for row in worst
        ],
        "Errors of recordings, in percent of their speech",
        numeric={1, 2, 3, 4, 5},
    )
    spec = _bars(data, "id", names, 18 * len(names))
    return Chart(spec, "Diarization errors of recordings", summary, table)


def unique(names: Sequence[str], longest: int = 40) -> list[str]:
    """Returns names as labels of an axis: short, and all different.

    Arguments
    ---------
    names : list of str
        Names from outside.
    longest : int
        Most characters.

    Returns
    -------
    list of str

    Example
    -------
    >>> unique(["a" * 9, "a" * 8, "b"], 5)
    ['aaaa…', 'aaaa… (2)', 'b']
    """
    labels: list[str] = []
    for number_, name in enumerate(names, 1):
        label = name if len(name) <= longest else f"{name[: longest - 1]}…"
        labels.append(label if label not in labels else f"{label} ({number_})")
    return labels


def _bars(data, field, names, height):
    kinds = list(KINDS.values())
    return plain(
        data,
        height=height,
        mark="bar",
        encoding={
            "y": {"field": field, "type": "nominal", "title": None, "sort": names},
            "x": {
                "field": "share",
                "type": "quantitative",
                "stack": "zero",
                "title": "share of the speech, % (lower is better)",
            },
            "color": {
                "field": "kind",
                "type": "nominal",
                "title": None,
                "scale": {"domain": kinds},
                "legend": {"columns": 2},
            },
            "order": {"field": "order", "type": "quantitative"},
            "tooltip": [
                {"field": field, "title": "recording"},
                {"field": "kind"},
                {"field": "share", "title": "share, %"},
            ],
        },
        transform=[{"calculate": f"indexof({kinds!r}, datum.kind)", "as": "order"}],
    )
