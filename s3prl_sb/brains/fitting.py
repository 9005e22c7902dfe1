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
from s3prl_sb.startup.configuration import RecipeError

BATCH = 64  # examples whose features are computed together
MEAN, SPREAD = "repeat_accuracy", "repeat_deviation"  # of the parts of a head

if TYPE_CHECKING:
    _Base = ClassificationBrain
else:
    _Base = object


class FittingBrain(_Base):
    """Half of a Brain that also trains heads that are fitted at once.

    It stands before another class among the bases of a Brain. Other heads are trained
    as that class does. A recipe with such a head has ``total_steps`` and
    ``steps_per_epoch`` 1, and neither ``lr_search`` nor ``probe_layers``.

    Of a :class:`~s3prl_sb.lobes.heads.at_once.Repeated` head, the metrics are those of
    the mean probabilities; ``repeat_accuracy`` is the mean accuracy of its classifiers
    instead, and chooses, and ``repeat_deviation`` its standard deviation.

    Raises
    ------
    RecipeError
        If the examples have any number of labels, or there are several steps.
    """

    train_set = None  # while it is trained

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        # Several processes wrap the one in `modules`
        self.head = head = self.raw_modules["head"]
        self.votes = []
        self.is_fitted_at_once = isinstance(head, FitsAtOnce)
        self.is_repeated = self.is_fitted_at_once and isinstance(head, Repeated)
        if self.is_repeated:
            self.metric = MEAN
        name = type(head).__name__
        has_one = isinstance(self, ClassificationBrain)
        self.target = "label_encoded" if has_one else "labels_encoded"
        if self.is_fitted_at_once and not (has_one or head.many):
            raise RecipeError(
                f"head: {name} is for clips with one label, and these have any number. "
                "Use another YAML of the recipe, such as xares.yaml."
            )
        if self.is_fitted_at_once and self.hparams.total_steps != 1:
            raise RecipeError(
                f"total_steps: {name} is fitted in one step, not in "
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
            [examples].
        """
        rows, vectors, targets = range(len(self.train_set)), [], []
        for start in range(0, len(rows), BATCH):
            examples = [self.train_set[row] for row in rows[start : start + BATCH]]
            batch = (self.train_set.collate or collate)(examples).to(self.device)
            vectors.append(self.head.vectors(*self.compute_features(batch)))
            target = getattr(batch, self.target)
            targets.append(target if torch.is_tensor(target) else target[0])
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
        self.votes.append(logits.argmax(-1).cpu())
        return self.head.together(logits)

    def stage_stats(self, stage):
        """Returns the metrics, and the accuracies of the parts of the head."""
        stats = super().stage_stats(stage)
        if self.is_repeated:
            right = torch.cat(self.votes, dim=1) == self.true
            accuracies = right.double().mean(1).tolist()
            stats[MEAN] = statistics.fmean(accuracies)
            spread = statistics.stdev(accuracies) if len(accuracies) > 1 else 0.0
            stats[SPREAD] = spread
        return stats

    def interface(self):
        """Returns what an export needs; also the sizes of a head fitted at once."""
        interface = super().interface()
        if self.is_fitted_at_once:
            head = {**interface["head"], **self.head.sizes()}
            return {**interface, "head": head}
        return interface
