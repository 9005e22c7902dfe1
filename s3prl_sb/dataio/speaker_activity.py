"""Conversion between speaker segments and frame labels of diarization.

Frame ``f`` covers the time from ``f`` to ``f + 1`` frame shifts; the frame shift is
the upstream's stride. The start and the end of a segment are rounded to frames.

Authors
 * The s3prl_sb developers, 2026
"""

import numpy as np
import torch

from s3prl_sb.dataio.dataset import Pipe, loses_times
from s3prl_sb.dataio.manifest import Records
from s3prl_sb.dataio.pipes import ChangeSpeed, RandomCrop, UnfoldChunks
from s3prl_sb.dataio.time_map import TimeMap
from s3prl_sb.errors import ManifestError, UserError

UNKNOWN = -1.0  # label of an unannotated frame
#: File of a run: the probabilities of each recording, [frames, speakers].
PROBABILITIES = "probabilities.safetensors"


class UnfoldFrames(UnfoldChunks):
    """Cuts every recording into chunks of a number of frame shifts.

    Arguments
    ---------
    frames : int
        Length of a chunk in frame shifts.
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        Upstream whose stride is the frame shift.

    Example
    -------
    >>> from s3prl_sb.lobes.upstreams import load
    >>> UnfoldFrames(2000, load("fbank")).seconds
    20.0
    """

    def __init__(self, frames, upstream):
        super().__init__(seconds=frames * upstream.stride / upstream.sample_rate)


class SpeakerActivity(Pipe):
    """Labels of diarization: item ``activity``, [frames, speakers] of 0 and 1.

    Frames outside the annotated ``regions`` are -1. Records have the format of
    :mod:`s3prl_sb.corpora.recordings`; they may be the chunks of
    :class:`~s3prl_sb.dataio.pipes.UnfoldChunks`, with the segments of the recording.
    A speaker has the same column in all chunks of a recording. Labels follow crops and
    changes of speed, see :class:`~s3prl_sb.dataio.time_map.TimeMap`.

    Arguments
    ---------
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        Upstream that determines the number of frames.
    num_speakers : int
        Number of columns, and maximum number of speakers in a recording.

    Note
    ----
    In S3PRL a segment that begins before a chunk and ends after it is silence there.
    Here it is speech.

    Example
    -------
    >>> from s3prl_sb.dataio.dataset import ManifestDataset
    >>> from s3prl_sb.lobes.upstreams import load
    >>> record = {"start": None, "stop": None, "duration": 0.1, "regions": None}
    >>> record.update(speakers=["ann"], segments=[["ann", 0.02, 0.05]])
    >>> pipe = SpeakerActivity(load("fbank"), num_speakers=2)
    >>> ManifestDataset({"a": record}, [pipe], ["activity"])[0]["activity"].T.int()
    tensor([[0, 0, 1, 1, 1, 0, 0, 0],
            [0, 0, 0, 0, 0, 0, 0, 0]], dtype=torch.int32)
    """

    def __init__(self, upstream, num_speakers):
        self.frames, self.sample_rate = upstream.frames, upstream.sample_rate
        self.stride = upstream.stride
        self.num_speakers = num_speakers

    def add_to(self, dataset):
        """Adds the item ``activity``."""
        check_speakers(dataset.data, self.num_speakers)
        check_times(dataset.pipes)
        # SpeechBrain needs the names of all keys
        keys = ["duration", "start", "segments", "speakers", "regions", "time_map"]
        dataset.add_dynamic_item(self.label, keys, "activity")

    def label(self, duration, start, segments, speakers, regions, time_map=None):
        """Returns the labels of a recording, or of its chunk at ``start``, or of what
        pipes have made of it, as ``time_map`` says."""
        time_map = time_map or TimeMap.whole(duration)
        frames = self.frames(time_map.samples(self.sample_rate))
        start = start or 0.0
        labels = torch.zeros(frames, self.num_speakers)
        for speaker, *limits in segments:
            span = self._span(limits, start, time_map)
            labels[span, speakers.index(speaker)] = 1
        if regions is not None:
            annotated = torch.zeros(frames, dtype=torch.bool)
            for limits in regions:
                annotated[self._span(limits, start, time_map)] = True
            labels[~annotated] = UNKNOWN
        return labels

    def _span(self, limits, start, time_map):
        # In whole samples first: times are decimals, and half a frame is a tie
        times = (time_map.heard(limit - start) for limit in limits)
        samples = (round(time * self.sample_rate) for time in times)
        first, last = (round(sample / self.stride) for sample in samples)
        return slice(max(first, 0), max(last, 0))


def check_speakers(records: Records, num_speakers: int) -> None:
    """Checks that no recording has more speakers than there are tracks.

    Arguments
    ---------
    records : dict
        ``{id: record}``.
    num_speakers : int
        Number of tracks.

    Raises
    ------
    ManifestError
        Names a recording with more.
    """
    for name, record in records.items():
        count = len(record["speakers"] or ())
        if count > num_speakers:
            raise ManifestError(
                f"'{name}' has {count} speakers ({', '.join(record['speakers'])}): "
                f"set num_speakers, now {num_speakers}, to the most that a "
                "recording has."
            )


def check_times(pipes):
    """Checks that labels can follow what pipes do to the time.

    Arguments
    ---------
    pipes : list of callable
        Pipes of a dataset.

    Raises
    ------
    ManifestError
        If a crop or a change of speed meets a pipe with an unknown effect.
    """
    moving = [pipe for pipe in pipes if isinstance(pipe, (RandomCrop, ChangeSpeed))]
    losing = [pipe for pipe in pipes if loses_times(pipe)]
    if moving and losing:
        name = getattr(losing[0], "__name__", type(losing[0]).__name__)
        raise ManifestError(
            f"The labels cannot follow {type(moving[0]).__name__} in time, since the "
            f"pipe {name} may move samples too: set its attribute `timed` to True if "
            "it does not, or leave out one of the two."
        )


class MedianError(UserError, ValueError):
    """Invalid width of a median filter."""


def check_median(width):
    """Checks the width of a median filter.

    Arguments
    ---------
    width : int
        Width in frames.

    Raises
    ------
    MedianError
        If it is even or not positive.
    """
    if width < 1 or width % 2 == 0:
        raise MedianError(f"median {width}: the width of the filter must be odd")


def decide(probabilities, threshold=0.5, median=1):
    """Decides who speaks in each frame.

    Arguments
    ---------
    probabilities : torch.Tensor or numpy.ndarray
        [frames, speakers].
    threshold : float
        A speaker is active above it.
    median : int
        Width of the median filter over the decisions in frames, odd; 1 for none. The
        filter assumes silence outside the recording.

    Returns
    -------
    numpy.ndarray
        [frames, speakers], bool.

    Example
    -------
    >>> probabilities = np.array([[0.9, 0.9, 0.1, 0.9, 0.9, 0.1, 0.1, 0.9, 0.1]]).T
    >>> decide(probabilities, median=3).T.astype(int)
    array([[1, 1, 1, 1, 1, 0, 0, 0, 0]])
    """
    check_median(median)
    active = np.asarray(probabilities) > threshold
    if median == 1:
        return active
    half = median // 2
    # The median of ones and zeros is their majority
    sums = np.cumsum(np.pad(active, ((half + 1, half), (0, 0))), axis=0, dtype=np.int64)
    return sums[median:] - sums[:-median] > half


def segments(active, shift, duration, names=None):
    """Converts decisions to the segments of each speaker.

    Arguments
    ---------
    active : numpy.ndarray
        [frames, speakers], bool.
    shift : float
        Frame shift in seconds.
    duration : float
        Length of the recording in seconds; the last frame ends there.
    names : list of str, optional
        Names of the columns. Default: "speaker1", "speaker2", …

    Returns
    -------
    list of (str, float, float)
        Name, start and stop, sorted by start.

    Example
    -------
    >>> active = np.array([[1, 1, 0, 0], [0, 1, 1, 1]], dtype=bool).T
    >>> segments(active, shift=0.5, duration=2.2)
    [('speaker1', 0.0, 1.0), ('speaker2', 0.5, 2.2)]
    """
    result, frames = [], len(active)
    names = names or [f"speaker{number}" for number in range(1, active.shape[1] + 1)]
    for name, column in zip(names, active.T):
        edges = np.flatnonzero(np.diff(column, prepend=False, append=False))
        for first, last in edges.reshape(-1, 2).tolist():
            start = min(first * shift, duration)
            stop = duration if last == frames else min(last * shift, duration)
            if start < stop:
                result.append((name, round(start, 6), round(stop, 6)))
    return sorted(result, key=lambda segment: (segment[1], segment[0]))
