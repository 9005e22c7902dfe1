"""Tests of the timeline score, by hand and against all choices of pairs.

Authors
 * The s3prl_sb developers, 2026
"""

import itertools
import random
import tracemalloc

import pytest

from s3prl_sb.dataio.timeline import Item
from s3prl_sb.metrics.timeline_score import (
    Matches,
    TimelineScore,
    speaker_mapping,
    timeline_f1,
)


def turn(name, start, stop):
    return Item("speaker", name, start, stop)


def word(text, start, stop, speaker):
    return Item("word", text, start, stop, speaker)


def event(label, start, stop):
    return Item("event", label, start, stop)


def counts(predicted, true):
    return timeline_f1({"a": predicted}, {"a": true}).counts["a"]


TRUE = [
    turn("ann", 0.0, 2.0),
    turn("bob", 1.5, 4.0),
    word("hi", 0.2, 0.6, "ann"),
    word("you", 2.0, 2.4, "bob"),
    event("dog", 3.0, 4.0),
]


def test_the_truth_scores_one_whatever_the_speakers_are_called():
    names = {"ann": "2", "bob": "1", "": ""}
    predicted = [
        each._replace(
            label=names.get(each.label, each.label), speaker=names[each.speaker]
        )
        for each in TRUE
    ]
    score = timeline_f1({"a": predicted}, {"a": TRUE})
    assert score.f1 == {"speaker": 1.0, "word": 1.0, "event": 1.0}
    assert score.macro == 1.0


@pytest.mark.parametrize(
    ("item", "kind", "pairs"),
    [
        (turn("1", 0.0, 1.0), "speaker", 1),  # half of the union, exactly
        (turn("1", 0.0, 0.99), "speaker", 0),
        (turn("1", 0.0, 4.0), "speaker", 1),
        (turn("1", 1.0, 3.0), "speaker", 0),
        (event("dog", 3.5, 4.0), "event", 1),
        (event("dog", 2.0, 4.1), "event", 0),
        (event("cat", 3.0, 4.0), "event", 0),
        (word("hi", 0.4, 0.8, "1"), "word", 1),  # 200 ms apart, exactly
        (word("hi", 0.41, 0.81, "1"), "word", 0),
        (word("HI", 0.2, 0.6, "1"), "word", 0),
    ],
)
def test_limits_of_a_match(item, kind, pairs):
    true = [TRUE[0], TRUE[2], TRUE[4]]
    predicted = [item]
    if kind == "word":
        predicted.append(turn("1", 0.0, 2.0))
    assert counts(predicted, true)[kind].pairs == pairs


def test_a_word_of_the_wrong_speaker_is_an_error():
    predicted = [turn("1", 0.0, 2.0), turn("2", 1.5, 4.0), word("hi", 0.2, 0.6, "2")]
    assert counts(predicted, TRUE)["word"] == Matches(0, 1, 2)


def test_turns_that_touch_are_one():
    pieces = [turn("1", 0.0, 0.5), turn("1", 0.5, 1.2), turn("1", 1.0, 2.0)]
    assert counts(pieces, [turn("ann", 0.0, 2.0)])["speaker"] == Matches(1, 1, 1)


def test_speakers_are_mapped_by_words_where_turns_are_not_annotated():
    true = [word("hi", 0.2, 0.6, "ann"), word("you", 2.0, 2.4, "bob")]
    predicted = [word("hi", 0.2, 0.6, "s2"), word("you", 2.1, 2.4, "s1")]
    assert speaker_mapping(predicted, true) == {"s2": "ann", "s1": "bob"}
    assert counts(predicted, true)["word"] == Matches(2, 2, 2)


def test_only_annotated_types_count():
    predicted = [turn("1", 0.0, 2.0), event("dog", 0.0, 1.0)]
    true = {"a": [TRUE[0]], "b": [TRUE[4]]}
    score = timeline_f1(
        {"a": predicted, "b": predicted}, true, {"a": ["speaker"], "b": ["event"]}
    )
    assert score.total("speaker") == Matches(1, 1, 1)
    assert score.total("event") == Matches(0, 1, 1)
    assert score.f1 == {"speaker": 1.0, "event": 0.0} and score.macro == 0.5


def test_no_items_have_no_score():
    empty = timeline_f1({"a": []}, {"a": []})
    assert empty.f1 == {}
    for measure in (lambda: empty.macro, lambda: Matches().f1):
        with pytest.raises(ValueError, match="not defined"):
            measure()
    with pytest.raises(ValueError, match="without a reference: 'b'"):
        timeline_f1({"b": []}, {})
    assert TimelineScore({}).total("word") == Matches()


def most_pairs(predicted, true, fits):
    """Tries all choices of partners."""
    short, long = sorted((predicted, true), key=len)
    flipped = short is not predicted
    best = 0
    for order in itertools.permutations(long, len(short)):
        pairs = [(b, a) if flipped else (a, b) for a, b in zip(short, order)]
        best = max(best, sum(fits(*pair) for pair in pairs))
    return best


def overlaps(one, other):
    common = min(one.stop, other.stop) - max(one.start, other.start)
    union = one.stop - one.start + other.stop - other.start - max(common, 0)
    return one.label == other.label and common >= 0.5 * union


def is_near(one, other):
    middles = (one.start + one.stop) / 2, (other.start + other.stop) / 2
    return one.label == other.label and abs(middles[0] - middles[1]) <= 0.2


@pytest.mark.parametrize("seed", range(12))
def test_as_many_pairs_as_possible(seed):
    draw = random.Random(seed)

    def items(kind, count, speaker=""):
        starts = [draw.uniform(0, 1.2) for _ in range(count)]
        return [
            Item(kind, draw.choice("ab"), a, a + draw.uniform(0.1, 0.5), speaker)
            for a in starts
        ]

    sides = [items("event", draw.randrange(7)) for _ in range(2)]
    assert counts(*sides)["event"].pairs == most_pairs(*sides, overlaps)
    words = [items("word", draw.randrange(1, 7), name) for name in ("1", "ann")]
    shared = [turn("1", 0.0, 2.0)], [turn("ann", 0.0, 2.0)]
    both = [each + some for each, some in zip(words, shared)]
    assert counts(*both)["word"].pairs == most_pairs(*words, is_near)


def test_no_mapping_shares_more_time():
    draw = random.Random(5)
    for _ in range(10):
        sides = [
            [
                turn(f"{side}{draw.randrange(3)}", start, start + draw.uniform(0.5, 3))
                for start in range(8)
            ]
            for side in "pt"
        ]
        grid = [n / 100 for n in range(1200)]
        names = [sorted({each.label for each in side}) for side in sides]
        active = [
            {n: [any(i.label == n and i.start <= x < i.stop for i in s) for x in grid]}
            for s, each in zip(sides, names)
            for n in each
        ]
        active = {name: row for each in active for name, row in each.items()}

        def shared(pairs, active=active):
            return sum(a and b for p, t in pairs for a, b in zip(active[p], active[t]))

        few, many = sorted(names, key=len)
        best = max(
            shared(zip(few, order)) for order in itertools.permutations(many, len(few))
        )
        assert shared(speaker_mapping(*sides).items()) >= best - 6  # of the grid


def test_an_hour_needs_little_memory():
    """Not all pairs of 9000 words are looked at, nor those of a label of all."""
    true = [word(f"w{n % 300}", 0.4 * n, 0.4 * n + 0.3, "ann") for n in range(9000)]
    true += [event(f"e{n % 2}", 0.9 * n, 0.9 * n + 0.7) for n in range(4000)]
    true += [turn("ann", 0.0, 3600.0), event("hum", 0.0, 3600.0)]
    late = [
        each._replace(start=each.start + 0.1, stop=each.stop + 0.1) for each in true
    ]
    tracemalloc.start()
    try:
        score = timeline_f1({"a": late}, {"a": true})
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert score.f1 == {"speaker": 1.0, "word": 1.0, "event": 1.0}
    assert peak < 30e6
