"""Slot filling: texts with slots, by CTC.

Authors
 * The s3prl_sb developers, 2026
"""

from pathlib import Path

from s3prl_sb.brains.ctc import CTCBrain
from s3prl_sb.dataio.slots import without_marks
from s3prl_sb.metrics import slots as metrics
from s3prl_sb.metrics.contributions import error_rate
from s3prl_sb.metrics.transcription import edits_of_each
from s3prl_sb.storage.csv_files import write_csv


class SlotFillingBrain(CTCBrain):
    """CTC Brain for texts with slots, whose checkpoint is chosen by slot type F1.

    Arguments
    ---------
    tokenizer : s3prl_sb.dataio.tokenizers.SlotTokenizer
        Tokenizer of characters and slot marks.
    **kwargs
        See :class:`~s3prl_sb.brains.ctc.CTCBrain`.

    Note
    ----
    ``wer`` counts words only; S3PRL counts slot marks as words.
    """

    metric = "slot_type_f1"
    higher_is_better = True

    def contributions(self, hypotheses, references):
        """Returns those to SUPERB's and S3PRL's metrics, and to word errors without
        marks."""
        slots = self.tokenizer.arguments["slots"]
        words = [
            {key: without_marks(text, slots) for key, text in texts.items()}
            for texts in (hypotheses, references)
        ]
        # The few utterances of a --debug run may have no slots.
        entries = metrics.contributions(hypotheses, references)
        return {**entries, "wer": error_rate(edits_of_each(*words))}

    def write_predictions(self):
        """Writes ``hyp.txt``, ``ref.txt``, and ``predictions.csv`` with slots."""
        super().write_predictions()
        names = ["reference", "prediction", "reference_slots", "prediction_slots"]
        texts = ((k, true, self.hypotheses[k]) for k, true in self.references.items())
        rows = ([*row, *map(readable, row[1:])] for row in texts)
        path = Path(self.hparams.output_folder) / "predictions.csv"
        write_csv(path, ["id", *names], rows)

    def interface(self):
        """Returns the interface of a CTC model, with slots."""
        name = "s3prl_sb.inference.slot_filler.SlotFiller"
        return {**super().interface(), "class": name}


def readable(text):
    """Formats the slots of a text for readers.

    Example
    -------
    >>> readable("FROM B-city ROME E-city TO B-city NEW YORK E-city B-day MAY E-day")
    'city: ROME, NEW YORK; day: MAY'
    """
    slots = metrics.slot_values(text).items()
    return "; ".join(f"{slot}: {', '.join(values)}" for slot, values in slots)
