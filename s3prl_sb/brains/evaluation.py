"""Evaluation of a Brain: features, mean loss, best checkpoint, results.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Mapping
from typing import Any

import speechbrain as sb
import torch
from speechbrain.dataio.batch import PaddedBatch
from speechbrain.utils.distributed import ddp_barrier, if_main_process

from s3prl_sb.brains import memory, results
from s3prl_sb.brains.course import Silent
from s3prl_sb.brains.training import TrainingBrain
from s3prl_sb.dataio.audio import AudioFileError
from s3prl_sb.lobes.networks.precision import full_precision
from s3prl_sb.lobes.upstreams.base import AudioError, Upstream
from s3prl_sb.metrics.measures import Measures


class Evaluation(TrainingBrain):
    """Evaluation half of SSLBrain: features, mean loss, best checkpoint, results."""

    unit = "utterance"  #: what a bootstrap of the test set draws
    evaluation_loss = True  #: whether the loss is meaningful on new data
    upstream: Upstream
    tested_seconds: float | None = None  #: duration of the test set
    #: Names of metrics to the version and settings of what measured them.
    signatures: Mapping[str, str] = {}
    origin = None  #: search in which the run was trained, if any
    evaluated = 0  # utterances of this stage so far
    batch_weight = 0  # weight of the last batch
    unfreeze_after = 0  #: updates before an unfrozen upstream is trained

    def compute_features(self, batch: PaddedBatch) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns the features of a batch, cached or computed.

        Arguments
        ---------
        batch : speechbrain.dataio.batch.PaddedBatch
            A batch with ``feats`` or ``sig``.

        Returns
        -------
        features : torch.Tensor
            [batch, frames, size].
        lens : torch.Tensor
            [batch], relative lengths.
        """
        cached = hasattr(batch, "feats")
        states, lens = batch.feats if cached else self.hidden_states(batch)
        return self.modules["featurizer"](states), lens

    def hidden_states(
        self, batch: PaddedBatch
    ) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Returns the upstream's hidden states of a batch.

        Arguments
        ---------
        batch : speechbrain.dataio.batch.PaddedBatch
            A batch with ``sig``, on the device.

        Returns
        -------
        states : list of torch.Tensor
            [batch, frames, size] for each hidden state.
        lens : torch.Tensor
            [batch], relative lengths.

        Raises
        ------
        AudioFileError
            If an utterance is unusable; names it.
        """
        sig, lens = batch.sig
        try:
            if self.upstream_waits and torch.is_grad_enabled():
                return self._waiting_states(sig, lens)
            if not self.upstream.freeze:  # wrapped, under DDP
                return self.modules["upstream"](sig, lens)
            with full_precision():
                return self.upstream.to(self.device)(sig, lens)
        except AudioError as error:
            raise AudioFileError(
                f"utterance '{batch.id[error.index]}' {error.reason}"
            ) from error

    @property
    def upstream_waits(self) -> bool:
        """True while an unfrozen upstream is not trained yet (``unfreeze_after``)."""
        return self.optimizer_step < self.unfreeze_after

    def _waiting_states(self, sig, lens):
        """Runs an unfrozen upstream as a frozen one: without gradient and dropout."""
        training, _ = self.upstream.training, self.upstream.eval()
        with torch.no_grad(), full_precision():
            states = self.upstream(sig, lens)
        self.upstream.train(training)
        return states

    def compute_forward(self, batch: PaddedBatch, stage: sb.Stage) -> Any:
        """Computes the predictions for a batch; here the output of ``head``.

        Arguments
        ---------
        batch : speechbrain.dataio.batch.PaddedBatch
            The batch.
        stage : sb.Stage
            TRAIN, VALID or TEST.

        Returns
        -------
        object
            First argument of :meth:`compute_objectives`.
        """
        features, lens = self.compute_features(batch.to(self.device))
        return self.modules["head"](features, lens)

    def compute_objectives(
        self, predictions: Any, batch: PaddedBatch, stage: sb.Stage
    ) -> torch.Tensor:
        """Computes the loss; in evaluation, also collects what the metrics need.

        Arguments
        ---------
        predictions : object
            From :meth:`compute_forward`.
        batch : speechbrain.dataio.batch.PaddedBatch
            The batch.
        stage : sb.Stage
            TRAIN, VALID or TEST.

        Returns
        -------
        torch.Tensor
            A scalar.
        """
        raise NotImplementedError

    def start_stage(self, stage: sb.Stage) -> None:
        """Makes empty collections for what :meth:`stage_stats` needs.

        Arguments
        ---------
        stage : sb.Stage
            The stage that begins.
        """

    def stage_stats(self, stage: sb.Stage) -> dict[str, float]:
        """Returns the metrics of what the stage has collected.

        Arguments
        ---------
        stage : sb.Stage
            VALID or TEST.

        Returns
        -------
        dict
            Names to floats, :attr:`metric` among them. The checkpoint keeps those of
            VALID: a value chosen on the validation set, such as a threshold, may be
            one of them, and is in :attr:`best` when TEST begins.
        """
        return {}

    def write_predictions(self) -> None:
        """Writes the test-set predictions into ``output_folder``."""

    def measures(self) -> Measures | None:
        """Returns what each item of the test contributed to each metric.

        It is called once, in the main process, when the test is finished, and written
        into ``measures.json``; the intervals of ``results.json`` are computed from it.

        Returns
        -------
        Measures or None
            Metrics of :meth:`stage_stats` that have an interval, see
            :mod:`s3prl_sb.brains.measuring`; None: none has.
        """
        return None

    def interface(self) -> dict[str, Any]:
        """Returns what an export needs besides upstream, featurizer and head.

        Returns
        -------
        dict
            ``class``, a :class:`~s3prl_sb.inference.pretrained.SpeechModel` by
            its dotted name; ``head``, arguments that the recipe's node of the
            head lacks; ``hparams``, JSON values that the class needs.
        """
        raise NotImplementedError

    def weight(self, batch: PaddedBatch) -> int:
        """Returns the weight of a batch in the mean loss of a stage.

        Override it where the loss is a mean over anything but utterances.

        Arguments
        ---------
        batch : speechbrain.dataio.batch.PaddedBatch
            The batch evaluated last.

        Returns
        -------
        int
        """
        return len(batch.id)

    def evaluate_batch(self, batch: PaddedBatch, stage: sb.Stage) -> torch.Tensor:
        """Evaluates a batch as SpeechBrain does, and names one that is too large.

        Products are exact, as in an export, unless ``eval_precision`` is set.
        """
        with memory.named(batch), full_precision():
            loss = super().evaluate_batch(batch, stage)
        self.batch_weight = self.weight(batch)
        return loss

    def update_average(self, loss: torch.Tensor, avg_loss: float) -> float:
        """Updates the mean loss: in training as SpeechBrain does, in evaluation by
        the weights of the batches, so that the batch size does not matter."""
        if torch.is_grad_enabled():
            self.course.train(loss, self)
            return super().update_average(loss, avg_loss)
        self.course.evaluate()
        if torch.isfinite(loss) and self.batch_weight:
            self.evaluated += self.batch_weight
            avg_loss += (float(loss) - avg_loss) * self.batch_weight / self.evaluated
        return avg_loss

    def evaluate(self, test_set, test_loader_kwargs: dict = {}, **kwargs) -> float:
        """Evaluates the checkpoint that is the best by :attr:`metric`."""
        key = "max_key" if self.higher_is_better else "min_key"
        kwargs.setdefault(key, self.metric)
        kwargs.update(progressbar=False, test_loader_kwargs=dict(test_loader_kwargs))
        try:
            return super().evaluate(test_set, **kwargs)
        finally:
            self.course.close()
            self.course = Silent()

    def tested_on(self) -> list:
        """Returns what identifies the test set by content.

        Override it where more than the utterances matters.

        Returns
        -------
        list
            JSON values.
        """
        return [self.data["test"]]

    def finish_test(self, metrics: dict[str, float]) -> None:
        """Writes what an export needs, and the results.

        Arguments
        ---------
        metrics : dict
            Names to numbers, of the test set.
        """
        if if_main_process():
            results.write_interface(self)
        self.write_results(metrics)

    def write_results(self, metrics: dict[str, float]) -> None:
        """Writes ``results.json`` and the plot of the layer weights.

        Arguments
        ---------
        metrics : dict
            Names to numbers, of the test set.
        """
        if if_main_process():
            results.write(self, metrics)
        ddp_barrier()  # torchrun ends all processes when the first one leaves
