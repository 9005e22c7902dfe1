"""Tests of cpWER and tcpWER, against all mappings of speakers and by hand; those
against meeteval are in tests/parity/test_meeteval.py.

Authors
 * The s3prl_sb developers, 2026
"""

import itertools
import random

import pytest

from s3prl_sb.metrics.transcription import edits
from s3prl_sb.metrics.word_attribution import cpwer, tcpwer, total, word_times


def test_no_mapping_of_speakers_has_fewer_errors():
    draw = random.Random(1)
    for _ in range(20):
        true, predicted = (
            [
                (f"{side}{draw.randrange(3)}", start, start + 1.0, draw.choice("abc"))
                for start in range(6)
            ]
            for side in "rh"
        )
        heard = {name: [] for name in ("h0", "h1", "h2")}
        spoken = {name: [] for name in ("r0", "r1", "r2")}
        for name, _, _, word in predicted:
            heard[name].append(word)
        for name, _, _, word in true:
            spoken[name].append(word)
        least = min(
            sum(edits(heard[h], spoken[r]).total for r, h in zip(spoken, names))
            for names in itertools.permutations(heard)
        )
        assert cpwer({"a": predicted}, {"a": true})["a"].total == least


def test_a_wide_collar_is_no_constraint():
    draw = random.Random(2)
    rows = [
        [(f"s{draw.randrange(2)}", 3.0 * n, 3.0 * n + 2, draw.choice("abcd"))]
        for n in range(80)
    ]
    true = {"a": [row for each in rows for row in each]}
    predicted = {"a": [row for row in true["a"] if draw.random() < 0.8]}
    free, constrained = cpwer(predicted, true), tcpwer(predicted, true, 1000.0)
    assert total(constrained).total == total(free).total
    assert total(tcpwer(predicted, true, 1.0)).total >= total(free).total


def test_a_word_at_the_wrong_time_is_two_errors():
    true = {"a": [("ann", 0.0, 0.4, "hi"), ("ann", 20.0, 20.4, "you")]}
    late = {"a": [("1", 9.0, 9.4, "hi"), ("1", 20.0, 20.4, "you")]}
    assert total(cpwer(late, true)).rate == 0
    errors = total(tcpwer(late, true))
    assert (errors.insertions, errors.deletions, errors.substitutions) == (1, 1, 0)


def test_many_speakers_are_mapped():
    true = {"a": [(f"r{n}", n, n + 1.0, f"w{n}") for n in range(40)]}
    predicted = {"a": [(f"h{n}", n, n + 1.0, f"w{n}") for n in range(39, 4, -1)]}
    errors = cpwer(predicted, true)["a"]
    assert (errors.deletions, errors.total) == (5, 5)
    assert ("r7", "h7") in errors.assignment and ("r0", None) in errors.assignment


def test_recordings_add_up():
    true = {"a": [("ann", 0, 1, "one two")], "b": [], "c": [("bob", 0, 1, "three")]}
    predicted = {"a": [], "b": [("1", 0, 1, "four")], "c": [("1", 0, 1, "three")]}
    errors = total(tcpwer(predicted, true))
    assert (errors.deletions, errors.insertions, errors.tokens) == (2, 1, 3)
    assert errors.assignment == ()
    with pytest.raises(ValueError, match="no reference tokens"):
        total(cpwer({"a": []}, {"a": []})).rate  # noqa: B018


def test_faults_are_named():
    with pytest.raises(ValueError, match="without a prediction: 'b'"):
        cpwer({"a": []}, {"a": [], "b": []})
    with pytest.raises(ValueError, match="'ann' from 2 to 1 seconds"):
        tcpwer({"a": []}, {"a": [("ann", 2, 1, "hi")]})
    with pytest.raises(ValueError, match="collar of -1"):
        tcpwer({}, {}, -1)


def test_words_share_a_segment_by_characters():
    assert word_times([], 0.0, 1.0) == []
    assert word_times("a bcd".split(), 2.0, 4.0) == [("a", 2.0, 2.5), ("bcd", 2.5, 4.0)]
