"""Files that grow row by row, and continue after any interruption.

Authors
 * The s3prl_sb developers, 2026
"""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy

from s3prl_sb.storage.files import read_json, write_json
from s3prl_sb.units.errors import UnitsError

PROGRESS = "progress.json"
COMMIT_SECONDS = 15.0  # seconds of work that a kill may cost
#: Entries of a plan that are digests, which say nothing to people.
OTHER = {
    "upstream": "another upstream",
    "speech": "other audio",
    "model": "other units",
}


def check_plan(folder: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raises an error if a folder holds the work of another plan.

    Arguments
    ---------
    folder : Path
        The folder, for the message.
    before, now : dict
        Plans: JSON values by name.

    Raises
    ------
    UnitsError
        With the first difference.

    Example
    -------
    >>> check_plan(Path("km"), {"clusters": 50}, {"clusters": 100})
    Traceback (most recent call last):
    ...
    s3prl_sb.units.errors.UnitsError: 'km' was begun with clusters 50, not 100. …
    """
    for key in now:
        if before.get(key) != now[key]:
            sides = f"{key} {before.get(key)}, not {now[key]}"
            raise UnitsError(
                f"'{folder}' was begun with {OTHER.get(key, sides)}. Choose another "
                "output folder, or delete that folder."
            )


class GrowingFiles:
    """Binary files of numbers that grow together.

    What was appended after the last :meth:`commit` is cut off when they are opened
    again, so that equal rows follow each other however often a process is killed.

    Arguments
    ---------
    folder : Path
        Folder of the files; it is created if it does not exist.
    files : dict
        Names of files to the dtypes of their numbers.
    plan : dict
        JSON values that the rows depend on. An unfinished folder with another plan
        is an error.

    Example
    -------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with GrowingFiles(Path(folder), {"a.u16": "uint16"}, {}) as files:
    ...         files.append("a.u16", [1, 2])
    ...         files.commit(1)
    ...         files.append("a.u16", [3])  # and a kill
    ...     with GrowingFiles(Path(folder), {"a.u16": "uint16"}, {}) as files:
    ...         files.position, files.array("a.u16").tolist()
    (1, [1, 2])
    """

    def __init__(self, folder: Path, files: Mapping[str, str], plan: Mapping[str, Any]):
        self.folder, self.plan = Path(folder), dict(plan)
        self.dtypes = {name: numpy.dtype(dtype) for name, dtype in files.items()}
        self.folder.mkdir(parents=True, exist_ok=True)
        self.position = 0  #: number of items that are finished
        self.facts: dict[str, Any] = {}  #: JSON values of the last commit
        sizes: dict[str, int] = {}
        if (self.folder / PROGRESS).exists():
            fix = f"Delete the folder '{folder}'."
            progress = read_json(self.folder / PROGRESS, "progress", fix, dict)
            check_plan(self.folder, progress["plan"], self.plan)
            self.position, self.facts = progress["position"], progress["facts"]
            sizes = progress["sizes"]
        self._files = {}
        for name in self.dtypes:
            file = open(self.folder / name, "ab")
            file.truncate(sizes.get(name, 0))
            self._files[name] = file
        self._committed = time.monotonic()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for file in self._files.values():
            file.close()

    def append(self, name: str, numbers) -> None:
        """Appends numbers to a file."""
        array = numpy.ascontiguousarray(numbers, dtype=self.dtypes[name])
        self._files[name].write(array.data)

    def commit(self, position: int, **facts: Any) -> None:
        """Keeps what was appended.

        Arguments
        ---------
        position : int
            Number of items that are finished.
        **facts
            JSON values to keep beside it.
        """
        sizes = {}
        for name, file in self._files.items():
            file.flush()
            os.fsync(file.fileno())
            sizes[name] = os.fstat(file.fileno()).st_size
        progress = {"plan": self.plan, "position": position, "facts": facts}
        write_json(self.folder / PROGRESS, {**progress, "sizes": sizes}, signed=True)
        self.position, self.facts = position, facts
        self._committed = time.monotonic()

    def is_due(self) -> bool:
        """Returns whether the last commit was some seconds ago."""
        return time.monotonic() - self._committed > COMMIT_SECONDS

    def array(self, name: str) -> numpy.ndarray:
        """Returns the numbers of a file, memory-mapped."""
        return mapped(self.folder / name, self.dtypes[name])


def mapped(path: Path, dtype) -> numpy.ndarray:
    """Returns the numbers in a binary file, memory-mapped and read-only.

    Arguments
    ---------
    path : Path
        The file, which may be empty.
    dtype : numpy.dtype
        Type of the numbers.
    """
    if not os.path.getsize(path):  # cannot be mapped
        return numpy.empty(0, dtype)
    return numpy.memmap(path, dtype, "r")
