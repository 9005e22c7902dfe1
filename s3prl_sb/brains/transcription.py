"""Recognition of speech by CTC, measured in words and in characters.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.brains.ctc import CTCBrain
from s3prl_sb.corpora.text_normalization import is_unspaced
from s3prl_sb.metrics.contributions import error_rate
from s3prl_sb.metrics.transcription import edits_of_each

#: Choices of the key ``metric``.
METRICS = ("auto", "wer", "cer")


class TranscriptionBrain(CTCBrain):
    """CTC with the error rates of words and characters.

    A subclass chooses the checkpoint by ``metric``: "wer", "cer", or "error_rate",
    which is the one of the two that the key ``metric`` names: "auto" is that of
    characters if texts have no spaces between words, as in Chinese.
    """

    def contributions(self, hypotheses, references):
        """Returns those to ``wer`` and ``cer``, and ``error_rate`` if it is the
        metric."""
        both = hypotheses, references
        rates = {
            "wer": error_rate(edits_of_each(*both)),
            "cer": error_rate(edits_of_each(*both, "character")),
        }
        if self.metric in rates:
            return rates
        chosen = self.hparams.metric
        if chosen == "auto":
            chosen = "cer" if is_unspaced(references.values()) else "wer"
        return {self.metric: rates[chosen], **rates}
