"""Tasks of SUPERB's leaderboard: folders, files, names and sizes of the test sets.

They are those of S3PRL's ``submit/submit.py``, which copies what the experts of its
tasks write.

Authors
 * The s3prl_sb developers, 2026
"""

from typing import NamedTuple

import torch

from s3prl_sb.metrics import slots, translation, verification
from s3prl_sb.metrics.retrieval import maximum_term_weighted_value
from s3prl_sb.metrics.transcription import per, wer
from s3prl_sb.submission.formats import KEYED, ROWS, TSV, Format, read_stdlist
from s3prl_sb.submission.parts import Measures, Names, Predictions, Queries, Trials
from s3prl_sb.submission.probabilities import Probabilities

LIBRISPEECH = Names(r"\d+-\d+-\d{4}")
SPEECH_COMMANDS = Names(
    r"(?:test_set--)?(yes|no|up|down|left|right|on|off|stop|go|_unknown_|_silence_)"
    r"--(\S+)",
    r"\1-\2.wav",
)
VOXCELEB1 = Names(r"(id\d{5})--(\S+)--(\d{5})", r"\1-\2-\3")
FLUENT = Names(r"\S+?--([\w-]+)", r"\1")
#: By the number of the session, which is that of the fold that tests on it.
IEMOCAP = r"Ses0{}[FM]_(?:impro|script)\w+_[FM]\d{{3}}"
SNIPS = Names(r"[A-Z][a-z]+-snips-test-\d+")
QUERIES = Names(r"quesst14_eval_\d+")
LIBRI2MIX = Names(r"\d+-\d+-\d{4}_\d+-\d+-\d{4}")
VOICEBANK = Names(r"p\d{3}_\d{3}")
COVOST = Names(r"common_voice_en_\d+")
INTENT = ("action", "object", "location")
#: Turns of each session of IEMOCAP in SUPERB's four classes.
SESSIONS = (1085, 1023, 1151, 1031, 1241)


class Entry(NamedTuple):
    """A task of a submission.

    Arguments
    ---------
    name : str
        Name of its folder.
    recipe : str
        Recipe of the runs.
    size : int
        Number of ids in the published test set.
    unit : str
        Things that these ids name, such as utterances.
    predictions : s3prl_sb.submission.parts.Predictions
        How a run becomes files.
    fold : int, optional
        Fold that the run tests on.
    """

    name: str
    recipe: str
    size: int
    unit: str
    predictions: Predictions
    fold: int | None = None


def accuracy(predicted, true):
    """Returns the share of equal values.

    Example
    -------
    >>> accuracy({"a": "yes", "b": "no"}, {"a": "yes", "b": "go"})
    {'accuracy': 0.5}
    """
    right = sum(predicted[key] == value for key, value in true.items())
    return {"accuracy": right / len(true)}


def phone_errors(predicted, true):
    """Returns the phone error rate of texts."""
    return {"per": per(predicted, true).rate}


def word_errors(predicted, true):
    """Returns the word error rate of texts."""
    return {"wer": wer(predicted, true).rate}


def word_errors_lm(predicted, true):
    """Returns the word error rate of texts that a language model has chosen."""
    return {"wer_lm": wer(predicted, true).rate}


def slot_measures(predicted, true):
    """Returns SUPERB's two measures of texts with slots."""
    rate = slots.slot_value_cer(predicted, true).rate
    return {
        "slot_type_f1": slots.slot_type_f1(predicted, true),
        "slot_value_cer": rate,
    }


def equal_errors(predicted, true):
    """Returns the equal error rate of scores."""
    scores = torch.tensor([float(predicted[key]) for key in true], dtype=torch.float64)
    labels = torch.tensor([int(label) for label in true.values()])
    return {"eer": verification.equal_error_rate(scores, labels)[0]}


def term_value(predicted, true):
    """Returns the maximum term-weighted value of the queries and documents searched.

    Those of other languages have no scores in the file.
    """
    rows, columns = (list(dict.fromkeys(names)) for names in zip(*true))
    scores, found = (
        torch.tensor([[float(of[q, d]) for d in columns] for q in rows])
        for of in (predicted, true)
    )
    return {"mtwv_searched": maximum_term_weighted_value(scores, found)[0]}


def translated(predicted, true):
    """Returns the BLEU of translations into German."""
    hypotheses = {key: pair[0] for key, pair in predicted.items()}
    return {"bleu": translation.bleu(hypotheses, true).score}


def _texts(column, score, names=LIBRISPEECH, **more):
    columns = (column,), ("reference",)
    return Predictions("predict.ark", KEYED, names, *columns, score, **more)


def _labels(names, file="predict.txt"):
    return Predictions(file, KEYED, names, ("prediction",), ("label",), accuracy)


def _masks(names):
    return Measures("metrics.txt", KEYED, names)


UTTERANCES = "utterances"
_STDLIST = Format(lambda entries: "", read_stdlist)  # a run has written it
ENTRIES = (
    Entry(
        "pr_public", "SUPERB/PR", 2620, UTTERANCES, _texts("prediction", phone_errors)
    ),
    Entry("sid_public", "SUPERB/SID", 8251, UTTERANCES, _labels(VOXCELEB1)),
    Entry("ks_public", "SUPERB/KS", 3081, UTTERANCES, _labels(SPEECH_COMMANDS)),
    Entry(
        "ic_public",
        "SUPERB/IC",
        3793,
        UTTERANCES,
        Predictions(
            "predict.csv",
            ROWS,
            FLUENT,
            tuple(f"{slot}_prediction" for slot in INTENT),
            tuple(f"{slot}_label" for slot in INTENT),
            accuracy,
        ),
    ),
    *(
        Entry(
            f"er_fold{n}_public",
            "SUPERB/ER",
            size,
            UTTERANCES,
            _labels(Names(IEMOCAP.format(n))),
            n,
        )
        for n, size in enumerate(SESSIONS, 1)
    ),
    Entry(
        "asr_public",
        "SUPERB/ASR",
        2620,
        UTTERANCES,
        _texts("prediction", word_errors),
    ),
    Entry(
        "asr_lm_public",
        "SUPERB/ASR",
        2620,
        UTTERANCES,
        _texts(
            "prediction_lm",
            word_errors_lm,
            without="The run was tested without a language model, see --lm.",
        ),
    ),
    Entry(
        "qbe_public",
        "SUPERB/QbE",
        138,
        "queries",
        Queries(
            "benchmark.stdlist.xml",
            _STDLIST,
            QUERIES,
            ("score",),
            ("true",),
            term_value,
            tolerance=5e-3,  # the scores have four digits
        ),
    ),
    Entry(
        "sf_public",
        "SUPERB/SF",
        2800,
        UTTERANCES,
        _texts("prediction", slot_measures, SNIPS),
    ),
    Entry(
        "sv_public",
        "SUPERB/ASV",
        37720,
        "trials",
        Trials("predict.txt", KEYED, VOXCELEB1, ("score",), ("label",), equal_errors),
    ),
    Entry(
        "sd_public",
        "SUPERB/SD",
        3002,
        "recordings",
        Probabilities("", KEYED, LIBRI2MIX, tolerance=1e-3),
    ),
    Entry("se_public", "SUPERB/SE", 824, UTTERANCES, _masks(VOICEBANK)),
    Entry("ss_public", "SUPERB/SS", 3000, UTTERANCES, _masks(LIBRI2MIX)),
    Entry(
        "st_public",
        "SUPERB/ST",
        15531,
        UTTERANCES,
        Predictions(
            "predict.tsv",
            TSV,
            COVOST,
            ("prediction", "reference"),
            ("reference",),
            translated,
        ),
    ),
)
