"""Error of the room.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.errors import UserError


class AnalysisError(UserError, ValueError):
    """An analysis that is not possible; the message has the fix."""
