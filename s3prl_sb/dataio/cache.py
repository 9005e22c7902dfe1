"""The feature cache: the output of a frozen upstream, computed once.

A cache is a folder of :mod:`~s3prl_sb.dataio.shards`, which describe themselves. There
is no separate index that could disagree with them, and a shard gets its final name only
when it is complete. The number of shards is limited by the disk alone: few are mapped
into memory at a time.

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
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from s3prl_sb.dataio import shards
from s3prl_sb.dataio.cache_index import CacheIndex
from s3prl_sb.dataio.quantization import quantize, restore
from s3prl_sb.errors import UserError
from s3prl_sb.identity.content import hash_file
from s3prl_sb.storage.parts import Part

logger = logging.getLogger(__name__)

_BROKEN = (KeyError, ValueError, OSError, TypeError, OverflowError)  # of a header

INT8 = "int8"  # dtype of a description whose features are quantized


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
        are not used. With the ``dtype`` "int8" features are stored in eight bits, see
        :mod:`~s3prl_sb.dataio.quantization`. Default: the description in the existing
        shards.
    opens : bool
        Whether to open all existing shards. Otherwise only those are opened that
        :meth:`has_shard` is asked for.

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
        self,
        folder: str | os.PathLike,
        description: Mapping[str, Any] | None = None,
        opens: bool = True,
    ):
        self.folder = Path(folder)
        self.description: str | None = None
        if description is not None:
            self.description = json.dumps(description, sort_keys=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._index = CacheIndex()
        self._keys_of: dict[str, str] | None = None  # until a shard is added
        self._shards: dict[Path, int] = {}  # shard -> its size in bytes
        self._mapped = shards.MappedShards()
        self._claims: dict[Path, Part] = {}  # shards that this process is writing
        self._looked_at: dict[Path, tuple] = {}  # shard -> its last stamp
        if opens:
            paths = sorted(self.folder.glob("*.safetensors"))
            size = sum((_stamp(path) or (0,))[-1] for path in paths)
            for path in paths:
                self._open(path, size <= self.VERIFY_AT_ONCE)

    def __contains__(self, key: str) -> bool:
        return self._index.find(key) is not None

    def __len__(self) -> int:
        return len(self._index)

    @property
    def keys_of(self) -> dict[str, str]:
        """Ids of utterances to the keys of their first forms, read from the shards."""
        if self._keys_of is None:
            self._keys_of = {}
            for path in self._shards:
                header = shards.read(path)
                for name, key in zip(header.ids, header.keys):
                    self._keys_of.setdefault(name, key)
        return self._keys_of

    def bytes(self) -> int:
        """Returns the size on disk in bytes."""
        return sum(self._shards.values())

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
            the disk: do not change it in place. Of features in eight bits it is the
            float32 values.

        Raises
        ------
        CacheError
            If the entry is damaged, or its file has been deleted.
        """
        place, tensors = self._tensors(key)
        part = slice(place.first, place.first + place.frames)
        stored = {name: tensor[part] for name, tensor in tensors.items()}
        if not self._index.is_verified(place.row):
            if shards.checksum(stored) != place.checksum:
                place.path.unlink(missing_ok=True)
                raise CacheError(
                    f"'{place.path}' is damaged and has been deleted. Run again: its "
                    "features will be extracted anew."
                )
            self._index.verify(place.row)
        return restore(stored)

    def _tensors(self, key):
        """Returns the place of an entry, and the tensors of its shard."""
        from safetensors import SafetensorError

        place = self._index.find(key)
        if place is None:
            raise KeyError(key)
        path = place.path
        if path not in self._mapped and _stamp(path) != self._looked_at[path]:
            self._open(path)  # it is not the file that was opened
            place = self._index.find(key)
        try:
            if place is None or path not in self._shards:
                raise FileNotFoundError("no such file, or a broken one")
            return place, self._mapped[path]
        except (OSError, SafetensorError) as error:
            raise CacheError(
                f"'{path}' has been deleted or damaged since this run has opened it "
                f"({error}). Run again: its features will be extracted anew."
            ) from error

    def stored(self, features: torch.Tensor) -> shards.Stored:
        """Returns what this cache stores of an utterance's features.

        Arguments
        ---------
        features : torch.Tensor
            [frames, layers, size].

        Returns
        -------
        dict
            Names to tensors: the features, or int8 values and their scales.
        """
        if json.loads(self.description or "{}").get("dtype") == INT8:
            return quantize(features)
        return {"features": features}

    def write(
        self, entries: Sequence[tuple[str, str, torch.Tensor | shards.Stored]]
    ) -> Path:
        """Adds one shard atomically.

        Arguments
        ---------
        entries : list of (str, str, torch.Tensor or dict)
            Keys, utterance ids and features [frames, layers, size]; or their
            :meth:`stored` form.

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

        keys = [key for key, *_ in entries]
        path, names = self._path(keys), [(key, name) for key, name, _ in entries]
        each = [f if isinstance(f, dict) else self.stored(f) for *_, f in entries]
        self.claim(keys, wait=True)
        try:
            part = self._claims[path]
            shards.write(part.path, self.description or "{}", names, each)
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
        if path not in self._shards:
            stamp = _stamp(path)
            if stamp and stamp != self._looked_at.get(path):  # new since last time
                self._open(path)
        return all(key in self for key in keys)

    def refresh(self) -> None:
        """Adds shards that other processes have written."""
        for path in sorted(self.folder.glob("*.safetensors")):
            if path not in self._shards and _stamp(path) != self._looked_at.get(path):
                self._open(path)

    def _open(self, path, verified=False):
        """Adds a shard; with ``verified`` after a look at its features."""
        from safetensors import SafetensorError

        self._shards.pop(path, None)
        self._index.drop(path)
        self._keys_of = None
        self._mapped.drop(path)
        self._looked_at[path] = stamp = _stamp(path)
        try:
            header = shards.read(path)
            self.description = self.description or header.description
            if header.description != self.description or not stamp:
                return
            if verified and not shards.is_sound(path, header):
                path.unlink(missing_ok=True)
                logger.warning("Deleted the damaged cache shard %s", path)
                return
            columns = (header.keys, header.frames, header.checksums)
            self._index.add(path, *columns, verified)
        except _BROKEN + (SafetensorError,) as error:
            logger.warning("Ignoring the broken cache shard %s: %s", path, error)
            return
        self._shards[path] = stamp[-1]


def _stamp(path):
    """Returns what changes with a file; its size is the last."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return None
    return stat.st_ino, stat.st_mtime_ns, stat.st_size
