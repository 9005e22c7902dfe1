"""Classification of clips of sound: one label, or any number of labels.

Authors
 * The s3prl_sb developers, 2026
"""

import speechbrain as sb
import torch
import torch.nn.functional as F

from s3prl_sb.brains.classification import ClassificationBrain, classification_splits
from s3prl_sb.brains.multi_label import multi_label_splits
from s3prl_sb.corpora.clip_folds import measures_of
from s3prl_sb.dataio.clip_labels import has_many
from s3prl_sb.metrics.contributions import mean, of_scores
from s3prl_sb.metrics.multi_label import label_measures
from s3prl_sb.metrics.pitch import chroma_accuracy, has_chroma
from s3prl_sb.startup.configuration import RecipeError

AUTO = "auto"  # choose by the metric of the corpus
#: Metrics by which a checkpoint may be chosen, of one label a clip.
MEASURED = (
    *("accuracy", "balanced_accuracy", "macro_f1"),
    *("mean_average_precision", "d_prime", "auc"),
)
#: Further metrics, where they are among those of the corpus.
OF_PITCH = ("pitch_accuracy", "chroma_accuracy")
#: The same, of any number of labels a clip.
MEASURED_OF_MANY = ("mean_average_precision", "d_prime", "auc", "macro_f1")


class ClipBrain(ClassificationBrain):
    """Brain for one label per clip, with the metrics of HEAR.

    Those of scores, such as the mean average precision, are means over labels, each
    against all others.

    Arguments
    ---------
    measures : tuple of str
        Names of the metrics of the corpus. Of :data:`OF_PITCH`, whose labels are MIDI
        numbers, only these are measured.
    **kwargs
        See :class:`~s3prl_sb.brains.classification.ClassificationBrain`.
    """

    def __init__(self, measures=(), **kwargs):
        super().__init__(**kwargs)
        self.of_pitch = [name for name in OF_PITCH if name in measures]

    def start_stage(self, stage):
        """Starts collecting predictions, and the probabilities of all labels."""
        super().start_stage(stage)
        self.probabilities = []

    def compute_objectives(self, predictions, batch, stage):
        """Returns the loss; in evaluation, collects the predictions."""
        if stage != sb.Stage.TRAIN:
            self.probabilities.append(F.softmax(predictions.float(), dim=-1).cpu())
        return super().compute_objectives(predictions, batch, stage)

    def stage_stats(self, stage):
        """Returns the metrics over clips, and the means over labels."""
        stats = super().stage_stats(stage)
        scores, true = torch.cat(self.probabilities), self.true
        true = F.one_hot(true, len(self.labels)).bool()
        stats.update(label_measures(scores, true))
        if "pitch_accuracy" in self.of_pitch:
            stats["pitch_accuracy"] = stats["accuracy"]
        if "chroma_accuracy" in self.of_pitch:
            pair = self.predicted, self.true
            stats["chroma_accuracy"] = chroma_accuracy(*pair, self.labels)
        return stats

    def contributions(self):
        """Returns what each clip contributes to the metrics of the test."""
        entries, scores = super().contributions(), torch.cat(self.probabilities)
        true = F.one_hot(self.true, len(self.labels)).bool()
        entries.update(of_scores(scores, true))
        if "pitch_accuracy" in self.of_pitch:
            entries["pitch_accuracy"] = entries["accuracy"]
        if "chroma_accuracy" in self.of_pitch:
            right = has_chroma(self.predicted, self.true, self.labels)
            entries["chroma_accuracy"] = mean(right.long())
        return entries


def clip_task(hparams, one, many):
    """Returns the datasets of a recipe of clips, and the Brain that fits their labels.

    Arguments
    ---------
    hparams : dict
        Settings: ``choose_by``, and those of
        :func:`~s3prl_sb.brains.classification.classification_splits`.
    one : type
        :class:`ClipBrain` of the recipe, for one label a clip.
    many : type
        :class:`~s3prl_sb.brains.multi_label.MultiLabelBrain` of the recipe, for any
        number of labels a clip.

    Returns
    -------
    brain_class : type
        One of them.
    splits : dict
        "train", "valid", "test" to datasets.
    options : dict
        Arguments of the Brain, its ``labels`` among them.

    Raises
    ------
    RecipeError
        For a metric to choose by that these labels do not have.
    """
    folder = hparams["save_folder"]
    any_number, measures = has_many(folder), measures_of(folder)
    if any_number:
        splits, labels = multi_label_splits(hparams)
        names, options = MEASURED_OF_MANY, {}
    else:
        splits, labels = classification_splits(hparams, unseen=True)
        names = (*MEASURED, *(name for name in OF_PITCH if name in measures))
        options = {"measures": tuple(measures)}
    chosen = hparams["choose_by"]
    if chosen == AUTO:
        chosen = next((name for name in measures if name in names), names[0])
    if chosen not in names:
        kind = "any number of labels" if any_number else "one label"
        raise RecipeError(
            f"choose_by: '{chosen}'. Clips with {kind} have {', '.join(names)}; {AUTO} "
            "is the metric of the corpus."
        )
    options = {"labels": labels, "choose_by": chosen, **options}
    return many if any_number else one, splits, options
