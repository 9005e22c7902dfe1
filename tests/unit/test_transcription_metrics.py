"""Word, character and phoneme errors against jiwer, SpeechBrain and brute force."""

import random
from functools import lru_cache
from itertools import product

import pytest
from speechbrain.utils.edit_distance import count_ops, op_table

from s3prl_sb.metrics.transcription import (
    Edits,
    alignment,
    cer,
    edits,
    paired,
    per,
    wer,
)

WORDS = "a an and ant at tea eat the".split()


def texts(count, seed, fewest=1):
    draw = random.Random(seed)
    return {
        f"utterance{i}": " ".join(draw.choices(WORDS, k=draw.randint(fewest, 9)))
        for i in range(count)
    }


def fewest_edits(predicted, true):
    """By trying every edit at every place."""

    @lru_cache(maxsize=None)
    def rest(i, j):
        if i == len(predicted) or j == len(true):
            return len(predicted) - i + len(true) - j
        match = rest(i + 1, j + 1) + (predicted[i] != true[j])
        return min(match, 1 + rest(i + 1, j), 1 + rest(i, j + 1))

    return rest(0, 0)


@pytest.mark.parametrize(
    "metric, split", [(wer, str.split), (per, str.split), (cer, tuple)]
)
@pytest.mark.parametrize("seed", range(3))
def test_against_brute_force(metric, split, seed):
    predicted, true = texts(20, seed, fewest=0), texts(20, seed + 100, fewest=0)
    errors = metric(predicted, true)
    pairs = [(tuple(split(predicted[k])), tuple(split(true[k]))) for k in true]
    assert errors.total == sum(fewest_edits(*pair) for pair in pairs)
    assert errors.tokens == sum(len(t) for _, t in pairs)
    surplus = sum(len(p) - len(t) for p, t in pairs)
    assert errors.insertions - errors.deletions == surplus
    assert errors.rate == errors.total / errors.tokens


def kaldi_edits(predicted, true):
    """As SpeechBrain counts them, in Kaldi's order among equally short ways."""
    counts = count_ops(op_table(true, predicted))
    kinds = "insertions", "deletions", "substitutions"
    return Edits(*(counts[kind] for kind in kinds), len(true))


def test_every_short_pair():
    """All texts of two letters and up to five, the empty one among them."""
    texts = ["".join(text) for n in range(6) for text in product("ab", repeat=n)]
    assert len(texts) == 63
    for pair in product(texts, repeat=2):
        found = edits(*pair)
        assert found == kaldi_edits(*pair), pair
        assert found.total == fewest_edits(*pair), pair


@pytest.mark.parametrize("letters", ["a", "ab", "abc", "abcdefgh"])
@pytest.mark.parametrize("longest", [9, 80])  # 80: of more bits than a word has
def test_random_pairs(letters, longest):
    draw = random.Random(longest)
    for _ in range(1500 // longest):
        p, t = (draw.choices(letters, k=draw.randint(0, longest)) for _ in range(2))
        assert edits(p, t) == edits("".join(p), "".join(t)) == kaldi_edits(p, t)


def test_alignments():
    """An alignment has the tokens of both sides in order, and the counted edits."""
    draw = random.Random(1)
    for _ in range(300):
        p, t = (draw.choices("abc", k=draw.randint(0, 12)) for _ in range(2))
        pairs = alignment(p, t)
        assert [true for true, _ in pairs if true is not None] == t
        assert [predicted for _, predicted in pairs if predicted is not None] == p
        counts = Edits(
            sum(true is None for true, _ in pairs),
            sum(predicted is None for _, predicted in pairs),
            sum(None not in pair and pair[0] != pair[1] for pair in pairs),
            len(t),
        )
        assert counts == edits(p, t) and (None, None) not in pairs
    assert alignment("ab", "ab") == [("a", "a"), ("b", "b")]


def test_random_slips():
    """Long texts with few errors, as of a good recogniser."""
    draw = random.Random(0)
    for _ in range(30):
        true = draw.choices("abc ", k=100)
        kinds = {0: [], 1: ["b"], 2: ["a", "b"]}
        slips = [kinds.get(draw.randrange(40), [token]) for token in true]
        predicted = sum(slips, [])
        assert edits(predicted, true) == kaldi_edits(predicted, true)


def test_ties():
    """Among equally short alignments, chooses Kaldi's."""
    assert edits("ba", "ab") == Edits(1, 1, 0, 2)  # not two substitutions
    # A common end is not always aligned with itself.
    assert edits("ab", "cca") == Edits(1, 2, 0, 3)
    assert edits("aba", "ccaa") == Edits(0, 1, 2, 4)


def test_tokens():
    assert edits([1.0, "x"], (1, "y")) == Edits(substitutions=1, tokens=2)
    assert edits(range(300), range(100, 500)) == Edits(100, 200, 0, 400)
    with pytest.raises(TypeError, match="hashable"):
        edits([["a"]], [["b"]])


@pytest.mark.parametrize("seed", range(3))
def test_against_jiwer(seed):
    jiwer = pytest.importorskip("jiwer")
    predicted, true = texts(100, seed, fewest=0), texts(100, seed + 100)
    sides = list(true.values()), [predicted[k] for k in true]
    for ours, theirs in (
        (wer(predicted, true), jiwer.wer(*sides)),
        (cer(predicted, true), jiwer.cer(*sides)),
    ):
        assert ours.rate == pytest.approx(theirs, abs=1e-12)
        assert ours.total == round(theirs * ours.tokens)


@pytest.mark.parametrize(
    "predicted, true, insertions, deletions, substitutions",
    [
        ("a b c", "a b c", 0, 0, 0),
        ("a x b c", "a b c", 1, 0, 0),
        ("a c", "a b c", 0, 1, 0),
        ("a x c", "a b c", 0, 0, 1),
        ("", "a b c", 0, 3, 0),
        ("a b c d e f g", "a", 6, 0, 0),
    ],
)
def test_kinds_of_edits(predicted, true, insertions, deletions, substitutions):
    expected = Edits(insertions, deletions, substitutions, len(true.split()))
    assert wer({1: predicted}, {1: true}) == expected


def test_long_utterances_weigh_more():
    """The rate is the corpus', not the mean of the utterances' rates."""
    errors = wer({"a": "no", "b": "b c d"}, {"a": "a", "b": "b c d"})
    assert errors.rate == 0.25


def test_white_space():
    assert wer({"a": " the  tea\n"}, {"a": "the tea"}).total == 0
    assert cer({"a": "thetea"}, {"a": "the tea"}).total == 1


def test_lists():
    assert per({"a": ["AH", "T"]}, {"a": ("AH", "D")}).rate == 0.5
    assert per({"a": [3, 4]}, {"a": [3, 4, 5]}) == Edits(deletions=1, tokens=3)
    with pytest.raises(TypeError, match=r"not in \['the', 'tea'\]"):
        cer({"a": ["the", "tea"]}, {"a": "the tea"})


def test_order_of_utterances_does_not_matter():
    predicted, true = texts(10, 1), texts(10, 2)
    turned = dict(reversed(predicted.items()))
    assert list(turned) != list(true)
    assert wer(turned, true) == wer(predicted, true)


def test_other_ids():
    with pytest.raises(ValueError) as error:
        wer({"a": "x", "c": "x"}, {"a": "x", "b": "x"})
    message = str(error.value)
    assert "1 without a prediction: 'b'" in message
    assert "1 without a reference: 'c'" in message
    with pytest.raises(ValueError, match="5 without a prediction: 0, 1, 2, …$"):
        paired({}, dict.fromkeys(range(5)))


def test_nothing_to_recognise():
    errors = wer({"a": "noise"}, {"a": ""})
    assert errors == Edits(insertions=1)
    with pytest.raises(ValueError, match="no reference tokens"):
        errors.rate
    with pytest.raises(ValueError, match="no reference tokens"):
        wer({}, {}).rate
    assert (errors + edits("b", "a")).rate == 2
