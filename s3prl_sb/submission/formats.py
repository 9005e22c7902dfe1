"""Text files that SUPERB's leaderboard reads: one line for each utterance or trial.

Each format is a pair of functions, from entries to a text and back.

Authors
 * The s3prl_sb developers, 2026
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from xml.etree import ElementTree

from s3prl_sb.storage.files import FileError
from s3prl_sb.terminal.messages import excerpt

TSV_HEADER = ("utt_id", "hyp", "ref")


class Format(NamedTuple):
    """A format of text files.

    Arguments
    ---------
    write : callable
        Maps entries, ``{id: value}``, to the content of a file.
    read : callable
        Maps the content of a file to entries.
    """

    write: Callable[[Mapping[str, Any]], str]
    read: Callable[[str], dict[Any, Any]]


def write_keyed(entries: Mapping[str, str]) -> str:
    """Formats texts, labels or scores as Kaldi does: the id, a space, the value.

    Arguments
    ---------
    entries : dict
        Ids to texts, which may be empty.

    Returns
    -------
    str

    Raises
    ------
    s3prl_sb.storage.files.FileError
        If an id has white space, or a text has several lines.

    Example
    -------
    >>> write_keyed({"a-1": "HELLO WORLD", "a-2": ""})
    'a-1 HELLO WORLD\\na-2 \\n'
    """
    return "".join(f"{_id(key)} {_line(key, text)}\n" for key, text in entries.items())


def read_keyed(text: str) -> dict[str, str]:
    """Reads what :func:`write_keyed` writes.

    Arguments
    ---------
    text : str
        Content of a file.

    Returns
    -------
    dict

    Example
    -------
    >>> read_keyed("a-1 HELLO WORLD\\na-2 \\n")
    {'a-1': 'HELLO WORLD', 'a-2': ''}
    """
    rows = (line.partition(" ") for line in _lines(text))
    return {key: value for key, _, value in rows}


def write_rows(entries: Mapping[str, tuple[str, ...]]) -> str:
    """Formats the values of slots: the id and the values, between commas, unquoted.

    Arguments
    ---------
    entries : dict
        Ids to tuples of values.

    Returns
    -------
    str

    Raises
    ------
    s3prl_sb.storage.files.FileError
        If a value has a comma.

    Example
    -------
    >>> write_rows({"a": ("change language", "none", "none")})
    'a,change language,none,none\\n'
    """
    lines = []
    for key, values in entries.items():
        row = [_id(key), *(_line(key, value) for value in values)]
        if any("," in cell for cell in row):
            raise FileError(f"'{key}': {excerpt(row)} has a comma, which ends a value")
        lines.append(",".join(row) + "\n")
    return "".join(lines)


def read_rows(text: str) -> dict[str, tuple[str, ...]]:
    """Reads what :func:`write_rows` writes.

    Arguments
    ---------
    text : str
        Content of a file.

    Returns
    -------
    dict

    Example
    -------
    >>> read_rows("a,change language,none,none\\n")
    {'a': ('change language', 'none', 'none')}
    """
    rows = (line.split(",") for line in _lines(text))
    return {key: tuple(values) for key, *values in rows}


def write_tsv(entries: Mapping[str, tuple[str, str]]) -> str:
    """Formats translations beside their references, between tabs, with a header.

    Arguments
    ---------
    entries : dict
        Ids to pairs of hypothesis and reference.

    Returns
    -------
    str

    Raises
    ------
    s3prl_sb.storage.files.FileError
        If a text has a tab.

    Example
    -------
    >>> write_tsv({"a": ("Hallo.", "Guten Tag.")})
    'utt_id\\thyp\\tref\\na\\tHallo.\\tGuten Tag.\\n'
    """
    lines = ["\t".join(TSV_HEADER)]
    for key, texts in entries.items():
        row = [_id(key), *(_line(key, text) for text in texts)]
        if any("\t" in cell for cell in row):
            raise FileError(f"'{key}': {excerpt(row)} has a tab, which ends a text")
        lines.append("\t".join(row))
    return "".join(f"{line}\n" for line in lines)


def read_tsv(text: str) -> dict[str, tuple[str, str]]:
    """Reads what :func:`write_tsv` writes.

    Arguments
    ---------
    text : str
        Content of a file.

    Returns
    -------
    dict

    Example
    -------
    >>> read_tsv("utt_id\\thyp\\tref\\na\\tHallo.\\tGuten Tag.\\n")
    {'a': ('Hallo.', 'Guten Tag.')}
    """
    rows = (line.split("\t") for line in _lines(text)[1:])
    return {key: (hypothesis, reference) for key, hypothesis, reference in rows}


def read_stdlist(text: str) -> dict[tuple[str, str], float]:
    """Reads the scores of a search for queries, NIST's XML.

    Arguments
    ---------
    text : str
        Content of a file.

    Returns
    -------
    dict
        Pairs of query and document to scores.

    Raises
    ------
    s3prl_sb.storage.files.FileError
        If it declares entities, which no such file needs.

    Example
    -------
    >>> read_stdlist('<stdlist><detected_termlist termid="q"><term file="d" score="2"/>'
    ...     '</detected_termlist></stdlist>')
    {('q', 'd'): 2.0}
    """
    if re.search(r"<!(DOCTYPE|ENTITY)", text):  # could expand without end
        raise FileError("a stdlist with declarations. Test the run again.")
    return {
        (query.attrib["termid"], term.attrib["file"]): float(term.attrib["score"])
        for query in ElementTree.fromstring(text).iter("detected_termlist")
        for term in query.iter("term")
    }


KEYED = Format(write_keyed, read_keyed)
ROWS = Format(write_rows, read_rows)
TSV = Format(write_tsv, read_tsv)


def _lines(text):
    """Splits at line feeds only, as texts may have other ends of lines."""
    return text.removesuffix("\n").split("\n") if text else []


def _id(key):
    if not key or re.search(r"\s", key):
        raise FileError(f"{excerpt(key)}: an id must be one word, without spaces")
    return key


def _line(key, text):
    if "\n" in text or "\r" in text:
        raise FileError(f"'{key}': {excerpt(text)} has several lines")
    return text
