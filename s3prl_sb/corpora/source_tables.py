"""Custom data with clean sources, for speech enhancement and separation.

The tables are those of :mod:`s3prl_sb.dataio.tables`. The clean sources of ``wav`` are

* in a CSV the columns ``source_1``, ``source_2``, …; or ``clean``, if there is one
  source;
* in a JSON the same keys, or ``sources``, a list; so a manifest that a preparation has
  written is a table too.

Each source is as long as its mixture, sample by sample; ``start`` and ``stop`` are
those of a segment in all of them.

Authors
 * The s3prl_sb developers, 2026
"""

import os
import re

from s3prl_sb.dataio import audio_columns, manifest, tables
from s3prl_sb.dataio.manifest import ManifestError
from s3prl_sb.dataio.rows import places

VERSION = "source_tables/1"  # a change makes finished preparations stale
CLEAN, SOURCES = "clean", "sources"
NUMBERED = re.compile(r"source_([1-9]\d*)", re.ASCII)


def prepare_source_tables(
    train_csv: str,
    valid_csv: str,
    test_csv: str,
    save_folder: str,
    num_sources: int = 1,
    data_root: str | None = None,
    skip_prep: bool = False,
) -> dict[str, str]:
    """Turns three tables into ``train.json``, ``valid.json`` and ``test.json``.

    Arguments
    ---------
    train_csv, valid_csv, test_csv : str
        CSV, TSV or JSON files, see the top of this module.
    save_folder : str
        Folder for the manifests. A finished preparation of the same tables is kept, if
        no audio file has changed since.
    num_sources : int
        Number of sources of every mixture.
    data_root : str, optional
        Folder of relative audio paths. Default: the folder of each table.
    skip_prep : bool
        Use the manifests in ``save_folder`` as they are.

    Returns
    -------
    dict
        ``{"train": path, "valid": path, "test": path}``; records have ``sources``, a
        list of audio files.

    Raises
    ------
    ManifestError
        With the file and the line.

    Example
    -------
    >>> import tempfile, numpy, soundfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("noisy", "clean"):
    ...         soundfile.write(f"{folder}/{name}.wav", numpy.zeros(8000), 16000)
    ...     table = Path(folder, "my.csv")
    ...     _ = table.write_text("wav,clean\\nnoisy.wav,clean.wav\\n")
    ...     paths = prepare_source_tables(table, table, table, folder + "/save")
    ...     record = manifest.read(paths["test"])["noisy"]
    >>> [os.path.basename(path) for path in record["sources"]]
    ['clean.wav']
    """
    if skip_prep:
        return tables.skipped(manifest.paths_in(save_folder))
    files = tables.by_split(train_csv, valid_csv, test_csv, save_folder)
    arguments = {
        "version": VERSION,
        "num_sources": num_sources,
        "data_root": data_root and os.path.abspath(data_root),
        **tables.identity(files),
    }
    if paths := tables.finished(save_folder, arguments, (SOURCES,)):
        return paths
    splits = {
        name: load_source_table(path, num_sources, data_root)
        for name, path in files.items()
    }
    tables.warn_of_leaks(splits, files)
    return manifest.finish(splits, save_folder, arguments, required=(SOURCES,))


def load_source_table(path: str, num_sources: int, data_root: str | None = None):
    """Reads a table into ``{id: record}`` with the key ``sources``.

    Arguments
    ---------
    path : str
        CSV, TSV or JSON file.
    num_sources : int
        Number of sources of every mixture.
    data_root : str, optional
        See :func:`prepare_source_tables`.

    Returns
    -------
    dict

    Raises
    ------
    ManifestError
        With the file and the line.
    """
    records, spots = tables.load_table(path, (), data_root), places(path)
    keys = {key for record in records.values() for key in record}
    numbered = [f"source_{number + 1}" for number in range(num_sources)]
    columns = _columns(keys, numbered, path)
    folder = os.path.abspath(data_root or os.path.dirname(path))
    several = {key: key == SOURCES for key in columns}
    audio_columns.resolve(records, several, folder, spots)
    faults = []
    for name, record in records.items():
        cells = [record.pop(key, None) for key in columns]
        record[SOURCES] = cells[0] if columns == [SOURCES] else cells
        if None in record[SOURCES] or len(record[SOURCES]) != num_sources:
            there = sum(source is not None for source in record[SOURCES])
            faults.append(f"{spots.get(name, path)}: '{name}' has {there} sources")
    if faults:
        way_out = f"Give {num_sources} to every mixture, or set num_sources."
        raise ManifestError.listing(faults, way_out, len(records))
    audio_columns.check_lengths(records, (SOURCES,), spots)
    return records


def _columns(keys, numbered, path):
    """Returns the columns of the sources in a table with columns ``keys``."""
    beyond = [k for k in keys if NUMBERED.fullmatch(k) and k not in numbered]
    choices = [[SOURCES], numbered, [CLEAN] if len(numbered) == 1 else []]
    complete = [columns for columns in choices if columns and keys.issuperset(columns)]
    if len(complete) == 1 and not beyond:
        return complete[0]
    found = ", ".join(sorted(keys))
    if len(complete) > 1:
        twice = " and ".join(columns[0] for columns in complete)
        raise ManifestError(f"{path}:1: both {twice}: which are the sources? Keep one.")
    if beyond:
        raise ManifestError(
            f"{path}:1: a column {max(beyond)}, but num_sources is {len(numbered)}. "
            "Set it to the number of sources, or drop the column."
        )
    needed = CLEAN if len(numbered) == 1 else ", ".join(numbered)
    raise ManifestError(
        f"{path}:1: no column {needed}: the paths of the clean audio; found {found}."
    )
