"""Word, character and phoneme error rates of a corpus.

The edits are counted by SpeechBrain, with Kaldi's order among equally short
alignments. A rate is all edits over all reference tokens, so that long utterances
weigh more than short ones; it is a share, not per cent, and may exceed one.

Authors
 * The s3prl_sb developers, 2026
"""

from dataclasses import dataclass

from speechbrain.utils.edit_distance import count_ops, op_table


@dataclass(frozen=True)
class Edits:
    """How many edits turn the true tokens into the predicted ones. Edits add up.

    Arguments
    ---------
    insertions, deletions, substitutions : int
        Predicted tokens too many, true tokens left out, tokens taken for others.
    tokens : int
        Number of true tokens.

    Example
    -------
    >>> edits = Edits(insertions=1, substitutions=1, tokens=3) + Edits(tokens=1)
    >>> edits.total, edits.rate
    (2, 0.5)
    """

    insertions: int = 0
    deletions: int = 0
    substitutions: int = 0
    tokens: int = 0

    @property
    def total(self):
        """Insertions, deletions and substitutions together."""
        return self.insertions + self.deletions + self.substitutions

    @property
    def rate(self):
        """Edits over true tokens."""
        if self.tokens == 0:
            raise ValueError("the error rate of no reference tokens is not defined")
        return self.total / self.tokens

    def __add__(self, other):
        return Edits(
            self.insertions + other.insertions,
            self.deletions + other.deletions,
            self.substitutions + other.substitutions,
            self.tokens + other.tokens,
        )


def edits(predicted, true):
    """The fewest edits between two sequences of tokens.

    Arguments
    ---------
    predicted, true : list or str
        Tokens; those of a string are its characters.

    Returns
    -------
    Edits

    Example
    -------
    >>> edits("sitting", "kitten")
    Edits(insertions=1, deletions=0, substitutions=2, tokens=6)
    """
    counts = count_ops(op_table(true, predicted))
    return Edits(
        counts["insertions"], counts["deletions"], counts["substitutions"], len(true)
    )


def paired(predicted, true):
    """Predictions beside references, after a check that the ids are the same.

    Arguments
    ---------
    predicted, true : dict
        From ids to anything.

    Returns
    -------
    list
        (id, predicted, true), in the order of ``true``.

    Raises
    ------
    ValueError
        If an id is on one side only.

    Example
    -------
    >>> paired({"b": 1, "a": 2}, {"a": 3, "b": 4})
    [('a', 2, 3), ('b', 1, 4)]
    """
    sides = {
        "without a prediction": [key for key in true if key not in predicted],
        "without a reference": [key for key in predicted if key not in true],
    }
    complaints = [
        f"{len(keys)} {side}: {', '.join(map(repr, keys[:3]))}"
        + (", …" if len(keys) > 3 else "")
        for side, keys in sides.items()
        if keys
    ]
    if complaints:
        raise ValueError(
            f"predictions ({len(predicted)}) and references ({len(true)}) are not of "
            f"the same ids; {'; '.join(complaints)}"
        )
    return [(key, predicted[key], true[key]) for key in true]


def wer(predicted, true):
    """Word errors.

    Arguments
    ---------
    predicted, true : dict
        From utterance ids to texts, or to lists of words. A text is split at white
        space.

    Returns
    -------
    Edits
        Of the corpus; its ``rate`` is the word error rate.

    Example
    -------
    >>> errors = wer({"a": "hello word", "b": "yes"}, {"a": "hello world", "b": "yes"})
    >>> errors.substitutions, round(errors.rate, 3)
    (1, 0.333)
    """
    return _corpus(predicted, true, _words)


def cer(predicted, true):
    """Character errors. Spaces count, as in S3PRL.

    Arguments
    ---------
    predicted, true : dict
        From utterance ids to texts.

    Returns
    -------
    Edits
        Of the corpus; its ``rate`` is the character error rate.

    Example
    -------
    >>> cer({"a": "hello word"}, {"a": "hello world"})
    Edits(insertions=0, deletions=1, substitutions=0, tokens=11)
    """
    return _corpus(predicted, true, _characters)


def per(predicted, true):
    """Phoneme errors.

    Arguments
    ---------
    predicted, true : dict
        From utterance ids to phonemes: a list, or a text with spaces between them.

    Returns
    -------
    Edits
        Of the corpus; its ``rate`` is the phoneme error rate.

    Example
    -------
    >>> per({"a": "HH AH L OW"}, {"a": ["HH", "EH", "L", "OW"]}).rate
    0.25
    """
    return _corpus(predicted, true, _words)


def _corpus(predicted, true, tokens):
    pairs = paired(predicted, true)
    return sum((edits(tokens(p), tokens(t)) for _, p, t in pairs), Edits())


def _words(text):
    return text.split() if isinstance(text, str) else list(text)


def _characters(text):
    if not isinstance(text, str):
        raise TypeError(f"characters are counted in texts, not in {text!r}")
    return text
