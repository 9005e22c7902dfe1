"""Checksums of a folder's files, so that what a disk has changed is found.

They stand in a file as ``sha256sum`` writes and checks them
(``sha256sum -c SHA256SUMS``), beside the files of a checkpoint or of an export.

Authors
 * The s3prl_sb developers, 2026
"""

import logging
import re
from pathlib import Path

from s3prl_sb.identity.content import read_hash
from s3prl_sb.storage.files import FileError, naming, read_text, write_text

logger = logging.getLogger(__name__)

#: Holds the checksums of the files of its folder.
FILE = "SHA256SUMS"


class DamagedFile(FileError):
    """A file that is not what was written."""


def write(folder):
    """Writes the checksums of all files of a folder, at any depth.

    Arguments
    ---------
    folder : str
        The folder; hidden files are left out.

    Example
    -------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_text(folder + "/a.txt", "hello")
    ...     write(folder)
    ...     write_text(folder + "/a.txt", "hallo")
    ...     verify(folder)
    Traceback (most recent call last):
    ...
    s3prl_sb.storage.checksums.DamagedFile: '…/a.txt' is damaged: it is not …
    """
    folder = Path(folder)
    lines = [
        f"{read_hash(path)}  {path.relative_to(folder).as_posix()}\n"
        for path in sorted(folder.rglob("[!.]*"))
        if path.is_file() and path.name != FILE
    ]
    write_text(folder / FILE, "".join(lines))


def verify(folder, fix=""):
    """Compares the files of a folder with their checksums.

    Arguments
    ---------
    folder : str
        Of an older version it may have none: that is logged, and nothing is compared.
    fix : str
        A sentence that says what to do about a damaged file.

    Returns
    -------
    list of str or None
        The names of the files; None: there are no checksums.

    Raises
    ------
    DamagedFile
        For the first file that is missing, or has changed.
    FileError
        If one cannot be read.
    """
    folder = Path(folder)
    path = folder / FILE
    if not path.exists():
        logger.info("'%s' has no checksums, being of an older version", folder)
        return None
    names = []
    for line in read_text(path, "a list of checksums", fix).splitlines():
        found = re.fullmatch(r"([0-9a-f]{64})  (.+)", line)
        if found is None:
            raise DamagedFile(f"'{path}' is damaged: it has the line {line!r}. {fix}")
        digest, name = found.groups()
        file = folder / name
        if ".." in file.parts or not file.is_relative_to(folder):
            raise DamagedFile(f"'{path}' lists '{name}', which is elsewhere. {fix}")
        if not (file.is_file() or file.is_dir()):
            raise DamagedFile(f"'{file}' is missing. {fix}".rstrip())
        with naming(file, fix=fix):
            same = read_hash(file) == digest
        if not same:
            raise DamagedFile(
                f"'{file}' is damaged: it is not what was written. {fix}".rstrip()
            )
        names.append(name)
    if not names:
        raise DamagedFile(f"'{path}' is damaged: it is empty. {fix}".rstrip())
    return names
