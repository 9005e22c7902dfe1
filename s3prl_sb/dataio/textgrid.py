"""TextGrid files of Praat, in the long and in the short text form.

Both forms are the same sequence of numbers, flags and quoted texts; the long one has
names between them (``xmin = 0``), and both may have comments, from ``!`` to the end of
the line. Format: Praat's manual, "TextGrid file formats".

Authors
 * The s3prl_sb developers, 2026
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from s3prl_sb.errors import ManifestError
from s3prl_sb.storage.files import decoded, naming
from s3prl_sb.terminal.messages import excerpt

#: A comment; a text in quotes, which are doubled in it; a number or a flag that stands
#: alone.
VALUE = re.compile(r'(?<!\S)!.*|"((?:[^"]|"")*)"|(?<!\S)(<\w+>|[-+]?\.?\d\S*)(?!\S)')
LONGEST = 70  # characters of a value in a message
INTERVALS, POINTS = "IntervalTier", "TextTier"
FIX = "Save it in Praat as a text file, in UTF-8 or UTF-16."

Rows = list[tuple[str, float, float, int]]


def textgrid_rows(path: str | os.PathLike, tier: str | None = None) -> Rows:
    """Returns the (label, start, stop, line) of each interval that has a label.

    Arguments
    ---------
    path : str
        TextGrid file, UTF-8 or UTF-16.
    tier : str, optional
        Name of the tier of intervals. Default: the only one.

    Returns
    -------
    list of (str, float, float, int)

    Raises
    ------
    ManifestError
        For another format, a missing tier, or several if none is chosen; lists them.
    """
    tiers = _tiers(path)
    if not tiers:
        raise ManifestError(
            f"{path}: no tier of intervals in it, and points have no duration. Convert "
            "the tier in Praat, or leave out the file."
        )
    names = ", ".join(name for name, _ in tiers)
    if tier is None and len(tiers) != 1:
        raise ManifestError(
            f"{path}: tiers of intervals: {names}. Choose one by its name, tier=…"
        )
    chosen = [rows for name, rows in tiers if tier in (None, name)]
    if len(chosen) != 1:
        how = "no tier" if not chosen else "several tiers"
        raise ManifestError(
            f"{path}: {how} of intervals called '{tier}'; there are {names}. Choose "
            "one of them, or rename it in Praat."
        )
    return chosen[0]


def _tiers(path):
    """Returns the (name, rows) of each tier of intervals."""
    with naming(path, "a TextGrid file", FIX):
        text = decoded(Path(path).read_bytes())
    values = _Values(path, text)
    if (
        values.text("the type") != "ooTextFile"
        or values.text("the class") != "TextGrid"
    ):
        raise ManifestError(f'{path}:1: no "ooTextFile" of class "TextGrid". {FIX}')
    values.number("the start"), values.number("the end")
    tiers: list[tuple[str, Rows]] = []
    if values.take("<exists>") != "<exists>":
        return tiers
    for _ in range(values.count("the number of tiers")):
        kind, name = values.text("the class of a tier"), values.text("its name")
        values.number("its start"), values.number("its end")
        rows: Rows = []
        for _ in range(values.count("the number of its intervals")):
            start = values.number("a time")
            stop = start if kind == POINTS else values.number("a time")
            label = values.text("a label").strip()
            if label:
                rows.append((label, start, stop, values.line))
        if kind == INTERVALS:
            tiers.append((name, rows))
    values.end()
    return tiers


class _Values:
    """The values of a file, one after another."""

    def __init__(self, path, text):
        self.path, self.line = path, 1
        self._values = self._read(text)

    def _read(self, text) -> Iterator[tuple[str | None, str | None]]:
        seen = 0
        for match in VALUE.finditer(text):
            self.line += text.count("\n", seen, match.start())
            seen = match.start()
            if not match[0].startswith("!"):
                yield match[1], match[2]

    def take(self, what):
        """Returns the next number or flag, as text."""
        quoted, bare = next(self._values, (None, None))
        if bare is None:
            said = "the file ends" if quoted is None else excerpt(quoted)
            self._fail(what, said)
        return bare

    def number(self, what):
        """Returns the next number."""
        bare = self.take(what)
        try:
            return float(bare)
        except ValueError:
            self._fail(what, bare)

    def count(self, what):
        """Returns the next number, which counts something."""
        number = self.number(what)
        if not number.is_integer() or number < 0:
            self._fail(what, f"{number:g}")
        return int(number)

    def end(self):
        """Checks that no value is left."""
        for quoted, bare in self._values:
            what = "the end of the file; the number of tiers or of intervals is wrong"
            self._fail(what, bare or excerpt(quoted))

    def text(self, what):
        """Returns the next text."""
        quoted, bare = next(self._values, (None, None))
        if quoted is None:
            self._fail(what, bare or "the file ends")
        return quoted.replace('""', '"')

    def _fail(self, what, said):
        said = said if len(said) <= LONGEST else f"{said[:LONGEST]}…"
        raise ManifestError(
            f"{self.path}:{self.line}: {said} in the place of {what}. {FIX}"
        )
