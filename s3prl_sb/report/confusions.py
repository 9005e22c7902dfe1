"""Confusions of a run: matrices, and the pairs of labels that are confused most.

Authors
 * The s3prl_sb developers, 2026
"""

from collections import Counter
from typing import NamedTuple

from s3prl_sb.report.axes import short
from s3prl_sb.report.blocks import Block, Grid, Options, Section
from s3prl_sb.report.gathered import Run
from s3prl_sb.report.histories import inside, parts_of
from s3prl_sb.report.matrices import matrix, top_pairs

TABLE, COUNTS = "predictions.csv", "confusions.csv"
PAIRS = 20  # rows of the table


class Confusions(NamedTuple):
    """Numbers of (true label, predicted label).

    Arguments
    ---------
    name : str
        Name of the labels, such as a slot; nothing where there is one kind.
    counts : dict
        Pairs of labels to numbers.
    unit : str
        Things that are counted.
    """

    name: str
    counts: dict[tuple[str, str], int]
    unit: str = "utterances"

    @property
    def right(self) -> int:
        """Number of right predictions."""
        return sum(n for (true, guess), n in self.counts.items() if true == guess)

    @property
    def total(self) -> int:
        """Number of all predictions."""
        return sum(self.counts.values())


def section(run: Run, options: Options) -> Section | None:
    """Returns the confusion matrices of a run; None if it predicts no labels.

    Arguments
    ---------
    run : Run
        The run.
    options : Options
        Not used.
    """
    blocks: list[Block] = []
    for confusions in confusions_of(run):
        blocks += _blocks(confusions)
    return Section("Confusions", "confusions", blocks) if blocks else None


def confusions_of(run: Run) -> list[Confusions]:
    """Returns what a run confused, over all its folds.

    Arguments
    ---------
    run : Run
        The run.

    Returns
    -------
    list of Confusions
        One for each kind of label: of utterances, of slots, of frames.
    """
    found: dict[tuple[str, str], Counter] = {}
    for part in parts_of(run):
        rows = run.table(inside(part, TABLE)) or []
        for name, true, guess in _columns(rows[0]) if rows else ():
            counts = found.setdefault((name, "utterances"), Counter())
            counts.update((str(row[true]), str(row[guess])) for row in rows)
        for row in run.table(inside(part, COUNTS)) or []:
            try:
                pair, number = (row["label"], row["prediction"]), int(row["frames"])
            except (KeyError, TypeError, ValueError):
                run.note(f"'{run.folder / inside(part, COUNTS)}' has another form.")
                break
            found.setdefault(("", "frames"), Counter())[pair] += number
    return [
        Confusions(name, dict(counts), unit) for (name, unit), counts in found.items()
    ]


def _columns(row):
    """Returns names, and the columns of true and predicted labels."""
    if "id" not in row:  # such as pairs of utterances
        return []
    if "label" in row and "prediction" in row:
        return [("", "label", "prediction")]
    ends = [name.removesuffix("_label") for name in row if name.endswith("_label")]
    pairs = [(name, f"{name}_label", f"{name}_prediction") for name in ends]
    return [pair for pair in pairs if pair[2] in row]


# ------------------------------------------------------------------- the matrix
def _blocks(confusions: Confusions) -> list[Block]:
    labels = {label for pair in confusions.counts for label in pair}
    if len(labels) < 2:
        return []
    of = f": {confusions.name}" if confusions.name else ""
    what = " of frames" if confusions.unit == "frames" else ""
    rate = 100 * confusions.right / max(confusions.total, 1)
    summary = (
        f"{confusions.right} of {confusions.total} {confusions.unit} are right "
        f"({rate:.2f} %), over {len(labels)} labels."
    )
    pairs = top_pairs(confusions.counts)
    if pairs:
        (true, guess), number = pairs[0]
        summary += f" The most frequent confusion is {true} taken for {guess}, {number}"
        summary += f" time{'s' if number != 1 else ''}."
    title = f"Confusion matrix{what}{of}"
    blocks: list[Block] = [matrix(confusions.counts, title, summary)]
    if pairs:
        blocks.append(_table(confusions, pairs))
    return blocks


def _table(confusions, pairs):
    totals = Counter[str]()
    for (true, _), number in confusions.counts.items():
        totals[true] += number
    rows = [
        [true, guess, number, short(number / totals[true], 100)]
        for (true, guess), number in pairs[:PAIRS]
    ]
    left = len(pairs) - len(rows)
    more = f"; {left} pairs more are confused" if left else ""
    of = f" of {confusions.name}" if confusions.name else ""
    caption = f"Most frequent confusions{of}{more}"
    header = ["true", "predicted", confusions.unit, "% of the true label"]
    return Grid(header, rows, caption, numeric={2, 3})
