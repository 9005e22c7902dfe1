"""Checksums of a folder's files, which detect damage.

They are in a file next to those of a checkpoint or an export, in the format of
``sha256sum`` (``sha256sum -c SHA256SUMS``).

Authors
 * The s3prl_sb developers, 2026
"""

import logging
import re
from pathlib import Path

from s3prl_sb.identity.content import read_hash
from s3prl_sb.storage.files import FileError, naming, read_text, write_text

logger = logging.getLogger(__name__)

#: Name of the file with the checksums of its folder.
FILE = "SHA256SUMS"


class DamagedFile(FileError):
    """A file whose content differs from what was written."""


def write(folder):
    """Writes the checksums of all files of a folder, at any depth.

    Arguments
    ---------
    folder : str
        The folder; hidden files are skipped.

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


def listed(folder, fix=""):
    """Returns the files that the checksums of a folder are of, without reading them.

    Arguments
    ---------
    folder, fix
        See :func:`verify`.

    Returns
    -------
    dict or None
        Names of the files to their checksums; None if the folder has none.

    Raises
    ------
    DamagedFile
        If the list is damaged, or names a file outside the folder.

    Example
    -------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_text(folder + "/a.txt", "hello")
    ...     write(folder)
    ...     list(listed(folder))
    ['a.txt']
    """
    folder = Path(folder)
    path = folder / FILE
    if not path.exists():
        return None
    digests = {}
    for line in read_text(path, "a list of checksums", fix).splitlines():
        match = re.fullmatch(r"([0-9a-f]{64})  (.+)", line)
        if match is None:
            raise DamagedFile(f"'{path}' is damaged: it has the line {line!r}. {fix}")
        digest, name = match.groups()
        file = folder / name
        if ".." in file.parts or not file.is_relative_to(folder):
            raise DamagedFile(f"'{path}' lists '{name}', which is elsewhere. {fix}")
        digests[name] = digest
    if not digests:
        raise DamagedFile(f"'{path}' is damaged: it is empty. {fix}".rstrip())
    return digests


def verify(folder, fix="", wanted=lambda name: True):
    """Compares the files of a folder with their checksums.

    Arguments
    ---------
    folder : str
        The folder. Older versions wrote no checksums: this is logged, and nothing is
        compared.
    fix : str
        Instruction for the user in case of a damaged file, a sentence.
    wanted : callable
        Takes the name of a file, and returns whether to compare it.

    Returns
    -------
    list of str or None
        Names of these files; None if there are no checksums.

    Raises
    ------
    DamagedFile
        For the first file that is missing or has changed.
    FileError
        If a file cannot be read.
    """
    folder = Path(folder)
    digests = listed(folder, fix)
    if digests is None:
        logger.info("'%s' has no checksums, being of an older version", folder)
        return None
    digests = {name: digest for name, digest in digests.items() if wanted(name)}
    for name, digest in digests.items():
        file = folder / name
        if not (file.is_file() or file.is_dir()):
            raise DamagedFile(f"'{file}' is missing. {fix}".rstrip())
        with naming(file, fix=fix):
            same = read_hash(file) == digest
        if not same:
            raise DamagedFile(
                f"'{file}' is damaged: it is not what was written. {fix}".rstrip()
            )
    return list(digests)
