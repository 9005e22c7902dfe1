"""Texts by an attention decoder: translations and transcriptions.

Authors
 * The s3prl_sb developers, 2026
"""

import logging
from pathlib import Path

import speechbrain as sb
import torch
import torch.nn.functional as F

from s3prl_sb.brains import distributed
from s3prl_sb.brains.base import SSLBrain
from s3prl_sb.corpora.text_normalization import is_unspaced
from s3prl_sb.dataio.pipes import EncodeTokens
from s3prl_sb.dataio.splits import make_splits, read_splits
from s3prl_sb.dataio.token_training import trained_tokenizer
from s3prl_sb.dataio.translations import TARGETS
from s3prl_sb.lobes.label_smoothing import sequence_cross_entropy, shifted
from s3prl_sb.lobes.seq2seq_decoding import BeamSearcher
from s3prl_sb.metrics.contributions import error_rate
from s3prl_sb.metrics.measures import Measures
from s3prl_sb.metrics.transcription import cer, edits_of_each, wer
from s3prl_sb.metrics.translation import (
    AUTO,
    USUAL,
    bleu,
    bleu_counts,
    tokenizer_for,
)
from s3prl_sb.startup.configuration import RecipeError
from s3prl_sb.storage.csv_files import write_csv
from s3prl_sb.storage.files import write_text

logger = logging.getLogger(__name__)


class Seq2SeqBrain(SSLBrain):
    """Cross-entropy with smoothed labels, and beam search.

    The loss of an utterance is the sum over its tokens, that of a batch the mean over
    its utterances; neither it nor a text depends on the rest of the batch. With
    ``ctc_weight`` the encoder also recognizes the transcription by CTC.

    ``hparams`` has ``target`` (a key of
    :data:`~s3prl_sb.dataio.translations.TARGETS`), ``label_smoothing``,
    ``ctc_weight``, ``beam`` and ``valid_beam``, ``max_tokens``, and for translations
    ``bleu_tokenize`` and ``target_language``.

    Arguments
    ---------
    tokenizer : s3prl_sb.dataio.tokenizer.Tokenizer
        Tokenizer of the target, with ``bos`` and ``eos``.
    source_tokenizer : s3prl_sb.dataio.tokenizer.Tokenizer, optional
        Tokenizer of the transcription, with CTC's blank; needed in training if
        ``ctc_weight`` is set.
    **kwargs
        See :class:`~s3prl_sb.brains.base.SSLBrain`. The module ``head`` is a
        :class:`~s3prl_sb.lobes.heads.seq2seq.Seq2SeqTransformer`.
    """

    metric = "bleu"

    def __init__(self, tokenizer, source_tokenizer=None, **kwargs):
        super().__init__(**kwargs)
        self.tokenizer, self.source_tokenizer = tokenizer, source_tokenizer
        self.has_warned = False  # of utterances that CTC cannot learn
        self.has_warned_of_words = False
        self.translates = self.hparams.target == "translation"
        if not self.translates:
            self.metric, self.higher_is_better = "wer", False

    def compute_forward(self, batch, stage):
        """Returns logits [batch, tokens, classes]; in training those of CTC, if there
        are any, and their numbers of true frames; in evaluation hypotheses."""
        features, lens = self.compute_features(batch.to(self.device))
        prefix, _ = shifted(*batch.tokens, self.tokenizer.bos)
        if stage == sb.Stage.TRAIN:
            augment = getattr(self.hparams, "spec_augment", None)
            if augment is not None:
                features = augment(features, lens)
            return *self.modules["head"](features, lens, prefix), None
        head = self.raw_modules["head"]
        head = getattr(head, "module", head)  # DDP only has forward
        memory, counts = head.encode(features, lens)
        searcher = searcher_of(head, self.tokenizer, vars(self.hparams), stage)
        hypotheses = searcher.search(memory, counts)
        return head.decode(prefix, memory, counts), None, counts, hypotheses

    def compute_objectives(self, predictions, batch, stage):
        """Returns the loss, in evaluation without CTC; there, also collects texts."""
        logits, source_logits, counts, hypotheses = predictions
        if hypotheses is not None:
            texts = [self.tokenizer.decode(tokens) for tokens in hypotheses]
            self.hypotheses.update(zip(batch.id, texts))
            self.references.update(zip(batch.id, batch.reference))
        _, targets = shifted(*batch.tokens, self.tokenizer.bos)
        smoothing = self.hparams.label_smoothing
        loss = sequence_cross_entropy(logits, targets, smoothing)
        if stage != sb.Stage.TRAIN:
            return loss
        weight = self.hparams.ctc_weight
        if weight:
            self._warn_of_impossible(batch, counts)
            ctc = self._ctc(source_logits, counts, *batch.source_tokens)
            loss = (1 - weight) * loss + weight * ctc
        count = torch.tensor(float(len(batch.id)), device=logits.device)
        return distributed.share(loss, count)

    def _warn_of_impossible(self, batch, counts):
        """Warns once of an utterance with fewer frames than tokens for CTC."""
        if self.has_warned:
            return
        tokens, lens = batch.source_tokens
        needed = (lens * tokens.shape[1]).round().long().tolist()
        for name, have, row, need in zip(batch.id, counts.tolist(), tokens, needed):
            # A blank between two equal ones
            repeats = int((row[1:need] == row[: need - 1]).sum())
            if have < need + repeats:
                self.has_warned = True
                logger.warning(
                    "utterance '%s' has %d frames in the encoder, and the %d tokens of "
                    "its transcription need more: CTC cannot learn such ones. Keep "
                    "more frames, --head '{kernel_sizes: [5], strides: [2]}'.",
                    name,
                    have,
                    need,
                )
                return

    def _ctc(self, logits, counts, tokens, lens):
        """Returns CTC's loss: a sum over frames, a mean over utterances."""
        loss = F.ctc_loss(
            F.log_softmax(logits.float(), dim=-1).transpose(0, 1),
            tokens,
            counts,
            (lens * tokens.shape[1]).round().long(),
            blank=self.source_tokenizer.blank,
            reduction="sum",
            zero_infinity=True,
        )
        return loss / len(counts)

    def score(
        self, hypotheses: dict[str, str], references: dict[str, str]
    ) -> dict[str, float]:
        """Measures texts: BLEU of translations, word and character error rates of
        transcriptions.

        Arguments
        ---------
        hypotheses, references : dict
            Ids to texts.

        Returns
        -------
        dict
            Names to floats.
        """
        if self.translates:
            hparams = self.hparams
            how = tokenizer_for(hparams.bleu_tokenize, hparams.target_language)
            if hparams.bleu_tokenize == AUTO and how == USUAL:
                self._warn_of_one_word_each(references.values())
            measured = bleu(hypotheses, references, how)
            self.signatures = {"bleu": measured.signature}
            return {"bleu": measured.score}
        return {
            "wer": wer(hypotheses, references).rate,
            "cer": cer(hypotheses, references).rate,
        }

    def _warn_of_one_word_each(self, texts):
        """Warns once of texts without spaces that BLEU would compare as words."""
        if not self.has_warned_of_words and is_unspaced(texts):
            self.has_warned_of_words = True
            logger.warning(
                "target_language '%s': BLEU splits these texts at spaces, which their "
                "script does not write. Correct the code of the language, such as "
                "zh-CN, or choose --bleu_tokenize (zh, ja-mecab, char).",
                self.hparams.target_language,
            )

    def start_stage(self, stage):
        """Starts collecting texts."""
        self.hypotheses, self.references = {}, {}

    def stage_stats(self, stage):
        """Returns the metrics of :meth:`score`."""
        return self.score(self.hypotheses, self.references)

    def measures(self):
        """Returns the n-grams of each translation, or the errors of transcriptions."""
        both = self.hypotheses, self.references
        if self.translates:
            hparams = self.hparams
            how = tokenizer_for(hparams.bleu_tokenize, hparams.target_language)
            entries = {"bleu": {"kind": "bleu", **bleu_counts(*both, how)}}
        else:
            entries = {
                "wer": error_rate(edits_of_each(*both)),
                "cer": error_rate(edits_of_each(*both, "character")),
            }
        return Measures.build(self.unit, list(self.references), entries)

    def write_predictions(self):
        """Writes ``predictions.csv``, and ``hyp.txt`` and ``ref.txt`` with a text in
        each line, as sacreBLEU's command line reads them."""
        folder = Path(self.hparams.output_folder)
        files = {"ref": self.references, "hyp": self.hypotheses}
        for name, texts in files.items():
            lines = [f"{texts[key]}\n" for key in self.references]
            write_text(folder / f"{name}.txt", "".join(lines))
        columns = ["id", "reference", "prediction"]
        rows = ([k, text, self.hypotheses[k]] for k, text in self.references.items())
        write_csv(folder / "predictions.csv", columns, rows)

    def interface(self):
        """Returns a translator with this tokenizer."""
        return {
            "class": "s3prl_sb.inference.translator.Translator",
            "head": head_sizes(self.tokenizer, self.source_tokenizer),
            "hparams": {
                "tokenizer": self.tokenizer.spec(),
                "beam": self.hparams.beam,
                "max_tokens": self.hparams.max_tokens,
            },
        }


def head_sizes(tokenizer, source_tokenizer=None):
    """Returns the arguments of the head that its recipe does not know.

    Arguments
    ---------
    tokenizer, source_tokenizer
        See :class:`Seq2SeqBrain`.

    Returns
    -------
    dict
    """
    sizes = {"num_classes": len(tokenizer)}
    if source_tokenizer is not None:
        sizes["num_sources"] = len(source_tokenizer)
    return sizes


def searcher_of(head, tokenizer, hparams, stage=sb.Stage.TEST):
    """Returns the beam search of a stage.

    Arguments
    ---------
    head : s3prl_sb.lobes.heads.seq2seq.Seq2SeqTransformer
        Network in evaluation mode.
    tokenizer : s3prl_sb.dataio.tokenizer.Tokenizer
        Tokenizer of the target.
    hparams : dict
        ``beam``, ``max_tokens``, and ``valid_beam`` for VALID.
    stage : sb.Stage
        VALID or TEST.

    Returns
    -------
    s3prl_sb.lobes.seq2seq_decoding.BeamSearcher
    """
    beam = hparams["valid_beam" if stage == sb.Stage.VALID else "beam"]
    start, end = tokenizer.bos, tokenizer.eos
    return BeamSearcher(head, start, end, beam, hparams["max_tokens"])


def text_splits(hparams):
    """Returns the datasets of a recipe, and the tokenizers of its texts.

    Arguments
    ---------
    hparams : dict
        Settings of the recipe: ``save_folder`` with the manifests, ``target``,
        ``tokens``, ``num_tokens``, ``ctc_weight``, the pipes and the conditions.

    Returns
    -------
    splits : dict
        "train", "valid" and "test" to
        :class:`~s3prl_sb.dataio.dataset.ManifestDataset`.
    tokenizers : dict
        Arguments of :class:`Seq2SeqBrain`.

    Raises
    ------
    RecipeError
        If an utterance lacks a text.
    """
    records = read_splits(hparams)
    learned = {"tokenizer": hparams["target"]}
    if hparams["ctc_weight"]:
        learned["source_tokenizer"] = "transcription"
    tokenizers = {}
    for name, target in learned.items():
        key = TARGETS[target]
        for split, utterances in records.items():
            _check_texts(utterances, key, target, f"{hparams['save_folder']}/{split}")
        texts = [record[key] for record in records["train"].values()]
        how = hparams["tokens"], hparams["num_tokens"], f"{target}_tokens"
        tokenizers[name] = trained_tokenizer(hparams["save_folder"], texts, *how)
    pipes, keys = text_pipes(tokenizers, hparams)
    return make_splits(hparams, records, pipes, keys), tokenizers


def _check_texts(records, key, target, place):
    """Raises an error for utterances without a text."""
    empty = [name for name, record in records.items() if not record.get(key)]
    if empty:
        ctc = ", set ctc_weight 0" if target == "transcription" else ""
        raise RecipeError(
            f"{place}.json: {len(empty)} of {len(records)} utterances have no "
            f"{target}, such as '{empty[0]}'. Give them one{ctc}, or leave them out."
        )


def text_pipes(tokenizers, hparams):
    """Returns the pipes that make the targets, and the items of an example.

    Arguments
    ---------
    tokenizers : dict
        Arguments of :class:`Seq2SeqBrain`.
    hparams : dict
        ``target``.

    Returns
    -------
    (list of s3prl_sb.dataio.dataset.Pipe, list of str)
    """
    pipes = [EncodeTokens(tokenizers["tokenizer"], TARGETS[hparams["target"]])]
    keys = ["id", "sig", "tokens", "reference"]
    source = tokenizers.get("source_tokenizer")
    if source is not None:
        pipes.append(EncodeTokens(source, TARGETS["transcription"], "source_"))
        keys.append("source_tokens")
    return pipes, keys
