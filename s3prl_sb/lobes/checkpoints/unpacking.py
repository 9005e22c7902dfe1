"""Checkpoints that are published inside a zip.

Authors
 * The s3prl_sb developers, 2026
"""

import os
import shutil
import zipfile
import zlib
from pathlib import Path

from s3prl_sb.identity.content import read_hash
from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.resources import cache_folder
from s3prl_sb.storage.locks import Lock


def unpacked(path: Path, suffixes: tuple[str, ...]) -> Path:
    """Returns the checkpoint in a zip, unpacked in the cache.

    Arguments
    ---------
    path : pathlib.Path
        Any file or folder.
    suffixes : tuple of str
        Suffixes of checkpoints.

    Returns
    -------
    pathlib.Path
        The checkpoint, in a folder with the name that it has in the zip. ``path``
        itself if it is no zip, or one that torch has written.

    Raises
    ------
    CheckpointError
        If the zip is damaged, or has no checkpoint or several.

    Example
    -------
    >>> unpacked(Path("model.pth"), (".pth",)).name
    'model.pth'
    """
    if not path.is_file() or not zipfile.is_zipfile(path):
        return path
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
            if any(part.filename.endswith("/data.pkl") for part in parts):
                return path  # torch's own
            found = [p for p in parts if p.filename.endswith(suffixes)]
            if len(found) != 1:
                names = ", ".join(part.filename for part in parts[:8])
                raise CheckpointError(
                    f"'{path}' is a zip with {len(found)} checkpoints instead of one; "
                    f"it holds {names}. Unpack it, and name the checkpoint in it."
                )
            return _extracted(archive, found[0], path)
    except (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError) as error:
        raise CheckpointError(f"'{path}' is a damaged zip: {error}") from error


def _extracted(archive, part, path):
    """Returns a member's file in the cache, which has its name once it is complete."""
    inside = Path(part.filename)
    folder = cache_folder() / "unpacked" / read_hash(path)[:16]
    target = folder / (inside.parent.name.strip(".") or path.stem) / inside.name
    with Lock(f"{folder}.lock"):
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            partial = target.with_name(target.name + ".part")
            with archive.open(part) as member, open(partial, "wb") as file:
                shutil.copyfileobj(member, file, 1 << 20)
            os.replace(partial, target)
    return target
