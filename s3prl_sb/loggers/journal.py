"""Journal of a logger: which run it continues, and how far that run's log is.

Authors
 * The s3prl_sb developers, 2026
"""

import json
import uuid
from pathlib import Path

#: Nothing depends on what is logged, see :mod:`s3prl_sb.identity.code`.
COMPUTES = False


class Journal:
    """Journal of the run of a logger, a file beside the run that only grows.

    A run that is killed and run again trains some updates a second time, with the same
    numbers. The journal tells which of them have been logged. It is written before a
    point is sent: a kill in between leaves one point out, and doubles none.

    Arguments
    ---------
    path : pathlib.Path
        Text file with a JSON value in each line.

    Example
    -------
    >>> path = getfixture("tmp_path") / "wandb.jsonl"
    >>> journal = Journal(path)
    >>> identity = journal.open("digest of the settings", step=0)
    >>> journal.is_new("loss", 10), journal.is_new("loss", 10)
    (True, False)
    >>> Journal(path).open("digest of the settings", step=0) == identity
    True
    """

    def __init__(self, path: Path):
        self.path = path
        self.marks: dict[str, int] = {}

    def open(self, settings: str, step: int) -> str:
        """Opens the journal, and returns the id of the run.

        Arguments
        ---------
        settings : str
            Digest of the settings. A run that begins with others is another run.
        step : int
            Updates that the run goes on after; 0 if it begins.

        Returns
        -------
        str
            Hexadecimal digits.
        """
        first, self.marks = None, {}
        for entry in self._entries():
            if "id" in entry:
                first, self.marks = entry, {}
            elif {"kind", "step"} <= set(entry):
                self.marks[entry["kind"]] = entry["step"]
        if first is None or (step == 0 and first.get("settings") != settings):
            return self.begin(settings)
        return first["id"]

    def begin(self, settings: str) -> str:
        """Begins another run, and returns its id.

        Arguments
        ---------
        settings : str
            Digest of the settings.

        Returns
        -------
        str
        """
        # Not from a generator of random numbers, which the training would miss.
        identity = uuid.uuid4().hex[:16]
        self.marks = {}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.unlink(missing_ok=True)
        self._add({"id": identity, "settings": settings})
        return identity

    def is_new(self, kind: str, step: int) -> bool:
        """Returns whether a point was not logged before, and notes that it is now.

        Arguments
        ---------
        kind : str
            Kind of the point; each has steps of its own.
        step : int
            Number of its update.

        Returns
        -------
        bool
        """
        if step <= self.marks.get(kind, -1):
            return False
        self.marks[kind] = step
        self._add({"kind": kind, "step": step})
        return True

    def once(self, kind: str, content: str) -> bool:
        """Returns whether a content was not logged last, and notes that it is now.

        Arguments
        ---------
        kind : str
            Kind of the content.
        content : str
            Its digest.

        Returns
        -------
        bool
        """
        entry = {"content": kind, "digest": content}
        last = None
        for other in self._entries():
            last = other if other.get("content") == kind else last
            last = None if "id" in other else last
        if last == entry:
            return False
        self._add(entry)
        return True

    def _entries(self):
        """Returns the entries; one that a kill has cut off is not among them."""
        if not self.path.is_file():
            return []
        lines = self.path.read_text("utf-8", "replace").splitlines(keepends=True)
        entries = []
        for line in lines:
            try:
                entry = json.loads(line) if line.endswith("\n") else None
            except ValueError:  # a disk that was full
                continue
            entries += [entry] if isinstance(entry, dict) else []
        return entries

    def _add(self, entry):
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
