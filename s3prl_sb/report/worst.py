"""The worst examples of a run: texts aligned, labels and scores in a table, timelines.

Authors
 * The s3prl_sb developers, 2026
"""

import math
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from markupsafe import Markup

from s3prl_sb.report import timeline_files
from s3prl_sb.report.alignment import Aligned, Compared, Legend
from s3prl_sb.report.blocks import (
    Block,
    Cell,
    Figures,
    Grid,
    Options,
    Prose,
    Section,
    joined,
)
from s3prl_sb.report.escaping import brief
from s3prl_sb.report.example_kinds import Row, number, title
from s3prl_sb.report.gathered import Run
from s3prl_sb.report.lanes import within, worst_window
from s3prl_sb.report.listening import listened
from s3prl_sb.report.ranking import Ranked, Worst, unit_of, worst
from s3prl_sb.report.timelines import Key, Track
from s3prl_sb.terminal.quantities import is_share, measure

TIMELINES = 3  # most timelines of a run
COLUMNS = 12  # most columns of a table
SIDES = {
    "trials": {"0": "False acceptances", "1": "False rejections"},
    "queries": {"0": "False alarms", "1": "Missed occurrences"},
}
SCORES = ("score", "value")  # columns of numbers that may differ by little
SILENT = ("converted", "phones")  # kinds whose sounds are elsewhere, or many


class Example(NamedTuple):
    """Example with its id, facts about it, and its content.

    Arguments
    ---------
    name : str
        Its id.
    facts : list of str
        Short texts beside it.
    blocks : list of Block
        Content below its title.

    Example
    -------
    >>> print(Example("a/1", ["wer 50.00 %"], []).html().striptags())
    a/1wer 50.00 %
    """

    name: str
    facts: Sequence[str]
    blocks: Sequence[Block]

    def html(self) -> Markup:
        """Returns the example as HTML."""
        facts = (Markup("<span>{}</span>").format(brief(fact)) for fact in self.facts)
        has_one = sum(isinstance(block, Track) for block in self.blocks) == 1
        return Markup(
            '<div class="example{}"><p class="title"><b>{}</b>{}</p>{}</div>'
        ).format(
            " of-one" if has_one else "",
            brief(self.name),
            Markup().join(facts),
            joined(self.blocks),
        )


def section(run: Run, options: Options) -> Section | None:
    """Returns the worst examples of a run.

    Arguments
    ---------
    run : Run
        A run.
    options : Options
        How many examples, and how many of them with their sound.

    Returns
    -------
    Section or None
        None if the run left no predictions.
    """
    found = worst(run, options.worst)
    if found is None:
        return None
    blocks: list[Block] = [Prose(_lead(found))]
    if found.examples:
        blocks += SHOWN.get(found.kind.name, _tables)(found, options)
    return Section(f"Worst {found.kind.noun}", f"worst-{found.kind.name}", blocks)


def _lead(found: Worst) -> str:
    """Returns the sentence above the examples."""
    kind, examples = found.kind, found.examples
    noun = kind.noun if found.total != 1 else kind.noun.removesuffix("s")
    if not examples:
        return f"Nothing is wrong in {found.total:,} {noun}."
    first = f"those with the {found.by} first"
    if found.faulty == found.total:
        several = (
            f"The {len(examples)} worst of " if len(examples) < found.total else ""
        )
        return f"{several}{found.total:,} {noun}, {first}."
    have = "has an error" if found.faulty == 1 else "have errors"
    lead = f"{found.faulty:,} of {found.total:,} {noun} {have}"
    if len(examples) == found.faulty:
        return f"{lead}, {first}." if found.faulty > 1 else f"{lead}."
    return f"{lead}; {len(examples)} are here, {first}."


def _texts(found: Worst, options: Options) -> list[Block]:
    """Returns texts, aligned with their references."""
    blocks: list[Block] = [Legend()]
    for place, each in enumerate(found.examples):
        row, unit = each.row, unit_of(each.part)
        true, texts = row["reference"], {"hypothesis": row["prediction"]}
        if row.get("prediction_lm") is not None:
            texts["with the language model"] = row["prediction_lm"]
        aligned = Aligned(true, row["prediction"], unit)
        parts: list[Block] = [
            aligned if len(texts) == 1 else Compared(true, texts, unit)
        ]
        for column in ("slots", "entities"):
            if f"reference_{column}" in row:
                sides = {"true": "reference", "found": "prediction"}
                facts = [
                    (f"{word} {column}", row[f"{side}_{column}"] or "none")
                    for word, side in sides.items()
                ]
                parts.append(Figures(facts))
        if place < options.audio:
            parts += listened(each.part, row["id"], options)
        value = [_words(found, each)] if each.words else []
        errors = aligned.sentence().partition(":")[0]
        blocks.append(Example(row["id"], [*value, errors], parts))
    return blocks


def _words(found, each):
    return f"{title(found.metric)} {each.words}"


def _tables(found: Worst, options: Options) -> list[Block]:
    """Returns the rows of the examples as a table, or as one for each kind of fault."""
    kind = found.kind
    blocks: list[Block] = []
    titles = SIDES.get(kind.name, {"": ""})
    for side, caption in titles.items():
        chosen = [
            each
            for each in found.examples
            if not kind.sides or each.row[kind.sides] == side
        ]
        if not chosen:
            continue
        same = ("label", "prediction", "detected", "true") if kind.sides else ()
        blocks.append(grid(chosen, caption or f"Worst {kind.noun}", same))
        heard = 0 if kind.name in SILENT else options.audio
        for each in chosen[:heard]:
            names = [each.row[c] for c in ("id", "id1", "id2", "query", "document")
                     if c in each.row]  # fmt: skip
            sounds = [s for name in names for s in listened(each.part, name, options)]
            blocks.append(Example(" and ".join(names), _facts(each), sounds))
    return blocks


def _facts(each: Ranked) -> list[str]:
    row = _intent(each.row) or each.row
    names = () if "id1" in row else ("label", "prediction")
    texts = [(name, row[name]) for name in (*names, *SCORES) if row.get(name)]
    return [
        f"{name} {_number(name, text) if _is_number(text) else text}"
        for name, text in texts
    ]


def grid(
    examples: Sequence[Ranked], caption: str, left_out: Collection[str] = ()
) -> Grid:
    """Returns rows of predictions.csv as a table.

    Arguments
    ---------
    examples : list of Ranked
        Examples of one kind.
    caption : str
        Title of the table.
    left_out : list of str
        Columns that are not shown.

    Returns
    -------
    Grid
    """
    cells = [_intent(each.row) or each.row for each in examples]
    columns = [name for name in cells[0] if name and name not in left_out][:COLUMNS]
    values = [[row.get(c) or "" for c in columns] for row in cells]
    numeric = {
        i
        for i, column in enumerate(columns)
        if i and all(not row[i] or _is_number(row[i]) for row in values)
    }
    rows = [
        [
            _cell(c, text) if i in numeric else text
            for i, (c, text) in enumerate(zip(columns, row))
        ]
        for row in values
    ]
    return Grid([title(c) for c in columns], rows, caption, numeric)


def _intent(row: Row) -> Row:
    """Returns a row whose label has several slots with one column for each side; an
    empty one for other rows."""
    slots = [c for c in row if c and c.endswith("_label")]
    if not slots or "label" in row:
        return {}
    both = {"label": slots, "prediction": [c[:-6] + "_prediction" for c in slots]}
    joined = {side: " · ".join(row.get(c) or "" for c in both[side]) for side in both}
    return {"id": row["id"], **joined, "score": row.get("score", "")}


def _is_number(text):
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _cell(column, text):
    if not text:
        return Cell("–", "")
    return Cell(_number(column, text), float(text))


def _number(column, text):
    """Returns a number for people; scores with all digits that tell them apart."""
    if column in SCORES:
        return f"{float(text):.6g}"
    plain = text.lstrip("-").isdigit() and not is_share(column)
    return text if plain else measure(column, float(text))


def _timelines(found: Worst, options: Options) -> list[Block]:
    """Returns a table, and the timelines of the first examples."""
    kind = found.kind.name
    blocks: list[Block] = [grid(found.examples, f"Worst {found.kind.noun}")]
    blocks.append(Key(kind in ("speakers", "scenes")))
    for place, each in enumerate(found.examples[: max(TIMELINES, options.audio)]):
        name = each.row["id"]
        rows = timeline_files.rows_for(each.part, kind, name)
        ends = [stop for row in rows for _, _, stop in (*row.true, *row.found)]
        seconds = number(each.row, "duration")
        seconds = max(ends, default=0.0) if math.isnan(seconds) else seconds
        if rows and seconds > 0:
            window = worst_window(rows, seconds)
            parts = listened(
                each.part,
                name,
                options,
                within(rows, *window),
                window,
                _said(each, kind, window, seconds),
                is_heard=place < options.audio,
            )
            blocks += parts
    return blocks if len(blocks) > 2 else blocks[:1]


def _said(each: Ranked, kind: str, window, seconds: float) -> str:
    """Returns sentences that say what a timeline shows."""
    row = each.row
    columns = [c for c in row if c and is_share(c) and not math.isnan(number(row, c))]
    words = [f"{title(c)} {measure(c, number(row, c))}" for c in columns]
    parts = [f"{', '.join(words[:4])}."] if words else []
    if kind == "speakers":
        wrong = [
            f"{number(row, column):.2f} s {name}"
            for column, name in (("missed", "missed"), ("false_alarm", "false alarms"),
                                 ("confusion", "confusion"))
        ]  # fmt: skip
        parts.append(f"{', '.join(wrong)} in {number(row, 'speech'):.2f} s of speech.")
    if window != (0.0, seconds):
        parts.append(
            f"Seconds {window[0]:g} to {window[1]:g} of {seconds:.1f}, where the two "
            "differ longest."
        )
    return " ".join(parts)


SHOWN: dict[str, Callable[[Worst, Options], list[Block]]] = {
    "texts": _texts,
    **dict.fromkeys(("speakers", "events", "frames", "scenes"), _timelines),
}
