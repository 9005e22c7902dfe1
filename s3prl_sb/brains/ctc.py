"""Sequence tasks by CTC: transcriptions, phones, texts with slots.

Authors
 * The s3prl_sb developers, 2026
"""

import logging
import math
from pathlib import Path

import speechbrain as sb
import torch.nn.functional as F

from s3prl_sb.brains.base import SSLBrain
from s3prl_sb.lobes.ctc_decoding import greedy
from s3prl_sb.lobes.heads.subsampling import factor_of, subsampled_lens
from s3prl_sb.metrics.contributions import Entry
from s3prl_sb.metrics.measures import Measures
from s3prl_sb.storage.csv_files import write_csv
from s3prl_sb.storage.files import write_text

logger = logging.getLogger(__name__)


class CTCBrain(SSLBrain):
    """Connectionist temporal classification with greedy decoding.

    Losses and hypotheses depend on true frames and tokens only, not on the rest of the
    batch. A subclass measures hypotheses in :meth:`score`, and names the measure that
    chooses the checkpoint in ``metric``.

    Paper: Graves et al., "Connectionist temporal classification",
    https://www.cs.toronto.edu/~graves/icml_2006.pdf.

    Arguments
    ---------
    tokenizer : s3prl_sb.dataio.tokenizer.Tokenizer
        Tokenizer with CTC's blank.
    decoder : callable, optional
        Maps the log-probabilities of an utterance, [frames, tokens], to a text or
        None. The test set is also decoded with it; these metrics end in ``_lm``.
    **kwargs
        See :class:`~s3prl_sb.brains.base.SSLBrain`. The module ``head`` maps features
        and relative lengths to [batch, frames, tokens]; it may leave out frames, see
        :mod:`s3prl_sb.lobes.heads.subsampling`. If ``hparams`` has a
        ``spec_augment``, it augments the features in training.

    Note
    ----
    S3PRL evaluates phone recognition and slot filling one utterance at a time, as its
    decoding ignores lengths. Here padding has no effect, whatever the batch.
    """

    metric = "wer"
    higher_is_better = False
    columns = ("text",)  #: labels that a list of utterances needs

    def __init__(self, tokenizer, decoder=None, **kwargs):
        super().__init__(**kwargs)
        self.tokenizer, self.decoder = tokenizer, decoder
        self.subsampling = factor_of(self.modules["head"])  # is wrapped later
        self.impossible = set()  # ids of utterances without any alignment
        self.reported = 0  # number of these that a warning has mentioned

    @classmethod
    def targets_of(cls, records, hparams):
        """Returns the texts to recognize, and what else the Brain is made of.

        Arguments
        ---------
        records : dict
            Splits to ``{id: record}``, with :attr:`columns`.
        hparams : dict
            Settings of the recipe.

        Returns
        -------
        records : dict
            Splits to ``{id: record}`` with the text to recognize as ``text``.
        arguments : dict
            Further arguments of the class that follow from the records.
        """
        return records, {}

    def compute_forward(self, batch, stage):
        """Returns log-probabilities [batch, frames, tokens] and relative lengths."""
        features, lens = self.compute_features(batch.to(self.device))
        augment = getattr(self.hparams, "spec_augment", None)
        if stage == sb.Stage.TRAIN and augment is not None:
            features = augment(features, lens)
        logits = self.modules["head"](features, lens)
        lens = subsampled_lens(lens, features.shape[1], self.subsampling)
        return F.log_softmax(logits.float(), dim=-1), lens

    def compute_objectives(self, predictions, batch, stage):
        """Returns the loss; in evaluation, collects decoded texts."""
        log_probs, lens = predictions
        frames = (lens * log_probs.shape[1]).round().long()
        self._warn_of_impossible(batch, frames)
        if stage != sb.Stage.TRAIN:
            self._collect(batch, log_probs, frames, stage)
        targets, target_lens = batch.tokens
        return F.ctc_loss(
            log_probs.transpose(0, 1),
            targets,
            frames,
            (target_lens * targets.shape[1]).round().long(),
            blank=self.tokenizer.blank,
            zero_infinity=True,
        )

    def _warn_of_impossible(self, batch, frames):
        """Warns of utterances without any alignment; their loss is zero."""
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

    def _collect(self, batch, log_probs, frames, stage):
        decoded = greedy(log_probs, frames, self.tokenizer.blank)
        texts = [self.tokenizer.decode(tokens) for tokens in decoded]
        self.hypotheses.update(zip(batch.id, texts))
        self.references.update(zip(batch.id, batch.reference))
        if stage == sb.Stage.TEST and self.decoder is not None:
            true = frames.tolist()
            for name, text, scores, n in zip(batch.id, texts, log_probs, true):
                best = self.decoder(scores[:n])
                self.hypotheses_lm[name] = text if best is None else best

    def score(
        self, hypotheses: dict[str, str], references: dict[str, str]
    ) -> dict[str, float]:
        """Measures hypotheses by their :meth:`contributions`.

        Arguments
        ---------
        hypotheses, references : dict
            Ids to texts, as the tokenizer decodes them.

        Returns
        -------
        dict
            Names to floats, :attr:`metric` among them.

        Raises
        ------
        ValueError
            If :attr:`metric` is not defined, as of empty references.
        """
        entries = self.contributions(hypotheses, references)
        measures = Measures.build(self.unit, list(references), entries)
        values = {name: measures.value(name) for name in entries}
        if math.isnan(values[self.metric]):
            raise ValueError(f"the {self.metric} of empty references is not defined")
        return values

    def contributions(
        self, hypotheses: dict[str, str], references: dict[str, str]
    ) -> dict[str, Entry]:
        """Returns what each utterance contributes to the metrics; a recipe overrides
        it.

        Arguments
        ---------
        hypotheses, references : dict
            See :meth:`score`.

        Returns
        -------
        dict
            Names of metrics, :attr:`metric` among them, to their entries of
            ``measures.json``, in the order of ``references``; see
            :mod:`s3prl_sb.metrics.contributions`.
        """
        raise NotImplementedError

    def measures(self):
        """Returns the contributions, also those of the texts of the decoder."""
        if type(self).contributions is CTCBrain.contributions:
            return None  # a recipe may override `score` alone
        entries = self.contributions(self.hypotheses, self.references)
        if self.hypotheses_lm:
            more = self.contributions(self.hypotheses_lm, self.references)
            entries |= {f"{name}_lm": entry for name, entry in more.items()}
        return Measures.build(self.unit, list(self.references), entries)

    def start_stage(self, stage):
        """Starts collecting texts."""
        self.hypotheses, self.hypotheses_lm, self.references = {}, {}, {}

    def stage_stats(self, stage):
        """Returns the metrics of :meth:`score`, also for the texts of the decoder."""
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
        """Writes ``predictions.csv``, ``hyp.txt`` and ``ref.txt`` (id, tab, text)."""
        folder = Path(self.hparams.output_folder)
        columns = {"reference": self.references, "prediction": self.hypotheses}
        files = {"ref": self.references, "hyp": self.hypotheses}
        if self.hypotheses_lm:
            columns["prediction_lm"] = files["hyp_lm"] = self.hypotheses_lm
        (folder / "hyp_lm.txt").unlink(missing_ok=True)  # written by an earlier test
        for name, texts in files.items():
            lines = [f"{key}\t{text}\n" for key, text in texts.items()]
            write_text(folder / f"{name}.txt", "".join(lines))
        rows = ([key, *(c[key] for c in columns.values())] for key in self.references)
        write_csv(folder / "predictions.csv", ["id", *columns], rows)

    def interface(self):
        """Returns a transcriber with this tokenizer and an optional language model."""
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
