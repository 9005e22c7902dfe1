"""Writing files so that a kill leaves the old one or the new one.

Authors
 * The s3prl_sb developers, 2026
"""

import json
import os
from pathlib import Path


def write_text(path, text):
    """Writes a text file, whole or not at all.

    Arguments
    ---------
    path : str
        The file; its folder is made if need be.
    text : str
        Its content.

    Example
    -------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_text(folder + "/a/b.txt", "hello")
    ...     Path(folder, "a", "b.txt").read_text()
    'hello'
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The same name each time: what a kill leaves is overwritten by the next.
    temporary = path.with_name(f".{path.name}.part")
    try:
        with open(temporary, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path, value):
    """Writes a JSON file, whole or not at all.

    Arguments
    ---------
    path : str
        The file.
    value : object
        JSON values.
    """
    write_text(path, json.dumps(value, indent=2) + "\n")
