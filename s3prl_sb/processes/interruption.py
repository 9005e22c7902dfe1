"""Ctrl-C, and the signal that ends a job: one line, and how to go on.

Authors
 * The s3prl_sb developers, 2026
"""

import os
import shlex
import signal
import sys
import threading

#: Nothing depends on how something ends, see :mod:`s3prl_sb.identity.code`.
COMPUTES = False

#: Verbs that, begun again, go on from where they were.
RESUMES = {"superb", "extract", "download", "run"}
#: Those that begin anew, and leave nothing half done.
AGAIN = {"convert", "export", "toy"}
#: What Ctrl-C calls while a recipe imports what it needs.
STARTING = "end_of_start"


class Terminated(KeyboardInterrupt):
    """SIGTERM: of a batch system, of ``kill``, of a machine that is shut down."""


def heed():
    """Lets SIGTERM end this process as Ctrl-C does: in order, with a message.

    Where somebody else has a way with the signal already, that one stays; but what
    :mod:`s3prl_sb.startup.script` does with Ctrl-C ends here.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    if getattr(signal.getsignal(signal.SIGINT), "__name__", "") == STARTING:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _terminate)


def _terminate(number, frame):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough
    raise Terminated


def status(error):
    """The exit status after an interruption, as shells count.

    Arguments
    ---------
    error : KeyboardInterrupt
        What came.

    Returns
    -------
    int

    Example
    -------
    >>> status(KeyboardInterrupt()), status(Terminated())
    (130, 143)
    """
    return 143 if isinstance(error, Terminated) else 130


def words(error, command, verb="run"):
    """What an interruption is answered with.

    Arguments
    ---------
    error : KeyboardInterrupt
        What came.
    command : list of str
        The command that was interrupted.
    verb : str
        Of the console script.

    Returns
    -------
    str

    Example
    -------
    >>> words(KeyboardInterrupt(), ["s3prl-sb", "superb", "a b"], "superb")
    "Interrupted. To go on from where it was: s3prl-sb superb 'a b'"
    """
    text = "Terminated." if isinstance(error, Terminated) else "Interrupted."
    line = shlex.join(command)
    if verb in RESUMES:
        return f"{text} To go on from where it was: {line}"
    return f"{text} Nothing is half done; again: {line}" if verb in AGAIN else text


def command(argv=None):
    """The command that this process was started by, as a person would type it.

    Arguments
    ---------
    argv : list of str, optional
        Default: ``sys.argv``.

    Returns
    -------
    list of str
        ``s3prl-sb run NAME …`` for a recipe of the package.

    Example
    -------
    >>> command(["train.py", "hparams/train.yaml"])
    ['python', 'train.py', 'hparams/train.yaml']
    """
    script, *rest = sys.argv if argv is None else argv
    if os.path.isabs(script):  # as `s3prl-sb run` becomes it
        from s3prl_sb import resources

        for name, folder in resources.recipes().items():
            if os.path.realpath(folder / "train.py") == os.path.realpath(script):
                if rest[:1] == [str(folder / "hparams" / "train.yaml")]:
                    rest = rest[1:]
                return ["s3prl-sb", "run", name, *rest]
    return ["python", script, *rest]
