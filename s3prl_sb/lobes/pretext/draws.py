"""Random numbers of pre-training, as functions of (seed, epoch, row).

Masks, negatives, crops and noise of an example do not depend on the batch, the number
of processes or workers, or an interruption: each comes from a generator of its own,
whose counter is the epoch and the row of the example.

Authors
 * The s3prl_sb developers, 2026
"""

import hashlib
from collections.abc import Sequence

import numpy


def generator(seed: int, epoch: int, row: int, purpose: str) -> numpy.random.Generator:
    """Returns the generator of an example for a purpose.

    Arguments
    ---------
    seed : int
        Seed of the run.
    epoch : int
        Number of the pass over the data; 0 in validation.
    row : int
        Number of the example in its list.
    purpose : str
        The use of the numbers, such as "mask"; purposes are independent.

    Returns
    -------
    numpy.random.Generator

    Example
    -------
    >>> a, b = (generator(0, 1, 7, "mask").random() for _ in range(2))
    >>> a == b, a == generator(0, 1, 7, "crop").random()
    (True, False)
    """
    key = hashlib.blake2b(f"{seed}|{purpose}".encode(), digest_size=16).digest()
    words = numpy.frombuffer(key, numpy.uint64)
    return numpy.random.Generator(
        numpy.random.Philox(counter=[0, 0, epoch, row], key=words)
    )


class Draws:
    """Random numbers of the examples of a batch.

    Arguments
    ---------
    seed : int
        Seed of the run.
    epochs : list of int
        Pass of each example.
    rows : list of int
        Row of each example.

    Example
    -------
    >>> draws = Draws(0, epochs=[1, 1], rows=[3, 5])
    >>> alone = Draws(0, epochs=[1], rows=[5])
    >>> draws.of(1, "mask").random() == alone.of(0, "mask").random()
    True
    """

    def __init__(self, seed: int, epochs: Sequence[int], rows: Sequence[int]):
        self.seed, self.epochs, self.rows = seed, list(epochs), list(rows)

    def __len__(self) -> int:
        return len(self.rows)

    def of(self, index: int, purpose: str) -> numpy.random.Generator:
        """Returns the generator of an example of the batch for a purpose."""
        return generator(self.seed, self.epochs[index], self.rows[index], purpose)
