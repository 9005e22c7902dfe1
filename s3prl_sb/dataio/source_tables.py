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
from typing import Any

from s3prl_sb.dataio import audio_columns, manifest, tables
from s3prl_sb.dataio.manifest import ManifestError
from s3prl_sb.dataio.rows import places

VERSION = "source_tables/1"  # a change makes finished preparations stale
CLEAN, SOURCES = "clean", "sources"
NUMBERED = re.compile(r"source_\d+\Z", re.ASCII)


def prepare_source_tables(
    train_csv: str,
    valid_csv: str,
    test_csv: str,
    save_folder: str,
    num_sources: int | None = None,
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
    num_sources : int, optional
        Number of sources of every mixture. Default: that of each table.
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


def load_source_table(
    path: str, num_sources: int | None = None, data_root: str | None = None
) -> dict[str, dict[str, Any]]:
    """Reads a table into ``{id: record}`` with the key ``sources``.

    Arguments
    ---------
    path : str
        CSV, TSV or JSON file.
    num_sources : int, optional
        Number of sources of every mixture. Default: the same of all, at least one.
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
    columns = _columns(keys, num_sources, path)
    folder = os.path.abspath(data_root or os.path.dirname(path))
    several = {key: key == SOURCES for key in columns}
    audio_columns.resolve(records, several, folder, spots)
    counts = {}
    for name, record in records.items():
        cells = [record.pop(key, None) for key in columns]
        cells = cells[0] if columns == [SOURCES] else cells
        record[SOURCES] = [source for source in cells or () if source is not None]
        counts[name] = len(record[SOURCES])
    needed = num_sources or max([1, *counts.values()])
    faults = [
        f"{spots.get(name, path)}: '{name}' has {count} sources"
        for name, count in counts.items()
        if count != needed
    ]
    if faults:
        raise ManifestError.listing(faults, f"Give each {needed}.", len(records))
    audio_columns.check_lengths(records, (SOURCES,), spots)
    return records


def _columns(keys, num_sources, path):
    """Returns the columns of the sources in a table with columns ``keys``."""
    numbered = sorted(filter(NUMBERED.match, keys), key=lambda key: int(key[7:]))
    kinds = {
        SOURCES: [SOURCES] if SOURCES in keys else [],
        CLEAN: [CLEAN] if CLEAN in keys else [],
        "source_1": numbered,
    }
    used = [kind for kind, columns in kinds.items() if columns]
    if len(used) > 1:
        twice = " and ".join(used)
        raise ManifestError(f"{path}:1: both {twice}: which are the sources? Keep one.")
    columns = kinds[used[0]] if used else []
    gapless = numbered == [f"source_{n}" for n in range(1, len(numbered) + 1)]
    fits = SOURCES in keys or num_sources in (None, len(columns))
    if columns and gapless and fits:
        return columns
    wanted = ", ".join(f"source_{number + 1}" for number in range(num_sources or 2))
    if num_sources is None:
        wanted = f"{CLEAN}, or of several sources {wanted} and so on"
    elif num_sources == 1:
        wanted = CLEAN
    raise ManifestError(
        f"{path}:1: the columns of the clean audio are {wanted}; found "
        f"{', '.join(sorted(keys))}."
    )
