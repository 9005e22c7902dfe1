"""Speaker diarization by frames.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Iterable
from pathlib import Path

import speechbrain as sb
import torch

from s3prl_sb.brains import plots
from s3prl_sb.brains.base import SSLBrain
from s3prl_sb.brains.distributed import share
from s3prl_sb.brains.timeline_plot import timeline
from s3prl_sb.dataio import conditions
from s3prl_sb.dataio.rttm import write_rttm, write_uem
from s3prl_sb.dataio.speaker_activity import (
    PROBABILITIES,
    UNKNOWN,
    decide,
    segments,
)
from s3prl_sb.lobes.heads.pooling import frame_mask
from s3prl_sb.lobes.permutation_invariant import permutation_invariant_bce
from s3prl_sb.metrics.contributions import Entry, ratio
from s3prl_sb.metrics.diarization import DiarizationErrors, corpus_errors, speaker_last
from s3prl_sb.metrics.measures import Measures
from s3prl_sb.startup.configuration import RecipeError
from s3prl_sb.storage.csv_files import write_csv
from s3prl_sb.storage.file_names import file_stem
from s3prl_sb.storage.parts import Part
from s3prl_sb.storage.tensor_files import write_safetensors
from s3prl_sb.terminal.quantities import measure

COLLAR = 0.25  # seconds on both sides, as in NIST's evaluations
TIMELINES = 4  # number of plotted recordings


class DiarizationBrain(SSLBrain):
    """Brain with permutation-invariant training, evaluated by diarization error rate.

    The validation set also chooses the threshold of the probabilities (from the
    recipe's ``thresholds``) and the width of the median filter (from ``medians``). The
    checkpoint stores them, and the test uses them.

    Arguments
    ---------
    references : dict
        "valid" and "test" to ``{recording: record}``, see
        :mod:`s3prl_sb.corpora.recordings`: the references of the error rate. The ids
        of examples are those of recordings.
    **kwargs
        See :class:`~s3prl_sb.brains.base.SSLBrain`. The module ``head`` maps features
        and relative lengths to logits [batch, frames, speakers].

    Note
    ----
    S3PRL chooses the checkpoint by frame accuracy, and threshold and median filter on
    the test set. It evaluates chunks, between which the order of speakers may change;
    here whole recordings are evaluated.
    """

    metric = "der"
    higher_is_better = False
    unit = "recording"

    def __init__(self, references, **kwargs):
        super().__init__(**kwargs)
        self.references = references
        self.shift = self.upstream.stride / self.upstream.sample_rate
        self.grid = [
            (float(threshold), int(median))
            for threshold in self.hparams.thresholds
            for median in self.hparams.medians
        ]
        self.threshold, self.median = self.grid[0]

    def compute_forward(self, batch, stage):
        """Returns logits [batch, frames, speakers] and relative lengths [batch]."""
        features, lens = self.compute_features(batch.to(self.device))
        return self.modules["head"](features, lens), lens

    def compute_objectives(self, predictions, batch, stage):
        """Returns the loss; in evaluation, collects probabilities."""
        logits, lens = predictions
        labels = fit_labels(*batch.activity, logits, lens, batch.id)
        loss, order = permutation_invariant_bce(logits, labels, lens)
        counted = frame_mask(labels, lens)[..., None] & (labels >= 0)
        if stage == sb.Stage.TRAIN:
            loss = share(loss, counted.sum())
        else:
            self.frames = int(counted[..., 0].sum())
            labels = labels.gather(2, order[:, None].expand_as(labels))
            right = ((logits > 0) == (labels > 0)) & counted
            sums = [side.sum((1, 2)).tolist() for side in (right, counted)]
            self.right.update(zip(batch.id, zip(*sums)))
            probabilities = torch.sigmoid(logits.float()).cpu()
            for row, length, name in zip(probabilities, lens, batch.id):
                frames = round(float(length) * len(row))
                self.probabilities[name] = row[:frames].numpy()
        return loss

    def weight(self, batch):
        """Returns the number of frames that the loss is a mean over."""
        return self.frames

    def start_stage(self, stage):
        """Starts collecting probabilities."""
        self.probabilities = {}
        self.right = {}  # numbers of frames that are right, and of those that count

    def stage_stats(self, stage):
        """Returns error rates; in validation, also chooses threshold and median."""
        records = self.references["valid" if stage == sb.Stage.VALID else "test"]
        self.seen = {name: records[name] for name in self.probabilities}
        if stage == sb.Stage.VALID:
            self.threshold, self.median = min(
                self.grid,
                key=lambda chosen: (
                    errors_of(self.seen, self._hypotheses(*chosen)).rate,
                    abs(chosen[0] - 0.5),
                    chosen[1],
                ),
            )
        elif "threshold" in self.best:
            self.threshold = self.best["threshold"]
            self.median = int(self.best["median"])
        self.hypotheses = self._hypotheses(self.threshold, self.median)
        errors = errors_of(self.seen, self.hypotheses)
        within = errors_of(self.seen, self.hypotheses, COLLAR)
        right, counted = map(sum, zip(*self.right.values()))
        stats = {
            "der": errors.rate,
            "der_miss": errors.missed / errors.speech,
            "der_false_alarm": errors.false_alarm / errors.speech,
            "der_confusion": errors.confusion / errors.speech,
            "frame_accuracy": right / max(counted, 1),
            "threshold": self.threshold,
            "median": float(self.median),
        }
        if within.speech:  # no speech is left if all segments are within collars
            stats["der_collar"] = within.rate
        return stats

    def _hypotheses(self, threshold, median):
        return {
            name: segments(
                decide(probabilities, threshold, median),
                self.shift,
                self.seen[name]["duration"],
            )
            for name, probabilities in self.probabilities.items()
        }

    def measures(self):
        """Returns the errors of each recording."""
        within, names = self._errors_of_each(COLLAR), list(self.seen)
        right, counted = zip(*(self.right[name] for name in names))
        entries = {
            **rates_of(self._errors_of_each()),
            "frame_accuracy": ratio(right, counted),
        }
        if any(each.speech for each in within):
            entries["der_collar"] = rates_of(within)["der"]
        return Measures.build(self.unit, names, entries)

    def _errors_of_each(self, collar=0.0):
        """Returns the errors of each recording."""
        return [
            errors_of({name: record}, {name: self.hypotheses[name]}, collar)
            for name, record in self.seen.items()
        ]

    def write_predictions(self):
        """Writes ``predictions.csv``, RTTM and UEM files, probabilities, timelines."""
        folder = Path(self.hparams.output_folder)
        rows, rates = [], {}
        columns = ["missed", "false_alarm", "confusion", "speech"]
        for name, record in sorted(self.seen.items()):
            errors = errors_of({name: record}, {name: self.hypotheses[name]})
            rates[name] = errors.rate if errors.speech else 0.0
            rows.append(
                [name, f"{record['duration']:.3f}", len(record["speakers"])]
                + [f"{errors.rate:.6f}" if errors.speech else ""]
                + [f"{getattr(errors, column):.6f}" for column in columns]
            )
        header = ["id", "duration", "speakers", "der", *columns]
        write_csv(folder / "predictions.csv", header, rows)
        names = sorted(self.seen)
        write_rttm({n: self.hypotheses[n] for n in names}, folder / "hyp.rttm")
        write_rttm({n: self.seen[n]["segments"] for n in names}, folder / "ref.rttm")
        write_uem({n: scored(self.seen[n]) for n in names}, folder / "ref.uem")
        if not conditions.tested_under(vars(self.hparams)):  # for a submission
            self._write_probabilities(folder / PROBABILITIES)
        (folder / "timelines").mkdir(exist_ok=True)
        heading = plots.heading(self, {})
        for name in sorted(names, key=lambda n: (-rates[n], n))[:TIMELINES]:
            timeline(
                folder / "timelines" / f"{file_stem(name)}.png",
                self.seen[name]["segments"],
                self.hypotheses[name],
                self.seen[name]["duration"],
                title=f"{heading} · {name}, DER {measure('der', rates[name])}",
                regions=self.seen[name]["regions"],
            )

    def _write_probabilities(self, path):
        """Writes the probabilities of each recording, [frames, speakers]."""
        tensors = {n: torch.from_numpy(p) for n, p in self.probabilities.items()}
        tensors = {n: tensor.contiguous() for n, tensor in tensors.items()}
        with Part(path) as part:
            write_safetensors(part.path, tensors, {"frame_shift": self.shift})
            part.publish()

    def interface(self):
        """Returns a diarizer with the chosen threshold and median."""
        return {
            "class": "s3prl_sb.inference.diarizer.Diarizer",
            "head": {},
            "hparams": {"threshold": self.threshold, "median": self.median},
        }


def fit_labels(labels, label_lens, logits, lens, names):
    """Fits labels to the number of frames of the logits.

    Labels are made from durations in the manifest, before the audio is read. If audio
    is resampled, a duration may be off by a sample, and the labels by a frame.

    Arguments
    ---------
    labels : torch.Tensor
        [batch, label frames, speakers].
    label_lens : torch.Tensor
        [batch], relative lengths.
    logits : torch.Tensor
        [batch, frames, speakers].
    lens : torch.Tensor
        [batch], relative lengths.
    names : list of str
        Ids of the recordings.

    Returns
    -------
    torch.Tensor
        [batch, frames, speakers], -1 where the label is unknown.

    Raises
    ------
    ValueError
        If the numbers of frames differ by more than two; names the recording.
    """
    counts = (label_lens * labels.shape[1]).round()
    frames = (lens * logits.shape[1]).round()
    for name, have, need in zip(names, counts.tolist(), frames.tolist()):
        if abs(have - need) > 2:
            raise RecipeError(
                f"'{name}' has {need:.0f} frames, but by its duration in the manifest "
                f"{have:.0f}. Has the audio changed since? Prepare again, into another "
                "save_folder."
            )
    labelled = frame_mask(labels, label_lens)[..., None]
    labels = labels.masked_fill(~labelled, UNKNOWN)[:, : logits.shape[1]]
    missing = logits.shape[1] - labels.shape[1]
    return torch.nn.functional.pad(labels, (0, 0, 0, missing), value=UNKNOWN)


def errors_of(records, hypotheses, collar=0.0):
    """Counts the errors of hypotheses in seconds of speech.

    Arguments
    ---------
    records : dict
        ``{recording: record}``, see :mod:`s3prl_sb.corpora.recordings`.
    hypotheses : dict
        ``{recording: [(speaker, start, stop), ...]}``.
    collar : float
        Seconds on both sides of the true boundaries that are not scored.

    Returns
    -------
    s3prl_sb.metrics.diarization.DiarizationErrors

    Example
    -------
    >>> record = {"duration": 3.0, "segments": [["ann", 0, 2]], "regions": None}
    >>> errors_of({"a": record}, {"a": [("speaker1", 0.5, 2)]}).rate
    0.25
    """
    return corpus_errors(
        {name: speaker_last(segments) for name, segments in hypotheses.items()},
        {name: speaker_last(record["segments"]) for name, record in records.items()},
        {name: scored(record) for name, record in records.items()},
        collar=collar,
    )


def rates_of(errors: Iterable[DiarizationErrors]) -> dict[str, Entry]:
    """Returns what recordings contribute to the error rate and its parts.

    Arguments
    ---------
    errors : list of DiarizationErrors
        Errors of each recording.

    Returns
    -------
    dict
        "der", "der_miss", "der_false_alarm" and "der_confusion" to entries of
        ``measures.json``.
    """
    errors = list(errors)
    speech = [each.speech for each in errors]
    parts = {
        "der": [each.total for each in errors],
        "der_miss": [each.missed for each in errors],
        "der_false_alarm": [each.false_alarm for each in errors],
        "der_confusion": [each.confusion for each in errors],
    }
    return {name: ratio(seconds, speech) for name, seconds in parts.items()}


def scored(record):
    """Returns the (start, stop) of the scored regions of a recording."""
    if record["regions"] is None:
        return [(0.0, record["duration"])]
    return [tuple(region) for region in record["regions"]]
