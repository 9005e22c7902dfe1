"""Batch samplers whose epochs have a fixed number of steps, as in SUPERB.

Authors
 * The s3prl_sb developers, 2026
"""

import collections
import os

import torch

from s3prl_sb.errors import UserError


class SamplerError(UserError, ValueError):
    """Invalid settings of batches; the message has the fix."""


def make_sampler(dataset, batch_size, steps, batch_seconds=None, balance=None, seed=0):
    """Makes the sampler of a training set.

    Arguments
    ---------
    dataset : s3prl_sb.dataio.dataset.ManifestDataset
        The training set.
    batch_size : int
        Utterances per batch.
    steps : int
        Batches per epoch.
    batch_seconds : float, optional
        Seconds of audio per batch, instead of ``batch_size``.
    balance : str, optional
        Key of the manifest whose values are drawn equally often.
    seed : int
        Seed of the order.

    Returns
    -------
    StepSampler or SecondsSampler

    Raises
    ------
    SamplerError
        If settings exclude each other, or the key does not exist.
    """
    check_batches(batch_seconds, balance)
    if batch_seconds:
        return SecondsSampler(dataset.longest_forms(), batch_seconds, steps, seed)
    labels = _values(dataset, balance) if balance else None
    return StepSampler(len(dataset), batch_size, steps, labels, seed)


def check_batches(batch_seconds, balance):
    """Checks that only one way to draw batches is set.

    Arguments
    ---------
    batch_seconds, balance
        See :func:`make_sampler`.

    Raises
    ------
    SamplerError
        If both are set.
    """
    if batch_seconds and balance:
        raise SamplerError(
            "batch_seconds and balance exclude each other: set batch_seconds to null, "
            'or --train_dataloader_opts "{balance: null}".'
        )


def _values(dataset, key):
    """Returns the value of a key for each utterance."""
    record = next(iter(dataset.data.values()))
    if key not in record:
        raise SamplerError(
            f"balance: '{key}' is no key of the manifest; there are "
            f"{', '.join(record)}."
        )
    return [record[key] for record in dataset.data.values()]


class EpochSampler(torch.utils.data.Sampler):
    """Base class of samplers whose epochs have a fixed number of steps.

    Arguments
    ---------
    steps : int
        Batches per epoch.
    seed : int
        Seed of the order.
    """

    def __init__(self, steps, seed):
        self.rank = int(os.environ.get("RANK", 0))
        self.processes = int(os.environ.get("WORLD_SIZE", 1))
        self.steps, self.seed, self.epoch = steps, seed, 1

    def set_epoch(self, epoch):
        """Sets the epoch; the first one is 1."""
        self.epoch = epoch

    def __len__(self):
        return self.steps


class StepSampler(EpochSampler):
    """An infinite stream of shuffled passes, split into epochs of equal steps.

    Batches are a pure function of the seed and the epoch, so that resumed training
    sees the same ones. All batches have the same size, also at the border of two
    passes. Under ``torchrun`` each process gets its share of every batch, so that
    the number of processes changes neither the batch size nor the number of steps.

    Arguments
    ---------
    size : int
        Utterances in the dataset.
    batch_size : int
        Utterances per batch, over all processes.
    steps : int
        Batches per epoch.
    labels : list, optional
        [size]; if given, utterances are drawn with replacement and each label is
        equally likely.
    seed : int
        Seed of the order.

    Example
    -------
    >>> sampler = StepSampler(size=3, batch_size=2, steps=3)
    >>> sampler.set_epoch(1)
    >>> batches = list(sampler)
    >>> sorted(index for batch in batches for index, draw in batch)
    [0, 0, 1, 1, 2, 2]
    """

    def __init__(self, size, batch_size, steps, labels=None, seed=0):
        if size < 1 or batch_size < 1 or steps < 1:
            raise SamplerError(
                f"size {size}, batch_size {batch_size}, steps {steps}: all "
                "must be positive"
            )
        super().__init__(steps, seed)
        if batch_size % self.processes:
            raise SamplerError(
                f"batch_size {batch_size} cannot be shared equally by "
                f"{self.processes} processes: choose a multiple"
            )
        self.size, self.batch_size = size, batch_size
        self._current = None, []  # number of a pass, and its order
        self.weights = None
        if labels is not None:
            counts = collections.Counter(labels)
            self.weights = torch.tensor([1 / counts[label] for label in labels])

    def __iter__(self):
        share = self.batch_size // self.processes
        first = (self.epoch - 1) * self.steps
        for step in range(first, first + self.steps):
            start = step * self.batch_size + self.rank * share
            yield [(self._index(draw), draw) for draw in range(start, start + share)]

    def longest(self, durations):
        """Returns the utterances of the largest possible batch of this process.

        Arguments
        ---------
        durations : list of float
            [size], seconds.

        Returns
        -------
        list of int
            Indices of the utterances.
        """
        order = sorted(range(self.size), key=lambda index: -durations[index])
        return order[: max(1, self.batch_size // self.processes)]

    def _index(self, draw):
        """Returns the utterance at a position of the stream."""
        number, position = divmod(draw, self.size)
        if self._current[0] != number:
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + number)
            if self.weights is None:
                order = torch.randperm(self.size, generator=generator)
            else:
                order = torch.multinomial(
                    self.weights, self.size, replacement=True, generator=generator
                )
            self._current = number, order.tolist()
        return self._current[1][position]


class SecondsSampler(EpochSampler):
    """Batches with about the same amount of audio, of utterances of similar length.

    The utterances are sorted by duration and packed once; each pass has these
    batches in another order. As with :class:`StepSampler`, an epoch has a fixed
    number of steps, and is a pure function of the seed and its number.

    Arguments
    ---------
    durations : list of float
        Seconds of each utterance.
    batch_seconds : float
        Seconds of audio per batch with padding, over all processes. A longer
        utterance is a batch by itself.
    steps : int
        Batches per epoch.
    seed : int
        Seed of the order.

    Example
    -------
    >>> sampler = SecondsSampler([1.0, 5.0, 1.0, 1.0], batch_seconds=5, steps=2)
    >>> sorted([index for index, draw in batch] for batch in sampler)
    [[0, 2, 3], [1]]
    """

    def __init__(self, durations, batch_seconds, steps, seed=0):
        if not durations or steps < 1 or not batch_seconds > 0:
            raise SamplerError(
                f"{len(durations)} utterances, batch_seconds {batch_seconds}, steps "
                f"{steps}: all must be positive"
            )
        super().__init__(steps, seed)
        self.batches = _packed(durations, batch_seconds / self.processes)

    def __iter__(self):
        first = (self.epoch - 1) * self.steps
        current = None
        for step in range(first, first + self.steps):
            # Each process takes every ``processes``-th batch.
            number = step * self.processes + self.rank
            turn, position = divmod(number, len(self.batches))
            if turn != current:
                random = torch.Generator().manual_seed(self.seed * 1_000_003 + turn)
                order = torch.randperm(len(self.batches), generator=random).tolist()
                current = turn
            yield [(index, turn) for index in self.batches[order[position]]]

    def longest(self, durations):
        """Returns the utterances of the batch with the most padded audio.

        Arguments
        ---------
        durations : list of float
            Seconds of each utterance.

        Returns
        -------
        list of int
            Indices of the utterances.
        """
        return max(
            self.batches,
            key=lambda batch: len(batch) * max(durations[i] for i in batch),
        )


def _packed(durations, seconds):
    """Packs utterances, longest first, into batches of at most ``seconds``."""
    batches, longest = [], 0.0
    for index in sorted(range(len(durations)), key=lambda i: -durations[i]):
        if not batches or (len(batches[-1]) + 1) * longest > seconds:
            batches.append([])
            longest = durations[index]
        batches[-1].append(index)
    return batches
