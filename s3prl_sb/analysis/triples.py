"""Triples of ABX: which items are compared, and how their errors are averaged.

A cell has all triples of a phone A, another phone B, a context and a speaker: X and A
are the same phone, and X is wrong if it is nearer to B than to A (Schatz et al., 2013,
https://hal.science/hal-00918599). In the *within* task one speaker says all three. In
the *across* task X is said by another one. The limits are those of libri-light (Kahn
et al., https://arxiv.org/abs/1912.07875) and of the ZeroSpeech challenges.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Sequence

import numpy

from s3prl_sb.analysis.errors import AnalysisError
from s3prl_sb.analysis.items import Item

MOST_ITEMS = 10  # of a phone, a context and a speaker; others are left out by chance
MOST_SPEAKERS = 5  # other speakers of X for each A in the across task
TASKS = ("within", "across")
COMPARISONS = 1 << 24  # at once
NONE = -1  # key of an item paired with itself


def check_speakers(items: Sequence[Item], tasks: Sequence[str]) -> None:
    """Checks that there are several speakers if a task is across them.

    Arguments
    ---------
    items : list of Item
        The items.
    tasks : list of str
        "within" and "across", or one of them.

    Raises
    ------
    AnalysisError
        If there is one speaker only.

    Example
    -------
    >>> check_speakers([Item("a", 0.0, 0.1, "AE", ("B", "T"), "ann")], ["within"])
    """
    speakers = {item.speaker for item in items}
    if "across" in tasks and len(speakers) == 1:
        raise AnalysisError(
            f"All {len(items)} items are of one speaker, '{speakers.pop()}', so none "
            "is across speakers. Choose --speakers within."
        )


class Triples:
    """Cells of triples over a list of items, and the pairs of items they compare.

    Arguments
    ---------
    items : list of Item
        The items.
    task : str
        "within" or "across".
    by_context : bool
        Whether the three items have the same context, or any.
    seed : int
        Seed of the choice where there are more items or speakers than the limits.
    most_items, most_speakers : int
        The limits.

    Attributes
    ----------
    pairs : numpy.ndarray
        [pairs, 2], X and the item that it is compared with.
    blocks : numpy.ndarray
        [pairs], ascending: the number of the speaker and the context of that item.
    number : int
        Number of triples.

    Raises
    ------
    AnalysisError
        If there are no triples.

    Note
    ----
    libri-light draws the items of a large cell again for each pair of phones. Here they
    are drawn once, so that a distance is computed once. Without a draw the
    errors are equal.

    Example
    -------
    >>> phones = ("AE", "AE", "IH")
    >>> items = [Item("u", 0, 1, phone, ("K", "T"), "mo") for phone in phones]
    >>> triples = Triples(items, "within")
    >>> triples.pairs.tolist(), triples.number
    ([[0, 1], [0, 2], [1, 2]], 2)
    >>> triples.error(numpy.array([0.1, 0.3, 0.05]))  # the second X is nearer to B
    0.5
    """

    def __init__(
        self,
        items: Sequence[Item],
        task: str,
        by_context: bool = True,
        seed: int = 0,
        most_items: int = MOST_ITEMS,
        most_speakers: int = MOST_SPEAKERS,
    ):
        for limit, value in (
            ("most_items", most_items),
            ("most_speakers", most_speakers),
        ):
            if value < 1:
                raise AnalysisError(f"{limit} is 1 or more, not {value}.")
        self.task, self.random = task, numpy.random.default_rng(seed)
        self.most_items, self.most_speakers = most_items, most_speakers
        blocks = self._blocks(items, by_context)
        self._saying: dict[tuple, list[str]] = {}  # speakers of a phone in a context
        for (context, speaker), phones in blocks.items():
            for phone in phones:
                self._saying.setdefault((context, phone), []).append(speaker)
        # {(X, A, B in a cell): (keys of X and A, keys of X and B, numbers of cells)}
        self._shapes: dict[tuple, tuple[list, list, list]] = {}
        self._coordinates = []  # speaker, A, B of each cell
        self.number = 0
        for place, phones in blocks.items():
            if len(phones) > 1:
                for phone in phones:
                    self._add(blocks, place, phone, len(items))
        if not self._coordinates:
            check_speakers(items, [task])
            raise AnalysisError(
                f"{len(items)} items have no triple {task} speakers: two items of one "
                "phone and one of another"
                + (" in the same context. " if by_context else ". ")
                + ("Raise --most_items, or give" if most_items == 1 else "Give")
                + " more audio"
                + (", or --context none." if by_context else ".")
            )
        block_of = numpy.zeros(len(items), dtype=numpy.int64)
        for number, phones in enumerate(blocks.values()):
            for rows in phones.values():
                block_of[rows] = number
        self._number_pairs(block_of)

    def _blocks(self, items, by_context):
        """Returns {(context, speaker): {phone: numbers of items}}, limited."""
        blocks: dict[tuple, dict[str, list[int]]] = {}
        for number, item in enumerate(items):
            place = (item.context if by_context else None, item.speaker)
            blocks.setdefault(place, {}).setdefault(item.phone, []).append(number)
        for phones in blocks.values():
            for phone, rows in phones.items():
                phones[phone] = self._some(rows, self.most_items)
        return blocks

    def _some(self, values, most):
        if len(values) <= most:
            return values
        chosen = self.random.choice(len(values), most, replace=False)
        return [values[i] for i in sorted(chosen)]

    def _add(self, blocks, place, phone, items):
        """Adds the cells whose A is a phone of a speaker in a context."""
        same = numpy.array(blocks[place][phone])
        others = [(b, rows) for b, rows in blocks[place].items() if b != phone]
        for rows in self._sets_of_x(blocks, place, phone):
            x = numpy.array(rows)[:, None]
            near = x * items + same
            if self.task == "within":  # the pair in the order of the list
                near = numpy.minimum(near, same * items + x)
                numpy.fill_diagonal(near, NONE)
            for b, other in others:
                far = x * items + numpy.array(other)
                shape = (*near.shape, len(other))
                cells = self._shapes.setdefault(shape, ([], [], []))
                for values, value in zip(cells, (near, far, len(self._coordinates))):
                    values.append(value)
                self._coordinates.append((place[1], phone, b))
                self.number += int((near != NONE).sum()) * len(other)

    def _sets_of_x(self, blocks, place, phone):
        context, speaker = place
        if self.task == "within":
            rows = blocks[place][phone]
            return [rows] if len(rows) > 1 else []
        others = [who for who in self._saying[context, phone] if who != speaker]
        chosen = self._some(others, self.most_speakers)
        return [blocks[context, who][phone] for who in chosen]

    def _number_pairs(self, block_of):
        """Replaces the keys of pairs in the cells by their numbers in `pairs`."""
        items = len(block_of)
        keys = [key.ravel() for s in self._shapes.values() for k in s[:2] for key in k]
        unique = numpy.unique(numpy.concatenate(keys))
        unique = unique[unique != NONE]
        order = numpy.argsort(block_of[unique % items], kind="stable")
        self.pairs = numpy.stack([unique // items, unique % items], axis=1)[order]
        self.blocks = block_of[self.pairs[:, 1]]
        numbers = numpy.empty(len(unique) + 1, dtype=numpy.int64)
        numbers[order] = numpy.arange(len(unique))
        numbers[-1] = len(unique)  # an item paired with itself
        self._cells = []
        for near, far, cells in self._shapes.values():
            near, far = numpy.stack(near), numpy.stack(far)
            places = numpy.searchsorted(unique, near)
            places[near == NONE] = len(unique)
            far = numbers[numpy.searchsorted(unique, far)]
            self._cells.append((numbers[places], far, numpy.array(cells)))
        self._shapes.clear()
        speakers, first, second = zip(*self._coordinates)
        phones = numpy.unique([*first, *second])
        speakers = numpy.unique(speakers, return_inverse=True)[1]
        first, second = (numpy.searchsorted(phones, each) for each in (first, second))
        self._phones, self._square = phones, len(phones) ** 2
        self._places = speakers * self._square + first * len(phones) + second

    def errors(self, distances: numpy.ndarray) -> numpy.ndarray:
        """Returns the share of wrong triples in each cell.

        Arguments
        ---------
        distances : numpy.ndarray
            [pairs], from X to the other item. An equal distance is half an error.

        Returns
        -------
        numpy.ndarray
            [cells], float64.
        """
        distances = numpy.append(distances, numpy.inf)  # last: an item and itself
        errors = numpy.empty(len(self._coordinates))
        for near, far, cells in self._cells:
            size = near[0].size * far.shape[2]
            count = (near[0] < len(distances) - 1).sum() * far.shape[2]
            for start in range(0, len(cells), max(1, COMPARISONS // size)):
                part = slice(start, start + max(1, COMPARISONS // size))
                to_a = distances[near[part]][..., None]
                to_b = distances[far[part]][:, :, None]
                right = (to_a < to_b).sum((1, 2, 3)) + (to_a == to_b).sum((1, 2, 3)) / 2
                errors[cells[part]] = 1 - right / count
        return errors

    def error(self, distances: numpy.ndarray) -> float:
        """Returns the mean error: over contexts, then speakers, then pairs of phones.

        Arguments
        ---------
        distances : numpy.ndarray
            [pairs], see :meth:`errors`. In the across task the speakers of X count
            like contexts.

        Returns
        -------
        float
            From 0 to 1; 0.5 by chance.
        """
        return float(numpy.mean(list(self.by_phones(distances).values())))

    def by_phones(self, distances: numpy.ndarray) -> dict[tuple[str, str], float]:
        """Returns the mean error of each pair of phones, over contexts and speakers.

        Arguments
        ---------
        distances : numpy.ndarray
            [pairs], see :meth:`errors`.

        Returns
        -------
        dict
            A and B, the phone of X and the other one, to errors.
        """
        by_speaker, groups = _means(self.errors(distances), self._places)
        by_phones, pairs = _means(by_speaker, groups % self._square)
        names = zip(*divmod(pairs, len(self._phones)))
        return {
            (str(self._phones[a]), str(self._phones[b])): float(error)
            for (a, b), error in zip(names, by_phones)
        }


def _means(values, groups):
    """Returns the mean of each group of values, and the groups."""
    unique, places, counts = numpy.unique(
        groups, return_inverse=True, return_counts=True
    )
    return numpy.bincount(places, values) / counts, unique
