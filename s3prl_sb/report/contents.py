"""Which sections a page has, in their order.

A section of a run is a function of a :class:`~s3prl_sb.report.gathered.Run` and
:class:`~s3prl_sb.report.blocks.Options`; a section of all runs is one of their list.
Both return None where they have nothing to show.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Callable

from s3prl_sb.report import before_after, reconstructions, worst
from s3prl_sb.report.blocks import Section

#: Of one run: what its details show.
RUN_SECTIONS: list[Callable[..., Section | None]] = [
    reconstructions.section,
    before_after.section,
    worst.section,
]

#: Over all runs, after their tables.
OVERVIEW_SECTIONS: list[Callable[..., Section | None]] = []

#: Of the runs of one setup, which only differ in their seed.
CELL_SECTIONS: list[Callable[..., Section | None]] = []
