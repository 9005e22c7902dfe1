"""Formats of features: a writer for each.

An array is [frames, size] for one hidden state and [layers, frames, size] for several;
without the frames if they are pooled. No file has its final name before it is complete.

Authors
 * The s3prl_sb developers, 2026
"""

import os
import posixpath
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np
import torch

from s3prl_sb.errors import MissingExtra, UserError
from s3prl_sb.storage import ark_lists, arks
from s3prl_sb.storage.files import naming, write_text
from s3prl_sb.storage.parts import Part

#: Cache in the folder until all is written.
UNFINISHED = ".features"
#: Bytes of a name in an id: file systems take 255 with the ending of unfinished files.
LONGEST = 240


class FormatError(UserError, ValueError):
    """Features that a format cannot hold; the message names the utterance."""


class Writer(Protocol):
    """Writer of a format into a folder.

    Arguments
    ---------
    folder : pathlib.Path
        The folder.
    layers : list of int
        Numbers of the hidden states.
    frame_seconds : float
        Seconds from one frame to the next.
    pooled : bool
        Whether the features have no time.
    """

    def __init__(
        self, folder: Path, layers: list[int], frame_seconds: float, pooled: bool
    ): ...

    def check(self, records: dict[str, dict]) -> None:
        """Raises FormatError for ids that the format cannot hold."""

    def existing(self, records: dict[str, dict]) -> Path | None:
        """Returns a file that writing these utterances would replace, if any."""

    def has(self, utterance: str) -> bool:
        """Returns whether the files of an utterance are there."""

    def write(
        self,
        items: Iterable[tuple[str, np.ndarray]],
        records: dict[str, dict],
        kept: set[str],
    ) -> None:
        """Adds the (id, [frames, layers, size]) of utterances. ``records`` are those
        of all utterances in the folder, of which it has ``kept`` already."""


def check_path(utterance: str, record: dict, folder: Path) -> None:
    """Raises FormatError for an id that leads out of a folder, or is not the shortest
    name of its path: two ids would be one file.

    Arguments
    ---------
    utterance : str
        The id.
    record : dict
        Its record, for the error.
    folder : pathlib.Path
        The folder.
    """
    place, path = f"'{utterance}' ({record['wav']})", posixpath.normpath(utterance)
    if posixpath.isabs(path) or path.split("/")[0] == ".." or "\0" in path:
        raise FormatError(
            f"{place}: this id is a path out of {folder}. Give it another one."
        )
    if path != utterance:
        raise FormatError(
            f"{place}: this id is a path, and its path is '{path}'. Take that as the "
            "id."
        )
    if path.split("/")[0] == UNFINISHED:
        raise FormatError(
            f"{place}: in {UNFINISHED}, features are kept until all is written. Give "
            "it another id."
        )


class OneFileEach:
    """Base class of formats with a file for each utterance, ``<id>.npy``; an id with
    slashes is a path, so that a folder of audio is mirrored."""

    ending: ClassVar[str]

    def __init__(self, folder, layers, frame_seconds, pooled):
        self.folder, self.pooled = folder, pooled

    def path(self, utterance: str) -> Path:
        """Returns the path of an utterance's file."""
        return self.folder / f"{utterance}{self.ending}"

    def check(self, records):
        """See :class:`Writer`."""
        for name, record in records.items():
            check_path(name, record, self.folder)
            if max(len(os.fsencode(part)) for part in name.split("/")) > LONGEST:
                raise FormatError(
                    f"'{name[:20]}…' ({record['wav']}): this id makes a file name of "
                    f"more than {LONGEST} bytes. Give it a shorter one."
                )

    def existing(self, records):
        """See :class:`Writer`."""
        return _first_file(map(self.path, records))

    def has(self, utterance):
        """See :class:`Writer`."""
        return self.path(utterance).is_file()

    def write(self, items, records, kept):
        """See :class:`Writer`."""
        for utterance, features in items:
            path = self.path(utterance)
            with naming(path, "a file of features", "Choose another --output."):
                with Part(path) as part:
                    with open(part.path, "wb") as file:
                        self.save(arranged(features, self.pooled), file)
                    part.publish(sync=False)

    @staticmethod
    def save(array: np.ndarray, file) -> None:
        """Writes an array into an open file."""
        raise NotImplementedError


class Npy(OneFileEach):
    """NumPy's format: ``numpy.load(path)``."""

    ending = ".npy"

    @staticmethod
    def save(array, file):
        """See :meth:`OneFileEach.save`."""
        np.save(file, array)


class Pt(OneFileEach):
    """PyTorch's format: ``torch.load(path, weights_only=True)``, a tensor."""

    ending = ".pt"

    @staticmethod
    def save(array, file):
        """See :meth:`OneFileEach.save`."""
        torch.save(torch.from_numpy(array), file)


class Hdf5:
    """One file ``features.h5`` with a data set for each utterance: ``file[id][:]``."""

    def __init__(self, folder, layers, frame_seconds, pooled):
        self.pooled = pooled
        self.path = folder / "features.h5"
        self.attributes = {"layers": layers, "frame_seconds": frame_seconds}
        self._names = None

    @staticmethod
    def library():
        """Returns h5py."""
        try:
            import h5py
        except ImportError as error:
            raise MissingExtra(
                'h5py reads and writes HDF5: pip install "s3prl_sb[hdf5]"'
            ) from error
        return h5py

    def check(self, records):
        """See :class:`Writer`."""
        self.library()
        for name, record in records.items():
            check_path(name, record, self.path)
            above = name.rpartition("/")[0]
            while above:
                if above in records:
                    raise FormatError(
                        f"'{above}' is an utterance, and '{name}' below it too, which "
                        "HDF5 cannot hold. Rename one of them."
                    )
                above = above.rpartition("/")[0]

    def existing(self, records):
        """See :class:`Writer`."""
        return _first_file([self.path])

    def has(self, utterance):
        """See :class:`Writer`."""
        if self._names is None:
            self._names = set()
            if self.path.is_file():
                with self._opened() as file:
                    dataset = self.library().Dataset
                    file.visititems(
                        lambda name, item: (
                            self._names.add(name) if isinstance(item, dataset) else None
                        )
                    )
        return utterance in self._names

    def _opened(self):
        try:
            return self.library().File(self.path)
        except OSError as error:
            raise FormatError(
                f"{self.path}: cannot be read as HDF5 ({error}). Delete it; its "
                "features are computed again."
            ) from error

    def write(self, items, records, kept):
        """See :class:`Writer`."""
        h5py = self.library()
        with Part(self.path) as part:
            with h5py.File(part.path, "w") as file:
                file.attrs.update(self.attributes)
                items = iter(items)
                for utterance, features in items:
                    file.create_dataset(utterance, data=arranged(features, self.pooled))
                if self.path.is_file():  # those of an earlier extraction
                    with self._opened() as old:
                        for name in records:
                            if name in old and name not in file:
                                old.copy(name, file, name)
            part.publish()
        self._names = None


class Kaldi:
    """A data folder: arks, ``feats.scp`` and what Kaldi's scripts want beside it. Of
    several hidden states each has its own, ``layer6``."""

    def __init__(self, folder, layers, frame_seconds, pooled):
        self.pooled = pooled
        self.folders = [folder]
        if len(layers) > 1:
            self.folders = [folder / f"layer{layer}" for layer in layers]
        self.frame_seconds = frame_seconds
        self._names = [self._list(place) for place in self.folders]

    @staticmethod
    def _list(folder):
        path = folder / "feats.scp"
        return ark_lists.read(path) if path.is_file() else {}

    def check(self, records):
        """See :class:`Writer`."""
        arks.matio()
        for name, record in records.items():
            arks.check_key(name, record["wav"])
            speaker = str(record.get("speaker") or "-")
            if speaker.split() != [speaker]:
                raise FormatError(
                    f"'{name}' ({record['wav']}): the speaker '{speaker}' has white "
                    "space, which Kaldi's lists cannot hold. Rename the speaker."
                )

    def existing(self, records):
        """See :class:`Writer`."""
        return _first_file(place / "feats.scp" for place in self.folders)

    def has(self, utterance):
        """See :class:`Writer`."""
        return all(
            utterance in names and os.path.isfile(names[utterance].rpartition(":")[0])
            for names in self._names
        )

    def write(self, items, records, kept):
        """See :class:`Writer`."""
        before = self._arks()
        self._forget(kept)
        # An ark that no list names is of a killed extraction, and replaced.
        number = 1 + max((int(p.split(".")[-2]) for p in self._arks()), default=0)
        paths = [place / f"feats.{number}.ark" for place in self.folders]
        with arks.Arks(paths) as writer:
            for utterance, features in items:
                x = features.astype(np.float32).swapaxes(0, 1)  # by layer
                writer.write(utterance, [m[0] if self.pooled else m for m in x])
        for place, names, new in zip(self.folders, self._names, writer.names):
            names.update(new)
            self._describe(place, names, records)
        own = {os.path.abspath(place) for place in self.folders}
        for path in before - self._arks():  # of audio that has changed
            if os.path.dirname(path) in own:
                os.unlink(path)

    def _forget(self, kept):
        """Takes utterances out of the lists before they are written again."""
        for place, names in zip(self.folders, self._names):
            for name in names.keys() - kept:
                del names[name]
            if names:
                ark_lists.write(place / "feats.scp", names)
            else:
                (place / "feats.scp").unlink(missing_ok=True)

    def _arks(self):
        """Returns the paths of the arks in the lists."""
        return {n.rpartition(":")[0] for names in self._names for n in names.values()}

    def _describe(self, folder, names, records):
        """Writes the other files of a data folder, and the list last."""
        keys = [name for name in sorted(names, key=str.encode) if name in records]
        if not self.pooled:
            frames = {name: str(arks.shape(names[name])[0]) for name in keys}
            ark_lists.write(folder / "utt2num_frames", frames)
            write_text(folder / arks.FRAME_SHIFT, f"{self.frame_seconds:g}\n")
        for column, file in (("speaker", "utt2spk"), ("text", "text")):
            values = {name: records[name].get(column) for name in keys}
            if None not in values.values():
                lines = {n: " ".join(str(v).split()) for n, v in values.items()}
                ark_lists.write(folder / file, lines)
        if (folder / "utt2spk").is_file():
            utterances: dict[str, list[str]] = {}
            for name in keys:
                utterances.setdefault(str(records[name]["speaker"]), []).append(name)
            ark_lists.write(
                folder / "spk2utt", {s: " ".join(u) for s, u in utterances.items()}
            )
        ark_lists.write(folder / "feats.scp", {name: names[name] for name in keys})


#: Names of formats to their writers; "cache" is the feature cache itself.
FORMATS: dict[str, type[Writer]] = {"npy": Npy, "pt": Pt, "hdf5": Hdf5, "kaldi": Kaldi}


def _first_file(paths):
    return next((path for path in paths if path.is_file()), None)


def arranged(features: np.ndarray, pooled: bool) -> np.ndarray:
    """Returns features as files have them.

    Arguments
    ---------
    features : numpy.ndarray
        [frames, layers, size].
    pooled : bool
        Whether they have no time.

    Returns
    -------
    numpy.ndarray
        [layers, frames, size], without the dimensions of a single layer and of pooled
        frames.

    Example
    -------
    >>> features = np.zeros((50, 3, 8))
    >>> arranged(features, False).shape, arranged(features[:1, :1], True).shape
    ((3, 50, 8), (8,))
    """
    x = features.swapaxes(0, 1)
    x = x[:, 0] if pooled else x
    return np.ascontiguousarray(x[0] if len(x) == 1 else x)
