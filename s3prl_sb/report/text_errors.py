"""Which phones, characters or words a run gets wrong: substituted, left out, added.

Authors
 * The s3prl_sb developers, 2026
"""

from collections import Counter
from collections.abc import Sequence

from s3prl_sb.metrics.transcription import alignment
from s3prl_sb.report.alignment import LONGEST, Pair, tokens
from s3prl_sb.report.blocks import Beside, Block, Grid, Options, Prose, Section
from s3prl_sb.report.example_kinds import kind_of
from s3prl_sb.report.gathered import Run
from s3prl_sb.report.matrices import MOST, matrix
from s3prl_sb.report.ranking import PREDICTIONS, parts_of, unit_of

TOKENS = 2_000_000  # that are aligned, in about three seconds
ROWS = 15  # of a table
NOTHING = "(none)"  # in the matrix, in place of a token that one side lacks

Counts = Counter[Pair]


def section(run: Run, options: Options) -> Section | None:
    """Returns the most frequent errors of the texts of a run; None without texts.

    Arguments
    ---------
    run : Run
        The run.
    options : Options
        Not used.
    """
    unit = unit_of(run)
    counts, left = counted(run, unit)
    true = Counter[str]()
    for (token, _), number in counts.items():
        true[token or ""] += number
    errors = {
        "substituted": [p for p in counts if None not in p and p[0] != p[1]],
        "left out": [p for p in counts if p[1] is None],
        "added": [p for p in counts if p[0] is None],
    }
    if not any(errors.values()):
        return None
    total = sum(true.values()) - true.pop("", 0)
    sums = {kind: sum(counts[p] for p in pairs) for kind, pairs in errors.items()}
    said = ", ".join(
        f"{number:,} {kind}{_share(number, total)}" for kind, number in sums.items()
    )
    lead = f"Of {total:,} {unit} of the references: {said}."
    if left:
        lead += f" {left:,} more utterances are not counted here."
    tables = [_table(kind, pairs, counts, true) for kind, pairs in errors.items()]
    is_drawn = unit == "phones" and 1 < len(true) <= MOST
    blocks: list[Block] = [_matrix(counts, lead) if is_drawn else Prose(lead)]
    blocks.append(Beside([table for table in tables if table.rows]))
    return Section(f"Errors of {unit}", "text-errors", blocks)


def counted(run: Run, unit: str) -> tuple[Counts, int]:
    """Counts aligned pairs of tokens of all utterances of a run, over all its folds.

    Arguments
    ---------
    run : Run
        The run.
    unit : str
        "words", "characters" or "phones".

    Returns
    -------
    counts : Counter
        Pairs (true, predicted) to numbers; None in place of a token that one side
        lacks.
    left : int
        Number of utterances that are not counted, of very long test sets.
    """
    counts, left, room = Counter[Pair](), 0, TOKENS
    for part in parts_of(run):
        rows = part.table(PREDICTIONS) or []
        kind = kind_of(rows) if rows else None
        for row in rows if kind and kind.name == "texts" else ():
            sides = [tokens(row[n] or "", unit) for n in ("prediction", "reference")]
            room -= sum(map(len, sides))
            if room < 0 or max(map(len, sides)) > LONGEST:
                left += 1
            else:
                counts.update(alignment(*sides))
    return counts, left


def _share(number, total):
    return f" ({100 * number / total:.2f} %)" if total else ""


def _table(
    kind: str, pairs: Sequence[Pair], counts: Counts, true: Counter[str]
) -> Grid:
    """Returns the most frequent errors of a kind, with the share of all of the true
    token."""
    pairs = sorted(pairs, key=lambda p: (-counts[p], p[0] or "", p[1] or ""))
    rows = []
    for pair in pairs[:ROWS]:
        row = [_visible(token) for token in pair if token is not None]
        number = counts[pair]
        share = [] if pair[0] is None else [f"{100 * number / true[pair[0]]:.1f}"]
        rows.append([*row, number, *share])
    header = {
        "substituted": ["true", "found", "times", "%"],
        "left out": ["true", "times", "%"],
        "added": ["found", "times"],
    }[kind]
    left = len(pairs) - len(rows)
    more = f"; {left:,} more are rarer" if left else ""
    numeric = {header.index("times"), len(header) - 1}
    return Grid(header, rows, f"Most often {kind}{more}", numeric, False)


def _visible(token):
    return token.replace(" ", "␣")


def _matrix(counts, lead):
    named = {
        (true or NOTHING, found or NOTHING): number
        for (true, found), number in counts.items()
    }
    words = f" The column {NOTHING} has those left out, the row {NOTHING} those added."
    return matrix(named, "Confusion matrix of phones", lead + words, NOTHING)
