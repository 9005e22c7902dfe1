"""``python -m s3prl_sb.startup.starting train.py …``: Ctrl-C ends it from its start.

What a recipe imports takes seconds, in which it can say nothing itself.

Authors
 * The s3prl_sb developers, 2026
"""

import os
import runpy
import signal
import sys

from s3prl_sb.processes import interruption

#: Nothing depends on how something begins, see :mod:`s3prl_sb.identity.code`.
COMPUTES = False


def main(argv):
    """Runs a recipe's train.py in this process.

    Arguments
    ---------
    argv : list of str
        The script, and its command line.
    """
    sys.argv = list(argv)
    sys.path[0] = os.path.dirname(argv[0])  # as for `python train.py`
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, end_of_start)  # until interruption.heed()
    runpy.run_path(argv[0], run_name="__main__")


def end_of_start(number, frame):
    """Nothing has begun, and nothing is to be cleared up."""
    said = interruption.words(KeyboardInterrupt(), interruption.command())
    os.write(2, f"\n{said}\n".encode(errors="backslashreplace"))
    os._exit(interruption.status(KeyboardInterrupt()))


if __name__ == "__main__":
    main(sys.argv[1:])
