"""Fluent Speech Commands for intent classification (SUPERB IC), and user tables.

The corpus (Lugosch et al. 2019, https://arxiv.org/abs/1904.03670) has spoken commands
under ``wavs/speakers/<speaker>`` and tables ``data/{train,valid,test}_data.csv`` with
the columns path, speakerId, transcription, action, object, location. An intent is the
values of the last three, its slots: "turn on the lights in the kitchen" is activate,
lights, kitchen. No speaker is in two of the tables.

User tables may have other slots, each a column of its name, or S3PRL's one column
``labels``, with the values of all slots joined by semicolons between spaces.

Authors
 * The s3prl_sb developers, 2026
"""

import csv
import io
import os
from collections.abc import Sequence

from s3prl_sb.audio import headers
from s3prl_sb.audio.audio_names import Listed
from s3prl_sb.corpora.completeness import check_folder
from s3prl_sb.corpora.downloading import behind_a_form
from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.manifest import ManifestError
from s3prl_sb.dataio.rows import ALIASES, places, rows
from s3prl_sb.dataio.tables import (
    SPLITS,
    by_split,
    check_classes,
    finished,
    identity,
    load_table,
    skipped,
    warn_of_leaks,
    warn_of_one_class,
)
from s3prl_sb.dataio.tables import VERSION as TABLES_VERSION

download_fluent_speech_commands = behind_a_form(
    "Fluent Speech Commands",
    "https://fluent.ai/fluent-speech-commands-a-dataset-for-spoken-language-"
    "understanding-research/",
    "accept its licence on its page, which then gives the link.",
)
VERSION = "fluent_speech_commands/1"  # a change makes finished preparations stale
SLOTS = ("action", "object", "location")
JOINED, SEPARATOR = "labels", ";"
RESERVED = (*manifest.KEYS, "id", "sig", "feats", "draw")


def prepare_fluent_speech_commands(
    data_folder: str | None,
    save_folder: str,
    slots: Sequence[str] = SLOTS,
    skip_prep: bool = False,
) -> dict[str, str]:
    """Writes ``train.json``, ``valid.json`` and ``test.json``.

    Arguments
    ---------
    data_folder : str
        Folder with ``data`` and ``wavs``, or with ``fluent_speech_commands_dataset``.
    save_folder : str
        Folder for the manifests. A finished preparation of the same tables is kept.
    slots : list of str
        Columns of the intent.
    skip_prep : bool
        Use the manifests in ``save_folder`` as they are.

    Returns
    -------
    dict
        ``{"train": path, "valid": path, "test": path}``. Records have the slots,
        ``labels`` (all values, joined), ``speaker`` and ``text``.

    Raises
    ------
    ManifestError
        With the file, the line and the way out.

    Example
    -------
    >>> import tempfile, numpy, soundfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     os.mkdir(folder + "/data")
    ...     soundfile.write(folder + "/a.wav", numpy.zeros(1600), 16000)
    ...     header = "path,speakerId,transcription,action,object,location"
    ...     for split in SPLITS:
    ...         with open(f"{folder}/data/{split}_data.csv", "w") as file:
    ...             _ = file.write(header + "\\na.wav,s1,Bring it,bring,shoes,none\\n")
    ...     paths = prepare_fluent_speech_commands(folder, folder + "/save")
    ...     manifest.read(paths["test"])["s1--a"]["object"]
    'shoes'
    """
    if skip_prep:
        return skipped(manifest.paths_in(save_folder))
    slots = check_slots(slots)
    corpus = find_corpus(data_folder)
    tables = {n: os.path.join(corpus, "data", f"{n}_data.csv") for n in SPLITS}
    arguments = {"version": VERSION, **identity(tables), "slots": slots}
    if paths := manifest.finished(save_folder, arguments):
        return paths
    splits, spots = {}, {}
    for name, path in tables.items():
        splits[name] = _read_corpus_table(path, corpus, slots, spots)
    for slot in slots:
        check_classes(splits, slot, lambda split: spots)
    listed = Listed()
    for records in splits.values():
        for record in records.values():
            record["wav"] = listed.find(record["wav"]) or record["wav"]
    headers.add_durations(
        [record for records in splits.values() for record in records.values()],
        [spots[name] for records in splits.values() for name in records],
    )
    warn_of_leaks(splits, tables)
    return manifest.finish(splits, save_folder, arguments, slots)


def prepare_intent_tables(
    train_csv: str,
    valid_csv: str,
    test_csv: str,
    save_folder: str,
    slots: Sequence[str] = SLOTS,
    skip_prep: bool = False,
) -> dict[str, str]:
    """Prepares user tables with several slots.

    Arguments
    ---------
    train_csv, valid_csv, test_csv : str
        CSV, TSV or JSON files with a column for each slot, or with one column
        ``labels`` that has the values in the order of ``slots``: "a ; b ; c".
    save_folder : str
        Folder for the manifests. A finished preparation of the same tables is kept.
    slots : list of str
        Names of the slots.
    skip_prep : bool
        Use the manifests in ``save_folder`` as they are.

    Returns
    -------
    dict
        ``{"train": path, "valid": path, "test": path}``. Records have the slots
        and ``labels`` (all values, joined).

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
    ...         _ = file.write("id,wav_path,labels\\n1,a.wav,play ; jazz\\n")
    ...     paths = prepare_intent_tables(
    ...         table, table, table, folder + "/save", slots=["what", "which"])
    ...     manifest.read(paths["test"])["1"]["which"]
    'jazz'
    """
    if skip_prep:
        return skipped(manifest.paths_in(save_folder))
    slots = check_slots(slots)
    tables = by_split(train_csv, valid_csv, test_csv, save_folder)
    arguments = {
        "version": VERSION,
        "reader": TABLES_VERSION,
        **identity(tables),
        "slots": slots,
    }
    if paths := finished(save_folder, arguments):
        return paths
    splits = {name: load_intent_table(path, slots) for name, path in tables.items()}
    for slot in slots:
        check_classes(splits, slot, lambda split: places(tables[split]))
    warn_of_one_class(splits["train"], JOINED, tables["train"])
    warn_of_leaks(splits, tables)
    return manifest.finish(splits, save_folder, arguments, slots)


def check_slots(slots):
    """Returns the slots as a list; raises an error if one cannot be a key.

    Arguments
    ---------
    slots : list of str
        Names of the slots.

    Returns
    -------
    list of str

    Example
    -------
    >>> check_slots(["action", "wav"])
    Traceback (most recent call last):
    ...
    s3prl_sb.dataio.manifest.ManifestError: slots: 'wav' means something else…
    """
    slots = [slots] if isinstance(slots, str) else list(slots)
    if not slots or len(set(slots)) < len(slots):
        raise ManifestError(f"slots: {slots}. Name one or more, each once.")
    for slot in slots:
        if slot in RESERVED:
            raise ManifestError(
                f"slots: '{slot}' means something else in a manifest. Rename it."
            )
    return slots


def find_corpus(data_folder):
    """Returns the folder of the corpus; raises an error for a missing table."""
    corpus = check_folder(
        data_folder,
        "of Fluent Speech Commands",
        inside="fluent_speech_commands_dataset",
    )
    for name in SPLITS:
        path = os.path.join(corpus, "data", f"{name}_data.csv")
        if not os.path.isfile(path):
            raise ManifestError(
                f"{path}: no such file. Set data_folder to the folder that holds data "
                "and wavs."
            )
    return corpus


def _read_corpus_table(path, corpus, slots, spots):
    """Returns ``{id: record}`` without durations; adds the lines to ``spots``."""
    records, columns, line = {}, None, 1
    reader = csv.reader(io.StringIO(manifest.read_text(path), newline=""))
    for cells in reader:
        number, line = line, reader.line_num + 1  # a quoted cell may span lines
        if columns is None:
            columns = cells
            absent = sorted({"path", "speakerId", *slots} - set(cells))
            if absent:
                raise ManifestError(
                    f"{path}:1: no column {', '.join(absent)}; found "
                    f"{', '.join(filter(None, cells))}. Check slots."
                )
            continue
        if not cells:
            continue
        if len(cells) != len(columns):
            raise ManifestError(
                f"{path}:{number}: {len(cells)} cells, but the header has "
                f"{len(columns)}. Get a sound copy of the table."
            )
        row = {name: cell.strip() for name, cell in zip(columns, cells)}
        for key in ("path", *slots):
            if not row[key]:
                raise ManifestError(f"{path}:{number}: no {key}. Fill it in.")
        stem = os.path.splitext(os.path.basename(row["path"]))[0]
        name = f"{row['speakerId']}--{stem}"
        if name in records:
            raise ManifestError(
                f"{path}:{number}: {row['path']} again, first {spots[name]}"
            )
        spots[name] = f"{path}:{number}"
        records[name] = manifest.whole_file(
            os.path.join(corpus, *row["path"].split("/")),
            **{slot: row[slot] for slot in slots},
            speaker=row["speakerId"],
            text=row.get("transcription", ""),
        )
    if not records:
        raise ManifestError(f"{path}: has no rows. Get a sound copy of the table.")
    return _with_intents(records, slots)


def load_intent_table(path, slots):
    """Reads a user table as records with the slots and ``labels``.

    Arguments
    ---------
    path : str
        Table of :func:`prepare_intent_tables`; S3PRL's column ``labels`` is split.
    slots : list of str
        Names of the slots.

    Returns
    -------
    dict
        ``{id: record}``.
    """
    first = next((record for _, _, record in rows(path)), None)
    columns = set(first) if isinstance(first, dict) else set()
    if JOINED not in columns or columns >= {ALIASES.get(s, s) for s in slots}:
        return _with_intents(load_table(path, slots), slots)
    records, spots = load_table(path, (JOINED,)), places(path)
    for name, record in records.items():
        values = [value.strip() for value in str(record[JOINED]).split(SEPARATOR)]
        if len(values) != len(slots) or not all(values):
            raise ManifestError(
                f"{spots[name]}: '{name}': labels {record[JOINED]!r}, expected a value "
                f"for each of the slots {_joined(slots)}. Set slots to yours."
            )
        record.update(zip(slots, values))
    return _with_intents(records, slots)


def _joined(values):
    return f" {SEPARATOR} ".join(values)


def _with_intents(records, slots):
    """Adds the whole intent, the class of few-shot training."""
    for record in records.values():
        record[JOINED] = _joined(str(record[slot]) for slot in slots)
    return records
