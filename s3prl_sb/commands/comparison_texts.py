"""Comparison of two sides as text, Markdown, rows and JSON values.

Authors
 * The s3prl_sb developers, 2026
"""

import json
import math
import sys

from s3prl_sb.commands.aligned_texts import EQUAL, LACKING, rows_of
from s3prl_sb.errors import UserError
from s3prl_sb.runs.comparing import Comparison
from s3prl_sb.runs.shown import bracketed, is_higher_better, shown_as
from s3prl_sb.runs.sides import Side, settings_apart
from s3prl_sb.runs.suite_tasks import metrics_of
from s3prl_sb.terminal import columns
from s3prl_sb.terminal.messages import few, near

HEADER = ("metric", "A", "B", "B - A", "interval", "p", "better")
SIDES = ("A", "B")
WIDTH = 100  # characters in a line, except on a terminal
FEW = 20  # units below which an interval is too narrow
VARIANTS = 3  # different predictions of a side that are aligned


def in_order(side: Side, names: list[str] | None) -> list[str] | None:
    """Returns the names of metrics to compare.

    Arguments
    ---------
    side : Side
        One of the sides.
    names : list of str or None
        Names that the user gave.

    Returns
    -------
    list of str or None
        None without names: all that both sides have.

    Raises
    ------
    UserError
        If there are no measures of a name.
    """
    known = side.measures[0].names
    for name in names or ():
        if name not in known:
            raise UserError(
                f"--metric {name}: '{side.name}' has no measures of it. "
                f"{near(name, known)}"
            )
    return names


class Shown:
    """Comparison that is shown.

    Arguments
    ---------
    first, second : Side
        The sides.
    comparison : Comparison
        Their comparison.
    top : int
        Number of items that are shown of each metric.
    """

    def __init__(self, first: Side, second: Side, comparison: Comparison, top: int):
        self.sides, self.comparison, self.top = (first, second), comparison, top
        main = [metric.key for metric in metrics_of(first.task)]
        self.names = sorted(
            comparison.differences,
            key=lambda name: main.index(name) if name in main else len(main),
        )
        self.by_item = next((n for n in self.names if n in comparison.changes), None)

    def numbers(self) -> list[list]:
        """Returns a header, and a row of plain numbers for each metric."""
        header = ["metric", "A", "B", "difference", "low", "high", "p"]
        rows = [header]
        for name in self.names:
            found = self.comparison.differences[name]
            rows.append([name, *found[:2], *found.interval, found.opposite])
        return rows

    def as_json(self) -> dict:
        """Returns JSON values, on the scale of results.json."""
        comparison, metrics = self.comparison, {}
        header, *rows = self.numbers()
        for name, *row in rows:
            low, high = comparison.differences[name].interval[1:]
            metrics[name] = dict(zip(header[1:], row))
            metrics[name]["holds_zero"] = not (low > 0 or high < 0)
        return {
            "task": self.sides[0].task,
            "sides": [
                {
                    "folder": side.name,
                    "upstream": side.upstream,
                    "seeds": side.seeds,
                    "runs": [run["folder"] for run in side.runs],
                }
                for side in self.sides
            ],
            "items": comparison.items,
            "left_out": list(comparison.left_out),
            "unit": comparison.unit,
            "units": comparison.units,
            "level": comparison.level,
            "resamples": comparison.resamples,
            "metrics": metrics,
            "settings": settings_apart(*self.sides),
            "notes": self._notes(),
            "changes": {
                name: [
                    {**change._asdict(), **self._texts(change.item, list)}
                    for change in changes[: self.top]
                ]
                for name, changes in comparison.changes.items()
            },
        }

    def as_text(self) -> str:
        """Returns the comparison for a terminal."""
        width = columns.terminal_width(sys.stdout) or WIDTH
        parts = [self._head(), columns.as_text(self._cells())]
        if len(settings := self._settings()) > 1:
            parts.append("Settings that differ\n" + columns.as_text(settings))
        if self._largest():
            title = f"{self._items(2)} that differ most in {self.by_item}"
            parts.append("\n".join([title.capitalize(), *self._changes(width)]))
        parts.append("\n".join(self._notes()))
        return "\n\n".join(filter(None, parts))

    def as_markdown(self) -> str:
        """Returns the comparison in Markdown."""
        parts = ["  \n".join(self._head().splitlines())]
        right = range(1, len(HEADER) - 1)
        parts.append(columns.as_markdown(self._cells(), right=right))
        if len(settings := self._settings()) > 1:
            parts.append(columns.as_markdown(settings))
        if self._largest():
            rows = [[self.by_item, "A", "B", "reference", "A", "B"]]
            for change in self._largest():
                texts = self._texts(change.item)
                cells = [" / ".join(texts.get(letter, ())) for letter in SIDES]
                numbers = self._values(change)
                rows.append([change.item, *numbers, texts.get("true", ""), *cells])
            shown = [[columns.visible(cell) for cell in row] for row in rows]
            parts.append(columns.as_markdown(shown, right=(1, 2)))
        return "\n\n".join([*parts, *self._notes()])

    def _head(self):
        comparison = self.comparison
        rows = []
        for letter, side in zip(SIDES, self.sides):
            seeds = few(map(str, side.seeds), 5)
            many = f"{len(side.runs)} runs, seeds" if side.runs[1:] else "seed"
            cells = letter, side.upstream, f"{many} {seeds}", side.name
            rows.append([columns.visible(cell) for cell in cells])
        items = f"{comparison.items} {self._items(comparison.items)}"
        drawn = (
            ""
            if comparison.units == comparison.items
            else (
                f" of {comparison.units} {_plural(comparison.unit, comparison.units)}"
            )
        )
        task = columns.visible(self.sides[0].task)
        return f"{task}, {items}{drawn}\n" + columns.as_text(rows)

    def _items(self, count):
        """Returns the name of what is measured."""
        unit = self.comparison.unit
        is_unit = self.comparison.units == self.comparison.items
        return _plural(unit if is_unit else "item", count)

    def _cells(self):
        rows = [list(HEADER)]
        rows[0][4] = f"{100 * self.comparison.level:g} % interval"
        for name in self.names:
            one, other, interval, opposite = self.comparison.differences[name]
            scale, digits, unit = shown_as(self.sides[0].task, name)
            value, *ends = (scale * each for each in interval)
            title = f"{name} {unit}".rstrip()
            row = [title, *(f"{scale * each:.{digits}f}" for each in (one, other))]
            if any(map(math.isnan, ends)):
                rows.append([*row, f"{value:+.{digits}f}", "–", "–", ""])
                continue
            least = 2 / self.comparison.resamples
            p = f"< {least:g}" if opposite < least else f"{opposite:.2g}"
            row += [f"{value:+.{digits}f}", bracketed(ends, digits), p]
            rows.append([*row, self._better(name, ends)])
        return [[columns.visible(cell) for cell in row] for row in rows]

    def _better(self, name, ends):
        """Returns which side is better, "neither" if the interval holds zero."""
        if ends[0] <= 0 <= ends[1]:
            return "neither"
        higher = is_higher_better(self.sides[0].runs[0], name)
        return "" if higher is None else SIDES[(ends[0] > 0) == higher]

    def _settings(self):
        rows = [["", *SIDES]]
        for name, sides in settings_apart(*self.sides).items():
            rows.append([name, *(", ".join(map(_text, values)) for values in sides)])
        return [[columns.visible(cell) for cell in row] for row in rows]

    def _largest(self):
        if not self.by_item:
            return []
        changes = self.comparison.changes[self.by_item][: self.top]
        return [each for each in changes if each.change]

    def _values(self, change):
        scale, digits, unit = shown_as(self.sides[0].task, self.by_item)
        return [
            f"{scale * each:.{digits}f} {unit}".rstrip()
            for each in (change.first, change.second)
        ]

    def _texts(self, item, form=dict):
        """Returns what was true, and what each side predicted, where it is known."""
        texts = [side.texts(item) for side in self.sides]
        true = next((true for true, _ in texts if true is not None), None)
        predicted = dict(zip(SIDES, (form(each) for _, each in texts)))
        return {} if true is None else {"true": true, **predicted}

    def _changes(self, width):
        lines = []
        for change in self._largest():
            values = zip(SIDES, self._values(change))
            numbers = "  ".join(f"{letter} {value}" for letter, value in values)
            lines.append(f"  {columns.visible(change.item)}  {numbers}")
            texts = self._texts(change.item)
            if texts:
                others = [pair for letter in SIDES for pair in _named(letter, texts)]
                by_character = "cer" in self.by_item.split("_")
                rows = rows_of(texts["true"], others, by_character, width - 4)
                lines += [*(f"    {line}" for line in rows), ""]
        if lines and not lines[-1]:
            lines[-1] = f"  {EQUAL} right, {LACKING} left out"
        return lines

    def _notes(self):
        comparison, notes = self.comparison, []
        if any(comparison.left_out):
            lost = " and ".join(map(str, comparison.left_out))
            notes.append(f"Left out, as only A or only B has them: {lost} items.")
        tests = [
            json.dumps((run.get("test") or {}).get(key), sort_keys=True)
            for side in self.sides
            for run in side.runs
            for key in ("sha256", "conditions")
        ]
        if len({*tests[::2]}) > 1 or len({*tests[1::2]}) > 1:
            notes.append(
                "The test sets have the same ids, but not the same content or "
                "conditions, as results.json says."
            )
        for letter, side in zip(SIDES, self.sides):
            if self._largest() and not side.has_predictions:
                notes.append(
                    f"{letter} has no predictions.csv, so its texts are not shown: "
                    "`s3prl-sb export --predictions` keeps them in an export."
                )
        units = _plural(comparison.unit, 2)
        if comparison.units < FEW:
            count = f"{comparison.units} {_plural(comparison.unit, comparison.units)}"
            notes.append(
                f"Only {count}: interval and p are rough, and mostly too optimistic."
            )
        return [
            *notes,
            f"Interval: paired bootstrap over {units}, {comparison.resamples} draws. "
            "p: twice the share of the draws on the other side of zero. Both are about "
            "this test set, not about other seeds.",
        ]


def _named(letter, texts):
    """Returns names and predictions of a side; names have seeds where these differ."""
    predicted = list(texts[letter].items())
    if len(predicted) == 1:
        return [(letter, predicted[0][0])]
    return [
        (f"{letter} {' '.join(map(str, seeds))}", text)
        for text, seeds in predicted[:VARIANTS]
    ]


def _plural(word, count):
    if count == 1:
        return word
    return f"{word[:-1]}ies" if word.endswith("y") else f"{word}s"


def _text(value):
    if value in (None, ""):
        return "–"
    return value if isinstance(value, str) else json.dumps(value)
