"""A reference and hypotheses as lines of text, token below token.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.metrics.transcription import alignment
from s3prl_sb.terminal import columns

EQUAL, LACKING = "·", "–"  # in place of a token that is right, or left out
REFERENCE = "reference"
LONGEST = 300  # tokens that are shown


def rows_of(
    reference: str,
    hypotheses: list[tuple[str, str]],
    by_character: bool = False,
    width: int = 100,
) -> list[str]:
    """Aligns hypotheses with a reference.

    Arguments
    ---------
    reference : str
        Text.
    hypotheses : list of (str, str)
        Names, and texts.
    by_character : bool
        Whether the tokens are characters instead of words.
    width : int
        Characters in a line; longer texts are folded.

    Returns
    -------
    list of str
        A hypothesis has a dot in place of a token that is right, and a dash in place of
        one that is left out.

    Example
    -------
    >>> texts = [("A", "the cat"), ("B", "a cat sat down")]
    >>> print("\\n".join(rows_of("the cat sat", texts)))
    reference  the  cat  sat
    A          ·    ·    –
    B          a    ·    ·    down
    """
    names = [REFERENCE, *(name for name, _ in hypotheses)]
    texts = [reference, *(text for _, text in hypotheses)]
    tokens = [_tokens(text, by_character) for text in texts]
    table = _columns(tokens[0], tokens[1:])
    between = "" if by_character else "  "
    room = max(map(columns.printed, names)) + 2
    lines = []
    for block in _blocks(table, width - room, len(between)):
        for name, *cells in zip(names, *block):
            widths = [max(map(columns.printed, column)) for column in block]
            text = between.join(map(columns.padded, cells, widths))
            lines.append((columns.padded(name, room) + text).rstrip())
    return lines


def _tokens(text, by_character):
    tokens = list(text) if by_character else text.split()
    if len(tokens) > LONGEST:
        tokens = [*tokens[:LONGEST], "…"]
    return [columns.visible(token) for token in tokens]


def _columns(true, others):
    """Returns the columns of a table: a reference token, and that of each hypothesis.

    Tokens that a hypothesis adds are in columns without a reference token.
    """
    added = [[[] for _ in range(len(true) + 1)] for _ in others]
    below = [[] for _ in others]
    for row, predicted in enumerate(others):
        for token, found in alignment(predicted, true):
            if token is None:
                added[row][len(below[row])].append(found)
            else:
                same = EQUAL if found == token else found
                below[row].append(LACKING if found is None else same)
    table = []
    for place in range(len(true) + 1):
        news = [each[place] for each in added]
        for step in range(max(map(len, news), default=0)):
            cells = [new[step] if step < len(new) else "" for new in news]
            table.append(["", *cells])
        if place < len(true):
            table.append([true[place], *(each[place] for each in below)])
    return table or [["", *("" for _ in others)]]


def _blocks(table, room, gap):
    """Folds columns into blocks that are at most ``room`` wide, or one column."""
    blocks, total = [[]], 0
    for column in table:
        width = max(map(columns.printed, column)) + gap
        if blocks[-1] and total + width > room:
            blocks.append([])
            total = 0
        blocks[-1].append(column)
        total += width
    return blocks
