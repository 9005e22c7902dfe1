"""Word, character and phoneme error rates of a corpus.

Among equally short alignments the edits are those of Kaldi and SpeechBrain. A rate is
the number of all edits over that of all reference tokens, so that long utterances weigh
more than short ones; it is a fraction, not a percentage, and may exceed one.

Authors
 * The s3prl_sb developers, 2026
"""

import operator
from dataclasses import astuple, dataclass

#: Kinds of steps of an alignment.
EQUAL, SUBSTITUTED, INSERTED, DELETED = "equal", "substituted", "inserted", "deleted"


@dataclass(frozen=True)
class Edits:
    """Numbers of edits between true and predicted tokens; objects can be added.

    Arguments
    ---------
    insertions, deletions, substitutions : int
        Number of edits of each kind.
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
        """Sum of insertions, deletions and substitutions."""
        return self.insertions + self.deletions + self.substitutions

    @property
    def rate(self):
        """Edits over true tokens."""
        if self.tokens == 0:
            raise ValueError("the error rate of no reference tokens is not defined")
        return self.total / self.tokens

    def __add__(self, other):
        return Edits(*map(operator.add, astuple(self), astuple(other)))


def edits(predicted, true):
    """Computes the minimum edits between two sequences of tokens.

    The counts are those of ``speechbrain.utils.edit_distance``, found much faster:
    a whole column of its table is computed at once, in the bits of an integer.
    Paper: https://doi.org/10.1145/316542.316550

    Arguments
    ---------
    predicted, true : list or str
        Tokens; those of a string are its characters. They must be hashable, and
        equal ones of equal hash: texts or numbers, not tensors.

    Returns
    -------
    Edits

    Example
    -------
    >>> edits("sitting", "kitten")
    Edits(insertions=1, deletions=0, substitutions=2, tokens=6)
    """
    start = _common_start(predicted, true)
    steps = _steps(predicted[start:], true[start:])
    counts = map(steps.count, (INSERTED, DELETED, SUBSTITUTED))
    return Edits(*counts, tokens=len(true))


def alignment(predicted, true):
    """Aligns two sequences of tokens by the edits that :func:`edits` counts.

    Arguments
    ---------
    predicted, true : list or str
        Tokens, see :func:`edits`.

    Returns
    -------
    list of tuple
        (true, predicted) tokens, in order; None in place of the predicted token of a
        deletion, and of the true one of an insertion.

    Example
    -------
    >>> alignment("the cat".split(), "a cat sat".split())
    [('a', 'the'), ('cat', 'cat'), ('sat', None)]
    """
    start = _common_start(predicted, true)
    steps = _steps(predicted[start:], true[start:])
    left, right = iter(true), iter(predicted)
    return [
        (
            None if step == INSERTED else next(left),
            None if step == DELETED else next(right),
        )
        for step in (*[EQUAL] * start, *reversed(steps))
    ]


def _steps(predicted, true):
    """Returns the kinds of the steps of an alignment, the last step first."""
    # Backwards as in Kaldi, which prefers insertions, then deletions.
    columns = _columns(predicted, true)
    steps = []
    i, j = len(true), len(predicted)
    while i and j:
        insert, delete = columns[j - 1]
        bit = 1 << i - 1
        if insert & bit:
            steps.append(INSERTED)
            j -= 1
        elif delete & bit:
            steps.append(DELETED)
            i -= 1
        else:
            i -= 1
            j -= 1
            steps.append(EQUAL if predicted[j] == true[i] else SUBSTITUTED)
    return steps + [INSERTED] * j + [DELETED] * i


def _common_start(one, other):
    """Returns the length of the common prefix.

    The alignment of the rest stays the same without it. This does not hold for a
    common suffix, which Kaldi may align differently.
    """
    least = min(len(one), len(other))
    if one[:least] == other[:least]:
        return least
    return next((i for i in range(least) if one[i] != other[i]), least)


def _columns(predicted, true):
    """Finds the cells in which the last edit can be an insertion or a deletion.

    Let D[i, j] be the distance between the first i true and the first j predicted
    tokens. In the pair of integers for j, bit i - 1 of the first one is set if
    D[i, j] = D[i, j - 1] + 1, that of the second one if D[i, j] = D[i - 1, j] + 1.
    The algorithm is that of Myers, in the form of Hyyrö (2003).
    """
    where = {}
    for i, token in enumerate(true):
        where[token] = where.get(token, 0) | 1 << i
    every = (1 << len(true)) - 1
    # Bit i - 1: whether D[i, j] is larger, or smaller, by one than D[i - 1, j].
    more, less = every, 0
    columns = []
    for token in predicted:
        same = where.get(token, 0) | less
        same |= ((same & more) + more ^ more) & every  # D[i, j] = D[i - 1, j - 1]
        insert = less | (every ^ (same | more))
        right, left = insert << 1 | 1, (same & more) << 1
        more = (left | ~(same | right)) & every
        less = same & right & every
        columns.append((insert, more))
    return columns


def paired(predicted, true):
    """Pairs predictions with references, whose ids must be equal.

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
    """Counts word errors.

    Arguments
    ---------
    predicted, true : dict
        From utterance ids to texts, or to lists of words. A text is split at white
        space.

    Returns
    -------
    Edits
        Edits of the corpus; the ``rate`` is the word error rate.

    Example
    -------
    >>> errors = wer({"a": "hello word", "b": "yes"}, {"a": "hello world", "b": "yes"})
    >>> errors.substitutions, round(errors.rate, 3)
    (1, 0.333)
    """
    return sum(edits_of_each(predicted, true), Edits())


def cer(predicted, true):
    """Counts character errors, including spaces as in S3PRL.

    Arguments
    ---------
    predicted, true : dict
        From utterance ids to texts.

    Returns
    -------
    Edits
        Edits of the corpus; the ``rate`` is the character error rate.

    Example
    -------
    >>> cer({"a": "hello word"}, {"a": "hello world"})
    Edits(insertions=0, deletions=1, substitutions=0, tokens=11)
    """
    return sum(edits_of_each(predicted, true, "character"), Edits())


def per(predicted, true):
    """Counts phoneme errors.

    Arguments
    ---------
    predicted, true : dict
        From utterance ids to phonemes: a list, or a text with spaces between them.

    Returns
    -------
    Edits
        Edits of the corpus; the ``rate`` is the phoneme error rate.

    Example
    -------
    >>> per({"a": "HH AH L OW"}, {"a": ["HH", "EH", "L", "OW"]}).rate
    0.25
    """
    return sum(edits_of_each(predicted, true), Edits())


def edits_of_each(predicted, true, unit="word"):
    """Counts the errors of each utterance.

    Arguments
    ---------
    predicted, true : dict
        See :func:`wer`.
    unit : str
        "word", for phonemes too, or "character".

    Returns
    -------
    list of Edits
        In the order of ``true``.

    Example
    -------
    >>> true = {"a": "hello world", "b": "yes"}
    >>> [each.total for each in edits_of_each({"a": "hello word", "b": "yes"}, true)]
    [1, 0]
    """
    tokens = {"word": _words, "character": _characters}[unit]
    return [edits(tokens(p), tokens(t)) for _, p, t in paired(predicted, true)]


def _words(text):
    return text.split() if isinstance(text, str) else list(text)


def _characters(text):
    if not isinstance(text, str):
        raise TypeError(f"characters are counted in texts, not in {text!r}")
    return text
