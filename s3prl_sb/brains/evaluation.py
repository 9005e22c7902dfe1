"""How a Brain is evaluated: the mean loss, the best checkpoint, the results.

Authors
 * The s3prl_sb developers, 2026
"""

import torch
from speechbrain.utils.distributed import ddp_barrier, if_main_process

from s3prl_sb.brains import memory, results
from s3prl_sb.brains.checkpointer import ranking
from s3prl_sb.brains.course import Silent
from s3prl_sb.lobes.networks.precision import full_precision
from s3prl_sb.startup.experiment import RecipeError

NOT_STATS = ("epoch", "unixtime", "end-of-epoch")  # in the meta of a checkpoint


class Evaluation:
    """The part of :class:`~s3prl_sb.brains.base.SSLBrain` that is no training."""

    def weight(self, batch):
        """How much a batch counts in the mean loss of a stage; override it where
        its loss is a mean over anything but utterances.

        Arguments
        ---------
        batch : speechbrain.dataio.batch.PaddedBatch
            Evaluated last.

        Returns
        -------
        int
        """
        return len(batch.id)

    def evaluate_batch(self, batch, stage):
        """SpeechBrain's, naming a batch that is too large. Products are exact, as in an
        export, unless ``eval_precision`` says otherwise."""
        with memory.named(batch), full_precision():
            loss = super().evaluate_batch(batch, stage)
        self.batch_weight = self.weight(batch)
        return loss

    def update_average(self, loss, avg_loss):
        """SpeechBrain's in training. In evaluation batches count by their weight, so
        that the mean does not depend on how they are composed."""
        if torch.is_grad_enabled():
            self.course.train(loss, self)
            return super().update_average(loss, avg_loss)
        self.course.evaluate()
        if torch.isfinite(loss) and self.batch_weight:
            self.evaluated += self.batch_weight
            avg_loss += (float(loss) - avg_loss) * self.batch_weight / self.evaluated
        return avg_loss

    def save_best(self, stats, epoch):
        """Saves a checkpoint at the end of an epoch; keeps the best and it.

        Arguments
        ---------
        stats : dict
            Validation metrics, :attr:`metric` among them.
        epoch : int
            Its number.
        """
        self.checkpointer.save_and_keep_only(
            meta={**{name: float(v) for name, v in stats.items()}, "epoch": epoch},
            importance_keys=[ranking(self.metric, self.higher_is_better)],
        )

    def on_evaluate_start(self, max_key=None, min_key=None):
        """Loads the best checkpoint; there must be one with the metric."""
        if self.checkpointer is None:
            return
        metric = max_key or min_key
        found = self.checkpointer.find_best(metric, highest=max_key is not None)
        if found is None:
            known = {k for c in self.checkpointer.list_checkpoints() for k in c.meta}
            have = (
                f"They have: {', '.join(sorted(known))}." if known else "Train first."
            )
            raise RecipeError(
                f"No checkpoint in '{self.checkpointer.checkpoints_dir}' has the "
                f"metric '{metric}'. {have}"
            )
        self.checkpointer.load_checkpoint(found)
        self.best = {
            name: value for name, value in found.meta.items() if name not in NOT_STATS
        }

    def evaluate(self, test_set, test_loader_kwargs={}, **kwargs):
        """SpeechBrain's, choosing the checkpoint by :attr:`metric`."""
        key = "max_key" if self.higher_is_better else "min_key"
        kwargs.setdefault(key, self.metric)
        kwargs.update(progressbar=False, test_loader_kwargs=dict(test_loader_kwargs))
        try:
            return super().evaluate(test_set, **kwargs)
        finally:
            self.course.close()
            self.course = Silent()

    def tested_on(self):
        """What the test set is, by content; override it where more than its
        utterances counts.

        Returns
        -------
        list
            JSON values.
        """
        return [self.data["test"]]

    def finish_test(self, metrics):
        """Leaves what a run ends with: what an export needs, and the results.

        Arguments
        ---------
        metrics : dict
            Names to numbers, of the test set.
        """
        if if_main_process():
            results.write_interface(self)
        self.write_results(metrics)

    def write_results(self, metrics):
        """Leaves ``results.json`` and the plot of the layer weights.

        Arguments
        ---------
        metrics : dict
            Names to numbers, of the test set.
        """
        if if_main_process():
            results.write(self, metrics)
        ddp_barrier()  # torchrun ends all processes when the first one leaves
