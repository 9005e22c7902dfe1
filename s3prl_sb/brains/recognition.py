"""Universal recognition: speakers, words and events of a scene, each with its times.

Authors
 * The s3prl_sb developers, 2026
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import speechbrain as sb
import torch

from s3prl_sb.brains import recognition_files
from s3prl_sb.brains.base import SSLBrain
from s3prl_sb.brains.diarization import errors_of, fit_labels
from s3prl_sb.brains.distributed import share
from s3prl_sb.brains.frame_lengths import check_lengths
from s3prl_sb.brains.recognition_data import frame_length, part_sizes
from s3prl_sb.brains.recognition_detections import EventFrames
from s3prl_sb.brains.recognition_entries import contributions
from s3prl_sb.brains.recognition_scores import (
    ERRORS,
    SceneScores,
    inside,
    normalized,
)
from s3prl_sb.dataio.manifest import Records
from s3prl_sb.dataio.timeline import Timeline, items_of, segments_of
from s3prl_sb.dataio.timeline_decoding import (
    BestTokens,
    Decisions,
    best_tokens,
    decode,
    event_items,
    speaker_items,
)
from s3prl_sb.dataio.tokenizers import Tokenizer
from s3prl_sb.lobes.heads.recognizer import SceneOutput, checked_kinds
from s3prl_sb.lobes.scene_losses import event_loss, speaker_loss, word_loss
from s3prl_sb.lobes.time_alignment import align
from s3prl_sb.metrics.measures import Measures
from s3prl_sb.metrics.sound_events import event_counts, segment_counts
from s3prl_sb.startup.configuration import RecipeError

#: Whose activity the tracks of the words have in training.
TRACKS = ("true", "predicted")
#: Settings that the validation set chooses, which its checkpoint keeps.
CHOSEN = ("speaker_threshold", "speaker_median", "event_threshold", "event_median")


class Heard(NamedTuple):
    """Output for one recording, on the CPU; None for what is not predicted.

    Arguments
    ---------
    activity : numpy.ndarray or None
        [frames, speakers], probabilities.
    events : numpy.ndarray or None
        [frames, labels], probabilities.
    words : BestTokens or None
        [tracks, frames], see :func:`~s3prl_sb.dataio.timeline_decoding.best_tokens`.
    """

    activity: np.ndarray | None
    events: np.ndarray | None
    words: BestTokens | None


class RecognitionBrain(SSLBrain):
    """Brain for speakers, words and events at once.

    The order of the speakers that the loss of their activity chooses also gives each
    track its words. What a recording does not annotate has no loss. The validation set
    chooses the thresholds and median filters from the recipe's grids, of speakers by
    the diarization error rate and of events by their F1 score; the checkpoint stores
    them, and the test uses them.

    Arguments
    ---------
    references : dict
        "valid" and "test" to ``{recording: record}``, see
        :mod:`s3prl_sb.dataio.scenes`. Others are not used.
    event_labels : list of str
        Labels of the events, in the order of their columns.
    tokenizer : Tokenizer or None
        Tokenizer of the words.
    **kwargs
        See :class:`~s3prl_sb.brains.base.SSLBrain`. The module ``head`` maps features
        on the grid and relative lengths to a
        :class:`~s3prl_sb.lobes.heads.recognizer.SceneOutput`.
    """

    metric = "mean_score"
    unit = "recording"

    def __init__(
        self,
        references: Mapping[str, Records],
        event_labels: Sequence[str],
        tokenizer: Tokenizer | None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.kinds = checked_kinds(self.hparams.heads)
        self.references = {
            split: normalized(records, tokenizer)
            for split, records in references.items()
            if split != "train"
        }
        self.metric = self.hparams.choose_by
        self.higher_is_better = self.metric not in ERRORS
        self.stride = self.upstream.stride / self.upstream.sample_rate
        self.decisions = Decisions(
            frame_seconds=frame_length(self.upstream, self.hparams.frame_seconds),
            event_labels=list(event_labels),
            tokenizer=tokenizer,
            min_event=self.hparams.min_event,
        )

    def compute_forward(self, batch, stage):
        """Returns the output of the head on the grid, a
        :class:`~s3prl_sb.lobes.heads.recognizer.SceneOutput`."""
        batch = batch.to(self.device)
        features, lens = self.compute_features(batch)
        frames = batch.grid_frames
        length = self.decisions.frame_seconds
        seconds = (lens * features.shape[1]).round() * self.stride
        check_lengths(batch.id, frames * length, seconds, self.stride, length)
        features = align(features, lens, self.stride, length, frames)
        lens = frames / frames.max()
        if self.uses_truth(stage):
            labels = fit_labels(*batch.activity, features, lens, batch.id)
            return self.modules["head"](features, lens, labels)
        return self.modules["head"](features, lens)

    def uses_truth(self, stage: sb.Stage) -> bool:
        """Returns whether the tracks of the words are those of the true speakers."""
        both = {"speakers", "words"} <= set(self.kinds)
        is_training = stage == sb.Stage.TRAIN
        return both and is_training and self.hparams.word_tracks == TRACKS[0]

    def compute_objectives(self, predictions, batch, stage):
        """Returns the weighted sum of the losses; in evaluation, collects the
        output."""
        output, losses = SceneOutput(*predictions), {}
        order, lens = None, output.lens
        if output.activity is not None:
            labels = fit_labels(*batch.activity, output.activity, lens, batch.id)
            loss, order, count = speaker_loss(
                output.activity, labels, lens, self.hparams.speaker_order
            )
            losses["speakers"] = loss, count
        if output.words is not None:
            order = None if self.uses_truth(stage) else order
            tracks = ordered_tracks(batch.track_words, order)
            known = torch.as_tensor(batch.has_words, device=output.words.device)
            blank = self.decisions.tokenizer.blank
            losses["words"] = word_loss(output.words, tracks, known, lens, blank)
        if output.events is not None:
            labels = fit_labels(*batch.event_labels, output.events, lens, batch.id)
            weight = self.hparams.event_balance
            losses["events"] = event_loss(output.events, labels, lens, weight)
        if stage == sb.Stage.TRAIN:
            parts = {kind: share(loss, count) for kind, (loss, count) in losses.items()}
        else:
            parts = {kind: loss for kind, (loss, _) in losses.items()}
            self.frames = int(batch.grid_frames.sum())
            self._collect(batch, output)
        weights = {
            "speakers": self.hparams.speakers_weight,
            "words": self.hparams.words_weight,
            "events": self.hparams.events_weight,
        }
        return sum(weights[kind] * part for kind, part in parts.items())

    def weight(self, batch):
        """Returns the number of frames that the loss is a mean over."""
        return self.frames

    def _collect(self, batch, output):
        """Keeps the output for each recording."""
        probabilities = [
            None if logits is None else logits.float().sigmoid().cpu()
            for logits in (output.activity, output.events)
        ]
        words = None if output.words is None else output.words.cpu()
        for row, frames in enumerate(batch.grid_frames.tolist()):
            kept = [p if p is None else p[row, :frames].numpy() for p in probabilities]
            tracks = None if words is None else best_tokens(words[row, :, :frames])
            self.heard[batch.id[row]] = Heard(*kept, tracks)

    def start_stage(self, stage):
        """Starts collecting outputs."""
        self.heard = {}

    # ------------------------------------------------------------ measures
    def stage_stats(self, stage):
        """Returns the measures; in validation, also chooses thresholds and filters.

        Of matched twins only those with speech and sounds count.
        """
        records = self.references["valid" if stage == sb.Stage.VALID else "test"]
        self.seen = {name: records[name] for name in self.heard}
        main = main_records(self.seen)
        if stage == sb.Stage.VALID:
            self._choose(main)
        elif any(name in self.best for name in CHOSEN):
            self._decide({name: self.best[name] for name in CHOSEN})
        self.timelines = {
            name: self.timeline_of(name, record) for name, record in self.seen.items()
        }
        self.scores = SceneScores(
            main, self.timelines, self.decisions.event_labels, self.kinds
        )
        stats = self.scores.stats()
        if stage == sb.Stage.TEST and "events" in self.kinds:
            stats |= self._event_frames(main).scores()
        if stage == sb.Stage.VALID and self.metric not in stats:
            raise RecipeError(
                f"choose_by {self.metric}: nothing in the validation set can be "
                f"measured by it. It has {', '.join(sorted(stats)) or 'no measure'}."
            )
        chosen = {name: float(getattr(self.decisions, name)) for name in CHOSEN}
        return {**stats, **chosen}

    def _event_frames(self, records):
        """Returns the probabilities of the events of recordings."""
        events = {name: self.heard[name].events for name in records}
        decisions = self.decisions
        labels, length = decisions.event_labels, decisions.frame_seconds
        return EventFrames(records, events, labels, length)

    def measures(self):
        """Returns the counts of each recording that the measures are of."""
        entries, records = contributions(self.scores), self.scores.records
        if "events" in self.kinds:
            entries |= self._event_frames(records).entries()
        names = list(records)
        return Measures.build(self.unit, names, entries) if entries else None

    def timeline_of(self, name: str, record: Mapping[str, Any]) -> Timeline:
        """Returns the predicted timeline of a recording.

        Arguments
        ---------
        name : str
            Id of the recording.
        record : dict
            Its record.

        Returns
        -------
        list of Item
        """
        return decode(*self.heard[name], self.decisions, record["duration"])

    def _decide(self, values):
        self.decisions = dataclasses.replace(self.decisions, **values)

    def _choose(self, records):
        """Chooses the thresholds and filters with the best measure."""
        hparams = self.hparams
        if "speakers" in self.kinds:
            grid = [
                {"speaker_threshold": float(t), "speaker_median": float(m)}
                for t in hparams.speaker_thresholds
                for m in hparams.speaker_medians
            ]
            self._decide(min(grid, key=lambda values: self._cost(records, values)))
        if "events" in self.kinds:
            grid = [
                {"event_threshold": float(t), "event_median": float(m)}
                for t in hparams.event_thresholds
                for m in hparams.event_medians
            ]
            self._decide(min(grid, key=lambda values: self._cost(records, values)))

    def _cost(self, records, values):
        """Returns how bad settings are for speakers or for events; of equal ones the
        threshold next to a half and the shortest filter are the best."""
        decisions = dataclasses.replace(self.decisions, **values)
        of_speakers = "speaker_threshold" in values
        threshold, median = values.values()
        place, key = (0, "segments") if of_speakers else (1, "events")
        items = speaker_items if of_speakers else event_items
        seen = {n: r for n, r in records.items() if r[key] is not None}
        found = {
            name: items(self.heard[name][place], decisions, record["duration"])
            for name, record in seen.items()
        }
        rates = _speaker_costs if of_speakers else _event_costs
        return (*rates(seen, found), abs(threshold - 0.5), median)

    # -------------------------------------------------------------- output
    def write_predictions(self):
        """Writes predictions, timelines of the worst scenes, and cross-effects; see
        :mod:`~s3prl_sb.brains.recognition_files`."""
        recognition_files.write(self)

    def interface(self):
        """Returns a recognizer with the chosen thresholds and filters."""
        tokenizer = self.decisions.tokenizer
        return {
            "class": "s3prl_sb.inference.recognizer.Recognizer",
            "head": {
                "num_events": len(self.decisions.event_labels),
                "num_tokens": 0 if tokenizer is None else len(tokenizer),
                "part_sizes": part_sizes(self.upstream),
            },
            "hparams": {"decisions": self.decisions.spec()},
        }


def _speaker_costs(records, found):
    """Returns the diarization error rate."""
    turns = {name: segments_of(items, "speaker") for name, items in found.items()}
    errors = errors_of(records, turns)
    return (errors.rate if errors.speech else errors.total,)


def _event_costs(records, found):
    """Returns the negated F1 scores of whole events and of segments; without true
    events the number of false ones."""
    true, heard = (
        {
            name: segments_of(inside(side[name], record["regions"]), "event")
            for name, record in records.items()
        }
        for side in ({n: items_of(r) for n, r in records.items()}, found)
    )
    durations = {name: record["duration"] for name, record in records.items()}
    whole = event_counts(true, heard, offset_share=0.2)
    if not any(true.values()):
        return float(whole.estimated.sum()), 0.0
    return -whole.macro_f1, -segment_counts(true, heard, durations).macro_f1


def main_records(records: Records) -> dict[str, Mapping[str, Any]]:
    """Returns the records that main measures are over: of matched twins those with
    speech and sounds.

    Arguments
    ---------
    records : dict
        ``{recording: record}``.

    Returns
    -------
    dict

    Example
    -------
    >>> list(main_records({"a": {"twin": "both"}, "b": {"twin": "speech"}, "c": {}}))
    ['a', 'c']
    """
    return {n: r for n, r in records.items() if r.get("twin") in (None, "both")}


def ordered_tracks(
    words: Sequence[Sequence[Any]], order: torch.Tensor | None
) -> list[list[Any]]:
    """Returns the words of tracks in the order of the speakers of the output.

    Arguments
    ---------
    words : list of list
        Words of each speaker of each recording.
    order : torch.Tensor or None
        [batch, speakers]: speaker ``order[b, i]`` belongs to track ``i``. None: the
        order stays.

    Returns
    -------
    list of list

    Example
    -------
    >>> ordered_tracks([["a", "b", "c"]], torch.tensor([[2, 0, 1]]))
    [['c', 'a', 'b']]
    """
    if order is None:
        return [list(tracks) for tracks in words]
    rows = order.tolist()
    return [[tracks[i] for i in places] for tracks, places in zip(words, rows)]
