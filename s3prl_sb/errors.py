"""Mistakes that whoever runs the program can mend.

Authors
 * The s3prl_sb developers, 2026
"""


class UserError(Exception):
    """Base of errors whose message names the place and the way out.

    A recipe prints the message alone; with ``S3PRL_SB_TRACEBACK=1`` also where it
    comes from.
    """
