"""Discriminability of phones in hidden states: the ABX error.

Two items of one phone should be nearer to each other than to one of another phone in
the same context (Schatz et al., 2013, https://hal.science/hal-00918599). The distance
of two items is the mean distance of frames on the best path of dynamic time warping.

Authors
 * The s3prl_sb developers, 2026
"""

import logging
from collections.abc import Sequence

import numpy
import torch

from s3prl_sb.analysis.errors import AnalysisError
from s3prl_sb.analysis.items import Item
from s3prl_sb.analysis.triples import MOST_ITEMS, MOST_SPEAKERS, TASKS, Triples
from s3prl_sb.analysis.utterances import HiddenStates
from s3prl_sb.lobes.item_distances import FrameDistances, frames_between
from s3prl_sb.lobes.networks.precision import full_precision
from s3prl_sb.lobes.warping import path_means
from s3prl_sb.terminal import progress

logger = logging.getLogger(__name__)

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
        If there are no triples.
    s3prl_sb.lobes.item_distances.DistanceError
        If there is no such distance, or it does not fit the hidden states.

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
    options = {"by_context": by_context, "distance": distance, "seed": seed}
    limits = {"most_items": most_items, "most_speakers": most_speakers}
    where = {"device": device, "progressbar": progressbar}
    found = _compared(states, items, tasks, **options, **limits, **where)
    return [
        {task: triples.error(distances) for task, (triples, distances) in each.items()}
        for each in found
    ]


def errors_of_phones(
    states: HiddenStates,
    items: Sequence[Item],
    tasks: Sequence[str] = TASKS,
    **options,
) -> list[dict[str, dict[tuple[str, str], float]]]:
    """Returns the ABX errors of each pair of phones, whose mean is the error.

    Arguments
    ---------
    states, items, tasks
        See :func:`errors`.
    **options
        See :func:`errors`.

    Returns
    -------
    list of dict
        Tasks to ``{(A, B): error}``, for each hidden state.
    """
    return [
        {task: triples.by_phones(dist) for task, (triples, dist) in each.items()}
        for each in _compared(states, items, tasks, **options)
    ]


def _compared(
    states,
    items,
    tasks,
    by_context=True,
    distance="angular",
    seed=0,
    most_items=MOST_ITEMS,
    most_speakers=MOST_SPEAKERS,
    device="cpu",
    progressbar=True,
):
    """Yields for each hidden state tasks to triples and the distances of pairs."""
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
    with bar, full_precision():
        for place in range(len(states.layers)):
            frames = pieces.frames(place).to(device)
            if not torch.isfinite(frames).all():
                raise AnalysisError(
                    f"Hidden state {states.layers[place]} of {states.name} is not "
                    "finite. Choose --dtype float32."
                )
            where = frames, pieces
            yield {
                task: (each, _pair_distances(*where, each, distance, bar.update))
                for task, each in triples.items()
            }


class _Pieces:
    """Frames of the items that have any, joined, one hidden state at a time."""

    def __init__(self, states, items):
        self.states, self.items, limits = states, [], []
        counts = {}
        for item in items:
            if item.utterance not in counts:
                counts[item.utterance] = len(states[item.utterance])
            limit = frames_between(
                item.start, item.stop, states.stride_seconds, counts[item.utterance]
            )
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
    between = FrameDistances(frames, distance)
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
