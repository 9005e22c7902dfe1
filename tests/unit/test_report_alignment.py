"""Aligned references and hypotheses: jiwer's edits, hostile texts, long ones."""

import random
import re

import jiwer
import pytest

from s3prl_sb.report.alignment import Aligned, Compared, tokens

WORDS = "a an and ant at tea eat the".split()
HOSTILE = [
    "</script><script>alert(1)</script>",
    '" onmouseover="alert(1)',
    "{{7*7}} {% raw %}",
    "<img src=x onerror=alert(1)>",
    "a\u2028b\u202ec\x00d",
    "__proto__ constructor",
    "x" * 10_000,
    "&lt;b&gt;",
]


def counts(html):
    """Errors by kind, from the marks in the HTML."""
    return [html.count(f'class="pair {kind}"') for kind in
            ("substituted", "deleted", "inserted")]  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
def test_has_as_many_errors_as_jiwer(seed):
    draw = random.Random(seed)
    for _ in range(40):
        true, found = (
            " ".join(draw.choices(WORDS, k=draw.randint(1, 12))) for _ in range(2)
        )
        html = str(Aligned(true, found).html())
        output = jiwer.process_words(true, found)
        assert sum(counts(html)) == (
            output.substitutions + output.deletions + output.insertions
        )
        surplus = len(found.split()) - len(true.split())
        assert counts(html)[2] - counts(html)[1] == surplus
        # The visible tokens are all there, in order.
        seen = re.search(r'aria-hidden="true">(.*)</p>', html).group(1)
        left = re.sub(r"<ins>.*?</ins>", "", seen)
        right = re.sub(r"<del>.*?</del>", "", seen)
        plain = [re.sub(r"<[^>]*>", " ", side).replace("−", "").replace("+", "").split()
                 for side in (left, right)]  # fmt: skip
        assert plain == [true.split(), found.split()]


def test_characters_have_visible_spaces():
    html = str(Aligned("a b", "ab", "characters").html())
    assert "<del>␣</del>" in html and "a<span" in html


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("unit", ["words", "characters"])
def test_hostile_texts_are_texts(text, unit):
    for block in (
        Aligned(text, "b", unit),
        Aligned("b", text, unit, name=text),
        Compared(text, {text: "b", "B": text}, unit),
    ):
        html = str(block.html())
        tags = set(re.findall(r"<\s*/?\s*([a-zA-Z!]\w*)", html))
        assert tags <= {"div", "p", "span", "del", "ins", "dl", "dt", "dd"}, tags
        assert not re.search(r"<[^>]*\son\w+=", html)
        assert "\x00" not in html and "\u202e" not in html


def test_long_texts_are_cut_and_say_so():
    words = [f"w{i}" for i in range(20_000)]
    html = str(Aligned(" ".join(words), " ".join(words[::2])).html())
    assert len(html) < 100_000
    assert re.search(r"and \d+ more</p>", html)
    equal = str(Aligned(" ".join(words[:200]), " ".join(words[:200])).html())
    assert "[… 180 more …]" in equal and "no errors in 200 words" in equal


def test_nothing_was_said_or_found():
    assert "nothing (1 error in 1 word: a left out)" in Aligned("a", "").html()
    assert counts(str(Aligned("", "a").html())) == [0, 0, 1]
    assert tokens("HH AH", "phones") == ["HH", "AH"]
