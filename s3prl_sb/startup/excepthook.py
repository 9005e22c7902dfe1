"""Exception hook of recipes: users' mistakes end in a message, not in a traceback.

Authors
 * The s3prl_sb developers, 2026
"""

import logging
import os
import sys

from s3prl_sb.errors import UserError
from s3prl_sb.processes import interruption
from s3prl_sb.terminal import logs

logger = logging.getLogger(__name__)


def install():
    """Installs the exception hook, handlers of signals and logging to the console."""
    logs.to_console("stdout")
    interruption.heed()
    sys.excepthook = _log_error


def _log_error(kind, error, traceback):
    if issubclass(kind, KeyboardInterrupt):
        if os.environ.get("RANK", "0") == "0":
            logger.error("%s", interruption.words(error, interruption.command()))
        raise SystemExit(interruption.status(error))
    if issubclass(kind, UserError) and not os.environ.get("S3PRL_SB_TRACEBACK"):
        logger.error("%s", error)
    else:
        logger.error("Exception:", exc_info=(kind, error, traceback))
