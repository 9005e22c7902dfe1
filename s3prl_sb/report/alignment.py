"""A reference and what a model made of it, side by side.

Errors differ in colour, and in signs: what the reference has and the hypothesis lacks
is crossed out, what the hypothesis has instead is underlined below it, ``−`` and ``+``
stand where one of the two has nothing. Readers who do not see it get sentences.

Authors
 * The s3prl_sb developers, 2026
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from markupsafe import Markup

from s3prl_sb.metrics.transcription import alignment
from s3prl_sb.report.escaping import shown

LONGEST = 4000  # tokens that are compared
STEPS = 300  # errors and stretches between them that are shown
QUIET = 30, 10  # of more equal tokens in a row than the first, the second at each end
SAID = 12  # errors that the sentences name
UNITS = ("words", "characters", "phones")

Pair = tuple[str | None, str | None]

BOTH = Markup('<span class="pair substituted"><del>{}</del><ins>{}</ins></span>')
LACKING = Markup('<span class="pair deleted"><del>{}</del><span>−</span></span>')
ADDED = Markup('<span class="pair inserted"><span>+</span><ins>{}</ins></span>')


class Aligned(NamedTuple):
    """A reference with the hypothesis aligned to it.

    Arguments
    ---------
    reference, hypothesis : str
        Texts.
    unit : str
        "words", "characters" or "phones".
    name : str
        Name of the hypothesis.

    Example
    -------
    >>> print(Aligned("the cat", "the hat").html().striptags())
    hypothesis: the hat (1 error in 2 words: cat as hat)the cathat
    """

    reference: str
    hypothesis: str
    unit: str = "words"
    name: str = "hypothesis"

    def html(self) -> Markup:
        """Returns the alignment as HTML."""
        pairs, beyond = self._pairs()
        parts = _quiet(pairs, self._between)
        beyond += max(0, len(parts) - STEPS)
        said = self.hypothesis[: 10 * STEPS] + " …" * (
            len(self.hypothesis) > 10 * STEPS
        )
        return Markup(
            '<div class="aligned"><p class="unseen">{}: {} ({})</p>'
            '<p class="pairs {}" aria-hidden="true">{}{}</p></div>'
        ).format(
            shown(self.name),
            shown(said) or "nothing",
            shown(_sentence(pairs, self.unit)),
            self.unit,
            Markup(self._between).join(_parts(parts[:STEPS], self._between)),
            f" … and {beyond} more" if beyond else "",
        )

    def sentence(self) -> str:
        """Returns the errors in words.

        Example
        -------
        >>> Aligned("a b c d", "a x d e").sentence()
        '3 errors in 4 words: b as x, c left out, e added'
        >>> Aligned("a b", "a b").sentence()
        'no errors in 2 words'
        """
        return _sentence(self._pairs()[0], self.unit)

    def _pairs(self):
        """Returns the aligned tokens, and how many are too many to be aligned."""
        true = tokens(self.reference, self.unit)
        predicted = tokens(self.hypothesis, self.unit)
        beyond = max(0, len(true) - LONGEST, len(predicted) - LONGEST)
        return alignment(predicted[:LONGEST], true[:LONGEST]), beyond

    @property
    def _between(self):
        return "" if self.unit == "characters" else " "


class Compared(NamedTuple):
    """A reference with several hypotheses, one below the other.

    Arguments
    ---------
    reference : str
        Text.
    hypotheses : dict
        Names of the models to their texts.
    unit : str
        "words", "characters" or "phones".

    Example
    -------
    >>> "B: a c" in Compared("a b", {"A": "a b", "B": "a c"}).html().striptags()
    True
    """

    reference: str
    hypotheses: Mapping[str, str]
    unit: str = "words"

    def html(self) -> Markup:
        """Returns the alignments as HTML."""
        rows = (
            Markup('<dt aria-hidden="true">{}</dt><dd>{}</dd>').format(
                shown(name), Aligned(self.reference, text, self.unit, name).html()
            )
            for name, text in self.hypotheses.items()
        )
        return Markup('<dl class="compared">{}</dl>').format(Markup().join(rows))


class Legend(NamedTuple):
    """Explanation of the signs of an alignment, to be shown once.

    Example
    -------
    >>> print(Legend().html().striptags())
    truefound substituted · left out− left out · +added added
    """

    def html(self) -> Markup:
        """Returns the explanation as HTML."""
        words = (
            Markup("{} substituted").format(_wrong("true", "found")),
            Markup("{} left out").format(_wrong("left out", None)),
            Markup("{} added").format(_wrong(None, "added")),
        )
        return Markup('<p class="pairs legend">{}</p>').format(
            Markup(" · ").join(words)
        )


def tokens(text: str, unit: str) -> list[str]:
    """Returns the words, the characters or the phones of a text.

    Example
    -------
    >>> tokens("a bc", "words"), tokens("a b", "characters")
    (['a', 'bc'], ['a', ' ', 'b'])
    """
    return list(text) if unit == "characters" else text.split()


def _sentence(pairs: Sequence[Pair], unit: str) -> str:
    wrong = [pair for pair in pairs if pair[0] != pair[1]]
    number = sum(true is not None for true, _ in pairs)
    place = f"in {number} {unit if number != 1 else unit.removesuffix('s')}"
    if not wrong:
        return f"no errors {place}"
    named = [
        f"{b} added" if a is None else f"{a} left out" if b is None else f"{a} as {b}"
        for a, b in wrong[:SAID]
    ]
    more = f" and {len(wrong) - SAID} more" if len(wrong) > SAID else ""
    kind = "error" if len(wrong) == 1 else "errors"
    return f"{len(wrong)} {kind} {place}: {', '.join(named)}{more}"


def _quiet(pairs: Sequence[Pair], between: str) -> list[Pair | str]:
    """Returns stretches of equal tokens as texts, the middle of long ones left out, and
    the errors between them."""
    parts: list[Pair | str] = []
    longest, end = QUIET
    for is_equal, group in itertools.groupby(
        pairs, key=lambda pair: pair[0] == pair[1]
    ):
        run = list(group)
        if not is_equal:
            parts += run
            continue
        equal = [true for true, _ in run if true is not None]
        if len(run) > longest:
            equal[end:-end] = [f" [… {len(run) - 2 * end} more …] "]
        parts.append(between.join(equal))
    return parts


def _parts(parts: Sequence[Pair | str], between: str) -> Iterator[Markup]:
    """Yields equal texts and errors as HTML."""
    for part in parts:
        if isinstance(part, str):
            yield Markup("{}").format(shown(part))
        elif between:
            yield _wrong(*part)
        else:  # a space would not be seen
            yield _wrong(*(side and side.replace(" ", "␣") for side in part))


def _wrong(true: str | None, predicted: str | None) -> Markup:
    """Returns an error as HTML."""
    if predicted is None:
        return LACKING.format(shown(true))
    if true is None:
        return ADDED.format(shown(predicted))
    return BOTH.format(shown(true), shown(predicted))
