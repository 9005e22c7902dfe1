"""A dataset over a manifest, with reproducible randomness.

Authors
 * The s3prl_sb developers, 2026
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import torch
from speechbrain.dataio.dataset import DynamicItemDataset

from s3prl_sb.dataio.forms import seconds_of_forms
from s3prl_sb.dataio.manifest import Records
from s3prl_sb.dataio.records import completed
from s3prl_sb.dataio.time_map import TimeMap, unknown_times
from s3prl_sb.errors import ManifestError
from s3prl_sb.identity.ark_names import is_entry

#: Items that are computed in every task.
COMPUTED = ("draw", "sig", "feats", "time_map")
#: Items of every dataset, which no pipe needs to make.
OWN = ("time_map",)


def generator(seed: int | str, utterance: str, draw: int) -> torch.Generator:
    """Returns the random generator of an utterance for its ``draw``-th use.

    Its numbers depend neither on the order, worker and process in which utterances
    are loaded nor on interruptions of the run.

    Arguments
    ---------
    seed : int or str
        Seed of the pipe.
    utterance : str
        Id of the utterance.
    draw : int
        Number of earlier uses; 0 in evaluation.

    Returns
    -------
    torch.Generator

    Example
    -------
    >>> a, b = (torch.rand(1, generator=generator(0, "a", 7)) for _ in range(2))
    >>> bool(a == b)
    True
    """
    text = f"{seed}|{utterance}|{draw}".encode()
    number = int.from_bytes(hashlib.sha256(text).digest()[:7], "big")
    return torch.Generator().manual_seed(number)


class DataPipe(Protocol):
    """Anything that adds dynamic items to a dataset: a function, or a :class:`Pipe`."""

    def __call__(self, dataset: "ManifestDataset", /) -> object: ...


class Pipe:
    """Base class of pipes; by default a deterministic one.

    A pipe defines :meth:`add_to`. It is called with a dataset, or with a dictionary of
    records, and returns the dataset, so that pipes compose:
    ``AddNoise(snr=[3, 6])(LoadAudio()(records))``. See also
    :class:`~s3prl_sb.dataio.sequential.SequentialPipe`.
    """

    audio = False  #: whether the waveform depends on this pipe
    #: Whether the item ``time_map`` is right after this pipe: it moves no sample in
    #: time, or refines the item. Of interest for pipes with ``audio`` only.
    timed = False
    takes_features = False  #: whether ``sig`` may be features of arks, [frames, size]
    reads: tuple[str, ...] = ()  #: keys of further audio, identity/further_audio.py
    #: Setting that makes an unlimited number of forms finite, for messages.
    finite = ""

    def variants(self, record: Mapping[str, Any]) -> int | None:
        """Returns the number of forms of an utterance; None means unlimited."""
        return 1

    def form_seconds(self, seconds: float, draw: int) -> float:
        """Returns the duration of a form, from that of the form before this pipe."""
        return seconds

    def add_to(self, dataset: "ManifestDataset") -> None:
        """Adds the items of this pipe to a dataset.

        Arguments
        ---------
        dataset : ManifestDataset
            Dataset that gets the items.
        """
        raise NotImplementedError

    def __call__(self, data: "ManifestDataset | Records") -> "ManifestDataset":
        """Applies this pipe.

        Arguments
        ---------
        data : ManifestDataset or dict
            A dataset, which is changed; or ``{id: record}``, of which a dataset is
            made, see :func:`~s3prl_sb.dataio.records.completed`.

        Returns
        -------
        ManifestDataset
            The dataset with the items of this pipe.
        """
        dataset = as_dataset(data)
        self.add_to(dataset)
        dataset.register(self)
        return dataset


def as_dataset(data: "ManifestDataset | Records") -> "ManifestDataset":
    """Returns a dataset as it is, and makes one of a dictionary of records.

    Arguments
    ---------
    data : ManifestDataset or dict
        A dataset, or ``{id: record}``, see
        :func:`~s3prl_sb.dataio.records.completed`.

    Returns
    -------
    ManifestDataset

    Example
    -------
    >>> dataset = as_dataset({"a": {"text": "no"}})
    >>> len(dataset), as_dataset(dataset) is dataset
    (1, True)
    """
    return (
        data if isinstance(data, ManifestDataset) else ManifestDataset(completed(data))
    )


def changes_audio(pipe: DataPipe) -> bool:
    """Returns whether the waveform depends on a pipe; plain functions may change it."""
    return pipe.audio if isinstance(pipe, Pipe) else getattr(pipe, "audio", True)


def loses_times(pipe: DataPipe) -> bool:
    """Returns whether a pipe may move samples in time without saying where to."""
    return changes_audio(pipe) and not getattr(pipe, "timed", False)


class ManifestDataset(DynamicItemDataset):
    """SpeechBrain's dataset with the additional item ``draw``.

    An index is a position, as in any dataset, or ``(position, draw)``, as
    :class:`~s3prl_sb.dataio.sampler.StepSampler` gives it.

    Arguments
    ---------
    records : dict
        ``{id: {"wav": …, "start": …, …}}``, see
        :mod:`s3prl_sb.dataio.manifest`.
    pipes : list of callable
        Pipes that add dynamic items, see :mod:`s3prl_sb.dataio.pipes`.
    output_keys : list of str, optional
        Items of an example. Default: ``id`` and every item that pipes provide, until
        :meth:`set_output_keys` is called.

    Raises
    ------
    ManifestError
        If a key of the records is the name of a computed item: SpeechBrain would
        use the value in the records.

    Example
    -------
    >>> dataset = ManifestDataset({"a": {"x": 1}}, output_keys=["id", "draw"])
    >>> dataset[0], dataset[0, 5]
    ({'id': 'a', 'draw': 0}, {'id': 'a', 'draw': 5})
    """

    data: dict[str, Mapping[str, Any]]
    data_ids: list[str]
    collate: Callable | None = None  #: makes batches; None: dataio.collation.collate

    def __init__(
        self,
        records: Records,
        pipes: Iterable[DataPipe] = (),
        output_keys: Iterable[str] | None = None,
    ):
        if not records:
            raise ValueError("a dataset without utterances")
        super().__init__(dict(records))
        self.columns = set().union(*records.values())
        for name in COMPUTED:
            self._check_column(name)
        self.pipeline.add_static_keys(["draw"])
        known = ["duration"] if "duration" in self.columns else []
        super().add_dynamic_item(TimeMap.whole, known, "time_map")
        self.provided: list[str] = []
        self.returns_all = True
        self.pipes: list[DataPipe] = []
        for pipe in pipes:
            self.add_pipe(pipe)
        if output_keys is not None:
            self.set_output_keys(list(output_keys))

    def _check_column(self, name):
        if name in self.columns:
            raise ManifestError(
                f"the column '{name}' of your data: the program computes an item of "
                "that name itself. Rename the column, or drop it."
            )

    def add_dynamic_item(
        self,
        func: Callable,
        takes: str | list[str] | None = None,
        provides: str | list[str] | None = None,
    ) -> None:
        """Adds a computed item; its name must not be a key of the records.

        Arguments
        ---------
        func : callable
            Function that computes the item.
        takes : str or list of str
            Items that the function gets.
        provides : str or list of str
            Name of the item; an item that exists already is refined.
        """
        if provides is None:  # a DynamicItem, which has the names itself
            needs, names = func.takes, func.provides  # type: ignore[attr-defined]
        else:
            needs, names = _listed(takes), _listed(provides)
        for name in names:
            self._check_column(name)
            if name in needs and name not in (*self.provided, *OWN):
                raise ManifestError(_unmade(func, name))
        super().add_dynamic_item(func, takes, provides)
        self._provide(names)

    def _provide(self, names):
        self.provided += [n for n in names if n not in (*self.provided, *OWN)]
        if self.returns_all:
            self.pipeline.set_output_keys(["id", *self.provided])

    def set_output_keys(self, keys: Iterable[str] | Mapping[str, str]) -> None:
        """Chooses the items of an example, see SpeechBrain's dataset.

        Arguments
        ---------
        keys : list of str or dict
            Names of items, or names in an example to names of items.
        """
        self.returns_all = False
        super().set_output_keys(keys)

    def add_pipe(self, pipe: DataPipe) -> None:
        """Applies a pipe to this dataset.

        Arguments
        ---------
        pipe : callable
            Called with the dataset.
        """
        before = len(self.pipes)
        pipe(self)
        if not isinstance(pipe, Pipe) or len(self.pipes) == before:
            self.register(pipe)

    def register(self, pipe: DataPipe) -> None:
        """Notes a pipe that has added its items to this dataset.

        Arguments
        ---------
        pipe : callable
            The pipe, whose forms count from now on.
        """
        if isinstance(pipe, Pipe) and pipe.audio and not pipe.takes_features:
            self._check_waveforms(pipe)
        self.pipes.append(pipe)
        if loses_times(pipe):
            self.add_dynamic_item(unknown_times, [], "time_map")

    def _check_waveforms(self, pipe):
        wavs = (str(record.get("wav")) for record in self.data.values())
        for wav in filter(is_entry, wavs):
            kind = type(pipe).__name__
            raise ManifestError(f"{kind} changes waveforms. Leave it out for {wav}.")

    def keep(self, ids: Iterable[str]) -> None:
        """Drops all utterances except the given ones.

        Arguments
        ---------
        ids : list of str
            Ids to keep; the dataset is in this order afterwards.

        Example
        -------
        >>> dataset = ManifestDataset({"a": {"x": 1}, "b": {"x": 2}}, [], ["x"])
        >>> dataset.keep(["b"])
        >>> len(dataset), dataset[0]
        (1, {'x': 2})
        """
        self.replace({name: self.data[name] for name in ids})

    def replace(self, records: Records, items: Iterable[str] = ()) -> None:
        """Replaces all utterances, as by the chunks that they are cut into.

        Arguments
        ---------
        records : dict
            ``{id: record}``, with the keys of the records before.
        items : list of str
            Additional keys of the records.

        Example
        -------
        >>> dataset = ManifestDataset({"a": {"x": 1}})
        >>> dataset.replace({"a-0": {"x": 1, "y": 0}, "a-1": {"x": 1, "y": 1}}, ["y"])
        >>> len(dataset), dataset[1]
        (2, {'id': 'a-1', 'y': 1})
        """
        self.data, self.data_ids = dict(records), list(records)
        if items:
            self.pipeline.add_static_keys(list(items))
            self._provide(items)

    def variants(self, index: int) -> int | None:
        """Returns the number of forms of an utterance, one for each ``draw``.

        Arguments
        ---------
        index : int
            Position of the utterance.

        Returns
        -------
        int or None
            None means unlimited.
        """
        forms = self.form_seconds(index)
        return None if forms is None else len(forms)

    def form_seconds(
        self, index: int, unlimited: int | None = None
    ) -> list[float | None] | None:
        """Returns the duration of each form of an utterance.

        Arguments
        ---------
        index : int
            Position of the utterance.
        unlimited : int, optional
            Number of forms to assume for a pipe with an unlimited number of them.

        Returns
        -------
        list of float or None
            Seconds of each form, by ``draw``; None if the record has no duration. None
            instead of the list if the number of forms is unlimited.

        Example
        -------
        >>> from s3prl_sb.dataio.pipes import ChangeSpeed, LoadAudio
        >>> pipes = [LoadAudio(), ChangeSpeed([0.8, 1.0])]
        >>> ManifestDataset({"a": {"duration": 4.0}}, pipes).form_seconds(0)
        [5.0, 4.0]
        """
        record = self.data[self.data_ids[index]]
        return seconds_of_forms(self.pipes, record, unlimited)

    def longest_forms(self) -> list[float]:
        """Returns the seconds of each utterance's longest form; 0 if unknown."""
        forms = (self.form_seconds(i, unlimited=1) for i in range(len(self)))
        return [max(seconds or 0.0 for seconds in each or ()) for each in forms]

    def __getitem__(self, index: int | tuple[int, int]) -> dict[str, Any]:
        position, draw = index if isinstance(index, tuple) else (index, 0)
        data_id = self.data_ids[position]
        record = {"id": data_id, "draw": draw, **self.data[data_id]}
        return self.pipeline.compute_outputs(record)


def _listed(names):
    """Returns names in a list."""
    return [names] if isinstance(names, str) else list(names or ())


def _unmade(func, name):
    """Returns the message about a pipe that refines an item that no pipe makes."""
    pipe = type(getattr(func, "__self__", func)).__name__
    loads = "LoadAudio" if name == "sig" else "the pipe that makes it"
    return (
        f"{pipe} changes '{name}', which no pipe makes before it. Apply {loads} first."
    )
