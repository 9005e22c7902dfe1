"""Training of heads that are fitted at once: one step over the whole training set.

Authors
 * The s3prl_sb developers, 2026
"""

import statistics
from typing import TYPE_CHECKING

import speechbrain as sb
import torch

from s3prl_sb.brains.classification import ClassificationBrain
from s3prl_sb.dataio.collation import collate
from s3prl_sb.lobes.heads.at_once import FitsAtOnce, Repeated
from s3prl_sb.metrics.classification import accuracy
from s3prl_sb.metrics.contributions import mean
from s3prl_sb.metrics.multi_label import mean_average_precision
from s3prl_sb.startup.configuration import RecipeError

BATCH = 64  # examples whose features are computed together

if TYPE_CHECKING:
    _Base = ClassificationBrain
else:
    _Base = object


class FittingBrain(_Base):
    """Half of a Brain that also trains heads that are fitted at once.

    It stands before another class among the bases of a Brain. Other heads are trained
    as that class does. A recipe with such a head has ``total_steps`` and
    ``steps_per_epoch`` 1, and neither ``lr_search`` nor ``probe_layers``.

    Of a :class:`~s3prl_sb.lobes.heads.at_once.Repeated` head, ``accuracy``, or the mean
    average precision of any number of labels, is the mean over its classifiers; their
    standard deviation is in ``accuracy_deviation``, and ``ensemble_accuracy`` is that
    of the mean probabilities, as are all other metrics and the predictions.

    Raises
    ------
    RecipeError
        If there are several steps.
    """

    train_set = None  # while it is trained

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        # Several processes wrap the one in `modules`
        self.head = head = self.raw_modules["head"]
        self.votes = []
        self.is_fitted_at_once = isinstance(head, FitsAtOnce)
        self.is_repeated = self.is_fitted_at_once and isinstance(head, Repeated)
        self.has_one = isinstance(self, ClassificationBrain)
        if self.is_fitted_at_once and self.hparams.total_steps != 1:
            raise RecipeError(
                f"total_steps: {type(head).__name__} is fitted in one step, not in "
                f"{self.hparams.total_steps}. Give total_steps: 1."
            )

    def fit(self, epoch_counter, train_set, *args, **kwargs):
        """Trains as other Brains do; first, it makes room for the training set."""
        if self.is_fitted_at_once:
            self.train_set = train_set
            self.head.reserve(len(train_set))
        super().fit(epoch_counter, train_set, *args, **kwargs)
        self.train_set = None

    def fit_batch(self, batch):
        """Trains on a batch; fits a head that is fitted at once to all examples."""
        if not self.is_fitted_at_once:
            return super().fit_batch(batch)
        if self.train_set is None:
            raise RecipeError(
                "lr_search and probe_layers train in several steps, and this head is "
                "fitted at once: leave them out."
            )
        self.on_fit_batch_start(batch, True)
        vectors, targets = self.training_vectors()
        self.head.fit(vectors, targets, self.hparams.seed)
        with torch.no_grad():
            logits = self.head(vectors[:, None], torch.ones(len(vectors)))
            loss = self.loss(logits, targets)
        self.optimizer_step += 1
        self.on_fit_batch_end(batch, logits, loss, True)
        return loss.cpu()

    @torch.no_grad()
    def training_vectors(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns the vectors and the classes of the training set.

        Returns
        -------
        vectors : torch.Tensor
            [examples, size].
        targets : torch.Tensor
            [examples], or [examples, labels].
        """
        rows, vectors, targets = range(len(self.train_set)), [], []
        for start in range(0, len(rows), BATCH):
            examples = [self.train_set[row] for row in rows[start : start + BATCH]]
            batch = (self.train_set.collate or collate)(examples).to(self.device)
            vectors.append(self.head.vectors(*self.compute_features(batch)))
            one = self.has_one
            targets.append(batch.label_encoded if one else batch.labels_encoded[0])
        return torch.cat(vectors), torch.cat(targets)

    # ------------------------------------------------------------- evaluation
    def start_stage(self, stage):
        """Starts collecting what the metrics need."""
        super().start_stage(stage)
        self.votes = []

    def compute_forward(self, batch, stage):
        """Returns the predictions of the head, and collects those of its parts."""
        if not self.is_repeated or stage == sb.Stage.TRAIN:
            return super().compute_forward(batch, stage)
        features, lens = self.compute_features(batch.to(self.device))
        logits = self.head.each(features, lens)
        self.votes.append(self.head.probabilities(logits).cpu())
        return self.head.together(logits)

    def stage_stats(self, stage):
        """Returns the metrics, and the accuracies of the parts of the head."""
        stats = super().stage_stats(stage)
        if not self.is_repeated:
            return stats
        measure = self._accuracy if self.has_one else mean_average_precision
        name = "accuracy" if self.has_one else "mean_average_precision"
        values = [measure(each, self.true) for each in torch.cat(self.votes, dim=1)]
        stats[f"ensemble_{name}"] = stats[name]
        stats[name] = statistics.fmean(values)
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        return {**stats, f"{name}_deviation": spread}

    def contributions(self):
        """Returns what each example contributes: to the accuracy the share of the
        classifiers that are right."""
        entries = super().contributions()
        if not self.is_repeated:
            return entries
        name = "accuracy" if self.has_one else "mean_average_precision"
        if name in entries:
            entries[f"ensemble_{name}"] = entries.pop(name)
        for entry in entries.values():
            if entry.get("of") == name:
                entry["of"] = f"ensemble_{name}"
        if self.has_one:
            right = torch.cat(self.votes, dim=1).argmax(-1) == self.true
            entries[name] = mean(right.double().mean(0))
        return entries

    @staticmethod
    def _accuracy(scores, true):
        return accuracy(scores.argmax(-1), true)

    def interface(self):
        """Returns what an export needs; also the sizes of a head fitted at once."""
        interface = super().interface()
        if self.is_fitted_at_once:
            head = {**interface["head"], **self.head.sizes()}
            return {**interface, "head": head}
        return interface
