"""``s3prl-sb superb``: the suites SUPERB and SUPERB-SG by a verb of their own.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.benchmark.arguments import add_superb_arguments as add_arguments
from s3prl_sb.benchmark.command import main

__all__ = ["add_arguments", "main"]
