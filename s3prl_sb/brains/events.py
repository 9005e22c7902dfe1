"""Detection of sound events: which sounds happen when.

Authors
 * The s3prl_sb developers, 2026
"""

from itertools import product
from pathlib import Path

import speechbrain as sb

from s3prl_sb.brains import plots
from s3prl_sb.brains.multi_label_frames import MultiLabelFrameBrain
from s3prl_sb.brains.timeline_plot import label_timeline
from s3prl_sb.dataio.timeline import FORMATS, Item
from s3prl_sb.lobes.event_decoding import decode_events, smooth
from s3prl_sb.metrics.psds import psds
from s3prl_sb.metrics.sound_events import event_counts, event_measures, segment_counts
from s3prl_sb.startup.configuration import RecipeError
from s3prl_sb.storage.csv_files import write_csv
from s3prl_sb.storage.file_names import file_stem
from s3prl_sb.storage.files import write_text

TIMELINES = 4  # number of plotted recordings
KINDS = ("segment", "onset", "event")  # of scores
CHOSEN = ("threshold", "median", "min_duration")  # in validation


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
        ``segment_seconds``, ``onset_collar``, ``offset_share``, and ``psds``: names of
        scores to arguments of :func:`~s3prl_sb.metrics.psds.psds`.

    Note
    ----
    S3PRL cuts recordings into chunks in validation and test too, and joins the frames;
    here whole recordings are evaluated. In HEAR an event ends at the centre of its last
    frame, here at the end of that frame.
    """

    metric = "onset_f1"

    def __init__(self, references, choose_by=None, **kwargs):
        super().__init__(**kwargs)
        self.references, self.metric = references, choose_by or self.metric
        self.higher_is_better = not self.metric.endswith("error_rate")
        settings = self.hparams
        names = [f"{kind}_f1" for kind in KINDS] + ["segment_error_rate"]
        names += [f"{name}_macro" for name in names[:3]] + list(settings.psds)
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
            for name in self.predicted
        }
        if stage == sb.Stage.VALID:
            self.decoding = self._chosen()
        elif "threshold" in self.best:
            self.decoding = tuple(float(self.best[name]) for name in CHOSEN)
        self.threshold, median, _ = self.decoding
        self.found = self._decoded(self._smoothed(median))
        stats = self._measures(self.found, KINDS)
        for name, scenario in self.hparams.psds.items():
            stats[name] = self._psds(median, scenario)
        return {**stats, **dict(zip(CHOSEN, self.decoding))}

    def _chosen(self):
        """Returns the (threshold, median, shortest event) of the highest score, of
        equal ones the first."""
        name = self.metric
        # Areas over all thresholds say nothing about one
        name = "event_f1" if name in self.hparams.psds else name
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

    def _psds(self, median, scenario):
        score = psds(
            self._smoothed(median),
            self.events,
            self.seconds,
            self.frame_seconds,
            self.labels,
            **scenario,
        )
        return score.value if score.by_label else 0.0

    def write_predictions(self):
        """Writes ``predictions.csv``, the events as DESED's tables, and timelines of
        the recordings with the lowest onset F1."""
        folder, settings = Path(self.hparams.output_folder), self.hparams
        sides, names = (self.events, self.found), sorted(self.events)
        columns, rows = (
            {},
            {name: [name, f"{self.seconds[name]:.3f}"] for name in names},
        )
        onsets = event_counts(*sides, self.labels, settings.onset_collar)
        columns["onsets"] = onsets
        columns["segments"] = segment_counts(
            *sides, self.seconds, self.labels, settings.segment_seconds
        )
        header = ["id", "duration"]
        for kind, counts in columns.items():
            header += [f"{kind}_{part}" for part in ("right", "found", "true", "f1")]
            for number, name in enumerate(counts.recordings):
                right, found, true = (
                    int(values[number].sum())
                    for values in (counts.right, counts.estimated, counts.reference)
                )
                rows[name] += [right, found, true, _f1(right, found, true)]
        write_csv(folder / "predictions.csv", header, (rows[name] for name in names))
        for side, events in (("ref", self.events), ("hyp", self.found)):
            items = {name: as_items(events[name]) for name in names}
            write_text(folder / f"{side}.tsv", FORMATS["tsv"](items))
        place = header.index("onsets_f1")
        self._plot({name: rows[name][place] for name in names if rows[name][place]})

    def _plot(self, scores):
        """Plots the timelines of the worst recordings, of those with any event."""
        folder = Path(self.hparams.output_folder) / "timelines"
        folder.mkdir(exist_ok=True)
        heading = plots.heading(self, {})
        for name in sorted(scores, key=lambda n: (float(scores[n]), n))[:TIMELINES]:
            label_timeline(
                folder / f"{file_stem(name)}.png",
                self.events[name],
                self.found[name],
                self.seconds[name],
                title=f"{heading} · {name}, onset F1 {100 * float(scores[name]):.1f} %",
            )

    def interface(self):
        """Returns a detector of events with the chosen decoding."""
        interface = super().interface()
        interface["class"] = "s3prl_sb.inference.event_detector.EventDetector"
        interface["hparams"].update(zip(CHOSEN, self.decoding), utterance_labels=False)
        return interface


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


def _f1(right, found, true):
    """Returns the F1 score of a recording as text, empty where there is nothing."""
    return f"{2 * right / (found + true):.6f}" if found + true else ""
