"""CSV files.

Authors
 * The s3prl_sb developers, 2026
"""

import csv
import io

from s3prl_sb.storage.files import write_text


def write_csv(path, columns, rows):
    """Writes a CSV file atomically.

    Arguments
    ---------
    path : str or pathlib.Path
        Path of the file.
    columns : list of str
        Names of the columns.
    rows : iterable of list
        A value for each column.

    Example
    -------
    >>> path = getfixture("tmp_path") / "table.csv"
    >>> write_csv(path, ["id", "text"], [["a", "yes, please"]])
    >>> path.read_text()
    'id,text\\na,"yes, please"\\n'
    """
    write_text(path, csv_text(columns, rows))


def csv_text(columns, rows):
    """Returns the content of a CSV file.

    Arguments
    ---------
    columns, rows
        See :func:`write_csv`.

    Returns
    -------
    str
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()
