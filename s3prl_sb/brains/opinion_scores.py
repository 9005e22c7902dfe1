"""Prediction of mean opinion scores, with the biases of judges in training.

Authors
 * The s3prl_sb developers, 2026
"""

import speechbrain as sb
import torch

from s3prl_sb.brains.regression import RegressionBrain, regression_splits
from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.utterance_values import Judgements, judges_of
from s3prl_sb.lobes.heads.mos import JudgeBias, MosHead, Windows
from s3prl_sb.startup.configuration import RecipeError

LOWEST, HIGHEST = 1, 5  # scores


class OpinionScoreBrain(RegressionBrain):
    """Brain for mean opinion scores.

    With a :class:`~s3prl_sb.lobes.heads.mos.MosHead`, the loss is the squared error of
    the utterance, plus that of its windows, plus that of the scores of its judges. With
    another head it is that of the utterance.

    Arguments
    ---------
    **kwargs
        See :class:`~s3prl_sb.brains.regression.RegressionBrain`. ``modules`` may have
        ``judges``, a :class:`~s3prl_sb.lobes.heads.mos.JudgeBias`; ``hparams`` needs
        ``segment_weight`` and ``bias_weight``.
    """

    def compute_forward(self, batch, stage):
        """Returns scores [batch, 1]; in training the windows of a MosHead."""
        head = self.modules["head"]
        in_windows = isinstance(getattr(head, "module", head), MosHead)  # under DDP
        if stage != sb.Stage.TRAIN or not in_windows:
            return super().compute_forward(batch, stage)
        features, lens = self.compute_features(batch.to(self.device))
        return head(features, lens, in_windows=True)

    def compute_objectives(self, predictions, batch, stage):
        """Returns the loss; in evaluation, collects the predictions."""
        if not isinstance(predictions, Windows):
            return super().compute_objectives(predictions, batch, stage)
        windows, true = predictions, batch.targets.data[:, 0]
        scores = windows.means(windows.scores.float(), windows.there)
        loss = self.loss(scores[:, None], true[:, None])
        owners = windows.there.nonzero()[:, 0]
        errors = (windows.scores.float() - true[owners]).square()
        segments = windows.means(errors, windows.there).mean()
        loss = loss + self.hparams.segment_weight * segments
        if "judges" in self.modules:
            loss = loss + self.hparams.bias_weight * self.judged(windows, batch)
        return loss

    def judged(self, windows: Windows, batch) -> torch.Tensor:
        """Returns the mean squared error of the predicted scores of judges.

        Arguments
        ---------
        windows : Windows
            Output of the head.
        batch : speechbrain.dataio.batch.PaddedBatch
            A batch with ``judges`` and ``judgement_values``.

        Returns
        -------
        torch.Tensor
            Mean over the utterances of the mean over their judges, a scalar.
        """
        judges, lens = batch.judges
        counts = (lens * judges.shape[1]).round().to(judges.device)
        has = torch.arange(judges.shape[1], device=judges.device) < counts[:, None]
        # All judges of all windows in one call, as distributed training needs
        there = has[:, :, None] & windows.there[:, None]
        utterance, judge, place = there.nonzero().T
        numbers = windows.there.flatten().cumsum(0).view_as(windows.there) - 1
        which = numbers[utterance, place]
        bias = self.modules["judges"](
            windows.frames[which], windows.mask[which], judges[utterance, judge]
        )
        scores = (windows.scores[which] + bias).float()
        scores = windows.means(scores, there.flatten(0, 1)).view_as(has)
        errors = (scores - batch.judgement_values.data).square() * has
        return (errors.sum(1) / counts).mean()


def opinion_score_splits(hparams):
    """Returns the three datasets of a recipe for opinion scores, and the judges.

    Arguments
    ---------
    hparams : dict
        See :func:`~s3prl_sb.brains.regression.regression_splits`.

    Returns
    -------
    splits : dict
        See there. Examples of the training set also have ``judges`` and
        ``judgement_values`` if there are judges.
    judges : list of str
        Names of all judges of the training set, sorted.
    """
    splits = regression_splits(hparams)
    paths = manifest.paths_in(hparams["save_folder"])
    judges = judges_of(manifest.read(paths["train"]))  # also of few-shot training
    if judges:
        train = splits["train"]
        train.add_pipe(Judgements(judges))
        keys = list(train.pipeline.output_mapping)
        train.set_output_keys([*keys, "judges", "judgement_values"])
    return splits, judges


def modules_for(head, judges, values=()):
    """Returns the modules to train: the head, and the biases of judges if both are.

    Arguments
    ---------
    head : torch.nn.Module
        The head.
    judges : list of str
        Names of the judges.
    values : iterable of float
        Scores of the training set.

    Returns
    -------
    dict

    Raises
    ------
    RecipeError
        If a score is outside the range that the head is limited to.
    """
    if isinstance(head, MosHead) and head.scorer.clipping:
        outside = sorted(value for value in values if not LOWEST <= value <= HIGHEST)
        if outside:
            raise RecipeError(
                f"{len(outside)} scores of the training set, such as {outside[-1]:g}, "
                f"are not from {LOWEST} to {HIGHEST}, which the head is limited to. "
                'Set --head "{clipping: False}", or rescale them.'
            )
    if not judges or not isinstance(head, MosHead):
        return {"head": head}
    bias = JudgeBias(head.hidden_size, len(judges), head.attention_pooling)
    return {"head": head, "judges": bias}
