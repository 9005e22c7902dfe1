"""Batches by seconds of audio, out of any number of rows.

The list of batches is a function of the seed alone. It does not depend on the number
of processes, on workers, or on interruptions, and any position in it is found without
going through those before.

Authors
 * The s3prl_sb developers, 2026
"""

import math
from collections.abc import Iterator, Sequence

import numpy

from s3prl_sb.dataio.sampler import EpochSampler, SamplerError
from s3prl_sb.lobes.pretext.draws import generator
from s3prl_sb.unlabelled.index import Share

POOL = 4096  # rows that are sorted by length together
BLOCK = 1 << 16  # batches of a mixture whose sources are drawn together


class PoolSampler(EpochSampler):
    """Shuffled batches of about equal seconds and of rows of about equal lengths.

    A pass is a permutation of all rows. Pools of consecutive rows of it are sorted by
    length and cut into batches, and the batches are permuted: each row is in exactly
    one batch of a pass. All passes have the same number of batches, the total audio
    divided by ``batch_samples`` and rounded up, and batches of equal audio up to the
    length of a row: none is a small rest.

    In a mixture each batch comes from one source, which is drawn by the weights; the
    sources have passes of their own.

    Arguments
    ---------
    lengths : numpy.ndarray
        [rows]: samples of the crop of each row.
    batch_samples : float
        Audio of a batch, in samples.
    steps : int
        Batches an epoch, over all processes.
    seed : int
        Seed of the order.
    shares : list of Share, optional
        Sources of a mixture. Default: one of all rows.
    pool : int
        Rows of a pool. More rows: lengths within a batch differ less, and the same
        rows meet more often.

    Raises
    ------
    SamplerError
        If a number is not positive, or ``steps`` cannot be shared by the processes.

    Example
    -------
    >>> sampler = PoolSampler(numpy.full(6, 16000), batch_samples=32000, steps=3)
    >>> sorted(row for batch in sampler for row, number in batch)
    [0, 1, 2, 3, 4, 5]
    """

    def __init__(
        self,
        lengths: numpy.ndarray,
        batch_samples: float,
        steps: int,
        seed: int = 0,
        shares: Sequence[Share] | None = None,
        pool: int = POOL,
    ):
        super().__init__(steps, seed)
        if not len(lengths) or not batch_samples > 0 or steps < 1 or pool < 1:
            raise SamplerError(
                f"{len(lengths)} rows, {batch_samples} samples a batch, {steps} steps: "
                "all must be positive"
            )
        if steps % self.processes:
            raise SamplerError(
                f"{steps} batches an epoch cannot be shared equally by "
                f"{self.processes} processes: make grad_accumulation_factor a multiple "
                "of them."
            )
        shares = shares or [Share("data", 1.0, 0, len(lengths))]
        self.sources = [
            _Source(
                lengths[s.first : s.stop], s.first, batch_samples, seed, number, pool
            )
            for number, s in enumerate(shares)
        ]
        weights = numpy.array([share.weight for share in shares])
        self._edges = numpy.cumsum(weights / weights.sum())
        self._counts = [numpy.zeros(len(shares), numpy.int64)]  # before each block
        self._block: tuple[int, numpy.ndarray] | None = None

    def __len__(self) -> int:
        return self.steps // self.processes

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for step in range(len(self)):
            yield self.batch(self.position(step))

    def position(self, step: int) -> int:
        """Returns the global number of a batch of this process and epoch.

        Arguments
        ---------
        step : int
            Number of the batch in the epoch of this process, from 0.

        Returns
        -------
        int
            The same for one process and for several.
        """
        return (self.epoch - 1) * self.steps + step * self.processes + self.rank

    def batch(self, position: int) -> list[tuple[int, int]]:
        """Returns a batch of the global list.

        Arguments
        ---------
        position : int
            Number of the batch, from 0.

        Returns
        -------
        list of tuple of int
            (row, number of the pass over its source, from 1).
        """
        if len(self.sources) == 1:
            return self.sources[0].batch(position)
        block, place = divmod(position, BLOCK)
        drawn = self._drawn(block)
        chosen = drawn[place]
        before = self._before(block)[chosen] + int((drawn[:place] == chosen).sum())
        return self.sources[chosen].batch(int(before))

    def longest(self) -> list[int]:
        """Returns the rows of the batch of the first pass with the most audio.

        Returns
        -------
        list of int
        """
        return max((source.largest() for source in self.sources), key=lambda x: x[0])[1]

    def _drawn(self, block):
        """Returns the source of each batch of a block."""
        if self._block is None or self._block[0] != block:
            uniform = generator(self.seed, block, 0, "source").random(BLOCK)
            drawn = numpy.searchsorted(self._edges, uniform, side="right")
            drawn = numpy.minimum(drawn, len(self._edges) - 1).astype(numpy.int16)
            self._block = block, drawn
        return self._block[1]

    def _before(self, block):
        """Returns the number of batches of each source before a block."""
        while len(self._counts) <= block:
            drawn = self._drawn(len(self._counts) - 1)
            count = numpy.bincount(drawn, minlength=len(self.sources))
            self._counts.append(self._counts[-1] + count)
        self._drawn(block)
        return self._counts[block]


class _Source:
    """The batches of all passes over consecutive rows."""

    def __init__(self, lengths, first, batch_samples, seed, number, pool):
        self.lengths, self.first, self.seed, self.number = lengths, first, seed, number
        total = int(lengths.sum(dtype=numpy.int64))
        self.count = min(max(math.ceil(total / batch_samples), 1), len(lengths))
        self.pools = min(-(-len(lengths) // pool), self.count)
        self._pass = None

    def batch(self, position):
        """Returns the batch at a position of the source."""
        turn, place = divmod(position, self.count)
        if self._pass is None or self._pass[0] != turn:
            self._pass = turn, *self._make(turn)
        _, rows, cuts, order = self._pass
        start, stop = cuts[order[place]], cuts[order[place] + 1]
        return [(int(row) + self.first, turn + 1) for row in rows[start:stop]]

    def _make(self, turn):
        """Returns the rows of a pass, where they are cut, and the order of batches."""
        random = generator(self.seed, turn, self.number, "order")
        rows = random.permutation(numpy.arange(len(self.lengths), dtype=numpy.int32))
        edges = numpy.linspace(0, len(rows), self.pools + 1).astype(numpy.int64)
        for start, stop in zip(edges[:-1], edges[1:]):
            some = rows[start:stop]
            rows[start:stop] = some[numpy.argsort(self.lengths[some], kind="stable")]
        audio = numpy.cumsum(self.lengths[rows], dtype=numpy.int64)
        parts = _divided(audio[edges[1:] - 1], self.count, numpy.diff(edges))
        cuts = [numpy.zeros(1, numpy.int64)]
        for start, stop, count in zip(edges[:-1], edges[1:], parts):
            before = audio[start - 1] if start else 0
            cuts.append(start + _nearest(audio[start:stop] - before, count))
        return rows, numpy.concatenate(cuts), random.permutation(self.count)

    def largest(self):
        """Returns (audio, rows) of the batch of the first pass with the most audio."""
        rows, cuts, _ = self._make(0)
        audio = numpy.add.reduceat(self.lengths[rows].astype(numpy.int64), cuts[:-1])
        most = int(audio.argmax())
        chosen = rows[cuts[most] : cuts[most + 1]] + self.first
        return int(audio[most]), chosen.tolist()


def _divided(audio, count, rows):
    """Divides batches among pools by audio: one at least, as many as rows at most.

    ``audio`` is cumulative over the pools, ``rows`` are those of each pool.
    """
    ends = numpy.rint(audio / audio[-1] * count).astype(numpy.int64)
    parts = numpy.diff(_increasing(ends, count, len(rows)), prepend=0)
    parts = numpy.minimum(parts, rows)
    room, lacking = rows - parts, count - parts.sum()
    return parts + numpy.clip(lacking - (numpy.cumsum(room) - room), 0, room)


def _nearest(audio, parts):
    """Returns the ends of parts of about equal audio, none of them empty."""
    targets = audio[-1] * numpy.arange(1, parts + 1) / parts
    ends = numpy.searchsorted(audio, targets)  # audio[end] is the first beyond it
    ends = numpy.minimum(ends, len(audio) - 1)
    before = numpy.where(ends > 0, audio[ends - 1], 0)
    ends += targets - before > audio[ends] - targets
    return _increasing(ends, len(audio), parts)


def _increasing(ends, last, parts):
    """Moves ends so that they increase strictly, and the final one is ``last``."""
    steps = numpy.arange(parts)
    ends = numpy.maximum.accumulate(numpy.maximum(ends, 1) - steps) + steps
    ends = numpy.minimum(ends, last - (parts - 1 - steps))
    ends[-1] = last
    return ends


class HeldOutSampler(EpochSampler):
    """Batches of validation: each row once, in a fixed order, sorted by length.

    Arguments
    ---------
    lengths : numpy.ndarray
        [rows]: samples of the crop of each row.
    batch_samples : float
        Most audio of a batch, in samples; a longer row is a batch by itself.

    Example
    -------
    >>> sampler = HeldOutSampler(numpy.array([3, 1, 2]), batch_samples=3)
    >>> list(sampler)
    [[(0, 0)], [(2, 0), (1, 0)]]
    """

    def __init__(self, lengths: numpy.ndarray, batch_samples: float):
        order = numpy.argsort(-lengths.astype(numpy.int64), kind="stable")
        batches: list[list[tuple[int, int]]] = []
        audio = 0
        for row in order.tolist():
            if not batches or audio + int(lengths[row]) > batch_samples:
                batches.append([])
                audio = 0
            batches[-1].append((row, 0))
            audio += int(lengths[row])
        super().__init__(len(batches), 0)
        #: batches of this process; processes may have unequal numbers
        self.batches = batches[self.rank :: self.processes]

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        return iter(self.batches)
