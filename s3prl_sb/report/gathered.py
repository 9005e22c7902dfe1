"""The runs of a page, and the files that they left.

A file that is missing or damaged is None, and a note on the page says which it is.

Authors
 * The s3prl_sb developers, 2026
"""

import csv
import io
from collections import deque
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from s3prl_sb.errors import UserError
from s3prl_sb.runs.results import find_runs
from s3prl_sb.storage.files import naming, read_json, read_text
from s3prl_sb.terminal.quantities import count

HELD = 50_000_000  # bytes of files whose rows are in memory: 20 times as much there
LARGEST = 100_000_000  # bytes of a file whose rows are read


class Shelf:
    """Tables that the runs of a page hold in memory: the last ones read, up to a size.

    Arguments
    ---------
    most : int
        Bytes of their files.
    """

    def __init__(self, most: int = HELD):
        self.most, self.size = most, 0
        self._places: deque[tuple[dict, Any, int]] = deque()

    def put(self, held: dict, key: Any, size: int) -> None:
        """Takes note of a table; removes older ones for which there is no room.

        Arguments
        ---------
        held : dict
            Dict that holds the table.
        key : object
            Its key there.
        size : int
            Bytes of its file.
        """
        self._places.append((held, key, size))
        self.size += size
        while self.size > self.most and len(self._places) > 1:
            held, key, size = self._places.popleft()
            held.pop(key, None)
            self.size -= size


class Run:
    """A finished run.

    Arguments
    ---------
    results : dict
        Content of its results.json, with ``folder``.
    shelf : Shelf, optional
        Shelf for its tables, which the runs of a page share.

    Example
    -------
    >>> run = Run({"folder": "out/KS", "task": "SUPERB/KS", "upstream": "fbank"})
    >>> run.name, run.table("predictions.csv"), run.notes
    ('SUPERB/KS · fbank', None, [])
    """

    def __init__(self, results: dict, shelf: Shelf | None = None):
        self.results = results
        self.shelf = shelf or Shelf()
        self.folder = Path(results["folder"])
        self.task: str = results.get("task") or ""
        self.upstream: str = results.get("upstream") or ""
        self.notes: list[str] = []
        self._read: dict[tuple[str, Callable], Any] = {}

    @property
    def name(self) -> str:
        """Text for people: task, upstream, and the seed if it is known."""
        seed = self.results.get("seed")
        parts = [self.task, self.upstream, "" if seed is None else f"seed {seed}"]
        return " · ".join(part for part in parts if part) or self.folder.name

    @cached_property
    def measures(self) -> Any:
        """Contributions of utterances to metrics; None where they are unknown."""
        try:
            from s3prl_sb.metrics.measures import Measures

            return Measures.read(self.folder)
        except UserError as error:
            self.note(error)
            return None

    def table(self, name: str) -> list[dict[str, str]] | None:
        """Returns the rows of a CSV that the run left.

        Arguments
        ---------
        name : str
            Name of the file in the folder of the run.

        Returns
        -------
        list of dict or None
            None if there is no such file, or it cannot be read or is too large.
        """
        path = self.folder / name
        size = path.stat().st_size if path.is_file() else 0
        if size > LARGEST:
            self.note(
                f"'{path}' has {count(size, 'B')}: charts and examples that need its "
                f"rows are left out, as of all tables over {count(LARGEST, 'B')}."
            )
            return None
        is_new = (name, _csv_rows) not in self._read
        rows = self.once(name, _csv_rows)
        if is_new and rows:
            self.shelf.put(self._read, (name, _csv_rows), size)
        return rows

    def json(self, name: str) -> Any:
        """Returns the content of a JSON file that the run left.

        Arguments
        ---------
        name : str
            Name of the file in the folder of the run.

        Returns
        -------
        object
            None if there is no such file, or it cannot be read.
        """
        return self.once(name, read_json)

    def text(self, name: str) -> str | None:
        """Returns a text file that the run left, or None.

        Arguments
        ---------
        name : str
            Name of the file in the folder of the run.

        Returns
        -------
        str or None
        """
        return self.once(name, read_text)

    def note(self, fault: object) -> None:
        """Keeps what is wrong with a file of the run, for the page to say.

        Arguments
        ---------
        fault : object
            An error, or a sentence.
        """
        if str(fault) not in self.notes:
            self.notes.append(str(fault))

    def once(self, name: str, read: Callable[[Path], Any]) -> Any:
        """Returns what a function reads from a file of the run, and remembers it.

        Arguments
        ---------
        name : str
            Name of the file in the folder of the run.
        read : callable
            Function of its path.

        Returns
        -------
        object
            None if there is no such file, or it cannot be read.
        """
        if (name, read) not in self._read:
            path = self.folder / name
            try:
                self._read[name, read] = read(path) if path.is_file() else None
            except UserError as error:
                self.note(error)
                self._read[name, read] = None
        return self._read[name, read]


def gather(folders: Sequence[str], failed: Callable[[Exception], None]) -> list[Run]:
    """Returns the runs in folders, at any depth.

    Arguments
    ---------
    folders : list of str
        Folders to search.
    failed : callable
        Called with the error of each file or folder that cannot be read.

    Returns
    -------
    list of Run
    """
    shelf = Shelf()
    return [Run(results, shelf) for results in find_runs(folders, failed)]


def _csv_rows(path):
    with naming(path, "a table of a run"):
        text = io.StringIO(read_text(path), newline="")
        return [dict(row) for row in csv.DictReader(text, strict=True)]
