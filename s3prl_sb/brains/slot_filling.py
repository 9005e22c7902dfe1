"""Slot filling: texts with slots, by CTC.

Authors
 * The s3prl_sb developers, 2026
"""

import csv
import io
from pathlib import Path

from s3prl_sb.brains.ctc import CTCBrain
from s3prl_sb.dataio.slots import without_marks
from s3prl_sb.metrics import slots as metrics
from s3prl_sb.metrics.transcription import wer
from s3prl_sb.storage.files import write_text


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

    def score(self, hypotheses, references):
        """Returns SUPERB's and S3PRL's metrics, and word errors without marks."""
        slots = self.tokenizer.arguments["slots"]
        words = [
            {key: without_marks(text, slots) for key, text in texts.items()}
            for texts in (hypotheses, references)
        ]
        both = hypotheses, references
        scores = {
            "slot_type_f1": metrics.slot_type_f1(*both),
            "wer": wer(*words).rate,
        }
        # The few utterances of a --debug run may have no slots.
        if any(metrics.slot_values(text) for text in references.values()):
            scores["slot_value_cer"] = metrics.slot_value_cer(*both).rate
            scores["slot_value_wer"] = metrics.slot_value_wer(*both).rate
            scores["slot_edit_f1_full"] = metrics.slot_edit_f1_full(*both)
            scores["slot_edit_f1_part"] = metrics.slot_edit_f1_part(*both)
        return scores

    def write_predictions(self):
        """``hyp.txt``, ``ref.txt``, and ``predictions.csv`` with the slots apart."""
        super().write_predictions()
        table = io.StringIO()
        writer = csv.writer(table, lineterminator="\n")
        names = ["reference", "prediction", "reference_slots", "prediction_slots"]
        writer.writerow(["id", *names])
        for key, true in self.references.items():
            texts = true, self.hypotheses[key]
            writer.writerow([key, *texts, *map(readable, texts)])
        path = Path(self.hparams.output_folder) / "predictions.csv"
        write_text(path, table.getvalue())

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
