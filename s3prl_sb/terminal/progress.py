"""Progress of long operations: a bar on a terminal, log lines elsewhere.

The lines appear every half minute and have the share done and the time left.
Operations of a few seconds log nothing.

Authors
 * The s3prl_sb developers, 2026
"""

import logging
import sys
import time

from s3prl_sb.terminal import quantities

#: Results do not depend on progress, see :mod:`s3prl_sb.identity.code`.
COMPUTES = False

logger = logging.getLogger(__name__)

FIRST = 5.0  # seconds before the first line
EVERY = 30.0  # seconds between two lines


_bars = True  # see without_bars()


def without_bars():
    """Makes this process log lines instead of showing bars."""
    global _bars
    _bars = False


def on_terminal():
    """Returns whether bars are shown: standard error is a terminal."""
    return _bars and sys.stderr is not None and sys.stderr.isatty()


def bar(iterable=None, **options):
    """Shows the progress of an operation.

    Arguments
    ---------
    iterable : iterable, optional
        Items to iterate over.
    **options
        Options of ``tqdm``. Lines use ``desc``, ``total``, ``initial``, ``unit``
        ("B": bytes; "s of audio": seconds) and ``disable``.

    Returns
    -------
    tqdm.tqdm or Lines
        Context manager with ``update``, which iterates over ``iterable``.

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
    """Replacement for a bar that logs a line now and then.

    Arguments
    ---------
    iterable : iterable, optional
        Items to iterate over.
    desc : str
        Description of the operation.
    total : float, optional
        Total number of units; default: the length of ``iterable``, if it has one.
    initial : float
        Number of units that were done before.
    unit : str
        Name of a unit.
    plural : str
        Plural of the name.
    **_
        Other options of ``tqdm`` are ignored.
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
        """Adds finished units, and logs a line if the interval has passed."""
        self.n += n
        now = time.monotonic()
        if now >= self.next:
            self.next, self.shown = now + EVERY, True
            logger.info("%s: %s", self.desc, self._state(now))

    def close(self):
        """Logs the end, if a line was logged before."""
        if self.shown:
            self.shown = False
            taken = quantities.duration(time.monotonic() - self.started)
            logger.info("%s: done in %s", self.desc, taken)

    def set_postfix_str(self, text, refresh=True):
        """Does nothing: the text changes too often for lines."""

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
