"""Tables of utterances with a translation, a transcription, or both.

Records have ``text``, the translation, and ``transcription``, what is said; the one
that a table lacks is empty.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.dataio import manifest, tables

VERSION = "translations/1"
#: Targets of a recipe, and the keys of the records that have their texts.
TARGETS = {"translation": "text", "transcription": "transcription"}


def prepare_translation_tables(
    train_csv,
    valid_csv,
    test_csv,
    save_folder,
    needed=("translation",),
    skip_prep=False,
):
    """Converts three tables to ``train.json``, ``valid.json`` and ``test.json``.

    Arguments
    ---------
    train_csv, valid_csv, test_csv : str
        CSV, TSV or JSON files with the columns ``wav``, ``translation`` and
        ``transcription``, of which the ones that are not needed may be missing.
    save_folder : str
        Folder of the manifests. A finished preparation of the same tables is kept.
    needed : tuple of str
        Columns that must be there and filled in: keys of :data:`TARGETS`.
    skip_prep : bool
        Use the manifests in ``save_folder`` as they are.

    Returns
    -------
    dict
        ``{"train": path, "valid": path, "test": path}``.

    Raises
    ------
    ManifestError
        With the file, the line and the way out.

    Example
    -------
    >>> import tempfile, numpy, soundfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     soundfile.write(folder + "/a.wav", numpy.zeros(1600), 16000)
    ...     table = folder + "/my.csv"
    ...     with open(table, "w") as file:
    ...         _ = file.write("id,wav,translation\\n1,a.wav,nein\\n")
    ...     paths = prepare_translation_tables(table, table, table, folder + "/save")
    ...     record = manifest.read(paths["test"])["1"]
    >>> record["text"], record["transcription"]
    ('nein', '')
    """
    if skip_prep:
        return tables.skipped(manifest.paths_in(save_folder))
    paths = tables.by_split(train_csv, valid_csv, test_csv, save_folder)
    arguments = {
        "version": VERSION,
        **tables.identity(paths),
        "needed": sorted(needed),
    }
    if finished := tables.finished(save_folder, arguments):
        return finished
    splits = {n: load_translation_table(path, needed) for n, path in paths.items()}
    tables.warn_of_leaks(splits, paths)
    return manifest.finish(splits, save_folder, arguments, ())


def load_translation_table(path, needed=("translation",)):
    """Reads a table into records.

    Arguments
    ---------
    path : str
        See :func:`prepare_translation_tables`.
    needed : tuple of str
        Columns that must be there and filled in.

    Returns
    -------
    dict
        ``{id: record}`` with ``text`` and ``transcription``.
    """
    records = tables.load_table(path, tuple(needed))
    for record in records.values():
        # Another name of the column "transcription" is "text", also the table's own.
        said = record.pop("text", None)
        record["transcription"] = str(record.get("transcription") or said or "")
        record["text"] = str(record.pop("translation", None) or "")
    return records
