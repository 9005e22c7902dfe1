"""Progress of what takes its time: a bar on a terminal, lines elsewhere.

What is written to a file is read later: there a line every half minute says how far it
is and how long it still takes, and what takes seconds says nothing.

Authors
 * The s3prl_sb developers, 2026
"""

import logging
import sys
import time

from s3prl_sb.terminal import quantities

#: Nothing depends on what is shown, see :mod:`s3prl_sb.identity.code`.
COMPUTES = False

logger = logging.getLogger(__name__)

FIRST = 5.0  # seconds before the first line
EVERY = 30.0  # seconds between two lines


_bars = True  # unless somebody wants none


def without_bars():
    """Lets this process write lines on a terminal too."""
    global _bars
    _bars = False


def on_terminal():
    """Returns whether somebody watches: standard error is a terminal."""
    return _bars and sys.stderr is not None and sys.stderr.isatty()


def bar(iterable=None, **options):
    """Shows how far something is.

    Arguments
    ---------
    iterable : iterable, optional
        What to go through.
    **options
        Of ``tqdm``, of which lines need ``desc``, ``total``, ``initial``, ``unit``
        ("B": bytes; "s of audio": seconds) and ``disable``.

    Returns
    -------
    tqdm.tqdm or Lines
        A context manager with ``update``, and an iterable if it was given one.

    Example
    -------
    >>> list(bar([1, 2], disable=True))
    [1, 2]
    """
    if not options.get("disable") and not on_terminal():
        return Lines(iterable, **options)
    from tqdm import tqdm

    options.pop("plural", None)
    return tqdm(iterable, **{"dynamic_ncols": True, **options})


class Lines:
    """Stands in for a bar where nobody watches: a line of the log now and then.

    Arguments
    ---------
    iterable : iterable, optional
        What to go through.
    desc : str
        What is done.
    total : float, optional
        How much there is of it; default: as long as ``iterable`` is, if it says so.
    initial : float
        How much was done before.
    unit : str
        Of what is counted.
    plural : str
        Of many such units.
    **_
        Other options of ``tqdm`` mean nothing here.
    """

    def __init__(
        self,
        iterable=None,
        desc="Progress",
        total=None,
        initial=0,
        unit="",
        plural="",
        **_,
    ):
        if total is None and hasattr(iterable, "__len__"):
            total = len(iterable)
        self.iterable, self.total, self.unit = iterable, total, unit
        self.plural = plural or f"{unit}{unit and 's'}"
        if unit.startswith("s "):
            self.plural = unit[2:]
        self.desc, self.n, self.initial = desc or "Progress", initial, initial
        self.started = time.monotonic()
        self.next, self.shown = self.started + FIRST, False

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.close()

    def __iter__(self):
        with self:
            for item in self.iterable:
                yield item
                self.update()

    def update(self, n=1):
        """Counts what was done, and says so if it is time."""
        self.n += n
        now = time.monotonic()
        if now >= self.next:
            self.next, self.shown = now + EVERY, True
            logger.info("%s: %s", self.desc, self._state(now))

    def close(self):
        """Ends it, in words where it began in words."""
        if self.shown:
            self.shown = False
            taken = quantities.duration(time.monotonic() - self.started)
            logger.info("%s: done in %s", self.desc, taken)

    def set_postfix_str(self, text, refresh=True):
        """Nothing: what comes after a bar changes too often for lines."""

    def _state(self, now):
        done = self.n - self.initial
        if not self.total:
            return self._amount(self.n)
        left = (self.total - self.n) * (now - self.started) / done if done > 0 else None
        share = f"{100 * self.n / self.total:.0f} %"
        so_far = self._amount(self.n).removesuffix(f" {self.plural}")
        text = f"{so_far} of {self._amount(self.total)} ({share})"
        if left is not None and left > 0:
            text += f", {quantities.duration(left)} left"
        return text

    def _amount(self, number):
        if self.unit == "B":
            return quantities.count(number, "B")
        if self.unit.startswith("s "):
            return f"{quantities.audio(number)} {self.plural}"
        return f"{number:,.0f} {self.unit if number == 1 else self.plural}".rstrip()
