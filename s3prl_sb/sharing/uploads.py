"""Uploads to the hub: files, and the model card that is made of their facts.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import s3prl_sb
from s3prl_sb.errors import UserError, printable
from s3prl_sb.identity.content import read_hash
from s3prl_sb.sharing.private import Private
from s3prl_sb.storage import checksums
from s3prl_sb.storage.files import read_text
from s3prl_sb.terminal import quantities

#: Names of the files that are made here.
CARD = "README.md"
RESULTS = "results.json"


class PushError(UserError, ValueError):
    """A thing that cannot be put on the hub, or a repository that does not take it."""


class Upload(NamedTuple):
    """Files and a card that go to the hub.

    Arguments
    ---------
    kind : str
        Noun phrase for people: "an export".
    files : dict
        Names to paths or contents; without the card.
    title : str
        Subject of the commit.
    write_card : callable
        Takes text of the author's own or None, and returns the model card.
    use : str
        Command that uses it.
    own : str, optional
        Text of the author's own for the card.
    """

    kind: str
    files: dict[str, Path | bytes]
    title: str
    write_card: Callable[[str | None], str]
    use: str
    own: str | None = None

    @property
    def message(self) -> str:
        """Message of the commit."""
        return printable(f"{self.title}, by s3prl_sb {s3prl_sb.__version__}")

    def card(self, there: str | None = None) -> str:
        """Returns the model card.

        Arguments
        ---------
        there : str, optional
            Card of the repository, whose text stays unless the author gives another.

        Returns
        -------
        str
        """
        return self.write_card(there if self.own is None else self.own)

    def listing(self) -> str:
        """Returns the names and sizes of the files, a line each."""
        sizes = {
            name: len(content) if isinstance(content, bytes) else content.stat().st_size
            for name, content in self.files.items()
        }
        lines = [
            f"{quantities.count(size, 'B'):>9}  {printable(name)}"
            for name, size in sorted(sizes.items())
        ]
        return "\n".join([*lines, f"{quantities.count(sum(sizes.values()), 'B'):>9}"])


def own_text(path: str | Path | None, private: Private) -> str | None:
    """Reads text of the author's own for a card, and searches it for private facts.

    Arguments
    ---------
    path : str, optional
        Markdown file.
    private : s3prl_sb.sharing.private.Private

    Returns
    -------
    str or None
        None without a file.

    Raises
    ------
    s3prl_sb.sharing.private.PrivateError
        If it holds a private fact; names the line.
    """
    if path is None:
        return None
    text = read_text(path)
    private.check({str(path): text.encode()}, "Take it out.")
    return text


def with_checksums(files: dict[str, Path | bytes]) -> dict[str, Path | bytes]:
    """Adds the list of checksums to files.

    Arguments
    ---------
    files : dict
        Names to paths or contents.

    Returns
    -------
    dict

    Example
    -------
    >>> files = with_checksums({"a.txt": b"hello"})
    >>> files["SHA256SUMS"].decode().split()[1], len(files)
    ('a.txt', 2)
    """
    digests = {
        name: sha256(content).hexdigest()
        if isinstance(content, bytes)
        else read_hash(content)
        for name, content in files.items()
    }
    lines = (f"{digest}  {name}\n" for name, digest in sorted(digests.items()))
    return {**files, checksums.FILE: "".join(lines).encode()}
