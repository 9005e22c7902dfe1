"""Users' own tables for voice conversion.

=========== ====================================================================
``wav``     speech whose words are converted; in training the target speaker's own
``target``  optional: the target speaker's utterance of the same words. Empty: in
            training the ``wav`` itself, in the test unknown
``speaker`` optional: name of the target speaker
``enroll``  optional: utterances by which an any-to-any conversion knows the target
            speaker, separated by spaces or a list in JSON. Without the column, in
            training the ``wav`` itself
``text``    optional: the words, for error rates
=========== ====================================================================

Authors
 * The s3prl_sb developers, 2026
"""

import os

from s3prl_sb.dataio import manifest, tables
from s3prl_sb.dataio.manifest import ManifestError
from s3prl_sb.dataio.rows import in_folder, places
from s3prl_sb.identity import locations, presence

VERSION = "conversion_tables/1"  # a change makes finished preparations stale
UNKNOWN = "target"  # the speaker's name if the tables have none


def prepare_conversion_tables(
    train_csv: str,
    valid_csv: str,
    test_csv: str,
    save_folder: str,
    enrolled: bool = False,
    data_root: str | None = None,
    skip_prep: bool = False,
) -> dict[str, str]:
    """Converts three tables to the manifests of voice conversion.

    Arguments
    ---------
    train_csv, valid_csv, test_csv : str
        CSV, TSV or JSON files, see :mod:`s3prl_sb.dataio.tables`.
    save_folder : str
        Folder of the manifests. A finished preparation of the same tables is kept.
    enrolled : bool
        Whether conversions need enrolled utterances (any-to-any).
    data_root : str, optional
        Folder where relative paths start. Default: the table's folder.
    skip_prep : bool
        Use the manifests in ``save_folder`` as they are.

    Returns
    -------
    dict
        ``{"train": path, "valid": path, "test": path}``; records as those of
        :func:`~s3prl_sb.corpora.vcc2020.prepare_vcc2020`.

    Raises
    ------
    ManifestError
        With the file and the way out.

    Example
    -------
    >>> import tempfile, numpy, soundfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     soundfile.write(folder + "/a.wav", numpy.zeros(800), 16000)
    ...     for name in ("train", "valid", "test"):
    ...         _ = Path(folder, name + ".csv").write_text(f"id,wav\\n{name},a.wav\\n")
    ...     files = [f"{folder}/{name}.csv" for name in ("train", "valid", "test")]
    ...     paths = prepare_conversion_tables(*files, folder + "/save")
    ...     records = [manifest.read(path) for path in paths.values()]
    >>> records[0]["train"]["target"].endswith("a.wav"), records[2]["test"]["target"]
    (True, None)
    """
    if skip_prep:
        return tables.skipped(manifest.paths_in(save_folder))
    files = tables.by_split(train_csv, valid_csv, test_csv, save_folder)
    arguments = {
        "version": [VERSION, tables.VERSION],
        **tables.identity(files),
        "enrolled": enrolled,
        "data_root": data_root and os.path.abspath(data_root),
    }
    if paths := tables.finished(save_folder, arguments):
        return paths
    splits = {
        split: load_conversion_table(file, split, enrolled, data_root)
        for split, file in files.items()
    }
    tables.warn_of_leaks(splits, files)
    return manifest.finish(splits, save_folder, arguments, required=("speaker",))


def load_conversion_table(
    file: str, split: str = "test", enrolled: bool = False, data_root: str | None = None
) -> dict[str, dict]:
    """Reads a table of voice conversion into records.

    Arguments
    ---------
    file : str
        CSV, TSV or JSON file in the format of this module.
    split : str
        "test" has no target where the table has none; otherwise it is the ``wav``.
    enrolled, data_root
        See :func:`prepare_conversion_tables`.

    Returns
    -------
    dict
        ``{id: record}``.
    """
    records = tables.load_table(file, (), data_root)
    folder = os.path.abspath(data_root or os.path.dirname(file))
    records = {
        name: _record(record, split, folder, enrolled)
        for name, record in records.items()
    }
    _check(records, file, enrolled)
    return records


def _record(record, split, folder, enrolled):
    """Returns a record with all keys and absolute paths."""
    own = split != "test"
    target = record.get("target") or (record["wav"] if own else None)
    enroll = record.get("enroll") or ([record["wav"]] if own and enrolled else [])
    if isinstance(enroll, str):
        enroll = enroll.split()
    return {
        **{key: record[key] for key in manifest.KEYS},
        "target": target and _path(target, folder),
        "speaker": str(record.get("speaker") or UNKNOWN),
        "enroll": [_path(path, folder) for path in enroll],
        "text": str(record.get("text") or ""),
    }


def _path(path, folder):
    return locations.in_folder(in_folder(str(path), folder), folder)


def _check(records, file, enrolled):
    """Checks the files that a table names besides ``wav``."""
    others = {n: [r["target"], *r["enroll"]] for n, r in records.items()}
    missing = presence.faults(
        {path for paths in others.values() for path in paths if path}
    )
    lines, faults, ways_out = places(file), [], {}
    for name, record in records.items():
        place = f"{lines.get(name, file)}: '{name}'"
        if enrolled and not record["enroll"]:
            faults.append(f"{place}: no enroll")
            ways_out["Each conversion to any speaker needs enroll."] = None
        absent = [path for path in others[name] if path in missing]
        if absent:
            faults += [f"{place}: {missing[path]}" for path in absent]
            ways_out["Correct the paths."] = None
        if record["start"] is not None and record["target"] == record["wav"]:
            faults.append(f"{place}: a segment, of which target is the whole")
            ways_out["Segments need a target of their own, cut out."] = None
    if faults:
        raise ManifestError.listing(faults, " ".join(ways_out), len(records))
