"""Numbers of utterances, such as opinion scores: user tables, and a data pipe.

The tables are those of :mod:`s3prl_sb.dataio.tables`, with these columns:

=============  =================================================================
``value``      the number; a recipe may name other columns, or several
``system``     optional: what made the utterance, such as a speech synthesizer;
               results are then also by system
``judge``      optional: who gave this value. Rows of the same audio (and the
               same times) become one utterance, whose value is their mean
=============  =================================================================

Authors
 * The s3prl_sb developers, 2026
"""

import math
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any

import torch

from s3prl_sb.dataio import manifest, tables
from s3prl_sb.dataio.dataset import ManifestDataset, Pipe
from s3prl_sb.dataio.rows import rows
from s3prl_sb.errors import ManifestError
from s3prl_sb.terminal.messages import excerpt

VERSION = "utterance_values/1"  # a new version invalidates finished preparations
JUDGE = "judge"
#: Columns that say which audio a row is about.
AUDIO = ("wav", "wav_path", "start", "stop")


def prepare_value_tables(
    train_csv: str,
    valid_csv: str,
    test_csv: str,
    save_folder: str,
    values: Sequence[str] = ("value",),
    skip_prep: bool = False,
) -> dict[str, str]:
    """Converts three tables to ``train.json``, ``valid.json`` and ``test.json``.

    Arguments
    ---------
    train_csv, valid_csv, test_csv : str
        CSV, TSV or JSON files in the format of this module.
    save_folder : str
        Folder of the manifests. A finished preparation of the same tables is reused if
        the audio files have not changed since.
    values : list of str
        Columns of the numbers.
    skip_prep : bool
        Use the existing manifests in ``save_folder``.

    Returns
    -------
    dict
        ``{"train": path, "valid": path, "test": path}``; for the records see
        :func:`load_value_table`.

    Raises
    ------
    ManifestError
        Names the file, the line, and the way out.
    """
    if skip_prep:
        return tables.skipped(manifest.paths_in(save_folder))
    files = tables.by_split(train_csv, valid_csv, test_csv, save_folder)
    arguments = {"version": VERSION, **tables.identity(files), "values": list(values)}
    if paths := tables.finished(save_folder, arguments):
        return paths
    splits = {name: load_value_table(path, values) for name, path in files.items()}
    tables.warn_of_leaks(splits, files)
    return manifest.finish(splits, save_folder, arguments, required=values)


def load_value_table(
    path: str | PathLike, values: Sequence[str] = ("value",)
) -> dict[str, dict[str, Any]]:
    """Reads a table of numbers into records.

    Arguments
    ---------
    path : str
        CSV, TSV or JSON file in the format of this module.
    values : list of str
        Columns of the numbers.

    Returns
    -------
    dict
        ``{id: record}``. Numbers are floats; if the table has judges, ``judgements`` is
        a list of [judge, value], where a table may have only one column of numbers.

    Raises
    ------
    ManifestError
        Names the file, the line, and the way out.

    Example
    -------
    >>> import tempfile, numpy, soundfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     soundfile.write(folder + "/a.wav", numpy.zeros(8000), 16000)
    ...     table = Path(folder, "my.csv")
    ...     _ = table.write_text("wav,value,judge\\na.wav,3,ann\\na.wav,4,bob\\n")
    ...     record = load_value_table(table)["a"]
    >>> record["value"], record["judgements"]
    (3.5, [['ann', 3.0], ['bob', 4.0]])
    """
    path, table = str(path), []
    for name, line, row in rows(path):
        if isinstance(row, dict):
            row = {**row, **_numbers(row, values, f"{path}:{line}: '{name}'")}
            if "system" in row and not str(row["system"] or "").strip():
                raise ManifestError(
                    f"{path}:{line}: '{name}': system is empty. Fill it in, or leave "
                    "out the column."
                )
        table.append((name, line, row))
    if any(isinstance(row, dict) and JUDGE in row for _, _, row in table):
        table = _by_utterance(table, path, values)
    records = tables.records_of(path, table, values, None)
    for record in records.values():
        record.update({key: float(record[key]) for key in values})
        if "system" in record:
            record["system"] = str(record["system"])
    return records


def _numbers(row, values, place):
    """Returns the numbers of a row, those that are there."""
    numbers = {}
    for key in values:
        cell = row.get(key)
        if cell is None or cell == "":
            continue  # missing: reported for all rows together
        try:
            numbers[key] = float(cell)
        except (TypeError, ValueError, OverflowError):
            numbers[key] = math.nan
        if isinstance(cell, bool) or not math.isfinite(numbers[key]):
            raise ManifestError(
                f"{place}: {key} {excerpt(cell)} is not a finite number. Write such "
                "as 3.5."
            )
    return numbers


def _by_utterance(table, path, values):
    """Joins the rows of judges to one row for each utterance."""
    if len(values) > 1:
        raise ManifestError(
            f"{path}:1: a column {JUDGE} and {len(values)} columns of numbers, "
            f"{', '.join(values)}. Keep one of them, or leave out {JUDGE}."
        )
    (key,), joined = values, {}
    for name, line, row in table:
        if not isinstance(row, dict) or row.get(key) in (None, ""):
            joined[line] = name, line, row  # reported later
            continue
        row = dict(row)
        judge = str(row.pop(JUDGE, None) or "")
        audio = tuple(str(row.get(column)) for column in AUDIO)
        first = joined.setdefault(audio, (name, line, {**row, "judgements": []}))
        judgements = first[2]["judgements"]
        if not judge or judge in dict(judgements):
            fault = f"'{judge}' judges it twice" if judge else f"no {JUDGE}"
            raise ManifestError(
                f"{path}:{line}: '{name}': {fault}. Every row needs the name of a "
                f"{JUDGE}, once for each utterance."
            )
        if row.get("system") != first[2].get("system"):
            raise ManifestError(
                f"{path}:{line}: '{name}': system {row.get('system')!r} here, and "
                f"{first[2].get('system')!r} in line {first[1]}, of the same audio."
            )
        judgements.append([judge, row[key]])
    for _, _, row in joined.values():
        if isinstance(row, dict) and row.get("judgements"):
            scores = [score for _, score in row["judgements"]]
            row[key] = math.fsum(scores) / len(scores)
    return list(joined.values())


class UtteranceValues(Pipe):
    """Pipe that adds the item ``targets``: the numbers of an utterance, float32.

    Arguments
    ---------
    values : list of str
        Keys of the numbers.

    Example
    -------
    >>> dataset = ManifestDataset({"a": {"value": 3.5}}, [UtteranceValues(["value"])])
    >>> dataset.set_output_keys(["targets"])
    >>> dataset[0]["targets"]
    tensor([3.5000])
    """

    def __init__(self, values: Sequence[str]):
        self.values = list(values)

    def add_to(self, dataset: ManifestDataset) -> None:
        """Adds the numbers."""
        dataset.add_dynamic_item(self.numbers, self.values, "targets")

    def numbers(self, *values: float) -> torch.Tensor:
        """Returns the numbers as a tensor [values]."""
        return torch.tensor(values, dtype=torch.float32)


class Judgements(Pipe):
    """Pipe that adds the items ``judges``, numbers of those who judged an utterance,
    int64 [judges], and ``judgement_values``, float32 [judges].

    Arguments
    ---------
    judges : list of str
        All judges, in the order of their numbers.

    Example
    -------
    >>> records = {"a": {"judgements": [["bob", 4.0], ["ann", 3.0]]}}
    >>> dataset = ManifestDataset(records, [Judgements(["ann", "bob"])])
    >>> dataset.set_output_keys(["judges", "judgement_values"])
    >>> dataset[0]
    {'judges': tensor([1, 0]), 'judgement_values': tensor([4., 3.])}
    """

    def __init__(self, judges: Sequence[str]):
        self.judges = list(judges)
        self._numbers = {judge: number for number, judge in enumerate(judges)}

    def add_to(self, dataset: ManifestDataset) -> None:
        """Adds the judges and their values."""
        dataset.add_dynamic_item(self.who, ["judgements"], "judges")
        dataset.add_dynamic_item(self.what, ["judgements"], "judgement_values")

    def who(self, judgements: list) -> torch.Tensor:
        """Returns the numbers of the judges."""
        return torch.tensor([self._numbers[judge] for judge, _ in judgements])

    def what(self, judgements: list) -> torch.Tensor:
        """Returns the values that they gave."""
        return torch.tensor([value for _, value in judgements], dtype=torch.float32)


def judges_of(records: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Returns the names of all judges of some records, sorted.

    Arguments
    ---------
    records : dict
        ``{id: record}``.

    Returns
    -------
    list of str
        Empty if a record has no judges.

    Example
    -------
    >>> judges_of({"a": {"judgements": [["bob", 4.0]]}}), judges_of({"a": {}})
    (['bob'], [])
    """
    if not all(record.get("judgements") for record in records.values()):
        return []
    return sorted({judge for r in records.values() for judge, _ in r["judgements"]})
