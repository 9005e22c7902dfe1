"""Scores of each label of many: tags of clips, sound events, languages.

Authors
 * The s3prl_sb developers, 2026
"""

from typing import Any, NamedTuple

from s3prl_sb.report.axes import Axis, short
from s3prl_sb.report.blocks import Block, Chart, Grid, Options, Section
from s3prl_sb.report.charts import plain
from s3prl_sb.report.detection import short_score as number
from s3prl_sb.report.diarization_errors import unique
from s3prl_sb.report.gathered import Run
from s3prl_sb.report.histories import inside, parts_of

MOST = 50  # labels that are drawn
GAP = "⋮"  # between the best and the worst of more labels


class Kind(NamedTuple):
    """A table with a row for each label.

    Arguments
    ---------
    file : str
        Name of the file.
    name : str
        Its column with the labels, and what they are.
    scores : dict
        Columns with a score, to names for people; the first orders the labels.
    examples : str
        Column with the number of examples.
    higher : bool
        Whether higher scores are better.
    """

    file: str
    name: str
    scores: dict[str, str]
    examples: str
    higher: bool = True


KINDS = (
    Kind(
        "labels.csv",
        "label",
        {"average_precision": "average precision"},
        "utterances",
    ),
    Kind(
        "labels.csv",
        "label",
        {"onset_f1": "onset F1", "event_f1": "event F1", "segment_f1": "segment F1"},
        "event_true",
    ),
    Kind("languages.csv", "language", {"cer": "CER"}, "characters", False),
)


def section(run: Run, options: Options) -> Section | None:
    """Returns the scores of each label of a run; None if it left no such table.

    Arguments
    ---------
    run : Run
        The run.
    options : Options
        Not used.
    """
    blocks: list[Block] = []
    for part in parts_of(run):
        for kind in KINDS:
            rows = run.table(inside(part, kind.file)) or []
            if rows and {kind.name, *kind.scores} <= set(rows[0]):
                blocks += _charts(rows, kind, f" of {part}" if part else "")
    return Section("Scores of labels", "label-scores", blocks) if blocks else None


def _charts(rows, kind, of):
    first = next(iter(kind.scores))
    scored = [row for row in rows if number(row.get(first)) is not None]
    if not scored:
        return []
    sign = -1 if kind.higher else 1
    scored.sort(key=lambda row: (sign * number(row[first]), str(row[kind.name])))
    shown = scored
    if len(scored) > MOST:  # both ends
        shown = scored[: MOST // 2] + scored[-(MOST // 2) :]
    names = unique([str(row[kind.name]) for row in shown])
    places = [*names[: MOST // 2], GAP, *names[MOST // 2 :]]
    places = places if len(shown) < len(scored) else names
    axis = Axis(first, "/".join(kind.scores.values()), 100.0, "%", kind.higher)
    if len(kind.scores) > 1:
        axis = axis._replace(title="F1")
    data = [
        {
            "label": name,
            "score": axis.of(row.get(column)),
            "kind": words,
            "examples": short(row.get(kind.examples)),
        }
        for name, row in zip(names, shown)
        for column, words in kind.scores.items()
        if axis.of(row.get(column)) is not None
    ]
    best, worst = scored[0], scored[-1]
    mean = sum(number(row[first]) for row in scored) / len(scored)
    words = kind.scores[first]
    summary = (
        f"{words[0].upper()}{words[1:]} of {len(scored)} {kind.name}s: the best is "
        f"{best[kind.name]} with {axis.words(best[first])}, the worst "
        f"{worst[kind.name]} with {axis.words(worst[first])}; their mean is "
        f"{axis.words(mean)}."
    )
    if len(shown) < len(scored):
        summary += f" The {MOST // 2} best and the {MOST // 2} worst are drawn."
    title = f"Scores of {kind.name}s{of}"
    return [
        Chart(
            _spec(data, places, axis, kind), title, summary, _table(scored, kind, axis)
        )
    ]


def _spec(data: list[dict], names: list[str], axis: Axis, kind: Kind) -> dict:
    encoding: dict[str, Any] = {
        "y": {
            "field": "label",
            "type": "nominal",
            "title": None,
            "scale": {"domain": names},
            "axis": {"grid": True},
        },
        "x": {
            "field": "score",
            "type": "quantitative",
            "title": axis.heading,
            "scale": {"zero": True},
        },
        "tooltip": [
            {"field": "label", "title": kind.name},
            {"field": "kind", "title": "score"},
            {"field": "score", "title": "%"},
            {"field": "examples", "title": kind.examples.replace("_", " ")},
        ],
    }
    mark: dict[str, Any] = {"type": "bar"}
    if len(kind.scores) > 1:
        which = {
            "field": "kind",
            "type": "nominal",
            "title": None,
            "scale": {"domain": list(kind.scores.values())},
            "legend": {"columns": 2},
        }
        encoding |= {"color": which, "shape": which}
        mark = {"type": "point", "filled": True, "size": 70, "opacity": 1}
    return plain(data, height=18 * len(names), mark=mark, encoding=encoding)


def _table(scored, kind, axis):
    header = [kind.name, *(f"{words}, %" for words in kind.scores.values())]
    header.append(kind.examples.replace("_", " "))
    rows = [
        [
            row[kind.name],
            *(axis.of(row.get(column)) for column in kind.scores),
            short(row.get(kind.examples)),
        ]
        for row in scored
    ]
    return Grid(header, rows, f"All {kind.name}s", numeric=range(1, len(header)))
