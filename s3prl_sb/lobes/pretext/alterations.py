"""Alterations of frames, which a network learns to undo.

Each one maps the frames of an utterance and a generator to altered frames, and to a
label of what should be reconstructed. YAML combines them in a list. The numbers are
those of S3PRL's ``pretrain/mockingjay/task.py`` and ``pretrain/spec_augment/task.py``.

Papers: Liu et al., "Mockingjay", https://arxiv.org/abs/1910.12638; Liu et al., "TERA",
https://arxiv.org/abs/2007.06028; Park et al., "SpecAugment",
https://arxiv.org/abs/1904.08779.

Note: S3PRL never draws the last place of a span or of a band, so that it never masks
the last frame, and never the highest bin of a spectrogram. Here all places are
equally likely.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Sequence

import numpy
import torch

from s3prl_sb.lobes.pretext.arguments import ArgumentError, require, trying

#: Altered frames [frames, size]; and their label [frames, size], bool. None: the
#: alteration says nothing about what should be reconstructed.
Altered = tuple[torch.Tensor, torch.Tensor | None]


class Alteration:
    """Base class of alterations, a function of an utterance and random numbers."""

    def __call__(self, x: torch.Tensor, generator: numpy.random.Generator) -> Altered:
        """Returns altered frames.

        Arguments
        ---------
        x : torch.Tensor
            [frames, size], frames of one utterance; they are not changed.
        generator : numpy.random.Generator
            Random numbers of the utterance.

        Returns
        -------
        altered : torch.Tensor
            [frames, size].
        label : torch.Tensor or None
            [frames, size], bool: what should be reconstructed.
        """
        raise NotImplementedError


class TimeMask(Alteration):
    """Masks spans of frames, like BERT masks words.

    One draw an utterance decides whether its spans become zero, become other spans
    of the utterance, or stay as they are. They should be reconstructed in any case.

    Arguments
    ---------
    share : float
        Share of the frames in spans, before overlaps.
    length : int
        Number of frames of a span.
    zeroed : float
        Probability of zeros.
    replaced : float
        Probability of other spans.
    overlap : bool
        Draw the starts of spans freely. False: from a grid of 1.5 spans with a random
        offset, so that spans never overlap.

    Example
    -------
    >>> mask = TimeMask(share=0.5, length=2, zeroed=1, replaced=0, overlap=False)
    >>> altered, label = mask(torch.ones(12, 1), numpy.random.default_rng(0))
    >>> altered[:, 0].tolist()
    [1.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 1.0]
    >>> torch.equal(label, altered == 0)
    True
    """

    def __init__(
        self,
        share: float = 0.15,
        length: int = 7,
        zeroed: float = 0.8,
        replaced: float = 0.1,
        overlap: bool = True,
    ):
        require("number", above=0, high=1, share=share)
        require("whole", low=1, length=length)
        require("number", low=0, high=1, zeroed=zeroed, replaced=replaced)
        if zeroed + replaced > 1:
            raise ArgumentError(
                "zeroed and replaced are probabilities, together at most 1; got "
                f"{zeroed} and {replaced}"
            )
        self.share, self.length, self.overlap = share, length, overlap
        self.zeroed, self.replaced = zeroed, replaced

    def __call__(self, x: torch.Tensor, generator: numpy.random.Generator) -> Altered:
        """See :class:`Alteration`."""
        frames = len(x)
        length = min(self.length, frames)
        count = round(frames * self.share / self.length)
        last = frames - length  # last place of a span
        if self.overlap:
            starts = generator.permutation(last + 1)[:count]
        else:
            offset = generator.integers(0, min(length, last), endpoint=True)
            grid = numpy.arange(offset, last + 1, round(length * 1.5))
            starts = generator.permutation(grid)[:count]
        rows = within(starts, length)
        dice = generator.random()
        source = numpy.arange(frames)
        if self.zeroed <= dice < self.zeroed + self.replaced:
            others = generator.permutation(last + 1)[: len(starts)]
            source[rows] = within(others, length)
            x = x[torch.from_numpy(source).to(x.device)]
        label = marked(frames, rows).to(x.device)[:, None]
        if dice < self.zeroed:
            x = x.masked_fill(label, 0.0)
        return x, label.expand_as(x)


class LongTimeMask(Alteration):
    """Zeroes a few spans of random length, like SpecAugment.

    An utterance of at most ``longest`` frames stays as it is.

    Arguments
    ---------
    longest : int
        Maximum number of frames of a span; lengths are uniform from 0.
    count : int
        Number of spans.

    Note
    ----
    S3PRL draws the place of a span over the padded batch, so that spans may be lost
    in padding, and counts the padding that they cover in the loss.

    Example
    -------
    >>> mask = LongTimeMask(longest=3, count=1)
    >>> altered, label = mask(torch.ones(8, 2), numpy.random.default_rng(7))
    >>> altered[:, 0].tolist()
    [1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0]
    """

    def __init__(self, longest: int = 100, count: int = 2):
        require("whole", low=1, longest=longest, count=count)
        self.longest, self.count = longest, count

    def __call__(self, x: torch.Tensor, generator: numpy.random.Generator) -> Altered:
        """See :class:`Alteration`."""
        masked = numpy.zeros(len(x), bool)
        for _ in range(self.count if len(x) > self.longest else 0):
            masked[band(len(x), self.longest, generator)] = True
        label = torch.from_numpy(masked).to(x.device)[:, None]
        return x.masked_fill(label, 0.0), label.expand_as(x)


class FrequencyMask(Alteration):
    """Zeroes bands of neighbouring bins in all frames.

    Arguments
    ---------
    widest : int or float
        Maximum width of a band in bins; below 1: as a share of the bins. Widths are
        uniform from 0.
    count : int
        Number of bands.

    Example
    -------
    >>> mask = FrequencyMask(widest=0.5)
    >>> altered, label = mask(torch.ones(3, 8), numpy.random.default_rng(1))
    >>> altered[0].tolist(), torch.equal(label, altered == 0)
    ([1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 1.0], True)
    """

    def __init__(self, widest: float = 0.2, count: int = 1):
        require("number", above=0, widest=widest)
        require("whole", low=1, count=count)
        self.widest, self.count = widest, count

    def __call__(self, x: torch.Tensor, generator: numpy.random.Generator) -> Altered:
        """See :class:`Alteration`."""
        size = x.shape[1]
        widest = int(size * self.widest if self.widest < 1 else self.widest)
        masked = numpy.zeros(size, bool)
        for _ in range(self.count):
            masked[band(size, min(widest, size), generator)] = True
        label = torch.from_numpy(masked).to(x.device)[None, :]
        return x.masked_fill(label, 0.0), label.expand_as(x)


class MagnitudeNoise(Alteration):
    """Adds normal noise to all frames of some utterances.

    It labels nothing: without a mask beside it, everything should be reconstructed.

    Arguments
    ---------
    probability : float
        Probability that an utterance is noisy.
    std : float
        Standard deviation of the noise.

    Note
    ----
    S3PRL draws once for a whole batch, here each utterance has a draw.

    Example
    -------
    >>> noise = MagnitudeNoise(probability=1)
    >>> altered, label = noise(torch.zeros(1000, 80), numpy.random.default_rng(0))
    >>> f"{altered.std():.2f}", label
    ('0.20', None)
    """

    def __init__(self, probability: float = 0.15, std: float = 0.2):
        require("number", above=0, high=1, probability=probability)
        require("number", above=0, std=std)
        self.probability, self.std = probability, std

    def __call__(self, x: torch.Tensor, generator: numpy.random.Generator) -> Altered:
        """See :class:`Alteration`."""
        if generator.random() >= self.probability:
            return x, None
        noise = generator.standard_normal(x.shape, numpy.float32)
        return x + self.std * torch.from_numpy(noise).to(x), None


def checked_alterations(alterations: Sequence[Alteration]) -> list[Alteration]:
    """Returns a list of alterations after a trial on a few frames.

    Arguments
    ---------
    alterations : list of Alteration
        Alterations.

    Returns
    -------
    list of Alteration

    Raises
    ------
    ArgumentError
        If it is no list, or one of them does not alter frames.

    Example
    -------
    >>> checked_alterations([TimeMask(), 3])
    Traceback (most recent call last):
    ...
    s3prl_sb.lobes.pretext.arguments.ArgumentError: alterations: 'int' object is not …
    """
    example = f"{__name__}.TimeMask"
    if isinstance(alterations, str) or not isinstance(alterations, Sequence):
        raise ArgumentError(
            f"alterations is a list of objects such as !new:{example}, not "
            f"{alterations!r}."
        )
    random = numpy.random.default_rng(0)
    for alteration in alterations:
        trying(
            lambda a: altered(torch.ones(8, 8), [a], random),
            example,
            alterations=alteration,
        )
    return list(alterations)


def altered(
    x: torch.Tensor,
    alterations: Sequence[Alteration],
    generator: numpy.random.Generator,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Applies alterations one after the other.

    Arguments
    ---------
    x : torch.Tensor
        [frames, size], frames of one utterance.
    alterations : list of Alteration
        Alterations, the first one first.
    generator : numpy.random.Generator
        Random numbers of the utterance.

    Returns
    -------
    altered : torch.Tensor
        [frames, size].
    label : torch.Tensor
        [frames, size], bool: what any of them labels; everything if none of them
        labels anything.

    Example
    -------
    >>> masks = [TimeMask(share=0.5, length=2), FrequencyMask(widest=1)]
    >>> _, label = altered(torch.ones(8, 4), masks, numpy.random.default_rng(0))
    >>> label.sum(1).tolist()
    [0, 0, 4, 4, 4, 4, 0, 0]
    """
    labels = []
    for alteration in alterations:
        x, label = alteration(x, generator)
        labels += [] if label is None else [label]
    if not labels:
        return x, torch.ones_like(x, dtype=torch.bool)
    return x, torch.stack(labels).any(0)


def within(starts: numpy.ndarray, length: int) -> numpy.ndarray:
    """Returns the numbers of all frames in spans that start at these frames.

    Arguments
    ---------
    starts : numpy.ndarray
        [spans].
    length : int
        Number of frames of each.

    Example
    -------
    >>> within(numpy.array([7, 2]), 3).tolist()
    [7, 8, 9, 2, 3, 4]
    """
    return (starts[:, None] + numpy.arange(length)).reshape(-1)


def marked(frames: int, rows: numpy.ndarray) -> torch.Tensor:
    """Returns which frames are among the rows, [frames], bool."""
    label = numpy.zeros(frames, bool)
    label[rows] = True
    return torch.from_numpy(label)


def band(size: int, widest: int, generator: numpy.random.Generator) -> slice:
    """Returns a random interval of 0 to ``widest`` places out of ``size``."""
    width = int(generator.integers(0, widest, endpoint=True))
    start = int(generator.integers(0, size - width, endpoint=True))
    return slice(start, start + width)
