"""Word, character and phoneme errors against jiwer and brute force."""

import random
from functools import lru_cache

import pytest

from s3prl_sb.metrics.transcription import Edits, cer, edits, paired, per, wer

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


@pytest.mark.parametrize("seed", range(3))
def test_against_jiwer(seed):
    jiwer = pytest.importorskip("jiwer")
    predicted, true = texts(100, seed, fewest=0), texts(100, seed + 100)
    sides = list(true.values()), [predicted[k] for k in true]
    assert wer(predicted, true).rate == pytest.approx(jiwer.wer(*sides), abs=1e-12)
    assert cer(predicted, true).rate == pytest.approx(jiwer.cer(*sides), abs=1e-12)


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
