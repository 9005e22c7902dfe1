"""Detection of sound events: which sounds happen when.

Authors
 * The s3prl_sb developers, 2026
"""

from itertools import product
from pathlib import Path

import numpy as np
import speechbrain as sb

from s3prl_sb.brains import plots
from s3prl_sb.brains.event_plot import label_scores
from s3prl_sb.brains.frames import frame_pipes
from s3prl_sb.brains.multi_label_frames import MultiLabelFrameBrain
from s3prl_sb.brains.timeline_plot import label_timeline
from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.frame_labels import labels_of
from s3prl_sb.dataio.splits import make_splits, read_splits
from s3prl_sb.dataio.timeline import FORMATS, Item
from s3prl_sb.lobes.event_decoding import decode_events, smooth
from s3prl_sb.metrics.contributions import of_events
from s3prl_sb.metrics.measures import Measures
from s3prl_sb.metrics.psds import SCENARIOS, psds
from s3prl_sb.metrics.psds_counts import counts_of
from s3prl_sb.metrics.sound_events import event_counts, event_measures, segment_counts
from s3prl_sb.startup.configuration import RecipeError
from s3prl_sb.storage.csv_files import write_csv
from s3prl_sb.storage.file_names import file_stem
from s3prl_sb.storage.files import write_text

TIMELINES = 4  # number of plotted recordings
POINTS = 1000  # of a curve of PSDS that is kept and written
KINDS = ("segment", "onset", "event")  # of scores
DECODING = ("threshold", "median", "min_duration")  # in validation


class EventBrain(MultiLabelFrameBrain):
    """Brain for sound events: any number of labels per frame, decoded into events.

    The validation set chooses threshold, median filter and shortest event, by the score
    that also chooses the checkpoint; the checkpoint stores them, and the test uses
    them. Scores are of times in seconds, not of frames, see
    :mod:`s3prl_sb.metrics.sound_events` and :mod:`s3prl_sb.metrics.psds`.

    Arguments
    ---------
    references : dict
        "valid" and "test" to ``{recording: record}`` with ``segments``. The ids of
        examples are those of recordings.
    choose_by : str, optional
        Score of the validation set that chooses. Default: that of the class.
    **kwargs
        See :class:`~s3prl_sb.brains.frames.FrameBrain`. ``hparams`` has the grid
        ``thresholds``, ``medians`` and ``min_durations`` (both in seconds), and
        ``segment_seconds``, ``onset_collar``, ``offset_share``, and ``psds``: names in
        :data:`~s3prl_sb.metrics.psds.SCENARIOS`, or None.

    Note
    ----
    S3PRL cuts recordings into chunks in validation and test too, and joins the frames;
    here whole recordings are evaluated. In HEAR an event ends at the centre of its last
    frame, here at the end of that frame.
    """

    metric = "onset_f1"
    unit = "recording"

    def __init__(self, references, choose_by=None, **kwargs):
        super().__init__(**kwargs)
        self.references, self.metric = references, choose_by or self.metric
        self.higher_is_better = not self.metric.endswith("error_rate")
        settings = self.hparams
        names = [f"{kind}_f1" for kind in KINDS] + ["segment_error_rate"]
        self.scenarios = list(settings.psds or ())
        if unknown := sorted(set(self.scenarios) - set(SCENARIOS)):
            raise RecipeError(
                f"psds: no scenario '{unknown[0]}'. There are {', '.join(SCENARIOS)}."
            )
        names += [f"{name}_macro" for name in names[:3]] + self.scenarios
        if self.metric in set(SCENARIOS) - set(self.scenarios):
            raise RecipeError(
                f"choose_by: {self.metric} is not measured. Add --psds "
                f'"[{self.metric}]".'
            )
        if self.metric not in names:
            raise RecipeError(
                f"choose_by: there is no score '{self.metric}'. There are "
                f"{', '.join(names)}."
            )
        grid = (settings.thresholds, settings.medians, settings.min_durations)
        self.grid = [tuple(map(float, values)) for values in product(*grid)]
        self.decoding = self.grid[0]
        for records in references.values():
            for name, record in records.items():
                if record.get("regions") is not None:
                    raise RecipeError(
                        f"'{name}' is annotated in parts (regions), and events are "
                        "scored over whole recordings. Cut the recording."
                    )

    def start_stage(self, stage):
        """Starts collecting probabilities."""
        super().start_stage(stage)
        self.time_maps = {}

    def collect(self, batch, row, probabilities, true):
        """Collects the probabilities for a recording of a batch."""
        name = batch.id[row]
        self.predicted[name] = probabilities.cpu().numpy()
        self.time_maps[name] = batch.time_map[row]

    def stage_stats(self, stage):
        """Returns the scores; in validation, also chooses how events are decoded."""
        records = self.references["valid" if stage == sb.Stage.VALID else "test"]
        self.events = {
            name: _heard(records[name]["segments"], self.time_maps[name])
            for name in sorted(self.predicted)
        }
        if stage == sb.Stage.VALID:
            self.decoding = self._chosen()
        elif "threshold" in self.best:
            self.decoding = tuple(float(self.best[name]) for name in DECODING)
        self.threshold, median, _ = self.decoding
        smoothed = self._smoothed(median)
        self.found = self._decoded(smoothed)
        stats, self.curves = self._measures(self.found, KINDS), {}
        for name in self.scenarios:
            score = psds(*self._frames(smoothed), **SCENARIOS[name])
            stats[name] = score.value if score.by_label else 0.0
            self.curves[name] = _points(score)
        return {**stats, **dict(zip(DECODING, self.decoding))}

    def _chosen(self):
        """Returns the (threshold, median, shortest event) of the highest score, of
        equal ones the first."""
        name = self.metric
        # Areas over all thresholds say nothing about one
        name = "event_f1" if name in SCENARIOS else name
        sign = -1 if name.endswith("error_rate") else 1
        smoothed = {median: self._smoothed(median) for _, median, _ in self.grid}

        def score(decoding):
            found = self._decoded(smoothed[decoding[1]], decoding)
            return sign * self._measures(found, name.split("_")[:1])[name]

        return max(self.grid, key=score) if self.grid[1:] else self.grid[0]

    def _smoothed(self, median):
        return {
            name: smooth(values, self.frame_seconds, median)
            for name, values in self.predicted.items()
        }

    def _decoded(self, smoothed, decoding=None):
        """Returns the events in probabilities that are filtered already."""
        threshold, _, shortest = decoding or self.decoding
        return {
            name: decode_events(
                values,
                self.labels,
                self.frame_seconds,
                threshold,
                min_seconds=shortest,
                duration=self.seconds[name],
            )
            for name, values in smoothed.items()
        }

    def _measures(self, found, kinds):
        settings = self.hparams
        return event_measures(
            self.events,
            found,
            self.seconds,
            self.labels,
            resolution=settings.segment_seconds,
            collar=settings.onset_collar,
            offset_share=settings.offset_share,
            kinds=kinds,
        )

    def _frames(self, smoothed):
        """Returns the first arguments of psds."""
        times = self.seconds, self.frame_seconds
        return smoothed, self.events, *times, self.labels

    def measures(self):
        """Returns the counts of each recording."""
        counts = self._counts()
        entries = [of_events(counts[kind], kind) for kind in KINDS]
        entries = {name: entry for each in entries for name, entry in each.items()}
        smoothed = self._smoothed(self.decoding[1]) if self.scenarios else {}
        for name in self.scenarios:
            if entry := counts_of(*self._frames(smoothed), **SCENARIOS[name]):
                entries[name] = entry
        names = list(counts["segment"].recordings)
        return Measures.build(self.unit, names, entries) if entries else None

    def _counts(self):
        """Returns the counts of each kind of score."""
        settings, labels = self.hparams, self.labels
        sides, collar = (self.events, self.found), settings.onset_collar
        segment = (self.seconds, labels, settings.segment_seconds)
        return {
            "segment": segment_counts(*sides, *segment),
            "onset": event_counts(*sides, labels, collar),
            "event": event_counts(*sides, labels, collar, settings.offset_share),
        }

    def write_predictions(self):
        """Writes ``predictions.csv``, ``labels.csv``, the events as DESED's tables, the
        curves of PSDS, and plots of the labels and of the recordings with the lowest
        onset F1."""
        folder, counts = Path(self.hparams.output_folder), self._counts()
        seconds, labels = self.seconds, self.labels
        parts = [
            f"{k}_{part}" for k in KINDS for part in ("right", "found", "true", "f1")
        ]
        rows = [
            [name, f"{seconds[name]:.3f}", *_cells(counts, number)]
            for number, name in enumerate(self.events)
        ]
        write_csv(folder / "predictions.csv", ["id", "duration", *parts], rows)
        by_label = {label: _cells(counts, (..., i)) for i, label in enumerate(labels)}
        rows = [[label, *cells] for label, cells in by_label.items()]
        write_csv(folder / "labels.csv", ["label", *parts], rows)
        if self.scenarios:
            header = ["scenario", "false_positives_per_hour", "true_positives"]
            rows = [
                [name, *(f"{value:.6g}" for value in point)]
                for name, curve in self.curves.items()
                for point in curve
            ]
            write_csv(folder / "psd_roc.csv", header, rows)
        for side, events in (("ref", self.events), ("hyp", self.found)):
            timelines = {name: as_items(each) for name, each in events.items()}
            write_text(folder / f"{side}.tsv", FORMATS["tsv"](timelines))
        self._plot(counts)

    def _plot(self, counts):
        """Plots the scores of labels, and the timelines of the worst recordings."""
        folder = Path(self.hparams.output_folder)
        of_labels = {kind: each.label_f1 for kind, each in counts.items()}
        scores = {
            label: {kind: of_labels[kind].get(label, 0.0) for kind in KINDS}
            for label in of_labels["event"]
        }
        label_scores(folder / "labels.png", scores, plots.heading(self))
        (folder / "timelines").mkdir(exist_ok=True)
        heading = plots.heading(self, {})
        onsets = counts["onset"]
        both = (onsets.estimated + onsets.reference).sum(1)
        rates = {
            name: 2 * right / total
            for name, right, total in zip(onsets.recordings, onsets.right.sum(1), both)
            if total
        }
        for name in sorted(rates, key=lambda n: (rates[n], n))[:TIMELINES]:
            label_timeline(
                folder / "timelines" / f"{file_stem(name)}.png",
                self.events[name],
                self.found[name],
                self.seconds[name],
                title=f"{heading} · {name}, onset F1 {100 * rates[name]:.1f} %",
            )

    def interface(self):
        """Returns a detector of events with the chosen decoding."""
        interface = super().interface()
        interface["class"] = "s3prl_sb.inference.event_detector.EventDetector"
        interface["hparams"].update(
            zip(DECODING, self.decoding), utterance_labels=False
        )
        return interface


def event_splits(hparams):
    """Returns the datasets of a recipe for sound events, and the Brain's arguments.

    Arguments
    ---------
    hparams : dict
        Settings, see :func:`s3prl_sb.brains.frames.frame_splits`; ``choose_by``.

    Returns
    -------
    splits : dict
        "train", "valid", "test" to
        :class:`~s3prl_sb.dataio.dataset.ManifestDataset`, see
        :func:`~s3prl_sb.brains.frames.frame_splits`.
    options : dict
        ``labels``, sorted, of all sets: one that does not occur in training is never
        found; ``references``, the records of validation and test; ``choose_by``.
    """
    records = read_splits(hparams, key=None)
    whole = manifest.read(manifest.paths_in(hparams["save_folder"])["train"])
    references = {split: records[split] for split in ("valid", "test")}
    labels = sorted(set().union(*map(labels_of, (whole, *references.values()))))
    pipes, keys = frame_pipes(hparams, records, labels, multi_label=True)
    options = {"labels": labels, "references": references}
    options["choose_by"] = hparams.get("choose_by")
    return make_splits(hparams, records, pipes, keys), options


def as_items(events):
    """Returns events as a timeline.

    Arguments
    ---------
    events : list
        (label, start, stop), in seconds.

    Returns
    -------
    list of s3prl_sb.dataio.timeline.Item
    """
    return [Item("event", label, start, stop) for label, start, stop in events]


def _heard(segments, time_map):
    """Returns the events of a record in the waveform that pipes made of it."""
    heard = [
        (
            label,
            max(time_map.heard(start), 0.0),
            min(time_map.heard(stop), time_map.duration),
        )
        for label, start, stop in segments
    ]
    return [event for event in heard if event[1] < event[2]]


def _points(score):
    """Returns points [points, 2] of the curve that PSDS is the area of, at most POINTS:
    false positives an hour, and the share of events that are found."""
    curve = np.stack([score.false_positives, score.true_positives], axis=1)
    places = np.linspace(0, len(curve) - 1, min(len(curve), POINTS))
    return curve[places.round().astype(int)]


def _cells(counts, place):
    """Returns the cells of a recording, or of a label: for each kind of score the
    numbers that are right, found and true, and the F1 score."""
    cells = []
    for each in counts.values():
        numbers = (each.right, each.estimated, each.reference)
        right, found, true = (int(part[place].sum()) for part in numbers)
        score = f"{2 * right / (found + true):.6f}" if found + true else ""
        cells += [right, found, true, score]
    return cells
