"""An utterance in which two models differ: what each of them made of it.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Mapping

from s3prl_sb.report.alignment import Aligned, Compared
from s3prl_sb.report.blocks import Block, Grid
from s3prl_sb.report.example_kinds import Row, title
from s3prl_sb.report.gathered import Run
from s3prl_sb.report.ranking import parts_of, predictions, unit_of

TEXTS = ("reference", "prediction")


def answers(runs: Mapping[str, Run], item: str) -> list[Block]:
    """Returns the predictions of several runs for one utterance.

    Arguments
    ---------
    runs : dict
        Names for people to runs that were tested on the utterance.
    item : str
        Its id, as measures.json has it.

    Returns
    -------
    list of Block
        Texts are aligned with their reference; other predictions are rows of a table.
        Empty if no run left any.
    """
    rows = {name: row for name, run in runs.items() if (row := _row(run, item))}
    if not rows:
        return []
    first = next(iter(rows.values()))
    if all(column in row for row in rows.values() for column in TEXTS):
        unit = unit_of(next(iter(runs.values())))
        texts = {name: row["prediction"] for name, row in rows.items()}
        if len({row["reference"] for row in rows.values()}) == 1:
            return [Compared(first["reference"], texts, unit)]
        return [
            Aligned(row["reference"], row["prediction"], unit, name)
            for name, row in rows.items()
        ]
    columns = [column for column in first if column and column != "id"]
    cells = [[name, *(row.get(c) or "" for c in columns)] for name, row in rows.items()]
    return [Grid(["model", *map(title, columns)], cells, item, sortable=False)]


def _row(run: Run, item: str) -> Row | None:
    """Returns the row of an utterance in predictions.csv."""
    rows = (row for part in parts_of(run) for row in predictions(part, run))
    return next((row for row in rows if row.get("id") == item), None)
