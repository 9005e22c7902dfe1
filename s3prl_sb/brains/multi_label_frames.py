"""Classification of frames with any number of labels, such as sound events.

Authors
 * The s3prl_sb developers, 2026
"""

import speechbrain as sb
import torch
import torch.nn.functional as F

from s3prl_sb.brains.frames import FrameBrain
from s3prl_sb.dataio.frame_labels import UNKNOWN
from s3prl_sb.metrics.contributions import label_f1
from s3prl_sb.metrics.multi_label import (
    best_threshold,
    macro_f1,
    mean_average_precision,
)


class MultiLabelFrameBrain(FrameBrain):
    """Brain for any number of labels per frame, trained with binary cross-entropy.

    Its datasets are those of ``frame_splits(hparams, multi_label=True)``. The
    validation set chooses the threshold of the probabilities, from the recipe's
    ``thresholds``; the checkpoint stores it, and the test uses it.

    Arguments
    ---------
    **kwargs
        See :class:`~s3prl_sb.brains.frames.FrameBrain`; ``hparams`` has ``thresholds``.
    """

    metric = "frame_f1"

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.threshold = float(self.hparams.thresholds[0])

    def loss(self, predictions, true):
        """Returns the binary cross-entropy, a mean over frames that count and labels.

        Arguments
        ---------
        predictions, true : torch.Tensor
            [batch, frames, labels], see :meth:`FrameBrain.loss`.

        Returns
        -------
        torch.Tensor
            A scalar, 0 if no frame counts.
        """
        known = true != UNKNOWN
        each = F.binary_cross_entropy_with_logits(
            predictions, true.clamp_min(0), reduction="none"
        )
        return (each * known).sum() / known.sum().clamp_min(1)

    def probabilities(self, logits):
        """Returns the probabilities of the labels for logits [..., labels]."""
        return logits.sigmoid()

    def collect(self, batch, row, probabilities, true):
        """Collects the probabilities for an utterance of a batch."""
        name = batch.id[row]
        self.true[name], self.predicted[name] = true.cpu(), probabilities.cpu()

    def stage_stats(self, stage):
        """Returns the F1 score and the average precision, means over labels; in
        validation, also chooses the threshold."""
        scores, true = self.joined()
        true = true > 0
        if stage == sb.Stage.VALID:
            self.threshold = best_threshold(scores, true, self.hparams.thresholds)
        elif "threshold" in self.best:
            self.threshold = self.best["threshold"]
        return {
            "frame_f1": macro_f1(scores > self.threshold, true),
            "frame_average_precision": mean_average_precision(scores, true),
            "threshold": self.threshold,
        }

    def contributions(self):
        """Returns the right, the predicted and the true frames of each label."""
        rows = []
        for name, true in self.true.items():
            known = (true != UNKNOWN).all(-1)
            found, there = self.active(self.predicted[name])[known], true[known] > 0
            sides = (found & there, found, there)
            rows.append(torch.stack([side.sum(0) for side in sides]))
        return {"frame_f1": label_f1(*torch.stack(rows, 1).numpy())}

    def active(self, labels: torch.Tensor) -> torch.Tensor:
        """Returns which labels hold in each frame, for probabilities or the truth
        [frames, labels]."""
        return labels > self.threshold

    def plot_confusions(self, path):
        """Plots nothing: several labels of a frame are no confusion."""

    def interface(self):
        """Returns a labeller of frames with the chosen threshold."""
        interface = super().interface()
        interface["hparams"]["threshold"] = self.threshold
        return interface
