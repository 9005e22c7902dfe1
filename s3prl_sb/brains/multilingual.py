"""Recognition and identification of many languages by CTC.

Authors
 * The s3prl_sb developers, 2026
"""

from pathlib import Path

from s3prl_sb.brains.ctc import CTCBrain
from s3prl_sb.corpora.ml_superb import FEW_SHOT
from s3prl_sb.errors import ManifestError
from s3prl_sb.metrics.contributions import error_rate, mean
from s3prl_sb.metrics.languages import cer_of_languages
from s3prl_sb.metrics.transcription import Edits, edits_of_each
from s3prl_sb.storage.csv_files import write_csv


class LanguageBrain(CTCBrain):
    """CTC whose only token is the language; measured by accuracy.

    Arguments
    ---------
    languages : dict
        Ids of the utterances to their languages.
    **kwargs
        See :class:`~s3prl_sb.brains.ctc.CTCBrain`.
    """

    metric = "accuracy"
    higher_is_better = True
    columns = ("language",)

    def __init__(self, languages, **kwargs):
        super().__init__(**kwargs)
        self.languages = languages

    @classmethod
    def targets_of(cls, records, hparams):
        """Returns records with the language as ``text``, and ``languages``."""
        languages = languages_of(records)
        return _with_texts(records, "{language}"), {"languages": languages}

    def contributions(self, hypotheses, references):
        """Returns those to the accuracy of the first word, also of the few-shot
        languages."""
        right = {
            name: int(hypotheses[name].split()[:1] == text.split()[:1])
            for name, text in references.items()
        }
        return {
            f"accuracy{ending}": mean(right[n] if n in names else None for n in right)
            for ending, names in self.tracks(references).items()
        }

    def tracks(self, references):
        """Separates the references of few-shot languages from the others.

        Arguments
        ---------
        references : dict
            Ids to texts.

        Returns
        -------
        dict
            "" and "_few_shot" to such dicts. If all languages are few-shot ones, or
            none is, "" has all.
        """
        few = {n: t for n, t in references.items() if self.languages[n] in FEW_SHOT}
        others = {n: t for n, t in references.items() if n not in few}
        if not few or not others:
            return {"": references}
        return {"": others, "_few_shot": few}


class MultilingualBrain(LanguageBrain):
    """CTC over characters of one or more languages; character error rate.

    If the key ``lid_token`` is set, a text begins with the mark of its language. Other
    words in brackets are words as all others.

    Arguments
    ---------
    languages : dict
        Ids of the utterances to their languages.
    **kwargs
        See :class:`~s3prl_sb.brains.ctc.CTCBrain`.
    """

    metric = "cer"
    higher_is_better = False
    columns = ("text",)

    @classmethod
    def targets_of(cls, records, hparams):
        """Returns records whose texts have the mark, if any, and ``languages``."""
        languages = languages_of(records)
        if hparams["lid_token"]:
            records = _with_texts(records, f"{mark_of('{language}')} {{text}}")
        return records, {"languages": languages}

    def contributions(self, hypotheses, references):
        """Returns those to error rates over all utterances, to their mean over
        languages, and to the accuracy of the language if texts have marks."""
        marked = self.marks_of(references)
        entries = super().contributions(hypotheses, references) if marked else {}
        languages = [self.languages[name] for name in references]
        numbers = {language: n for n, language in enumerate(dict.fromkeys(languages))}
        for ending, names in self.tracks(references).items():
            texts = self._without_marks(hypotheses, names)
            edits = dict(zip(names, edits_of_each(*texts, "character")))
            entry = error_rate(edits.get(name, Edits()) for name in references)
            entries[f"cer{ending}"] = entry
            entries[f"cer_of_languages{ending}"] = {
                **entry,
                "kind": "group_ratio",
                "groups": [numbers[language] for language in languages],
            }
        return entries

    def marks_of(self, references):
        """Returns the marks of all languages if each reference begins with its own.

        Arguments
        ---------
        references : dict
            Ids to texts.

        Returns
        -------
        set of str
            In lower case, whatever tokens are. Empty if texts have no marks.
        """
        own = {name: mark_of(self.languages[name]).lower() for name in references}
        if all(text.lower().split()[:1] == [own[n]] for n, text in references.items()):
            return {mark_of(language).lower() for language in self.languages.values()}
        return set()

    def _without_marks(self, hypotheses, references):
        """Returns both texts of the references without marks."""
        marks = self.marks_of(references)
        return [
            {name: without_marks(each[name], marks) for name in references}
            for each in (hypotheses, references)
        ]

    def _edits(self, hypotheses, references):
        """Returns languages to edits of the texts without marks."""
        texts = self._without_marks(hypotheses, references)
        return cer_of_languages(*texts, self.languages)

    def write_predictions(self):
        """Writes the texts, and ``languages.csv`` with the error rate of each."""
        super().write_predictions()
        rows = (
            [language, edits.tokens, f"{edits.rate:.6f}"]
            for language, edits in self._edits(self.hypotheses, self.references).items()
        )
        path = Path(self.hparams.output_folder) / "languages.csv"
        write_csv(path, ["language", "characters", "cer"], rows)


def mark_of(language):
    """Returns the word that marks a language.

    Example
    -------
    >>> mark_of("eng")
    '[eng]'
    """
    return f"[{language}]"


def without_marks(text, marks):
    """Returns a text without marks of languages, which are given in lower case.

    Example
    -------
    >>> without_marks("[eng] HELLO [NOISE]", {"[eng]"})
    'HELLO [NOISE]'
    """
    return " ".join(word for word in text.split() if word.lower() not in marks)


def languages_of(records):
    """Returns the languages of all utterances.

    Arguments
    ---------
    records : dict
        Splits to ``{id: record}``.

    Returns
    -------
    dict
        Ids to languages; "" for records without ``language``.

    Raises
    ------
    ManifestError
        If an id is of another language in another split.

    Example
    -------
    >>> languages_of({"train": {"a": {"language": "eng"}}, "test": {"b": {}}})
    {'a': 'eng', 'b': ''}
    """
    languages = {}
    for split, utterances in records.items():
        for name, record in utterances.items():
            language = record.get("language", "")
            if languages.setdefault(name, language) != language:
                raise ManifestError(
                    f"{split}: '{name}' is in the language '{language}', and in "
                    f"another split in '{languages[name]}'. Give them different ids."
                )
    return languages


def _with_texts(records, form):
    """Returns records with other texts, made of their keys."""
    return {
        split: {
            name: {**record, "text": form.format_map({"language": "", **record})}
            for name, record in utterances.items()
        }
        for split, utterances in records.items()
    }
