"""Discriminability of phones in hidden states: the ABX error.

Two items of one phone should be nearer to each other than to one of another phone in
the same context (Schatz et al., 2013, https://hal.science/hal-00918599). The distance
of two items is the mean distance of frames on the best path of dynamic time warping.

Authors
 * The s3prl_sb developers, 2026
"""

import logging
import math
from collections.abc import Sequence

import numpy
import torch

from s3prl_sb.analysis.errors import AnalysisError
from s3prl_sb.analysis.items import Item
from s3prl_sb.analysis.triples import MOST_ITEMS, MOST_SPEAKERS, TASKS, Triples
from s3prl_sb.analysis.utterances import HiddenStates
from s3prl_sb.analysis.warping import path_means
from s3prl_sb.lobes.dtw import frame_distances
from s3prl_sb.lobes.networks.precision import full_precision
from s3prl_sb.terminal import progress

logger = logging.getLogger(__name__)

DISTANCES = ("angular", "euclidean", "kl")
LEAST = 1e-6  # added to posteriors before the logarithm
CELLS = 1 << 24  # distances of frames in memory at once; 64 MB


def errors(
    states: HiddenStates,
    items: Sequence[Item],
    tasks: Sequence[str] = TASKS,
    by_context: bool = True,
    distance: str = "angular",
    seed: int = 0,
    most_items: int = MOST_ITEMS,
    most_speakers: int = MOST_SPEAKERS,
    device: str = "cpu",
    progressbar: bool = True,
) -> list[dict[str, float]]:
    """Returns the ABX error of each hidden state.

    Arguments
    ---------
    states : HiddenStates
        Hidden states of the utterances.
    items : list of Item
        Items in them. Those without a frame are left out.
    tasks : list of str
        "within" and "across" speakers.
    by_context : bool
        Whether the items of a triple have the same context.
    distance : str
        Distance of frames: "angular", the angle over pi; "euclidean"; or "kl", the
        symmetric Kullback-Leibler divergence of posteriors.
    seed, most_items, most_speakers
        See :class:`~s3prl_sb.analysis.triples.Triples`.
    device : str
        Device of the computation.
    progressbar : bool
        Whether to show progress.

    Returns
    -------
    list of dict
        Tasks to errors from 0 to 1, for each hidden state.

    Raises
    ------
    AnalysisError
        If there are no triples, or the distance does not fit the hidden states.

    Example
    -------
    >>> import tempfile, numpy, soundfile
    >>> from s3prl_sb.analysis.utterances import hidden_states, read_records
    >>> from s3prl_sb.lobes.upstreams import load
    >>> times = {"AE": (0.0, 0.2), "IH": (0.3,)}
    >>> items = [
    ...     Item("a", start, start + 0.1, phone, ("K", "T"), "mo")
    ...     for phone, starts in times.items()
    ...     for start in starts
    ... ]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     soundfile.write(folder + "/a.wav", numpy.random.randn(8000) / 9, 16000)
    ...     records = read_records(folder)
    ...     states = hidden_states(load("fbank"), records, folder, "fbank")
    ...     list(errors(states, items, ["within"])[0])
    ['within']
    """
    if distance not in DISTANCES:
        there = ", ".join(DISTANCES)
        raise AnalysisError(f"There is no distance '{distance}'. There are: {there}.")
    pieces = _Pieces(states, items)
    limits = {"most_items": most_items, "most_speakers": most_speakers}
    triples = {
        task: Triples(pieces.items, task, by_context, seed, **limits) for task in tasks
    }
    for task, each in triples.items():
        logger.info(
            "%s: %d triples of %d pairs of items", task, each.number, len(each.pairs)
        )
    bar = progress.bar(
        desc="Comparing items",
        total=len(states.layers) * sum(len(each.pairs) for each in triples.values()),
        unit="pair",
        disable=not progressbar,
    )
    results = []
    with bar, full_precision():
        for place in range(len(states.layers)):
            frames = pieces.frames(place).to(device)
            if not torch.isfinite(frames).all():
                raise AnalysisError(
                    f"Hidden state {states.layers[place]} of {states.name} is not "
                    "finite. Choose --dtype float32."
                )
            results.append(
                {
                    task: each.error(
                        _pair_distances(frames, pieces, each, distance, bar.update)
                    )
                    for task, each in triples.items()
                }
            )
    return results


class _Pieces:
    """Frames of the items that have any, joined, one hidden state at a time."""

    def __init__(self, states, items):
        self.states, self.items, limits = states, [], []
        counts = {}
        for item in items:
            if item.utterance not in counts:
                counts[item.utterance] = len(states[item.utterance])
            limit = _frames_of(item, states.stride_seconds, counts[item.utterance])
            if limit[0] < limit[1]:
                self.items.append(item)
                limits.append(limit)
        if not self.items:
            raise AnalysisError(
                f"None of {len(items)} items has a frame: frames last "
                f"{1000 * states.stride_seconds:g} ms. Are the items of this audio?"
            )
        if len(self.items) < len(items):
            short = len(items) - len(self.items)
            logger.info("%d of %d items have no frame", short, len(items))
        self._counts = counts
        firsts = dict(zip(counts, numpy.cumsum([0, *counts.values()]).tolist()))
        limits = numpy.array(limits)
        self.lengths = limits[:, 1] - limits[:, 0]
        self.starts = limits[:, 0] + [firsts[item.utterance] for item in self.items]

    def frames(self, place):
        """Returns the frames of a hidden state, [frames of all utterances, size]."""
        return torch.cat([self.states[name][:, place].float() for name in self._counts])


def _frames_of(item, stride_seconds, count):
    """Returns the first frame of an item and the one after its last.

    As in libri-light, the last frame whose centre lies in the item is left out.
    """
    rate = 1 / stride_seconds
    first = max(0, math.ceil(rate * item.start - 0.5))
    return first, min(count, math.floor(rate * item.stop - 0.5))


def _pair_distances(
    frames: torch.Tensor,
    pieces: "_Pieces",
    triples: Triples,
    distance: str = "angular",
    tick=lambda pairs: None,
) -> numpy.ndarray:
    """Returns the distance of each pair of items.

    Arguments
    ---------
    frames : torch.Tensor
        [frames, size].
    pieces : _Pieces
        Places of the items in them.
    triples : Triples
        Pairs of items.
    distance : str
        See :func:`errors`.
    tick : callable
        Called with the number of pairs that are finished.

    Returns
    -------
    numpy.ndarray
        [pairs], float32.
    """
    between = _Between(frames, distance)
    distances, waiting, cells = [], [], 0

    def finish():
        joined = torch.cat([each for each, _ in waiting])
        places, first = [], 0
        for each, columns in waiting:
            columns[0] += first
            first += len(each)
            places.append(columns)
        places = torch.from_numpy(numpy.concatenate(places, axis=1)).to(frames.device)
        distances.append(path_means(joined, *places).cpu().numpy())
        tick(places.shape[1])

    for pairs in _tiles(triples, pieces.lengths):
        matrix, columns = _tile(pairs, pieces, between)
        if waiting and cells + len(matrix) > CELLS:
            finish()
            waiting, cells = [], 0
        waiting.append((matrix, columns))
        cells += len(matrix)
    finish()
    return numpy.concatenate(distances)


def _tiles(triples, lengths):
    """Yields pairs of one block each, with X of a limited number of frames."""
    limits = numpy.flatnonzero(numpy.diff(triples.blocks)) + 1
    for pairs in numpy.split(triples.pairs, limits):
        width = lengths[numpy.unique(pairs[:, 1])].sum()
        # Pairs of a block are sorted by X; a tile begins with a new X.
        new = numpy.diff(pairs[:, 0], prepend=-1) != 0
        filled = numpy.cumsum(lengths[pairs[new, 0]]) * width // CELLS
        begins = numpy.flatnonzero(new)[1:][numpy.diff(filled) > 0]
        yield from numpy.split(pairs, begins)


def _tile(pairs, pieces, between):
    """Returns flat distances of frames, and where each pair is in them."""
    sides = []
    for side in pairs.T:
        unique, place = numpy.unique(side, return_inverse=True)
        lengths = pieces.lengths[unique]
        firsts = numpy.cumsum(lengths) - lengths
        rows = numpy.repeat(pieces.starts[unique] - firsts, lengths)
        rows += numpy.arange(len(rows))
        sides.append((rows, firsts[place], lengths[place]))
    (rows, first, counts), (columns, second, others) = sides
    matrix = between(*(torch.from_numpy(each) for each in (rows, columns)))
    width = numpy.full(len(pairs), len(columns))
    return matrix.flatten(), numpy.stack(
        [first * width + second, width, counts, others]
    )


class _Between:
    """Distances between frames of a hidden state.

    A frame of zeros has the largest angle, 1, to all frames that are not zeros.
    """

    def __init__(self, frames, distance):
        self.distance, self.frames = distance, frames
        if distance == "angular":
            self.frames = torch.nn.functional.normalize(frames, dim=-1)
            self.zero = (frames == 0).all(-1)
            self.has_zero = bool(self.zero.any())
        elif distance == "kl":
            if (frames < 0).any():
                raise AnalysisError(
                    "Posteriors are not negative, and these features are. Choose "
                    "--distance angular or euclidean."
                )
            self.logs = (frames + LEAST).log()
            self.entropy = (frames * self.logs).sum(-1)

    def __call__(self, rows, columns):
        """Returns the distances [rows, columns] of frames with these numbers."""
        rows, columns = rows.to(self.frames.device), columns.to(self.frames.device)
        x, y = self.frames[rows], self.frames[columns]
        if self.distance == "euclidean":
            return frame_distances(x, y, "euclidean")
        if self.distance == "kl":
            crossed = x @ self.logs[columns].T + self.logs[rows] @ y.T
            own = self.entropy[rows][:, None] + self.entropy[columns]
            return (own - crossed).div_(2).clamp_(min=0)
        cosines = x @ y.T
        if self.has_zero:
            one, other = self.zero[rows][:, None], self.zero[columns]
            cosines.masked_fill_(one ^ other, -1).masked_fill_(one & other, 1)
        return cosines.clamp_(-1, 1).acos_().div_(math.pi)
