"""Blocks of a page: texts, tables, charts, pictures, sounds.

Every block has ``html()``. Texts from outside get into it by :mod:`markupsafe` alone,
which escapes them, after :func:`~s3prl_sb.report.escaping.shown`.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from markupsafe import Markup

from s3prl_sb.report.escaping import as_json, as_url, brief, content, shown
from s3prl_sb.report.grids import Cell, Grid, Row

__all__ = [
    "Beside",
    "Block",
    "Cell",
    "Chart",
    "Figures",
    "Grid",
    "Group",
    "Options",
    "Picture",
    "Prose",
    "Row",
    "Section",
    "Sound",
    "as_json",
    "as_url",
    "content",
    "joined",
    "shown",
]

SAID = 2000  # characters of the summary of a chart


class Block(Protocol):
    """Part of a page."""

    def html(self) -> Markup:
        """Returns the block as HTML."""


class Prose(NamedTuple):
    """A paragraph.

    Arguments
    ---------
    text : str
        Plain text.

    Example
    -------
    >>> Prose("a < b").html()
    Markup('<p>a &lt; b</p>')
    """

    text: str

    def html(self) -> Markup:
        """Returns the paragraph as HTML."""
        return Markup("<p>{}</p>").format(shown(self.text))


class Figures(NamedTuple):
    """Facts, each with its name.

    Arguments
    ---------
    rows : list of tuple
        A label, and a text or a block.

    Example
    -------
    >>> Figures([("steps", 200)]).html()
    Markup('<dl class="facts"><div><dt>steps</dt><dd>200</dd></div></dl>')
    """

    rows: Sequence[tuple[str, Any]]

    def html(self) -> Markup:
        """Returns the facts as a list of definitions."""
        row = Markup("<div><dt>{}</dt><dd>{}</dd></div>")
        rows = (row.format(shown(label), content(value)) for label, value in self.rows)
        return Markup('<dl class="facts">{}</dl>').format(Markup().join(rows))


class Chart(NamedTuple):
    """A chart, drawn when the reader gets to it.

    Arguments
    ---------
    spec : dict
        Vega-Lite specification with its data. Colours are those of
        :mod:`s3prl_sb.report.charts`.
    title : str
        Title of the chart.
    summary : str
        One or two sentences that say what the picture says, with numbers.
    table : Grid, optional
        The same data to read.

    Example
    -------
    >>> "<\\\\u002fscript>" in Chart({"a": "</script>"}, "A", "It is a.").html()
    False
    """

    spec: dict
    title: str
    summary: str
    table: Grid | None = None

    def html(self) -> Markup:
        """Returns the place of the drawing, its text alternative and its data."""
        table = Markup('<details class="data" open><summary>Data</summary>{}</details>')
        return Markup(
            '<figure class="chart"><figcaption>{}</figcaption>'
            '<div class="drawing" role="img" aria-label="{}"></div>'
            '<p class="summary">{}</p>{}'
            '<script type="application/json">{}</script></figure>'
        ).format(
            brief(self.title),
            brief(self.summary, SAID),
            brief(self.summary, SAID),
            table.format(self.table.html()) if self.table else "",
            as_json(self.spec),
        )


class Picture(NamedTuple):
    """A picture inside the page.

    Arguments
    ---------
    data : bytes
        Content of the file.
    kind : str
        "png", "webp", "jpeg" or "svg+xml".
    alt : str
        Description of the picture.
    width, height : int
        Pixels.

    Example
    -------
    >>> 'src="data:image/png;base64,YQ=="' in Picture(b"a", "png", "A", 1, 2).html()
    True
    """

    data: bytes
    kind: str
    alt: str
    width: int
    height: int

    def html(self) -> Markup:
        """Returns the picture as HTML."""
        return Markup(
            '<img src="{}" alt="{}" width="{}" height="{}" loading="lazy">'
        ).format(
            as_url(f"image/{self.kind}", self.data),
            shown(self.alt),
            self.width,
            self.height,
        )


class Sound(NamedTuple):
    """A sound inside the page, with a player.

    Arguments
    ---------
    data : bytes
        Content of the file.
    kind : str
        "mp3", "ogg", "wav" or "flac".
    label : str
        Description of the sound.

    Example
    -------
    >>> "data:audio/wav;base64,YQ==" in Sound(b"a", "wav", "An a").html()
    True
    """

    data: bytes
    kind: str
    label: str

    def html(self) -> Markup:
        """Returns the player as HTML."""
        return Markup(
            '<figure class="sound"><figcaption>{}</figcaption>'
            '<audio controls preload="metadata" aria-label="{}" src="{}"></audio>'
            "</figure>"
        ).format(
            shown(self.label),
            shown(self.label),
            as_url("audio/" + {"mp3": "mpeg"}.get(self.kind, self.kind), self.data),
        )


class Group(NamedTuple):
    """Blocks under a title that opens and closes.

    Arguments
    ---------
    title : str
        The title.
    blocks : list of Block
        Content.
    open : bool
        Whether it is open at first.
    pair : tuple of int, optional
        Numbers of the two setups that it compares, by which the reader picks.

    Example
    -------
    >>> Group("More", [Prose("a")]).html()
    Markup('<details class="group"><summary>More</summary><p>a</p></details>')
    """

    title: str
    blocks: Sequence[Block]
    open: bool = False
    pair: tuple[int, int] | None = None

    def html(self) -> Markup:
        """Returns the blocks as HTML."""
        pair = Markup(' data-pair="{} {}"').format(*self.pair) if self.pair else ""
        return Markup(
            '<details class="group"{}{}><summary>{}</summary>{}</details>'
        ).format(
            Markup(" open") if self.open else "",
            pair,
            brief(self.title),
            joined(self.blocks),
        )


class Beside(NamedTuple):
    """Blocks beside each other, where there is room.

    Arguments
    ---------
    blocks : list of Block
        Content.

    Example
    -------
    >>> Beside([Prose("a")]).html()
    Markup('<div class="beside"><p>a</p></div>')
    """

    blocks: Sequence[Block]

    def html(self) -> Markup:
        """Returns the blocks as HTML."""
        return Markup('<div class="beside">{}</div>').format(joined(self.blocks))


class Section(NamedTuple):
    """A part of the page that has a heading, and a place in the list of contents.

    Arguments
    ---------
    title : str
        The heading.
    key : str
        Its anchor.
    blocks : list of Block
        Content.
    """

    title: str
    key: str
    blocks: Sequence[Block]


class Options(NamedTuple):
    """Options of the reader.

    Arguments
    ---------
    audio : int
        Utterances with sound, of each run.
    worst : int
        Utterances to show of each run, and of each pair of runs.
    points : int
        Most points of a curve.
    folders : list of str
        Folders that the page is of.
    audio_roots : tuple of (str, str)
        Folders of audio in manifests, and where they are now; see
        :func:`s3prl_sb.report.audio_roots.parsed`.
    """

    audio: int = 0
    worst: int = 10
    points: int = 300
    folders: Sequence[str] = ()
    audio_roots: tuple[tuple[str, str], ...] = ()


def joined(blocks: Sequence[Block]) -> Markup:
    """Returns blocks, one after the other."""
    return Markup("\n").join(block.html() for block in blocks)
