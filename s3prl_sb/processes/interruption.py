"""Handling of Ctrl-C and SIGTERM: one line that says how to resume.

Authors
 * The s3prl_sb developers, 2026
"""

import os
import shlex
import signal
import sys
import threading

#: Results do not depend on this module, see :mod:`s3prl_sb.identity.code`.
COMPUTES = False

#: Verbs that resume when they are started again.
RESUMES = {"bench", "superb", "extract", "download", "run"}
#: Verbs that start from the beginning, and leave no partial output.
AGAIN = {"convert", "export", "toy"}
#: Name of the handler of Ctrl-C while a recipe imports its modules.
STARTING = "end_of_start"


class Terminated(KeyboardInterrupt):
    """SIGTERM from a batch system, ``kill`` or a shutdown."""


def heed():
    """Makes SIGTERM end this process like Ctrl-C, with a message.

    Keeps another handler of SIGTERM, but removes that of
    :mod:`s3prl_sb.startup.script` for Ctrl-C.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    if getattr(signal.getsignal(signal.SIGINT), "__name__", "") == STARTING:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _terminate)


def _terminate(number, frame):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one has no effect
    if hasattr(signal, "SIGCHLD"):  # a batch system also ends the workers of a loader,
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # which is no error of theirs
    raise Terminated


def status(error):
    """Returns the exit status after an interruption, as shells define it.

    Arguments
    ---------
    error : KeyboardInterrupt
        The interruption.

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
    """Returns the message after an interruption.

    Arguments
    ---------
    error : KeyboardInterrupt
        The interruption.
    command : list of str
        The command that was interrupted.
    verb : str
        Verb of the console script.

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
    """Returns the command that started this process, as a user would type it.

    Arguments
    ---------
    argv : list of str, optional
        Command line; default: ``sys.argv``.

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
    if os.path.isabs(script):  # `s3prl-sb run` starts it by its absolute path
        from s3prl_sb import resources

        files = resources.recipe_files().items()
        real = os.path.realpath(script)
        names = {
            str(file): name
            for name, file in files
            if os.path.realpath(file.parents[1] / "train.py") == real
        }
        if rest and rest[0] in names:
            return ["s3prl-sb", "run", names[rest[0]], *rest[1:]]
        for file, name in names.items():
            if os.path.basename(file) == "train.yaml":
                return ["s3prl-sb", "run", name, *rest]
    return ["python", script, *rest]
