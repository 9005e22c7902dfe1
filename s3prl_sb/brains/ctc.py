"""A text an utterance, by CTC: transcriptions, phones, texts with slots.

Authors
 * The s3prl_sb developers, 2026
"""

import csv
import io
import logging
from pathlib import Path

import speechbrain as sb
import torch.nn.functional as F

from s3prl_sb.brains.base import SSLBrain
from s3prl_sb.lobes.ctc_decoding import greedy
from s3prl_sb.storage.files import write_text

logger = logging.getLogger(__name__)


class CTCBrain(SSLBrain):
    """Connectionist temporal classification, decoded greedily.

    Losses and hypotheses are of the true frames and tokens alone, whatever else is
    in the batch. A subclass says by :meth:`score` what the hypotheses are worth, and
    by ``metric`` which of these numbers chooses the checkpoint.

    Paper: Graves et al., "Connectionist temporal classification",
    https://www.cs.toronto.edu/~graves/icml_2006.pdf.

    Arguments
    ---------
    tokenizer : s3prl_sb.dataio.tokenizers.Tokenizer
        Its blank is CTC's.
    decoder : callable, optional
        From the log-probabilities of an utterance, [frames, tokens], to a text or
        None. The test set is decoded with it too: metrics with ``_lm``.
    **kwargs
        As for :class:`~s3prl_sb.brains.base.SSLBrain`; ``head`` among the modules
        takes features and relative lengths to [batch, frames, tokens]. Where
        ``hparams`` has a ``spec_augment``, it changes the features in training.

    Note
    ----
    S3PRL evaluates phone recognition and slot filling one utterance at a time, as its
    decoding there knows no lengths. Here padding is nothing, whatever the batch.
    """

    metric = "wer"
    higher_is_better = False

    def __init__(self, tokenizer, decoder=None, **kwargs):
        super().__init__(**kwargs)
        self.tokenizer, self.decoder = tokenizer, decoder
        self.impossible = set()  # ids without any alignment
        self.reported = 0  # of them

    def compute_forward(self, batch, stage):
        """Batch -> log-probabilities [batch, frames, tokens], relative lengths."""
        batch = batch.to(self.device)
        features, lens = self.compute_features(batch)
        augment = getattr(self.hparams, "spec_augment", None)
        if stage == sb.Stage.TRAIN and augment is not None:
            features = augment(features, lens)
        logits = self.modules["head"](features, lens)
        return F.log_softmax(logits.float(), dim=-1), lens

    def compute_objectives(self, predictions, batch, stage):
        """Log-probabilities -> loss; in evaluation, decodes and remembers."""
        log_probs, lens = predictions
        frames = (lens * log_probs.shape[1]).round().long()
        self._check(batch, frames)
        if stage != sb.Stage.TRAIN:
            self._remember(batch, log_probs, frames, stage)
        targets, target_lens = batch.tokens
        return F.ctc_loss(
            log_probs.transpose(0, 1),
            targets,
            frames,
            (target_lens * targets.shape[1]).round().long(),
            blank=self.tokenizer.blank,
            zero_infinity=True,
        )

    def _check(self, batch, frames):
        """Says which utterances have no alignment; they count as a loss of zero."""
        for name, tokens, have in zip(batch.id, batch.tokens_list, frames.tolist()):
            repeats = sum(a == b for a, b in zip(tokens, tokens[1:]))
            need = len(tokens) + repeats  # a blank between two equal ones
            if have < need and name not in self.impossible:
                if not self.impossible:
                    logger.warning(
                        "utterance '%s' has %d frames, and its %d tokens need %d: "
                        "such ones cannot be learned",
                        name,
                        have,
                        len(tokens),
                        need,
                    )
                self.impossible.add(name)

    def _remember(self, batch, log_probs, frames, stage):
        decoded = greedy(log_probs, frames, self.tokenizer.blank)
        texts = [self.tokenizer.decode(tokens) for tokens in decoded]
        self.hypotheses.update(zip(batch.id, texts))
        self.references.update(zip(batch.id, batch.reference))
        if stage == sb.Stage.TEST and self.decoder is not None:
            true = frames.tolist()
            for name, text, scores, n in zip(batch.id, texts, log_probs, true):
                found = self.decoder(scores[:n])
                self.hypotheses_lm[name] = text if found is None else found

    def score(self, hypotheses, references):
        """What the hypotheses are worth; a recipe says it.

        Arguments
        ---------
        hypotheses, references : dict
            From ids to texts, as the tokenizer decodes them.

        Returns
        -------
        dict
            Names to floats, :attr:`metric` among them.
        """
        raise NotImplementedError

    def start_stage(self, stage):
        """Starts collecting texts."""
        self.hypotheses, self.hypotheses_lm, self.references = {}, {}, {}

    def stage_stats(self, stage):
        """:meth:`score`, and that of the decoder."""
        if len(self.impossible) > self.reported:
            self.reported = len(self.impossible)
            logger.warning(
                "So far %d utterances have fewer frames than their tokens need, such "
                "as %s",
                self.reported,
                ", ".join(map(repr, sorted(self.impossible)[:3])),
            )
        stats = self.score(self.hypotheses, self.references)
        if self.hypotheses_lm:
            scores = self.score(self.hypotheses_lm, self.references)
            stats.update({f"{name}_lm": value for name, value in scores.items()})
        return stats

    def write_predictions(self):
        """``predictions.csv``, and ``hyp.txt``, ``ref.txt``: id, tab, text."""
        folder = Path(self.hparams.output_folder)
        columns = {"reference": self.references, "prediction": self.hypotheses}
        files = {"ref": self.references, "hyp": self.hypotheses}
        if self.hypotheses_lm:
            columns["prediction_lm"] = files["hyp_lm"] = self.hypotheses_lm
        (folder / "hyp_lm.txt").unlink(missing_ok=True)  # of an earlier test
        for name, texts in files.items():
            lines = [f"{key}\t{text}\n" for key, text in texts.items()]
            write_text(folder / f"{name}.txt", "".join(lines))
        table = io.StringIO()
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(["id", *columns])
        for key in self.references:
            writer.writerow([key, *(texts[key] for texts in columns.values())])
        write_text(folder / "predictions.csv", table.getvalue())

    def interface(self):
        """A transcriber with this tokenizer, and room for a language model."""
        options = getattr(self.hparams, "lm_decoding", None)
        options = dict(getattr(options, "keywords", {}))
        options.pop("lm", None)
        options.pop("lexicon", None)
        return {
            "class": "s3prl_sb.inference.transcriber.Transcriber",
            "head": {"num_classes": len(self.tokenizer)},
            "hparams": {
                "tokenizer": self.tokenizer.spec(),
                "lm": None,
                "lexicon": None,
                "lm_decoding": options,
            },
        }
