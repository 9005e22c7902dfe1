"""Timelines of a page: what is true above what a model found, over a spectrogram.

The page's script zooms them, and moves a cursor while their sound plays; without it
they are still there to read. A long recording is cut to its worst minute.

Authors
 * The s3prl_sb developers, 2026
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from s3prl_sb.report.blocks import Grid, Picture, Sound
from s3prl_sb.report.escaping import shown
from s3prl_sb.report.lanes import KINDS, Lane

TICKS = 8  # most numbers on a time axis
STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60)  # seconds between them
LETTER, MARGIN = 7, 8  # pixels of texts in boxes
WIDEST = 400  # pixels of a second
READ = 100  # most rows of the table of items


class Track(NamedTuple):
    """A sound over time: its player, its spectrogram, its timeline; each may lack.

    Arguments
    ---------
    title : str
        Name of the sound.
    start, stop : float
        Seconds of the recording at both ends.
    rows : list of Lane
        Rows, from the top.
    summary : str
        Sentences that say what the timeline shows, with numbers.
    picture : Picture, optional
        Spectrogram from ``start`` to ``stop``.
    sound : Sound, optional
        Sound from ``start`` to ``stop``.

    Example
    -------
    >>> rows = [Lane("ann", [("", 0.5, 1.0)], [])]
    >>> "left:50.00%" in Track("talk", 0.0, 1.0, rows, "Ann speaks.").html()
    True
    """

    title: str
    start: float
    stop: float
    rows: Sequence[Lane] = ()
    summary: str = ""
    picture: Picture | None = None
    sound: Sound | None = None

    def html(self) -> Markup:
        """Returns the track as HTML."""
        parts = [
            Markup('<div class="strip">{}</div>').format(self.picture.html())
            if self.picture
            else "",
            *(self._lane(row) for row in self.rows),
        ]
        return Markup(
            '<figure class="track" data-start="{:.3f}" data-stop="{:.3f}">'
            "<figcaption>{}</figcaption>{}"
            '<div class="track-view" tabindex="0" role="group" aria-label="{}">'
            '<div class="time" style="width:max(100%,{:.0f}px)">'
            '<div class="ruler" aria-hidden="true">{}</div>{}'
            '<div class="cursor" hidden></div></div></div>'
            '<p class="summary">{}</p>{}</figure>'
        ).format(
            self.start,
            self.stop,
            shown(self.title),
            self._tools(),
            "timeline of " + shown(self.title),
            self._width(),
            self._ruler(),
            Markup().join(parts),
            shown(self.summary),
            self._table(),
        )

    def _tools(self):
        zoom = Markup(
            '<span class="zoom"><button type="button" data-zoom="0.667" '
            'aria-label="zoom out">−</button><button type="button" data-zoom="1.5" '
            'aria-label="zoom in">+</button></span>'
        )
        player = self.sound.html() if self.sound else ""
        return Markup('<div class="player">{}{}</div>').format(player, zoom)

    def _width(self):
        """Returns the pixels at which most texts fit into their boxes."""
        scales = [0.0]
        for row in self.rows:
            for spans in (row.true, row.found) if row.kind == "word" else ():
                pixels = sum(LETTER * len(text) + MARGIN for text, _, _ in spans)
                seconds = sum(stop - start for _, start, stop in spans)
                scales.append(min(pixels / max(seconds, 0.01), WIDEST))
        return max(scales) * (self.stop - self.start)

    def _place(self, start, stop):
        scale = 100 / max(self.stop - self.start, 1e-6)
        left = (max(start, self.start) - self.start) * scale
        return left, max((min(stop, self.stop) - self.start) * scale - left, 0.0)

    def _ruler(self):
        seconds = self.stop - self.start
        step = next((s for s in STEPS if seconds / s <= TICKS), math.ceil(seconds / 8))
        first = math.ceil(self.start / step - 1e-9)
        tick = Markup('<span style="left:{:.2f}%">{:g} s</span>')
        return Markup().join(
            tick.format(self._place(n * step, self.stop)[0], round(n * step, 6))
            for n in range(first, math.ceil(self.stop / step - 1e-9))
            if self._place(n * step, self.stop)[1] > 4  # the last has no room
        )

    def _lane(self, row):
        sides = (("true", row.true), ("found", row.found))
        boxes = Markup().join(
            self._box(row, side, *span) for side, spans in sides for span in spans
        )
        return Markup(
            '<div class="lane {}"><b>{}</b><div class="bars">{}</div></div>'
        ).format(row.kind, shown(row.name), boxes)

    def _box(self, row, side, text, start, stop):
        place = self._place(start, stop)
        box = Markup('<i class="{}" style="left:{:.2f}%;width:{:.2f}%"{}>{}</i>')
        title: str | Markup = ""
        if row.kind != "word":
            words = f"{shown(text or row.name)}, {start:.2f} to {stop:.2f} s"
            title = Markup(' title="{}"').format(words)
        inner = text[:1].upper() if row.kind == "error" else text
        return box.format(side, *place, title, shown(inner))

    def _table(self):
        rows = [
            [row.name, side, f"{start:.2f}", f"{stop:.2f}", text]
            for row in self.rows
            for side, spans in (("true", row.true), ("found", row.found))
            for text, start, stop in spans
        ]
        if not rows:
            return ""
        left_out = f", the first {READ} of {len(rows)}" if len(rows) > READ else ""
        header = ["row", "side", "start", "stop", "text"]
        caption = f"Rows of the timeline{left_out}; times in seconds"
        grid = Grid(header, rows[:READ], caption, {2, 3}, False)
        return Markup(
            '<details class="data"><summary>Data</summary>{}</details>'
        ).format(grid.html())


class Key(NamedTuple):
    """Explanation of the colours of a timeline, to be shown once.

    Arguments
    ---------
    errors : bool
        Whether there are rows of errors.

    Example
    -------
    >>> print(Key(errors=False).html().striptags())
    true, in the upper half of a row · found, in the lower half
    """

    errors: bool = True

    def html(self) -> Markup:
        """Returns the explanation as HTML."""
        letters = ", ".join(f"{kind[0].upper()} {kind}" for kind in KINDS)
        return Markup(
            '<p class="note"><i class="key"></i>true, in the upper half of a row · '
            '<i class="key found"></i>found, in the lower half{}</p>'
        ).format(f" · errors of speakers: {letters}" if self.errors else "")
