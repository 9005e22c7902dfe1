"""Tables as text: aligned for a terminal, or in Markdown.

Authors
 * The s3prl_sb developers, 2026
"""

import shutil
import unicodedata

from s3prl_sb.errors import printable


def as_text(rows, width=None, importance=None):
    """Formats a table for a terminal.

    Arguments
    ---------
    rows : list of list of str
        The header and the other rows.
    width : int, optional
        Characters in a line: the most important columns that fit are shown. None:
        all columns.
    importance : list of str, optional
        Names in the header, the most important first; the columns that are not named
        come last.

    Returns
    -------
    str

    Example
    -------
    >>> rows = [["name", "size", "states"], ["fbank", "240", "1"]]
    >>> print(as_text(rows, width=13, importance=["name", "states"]))
    name   states
    fbank  1
    """
    rows = [[printable(cell) for cell in row] for row in rows]
    header = rows[0]
    widths = [max(printed(row[i]) for row in rows) for i in range(len(header))]
    order = {name: rank for rank, name in enumerate(importance or ())}
    ranked = sorted(range(len(header)), key=lambda i: order.get(header[i], len(order)))
    chosen, total = [], -2
    for i in ranked:
        if not chosen or width is None or total + widths[i] + 2 <= width:
            chosen.append(i)
            total += widths[i] + 2
    chosen = chosen if importance is not None else sorted(chosen)
    lines = ("  ".join(padded(row[i], widths[i]) for i in chosen) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def as_markdown(rows, right=()):
    """Formats a table in Markdown.

    Arguments
    ---------
    rows : list of list of str
        The header and the other rows.
    right : collection of int
        Indices of columns to align at the right.

    Returns
    -------
    str

    Example
    -------
    >>> print(as_markdown([["a", "b"], ["x|y", "1"]], right=[1]))
    | a | b |
    | --- | ---: |
    | x\\|y | 1 |
    """
    ruler = ["---:" if i in right else "---" for i in range(len(rows[0]))]
    lines = [rows[0], ruler, *rows[1:]]
    lines = ([printable(cell).strip() for cell in line] for line in lines)
    escaped = ([cell.replace("|", "\\|") for cell in line] for line in lines)
    return "\n".join("| " + " | ".join(line) + " |" for line in escaped)


def terminal_width(stream):
    """Returns the characters in a line of a terminal, None for other streams."""
    return shutil.get_terminal_size().columns if stream.isatty() else None


def show_all(*streams):
    r"""Makes streams escape the characters they cannot encode, instead of failing.

    Arguments
    ---------
    *streams : io.TextIOBase
        Streams, for example ``sys.stdout``; those that cannot be reconfigured stay as
        they are.

    Example
    -------
    >>> import io
    >>> stream = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    >>> show_all(stream)
    >>> print("é 語", file=stream, end="", flush=True)
    >>> stream.buffer.getvalue()
    b'\xe9 \\u8a9e'
    """
    for stream in streams:
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def visible(text, keep=""):
    r"""Escapes control characters, which would move the cursor or break a line.

    Names of files, cards and tasks may contain them.

    Arguments
    ---------
    text : str
        Any text.
    keep : str
        Characters that stay as they are.

    Returns
    -------
    str
        The text with control characters and lone surrogates as Python escapes them.

    Example
    -------
    >>> print(visible("a\x1b[2Jb\n"), visible("音"))
    a\x1b[2Jb\n 音
    """
    if text.isprintable():
        return text
    return "".join(
        c.encode("unicode_escape").decode() if _is_control(c) and c not in keep else c
        for c in text
    )


def _is_control(character):
    turns = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
    kind = unicodedata.category(character)
    return (
        kind in ("Cc", "Cs", "Zl", "Zp")
        or unicodedata.bidirectional(character) in turns
    )


def printed(text):
    """Returns the width of a text on a terminal, in characters.

    Example
    -------
    >>> printed("ab"), printed("音")
    (2, 2)
    """
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def padded(text, width, right=False):
    """Pads a text with spaces.

    Example
    -------
    >>> padded("a", 3), padded("a", 3, right=True)
    ('a  ', '  a')
    """
    space = " " * (width - printed(text))
    return space + text if right else text + space
