"""Metadata of corpora of sounds: CSV files with named columns.

Authors
 * The s3prl_sb developers, 2026
"""

import csv
import os
from collections.abc import Iterator

from s3prl_sb.dataio import manifest
from s3prl_sb.errors import ManifestError


def metadata_lines(path: str) -> list[str]:
    """Reads a file that tells a corpus, so that a wrong folder has none.

    Arguments
    ---------
    path : str
        File of the corpus.

    Returns
    -------
    list of str

    Raises
    ------
    ManifestError
        If the file is missing, with the way out.

    Example
    -------
    >>> metadata_lines("/corpora/meta.csv")
    Traceback (most recent call last):
    ...
    s3prl_sb.errors.ManifestError: /corpora/meta.csv: no such file. Set data_folder ...
    """
    if not os.path.isfile(path):
        raise ManifestError(
            f"{path}: no such file. Set data_folder to the unpacked corpus, and corpus "
            "to its layout."
        )
    return manifest.read_text(path).splitlines()


def table_rows(path: str, columns: tuple[str, ...]) -> Iterator[tuple[str, dict]]:
    """Yields the rows of a CSV file that begins with the names of its columns.

    Arguments
    ---------
    path : str
        Table of a corpus.
    columns : tuple of str
        Columns that are read; others may be there.

    Yields
    ------
    tuple of (str, dict)
        "file:line", for errors, and the texts of the columns.

    Raises
    ------
    ManifestError
        If the file or a column is missing, or a row has too few texts.

    Example
    -------
    >>> path = str(getfixture("tmp_path") / "meta.csv")
    >>> with open(path, "w") as file:
    ...     _ = file.write("filename,fold,take\\na.wav,1,A\\n")
    >>> [row for _, row in table_rows(path, ("filename", "fold"))]
    [{'filename': 'a.wav', 'fold': '1'}]
    """
    reader = csv.reader(metadata_lines(path))
    names = [name.strip() for name in next(reader, [])]
    missing = [name for name in columns if name not in names]
    if missing:
        raise ManifestError(
            f"{path}:1: no column {', '.join(missing)}; found {', '.join(names)}. "
            "Restore the file of the corpus."
        )
    places = {name: names.index(name) for name in columns}
    for row in reader:
        if not row:
            continue
        place = f"{path}:{reader.line_num}"
        if len(row) <= max(places.values()):
            raise ManifestError(
                f"{place}: {len(row)} columns instead of {len(names)}. Restore the "
                "file of the corpus."
            )
        yield place, {name: row[column] for name, column in places.items()}


def whole_number(text: str, place: str, name: str) -> int:
    """Returns the whole number of a column; an error names the place.

    Arguments
    ---------
    text : str
        Text of the column.
    place : str
        "file:line".
    name : str
        Name of the column.

    Returns
    -------
    int

    Raises
    ------
    ManifestError
        If it is no whole number.

    Example
    -------
    >>> whole_number("3", "meta.csv:2", "fold")
    3
    """
    try:
        return int(text)
    except ValueError as fault:
        raise ManifestError(
            f"{place}: {name} is a whole number, not {text!r}. Restore the file of "
            "the corpus."
        ) from fault
