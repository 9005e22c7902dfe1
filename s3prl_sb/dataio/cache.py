"""The feature cache: the output of a frozen upstream, computed once.

A cache is a folder of safetensors shards. Each shard describes itself: its
header holds the description of the features (upstream, kind, sizes), the
utterances and a checksum of each. There is no separate index that could disagree
with the shards, and a shard gets its final name only when it is complete.

The key of an entry is computed from the utterance and the content of its audio
file, so features of audio that has changed are not used. Damaged features and
headers are detected by their checksums before they are used.

Authors
 * The s3prl_sb developers, 2026
"""

import hashlib
import json
import logging
import os
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from s3prl_sb.errors import UserError
from s3prl_sb.identity.content import hash_file
from s3prl_sb.storage.parts import Part

logger = logging.getLogger(__name__)

#: Key of a shard's header: the checksum of the other keys.
HEADER = "header"


class CacheError(UserError, RuntimeError):
    """An unusable cache; the message has the fix."""


def audio_key(
    utterance: str,
    record: Mapping[str, Any],
    variant: int = 0,
    content: str | None = None,
) -> str:
    """Returns the key of an utterance's features.

    Arguments
    ---------
    utterance : str
        Id of the utterance.
    record : dict
        Its record in the manifest: ``wav``, ``start``, ``stop``.
    variant : int
        Number of the form, for pipes such as a random crop.
    content : str, optional
        Hash of the audio file, if it has been computed already.

    Returns
    -------
    str
        It depends on the content of the audio file, not on the path or the time.
    """
    content = content or hash_file(record["wav"])
    parts = (utterance, content, record.get("start"), record.get("stop"), variant)
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


class FeatureCache:
    """Features on disk, by key.

    Arguments
    ---------
    folder : str
        Folder of the shards; it is created if it does not exist.
    description : dict, optional
        Description of the features, JSON values. Shards with another description
        are not used. Default: the description in the existing shards.

    Example
    -------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     cache = FeatureCache(folder, {"kind": "frames"})
    ...     shard = cache.write([("key", "a", torch.ones(7, 2, 4))])
    ...     again = FeatureCache(folder)
    ...     again["key"].shape, again[again.keys_of["a"]].shape, "b" in again
    (torch.Size([7, 2, 4]), torch.Size([7, 2, 4]), False)
    """

    #: A cache of up to this size in bytes is verified when it is opened; the entries of
    #: larger ones are verified at their first use.
    VERIFY_AT_ONCE = 4 << 30

    def __init__(
        self, folder: str | os.PathLike, description: Mapping[str, Any] | None = None
    ):
        self.folder = Path(folder)
        self.description: str | None = None
        if description is not None:
            self.description = json.dumps(description, sort_keys=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        #: utterance id -> key of the first variant
        self.keys_of: dict[str, str] = {}
        # key -> (shard, first frame, frames, checksum)
        self._entries: dict[str, tuple[Path, int, int, int]] = {}
        self._features: dict[Path, torch.Tensor] = {}  # memory-mapped
        self._verified: set[str] = set()
        self._claims: dict[Path, Part] = {}  # shards that this process is writing
        self._looked_at: dict[Path, tuple[int, int]] = {}  # shard -> its last stamp
        for path in sorted(self.folder.glob("*.safetensors")):
            self._open(path)
        if self.bytes() <= self.VERIFY_AT_ONCE:
            self._drop_damaged()

    def __contains__(self, key: str) -> bool:
        return key in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def bytes(self) -> int:
        """Returns the size on disk in bytes."""
        return sum(path.stat().st_size for path in self._features)

    def __getitem__(self, key: str) -> torch.Tensor:
        """Returns the features of an utterance.

        Arguments
        ---------
        key : str
            See :func:`audio_key`.

        Returns
        -------
        torch.Tensor
            [frames, layers, size]; one frame in a pooled cache. It is mapped from
            the disk: do not change it in place.

        Raises
        ------
        CacheError
            If the entry is damaged.
        """
        path, first, frames, checksum = self._entries[key]
        features = self._features[path][first : first + frames]
        if key not in self._verified:
            if _checksum(features) != checksum:
                path.unlink(missing_ok=True)
                raise CacheError(
                    f"'{path}' is damaged and has been deleted. Run again: its "
                    "features will be extracted anew."
                )
            self._verified.add(key)
        return features

    def write(self, entries: Sequence[tuple[str, str, torch.Tensor]]) -> Path:
        """Adds one shard atomically.

        Arguments
        ---------
        entries : list of (str, str, torch.Tensor)
            Keys, utterance ids and features [frames, layers, size].

        Returns
        -------
        pathlib.Path
            The shard.

        Raises
        ------
        CacheError
            If the disk is full.
        """
        from safetensors import SafetensorError
        from safetensors.torch import save_file

        keys, ids, features = zip(*entries)
        path = self._path(keys)
        metadata = {
            "description": self.description or "{}",
            "keys": json.dumps(keys),
            "ids": json.dumps(ids),
            "frames": json.dumps([len(f) for f in features]),
            "checksums": json.dumps([_checksum(f) for f in features]),
        }
        metadata[HEADER] = _header_checksum(metadata)
        self.claim(keys, wait=True)
        try:
            part = self._claims[path]
            save_file({"features": torch.cat(features)}, part.path, metadata)
            os.chmod(part.path, 0o644)  # caches are shared
            part.publish()
        except (OSError, SafetensorError) as error:
            raise CacheError(
                f"'{path}' cannot be written: {error}. What is finished is kept: make "
                "room, or choose another cache_folder."
            ) from error
        finally:
            self.give_up(keys)
        self._open(path)
        return path

    def _path(self, keys):
        """Returns the path of the shard with these entries."""
        name = hashlib.sha256("".join(keys).encode()).hexdigest()[:24]
        return self.folder / f"{name}.safetensors"

    def claim(self, keys: Sequence[str], wait: bool = False) -> bool:
        """Claims a shard, unless another process is writing it.

        Arguments
        ---------
        keys : list of str
            Keys of its entries, in order. The claim ends with :meth:`write` or with
            the process.
        wait : bool
            Whether to wait for the other process.

        Returns
        -------
        bool
            Whether this process has the claim.
        """
        path = self._path(keys)
        if path not in self._claims:
            part = Part(path)
            if not part.claim(wait):
                return False
            self._claims[path] = part
        return True

    def give_up(self, keys: Sequence[str]) -> None:
        """Ends a claim, see :meth:`claim`."""
        part = self._claims.pop(self._path(keys), None)
        if part is not None:
            part.close()

    def has_shard(self, keys: Sequence[str]) -> bool:
        """Returns whether this or another process has written a shard completely.

        Arguments
        ---------
        keys : list of str
            Keys of its entries, see :meth:`claim`.

        Returns
        -------
        bool
        """
        path = self._path(keys)
        if path not in self._features:
            stamp = _stamp(path)
            if stamp and stamp != self._looked_at.get(path):  # new since last time
                self._looked_at[path] = stamp
                self._open(path)
        return all(key in self for key in keys)

    def refresh(self) -> None:
        """Adds shards that other processes have written."""
        for path in sorted(self.folder.glob("*.safetensors")):
            if path not in self._features:
                self._open(path)

    def _open(self, path):
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="pt") as shard:
                metadata = shard.metadata() or {}
                if metadata.get(HEADER) != _header_checksum(metadata):
                    raise ValueError("its header is damaged, or of an older version")
                if self.description is None:
                    self.description = metadata["description"]
                if metadata.get("description") != self.description:
                    return
                self._features[path] = shard.get_tensor("features")
            keys, ids, frames, checksums = (
                json.loads(metadata[name])
                for name in ("keys", "ids", "frames", "checksums")
            )
            entries, first = [], 0
            for key, name, count, checksum in zip(keys, ids, frames, checksums):
                entries.append((str(key), str(name), (path, first, count, checksum)))
                first += count
        except (SafetensorError, KeyError, ValueError, OSError, TypeError) as error:
            logger.warning("Ignoring the broken cache shard %s: %s", path, error)
            self._features.pop(path, None)
            return
        for key, name, entry in entries:
            self._entries[key] = entry
            self.keys_of.setdefault(name, key)

    def _drop_damaged(self):
        damaged = set()
        for key in self._entries:
            try:
                self[key]
            except CacheError:
                damaged.add(self._entries[key][0])
        for path in damaged:
            logger.warning("Deleted the damaged cache shard %s", path)
            self._features.pop(path)
        self._entries = {k: e for k, e in self._entries.items() if e[0] not in damaged}
        self.keys_of = {n: k for n, k in self.keys_of.items() if k in self._entries}


def _header_checksum(metadata):
    """Returns the checksum of a shard's metadata."""
    said = {key: value for key, value in metadata.items() if key != HEADER}
    return str(zlib.crc32(json.dumps(said, sort_keys=True).encode()))


def _stamp(path):
    try:
        stat = path.stat()
    except FileNotFoundError:
        return None
    return stat.st_ino, stat.st_mtime_ns


def _checksum(features):
    return zlib.crc32(features.contiguous().view(torch.uint8).numpy())
