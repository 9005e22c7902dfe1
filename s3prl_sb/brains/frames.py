"""Classification of frames: phones, speakers, sound events.

Authors
 * The s3prl_sb developers, 2026
"""

from pathlib import Path

import speechbrain as sb
import torch
import torch.nn.functional as F

from s3prl_sb.brains import plots
from s3prl_sb.brains.base import SSLBrain
from s3prl_sb.brains.distributed import share
from s3prl_sb.brains.frame_lengths import check_lengths
from s3prl_sb.brains.labels import SPEAKER, category_pipe
from s3prl_sb.brains.timeline_plot import label_timeline
from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.ctm import write_ctm
from s3prl_sb.dataio.frame_labels import (
    UNKNOWN,
    FrameLabels,
    frame_segments,
    labels_of,
)
from s3prl_sb.dataio.splits import make_splits, read_splits
from s3prl_sb.lobes.heads.pooling import frame_mask
from s3prl_sb.lobes.time_alignment import align
from s3prl_sb.metrics.classification import accuracy, confusion_matrix
from s3prl_sb.metrics.contributions import Entry, mean, ratio
from s3prl_sb.metrics.measures import Measures
from s3prl_sb.startup.configuration import RecipeError
from s3prl_sb.storage.csv_files import write_csv
from s3prl_sb.storage.file_names import file_stem

TIMELINES = 4  # number of plotted utterances


class FrameBrain(SSLBrain):
    """Brain for one label per frame, trained with cross-entropy.

    The features are aligned with the frames of the labels, which may have another rate,
    see :func:`~s3prl_sb.lobes.time_alignment.align`. Frames without a label do not
    count. Where every utterance has one label, the label with the highest mean
    probability over the frames is measured too, as the ``accuracy`` of utterances.

    Arguments
    ---------
    labels : list of str
        All labels, in the order of their indices.
    **kwargs
        See :class:`~s3prl_sb.brains.base.SSLBrain`. The module ``head`` maps aligned
        features and relative lengths to [batch, frames, labels]. ``hparams`` may have
        ``frame_seconds``; default: the stride of the upstream.

    Note
    ----
    S3PRL's loss of speakers by frames includes the padding; this one does not.
    """

    metric = "frame_accuracy"

    def __init__(self, labels, **kwargs):
        super().__init__(**kwargs)
        self.labels = labels
        self.stride = self.upstream.stride / self.upstream.sample_rate
        self.frame_seconds = getattr(self.hparams, "frame_seconds", None) or self.stride

    def compute_forward(self, batch, stage):
        """Returns logits [batch, label frames, labels]."""
        features, lens = self.compute_features(batch.to(self.device))
        labels, label_lens = batch.frame_labels
        frames = (label_lens * labels.shape[1]).round()
        seconds = (lens * features.shape[1]).round() * self.stride
        wanted = frames * self.frame_seconds
        check_lengths(batch.id, wanted, seconds, self.stride, self.frame_seconds)
        features = align(features, lens, self.stride, self.frame_seconds, frames)
        return self.modules["head"](features, label_lens)

    def compute_objectives(self, predictions, batch, stage):
        """Returns the loss; in evaluation, collects the predictions."""
        labels, lens = batch.frame_labels
        mask = frame_mask(labels, lens)
        padding = ~mask if labels.dim() == 2 else ~mask[..., None]
        true = labels.masked_fill(padding, UNKNOWN)
        counted = (true != UNKNOWN).sum()
        logits = predictions.float()
        loss = self.loss(logits, true)
        if stage == sb.Stage.TRAIN:
            return share(loss, counted)
        self.counted = int(counted)
        probabilities = self.probabilities(logits)
        for row, frames in enumerate(mask.sum(1).tolist()):
            self.seconds[batch.id[row]] = batch.time_map[row].duration
            self.collect(batch, row, probabilities[row, :frames], true[row, :frames])
        return loss

    def loss(self, predictions: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
        """Returns the mean loss over frames with a label; override it for another loss.

        Arguments
        ---------
        predictions : torch.Tensor
            [batch, frames, labels], output of ``head``.
        true : torch.Tensor
            [batch, frames], indices of the correct labels;
            :data:`~s3prl_sb.dataio.frame_labels.UNKNOWN` in frames that do not count,
            those of the padding among them.

        Returns
        -------
        torch.Tensor
            A scalar, 0 if no frame counts.
        """
        logits, targets = predictions.flatten(0, 1), true.flatten()
        total = F.cross_entropy(logits, targets, ignore_index=UNKNOWN, reduction="sum")
        return total / (true != UNKNOWN).sum().clamp_min(1)

    def probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """Returns the probabilities of the labels for logits [..., labels]."""
        return logits.softmax(-1)

    def collect(self, batch, row, probabilities, true):
        """Collects the predictions for an utterance of a batch.

        Arguments
        ---------
        batch : speechbrain.dataio.batch.PaddedBatch
            The batch.
        row : int
            Number of the utterance in it.
        probabilities : torch.Tensor
            [frames, labels].
        true : torch.Tensor
            [frames], indices of the correct labels.
        """
        name = batch.id[row]
        self.true[name] = true.cpu()
        self.predicted[name] = probabilities.argmax(-1).cpu()
        if hasattr(batch, "label_encoded"):
            score, best = probabilities.mean(0).max(-1)
            label = int(batch.label_encoded[row])
            self.utterances[name] = (label, int(best), float(score))

    def weight(self, batch):
        """Returns the number of labels that the loss is a mean over."""
        return self.counted

    def start_stage(self, stage):
        """Starts collecting predictions."""
        self.true, self.predicted, self.utterances, self.seconds = {}, {}, {}, {}

    def joined(self):
        """Returns the predictions and the truth of all frames that count."""
        true = torch.cat(list(self.true.values()))
        predicted = torch.cat(list(self.predicted.values()))
        known = true != UNKNOWN
        known = known if known.dim() == 1 else known.all(-1)
        return predicted[known], true[known]

    def stage_stats(self, stage):
        """Returns the accuracy over frames, and over utterances that have a label."""
        stats = {"frame_accuracy": accuracy(*self.joined())}
        if self.utterances:
            true, predicted, _ = map(torch.tensor, zip(*self.utterances.values()))
            stats["accuracy"] = accuracy(predicted, true)
        return stats

    def contributions(self) -> dict[str, Entry]:
        """Returns what each utterance contributes to the metrics of the test."""
        right, counted = [], []
        for name, true in self.true.items():
            known = true != UNKNOWN
            right.append(int((self.predicted[name] == true)[known].sum()))
            counted.append(int(known.sum()))
        entries = {"frame_accuracy": ratio(right, counted)}
        if self.utterances:
            pairs = [self.utterances[name][:2] for name in self.true]
            entries["accuracy"] = mean(int(label == best) for label, best in pairs)
        return entries

    def measures(self):
        """Returns the contributions; if labels are speakers, these are drawn."""
        names, units = list(self.true), None
        if self.unit == SPEAKER:
            units = [self.labels[self.utterances[name][0]] for name in names]
        return Measures.build(self.unit, names, self.contributions(), units)

    def active(self, labels: torch.Tensor) -> torch.Tensor:
        """Returns which labels hold in each frame.

        Arguments
        ---------
        labels : torch.Tensor
            [frames], predictions or the truth of an utterance.

        Returns
        -------
        torch.Tensor
            [frames, labels], bool; no label holds in a frame that does not count.
        """
        return labels[:, None] == torch.arange(len(self.labels))

    def write_predictions(self):
        """Writes ``predictions.csv``, the segments as CTM files, timelines of the worst
        utterances, and the confusion matrix."""
        folder = Path(self.hparams.output_folder)
        rates = {name: self._rate(name) for name in sorted(self.true)}
        counted = [name for name, rate in rates.items() if rate is not None]
        names = ["id", "frames", "frame_accuracy"]
        names += ["label", "prediction", "score"] if self.utterances else []
        write_csv(
            folder / "predictions.csv", names, map(self._row, rates, rates.values())
        )
        segments_of = {}
        for kind, labels in (("ref", self.true), ("hyp", self.predicted)):
            segments_of[kind] = {name: self._segments(name, labels) for name in rates}
            write_ctm(segments_of[kind], folder / f"{kind}.ctm")
        (folder / "timelines").mkdir(exist_ok=True)
        heading = plots.heading(self, {})
        for name in sorted(counted, key=lambda n: (rates[n], n))[:TIMELINES]:
            label_timeline(
                folder / "timelines" / f"{file_stem(name)}.png",
                segments_of["ref"][name],
                segments_of["hyp"][name],
                self.seconds[name],
                title=f"{heading} · {name}, accuracy {100 * rates[name]:.1f} %",
            )
        self.plot_confusions(folder / "confusion_matrix.png")

    def plot_confusions(self, path):
        """Plots which labels are confused, into a PNG file, and writes the counts into
        ``confusions.csv`` beside it."""
        counts = confusion_matrix(*self.joined(), len(self.labels))
        plots.confusion_matrix(path, counts, self.labels, plots.heading(self))
        pairs = counts.nonzero().tolist()
        rows = [[self.labels[t], self.labels[p], int(counts[t, p])] for t, p in pairs]
        header = ["label", "prediction", "frames"]
        write_csv(path.with_name("confusions.csv"), header, rows)

    def _rate(self, name):
        """Returns the share of right labels in an utterance, of those that count; None
        if no frame counts."""
        known = self.true[name] != UNKNOWN
        right = self.active(self.predicted[name]) == self.active(self.true[name])
        right = right.all(-1) if known.dim() == 1 else right
        return float(right[known].double().mean()) if known.any() else None

    def _row(self, name, rate):
        """Returns the row of an utterance in ``predictions.csv``."""
        row = [name, len(self.true[name]), "" if rate is None else f"{rate:.6f}"]
        if name in self.utterances:
            label, best, score = self.utterances[name]
            row += [self.labels[label], self.labels[best], f"{score:.6f}"]
        return row

    def _segments(self, name, labels):
        active, seconds = self.active(labels[name]), self.seconds[name]
        return frame_segments(active, self.frame_seconds, self.labels, seconds)

    def interface(self):
        """Returns a labeller of frames."""
        return {
            "class": "s3prl_sb.inference.frame_labeller.FrameLabeller",
            "head": {"num_classes": len(self.labels)},
            "hparams": {
                "labels": self.labels,
                "frame_seconds": getattr(self.hparams, "frame_seconds", None),
                "utterance_labels": bool(self.utterances),
                "threshold": None,
            },
        }


def frame_splits(hparams, multi_label=False):
    """Returns the three datasets of a recipe for frames, and the labels.

    Arguments
    ---------
    hparams : dict
        Settings: ``save_folder`` with ``train.json``, ``valid.json`` and ``test.json``,
        whose records have ``segments``, or ``label`` for all frames of an utterance;
        ``upstream_model``; ``train_pipes`` and ``eval_pipes``; optionally
        ``frame_seconds``, see :class:`~s3prl_sb.dataio.frame_labels.FrameLabels`, and
        the keys of few-shot training.
    multi_label : bool
        Whether a frame may have any number of labels.

    Returns
    -------
    splits : dict
        "train", "valid", "test" to
        :class:`~s3prl_sb.dataio.dataset.ManifestDataset`, whose examples have ``id``,
        ``sig``, ``frame_labels`` and ``time_map``, and ``label_encoded`` if utterances
        have a label.
    labels : list of str
        Sorted labels of the training set.
    """
    folder = hparams["save_folder"]
    whole = manifest.read(Path(folder) / "train.json")
    labels = sorted(labels_of(whole))
    has_segments = all("segments" in record for record in whole.values())
    records = read_splits(hparams, key=None if has_segments else "label")
    check_labels(folder, records, labels)
    pipes, keys = frame_pipes(hparams, records, labels, multi_label)
    return make_splits(hparams, records, pipes, keys), labels


def frame_pipes(hparams, records, labels, multi_label=False):
    """Returns the pipes that make the targets, and the items of an example.

    Arguments
    ---------
    hparams : dict
        See :func:`frame_splits`.
    records : dict
        Splits to ``{id: record}``.
    labels : list of str
        All labels.
    multi_label : bool
        Whether a frame may have any number of labels.

    Returns
    -------
    (list of s3prl_sb.dataio.dataset.Pipe, list of str)

    Raises
    ------
    RecipeError
        If no frame of a split has a label, unless frames may have none.
    """
    frame_seconds = hparams.get("frame_seconds")
    upstream = hparams["upstream_model"]
    made = FrameLabels(upstream, labels, frame_seconds, multi_label)
    for split, utterances in records.items():
        if not multi_label and not any(map(made.is_labelled, utterances.values())):
            raise RecipeError(
                f"{hparams['save_folder']}/{split}.json: no frame has a label: no "
                f"segment covers the centre of one of the frames, each "
                f"{made.frame_seconds:g} s long. Give longer segments, or a smaller "
                "frame_seconds."
            )
    pipes = [made]
    keys = ["id", "sig", "frame_labels", "time_map"]
    if any("segments" not in r for each in records.values() for r in each.values()):
        return [*pipes, category_pipe(labels)], [*keys, "label_encoded"]
    return pipes, keys


def check_labels(folder, records, labels):
    """Checks that the labels in all splits occur in training.

    Arguments
    ---------
    folder : str
        Folder of the manifests, to name them.
    records : dict
        Splits to ``{id: record}``.
    labels : list of str
        Labels of the training set.

    Raises
    ------
    RecipeError
        If a label does not occur in training; names it.
    """
    for split, utterances in records.items():
        unknown = sorted(labels_of(utterances) - set(labels))
        if unknown:
            name = next(
                name
                for name, record in utterances.items()
                if labels_of({name: record}) & set(unknown)
            )
            raise RecipeError(
                f"{folder}/{split}.json has labels that do not occur in training: "
                f"{', '.join(unknown[:10])}, first in '{name}'. Remove these segments "
                "or give them training examples."
            )
