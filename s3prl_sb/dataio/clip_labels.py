"""Clips with any number of labels: user tables, and a data pipe.

The tables are those of :mod:`s3prl_sb.dataio.tables`, with ``labels`` in place of
``label``: texts with semicolons between them, or a list in a JSON file. A clip may have
none.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from s3prl_sb.dataio import manifest, tables
from s3prl_sb.dataio.dataset import ManifestDataset, Pipe
from s3prl_sb.dataio.rows import rows
from s3prl_sb.errors import ManifestError
from s3prl_sb.terminal.messages import few

VERSION = "clip_labels/1"  # a new version invalidates finished preparations
LABELS, BETWEEN = "labels", ";"


def prepare_clip_tables(
    train_csv: str,
    valid_csv: str,
    test_csv: str,
    save_folder: str,
    skip_prep: bool = False,
) -> dict[str, str]:
    """Converts three tables to ``train.json``, ``valid.json`` and ``test.json``.

    Arguments
    ---------
    train_csv, valid_csv, test_csv : str
        CSV, TSV or JSON files with a column ``label``, or with ``labels``, see this
        module.
    save_folder : str
        Folder of the manifests. A finished preparation of the same tables is reused if
        the audio files have not changed since.
    skip_prep : bool
        Use the existing manifests in ``save_folder``.

    Returns
    -------
    dict
        ``{"train": path, "valid": path, "test": path}``. Records have ``label``, a
        text, or ``labels``, a list of texts.

    Raises
    ------
    ManifestError
        Names the file, the line, and the way out.
    """
    if skip_prep:
        return tables.skipped(manifest.paths_in(save_folder))
    files = tables.by_split(train_csv, valid_csv, test_csv, save_folder)
    if not _has_labels(files["train"]):
        return tables.prepare_tables(train_csv, valid_csv, test_csv, save_folder)
    arguments = {"version": VERSION, **tables.identity(files)}
    if paths := tables.finished(save_folder, arguments):
        return paths
    splits = {name: load_clip_table(path) for name, path in files.items()}
    _check_seen(splits, files)
    tables.warn_of_leaks(splits, files)
    return manifest.finish(splits, save_folder, arguments, required=())


def load_clip_table(path: str) -> dict[str, dict[str, Any]]:
    """Reads a table of clips with any number of labels into records.

    Arguments
    ---------
    path : str
        CSV, TSV or JSON file in the format of this module.

    Returns
    -------
    dict
        ``{id: record}``, validated; ``labels`` is a list of texts.

    Raises
    ------
    ManifestError
        With the file and the line.

    Example
    -------
    >>> import numpy, soundfile
    >>> folder = getfixture("tmp_path")
    >>> soundfile.write(folder / "a.wav", numpy.zeros(8000), 16000)
    >>> _ = (folder / "my.csv").write_text("wav,labels\\na.wav,dog;rain\\n")
    >>> load_clip_table(folder / "my.csv")["a"]["labels"]
    ['dog', 'rain']
    """
    table = []
    for name, line, row in rows(path):
        if isinstance(row, dict):
            if LABELS not in row:
                raise ManifestError(
                    f"{path}:{line}: '{name}': no {LABELS}; found {', '.join(row)}. "
                    f"Give texts with {BETWEEN} between them; empty for none."
                )
            row = {**row, LABELS: _texts(row[LABELS], f"{path}:{line}: '{name}'")}
        table.append((name, line, row))
    return tables.records_of(str(path), table, (), None)


def has_many(save_folder: str) -> bool:
    """Returns whether the clips of a preparation have any number of labels.

    Arguments
    ---------
    save_folder : str
        Folder of the manifests.

    Returns
    -------
    bool
    """
    records = manifest.read(Path(save_folder) / "valid.json")
    return all(LABELS in record for record in records.values())


def labels_of(records: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """Returns the labels of clips.

    Arguments
    ---------
    records : dict
        ``{id: record}`` with ``labels``.

    Returns
    -------
    set of str

    Example
    -------
    >>> sorted(labels_of({"a": {"labels": ["rain", "dog"]}, "b": {"labels": []}}))
    ['dog', 'rain']
    """
    return {label for record in records.values() for label in record[LABELS]}


class EncodeLabels(Pipe):
    """Encodes the labels of a clip: item ``labels_encoded``, float32 [labels], 0 or 1.

    Arguments
    ---------
    labels : list of str
        All labels, in the order of their indices.

    Example
    -------
    >>> pipe = EncodeLabels(["dog", "rain"])
    >>> dataset = ManifestDataset({"a": {"labels": ["rain"]}}, [pipe])
    >>> dataset.set_output_keys(["labels_encoded"])
    >>> dataset[0]["labels_encoded"]
    tensor([0., 1.])
    """

    def __init__(self, labels: Sequence[str]):
        self.numbers = {label: number for number, label in enumerate(labels)}

    def add_to(self, dataset: ManifestDataset) -> None:
        """Adds the encoded labels."""
        dataset.add_dynamic_item(self.encode, [LABELS], "labels_encoded")

    def encode(self, labels: Sequence[str]) -> torch.Tensor:
        """Returns the encoded labels of a clip."""
        encoded = torch.zeros(len(self.numbers))
        encoded[[self.numbers[label] for label in labels]] = 1
        return encoded


def _has_labels(path):
    """Returns whether a table has any number of labels a row."""
    first = next((row for _, _, row in rows(path) if isinstance(row, dict)), {})
    return LABELS in first and "label" not in first


def _texts(value, place):
    """Returns the labels of a row."""
    if value is None:
        return []
    if isinstance(value, str):
        value = value.split(BETWEEN)
    plain = isinstance(value, list) and all(isinstance(v, (str, int)) for v in value)
    if not plain:
        raise ManifestError(
            f"{place}: {LABELS} {value!r} is no list of texts. Write dog{BETWEEN}rain."
        )
    texts = [str(each).strip() for each in value]
    return list(dict.fromkeys(text for text in texts if text))


def _check_seen(splits, files):
    """Checks that the training set has every label of validation and test."""
    seen = labels_of(splits["train"])
    for split, records in splits.items():
        unseen = sorted(labels_of(records) - seen)
        if unseen:
            raise ManifestError(
                f"{files[split]}: labels that are unseen in training: {few(unseen)}. "
                f"Add them to training or drop them here. Training has "
                f"{few(sorted(seen))}."
            )
