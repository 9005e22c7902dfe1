"""Measures of predicted timelines of scenes: speakers, words and events.

A recording counts for a measure if its record annotates that kind. Items outside of the
annotated regions do not count.

Authors
 * The s3prl_sb developers, 2026
"""

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from s3prl_sb.brains.diarization import errors_of
from s3prl_sb.dataio.manifest import Records
from s3prl_sb.dataio.timeline import (
    Item,
    Timeline,
    annotated_types,
    items_of,
    segments_of,
    words_of,
)
from s3prl_sb.dataio.tokenizers import Tokenizer
from s3prl_sb.lobes.heads.recognizer import KINDS
from s3prl_sb.metrics.diarization import DiarizationErrors
from s3prl_sb.metrics.sound_events import event_counts, segment_counts
from s3prl_sb.metrics.timeline_score import timeline_f1
from s3prl_sb.metrics.word_attribution import cpwer, tcpwer, total

#: Kinds of output to the types of items and the keys of records.
TYPES = {"speakers": "speaker", "words": "word", "events": "event"}
KEYS = {"speakers": "segments", "words": "words", "events": "events"}
#: Measures that a checkpoint can be chosen by, to the kind that each needs (None: any).
MEASURES = {
    "mean_score": None,
    "der": "speakers",
    "cpwer": "words",
    "tcpwer": "words",
    "segment_f1": "events",
    "onset_f1": "events",
    "event_f1": "events",
    "timeline_f1": None,
}
#: Measures of which a lower number is better.
ERRORS = ("der", "cpwer", "tcpwer")
COLLAR = 0.2  # seconds by which the time of an event may be off
SHARE = 0.2  # of an event's length, by which its offset may be off


class SceneScores:
    """Measures of predicted timelines.

    Arguments
    ---------
    records : dict
        ``{recording: record}``, see :mod:`s3prl_sb.dataio.scenes`; texts as the model
        writes them, see :func:`normalized`.
    timelines : dict
        ``{recording: timeline}``, predictions for the same recordings.
    event_labels : list of str
        Labels that the model knows.
    kinds : list of str
        Predicted kinds, of
        :data:`~s3prl_sb.lobes.heads.recognizer.KINDS`.

    Example
    -------
    >>> record = {"duration": 2.0, "regions": None, "segments": [["ann", 0.0, 1.0]]}
    >>> record.update(words=None, events=[["dog", 1.0, 2.0]])
    >>> timeline = [Item("speaker", "speaker1", 0.0, 0.5), Item("event", "dog", 1.1, 2)]
    >>> scores = SceneScores({"a": record}, {"a": timeline}, ["dog"])
    >>> scores.stats()["der"], scores.stats()["event_f1"]
    (0.5, 1.0)
    """

    def __init__(
        self,
        records: Records,
        timelines: Mapping[str, Timeline],
        event_labels: Sequence[str],
        kinds: Sequence[str] = KINDS,
    ):
        self.records, self.kinds = dict(records), kinds
        self.timelines, self.true = (
            {
                name: within(self._predictable(each[name]), record["regions"])
                for name, record in self.records.items()
            }
            for each in (timelines, {n: items_of(r) for n, r in records.items()})
        )
        self.diarization = self._diarization()
        self.cpwer, self.tcpwer = self._words()
        self.segments, self.onsets, self.events = self._events(event_labels)
        self.timeline = self._timeline() if self.records else None

    def _predictable(self, items):
        """Returns the items of the predicted kinds; without speakers, words are those
        of one track."""
        own = [item for item in items if item.type in map(TYPES.get, self.kinds)]
        if "speakers" in self.kinds:
            return own
        return [item._replace(speaker="") for item in own]

    def _annotated(self, kind):
        """Returns the recordings that count for a kind."""
        if kind not in self.kinds:
            return []
        return [n for n, r in self.records.items() if r[KEYS[kind]] is not None]

    def _diarization(self):
        """Returns the errors of diarization of each recording."""
        return {
            name: errors_of(
                {name: self.records[name]},
                {name: segments_of(self.timelines[name], "speaker")},
            )
            for name in self._annotated("speakers")
        }

    def _words(self):
        """Returns the edits of words of each recording, without and with times."""
        names = self._annotated("words")
        predicted = {name: words_of(self.timelines[name]) for name in names}
        true = {name: words_of(self.true[name]) for name in names}
        return cpwer(predicted, true), tcpwer(predicted, true)

    def _events(self, labels):
        """Returns counts of segments, onsets and whole events."""
        names = self._annotated("events")
        predicted = {n: segments_of(self.timelines[n], "event") for n in names}
        true = {n: segments_of(self.true[n], "event") for n in names}
        if not names:
            return None, None, None
        durations = {name: self.records[name]["duration"] for name in names}
        return (
            segment_counts(true, predicted, durations, labels),
            event_counts(true, predicted, labels, COLLAR),
            event_counts(true, predicted, labels, COLLAR, SHARE),
        )

    def _timeline(self):
        """Returns the score over all kinds."""
        mine = {TYPES[kind] for kind in self.kinds}
        annotated = {
            name: tuple(kind for kind in annotated_types(record) if kind in mine)
            for name, record in self.records.items()
        }
        # Here turns are items like others, without errors in parts of them
        sides = (
            {
                name: inside(each[name], record["regions"])
                for name, record in self.records.items()
            }
            for each in (self.timelines, self.true)
        )
        return timeline_f1(*sides, annotated)

    def stats(self) -> dict[str, float]:
        """Returns all measures that the records allow.

        Returns
        -------
        dict
            ``der`` and its parts; ``cpwer`` and ``tcpwer``; ``segment_f1``,
            ``onset_f1`` and ``event_f1``, means over labels; ``timeline_f1``; and
            ``mean_score``, the mean of 1 - DER, 1 - tcpWER and the event F1, none below
            0. A measure of something that nowhere occurs is missing.
        """
        stats, parts = {}, []
        errors = sum(self.diarization.values(), DiarizationErrors())
        if errors.speech:
            stats["der"] = errors.rate
            for part in ("missed", "false_alarm", "confusion"):
                name = {"missed": "miss"}.get(part, part)
                stats[f"der_{name}"] = getattr(errors, part) / errors.speech
            parts.append(1 - errors.rate)
        for name, edits in (("cpwer", self.cpwer), ("tcpwer", self.tcpwer)):
            if edits and total(edits).tokens:
                stats[name] = total(edits).rate
        if "tcpwer" in stats:
            parts.append(1 - stats["tcpwer"])
        if self.events is not None and self.events.reference.sum():
            stats["segment_f1"] = self.segments.macro_f1
            stats["onset_f1"] = self.onsets.macro_f1
            stats["event_f1"] = self.events.macro_f1
            parts.append(stats["event_f1"])
        if parts:
            stats["timeline_f1"] = self.timeline.macro
            stats["mean_score"] = sum(max(part, 0.0) for part in parts) / len(parts)
        return stats

    def counts(self) -> dict[str, dict[str, tuple[float, float]]]:
        """Returns numerators and denominators of the measures of each recording.

        Returns
        -------
        dict
            ``{measure: {recording: (numerator, denominator)}}``; events over all
            labels together.
        """
        return self._counts

    @functools.cached_property
    def _counts(self):
        counts = {
            "der": {n: (e.total, e.speech) for n, e in self.diarization.items()},
            "cpwer": {n: (e.total, e.tokens) for n, e in self.cpwer.items()},
            "tcpwer": {n: (e.total, e.tokens) for n, e in self.tcpwer.items()},
        }
        pairs = (
            ("segment_f1", self.segments),
            ("onset_f1", self.onsets),
            ("event_f1", self.events),
        )
        for measure, found in pairs if self.events is not None else ():
            hits = 2.0 * found.right.sum(1)
            sizes = (found.estimated + found.reference).sum(1)
            rows = zip(found.recordings, hits.tolist(), sizes.tolist())
            counts[measure] = {name: (hit, size) for name, hit, size in rows}
        return {measure: each for measure, each in counts.items() if each}

    def rates(self, name: str) -> dict[str, float]:
        """Returns the measures of one recording, those that it has.

        Arguments
        ---------
        name : str
            Id of the recording.

        Returns
        -------
        dict
        """
        rates = {}
        for measure, each in self._counts.items():
            numerator, denominator = each.get(name, (0.0, 0.0))
            if denominator:
                rates[measure] = numerator / denominator
        return rates


def within(items: Iterable[Item], regions: Sequence | None) -> Timeline:
    """Returns the turns of speakers, and the words and events whose middle lies in
    annotated regions.

    Arguments
    ---------
    items : list of Item
        A timeline.
    regions : list, optional
        (start, stop) of each region; None: everything. Turns of speakers stay, since
        their errors are measured inside the regions.

    Returns
    -------
    list of Item

    Example
    -------
    >>> items = [Item("event", "dog", 0.0, 1.0), Item("speaker", "ann", 0.0, 1.0)]
    >>> [item.label for item in within(items, [[3.0, 6.0]])]
    ['ann']
    """
    items = list(items)
    kept = set(inside(items, regions))
    return [item for item in items if item.type == "speaker" or item in kept]


def inside(items: Iterable[Item], regions: Sequence | None) -> Timeline:
    """Returns the items of any type whose middle lies in annotated regions.

    Arguments
    ---------
    items, regions
        See :func:`within`.

    Returns
    -------
    list of Item

    Example
    -------
    >>> items = [Item("event", "dog", 0.0, 1.0), Item("event", "cat", 4.0, 5.0)]
    >>> [item.label for item in inside(items, [[3.0, 6.0]])]
    ['cat']
    """
    if regions is None:
        return list(items)

    def is_inside(item):
        middle = (item.start + item.stop) / 2
        return any(start <= middle < stop for start, stop in regions)

    return [item for item in items if is_inside(item)]


def normalized(records: Records, tokenizer: Tokenizer | None) -> dict[str, Any]:
    """Returns records whose words are texts as the model writes them.

    Arguments
    ---------
    records : dict
        ``{recording: record}``.
    tokenizer : Tokenizer, optional
        Tokenizer of the words; None: they are not predicted.

    Returns
    -------
    dict

    Example
    -------
    >>> from s3prl_sb.dataio.tokenizers import CharacterTokenizer
    >>> records = {"a": {"words": [["ann", 0.0, 1.0, "hi"]]}, "b": {"words": None}}
    >>> normalized(records, CharacterTokenizer())["a"]["words"]
    [['ann', 0.0, 1.0, 'HI']]
    """
    result = {}
    for name, record in records.items():
        words = record["words"]
        if tokenizer is not None and words is not None:
            texts = [tokenizer.normalize(text) for _, _, _, text in words]
            words = [[*word[:3], text] for word, text in zip(words, texts) if text]
        result[name] = {**record, "words": words}
    return result
