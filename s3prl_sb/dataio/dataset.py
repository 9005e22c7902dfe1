"""A dataset over a manifest, with reproducible randomness.

Authors
 * The s3prl_sb developers, 2026
"""

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

import torch
from speechbrain.dataio.dataset import DynamicItemDataset

from s3prl_sb.dataio.manifest import Records
from s3prl_sb.dataio.time_map import TimeMap, unknown_times
from s3prl_sb.errors import ManifestError

#: Items that are computed in every task.
COMPUTED = ("draw", "sig", "feats", "time_map")


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

    def __call__(self, dataset: "ManifestDataset") -> None: ...


@runtime_checkable
class CountsVariants(Protocol):
    """A pipe that says how many forms it makes of an utterance."""

    def variants(self, record: Mapping[str, Any]) -> int | None:
        """Returns the number of forms of an utterance; None means unlimited."""
        ...


class Pipe:
    """Base class of pipes; by default a deterministic one."""

    audio = False  #: whether the waveform depends on this pipe
    #: Whether the item ``time_map`` is right after this pipe: it moves no sample in
    #: time, or refines the item. Of interest for pipes with ``audio`` only.
    timed = False
    #: Setting that makes an unlimited number of forms finite, for messages.
    finite = ""

    def variants(self, record: Mapping[str, Any]) -> int | None:
        """Returns the number of forms of an utterance; None means unlimited."""
        return 1

    def form_seconds(self, seconds: float, draw: int) -> float:
        """Returns the duration of a form, from that of the form before this pipe."""
        return seconds

    def __call__(self, dataset: "ManifestDataset") -> None:
        raise NotImplementedError


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
    output_keys : list of str
        Items of an example.

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

    def __init__(
        self,
        records: Records,
        pipes: Iterable[DataPipe] = (),
        output_keys: Iterable[str] = (),
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
        self.pipes: list[DataPipe] = []
        for pipe in pipes:
            self.add_pipe(pipe)
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
        if provides is None:  # a DynamicItem, which has the name itself
            names = func.provides  # type: ignore[attr-defined]
        else:
            names = [provides] if isinstance(provides, str) else provides
        for name in names:
            self._check_column(name)
        super().add_dynamic_item(func, takes, provides)

    def add_pipe(self, pipe: DataPipe) -> None:
        """Applies a pipe to this dataset.

        Arguments
        ---------
        pipe : callable
            Called with the dataset.
        """
        pipe(self)
        self.pipes.append(pipe)
        if loses_times(pipe):
            self.add_dynamic_item(unknown_times, [], "time_map")

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
        self.data = {name: self.data[name] for name in ids}
        self.data_ids = list(self.data)

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
        >>> from s3prl_sb.dataio.pipes import ChangeSpeed, RandomCrop
        >>> pipes = [ChangeSpeed([0.8, 1.0]), RandomCrop(3.0, crops=1)]
        >>> ManifestDataset({"a": {"duration": 2.5}}, pipes).form_seconds(0)
        [3.0, 2.5]
        """
        record = self.data[self.data_ids[index]]
        forms: list[float | None] = [record.get("duration")]
        for pipe in self.pipes:
            if forms[0] is not None:  # those of a crop depend on it
                record = {**record, "duration": max(forms)}  # type: ignore[type-var]
            # A plain function may be random.
            count = pipe.variants(record) if isinstance(pipe, CountsVariants) else None
            count = unlimited if count is None else count
            if count is None:
                return None
            forms = [
                _form_seconds(pipe, forms[draw % len(forms)], draw)
                for draw in range(math.lcm(len(forms), count))
            ]
        return forms

    def longest_forms(self) -> list[float]:
        """Returns the duration of the longest form of each utterance, seconds; 0 for
        records without a duration."""
        forms = (self.form_seconds(i, unlimited=1) for i in range(len(self)))
        return [max(seconds or 0.0 for seconds in each or ()) for each in forms]

    def __getitem__(self, index: int | tuple[int, int]) -> dict[str, Any]:
        position, draw = index if isinstance(index, tuple) else (index, 0)
        data_id = self.data_ids[position]
        return self.pipeline.compute_outputs(
            {"id": data_id, "draw": draw, **self.data[data_id]}
        )


def _form_seconds(pipe, seconds, draw):
    changes = isinstance(pipe, Pipe) and seconds is not None
    return pipe.form_seconds(seconds, draw) if changes else seconds
