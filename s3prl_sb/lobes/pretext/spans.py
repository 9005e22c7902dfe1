"""Masks of spans of frames.

Each mask is a function of a number of frames and of a generator: it depends neither on
the other utterances of a batch nor on their padding.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Callable

import numpy

from s3prl_sb.lobes.pretext.arguments import ArgumentError, require, trying

FRAMES = 50  #: frames of the utterance that a mask is tried on
Mask = Callable[[int, numpy.random.Generator], numpy.ndarray]


def checked_mask(mask: Mask) -> Mask:
    """Returns a mask after a trial.

    Arguments
    ---------
    mask : callable
        Function of a number of frames and of a generator.

    Returns
    -------
    callable
        The same.

    Raises
    ------
    ArgumentError
        If it returns anything but [frames], bool.

    Example
    -------
    >>> checked_mask(3)
    Traceback (most recent call last):
    ...
    s3prl_sb.lobes.pretext.arguments.ArgumentError: mask: 'int' object is not callable…
    """
    example = f"{__name__}.SpanMask"
    random = numpy.random.default_rng(0)
    tried = trying(lambda mask: mask(FRAMES, random), example, mask=mask)
    is_array = isinstance(tried, numpy.ndarray)
    if not is_array or tried.shape != (FRAMES,) or tried.dtype != bool:
        found = f"{tried.dtype} {list(tried.shape)}" if is_array else repr(tried)
        raise ArgumentError(
            f"mask: it returns {found} for {FRAMES} frames, and not bool [{FRAMES}]. "
            f"Give an object such as !new:{example}."
        )
    return mask


class SpanMask:
    """Spans of equal length at random places, as many as fit the utterance.

    An utterance of T frames gets floor(share * T / length + u) spans, u uniform
    in [0, 1), at distinct places. Spans may overlap: in a long utterance the masked
    part is 1 - (1 - share / length) ** length, 0.49 with the defaults.

    Paper: Baevski et al., https://arxiv.org/abs/2006.11477; also the masks of HuBERT,
    with the share 0.8.

    Arguments
    ---------
    share : float
        Share of the frames that spans would cover if they did not overlap.
    length : int
        Frames of a span. In an utterance of less than two spans they have half its
        frames.
    min_masks : int
        Fewest spans of an utterance.

    Note
    ----
    fairseq's spans never reach the last frame, and it removes masked frames until all
    utterances of a batch have as many as the shortest one. Here the last frame is
    masked as often as the first one, and nothing is removed, except that one frame at
    least stays: an utterance of one frame is not masked.

    Example
    -------
    >>> mask = SpanMask(share=0.65, length=10)
    >>> masked = mask(1000, numpy.random.default_rng(0))
    >>> masked.dtype, masked.shape, bool(0.4 < masked.mean() < 0.6)
    (dtype('bool'), (1000,), True)
    """

    def __init__(self, share: float = 0.65, length: int = 10, min_masks: int = 2):
        require("number", low=0, high=1, share=share)
        require("whole", low=1, length=length)
        require("whole", low=0, min_masks=min_masks)
        self.share, self.length = share, length
        self.min_masks = min_masks

    def __call__(self, frames: int, generator: numpy.random.Generator) -> numpy.ndarray:
        """Returns the mask of an utterance.

        Arguments
        ---------
        frames : int
            Number of frames.
        generator : numpy.random.Generator
            Source of the random numbers.

        Returns
        -------
        numpy.ndarray
            [frames], bool, True where a frame is masked.
        """
        length = min(self.length, max(1, frames // 2))
        places = frames - length + 1
        count = int(self.share * frames / length + generator.random())
        count = min(max(count, self.min_masks), places)
        starts = generator.choice(places, count, replace=False)
        masked = numpy.zeros(frames, bool)
        masked[(starts[:, None] + numpy.arange(length)).ravel()] = True
        if masked.all():
            masked[generator.integers(frames)] = False
        return masked


class BernoulliSpanMask:
    """Spans that start at each frame with the same probability.

    Spans may overlap, and the last ones are cut at the end. The masked share is
    1 - (1 - probability) ** length, 0.33 with the defaults; the first frames are masked
    less, and a short utterance may have no mask.

    Paper: Chiu et al., "Self-supervised Learning with Random-projection Quantizer for
    Speech Recognition", ICML 2022, https://arxiv.org/abs/2202.01855.

    Arguments
    ---------
    probability : float
        Probability that a span starts at a frame.
    length : int
        Frames of a span; 40 frames of 10 ms are the paper's.

    Example
    -------
    >>> masked = BernoulliSpanMask()(10000, numpy.random.default_rng(0))
    >>> bool(0.25 < masked.mean() < 0.4)
    True
    """

    def __init__(self, probability: float = 0.01, length: int = 40):
        require("number", low=0, high=1, probability=probability)
        require("whole", low=1, length=length)
        self.probability, self.length = probability, length

    def __call__(self, frames: int, generator: numpy.random.Generator) -> numpy.ndarray:
        """Returns the mask of an utterance, see :meth:`SpanMask.__call__`."""
        starts = numpy.flatnonzero(generator.random(frames) < self.probability)
        masked = numpy.zeros(frames + self.length, bool)
        masked[(starts[:, None] + numpy.arange(self.length)).ravel()] = True
        return masked[:frames]
