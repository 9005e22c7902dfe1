"""Many short texts in two arrays.

A million Python strings take 116 MB, and each forked worker copies them page by page;
the arrays can be memory-mapped.

Authors
 * The s3prl_sb developers, 2026
"""

import os
from collections.abc import Iterable, Sequence

import numpy


class Texts:
    """A list of byte strings, one after another in an array.

    Arguments
    ---------
    blob : numpy.ndarray
        [bytes], uint8.
    offsets : numpy.ndarray
        [texts + 1], int64: first byte of each text, and the end of the last.

    Example
    -------
    >>> texts = Texts.of(["a.wav", "b/c.wav"])
    >>> len(texts), texts[1], list(texts.select(numpy.array([False, True])))
    (2, 'b/c.wav', ['b/c.wav'])
    """

    def __init__(self, blob: numpy.ndarray, offsets: numpy.ndarray):
        self.blob, self.offsets = blob, offsets

    @classmethod
    def of(cls, texts: Iterable[str | bytes]) -> "Texts":
        """Makes the arrays from texts; paths may hold bytes that are not UTF-8."""
        encoded = [os.fsencode(text) for text in texts]
        offsets = numpy.zeros(len(encoded) + 1, numpy.int64)
        numpy.cumsum([len(text) for text in encoded], out=offsets[1:])
        return cls(numpy.frombuffer(b"".join(encoded), numpy.uint8), offsets)

    @classmethod
    def joined(cls, parts: Sequence["Texts"]) -> "Texts":
        """Returns the texts of several lists as one."""
        lengths = [numpy.diff(part.offsets) for part in parts]
        offsets = numpy.zeros(sum(map(len, lengths)) + 1, numpy.int64)
        numpy.cumsum(numpy.concatenate(lengths), out=offsets[1:])
        return cls(numpy.concatenate([part.blob for part in parts]), offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> str:
        return os.fsdecode(self.encoded(index))

    def encoded(self, index: int) -> bytes:
        """Returns the bytes of a text."""
        start, stop = self.offsets[index], self.offsets[index + 1]
        return self.blob[start:stop].tobytes()

    def select(self, chosen: numpy.ndarray) -> "Texts":
        """Returns some of the texts.

        Arguments
        ---------
        chosen : numpy.ndarray
            [texts], bool.

        Returns
        -------
        Texts
        """
        lengths = numpy.diff(self.offsets)
        offsets = numpy.zeros(int(chosen.sum()) + 1, numpy.int64)
        numpy.cumsum(lengths[chosen], out=offsets[1:])
        return Texts(self.blob[numpy.repeat(chosen, lengths)], offsets)
