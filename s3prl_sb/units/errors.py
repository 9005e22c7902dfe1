"""Error of the room.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.errors import UserError


class UnitsError(UserError, ValueError):
    """Units that cannot be fitted, applied or read; the message has the fix."""
