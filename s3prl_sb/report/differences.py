"""Setups of one task, compared pair by pair.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Sequence

from s3prl_sb.report.blocks import Options, Section
from s3prl_sb.report.setups import Setup


def section(every: Sequence[Setup], options: Options) -> Section | None:
    """Returns the comparisons of all pairs of setups of the same task.

    Arguments
    ---------
    every : list of Setup
        All setups of the page.
    options : Options
        What the reader asked for.

    Returns
    -------
    Section or None
    """
    return None
