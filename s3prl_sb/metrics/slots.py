"""SUPERB's metrics of slot filling, for slot types and slot values.

Slots are marked by words in a text: ``PLAY B-artist MUSE E-artist NOW``. SUPERB reports
the F1 of slot types and the character error rate of slot values.
Paper: https://arxiv.org/abs/2105.01051

All functions take dicts from utterance ids to such texts. In predictions, marks nested
within a slot are removed; slots without an end do not count.

Note
----
As in SUPERB, several values of a reference may be paired with the same predicted
value, and additional predicted values cost nothing; the end of a slot may be a longer
word that starts with it (``B-city ROME E-city_name``).

Authors
 * The s3prl_sb developers, 2026
"""

import re

from s3prl_sb.metrics.contributions import error_rate, mean, ratio
from s3prl_sb.metrics.transcription import Edits, edits, paired

SLOT = re.compile(r"B-(\S+) (.+?) E-\1")
# Removed one after the other, so that an empty slot within a value leaves nothing.
START = re.compile(r"B-\S+ ")
END = re.compile(r" E-\S+")
# SUPERB ignores a predicted value with a hundred times as many errors as the true one
# has tokens.
HOPELESS = 100


def slot_values(text, nested=False):
    """Extracts the slots of a text.

    Arguments
    ---------
    text : str
        Text with marks of slots.
    nested : bool
        Whether marks inside a value stay in it, as SUPERB keeps them in references.

    Returns
    -------
    dict
        From slot types to lists of values, in order of appearance.

    Example
    -------
    >>> slot_values("FROM B-city ROME E-city TO B-city NEW YORK E-city")
    {'city': ['ROME', 'NEW YORK']}
    """
    values = {}
    for slot, value in SLOT.findall(re.sub(" +", " ", text)):
        if not nested:
            value = END.sub("", START.sub("", value))
        values.setdefault(slot, []).append(value)
    return values


def slot_type_f1(predicted, true):
    """Returns the F1 of the set of slot types, averaged over utterances.

    The F1 of an utterance without slots in both texts is one.

    Arguments
    ---------
    predicted, true : dict
        From utterance ids to texts with slots.

    Returns
    -------
    float

    Example
    -------
    >>> true = {"a": "B-city ROME E-city B-day MAY E-day", "b": "STOP"}
    >>> slot_type_f1({"a": "B-city PARIS E-city", "b": "STOP"}, true)
    0.8333333333333333
    """
    scores = _type_f1s(predicted, true)
    if not scores:
        raise ValueError("the F1 of no utterances is not defined")
    return sum(scores) / len(scores)


def slot_value_cer(predicted, true):
    """Counts character errors of slot values.

    Every value of the reference is compared with the closest predicted one of the
    same slot type, or with an empty text if there is none. Predicted slots that are
    not in the reference do not count.

    Arguments
    ---------
    predicted, true : dict
        From utterance ids to texts with slots.

    Returns
    -------
    Edits
        Edits of the corpus; the ``rate`` is the character error rate.

    Example
    -------
    >>> true = {"a": "B-city ROME E-city B-day MAY E-day"}
    >>> slot_value_cer({"a": "B-city ROM E-city"}, true)
    Edits(insertions=0, deletions=4, substitutions=0, tokens=7)
    """
    return _value_edits(_slots(predicted, true), tokens=str)


def slot_value_wer(predicted, true):
    """Counts word errors of slot values, paired as in :func:`slot_value_cer`.

    Arguments
    ---------
    predicted, true : dict
        From utterance ids to texts with slots.

    Returns
    -------
    Edits
        Edits of the corpus; the ``rate`` is the word error rate.

    Example
    -------
    >>> slot_value_wer({"a": "B-x MY OLD CAR E-x"}, {"a": "B-x MY CAR E-x"}).rate
    0.5
    """
    return _value_edits(_slots(predicted, true), tokens=str.split)


def slot_edit_f1_full(predicted, true):
    """Returns the F1 of slot values over the types of predictions and references.

    A true value is right if a predicted value of its slot equals it. Otherwise it is a
    miss, and also a false alarm if its slot has a predicted value. Each value of a slot
    that is not in the reference is a false alarm.

    Arguments
    ---------
    predicted, true : dict
        From utterance ids to texts with slots.

    Returns
    -------
    float

    Example
    -------
    >>> true = {"a": "B-city ROME E-city"}
    >>> slot_edit_f1_full({"a": "B-city ROME E-city B-day MAY E-day"}, true)
    0.6666666666666666
    """
    return _edit_f1(predicted, true, full=True)


def slot_edit_f1_part(predicted, true):
    """Returns the F1 of slot values over the types of references alone.

    It is :func:`slot_edit_f1_full` without its last rule.

    Arguments
    ---------
    predicted, true : dict
        From utterance ids to texts with slots.

    Returns
    -------
    float

    Example
    -------
    >>> true = {"a": "B-city ROME E-city"}
    >>> slot_edit_f1_part({"a": "B-city ROME E-city B-day MAY E-day"}, true)
    1.0
    """
    return _edit_f1(predicted, true, full=False)


def contributions(predicted, true):
    """Returns what each utterance contributes to the metrics of slots.

    Arguments
    ---------
    predicted, true : dict
        From utterance ids to texts with slots.

    Returns
    -------
    dict
        Names of metrics to entries of ``measures.json``, see
        :mod:`s3prl_sb.metrics.contributions`; those of slot values are missing if no
        reference has one.

    Example
    -------
    >>> entries = contributions({"a": "B-x UP E-x"}, {"a": "B-x UP E-x"})
    >>> entries["slot_edit_f1_full"]["denominators"]
    [2]
    """
    entries = {"slot_type_f1": mean(_type_f1s(predicted, true))}
    if not any(slot_values(text) for text in true.values()):
        return entries
    for name, tokens in (("cer", str), ("wer", str.split)):
        each = [_value_edits([pair], tokens) for pair in _slots(predicted, true)]
        entries[f"slot_value_{name}"] = error_rate(each)
    for name, full in (("full", True), ("part", False)):
        counts = [_right_and_wrong([pair], full) for pair in _slots(predicted, true)]
        sides = [2 * right for right, _ in counts], [2 * r + w for r, w in counts]
        entries[f"slot_edit_f1_{name}"] = ratio(*sides)
    return entries


def _type_f1s(predicted, true):
    """Returns the F1 of the set of slot types of each utterance."""
    scores = []
    for slots, wanted in _slots(predicted, true):
        both = slots.keys() & wanted.keys()
        sizes = len(slots) + len(wanted)
        scores.append(2 * len(both) / sizes if sizes else 1.0)
    return scores


def _slots(predicted, true):
    for _, p, t in paired(predicted, true):
        yield slot_values(p), slot_values(t, nested=True)


def _value_edits(pairs, tokens):
    total = Edits()
    for slots, wanted in pairs:
        for slot, values in wanted.items():
            candidates = [tokens(value) for value in slots.get(slot, [])]
            for value in values:
                total += _closest(candidates, tokens(value))
    return total


def _closest(candidates, true):
    every = [edits(candidate, true) for candidate in candidates]
    every = [e for e in every if e.total < HOPELESS * len(true)]
    return min(every, key=lambda e: e.total, default=edits([], true))


def _edit_f1(predicted, true, full):
    right, wrong = _right_and_wrong(_slots(predicted, true), full)
    if right + wrong == 0:
        raise ValueError("the F1 of no slots is not defined")
    return 2 * right / (2 * right + wrong)


def _right_and_wrong(pairs, full):
    """Counts slot values that are right, and misses and false alarms."""
    right = wrong = 0
    for slots, wanted in pairs:
        for slot, values in wanted.items():
            hits = sum(value in slots.get(slot, []) for value in values)
            right += hits
            wrong += (len(values) - hits) * (2 if slot in slots else 1)
        if full:
            wrong += sum(len(v) for slot, v in slots.items() if slot not in wanted)
    return right, wrong
