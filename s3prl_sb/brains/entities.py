"""Named entities in speech: texts with marks, by CTC.

Authors
 * The s3prl_sb developers, 2026
"""

from pathlib import Path

from s3prl_sb.brains.ctc import CTCBrain
from s3prl_sb.errors import ManifestError
from s3prl_sb.metrics.contributions import error_rate
from s3prl_sb.metrics.entities import (
    CLOSING,
    contributions,
    entities_in,
    tag_of,
    unpaired,
    without_marks,
)
from s3prl_sb.metrics.transcription import edits_of_each
from s3prl_sb.storage.csv_files import write_csv
from s3prl_sb.terminal.messages import excerpt


class EntityBrain(CTCBrain):
    """CTC over characters and marks of entities; F1 of entities.

    Arguments
    ---------
    tokenizer : s3prl_sb.dataio.tokenizers.MarkTokenizer
        Tokenizer with the marks of :func:`marks_in`.
    **kwargs
        See :class:`~s3prl_sb.brains.ctc.CTCBrain`.
    """

    metric = "f1"
    higher_is_better = True

    @classmethod
    def targets_of(cls, records, hparams):
        """Returns the records; marks that are not paired are an error."""
        for split, utterances in records.items():
            for name, record in utterances.items():
                if fault := unpaired(record["text"]):
                    raise ManifestError(
                        f"{split}: '{name}': {fault} in '{excerpt(record['text'])}'. "
                        "Write marks in pairs: [PERSON john smith ]."
                    )
        return records, {}

    def contributions(self, hypotheses, references):
        """Returns those to the measures of entities, and to word errors without
        marks."""
        both = hypotheses, references
        words = [{n: without_marks(text) for n, text in each.items()} for each in both]
        entries = contributions(*both)
        return {**entries, "wer": error_rate(edits_of_each(*words))}

    def write_predictions(self):
        """Writes ``hyp.txt``, ``ref.txt``, and ``predictions.csv`` with entities."""
        super().write_predictions()
        columns = ["id", "reference", "prediction"]
        columns += ["reference_entities", "prediction_entities"]
        texts = ((k, true, self.hypotheses[k]) for k, true in self.references.items())
        rows = ([*row, *map(readable, row[1:])] for row in texts)
        path = Path(self.hparams.output_folder) / "predictions.csv"
        write_csv(path, columns, rows)

    def interface(self):
        """Returns the interface of a CTC model, with entities."""
        name = "s3prl_sb.inference.entity_recognizer.EntityRecognizer"
        return {**super().interface(), "class": name}


def marks_in(texts):
    """Returns the marks of entities in texts.

    Arguments
    ---------
    texts : iterable of str
        Texts with marks.

    Returns
    -------
    list of str
        Opening marks, sorted, and the closing one.

    Example
    -------
    >>> marks_in(["ask [PERSON john ]", "in [PLACE rome ]"])
    ['[PERSON', '[PLACE', ']']
    """
    words = {word for text in texts for word in text.split()}
    return [*sorted(filter(tag_of, words)), CLOSING]


def readable(text):
    """Formats the entities of a text for readers.

    Arguments
    ---------
    text : str
        Text with marks.

    Returns
    -------
    str

    Example
    -------
    >>> readable("[PERSON john ] in [PLACE rome ] [PLACE ostia ]")
    'PERSON: john; PLACE: rome; PLACE: ostia'
    """
    return "; ".join(f"{tag}: {phrase}" for tag, phrase in entities_in(text))
