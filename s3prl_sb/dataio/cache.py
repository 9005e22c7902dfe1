"""The feature cache: what a frozen upstream gives, computed once.

A cache is a folder of safetensors shards. Each shard describes itself: its
header holds what the features are (upstream, kind, sizes), which utterances
they belong to, and a checksum of each. There is no index beside the shards
that could disagree with them, and no shard under its final name is half
written.

An entry is found by a key that names the utterance and what its audio file
holds. Features of audio that has changed are therefore not found; damaged ones
are found out by their checksum before they are used, and so are damaged headers.

Authors
 * The s3prl_sb developers, 2026
"""

import hashlib
import json
import logging
import os
import zlib
from pathlib import Path

import torch

from s3prl_sb.errors import UserError
from s3prl_sb.identity.content import hash_file
from s3prl_sb.storage.parts import Part

logger = logging.getLogger(__name__)

#: In the header of a shard: the checksum of its other entries.
HEADER = "header"


class CacheError(UserError, RuntimeError):
    """A cache that cannot be used as it is, and the way out."""


def audio_key(utterance, record, variant=0, content=None):
    """The key of an utterance's features.

    Arguments
    ---------
    utterance : str
        Its id.
    record : dict
        Its line of the manifest: ``wav``, ``start``, ``stop``.
    variant : int
        Which of the forms that a random crop gives it.
    content : str, optional
        The hash of its audio file, where it is known.

    Returns
    -------
    str
        Another one as soon as the audio file holds something else. Where the file
        lies, and when it was written, does not matter.
    """
    content = content or hash_file(record["wav"])
    parts = (utterance, content, record.get("start"), record.get("stop"), variant)
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


class FeatureCache:
    """Features on disk, by key.

    Arguments
    ---------
    folder : str
        Where the shards lie; made if need be.
    description : dict, optional
        What the features are, as JSON values. Shards of another description
        are not used. Default: that of the shards that are there.

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

    #: Entries up to this total are all verified when the cache is opened, in
    #: bytes; beyond it each is at its first use.
    VERIFY_AT_ONCE = 4 << 30

    def __init__(self, folder, description=None):
        self.folder = Path(folder)
        self.description = None
        if description is not None:
            self.description = json.dumps(description, sort_keys=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.keys_of = {}  # utterance id -> key, of its first variant
        self._entries = {}  # key -> (shard, first frame, frames, checksum)
        self._features = {}  # shard -> its mapped tensor
        self._verified = set()
        self._claims = {}  # shard that this process is making -> its part
        self._looked_at = {}  # shard -> its stamp, when it was waited for
        for path in sorted(self.folder.glob("*.safetensors")):
            self._open(path)
        if self.bytes() <= self.VERIFY_AT_ONCE:
            self._drop_damaged()

    def __contains__(self, key):
        return key in self._entries

    def __len__(self):
        return len(self._entries)

    def bytes(self):
        """Size on disk.

        Returns
        -------
        int
        """
        return sum(path.stat().st_size for path in self._features)

    def __getitem__(self, key):
        """Features of an utterance.

        Arguments
        ---------
        key : str
            See :func:`audio_key`.

        Returns
        -------
        torch.Tensor
            [frames, layers, size]; one frame in a pooled cache. Mapped from
            the disk: not to be changed in place.

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

    def write(self, entries):
        """Adds one shard, whole or not at all.

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
            "description": self.description,
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
        """The shard of some entries."""
        name = hashlib.sha256("".join(keys).encode()).hexdigest()[:24]
        return self.folder / f"{name}.safetensors"

    def claim(self, keys, wait=False):
        """Begins a shard, unless another process is making the same.

        Arguments
        ---------
        keys : list of str
            Of its entries, in order. :meth:`write` ends the claim, as the end of the
            process does.
        wait : bool
            Whether to wait for the other one.

        Returns
        -------
        bool
        """
        path = self._path(keys)
        if path not in self._claims:
            part = Part(path)
            if not part.claim(wait):
                return False
            self._claims[path] = part
        return True

    def give_up(self, keys):
        """Ends a claim. Arguments as for :meth:`claim`."""
        part = self._claims.pop(self._path(keys), None)
        if part is not None:
            part.close()

    def has_shard(self, keys):
        """Whether a shard has all of its entries, also by now from another process.

        Arguments
        ---------
        keys : list of str
            As for :meth:`claim`.

        Returns
        -------
        bool
        """
        path = self._path(keys)
        if path not in self._features:
            stamp = _stamp(path)
            if stamp and stamp != self._looked_at.get(path):  # not broken, as before
                self._looked_at[path] = stamp
                self._open(path)
        return all(key in self for key in keys)

    def refresh(self):
        """Takes in shards that other processes have written."""
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
    """Of all that a shard says about itself."""
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
