"""Hashes of the content of files, and their cache.

A hash is computed once. It is stored in the user's cache folder together with size,
times, inode and device of the file. The time of the last change of the inode cannot be
set back, so a replaced file is read again even if its size and modification time were
restored. The hash of a file that was changed within the last two seconds is not
stored: it may change again within one tick of the clock.

Authors
 * The s3prl_sb developers, 2026
"""

import concurrent.futures
import contextlib
import hashlib
import logging
import os
import sqlite3
import time
from collections.abc import Iterable
from pathlib import Path

from s3prl_sb import resources
from s3prl_sb.identity import ark_names, remote_content
from s3prl_sb.identity.locations import is_url, locate
from s3prl_sb.terminal import progress

logger = logging.getLogger(__name__)

MEMORY = "content.sqlite"
TICK = 2_000_000_000  # ns in which a change may go unnoticed
BATCH = 500  # files per query
SLICE = 20_000  # files between two commits
BLOCK = 1 << 20
THREADS = 4
WORTH_SAYING = 1.0  # minimum seconds for a log line
WORTH_A_BAR = 1e9  # minimum bytes for a progress bar
_TABLE = """CREATE TABLE IF NOT EXISTS files (
    path TEXT PRIMARY KEY, state TEXT NOT NULL, hash TEXT NOT NULL) WITHOUT ROWID"""
_warned: set[str] = set()


def hash_file(path: str) -> str:
    """Returns the hash of a file.

    Arguments
    ---------
    path : str
        The file.

    Returns
    -------
    str
        64 hexadecimal digits, SHA-256.

    Raises
    ------
    OSError
        If it cannot be read.

    Example
    -------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     hash_file(file.name)[:8]
    'e3b0c442'
    """
    return hash_files([path])[path]


def hash_files(paths: Iterable[str], progressbar: bool = False) -> dict[str, str]:
    """Returns the hashes of files, reading only those that have changed.

    Arguments
    ---------
    paths : iterable of str
        The files; also entries of arks, see :mod:`s3prl_sb.identity.ark_names`, URLs,
        and members of tars, see :mod:`s3prl_sb.identity.locations`.
    progressbar : bool
        Whether to show progress, if there is much to read.

    Returns
    -------
    dict
        Each path, unchanged, to 64 hexadecimal digits; for an entry of an ark to those
        of the whole ark, and the offset. For a URL see
        :mod:`s3prl_sb.identity.remote_content`.

    Raises
    ------
    OSError
        If a file cannot be read; it names the file.
    """
    paths = list(paths)
    urls = [path for path in paths if is_url(path)]
    names = {path: ark_names.split(path) for path in paths if not is_url(path)}
    places = {path: os.path.abspath(file) for path, (file, _) in names.items()}
    files = list(dict.fromkeys(places.values()))
    hashes, size = {}, 0
    for part in _slices(files):
        states = {path: _state(path) for path in part}
        stored = _recall(states)
        hashes.update(stored)
        size += sum(_size(p, s) for p, s in states.items() if p not in stored)
    missing = [path for path in files if path not in hashes]
    if missing:
        hashes.update(_read(missing, size, progressbar))
    result = {
        path: hashes[places[path]] + ("" if offset is None else f":{offset}")
        for path, (_, offset) in names.items()
    }
    return {**result, **remote_content.hashes(urls)} if urls else result


def hash_folder(folder: str | Path, progressbar: bool = False) -> str:
    """Returns the hash of the files of a folder and of their names in it.

    Arguments
    ---------
    folder : str
        The folder, searched at any depth; hidden files do not count.
    progressbar : bool
        See :func:`hash_files`.

    Returns
    -------
    str
        64 hexadecimal digits.

    Example
    -------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as a, tempfile.TemporaryDirectory() as b:
    ...     for folder in (a, b):
    ...         _ = Path(folder, "x.txt").write_text("same")
    ...     hash_folder(a) == hash_folder(b)
    True
    """
    root = os.path.abspath(folder)
    paths = []
    for place, folders, names in os.walk(root, followlinks=True):
        within = os.path.realpath(place) + os.sep
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".")
            # A link to a folder around it would not terminate.
            and not within.startswith(os.path.realpath(f"{place}/{name}") + os.sep)
        ]
        paths += [os.path.join(place, n) for n in names if not n.startswith(".")]
    files = [path for path in paths if os.path.isfile(path)]
    hashes = hash_files(files, progressbar)
    lines = sorted(f"{os.path.relpath(p, root)} {h}\n" for p, h in hashes.items())
    text = "".join(lines).encode(errors="surrogateescape")
    return hashlib.sha256(text).hexdigest()


def _state(path):
    """Returns properties that change whenever the content of a file changes."""
    stat = os.stat(locate(path).path)
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino, stat.st_dev


def _size(path, state):
    return locate(path).size or state[0]


def _slices(paths):
    return [paths[first : first + SLICE] for first in range(0, len(paths), SLICE)]


def _read(paths, size, progressbar):
    """Hashes files in parallel, and stores the hashes of settled files."""
    started, hashes, remembered = time.monotonic(), {}, True
    bar = progress.bar(
        desc="Reading files to know them by content",
        total=size,
        unit="B",
        unit_scale=True,
        disable=not progressbar or size < WORTH_A_BAR,
    )
    threads = min(THREADS, len(os.sched_getaffinity(0)), len(paths))
    with bar, contextlib.ExitStack() as stack:
        compute = map
        if threads > 1 and size > 8 * BLOCK:  # for less, threads are slower
            pool = concurrent.futures.ThreadPoolExecutor(threads)
            compute = stack.enter_context(pool).map
        for part in _slices(paths):
            states = {path: _state(path) for path in part}
            settled = {}
            for path, hash_ in zip(part, compute(read_hash, part)):
                hashes[path] = hash_
                bar.update(_size(path, states[path]))
                if _has_settled(path, states[path]):
                    settled[path] = states[path], hash_
            remembered &= _remember(settled)
    seconds = time.monotonic() - started
    if seconds >= WORTH_SAYING:
        logger.info(
            "Read %d files, %.3g GB, in %.1f s to know them by content%s",
            len(paths),
            size / 1e9,
            seconds,
            "; remembered" if remembered else "",
        )
    return hashes


def read_hash(path: str | Path) -> str:
    """Returns the hash of a file, without using the cache.

    Arguments
    ---------
    path : str
        The file, or the name of a member of a tar.

    Returns
    -------
    str
        64 hexadecimal digits, SHA-256.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    sha256 = hashlib.sha256()
    path, offset, left = locate(os.fspath(path))
    with open(path, "rb", buffering=0) as file:
        file.seek(offset or 0)
        while block := file.read(BLOCK if left is None else min(BLOCK, left)):
            sha256.update(block)
            left = None if left is None else left - len(block)
    if left:
        raise OSError(
            f"'{path}' ends {left} bytes before a member's end: it is cut off"
        )
    return sha256.hexdigest()


def _has_settled(path, state):
    """Returns whether a file did not change during the read or shortly before."""
    try:
        unchanged = _state(path) == state
    except OSError:
        return False
    return unchanged and time.time_ns() - max(state[1], state[2]) > TICK


# ------------------------------------------------------------------- cache of hashes
def _recall(states):
    """Returns the stored hashes of unchanged files."""
    hashes, paths = {}, list(states)
    with _opened() as memory:
        if memory is None:
            return {}
        for first in range(0, len(paths), BATCH):
            part = paths[first : first + BATCH]
            marks = ",".join("?" * len(part))
            query = f"SELECT path, state, hash FROM files WHERE path IN ({marks})"
            for path, state, value in memory.execute(query, list(map(_text, part))):
                path = os.fsdecode(path) if isinstance(path, bytes) else path
                if path in states and state == repr(states[path]):
                    hashes[path] = value
    return hashes


def _remember(settled):
    """Stores hashes; returns whether that worked."""
    if not settled:
        return False
    rows = [(_text(p), repr(state), value) for p, (state, value) in settled.items()]
    with _opened() as memory:
        if memory is None:
            return False
        with memory:
            memory.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?)", rows)
        return True
    return False


def _text(path):
    """Converts a path for SQLite: one that is not UTF-8 becomes bytes."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return os.fsencode(path)
    return path


@contextlib.contextmanager
def _opened():
    """Opens the cache, None if it cannot be used. An error inside ends the block:
    without the cache, files are only read again."""
    path, memory = resources.cache_folder() / MEMORY, None
    try:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            memory = sqlite3.connect(path, timeout=20)
            memory.execute(_TABLE)
        except (sqlite3.Error, OSError) as error:
            _say(path, error)
            yield None
            return
        try:
            yield memory
        except sqlite3.Error as error:
            _say(path, error)
    finally:
        if memory is not None:
            memory.close()


def _say(path, error):
    """Warns once that the cache cannot be used, and deletes a damaged one."""
    damaged = getattr(error, "sqlite_errorname", "") in (
        "SQLITE_CORRUPT",
        "SQLITE_NOTADB",
    )
    if damaged:
        with contextlib.suppress(OSError):
            Path(path).unlink()
    if str(path) not in _warned:
        _warned.add(str(path))
        logger.warning(
            "What files hold cannot be remembered in '%s' (%s): they are read anew%s",
            path,
            error,
            "; it was damaged, and has been deleted" if damaged else "",
        )
