"""Batches by the step, as SUPERB counts.

Authors
 * The s3prl_sb developers, 2026
"""

import collections
import os

import torch


class StepSampler(torch.utils.data.Sampler):
    """An endless stream of shuffled passes, cut into epochs of equal steps.

    A pure function of the seed and the epoch: training that is killed and
    resumed sees the same batches. Batches have the same size throughout, also
    where one pass ends and the next begins. Under ``torchrun`` each process
    gets its share of every batch, so that the number of processes changes
    neither the batch size nor the number of steps.

    Arguments
    ---------
    size : int
        Utterances in the dataset.
    batch_size : int
        Utterances a batch, over all processes.
    steps : int
        Batches an epoch.
    labels : list, optional
        [size]; draws with replacement instead, each label equally often.
    seed : int
        Of the order.

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
            raise ValueError(
                f"size {size}, batch_size {batch_size}, steps {steps}: all "
                "must be positive"
            )
        self.rank = int(os.environ.get("RANK", 0))
        self.processes = int(os.environ.get("WORLD_SIZE", 1))
        if batch_size % self.processes:
            raise ValueError(
                f"batch_size {batch_size} cannot be shared equally by "
                f"{self.processes} processes: choose a multiple"
            )
        self.size, self.batch_size, self.steps = size, batch_size, steps
        self.seed, self.epoch = seed, 1
        self.weights = None
        if labels is not None:
            counts = collections.Counter(labels)
            self.weights = torch.tensor([1 / counts[label] for label in labels])

    def set_epoch(self, epoch):
        """Chooses the epoch, from 1."""
        self.epoch = epoch

    def __len__(self):
        return self.steps

    def __iter__(self):
        share = self.batch_size // self.processes
        first = (self.epoch - 1) * self.steps
        for step in range(first, first + self.steps):
            start = step * self.batch_size + self.rank * share
            yield [(self._index(draw), draw) for draw in range(start, start + share)]

    def _index(self, draw):
        """The utterance at a position of the endless stream."""
        number, position = divmod(draw, self.size)
        return self._pass(number)[position]

    def _pass(self, number):
        if getattr(self, "_current", (None,))[0] != number:
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + number)
            if self.weights is None:
                order = torch.randperm(self.size, generator=generator)
            else:
                order = torch.multinomial(
                    self.weights, self.size, replacement=True, generator=generator
                )
            self._current = number, order.tolist()
        return self._current[1]
