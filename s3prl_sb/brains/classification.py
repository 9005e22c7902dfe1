"""One label an utterance: keywords, speakers, emotions.

Authors
 * The s3prl_sb developers, 2026
"""

import csv
import io
from pathlib import Path

import speechbrain as sb
import torch
import torch.nn.functional as F
from speechbrain.dataio.encoder import CategoricalEncoder
from speechbrain.utils.distributed import if_main_process

from s3prl_sb.brains import plots
from s3prl_sb.brains.base import SSLBrain
from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.dataset import ManifestDataset
from s3prl_sb.dataio.pipes import EncodeCategory
from s3prl_sb.files import write_text
from s3prl_sb.metrics.classification import accuracy, confusion_matrix

LABELS_FILE = "labels.txt"


class ClassificationBrain(SSLBrain):
    """Cross-entropy over the labels of the training set, chosen by accuracy.

    Arguments
    ---------
    labels : list of str
        All labels; their order numbers them.
    **kwargs
        As for :class:`~s3prl_sb.brains.base.SSLBrain`; ``head`` among the
        modules takes features and relative lengths to [batch, labels].
    """

    metric = "accuracy"

    def __init__(self, labels, **kwargs):
        super().__init__(**kwargs)
        self.labels = labels

    def compute_forward(self, batch, stage):
        """Batch -> logits [batch, labels]."""
        batch = batch.to(self.device)
        features, lens = self.compute_features(batch)
        return self.modules["head"](features, lens)

    def compute_objectives(self, predictions, batch, stage):
        """Logits [batch, labels] -> loss; in evaluation, remembers them."""
        true = batch.label_encoded
        if stage != sb.Stage.TRAIN:
            scores, predicted = F.softmax(predictions.float(), dim=-1).max(-1)
            self.seen["id"] += batch.id
            self.seen["true"].append(true.cpu())
            self.seen["predicted"].append(predicted.cpu())
            self.seen["score"].append(scores.cpu())
        return self.loss(predictions, true)

    def loss(self, predictions, true):
        """The loss to train with; override it for another one.

        Arguments
        ---------
        predictions : torch.Tensor
            [batch, labels], what ``head`` gives.
        true : torch.Tensor
            [batch], the right labels' numbers.

        Returns
        -------
        torch.Tensor
            A scalar.
        """
        return F.cross_entropy(predictions, true)

    def on_stage_start(self, stage, epoch=None):
        """Starts collecting predictions."""
        self.seen = {"id": [], "true": [], "predicted": [], "score": []}

    def on_stage_end(self, stage, stage_loss, epoch=None):
        """Logs, and saves a checkpoint or the results."""
        if stage == sb.Stage.TRAIN:
            self.train_loss = float(stage_loss)
            return
        true, predicted = (torch.cat(self.seen[key]) for key in ("true", "predicted"))
        stats = {"loss": float(stage_loss), "accuracy": accuracy(predicted, true)}
        if stage == sb.Stage.VALID:
            # The checkpoint first: what is logged has been kept.
            self.save_best(stats, epoch)
            self._log(
                {"epoch": epoch, "steps": epoch * self.hparams.steps_per_epoch},
                train_stats={"loss": self.train_loss},
                valid_stats=stats,
            )
            return
        self._log({"best step": self.optimizer_step}, test_stats=stats)
        if if_main_process():
            self._write_predictions(true, predicted)
        self.write_results(stats)

    def _log(self, *args, **kwargs):
        for logger in self.hparams.train_loggers:
            logger.log_stats(*args, **kwargs)

    def _write_predictions(self, true, predicted):
        """``predictions.csv`` and the confusion matrix."""
        folder = Path(self.hparams.output_folder)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["id", "label", "prediction", "score"])
        rows = zip(self.seen["id"], true, predicted, torch.cat(self.seen["score"]))
        for utterance, label, guess, score in rows:
            names = self.labels[label], self.labels[guess]
            writer.writerow([utterance, *names, f"{score:.6f}"])
        write_text(folder / "predictions.csv", text.getvalue())
        counts = confusion_matrix(predicted, true, len(self.labels))
        plots.confusion_matrix(folder / "confusion_matrix.png", counts, self.labels)


def classification_splits(hparams):
    """The three datasets of a classification recipe, and the labels.

    Arguments
    ---------
    hparams : dict
        ``save_folder`` with ``train.json``, ``valid.json`` and ``test.json``;
        ``train_pipes`` and ``eval_pipes``; ``train_fraction`` and
        ``train_per_class`` for few-shot training.

    Returns
    -------
    splits : dict
        "train", "valid", "test" to
        :class:`~s3prl_sb.dataio.dataset.ManifestDataset`, whose examples have
        ``id``, ``sig`` and ``label_encoded``.
    labels : list of str
        Labels of the training set, sorted; also in ``labels.txt``.
    """
    folder = Path(hparams["save_folder"])
    records = {
        split: manifest.read(folder / f"{split}.json")
        for split in ("train", "valid", "test")
    }
    labels = sorted({record["label"] for record in records["train"].values()})
    encoder = CategoricalEncoder()
    encoder.expect_len(len(labels))
    encoder.update_from_iterable(labels)
    if if_main_process():
        write_text(folder / LABELS_FILE, "\n".join(labels) + "\n")
    records["train"] = manifest.subset(
        records["train"],
        fraction=hparams["train_fraction"],
        per_class=hparams["train_per_class"],
        seed=hparams["seed"],
    )
    for split, found in records.items():
        unknown = sorted({r["label"] for r in found.values()} - set(labels))
        if unknown:
            raise ValueError(
                f"{folder / split}.json has labels that do not occur in "
                f"training: {', '.join(unknown[:10])}. Remove these utterances "
                "or give them training examples."
            )
    splits = {}
    for split, found in records.items():
        pipes = hparams["train_pipes" if split == "train" else "eval_pipes"]
        pipes = [*pipes, EncodeCategory(encoder)]
        splits[split] = ManifestDataset(found, pipes, ["id", "sig", "label_encoded"])
    return splits, labels
