"""Speaker verification by the cosine of embeddings.

Authors
 * The s3prl_sb developers, 2026
"""

import collections
import functools
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import speechbrain as sb
import torch
import torch.nn.functional as F
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from s3prl_sb.brains import plots
from s3prl_sb.brains.base import SSLBrain
from s3prl_sb.brains.det_plot import det_plot
from s3prl_sb.brains.distributed import share
from s3prl_sb.brains.labels import category_pipe, training_values
from s3prl_sb.dataio.splits import is_few_shot, make_splits, read_splits
from s3prl_sb.dataio.trials import Trial
from s3prl_sb.lobes.heads.pooling import frame_mask
from s3prl_sb.metrics.contributions import mean
from s3prl_sb.metrics.measures import Measures
from s3prl_sb.metrics.score_normalization import as_norm
from s3prl_sb.metrics.verification import (
    det_curve,
    equal_error_rate,
    minimum_detection_cost,
)
from s3prl_sb.startup.configuration import RecipeError
from s3prl_sb.storage.csv_files import write_csv
from s3prl_sb.storage.files import write_text

logger = logging.getLogger(__name__)


class VerificationBrain(SSLBrain):
    """Brain trained to classify speakers, and chosen by equal error rate.

    In evaluation each utterance is embedded once, then all trials are scored. The
    threshold of the equal error rate in validation is used in the test
    (``false_acceptance``, ``false_rejection``) and in an export.

    Arguments
    ---------
    trials : dict
        "valid" and "test" to lists of :class:`~s3prl_sb.dataio.trials.Trial`.
    cohort : list of str
        Utterances for score normalization, in the validation and test sets. If it is
        empty, scores are cosines.
    choose : str
        "best" checkpoint in validation, or the "last" one.
    **kwargs
        See :class:`~s3prl_sb.brains.base.SSLBrain`. The module ``head`` maps features
        and relative lengths to [batch, size]; ``loss`` maps these and labels (an
        utterance with a negative one does not count) to a loss. Needs ``min_seconds``
        in the hparams, and with a cohort ``top_n``.

    Note
    ----
    S3PRL decodes the whole corpus beforehand to remove training utterances with no
    more than 2 s of speech. Here, utterances with fewer frames than that do not count
    in the loss.
    """

    metric = "eer"
    higher_is_better = False
    unit = "speaker"
    evaluation_loss = False  # it is undefined for new speakers

    def __init__(self, trials, cohort=(), choose="best", **kwargs):
        super().__init__(**kwargs)
        if choose not in ("best", "last"):
            raise RecipeError(f"choose the 'best' or the 'last', not '{choose}'")
        if choose == "last":
            if getattr(self.hparams, "lr_search", None):
                raise RecipeError(
                    "lr_search chooses in validation, for which no speakers are held "
                    "out: set valid_speakers, or lr_search: null."
                )
            self.metric, self.higher_is_better = "step", True
        self.trials, self.cohort = trials, list(cohort)
        samples = round(self.hparams.min_seconds * self.upstream.sample_rate)
        self.min_frames = self.upstream.frames(samples)
        self.start_stage(sb.Stage.TRAIN)

    def use_cache(self, splits):
        """Replaces audio by cached features, and counts the cohort separately."""
        self.records = splits["test"].data
        super().use_cache(splits)
        if self.cohort and not getattr(self, "debug", False):
            for split in self.trials:
                self.splits[split] -= len(self.cohort)
            self.splits["cohort"] = len(self.cohort)

    def tested_on(self):
        """Returns digests of the utterances, and the trials."""
        return [self.data["test"], [list(trial) for trial in self.trials["test"]]]

    def compute_forward(self, batch, stage):
        """Returns embeddings [batch, size] and a mask of long utterances, [batch]."""
        features, lens = self.compute_features(batch.to(self.device))
        enough = frame_mask(features, lens).sum(1) >= self.min_frames
        return self.modules["head"](features, lens), enough

    def compute_objectives(self, predictions, batch, stage):
        """Returns the loss; in evaluation, collects the embeddings."""
        embeddings, enough = predictions
        if stage == sb.Stage.TRAIN:
            self.counted = self.counted + enough.sum()
            self.short = self.short + (~enough).sum()
            labels = torch.where(enough, batch.speaker_encoded, -1)
            return share(self.modules["loss"](embeddings, labels), enough.sum())
        self.names += batch.id
        self.embeddings.append(F.normalize(embeddings.float()).cpu())
        return torch.zeros(())

    def start_stage(self, stage):
        """Starts collecting embeddings."""
        self.names, self.embeddings = [], []
        self.counted = self.short = 0  # numbers of long and short training utterances

    def on_stage_end(self, stage, stage_loss, epoch=None):
        """Logs, and saves a checkpoint or the results."""
        counted, short = int(self.counted), int(self.short)
        if short:
            level = logging.INFO if counted else logging.WARNING
            message = "%d of %d training utterances had less than min_seconds (%s s)"
            total, seconds = counted + short, self.hparams.min_seconds
            logger.log(level, message + " of speech", short, total, seconds)
        super().on_stage_end(stage, stage_loss, epoch)

    def stage_stats(self, stage):
        """Returns equal error rates and minimum detection costs."""
        scores, labels = self.score(self.trials[stage.name.lower()])
        stats = {}
        for name, values in scores.items():
            eer, threshold = equal_error_rate(values, labels)
            stats[f"{name}eer"] = eer
            stats[f"{name}min_dcf"], _ = minimum_detection_cost(values, labels)
            if stage == sb.Stage.VALID:
                stats[f"{name}threshold"] = threshold
        if self.metric not in stats:
            stats["step"] = float(self.optimizer_step)
        if stage == sb.Stage.VALID:
            return stats
        self.scores, self.labels, self.all_scores = scores[""], labels, scores
        self.accepted = accepted = self.scores >= self.best["threshold"]
        target = labels == 1
        stats["false_acceptance"] = accepted[~target].double().mean().item()
        stats["false_rejection"] = (~accepted)[target].double().mean().item()
        return stats

    def score(self, trials):
        """Scores all trials by the embeddings that the stage has collected.

        Arguments
        ---------
        trials : list of Trial
            Trials whose utterances have been embedded.

        Returns
        -------
        scores : dict
            "" to the scores, [trials], float64. If they are normalized, also
            ``cosine_`` to the scores before normalization.
        labels : torch.Tensor
            [trials].
        """
        rows = {name: row for row, name in enumerate(self.names)}
        embeddings = torch.cat(self.embeddings).double()
        if self.debug:  # only a few utterances are embedded; the others are zero
            rows = collections.defaultdict(functools.partial(len, embeddings), rows)
            embeddings = torch.cat([embeddings, torch.zeros_like(embeddings[:1])])
        first = torch.tensor([rows[trial.first] for trial in trials])
        second = torch.tensor([rows[trial.second] for trial in trials])
        labels = torch.tensor([trial.label for trial in trials])
        cosines = torch.cat(
            [
                (embeddings[a] * embeddings[b]).sum(1)
                for a, b in zip(first.split(1 << 16), second.split(1 << 16))
            ]
        )
        if not self.cohort or self.debug:
            return {"": cosines}, labels
        cohort = embeddings[[rows[name] for name in self.cohort]]
        normed = as_norm(
            cosines, first, second, embeddings @ cohort.T, self.hparams.top_n
        )
        return {"": normed, "cosine_": cosines}, labels

    def measures(self):
        """Returns the scores of the trials; both speakers of a trial are drawn."""
        trials, targets = self.trials["test"], self.labels
        speakers = speakers_of(trials, self.records)
        entries = {}
        for name, scores in self.all_scores.items():
            arrays = {"scores": scores.numpy(), "targets": targets.numpy()}
            entries[f"{name}eer"] = {"kind": "eer", **arrays}
            entries[f"{name}min_dcf"] = {"kind": "min_dcf", "of": f"{name}eer"}
        kinds = {"false_acceptance": 0, "false_rejection": 1}
        for name, kind in kinds.items():
            wrong = (self.accepted != targets.bool()).double()
            entries[name] = mean(wrong.where(targets == kind, torch.nan))
        return Measures.build(
            self.unit,
            unique(f"{trial.first} {trial.second}" for trial in trials),
            entries,
            [(speakers[trial.first], speakers[trial.second]) for trial in trials],
        )

    def write_predictions(self):
        """Writes ``predictions.csv``, ``scores.txt`` (label, score and both utterances,
        for scoring tools) and the plot of errors."""
        folder = Path(self.hparams.output_folder)
        rows, lines = [], []
        decisions = zip(self.scores.tolist(), self.accepted.int().tolist())
        for trial, (score, accepted) in zip(self.trials["test"], decisions):
            pair, score = (trial.first, trial.second), f"{score:.12g}"
            rows.append([*pair, trial.label, accepted, score])
            lines.append("\t".join([str(trial.label), score, *pair]) + "\n")
        columns = ["id1", "id2", "label", "prediction", "score"]
        write_csv(folder / "predictions.csv", columns, rows)
        write_text(folder / "scores.txt", "".join(lines))
        _, *rates = det_curve(self.scores, self.labels)
        rate, _ = equal_error_rate(self.scores, self.labels)
        det_plot(folder / "det.png", *rates, rate, plots.heading(self))

    def interface(self):
        """Returns a verifier with the threshold for cosines from validation."""
        threshold = self.best.get("cosine_threshold", self.best["threshold"])
        return {
            "class": "s3prl_sb.inference.verifier.SpeakerVerifier",
            "head": {},
            "hparams": {"threshold": threshold},
        }


def verification_splits(hparams):
    """Returns the three datasets of a verification recipe, speakers and cohort.

    Arguments
    ---------
    hparams : dict
        Settings: ``save_folder`` with the manifests; ``train_pipes``, ``eval_pipes``;
        ``train_fraction`` and ``train_per_class`` for few-shot training;
        ``score_normalization``, None or "as_norm", and for that ``cohort_size``.

    Returns
    -------
    splits : dict
        "train", "valid", "test" to
        :class:`~s3prl_sb.dataio.dataset.ManifestDataset`, whose examples have
        ``id`` and ``sig``, in training also ``speaker_encoded``.
    speakers : list of str
        Sorted speakers of the training set.
    cohort : list of str
        Training utterances added to the validation and test sets for score
        normalization.
    """
    records = read_splits(hparams, key="speaker")
    whole = None if is_few_shot(hparams) else records["train"]
    values = training_values(hparams["save_folder"], ["speaker"], whole)
    speakers = values["speaker"]
    cohort = _cohort(records["train"], hparams)
    for split in ("valid", "test"):
        keys = set().union(*records[split].values())
        for name, record in cohort.items():
            records[split][name] = {key: record.get(key) for key in keys}
    splits = make_splits(hparams, records, [], ["id", "sig"])
    splits["train"].add_pipe(category_pipe(speakers, "speaker"))
    splits["train"].set_output_keys(["id", "sig", "speaker_encoded"])
    return splits, speakers, list(cohort)


def speakers_of(
    trials: Sequence[Trial], records: Mapping[str, Mapping[str, Any]]
) -> dict[str, str]:
    """Returns the speakers of the utterances of trials.

    Arguments
    ---------
    trials : list of Trial
        The trials.
    records : dict
        ``{id: record}``. Where a record has no ``speaker``, trials of the same speaker
        tell: utterances that they connect have one, named after the first of them.

    Returns
    -------
    dict
        Ids to names.

    Example
    -------
    >>> trials = [Trial(1, "a", "b"), Trial(1, "b", "c"), Trial(0, "a", "d")]
    >>> speakers_of(trials, {})
    {'a': 'a', 'b': 'a', 'c': 'a', 'd': 'd'}
    """
    names = list(dict.fromkeys(name for trial in trials for name in trial[1:]))
    numbers = {name: number for number, name in enumerate(names)}
    same = [(numbers[t.first], numbers[t.second]) for t in trials if t.label]
    rows, columns = zip(*same)
    links = coo_array((np.ones(len(same)), (rows, columns)), (len(names),) * 2)
    _, groups = connected_components(links, directed=False)
    first: dict[int, str] = {}
    return {
        name: records.get(name, {}).get("speaker") or first.setdefault(group, name)
        for name, group in zip(names, groups.tolist())
    }


def unique(names: Iterable[str]) -> list[str]:
    """Returns names of which each is there once: the second "a" becomes "a (2)".

    Arguments
    ---------
    names : list of str
        Names.

    Returns
    -------
    list of str

    Example
    -------
    >>> unique(["a b", "a b", "b a"])
    ['a b', 'a b (2)', 'b a']
    """
    counts: collections.Counter = collections.Counter()
    result: dict[str, None] = {}
    for name in names:
        counts[name] += 1
        own = name
        while own in result:  # another one may be named "a (2)"
            own = f"{name} ({counts[name]})"
            counts[name] += own in result
        result[own] = None
    return list(result)


def _cohort(records, hparams):
    """Selects training utterances, evenly over speakers."""
    wanted = hparams["score_normalization"]
    if wanted is None:
        return {}
    if wanted != "as_norm":
        raise RecipeError(f"score_normalization is null or as_norm, not '{wanted}'")
    counts, turns = collections.Counter(), []
    for name in sorted(records):
        speaker = records[name]["speaker"]
        counts[speaker] += 1
        turns.append((counts[speaker], name))
    chosen = [name for _, name in sorted(turns)[: hparams["cohort_size"]]]
    return {f"cohort--{name}": records[name] for name in chosen}
