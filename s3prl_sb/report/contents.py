"""Which sections a page has, in their order.

A section of a run is a function of a :class:`~s3prl_sb.report.gathered.Run` and
:class:`~s3prl_sb.report.blocks.Options`; a section of all runs is one of their list.
Both return None where they have nothing to show.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Callable

from s3prl_sb.report import (
    before_after,
    codes,
    confusions,
    curves,
    detected_terms,
    detection,
    diarization_errors,
    event_curves,
    label_scores,
    layer_scores,
    layer_weights,
    predicted_numbers,
    reconstructions,
    robustness,
    searches,
    spreads,
    text_errors,
    worst,
)
from s3prl_sb.report.blocks import Section

#: Of one run: what its details show.
RUN_SECTIONS: list[Callable[..., Section | None]] = [
    detection.section,
    detected_terms.section,
    confusions.section,
    text_errors.section,
    diarization_errors.section,
    predicted_numbers.section,
    label_scores.section,
    event_curves.section,
    codes.section,
    reconstructions.section,
    before_after.section,
    worst.section,
    searches.section,
    layer_scores.section,
    layer_weights.section,
]

#: Over all runs, after their tables.
OVERVIEW_SECTIONS: list[Callable[..., Section | None]] = [
    layer_weights.overview,
    layer_scores.overview,
    robustness.overview,
    spreads.overview,
]

#: Of the runs of one setup, which only differ in their seed.
CELL_SECTIONS: list[Callable[..., Section | None]] = [curves.of_runs]
