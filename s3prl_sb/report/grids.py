"""Tables of a page, which the reader can sort.

Authors
 * The s3prl_sb developers, 2026
"""

import math
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from markupsafe import Markup

from s3prl_sb.report.escaping import brief, content, shown

WIDE = 7  # columns; more have narrow ones
SHORT = 18  # characters of a text that is not broken into lines


class Cell(NamedTuple):
    """Cell of a :class:`Grid` that is sorted by something else than what it shows.

    Arguments
    ---------
    content : object
        Text, number or block.
    key : float or str, optional
        Value to sort the column by. Default: the text.
    """

    content: Any
    key: float | str | None = None


class Row(NamedTuple):
    """Row of a :class:`Grid`, with more than its cells.

    Arguments
    ---------
    cells : list
        Cells.
    attached : bool
        Whether it belongs to the row above, and stays below it.
    task, upstream : str, optional
        Task and upstream of the row, for the reader's filters.
    pair : tuple of int, optional
        Numbers of two things that it compares, for the choices above the table.
    """

    cells: Sequence[Any]
    attached: bool = False
    task: str | None = None
    upstream: str | None = None
    pair: tuple[int, int] | None = None

    def attributes(self) -> Markup:
        """Returns the attributes of the row in HTML."""
        found = Markup(' class="attached"') if self.attached else Markup()
        for name, value in (("task", self.task), ("upstream", self.upstream)):
            if value is not None:
                found += Markup(' data-{}="{}"').format(name, brief(value))
        if self.pair is not None:
            found += Markup(' data-pair="{} {}"').format(*self.pair)
        return found


class Grid(NamedTuple):
    """A table.

    Arguments
    ---------
    header : list of str
        Names of the columns.
    rows : list of list
        Lists of cells, or :class:`Row`. A cell is a text, a number, a block or a
        :class:`Cell`; the first of each row names it.
    caption : str
        Description of the table.
    numeric : set of int
        Columns that are aligned on the right.
    sortable : bool
        Whether the reader can sort it.

    Example
    -------
    >>> "a&amp;b</td>" in Grid(["name", "of"], [["1", "a&b"]]).html()
    True
    """

    header: Sequence[str]
    rows: Sequence[Sequence[Any] | Row]
    caption: str = ""
    numeric: Collection[int] = ()
    sortable: bool = True

    def html(self) -> Markup:
        """Returns the table as HTML, in a box of its own that scrolls sideways."""
        heads = (
            Markup('<th scope="col"{}>{}</th>').format(
                self._kind(i), self._head(brief(name))
            )
            for i, name in enumerate(self.header)
        )
        rows = (
            Markup("<tr{}>{}</tr>").format(
                row.attributes(),
                Markup().join(self._cell(i, cell) for i, cell in enumerate(row.cells)),
            )
            for row in (r if isinstance(r, Row) else Row(r) for r in self.rows)
        )
        caption = Markup("<caption>{}</caption>").format(brief(self.caption))
        label = brief(self.caption or ", ".join(map(str, self.header)))
        return Markup(
            '<div class="scroller" tabindex="0" role="group" aria-label="{}">'
            "<table{}>{}<thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>"
        ).format(
            label,
            self._classes(),
            caption if self.caption else "",
            Markup().join(heads),
            Markup().join(rows),
        )

    def _classes(self):
        names = ["sortable"] if self.sortable else []
        names += ["dense"] if len(self.header) > WIDE else []
        return Markup(' class="{}"').format(" ".join(names)) if names else ""

    def _kind(self, column):
        return Markup(' class="number"') if column in self.numeric else ""

    def _head(self, name):
        if not self.sortable:
            return name
        return Markup('<button type="button">{}</button>').format(name)

    def _cell(self, column, cell):
        cell = cell if isinstance(cell, Cell) else Cell(cell)
        key = cell.content if cell.key is None else cell.key
        sort = ""
        if cell.key is not None or isinstance(key, float | int):
            key = "" if isinstance(key, float) and math.isnan(key) else key
            sort = Markup(' data-sort="{}"').format(shown(key))
        tag = Markup('th scope="row"' if column == 0 else "td")
        kind = self._kind(column) or _width(cell.content)
        return Markup("<{}{}{}>{}</{}>").format(
            tag, kind, sort, _short(cell.content), tag[:2]
        )


def _short(value):
    return brief(value) if isinstance(value, str) else content(value)


def _width(content):
    """Returns the class of a text: a short one is one line, a long one has room."""
    if not isinstance(content, str) or not content:
        return ""
    return Markup(' class="{}"').format("short" if len(content) <= SHORT else "long")
