"""Runs a recipe's train.py as a script that Ctrl-C ends from its first line.

``python -m s3prl_sb.startup.script train.py …`` is how ``s3prl-sb run`` starts a
recipe, whose imports take seconds in which it cannot handle signals itself.

Authors
 * The s3prl_sb developers, 2026
"""

import os
import runpy
import signal
import sys

from s3prl_sb.processes import interruption

#: No feature depends on how a run is started, see :mod:`s3prl_sb.identity.code`.
COMPUTES = False


def main(argv: list[str]):
    """Runs a recipe's train.py in this process.

    Arguments
    ---------
    argv : list of str
        The script and its command line.
    """
    sys.argv = list(argv)
    sys.path[0] = os.path.dirname(argv[0])  # as for `python train.py`
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, end_of_start)  # until interruption.heed()
    runpy.run_path(argv[0], run_name="__main__")


def end_of_start(number, frame):
    """Handles Ctrl-C while there is nothing to clean up yet."""
    message = interruption.words(KeyboardInterrupt(), interruption.command())
    os.write(2, f"\n{message}\n".encode(errors="backslashreplace"))
    os._exit(interruption.status(KeyboardInterrupt()))


if __name__ == "__main__":
    main(sys.argv[1:])
