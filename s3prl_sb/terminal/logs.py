"""What is said while something runs: to whom, how, and what is not worth saying.

Of our own modules, and of a user's, everything from INFO on is said; of the libraries
their warnings, those of Python's module ``warnings`` too, without the few that mean
nothing here. What is said on the console stands also in the ``log.txt`` of a run.

Authors
 * The s3prl_sb developers, 2026
"""

import copy
import logging
import os
import re
import sys
import sysconfig

#: Nothing depends on what is said, see :mod:`s3prl_sb.identity.code`.
COMPUTES = False

OWN = __name__.partition(".")[0]
LIBRARIES = tuple(
    os.path.join(os.path.realpath(sysconfig.get_path(name)), "")
    for name in ("stdlib", "platstdlib", "purelib", "platlib")
)
#: Where SpeechBrain says what a training comes to, in recipes that ask it to.
TOLD = "speechbrain.utils.train_logger"
#: Warnings of libraries about what no user of this program can or need change.
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
    r"|The model has no trainable parameters"
)
#: For those who write programs, not for those who run them.
FOR_AUTHORS = re.compile(r": (Pending)?DeprecationWarning: |: FutureWarning: ")


#: Place, kind and text of a warning, before the line of code that it is of.
OF_PYTHON = re.compile(r"(.+?:\d+): (\w+): (.*)", re.S)


class _Matters(logging.Filter):
    """Lets pass what somebody may want to read."""

    def filter(self, record):
        if record.levelno >= logging.ERROR:
            return True
        if os.environ.get("RANK", "0") != "0" and record.levelno < logging.WARNING:
            return False
        if record.name.partition(".")[0] == OWN:
            return True
        if record.name == TOLD and record.levelno == logging.INFO:
            return True
        own = not os.path.realpath(record.pathname).startswith(LIBRARIES)
        if own and record.name != "py.warnings":
            return True
        if record.levelno < logging.WARNING:
            return False
        text = f"{record.name}: {record.getMessage()}"
        author = record.name == "py.warnings" and FOR_AUTHORS.search(text)
        return not (author or NOISE.search(text))


class _Plain(logging.Formatter):
    """Messages as they are; a warning says that it is one, and whose."""

    def format(self, record):
        record = copy.copy(record)
        record.msg, record.args = self._words(record), None
        return super().format(record)

    def _words(self, record):
        message = record.getMessage()
        if record.name == "py.warnings":
            found = OF_PYTHON.match(message)
            if found is None:
                return f"Warning: {message.strip()}"
            place, kind, said = found.groups()
            lines = said.splitlines()
            code = len(lines) > 1 and lines[-1].startswith("  ")
            said = " ".join(line.strip() for line in (lines[:-1] if code else lines))
            return f"Warning: {said} ({kind}, {place})"
        if record.levelno == logging.WARNING:
            own = record.name.partition(".")[0] in (OWN, "__main__")
            return f"Warning{'' if own else f' ({record.name})'}: {message}"
        return message


class _Console(logging.Handler):
    """To the stream that there is now, around bars; errors to standard error."""

    def __init__(self, stream):
        super().__init__(logging.INFO)
        self.stream = stream

    def emit(self, record):
        try:
            name = "stderr" if record.levelno >= logging.ERROR else self.stream
            self._write(self.format(record), getattr(sys, name))
        except Exception:  # as all handlers do
            self.handleError(record)

    def _write(self, text, stream):
        if "tqdm" in sys.modules:
            sys.modules["tqdm"].tqdm.write(text, file=stream)
        else:
            stream.write(f"{text}\n")
        stream.flush()


def to_console(stream):
    """Says what matters on the console.

    Arguments
    ---------
    stream : str
        "stdout", or "stderr" where standard output is for results. Errors go to
        standard error in any case.
    """
    logging.captureWarnings(True)
    _set_up(_Console(stream), "%(message)s")


def to_file(path):
    """Writes what matters to a file too, at its end.

    Arguments
    ---------
    path : str
        Such as the ``log.txt`` of a run. One that was written to before is closed.
    """
    handler = _File(path, encoding="utf-8", errors="backslashreplace")
    _set_up(handler, "%(asctime)s %(message)s")


class _File(logging.FileHandler):
    """The file of ours, which others' handlers are not."""


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
