"""Slot filling: cases scored by hand, and another way to read the same texts."""

import random

import pytest

from s3prl_sb.metrics import slots
from s3prl_sb.metrics.slots import (
    slot_edit_f1_full,
    slot_edit_f1_part,
    slot_type_f1,
    slot_value_cer,
    slot_value_wer,
)
from s3prl_sb.metrics.transcription import Edits, edits

ALL = [
    slot_type_f1,
    slot_value_cer,
    slot_value_wer,
    slot_edit_f1_full,
    slot_edit_f1_part,
]

# Predicted, true, type F1, character edits of characters, word edits of words, edit
# F1 of all slots, edit F1 of true slots.
SCORED = [
    ("B-x A B E-x", "B-x A B E-x", 1, (0, 3), (0, 2), 1, 1),
    # The value is wrong: one miss and one false alarm.
    ("B-x A C E-x", "B-x A B E-x", 1, (1, 3), (1, 2), 0, 0),
    # The slot is missing: one miss.
    ("A B", "B-x A B E-x", 0, (3, 3), (2, 2), 0, 0),
    ("B-x A E-x", "B-x A E-x B-y C E-y", 2 / 3, (1, 2), (1, 2), 2 / 3, 2 / 3),
    # A slot too many costs types and one of the edit F1s.
    ("B-x A E-x B-y C E-y", "B-x A E-x", 2 / 3, (0, 1), (0, 1), 2 / 3, 1),
    # Both true values are paired with the closest predicted one.
    ("B-x AB E-x B-x Q E-x", "B-x AC E-x B-x AD E-x", 1, (2, 4), (2, 2), 0, 0),
    ("B-x AB E-x", "B-x AB E-x B-x AB E-x", 1, (0, 4), (0, 2), 1, 1),
    ("B-x B E-x B-x A E-x", "B-x A E-x B-x B E-x", 1, (0, 2), (0, 2), 1, 1),
    # A slot that does not close, and one that closes another.
    ("B-x A", "B-x A E-x", 0, (1, 1), (1, 1), 0, 0),
    ("B-x A E-y", "B-x A E-x", 0, (1, 1), (1, 1), 0, 0),
    # Marks within a prediction are dropped; so are spaces that are doubled.
    ("B-x A B-y B E-y E-x", "B-x A B E-x", 1, (0, 3), (0, 2), 1, 1),
    ("B-x A B-y E-y B E-x", "B-x A B E-x", 1, (0, 3), (0, 2), 1, 1),
    ("B-x  A   B E-x", "B-x A B  E-x", 1, (0, 3), (0, 2), 1, 1),
]


@pytest.mark.parametrize(
    "predicted, true, types, characters, words, full, part", SCORED
)
def test_by_hand(predicted, true, types, characters, words, full, part):
    predicted, true = {"a": predicted}, {"a": true}
    assert slot_type_f1(predicted, true) == pytest.approx(types)
    cer, wer = slot_value_cer(predicted, true), slot_value_wer(predicted, true)
    assert (cer.total, cer.tokens) == characters
    assert (wer.total, wer.tokens) == words
    assert slot_edit_f1_full(predicted, true) == pytest.approx(full)
    assert slot_edit_f1_part(predicted, true) == pytest.approx(part)


def test_corpus():
    """Types are averaged over utterances; values are counted over the corpus."""
    predicted = dict(enumerate(row[0] for row in SCORED))
    true = dict(enumerate(row[1] for row in SCORED))
    expected = sum(row[2] for row in SCORED) / len(SCORED)
    assert slot_type_f1(predicted, true) == pytest.approx(expected)
    cer, wer = slot_value_cer(predicted, true), slot_value_wer(predicted, true)
    assert cer.total == sum(row[3][0] for row in SCORED)
    assert cer.tokens == sum(row[3][1] for row in SCORED)
    assert wer.rate == sum(r[4][0] for r in SCORED) / sum(r[4][1] for r in SCORED)
    # Ten hits, seven misses, three false alarms; one more of a slot too many.
    assert slot_edit_f1_part(predicted, true) == pytest.approx(20 / 30)
    assert slot_edit_f1_full(predicted, true) == pytest.approx(20 / 31)


def read(text):
    """[(type, value)], word by word."""
    found, slot, words = [], None, []
    for word in text.split():
        if slot is None and word.startswith("B-"):
            slot, words = word[2:], []
        elif slot is not None and word == f"E-{slot}":
            found.append((slot, " ".join(words)))
            slot = None
        else:
            words.append(word)
    return found


def sentences(seed, count=60):
    draw = random.Random(seed)

    def phrase():
        words = " ".join(draw.choices("ABC", k=draw.randint(1, 2)))
        slot = draw.choice(["", "", "city", "day", "name"])
        return f"B-{slot} {words} E-{slot}" if slot else words

    texts = (" ".join(phrase() for _ in range(draw.randint(1, 5))) for _ in "x" * count)
    return dict(enumerate(texts))


@pytest.mark.parametrize("seed", range(5))
def test_against_another_reading(seed):
    predicted, true = sentences(seed), sentences(seed + 100)
    f1, errors, tokens = [], 0, 0
    hits = misses = false_alarms = beside = 0
    for key in true:
        found, wanted = read(predicted[key]), read(true[key])
        kinds, wanted_kinds = {s for s, _ in found}, {s for s, _ in wanted}
        if kinds or wanted_kinds:
            precision = len(kinds & wanted_kinds) / max(len(kinds), 1)
            recall = len(kinds & wanted_kinds) / max(len(wanted_kinds), 1)
            both = precision + recall
            f1.append(2 * precision * recall / both if both else 0)
        else:
            f1.append(1)
        for slot, value in wanted:
            same = [v for s, v in found if s == slot] or [""]
            errors += min(edits(v, value).total for v in same)
            tokens += len(value)
            hits += value in same
            misses += value not in same
            false_alarms += slot in kinds and value not in same
        beside += sum(slot not in wanted_kinds for slot, _ in found)
    assert slot_type_f1(predicted, true) == pytest.approx(sum(f1) / len(f1))
    cer = slot_value_cer(predicted, true)
    assert (cer.total, cer.tokens) == (errors, tokens)
    part = 2 * hits / (2 * hits + misses + false_alarms)
    full = 2 * hits / (2 * hits + misses + false_alarms + beside)
    assert slot_edit_f1_part(predicted, true) == pytest.approx(part)
    assert slot_edit_f1_full(predicted, true) == pytest.approx(full)


def test_quirks_of_superb():
    # A slot may end with a longer word that starts with its end.
    assert slots.slot_values("B-city A E-city_name") == {"city": ["A"]}
    # Marks within a reference stay.
    true = {"a": "B-x A B-y B E-y E-x"}
    assert slot_value_cer(true, true).total == len("B-y ") + len(" E-y")
    # A value a hundred times too long is passed over.
    long, true = {"a": f"B-x {'B' * 200} E-x"}, {"a": "B-x AA E-x"}
    assert slot_value_cer(long, true) == Edits(deletions=2, tokens=2)


def test_no_slots():
    plain = {"a": "NOTHING"}
    assert slot_type_f1(plain, plain) == 1
    assert slot_type_f1({"a": "B-x A E-x"}, plain) == 0
    for metric in slot_edit_f1_full, slot_edit_f1_part:
        with pytest.raises(ValueError, match="no slots"):
            metric(plain, plain)
    with pytest.raises(ValueError, match="no reference tokens"):
        slot_value_cer(plain, plain).rate
    with pytest.raises(ValueError, match="no utterances"):
        slot_type_f1({}, {})


@pytest.mark.parametrize("metric", ALL)
def test_other_ids(metric):
    with pytest.raises(ValueError, match="without a reference: 'b'"):
        metric({"a": "B-x A E-x", "b": "A"}, {"a": "B-x A E-x"})
