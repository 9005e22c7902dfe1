"""From sources to lists: walks, headers, members of shards.

Authors
 * The s3prl_sb developers, 2026
"""

import itertools
import json
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy

from s3prl_sb.audio.audio_names import as_id
from s3prl_sb.errors import MissingExtra, UserError
from s3prl_sb.terminal import progress
from s3prl_sb.unlabelled import headers, remote, shards, walking
from s3prl_sb.unlabelled.index import AudioIndex, Place, Share
from s3prl_sb.unlabelled.names import distinct
from s3prl_sb.unlabelled.sources import Files, Folder, Shard, Source, Table
from s3prl_sb.unlabelled.tables import read_table
from s3prl_sb.unlabelled.texts import Texts


class Fault(NamedTuple):
    """A file, a shard or a folder that cannot be read."""

    name: str
    reason: str
    #: number of utterances in it; of a shard or a folder, which nobody knows, as many
    #: as the others of its source hold on average
    utterances: int = 1


class Scanned(NamedTuple):
    """A list, and what is not in it."""

    audio: AudioIndex  #: the list
    faults: list[Fault]  #: what cannot be read, and why


def scan(sources: Iterable[Source], beside: AudioIndex | None = None) -> Scanned:
    """Makes the list of a mixture.

    Names of rows begin with the name of their folder or shard, and ids of tables stay
    as they are. Where two are alike, the later one gets a number.

    Arguments
    ---------
    sources : list of Source
        Result of :func:`~s3prl_sb.unlabelled.sources.sources`.
    beside : AudioIndex, optional
        List whose folders must have other names: that of the training, for
        validation. Equal folders have equal names.

    Returns
    -------
    Scanned
        Its list has one :class:`~s3prl_sb.unlabelled.index.Share` a source. Rows are
        in the order of the sources, and by path in each folder.

    Example
    -------
    >>> import tempfile, soundfile
    >>> from s3prl_sb.unlabelled.sources import sources
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     soundfile.write(folder + "/a.wav", numpy.zeros(16000), 16000)
    ...     scanned = scan(sources(folder + "/*.wav"))
    >>> len(scanned.audio), scanned.faults
    (1, [])
    """
    sources = list(sources)
    inputs = [each for source in sources for each in source.inputs]
    before = [] if beside is None else beside.places
    prefixes = iter(_prefixes(inputs, before))
    indexes, faults, stops, shares = [], [], 0, []
    for source in sources:
        first, scans = stops, [_scan_input(e, next(prefixes)) for e in source.inputs]
        for index, files, whole in scans:
            indexes.append(index)
            faults += [Fault(*each) for each in files]
            stops += len(index)
        faults += _estimated(scans)
        shares.append(Share(source.name, source.weight, first, stops))
    joined = distinct(AudioIndex.joined(indexes))
    return Scanned(AudioIndex(joined.columns, joined.places, shares), faults)


def _prefixes(inputs, before):
    """Returns the beginnings of the names of each input, which differ.

    Names do not depend on where the data are, and begin with the name of the folder
    or the shard. A folder that is in the other list has the same names there.
    """
    known = {place.path: place.prefix for place in before}
    taken, prefixes = set(known.values()), []
    for each in inputs:
        if isinstance(each, Table):
            prefixes.append("")
            continue
        name = each.path.rstrip("/").rsplit("/", 1)[-1]
        if isinstance(each, Shard):
            name = os.path.splitext(name)[0]
        numbered = (f"{name}{f'~{n}' if n > 1 else ''}/" for n in itertools.count(1))
        prefix = next(each for each in numbered if each not in taken)
        prefixes.append(known.pop(each.path, prefix))
        taken.add(prefixes[-1])
    return prefixes


def _estimated(scans):
    """Returns the faults of whole shards and folders of a source."""
    whole = [each for *_, some in scans for each in some]
    if not whole:
        return []
    means = {False: 1, True: 1}
    for is_shard in means:
        rows, homes = 0, set()
        for number, (index, *_) in enumerate(scans):
            places = numpy.array([place.is_shard for place in index.places], bool)
            chosen = numpy.flatnonzero(places[index.columns["places"]] == is_shard)
            rows += len(chosen)
            if is_shard:
                found = numpy.unique(index.columns["places"][chosen]).tolist()
            else:
                found = {os.path.dirname(index.path(row)) for row in chosen}
            homes |= {(number, home) for home in found}
        means[is_shard] = max(1, round(rows / max(1, len(homes))))
    return [Fault(n, why, means[not n.endswith("/")]) for n, why in whole]


def _scan_input(each, prefix):
    """Returns the list of an input, its files that cannot be read, and its shards and
    folders that cannot be read, whose names end with a slash."""
    if isinstance(each, Table):
        return *read_table(each.path, prefix), []
    if isinstance(each, Shard):
        return _scan_shards([Place(each.path, prefix, True)])
    if isinstance(each, Files):
        listing = walking.Listing()
        for name in each.names:
            listing.add(name, *walking.state(f"{each.path}/{name}"))
        key = [
            "files",
            walking.identity(each.path),
            [os.fsencode(n).hex() for n in each.names],
        ]
        return *_scan_files(each.path, listing, prefix, key), []
    assert isinstance(each, Folder)
    listing, tars, unlisted = walking.walk(each.path)
    key = ["folder", walking.identity(each.path)]
    index, faults = _scan_files(each.path, listing, prefix, key)
    whole = [(as_id(prefix + folder), why) for folder, why in unlisted]
    if not tars:
        return index, faults, whole
    places = [
        Place(f"{each.path}/{tar}", f"{prefix}{os.path.splitext(tar)[0]}/", True)
        for tar in tars
    ]
    others, lost, damaged = _scan_shards(places)
    indexes = [each for each in (index, others) if len(each)] or [index]
    return AudioIndex.joined(indexes), faults + lost, whole + damaged


def _scan_files(folder, listing, prefix, key):
    result = headers.scan(folder, listing, key)
    columns = {
        "paths": result.paths,
        "samples": result.samples,
        "rates": result.rates,
        "places": numpy.zeros(len(result.paths), numpy.int32),
    }
    return _readable(AudioIndex(columns, [Place(folder, prefix)]), result.reasons)


def _readable(index, reasons):
    """Divides rows by whether their audio has been read."""
    faults = [(index.name(row), reason) for row, reason in sorted(reasons.items())]
    if faults:
        index = index.select(index.columns["samples"] > 0)
    return index, faults


def _scan_shards(places):
    """Returns the members of shards, which are read in threads; see
    :func:`_scan_input`."""
    bar = progress.bar(
        desc="Reading tar shards",
        total=len(places),
        unit="shard",
        disable=len(places) < 2,
    )
    results = []
    with ThreadPoolExecutor(headers.THREADS) as pool, bar:
        for result in pool.map(lambda place: _scan_shard(place.path), places):
            results.append(result)
            bar.update()
    indexes, faults, damaged = [], [], []
    for place, (arrays, reason) in zip(places, results):
        if reason:
            ending = os.path.splitext(place.path)[1]
            damaged.append((as_id(place.prefix.rstrip("/") + ending), reason))
        columns = {key: arrays[key] for key in ("samples", "rates")}
        columns["paths"] = Texts(arrays["blob"], arrays["offsets"])
        columns["byte_offsets"] = arrays["byte_offsets"]
        columns["byte_sizes"] = arrays["byte_sizes"]
        columns["places"] = numpy.zeros(len(columns["paths"]), numpy.int32)
        reasons = dict(json.loads(arrays["reasons"].tobytes()))
        index, lost = _readable(AudioIndex(columns, [place]), reasons)
        indexes.append(index)
        faults.extend(lost)
    indexes = [each for each in indexes if len(each)] or indexes[:1]
    return AudioIndex.joined(indexes), faults, damaged


def _scan_shard(path):
    """Returns the arrays of a shard, from the last scan if it has not changed, and the
    reason if it cannot be read: then it has no rows."""
    kept = headers.kept("shard", walking.identity(path)).with_suffix(".npz")
    rows, members, reason = {}, {}, ""
    size, stamp = -1, 0
    try:
        size, stamp = walking.state(path)
        arrays = headers.load(kept)
        if arrays and arrays["state"].tolist() == [size, stamp]:
            return arrays, ""
        members, rows = _measured_members(path)
    except MissingExtra:  # no other shard can be read either
        raise
    except (UserError, OSError) as error:
        text = str(error) if isinstance(error, UserError) else error.strerror
        reason = text.removeprefix(path).lstrip(": ")
    texts = Texts.of(members)
    reasons = [(row, r[2]) for row, r in enumerate(rows.values()) if r[2]]
    arrays = {
        "state": numpy.array([size, stamp], numpy.int64),
        "blob": texts.blob,
        "offsets": texts.offsets,
        "samples": numpy.array([row[0] for row in rows.values()], numpy.int64),
        "rates": numpy.array([row[1] for row in rows.values()], numpy.int32),
        "byte_offsets": numpy.array([m.offset for m in members.values()], numpy.int64),
        "byte_sizes": numpy.array([m.size for m in members.values()], numpy.int64),
        "reasons": headers.as_bytes(reasons),
    }
    if not reason:
        kept.parent.mkdir(parents=True, exist_ok=True)
        headers.save(kept, **arrays)
    return arrays, reason


def _measured_members(path):
    """Returns the members of a shard, and their headers, by name."""
    rows = {}
    with remote.naming(path), shards.opened(path) as file:
        # A member of the same name replaces an earlier one, as when it is unpacked.
        members = {member.name: member for member in shards.members(path, file)}
        for name, member in members.items():
            window = shards.Window(file, member.offset, member.size)
            rows[name] = headers.measured(name, window)
    return members, rows
