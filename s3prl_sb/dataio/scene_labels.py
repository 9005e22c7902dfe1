"""Labels of scenes on a grid of frames: speakers, words and events.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from s3prl_sb.dataio.dataset import ManifestDataset, Pipe
from s3prl_sb.dataio.frame_labels import UNKNOWN, FrameLabels
from s3prl_sb.dataio.manifest import Records
from s3prl_sb.dataio.speaker_activity import check_speakers, check_times
from s3prl_sb.dataio.time_map import TimeMap
from s3prl_sb.dataio.tokenizers import CharacterTokenizer, Tokenizer
from s3prl_sb.lobes.heads.recognizer import KINDS

if TYPE_CHECKING:
    from s3prl_sb.lobes.upstreams.base import Upstream

#: Special tokens of the words: CTC's blank, and other characters.
SPECIALS = ("<blank>", "<unk>")


class SceneLabels(Pipe):
    """Labels of scenes, see :mod:`s3prl_sb.dataio.scenes` for the records.

    It adds the items

    * ``grid_frames``, the number of frames;
    * ``activity``, [frames, speakers] of 0 and 1, in the order of ``speakers``;
    * ``event_labels``, [frames, labels] of 0 and 1;
    * ``track_words``, the tokens of each speaker's words, a list of lists. Without
      the kind "speakers" there is one track, with all words in the order of time;
    * ``has_words``, whether the words are annotated.

    Labels of frames are -1 where nothing is annotated. They follow crops, chunks and
    changes of speed, see :class:`~s3prl_sb.dataio.time_map.TimeMap`. A word belongs to
    the chunk or crop that its middle lies in.

    Arguments
    ---------
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        Upstream whose features are recognized.
    num_speakers : int
        Number of tracks.
    events : list of str
        Labels of the events, in the order of their columns.
    tokenizer : Tokenizer, optional
        Tokenizer of the words. None: there is no item ``track_words``.
    frame_seconds : float
        Length of a frame.
    kinds : list of str
        Learned kinds, of :data:`~s3prl_sb.lobes.heads.recognizer.KINDS`.

    Example
    -------
    >>> from s3prl_sb.lobes.upstreams import load
    >>> record = {"duration": 0.1, "speakers": ["ann"], "regions": None}
    >>> record["segments"] = [["ann", 0.02, 0.06]]
    >>> record.update(words=[["ann", 0.02, 0.05, "a"]], events=[["dog", 0.0, 0.04]])
    >>> pipe = SceneLabels(load("fbank"), 2, ["dog"], words_tokenizer(["a"]))
    >>> made = pipe({"scene": record})[0]
    >>> made["activity"].T.tolist()
    [[0.0, 1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 0.0]]
    >>> made["event_labels"].flatten().tolist(), made["track_words"]
    ([1.0, 1.0, 0.0, 0.0, 0.0], [[3], []])
    """

    def __init__(
        self,
        upstream: "Upstream",
        num_speakers: int,
        events: Sequence[str],
        tokenizer: Tokenizer | None = None,
        frame_seconds: float = 0.02,
        kinds: Sequence[str] = KINDS,
    ):
        self.num_speakers, self.tokenizer, self.kinds = num_speakers, tokenizer, kinds
        self.by_label = FrameLabels(upstream, events, frame_seconds, True)
        #: Labels of the columns of speakers, whose names differ between recordings.
        columns = list(map(str, range(num_speakers)))
        self.by_speaker = FrameLabels(upstream, columns, frame_seconds, True)

    def add_to(self, dataset: ManifestDataset) -> None:
        """Checks the speakers, and adds the items."""
        if "speakers" in self.kinds:
            check_speakers(dataset.data, self.num_speakers)
        check_times(dataset.pipes)
        times = ["duration", "time_map"]
        times += ["chunk_start"] * ("chunk_start" in dataset.provided)
        dataset.add_dynamic_item(self.count, times, "grid_frames")
        if "speakers" in self.kinds:
            keys = ["segments", "speakers", "regions", *times]
            dataset.add_dynamic_item(self.activity, keys, "activity")
        if "events" in self.kinds:
            keys = ["events", "regions", *times]
            dataset.add_dynamic_item(self.event_labels, keys, "event_labels")
        if "words" in self.kinds:
            keys = ["words", "speakers", *times]
            dataset.add_dynamic_item(self.track_words, keys, "track_words")
            dataset.add_dynamic_item(_is_annotated, ["words"], "has_words")

    def count(
        self, duration: float, time_map: TimeMap | None = None, start: float = 0.0
    ) -> int:
        """Returns the number of frames."""
        return self.by_label.frames((time_map or TimeMap(duration)).duration)

    def activity(
        self,
        turns: Sequence | None,
        speakers: Sequence[str],
        regions: Sequence | None,
        *times: Any,
    ) -> torch.Tensor:
        """Returns who speaks in each frame."""
        columns = {name: str(number) for number, name in enumerate(speakers or ())}
        spans = [(columns[name], start, stop) for name, start, stop in turns or ()]
        return self._labels(self.by_speaker, turns, spans, regions, times)

    def event_labels(
        self, events: Sequence | None, regions: Sequence | None, *times: Any
    ) -> torch.Tensor:
        """Returns which events happen in each frame."""
        return self._labels(self.by_label, events, events or (), regions, times)

    def track_words(
        self,
        words: Sequence | None,
        speakers: Sequence[str],
        duration: float,
        time_map: TimeMap | None = None,
        start: float = 0.0,
    ) -> list[list[int]]:
        """Returns the tokens of the words of each track."""
        time_map = time_map or TimeMap(duration)
        columns = {name: number for number, name in enumerate(speakers or ())}
        if "speakers" not in self.kinds:
            columns = dict.fromkeys(columns, 0)
        tracks: list[list[str]] = [[] for _ in range(self.num_tracks)]
        for speaker, first, last, word in sorted(words or (), key=lambda w: w[1:3]):
            middle = time_map.heard((first + last) / 2 - start)
            if 0 <= middle < time_map.duration:
                tracks[columns[speaker]].append(word)
        return [self.tokenizer.encode(" ".join(track)) for track in tracks]

    @property
    def num_tracks(self) -> int:
        """Number of tracks of words."""
        return self.num_speakers if "speakers" in self.kinds else 1

    def _labels(self, made, annotation, spans, regions, times):
        """Returns labels of frames as floats."""
        duration, *rest = times
        labels = made.chunk(spans, duration, *rest, regions=regions).float()
        return labels if annotation is not None else torch.full_like(labels, UNKNOWN)


def _is_annotated(entries):
    return entries is not None


def words_tokenizer(words: Sequence[str]) -> CharacterTokenizer:
    """Returns the tokenizer of the characters of some words, in upper case.

    Arguments
    ---------
    words : iterable of str
        Words of the training set.

    Returns
    -------
    CharacterTokenizer
        No token ends a text; other characters are ``<unk>``.

    Raises
    ------
    ValueError
        If there are no characters.

    Example
    -------
    >>> words_tokenizer(["no", "on"]).tokens
    ['<blank>', '<unk>', ' ', 'N', 'O']
    """
    characters = sorted({c for word in words for c in word.upper() if not c.isspace()})
    if not characters:
        raise ValueError("words without any character")
    return CharacterTokenizer(
        characters=" " + "".join(characters),
        space=" ",
        specials=SPECIALS,
        end=(),
        unknown="<unk>",
    )


def event_labels_of(records: Records) -> list[str]:
    """Returns the sorted labels of the events of some scenes.

    Arguments
    ---------
    records : dict
        ``{id: record}``.

    Returns
    -------
    list of str

    Example
    -------
    >>> event_labels_of({"a": {"events": [["dog", 0.0, 1.0]]}, "b": {"events": None}})
    ['dog']
    """
    events = (event for r in records.values() for event in r["events"] or ())
    return sorted({label for label, _, _ in events})
