"""Parts of a submission: how the predictions of a run become files, and what they
measure.

Authors
 * The s3prl_sb developers, 2026
"""

import csv
import io
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from s3prl_sb.errors import MissingExtra
from s3prl_sb.runs.results import RESULTS
from s3prl_sb.storage.files import (
    FileError,
    naming,
    read_json,
    read_text,
    write_text,
)
from s3prl_sb.submission import formats

AGAIN = (
    "Run its recipe again with the same command, which a benchmark notes in job.log: "
    "it tests the run again."
)
#: Metrics by their names in S3PRL's files of SE and SS. Its SI-SDR is the improvement.
OF_MASKS = {"si_sdr": "si_sdr_improvement", "stoi": "stoi", "pesq": "pesq"}
STDLIST = "stdlist/test/benchmark.stdlist.xml"
PREDICTIONS = "predictions.csv"
ROUNDED = 1e-3  # relative error of a mean of rounded numbers
RATE = 16000  # Hz, of frame_shift
Entries = dict[Any, Any]


class NotTested(FileError):
    """A run that was tested without what an entry is of, as its user chose."""


class Names(NamedTuple):
    """Names of a corpus: ours, and those in S3PRL's files.

    Arguments
    ---------
    pattern : str
        Regular expression of a whole id of ours.
    template : str
        Template of the name, see ``re.Match.expand``.
    """

    pattern: str
    template: str = r"\g<0>"

    def name(self, ours: str) -> str:
        """Returns the name of an utterance; an id of another corpus stays.

        Example
        -------
        >>> Names(r"(\\w+)--(\\w+)", r"\\1-\\2.wav").name("yes--ab12_nohash_0")
        'yes-ab12_nohash_0.wav'
        """
        match = re.fullmatch(self.pattern, ours)
        return match.expand(self.template) if match else ours

    def foreign(self, ours: list[str]) -> list[str]:
        """Returns the ids that are not of the corpus."""
        return [name for name in ours if not re.fullmatch(self.pattern, name)]


class Predictions:
    """Predictions of a test set as one text file.

    Arguments
    ---------
    file : str
        Name of the file.
    format : s3prl_sb.submission.formats.Format
        Its format.
    names : Names
        Names of the utterances.
    predicted, true : tuple of str
        Columns of ``predictions.csv``. A single column gives texts, several give
        tuples.
    score : callable, optional
        Maps what was read from the file, and the truth by the same ids, to metrics.
        A class whose :meth:`measured` needs no table has none.
    tolerance : float
        Difference of metrics from results.json that the precision of the file explains.
    without : str
        Advice for runs that lack a column.
    """

    def __init__(
        self,
        file: str,
        format: formats.Format,
        names: Names,
        predicted: tuple[str, ...] = (),
        true: tuple[str, ...] = (),
        score: Callable[[Entries, Entries], dict[str, float]] | None = None,
        tolerance: float = 1e-6,
        without: str = AGAIN,
    ):
        self.file, self.format, self.names = file, format, names
        self.predicted, self.true = predicted, true
        self.score, self.tolerance, self.without = score, tolerance, without

    columns: tuple[str, ...] = ("id",)  #: columns that name what is predicted

    def rows(self, run: Path, columns: tuple[str, ...] = ()) -> list[dict[str, str]]:
        """Returns the rows of a run, whose names and columns are all there."""
        return table(run, (*self.columns, *columns), self.without)

    def ids(self, rows: list[dict[str, str]]) -> list[str]:
        """Returns our ids of what is predicted, in the order of the file."""
        return [row["id"] for row in rows]

    def foreign(self, ids: list[str]) -> list[str]:
        """Returns the ids that are not of the corpus, from those of :meth:`write`."""
        return self.names.foreign(ids)

    def keys(self, rows: list[dict[str, str]]) -> list[Any]:
        """Returns the names in the file."""
        return [self.names.name(name) for name in self.ids(rows)]

    def entries(self, run: Path, columns: tuple[str, ...]) -> Entries:
        """Returns values of a run by the names in the file."""
        rows = self.rows(run, columns)
        values = ([row[column] for column in columns] for row in rows)
        single = len(columns) == 1
        plain = (value[0] if single else tuple(value) for value in values)
        return dict(zip(self.keys(rows), plain))

    def write(self, run: Path, folder: Path) -> list[str]:
        """Writes the file, and returns our ids of the utterances.

        Arguments
        ---------
        run : pathlib.Path
            Folder of a finished run.
        folder : pathlib.Path
            Folder of the file.

        Returns
        -------
        list of str

        Raises
        ------
        FileError
            If the run lacks something, or its names or texts do not fit the format.
        """
        entries = self.entries(run, self.predicted)
        with naming(run / PREDICTIONS, "predictions that fit a submission"):
            write_text(folder / self.file, self.format.write(entries))
        return self.ids(self.rows(run, self.predicted))

    def read(self, folder: Path) -> Entries:
        """Reads the file that :meth:`write` wrote."""
        with naming(folder / self.file, "a file of predictions"):
            return self.format.read(read_text(folder / self.file))

    def measured(self, folder: Path, run: Path) -> dict[str, float]:
        """Measures the predictions that were written, against the truth of the run.

        Arguments
        ---------
        folder : pathlib.Path
            Folder of the file.
        run : pathlib.Path
            Folder of the run.

        Returns
        -------
        dict
            Names of metrics, as in results.json, to numbers.
        """
        if self.score is None:
            return {}
        return self.score(self.read(folder), self.entries(run, self.true))


class Trials(Predictions):
    """Scores of pairs of utterances."""

    columns = ("id1", "id2")

    def ids(self, rows):
        """Returns our ids of the utterances of all trials."""
        return [f"{row['id1']} {row['id2']}" for row in rows]

    def foreign(self, ids):
        """Returns the trials with an utterance that is not of the corpus."""
        return [name for name in ids if self.names.foreign(name.split(" "))]

    def keys(self, rows):
        """Returns the names of the trials."""
        name = self.names.name
        return [f"{name(row['id1'])}_{name(row['id2'])}" for row in rows]


class Queries(Predictions):
    """Scores of documents for spoken queries, which a run has in S3PRL's format."""

    columns = ("query", "document")

    def ids(self, rows):
        """Returns the queries."""
        return list(dict.fromkeys(row["query"] for row in rows))

    def keys(self, rows):
        """Returns pairs of query and document."""
        return [(row["query"], row["document"]) for row in rows]

    def write(self, run, folder):
        """Copies the file, and returns the queries."""
        text = read_text(run / STDLIST, "the scores of a search", AGAIN)
        write_text(folder / self.file, text)
        return list(dict.fromkeys(query for query, _ in self.read(folder)))


class Measures(Predictions):
    """Means of measures, as S3PRL submits no waveforms."""

    def write(self, run, folder):
        """Writes the means of results.json, and returns the ids of the utterances."""
        rows = self.rows(run)
        told = read_json(run / RESULTS, "the results of a run", AGAIN, dict)["metrics"]
        absent = [name for name in OF_MASKS.values() if name not in told]
        if absent:
            raise FileError(
                f"'{run}' has no {', '.join(absent)}: pip install 's3prl_sb[se]'. "
                f"{AGAIN}"
            )
        for name in OF_MASKS.values():  # whose digits are fewer
            mean = _mean(row.get(name) for row in rows)
            if not abs(mean - told[name]) <= ROUNDED * max(1.0, abs(told[name])):
                raise FileError(
                    f"'{run}': the mean {name} of {PREDICTIONS} is {mean:.4f}, and in "
                    f"{RESULTS} it is {told[name]:.4f}. {AGAIN}"
                )
        means = {key: repr(float(told[name])) for key, name in OF_MASKS.items()}
        write_text(folder / self.file, formats.write_keyed(means))
        return self.ids(rows)

    def measured(self, folder, run):
        """Returns the measures under our names."""
        return {OF_MASKS[key]: float(text) for key, text in self.read(folder).items()}


def table(
    run: Path, columns: tuple[str, ...], without: str = AGAIN
) -> list[dict[str, str]]:
    """Reads the predictions of a run.

    Arguments
    ---------
    run : pathlib.Path
        Folder of the run.
    columns : tuple of str
        Columns that it must have.
    without : str
        Advice, as a sentence, if one is not there.

    Returns
    -------
    list of dict

    Raises
    ------
    FileError
        If the file lacks rows, columns or values: a :class:`NotTested` if the advice
        says that the run was tested without them.
    """
    path = run / PREDICTIONS
    text = read_text(path, "the predictions of a run", AGAIN)
    with naming(path, "the predictions of a run", AGAIN):
        reader = csv.DictReader(io.StringIO(text))
        rows = list(reader)
        absent = [name for name in columns if name not in (reader.fieldnames or ())]
    if not rows or absent:
        lacking = ", ".join(absent) or "rows"
        kind = FileError if without == AGAIN or not rows else NotTested
        raise kind(f"'{path}' has no {lacking}. {without}")
    for number, row in enumerate(rows, 1):
        if absent := [name for name in columns if row[name] is None]:
            raise FileError(f"'{path}', row {number}: no {', '.join(absent)}. {AGAIN}")
    return rows


def _mean(cells: Any) -> float:
    """Returns the mean over the utterances that a measure is defined for."""
    values = [float(cell) for cell in cells if cell]
    values = [value for value in values if math.isfinite(value)]
    return math.fsum(values) / len(values) if values else math.nan


def library() -> Any:
    """Returns h5py.

    Raises
    ------
    MissingExtra
        If it is not installed.
    """
    try:
        import h5py
    except ImportError as error:
        raise MissingExtra(
            "SD is submitted in HDF5: pip install 's3prl_sb[hdf5]'"
        ) from error
    return h5py
