"""Log messages: which are shown, and in which form.

Messages of this package and of the user's modules are shown from INFO on, those of
libraries from WARNING on, including Python's ``warnings`` and except for irrelevant
ones. The ``log.txt`` of a run has the same messages as the console.

Authors
 * The s3prl_sb developers, 2026
"""

import copy
import logging
import os
import re
import sys

from s3prl_sb import resources
from s3prl_sb.errors import without_secrets

#: Results do not depend on log messages, see :mod:`s3prl_sb.identity.code`.
COMPUTES = False

OWN = __name__.partition(".")[0]
#: Logger of SpeechBrain with the results of training, in recipes that use it.
TRAIN_LOGGER = "speechbrain.utils.train_logger"
#: Warnings of libraries that do not concern users of this program.
NOISE = re.compile(
    r"torchvision is not available"
    r"|Would load a checkpoint here"
    r"|The model has no trainable parameters"
    r"|matplotlib.*(cache|fontManager|MPLCONFIGDIR)"
    r"|Some weights of .* were not (used|initialized)"
    r"|enable_nested_tensor is True"
    r"|dropout option adds dropout after all but last recurrent layer"
    r"|weight_norm.* is deprecated"
    r"|lr_scheduler\.step\(\)"
    r"|'pin_memory' argument is set as true but no accelerator"
    r"|Glyph \d+ .* missing from (current )?font"
    r"|findfont: "
)
#: Warnings for developers, not for users.
FOR_AUTHORS = re.compile(r": (Pending)?DeprecationWarning: |: FutureWarning: ")
#: Place, kind and text of a warning, before its line of code.
OF_PYTHON = re.compile(r"(.+?:\d+): (\w+): (.*)", re.S)


class _Matters(logging.Filter):
    """Filter of the messages that matter to users."""

    def filter(self, record):
        if record.levelno >= logging.ERROR:
            return True
        if os.environ.get("RANK", "0") != "0" and record.levelno < logging.WARNING:
            return False
        if record.name.partition(".")[0] == OWN:
            return True
        if record.name == TRAIN_LOGGER and record.levelno == logging.INFO:
            return True
        own = not resources.is_installed(os.path.realpath(record.pathname))
        if own and record.name != "py.warnings":
            return True
        if record.levelno < logging.WARNING:
            return False
        text = f"{record.name}: {record.getMessage()}"
        author = record.name == "py.warnings" and FOR_AUTHORS.search(text)
        return not (author or NOISE.search(text))


class _Plain(logging.Formatter):
    """Formatter of messages; warnings are marked, with their library."""

    def format(self, record):
        record = copy.copy(record)
        record.msg, record.args = without_secrets(self._words(record)), None
        return super().format(record)

    def _words(self, record):
        message = record.getMessage()
        if record.name == "py.warnings":
            match = OF_PYTHON.match(message)
            if match is None:
                return f"Warning: {message.strip()}"
            place, kind, text = match.groups()
            lines = text.splitlines()
            code = len(lines) > 1 and lines[-1].startswith("  ")
            text = " ".join(line.strip() for line in (lines[:-1] if code else lines))
            return f"Warning: {text} ({kind}, {place})"
        if record.levelno == logging.WARNING:
            own = record.name.partition(".")[0] in (OWN, "__main__")
            return f"Warning{'' if own else f' ({record.name})'}: {message}"
        return message


class _Console(logging.Handler):
    """Handler that writes to the current stream, around progress bars; errors go to
    standard error."""

    def __init__(self, stream):
        super().__init__(logging.INFO)
        self.stream = stream

    def emit(self, record):
        try:
            name = "stderr" if record.levelno >= logging.ERROR else self.stream
            self._write(self.format(record), getattr(sys, name))
        except Exception:  # the convention of logging handlers
            self.handleError(record)

    def _write(self, text, stream):
        if "tqdm" in sys.modules:
            sys.modules["tqdm"].tqdm.write(text, file=stream)
        else:
            stream.write(f"{text}\n")
        stream.flush()


def to_console(stream):
    """Writes messages to the console.

    Arguments
    ---------
    stream : str
        "stdout", or "stderr" where standard output has results. Errors always go to
        standard error.
    """
    logging.captureWarnings(True)
    _set_up(_Console(stream), "%(message)s")


def to_file(path):
    """Also appends messages to a file.

    Arguments
    ---------
    path : str
        The file, for example the ``log.txt`` of a run. An earlier log file is closed.
    """
    handler = _File(path, encoding="utf-8", errors="backslashreplace")
    _set_up(handler, "%(asctime)s %(message)s")


class _File(logging.FileHandler):
    """Handler of our log file, as opposed to those of other programs."""


def _set_up(handler, form):
    root = logging.getLogger()
    for other in list(root.handlers):
        if type(other) is type(handler):
            root.removeHandler(other)
            other.close()
    root.setLevel(logging.INFO)
    handler.setLevel(logging.INFO)
    handler.addFilter(_Matters())
    handler.setFormatter(_Plain(form, "%Y-%m-%d %H:%M:%S"))
    root.addHandler(handler)
