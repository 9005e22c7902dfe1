"""Named entities in texts: phrases between marks, and their F1.

An entity is marked by words, ``ask [PERSON john smith ] now``: an opening mark with its
tag, and a closing one.

Paper: Shon et al., "SLUE", https://arxiv.org/abs/2111.10367.

Authors
 * The s3prl_sb developers, 2026
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from s3prl_sb.metrics.transcription import paired

OPENING, CLOSING = "[", "]"


class Entity(NamedTuple):
    """One phrase with its tag."""

    tag: str
    phrase: str


def tag_of(word: str) -> str | None:
    """Returns the tag of an opening mark, or None for another word.

    Arguments
    ---------
    word : str
        A word of a text.

    Returns
    -------
    str or None

    Example
    -------
    >>> tag_of("[PERSON"), tag_of("john"), tag_of("]")
    ('PERSON', None, None)
    """
    is_mark = word.startswith(OPENING) and len(word) > 1
    return word.removeprefix(OPENING) if is_mark else None


def entities_in(text: str) -> list[Entity]:
    """Returns the entities of a text, in order.

    An entity that is not closed before the next one, or at all, does not count, and
    neither does one without words.

    Arguments
    ---------
    text : str
        Text with marks.

    Returns
    -------
    list of Entity

    Example
    -------
    >>> entities_in("[PLACE paris ] or [PERSON [PERSON john smith ] and [WHEN today")
    [Entity(tag='PLACE', phrase='paris'), Entity(tag='PERSON', phrase='john smith')]
    """
    found, tag, words = [], None, []
    for word in text.split():
        if opened := tag_of(word):
            tag, words = opened, []
        elif word == CLOSING:
            if tag and words:
                found.append(Entity(tag, " ".join(words)))
            tag, words = None, []
        elif tag:
            words.append(word)
    return found


def unpaired(text: str) -> str:
    """Says which mark of a text is without its other one, or without words.

    Arguments
    ---------
    text : str
        Text with marks, as a person wrote it.

    Returns
    -------
    str
        Empty if all marks are in pairs with words between.

    Example
    -------
    >>> unpaired("in [PLACE rome"), unpaired("rome ]"), unpaired("[PLACE rome ]")
    ('[PLACE is not closed', '] closes nothing', '')
    """
    opened, words = "", 0
    for word in text.split():
        if tag_of(word):
            if opened:
                break
            opened, words = word, 0
        elif word != CLOSING:
            words += 1
        elif not opened:
            return f"{CLOSING} closes nothing"
        elif not words:
            return f"{opened} has no words"
        else:
            opened = ""
    return f"{opened} is not closed" if opened else ""


def without_marks(text: str) -> str:
    """Returns the words of a text with marks.

    Arguments
    ---------
    text : str
        Text with marks, paired or not.

    Returns
    -------
    str

    Example
    -------
    >>> without_marks("ask [PERSON john smith ] now")
    'ask john smith now'
    """
    words = text.split()
    return " ".join(word for word in words if word != CLOSING and not tag_of(word))


def entity_scores(
    predicted: Mapping[str, str], true: Mapping[str, str]
) -> dict[str, float]:
    """Measures entities over all utterances together.

    A predicted entity is right if the utterance has an entity with its tag and phrase;
    if it is there twice, both have to be found. For the label F1 the phrase does not
    count.

    Arguments
    ---------
    predicted, true : dict
        Ids of utterances to texts with marks.

    Returns
    -------
    dict
        ``f1``, ``precision``, ``recall``, and ``label_f1``. What is not defined, as no
        entity is predicted or none is true, is 0.

    Example
    -------
    >>> true = {"a": "[PLACE rome ] and [PLACE rome ]", "b": "[WHEN may ]"}
    >>> found = entity_scores({"a": "[PLACE rome ]", "b": "[WHEN june ]"}, true)
    >>> {name: round(value, 3) for name, value in found.items()}
    {'f1': 0.4, 'precision': 0.5, 'recall': 0.333, 'label_f1': 0.8}
    """
    scores = {}
    for name, entry in contributions(predicted, true).items():
        right, size = sum(entry["numerators"]), sum(entry["denominators"])
        scores[name] = right / size if size else 0.0
    return scores


def contributions(
    predicted: Mapping[str, str], true: Mapping[str, str]
) -> dict[str, dict[str, Any]]:
    """Returns what each utterance contributes to the measures of entities.

    Arguments
    ---------
    predicted, true : dict
        Ids of utterances to texts with marks.

    Returns
    -------
    dict
        Names of :func:`entity_scores` to entries of ``measures.json``, see
        :mod:`s3prl_sb.metrics.contributions`.

    Example
    -------
    >>> entries = contributions({"a": "[WHEN june ]"}, {"a": "[WHEN may ]"})
    >>> entries["label_f1"]["numerators"], entries["label_f1"]["denominators"]
    ([2], [2])
    """
    pairs = [(entities_in(p), entities_in(t)) for _, p, t in paired(predicted, true)]
    tags = [[[entity.tag for entity in side] for side in pair] for pair in pairs]
    right, same = (
        [(Counter(p) & Counter(t)).total() for p, t in s] for s in (pairs, tags)
    )
    found, there = ([len(pair[side]) for pair in pairs] for side in (0, 1))
    both = [sum(sizes) for sizes in zip(found, there)]
    sides = {
        "f1": ([2 * count for count in right], both),
        "precision": (right, found),
        "recall": (right, there),
        "label_f1": ([2 * count for count in same], both),
    }
    from s3prl_sb.metrics.contributions import ratio  # loads torch, a corpus does not

    return {name: ratio(*side, empty=0.0) for name, side in sides.items()}
