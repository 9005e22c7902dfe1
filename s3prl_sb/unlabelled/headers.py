"""Lengths and sample rates of many files, each header of which is read once.

The numbers are kept in the user's cache folder, ``audio_lists``, with the size and the
time of the last change of each file: the next scan of the same folder only asks for
those. A scan that is killed continues from its journal.

Authors
 * The s3prl_sb developers, 2026
"""

import json
import os
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy

from s3prl_sb.audio.headers import audio_info
from s3prl_sb.errors import UserError
from s3prl_sb.identity import digest
from s3prl_sb.identity.locations import locate
from s3prl_sb.resources import cache_folder
from s3prl_sb.storage.files import FileError, naming
from s3prl_sb.storage.locks import Lock
from s3prl_sb.storage.parts import Part
from s3prl_sb.terminal import progress
from s3prl_sb.unlabelled import remote
from s3prl_sb.unlabelled.texts import Texts
from s3prl_sb.unlabelled.walking import Listing

FORMAT = 1
THREADS = 8
BATCH = 512  # files between two entries of the journal
WORTH_A_BAR = 200


class Headers(NamedTuple):
    """Result of a scan; each array is [files]."""

    paths: Texts
    samples: numpy.ndarray  #: int64; 0 for a file that cannot be read
    rates: numpy.ndarray  #: int32, Hz
    reasons: dict[int, str]  #: why a file cannot be read, by its number


def kept(*key: Any) -> Path:
    """Returns the path, without an ending, of what is kept about a source.

    Arguments
    ---------
    *key : object
        JSON values that identify the source.

    Returns
    -------
    pathlib.Path
        In the folder ``audio_lists`` of the user's cache.
    """
    name = digest([FORMAT, *key])[:32]
    return cache_folder() / "audio_lists" / name


def measured(path: str, file: Any = None) -> tuple[int, int, str]:
    """Reads the header of an audio file.

    Arguments
    ---------
    path : str
        Path or URL.
    file : binary file, optional
        Its content, if it is a member of a shard.

    Returns
    -------
    tuple of (int, int, str)
        Samples, rate, and the reason if it cannot be read: then there are 0 samples.
    """
    try:
        if file is None and remote.is_url(path) and locate(path).offset is None:
            with remote.naming(path), remote.opened(path) as file:
                rate, samples, _ = audio_info(path, file)
        else:
            rate, samples, _ = audio_info(path, file)
    except UserError as error:
        return 0, 0, str(error).removeprefix(f"{path}: ")
    return samples, rate, ""


def scan(place: str, listing: Listing, key: Sequence[Any]) -> Headers:
    """Reads the headers of files, in threads, with progress.

    Arguments
    ---------
    place : str
        Folder or URL of relative paths.
    listing : Listing
        The files.
    key : sequence of object
        JSON values that identify the source, see :func:`kept`.

    Returns
    -------
    Headers
        In the order of the listing.
    """
    base = kept(*key)
    state, journal = base.with_suffix(".npz"), base.with_suffix(".journal")
    with naming(base.parent, "", "Choose another $S3PRL_SB_CACHE."):
        base.parent.mkdir(parents=True, exist_ok=True)
    with Lock(base.with_suffix(".lock")):
        paths, sizes, stamps = listing.texts(), listing.sizes, listing.stamps
        old = load(state)
        if old and not _reasons(old) and _are_same(old, paths, sizes, stamps):
            return Headers(paths, old["samples"], old["rates"], _reasons(old))
        samples = numpy.zeros(len(paths), numpy.int64)
        rates = numpy.zeros(len(paths), numpy.int32)
        headers = Headers(paths, samples, rates, {})
        missing = _recall(headers, sizes, stamps, old, _entries(journal))
        _read(place, headers, missing, sizes, stamps, journal)
        save(
            state,
            blob=paths.blob,
            offsets=paths.offsets,
            sizes=sizes,
            stamps=stamps,
            samples=samples,
            rates=rates,
            reasons=as_bytes(sorted(headers.reasons.items())),
        )
        journal.unlink(missing_ok=True)
    return headers


def save(path: Path, **arrays: Any) -> None:
    """Writes arrays to a file, atomically."""
    with naming(path), Part(path) as part:
        with open(part.path, "wb") as file:
            numpy.savez(file, **arrays)
        part.publish()


def load(path: Path) -> dict[str, numpy.ndarray]:
    """Reads the arrays of :func:`save`; an absent or damaged file gives none."""
    try:
        with numpy.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return {}


def as_bytes(value: Any) -> numpy.ndarray:
    """Returns JSON values as an array of bytes."""
    return numpy.frombuffer(json.dumps(value).encode(), numpy.uint8)


def _reasons(arrays):
    return {row: reason for row, reason in json.loads(arrays["reasons"].tobytes())}


def _are_same(old, paths, sizes, stamps):
    """Returns whether no file has changed since a finished scan."""
    now = {"blob": paths.blob, "offsets": paths.offsets}
    now |= {"sizes": sizes, "stamps": stamps}
    return all(numpy.array_equal(old[key], array) for key, array in now.items())


def _entries(journal):
    """Returns {path: [size, stamp, samples, rate, reason]} of a killed scan."""
    entries = {}
    if journal.exists():
        for line in journal.read_bytes().splitlines():
            try:
                path, *entry = json.loads(line)
                entries[os.fsencode(path)] = entry
            except ValueError:  # the last line of a killed process
                continue
    return entries


def _recall(headers, sizes, stamps, old, entries):
    """Takes over what earlier scans have read; returns the other numbers."""
    if old:
        texts, reasons = Texts(old["blob"], old["offsets"]), _reasons(old)
        columns = [old[k].tolist() for k in ("sizes", "stamps", "samples", "rates")]
        for row, values in enumerate(zip(*columns)):
            entry = [*values, reasons.get(row, "")]
            entries.setdefault(texts.encoded(row), entry)
    if not entries:
        return list(range(len(headers.paths)))
    missing = []
    for row in range(len(headers.paths)):
        entry = entries.get(headers.paths.encoded(row))
        is_same = entry and entry[:2] == [sizes[row], stamps[row]]
        if is_same and not entry[4]:  # permissions and networks get mended
            _keep(headers, row, entry[2:])
        else:
            missing.append(row)
    return missing


def _keep(headers, row, values):
    headers.samples[row], headers.rates[row], reason = values
    if reason:
        headers.reasons[row] = reason


def _read(place, headers, missing, sizes, stamps, journal):
    """Reads headers in threads, and writes each batch of them to the journal."""

    def path_of(row):
        path = headers.paths[row]
        is_whole = os.path.isabs(path) or remote.is_url(path)
        return path if is_whole else f"{place}/{path}"

    few = len(missing) <= WORTH_A_BAR
    bar = progress.bar(
        desc="Reading audio headers", total=len(missing), unit="file", disable=few
    )
    try:
        with ThreadPoolExecutor(THREADS) as pool, bar, open(journal, "ab") as file:
            file.write(b"\n")  # after half a line of a killed process
            for first in range(0, len(missing), BATCH):
                rows = missing[first : first + BATCH]
                lines = []
                for row, result in zip(rows, pool.map(measured, map(path_of, rows))):
                    _keep(headers, row, result)
                    entry = [headers.paths[row], int(sizes[row]), int(stamps[row])]
                    lines.append(json.dumps([*entry, *result]))
                file.write("".join(f"{line}\n" for line in lines).encode())
                file.flush()
                bar.update(len(rows))
    except OSError as error:
        raise FileError(f"'{journal}' cannot be written: {error.strerror}.") from error
