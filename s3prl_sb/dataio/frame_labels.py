"""Labels of frames, from segments with times or from the label of an utterance.

Authors
 * The s3prl_sb developers, 2026
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from s3prl_sb.dataio.dataset import ManifestDataset, Pipe
from s3prl_sb.dataio.label_files import OVERLAP
from s3prl_sb.dataio.speaker_activity import check_times, segments
from s3prl_sb.dataio.time_map import TimeMap
from s3prl_sb.errors import ManifestError
from s3prl_sb.lobes.time_alignment import CLOSE, count_frames

if TYPE_CHECKING:
    from s3prl_sb.lobes.upstreams.base import Upstream

UNKNOWN = -1  # label of an unannotated frame


class FrameLabels(Pipe):
    """Labels of frames: item ``frame_labels``.

    It is int64 [frames], or float32 [frames, labels] of 0 and 1 for a multi-label task.
    Frame ``i`` covers the time from ``i`` to ``i + 1`` frame lengths and has the label
    at its centre. It is :data:`UNKNOWN` where no segment lies, for a multi-label task
    where no region lies.

    Records have ``segments``, [[label, start, stop], …] in seconds from the start of
    the utterance, and optionally ``regions``, [[start, stop], …] that are annotated, or
    null for all of it. Records without segments have ``label``, which holds in every
    frame. The utterances may be cut into the chunks of
    :class:`~s3prl_sb.dataio.pipes.UnfoldChunks`. Labels follow crops and changes of
    speed, see :class:`~s3prl_sb.dataio.time_map.TimeMap`.

    Arguments
    ---------
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        Upstream whose features are classified.
    labels : list of str
        All labels, in the order of their indices.
    frame_seconds : float, optional
        Length of a frame, whatever the stride of the upstream. Default: that stride,
        and as many frames as the upstream has.
    multi_label : bool
        Whether a frame may have any number of labels.

    Example
    -------
    >>> from s3prl_sb.lobes.upstreams import load
    >>> record = {"start": None, "stop": None, "duration": 0.06}
    >>> record["segments"] = [["ah", 0.01, 0.03], ["t", 0.03, 0.052]]
    >>> pipe = FrameLabels(load("fbank"), ["ah", "t"], frame_seconds=0.01)
    >>> ManifestDataset({"a": record}, [pipe], ["frame_labels"])[0]["frame_labels"]
    tensor([-1,  0,  0,  1,  1, -1])
    """

    def __init__(
        self,
        upstream: "Upstream",
        labels: Sequence[str],
        frame_seconds: float | None = None,
        multi_label: bool = False,
    ):
        self.sample_rate = upstream.sample_rate
        self.upstream_frames = upstream.frames if frame_seconds is None else None
        self.frame_seconds = frame_seconds or upstream.stride / upstream.sample_rate
        self.numbers = {label: number for number, label in enumerate(labels)}
        self.multi_label = multi_label

    def add_to(self, dataset: ManifestDataset) -> None:
        """Checks the segments, and adds the item ``frame_labels``."""
        keys = ["duration", "time_map"]
        if "segments" not in dataset.columns:
            dataset.add_dynamic_item(self.whole, ["label", *keys], "frame_labels")
            return
        check_times(dataset.pipes)
        if not self.multi_label:
            for name, record in dataset.data.items():
                _check_overlaps(name, record["segments"])
        is_cut = "chunk_start" in dataset.provided
        takes = ["segments", *keys] + ["chunk_start"] * is_cut
        takes += ["regions"] * ("regions" in dataset.columns)
        make = self.chunk if is_cut else self.utterance
        dataset.add_dynamic_item(make, takes, "frame_labels")

    def whole(
        self, label: str, duration: float, time_map: TimeMap | None = None
    ) -> torch.Tensor:
        """Returns the labels of an utterance with one label."""
        frames = self.frames((time_map or TimeMap(duration)).duration)
        return self._filled(frames, [(label, slice(0, frames))], [slice(0, frames)])

    def utterance(
        self,
        annotation: Sequence,
        duration: float,
        time_map: TimeMap | None = None,
        regions: Sequence | None = None,
    ) -> torch.Tensor:
        """Returns the labels of an utterance with segments, of what pipes have made of
        it, as ``time_map`` says."""
        return self.chunk(annotation, duration, time_map, 0.0, regions)

    def chunk(
        self,
        annotation: Sequence,
        duration: float,
        time_map: TimeMap | None = None,
        start: float = 0.0,
        regions: Sequence | None = None,
    ) -> torch.Tensor:
        """Returns the labels of a chunk that begins ``start`` seconds after the start
        of its utterance."""
        time_map = time_map or TimeMap(duration)
        frames = self.frames(time_map.duration)
        spans = [(s[0], self._span(s[1:], start, time_map)) for s in annotation]
        annotated = [slice(0, frames)]
        if regions is not None:
            annotated = [self._span(limits, start, time_map) for limits in regions]
        return self._filled(frames, spans, annotated)

    def frames(self, seconds: float) -> int:
        """Returns the number of label frames.

        Arguments
        ---------
        seconds : float
            Duration of the waveform.

        Returns
        -------
        int
        """
        if self.upstream_frames is not None:
            return self.upstream_frames(TimeMap(seconds).samples(self.sample_rate))
        return count_frames(seconds, self.frame_seconds)

    def is_labelled(self, record: Mapping[str, Any]) -> bool:
        """Returns whether an utterance has a label in one of its frames or more.

        Arguments
        ---------
        record : dict
            Record of the utterance, with ``duration``, and ``segments`` or ``label``.

        Returns
        -------
        bool
        """
        frames, time_map = self.frames(record["duration"]), TimeMap(record["duration"])
        spans = (self._span(s[1:], 0.0, time_map) for s in record.get("segments", ()))
        is_whole = "segments" not in record
        return is_whole or any(s.start < min(s.stop, frames) for s in spans)

    def _filled(self, frames, spans, annotated):
        """Returns labels of the (label, frames) pairs, in the annotated frames."""
        size = (frames, len(self.numbers)) if self.multi_label else (frames,)
        labels = torch.full(size, 0 if self.multi_label else UNKNOWN)
        for label, span in spans:
            if self.multi_label:
                labels[span, self.numbers[label]] = 1
            else:
                labels[span] = self.numbers[label]
        unknown = torch.ones(frames, dtype=torch.bool)
        for span in annotated:
            unknown[span] = False
        labels[unknown] = UNKNOWN
        return labels.float() if self.multi_label else labels

    def _span(self, limits, start, time_map):
        """Returns the frames whose centres lie between two times of the utterance."""
        # In whole samples first: times are decimals, and a centre may be a limit
        samples = [
            round(time_map.heard(limit - start) * self.sample_rate) for limit in limits
        ]
        size = self.frame_seconds * self.sample_rate
        first, last = (math.ceil(sample / size - 0.5 - CLOSE) for sample in samples)
        return slice(max(first, 0), max(last, 0))


def _check_overlaps(name: str, segments: Sequence) -> None:
    """Checks that an utterance has at most one label at each time."""
    ordered = sorted(segments, key=lambda segment: segment[1])
    for (label, _, stop), (other, start, _) in zip(ordered, ordered[1:]):
        if start < stop - OVERLAP:
            raise ManifestError(
                f"'{name}': the segment of '{label}' until {stop} s and that of "
                f"'{other}' from {start} s overlap, and a frame has one label. Correct "
                "the times, or leave out the utterance."
            )


def labels_of(records: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """Returns the labels that occur in records.

    Arguments
    ---------
    records : dict
        ``{id: record}`` with ``segments`` or ``label``.

    Returns
    -------
    set of str

    Example
    -------
    >>> sorted(labels_of({"a": {"segments": [["t", 0, 1], ["ah", 1, 2]]}}))
    ['ah', 't']
    """
    if all("segments" in record for record in records.values()):
        return {s[0] for record in records.values() for s in record["segments"]}
    return {record["label"] for record in records.values()}


def frame_segments(
    active: torch.Tensor, frame_seconds: float, labels: Sequence[str], seconds: float
) -> list[tuple[str, float, float]]:
    """Returns the segments of labels that hold in frames.

    Arguments
    ---------
    active : torch.Tensor
        [frames, labels], bool.
    frame_seconds : float
        Length of a frame.
    labels : list of str
        Names of the labels.
    seconds : float
        Duration of the audio, which may end within the last frame.

    Returns
    -------
    list of (str, float, float)
        Label, start and stop in seconds, sorted by start.

    Example
    -------
    >>> frame_segments(torch.eye(2).bool(), 0.01, ["ah", "t"], seconds=0.018)
    [('ah', 0.0, 0.01), ('t', 0.01, 0.018)]
    """
    duration = min(len(active) * frame_seconds, seconds)
    return segments(active.numpy(), frame_seconds, duration, list(labels))
