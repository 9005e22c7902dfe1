"""cpWER and tcpWER against meeteval, see make_word_attribution.py."""

import json

import make_word_attribution as made

from s3prl_sb.metrics.word_attribution import cpwer, tcpwer


def counts(errors):
    """Returns what the fixture has of each case."""
    names = ("insertions", "deletions", "substitutions", "tokens")
    pairs = [list(pair) for pair in errors.assignment]
    return {**{name: getattr(errors, name) for name in names}, "assignment": pairs}


def test_counts_and_assignments_are_those_of_meeteval():
    cases = json.loads(made.FIXTURE.read_text("utf-8"))
    assert len(cases) == made.CASES
    for case in cases:
        sides = [{"a": [tuple(row) for row in case[s]]} for s in ("predicted", "true")]
        assert counts(cpwer(*sides)["a"]) == case["cp"]
        assert counts(tcpwer(*sides, case["collar"])["a"]) == case["tcp"]
