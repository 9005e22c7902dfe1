"""Packs: the audio of manifests in a few tars, for file systems of many machines.

A pack is a folder of uncompressed tars, an index beside each (see
:mod:`s3prl_sb.identity.packs`), and the manifests, whose ``wav`` are members of the
tars, and so is their further audio, such as clean sources. Files are copied byte by
byte, so features that were cached before stay valid. Equal audio and manifests give
equal bytes. A killed packing is continued: tars that are finished stay.

Authors
 * The s3prl_sb developers, 2026
"""

import hashlib
import io
import logging
import os
import re
import shutil
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from s3prl_sb.audio.headers import audio_info
from s3prl_sb.audio.opening import opened
from s3prl_sb.dataio import audio_columns, manifest, tables
from s3prl_sb.errors import ManifestError, UserError
from s3prl_sb.identity import ark_names, further_audio, locations, packs
from s3prl_sb.identity.content import hash_files
from s3prl_sb.identity.requests import in_threads
from s3prl_sb.storage.files import make_folder, read_json, write_text
from s3prl_sb.storage.parts import Part
from s3prl_sb.terminal import progress, quantities

logger = logging.getLogger(__name__)

BLOCK = 1 << 20
HEADER = tarfile.BLOCKSIZE  # bytes of a member's header
LONGEST = 80  # characters of a member's name, of the 100 in a header
NOT_ASCII = re.compile(r"[^\w.-]+", re.ASCII)
UNITS = {"kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}
SIZE = re.compile(rf"(\d+(?:\.\d+)?) ?({'|'.join(UNITS)})")
RESERVE = 1 << 20  # bytes for indexes and manifests, and a share of the tars
SHARE = 0.01


class PackError(UserError, ValueError):
    """A pack that cannot be made; the message says why."""


class Shard(NamedTuple):
    """A tar of a pack, before it is written."""

    name: str  #: file name
    members: list[packs.Member]
    sources: list[str]  #: names of the audio that is copied
    size: int  #: bytes


def pack(
    source: str, destination: str, shard_size: float = 1e9, url: str | None = None
) -> dict[str, str]:
    """Makes a pack.

    Arguments
    ---------
    source : str
        A manifest or table, or a folder of manifests, such as that of a preparation.
    destination : str
        Folder to make or to complete. Nothing in it is overwritten.
    shard_size : float
        Bytes of audio in a tar, at most; a longer file has a tar of its own.
    url : str, optional
        URL or path of the folder where the pack will be. Default: ``destination``.

    Returns
    -------
    dict
        Names of the manifests to their paths.

    Raises
    ------
    PackError
        If the disk is too small, or the destination has something else.
    ManifestError
        For audio that is missing or cannot be read.

    Example
    -------
    >>> import tempfile, numpy, soundfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     soundfile.write(folder + "/a.wav", numpy.zeros(8000), 16000)
    ...     _ = Path(folder, "train.csv").write_text("id,wav,label\\na,a.wav,yes\\n")
    ...     paths = pack(folder + "/train.csv", folder + "/pack", url="s3://b/p/")
    ...     manifest.read(paths["train"])["a"]["wav"]
    's3://b/p/train-00000-a68e06ef70c60267.tar:512:16044'
    """
    if not shard_size >= 1:
        raise PackError(f"A tar of {shard_size} bytes holds nothing: give more.")
    if locations.is_url(destination):
        raise PackError(
            f"{destination}: a pack is written to a folder. Give one, and '--url "
            f"{destination}' if it will be copied there."
        )
    folder = Path(destination).absolute()
    prefix, query = _prefix(str(folder) if url is None else url)
    splits = manifests(source)
    keys = audio_columns.keys_in(splits)
    shards = list(planned(splits, shard_size, keys))
    places = {
        name: f"{prefix}/{shard.name}{query}:{member.offset}:{member.size}"
        for shard in shards
        for name, member in zip(shard.sources, shard.members)
    }
    results = {
        split: {
            key: further_audio.replaced(record, ("wav", *keys), places.__getitem__)
            for key, record in records.items()
        }
        for split, records in splits.items()
    }
    paths = manifest.paths_in(folder, results)
    check_free(results, paths)
    make_folder(folder, "Choose another DEST.")
    _write(shards, folder)
    for split, records in results.items():
        manifest.write(records, paths[split])
    return paths


def _prefix(url):
    """Splits the place of a pack into the text before and after the name of a tar."""
    if not url:
        raise PackError("The URL is empty: give the folder where the pack will be.")
    query = ""
    if locations.is_url(url):
        locations.check_protocol(url)
        url, mark, query = url.partition("?")
        query = mark + query
    return url.rstrip("/"), query


def manifests(source: str) -> dict[str, dict]:
    """Returns ``{name: records}`` of the manifests in a source of :func:`pack`."""
    if not os.path.isdir(source):
        return {Path(source).stem: _records(source)}
    splits = {}
    for path in sorted(Path(source).glob("*.json")):
        if path.name != manifest.STAMP and _is_manifest(path):
            splits[path.stem] = _records(str(path))
        elif path.name != manifest.STAMP:
            logger.info("%s is no manifest of audio: it is not packed", path)
    if not splits:
        raise ManifestError(
            f"{source}: there is no manifest in this folder. Give the folder of a "
            "preparation, with train.json, or a table."
        )
    return splits


def _is_manifest(path):
    content = read_json(path, fix="Correct it, or take it out of the folder.")
    return (
        isinstance(content, dict)
        and len(content) > 0
        and all(isinstance(r, dict) and "wav" in r for r in content.values())
    )


def _records(path):
    """Returns the records of a prepared manifest unchanged, those of a table completed;
    all with absolute names of audio."""
    content = manifest.read(path) if path.lower().endswith(".json") else {}
    folder = os.path.dirname(os.path.abspath(path))
    whole = [
        isinstance(r, dict) and {*manifest.KEYS} <= r.keys()
        for r in [*content.values()]
    ]
    if content and all(whole):
        records = {
            key: {**record, "wav": locations.in_folder(str(record["wav"]), folder)}
            for key, record in content.items()
        }
        manifest.validate(records, path, required=())
    else:
        records = tables.load_table(path)
    audio_columns.complete(records, folder)
    for key, record in records.items():
        if ark_names.is_entry(record["wav"]):
            raise ManifestError(
                f"{path}: '{key}' has features of an ark, which are in one file "
                "already. Copy the ark as it is."
            )
    return records


# ------------------------------------------------------------------------- planning
def planned(
    splits: dict[str, dict], shard_size: float, keys: Sequence[str] = ()
) -> Iterator[Shard]:
    """Yields the tars of a pack.

    Arguments
    ---------
    splits : dict
        ``{name: records}``. The audio of each manifest is in tars of its own; what an
        earlier manifest has is not repeated.
    shard_size : float
        See :func:`pack`.
    keys : list of str
        Keys of further audio.

    Yields
    ------
    Shard
        In an order that depends on the names and ids alone.
    """
    keys = ("wav", *keys)
    wavs = dict.fromkeys(
        name
        for records in splits.values()
        for record in records.values()
        for name in further_audio.names(record, keys)
    )
    facts, seen = _measured(list(wavs)), set()
    for split, records in sorted(splits.items()):
        number, members, sources, end = 0, [], [], 0
        own = dict.fromkeys(
            name
            for utterance in sorted(records)
            for name in further_audio.names(records[utterance], keys)
        )
        for index, wav in enumerate(name for name in own if name not in seen):
            size, hash_, rate, frames = facts[wav]
            after = end + HEADER + _padded(size, tarfile.BLOCKSIZE)
            if members and after > shard_size:
                yield _shard(split, number, members, sources, end)
                number, members, sources, end = number + 1, [], [], 0
                after = HEADER + _padded(size, tarfile.BLOCKSIZE)
            name = f"{index:08d}_{_base(wav)}"
            sources.append(wav)
            members.append(packs.Member(name, end + HEADER, size, hash_, rate, frames))
            end = after
        if members:
            yield _shard(split, number, members, sources, end)
        seen.update(own)


def _shard(split, number, members, sources, end):
    label = NOT_ASCII.sub("_", split)
    name = f"{label}-{number:05d}-{packs.label(members)}.tar"
    size = _padded(end + 2 * tarfile.BLOCKSIZE, tarfile.RECORDSIZE)
    return Shard(name, members, sources, size)


def _padded(size, unit):
    return -(-size // unit) * unit


def _base(wav):
    path = locations.locate(wav).path
    path = locations.stable(path).partition("?")[0] if locations.is_url(path) else path
    return NOT_ASCII.sub("_", os.path.basename(path))[-LONGEST:]


def _measured(names):
    """Returns {name: (size, hash of the content, rate, samples)} of audio."""
    files = [name for name in names if locations.is_file(name)]
    hashes = hash_files(files, progressbar=True)
    bar = progress.bar(desc="Reading audio headers", total=len(names), unit="file")

    def measure(name):
        try:
            rate, frames, _ = audio_info(name)
            bar.update(1)
            if name in hashes:
                return os.path.getsize(name), hashes[name], rate, frames
            content = _content(name)
            return len(content), hashlib.sha256(content).hexdigest(), rate, frames
        except (UserError, OSError) as error:
            return error

    with bar:
        facts = dict(zip(names, in_threads(measure, names)))
    faults = [str(fact) for fact in facts.values() if isinstance(fact, Exception)]
    if faults:
        way_out = "Correct the manifest, or leave these files out."
        raise ManifestError.listing(faults, way_out, len(names))
    return facts


def _content(name):
    with opened(name) as file:
        return file.read()


def check_free(results: dict[str, dict], paths: dict[str, str]) -> None:
    """Raises PackError if a manifest would replace another one.

    Arguments
    ---------
    results : dict
        ``{name: records}`` to write.
    paths : dict
        Their paths.
    """
    for split, path in paths.items():
        if os.path.exists(path) and manifest.read(path) != results[split]:
            raise PackError(
                f"'{path}' is another manifest, and is not replaced. Choose another "
                "DEST, or delete it."
            )


# -------------------------------------------------------------------------- writing
def _write(shards, folder):
    missing = [
        shard for shard in shards if not _is_finished(folder / shard.name, shard)
    ]
    files = sum(len(shard.members) for shard in shards)
    size = sum(shard.size for shard in missing)
    free = shutil.disk_usage(folder).free
    logger.info(
        "%d files in %d tars: %s to write in '%s', which has room for %s",
        files,
        len(shards),
        quantities.count(size, "B"),
        folder,
        quantities.count(free, "B"),
    )
    if size * (1 + SHARE) + RESERVE > free:
        raise PackError(
            f"'{folder}' has room for {quantities.count(free, 'B')}, and the pack "
            f"takes {quantities.count(size, 'B')} more. Make room, or choose another "
            "DEST."
        )
    bar = progress.bar(desc="Packing", total=size, unit="B", unit_scale=True)
    with bar:
        for shard in missing:
            with Part(folder / shard.name) as part:
                _write_tar(part.path, shard, bar)
                part.publish()
    for shard in shards:
        text = packs.index_text(shard.members, shard.size)
        write_text(folder / (shard.name + packs.ENDING), text)


def _is_finished(path, shard):
    """Returns whether a tar exists; one with another content is an error."""
    if not path.exists():
        return False
    names = {f"{path}:{m.offset}:{m.size}": m.hash for m in shard.members}
    if path.stat().st_size != shard.size or hash_files(names) != names:
        raise PackError(f"'{path}' is damaged: delete it, and pack again.")
    return True


def _write_tar(path, shard, bar):
    with open(path, "wb") as tar:
        for member, source in zip(shard.members, shard.sources):
            info = tarfile.TarInfo(member.name)
            info.size = member.size
            tar.write(info.tobuf(tarfile.GNU_FORMAT))
            if locations.is_file(source):
                file = open(os.fsencode(source), "rb")
            else:
                file = io.BytesIO(_content(source))
            sha256 = hashlib.sha256()
            with file:
                while block := file.read(BLOCK):
                    tar.write(block)
                    sha256.update(block)
            if sha256.hexdigest() != member.hash:
                raise PackError(f"'{source}' changed while it was packed. Pack again.")
            tar.write(bytes(-member.size % tarfile.BLOCKSIZE))
            bar.update(HEADER + _padded(member.size, tarfile.BLOCKSIZE))
        tar.write(bytes(shard.size - tar.tell()))


def size_of(text: str) -> float:
    """Returns the bytes that a size says.

    Example
    -------
    >>> size_of("1GB"), size_of("1.5 MB")
    (1000000000.0, 1500000.0)
    """
    match = SIZE.fullmatch(text.strip())
    if match is None:
        raise PackError(f"{text!r} is no size: write it as 1GB or 500MB.")
    return float(match[1]) * UNITS[match[2]]
