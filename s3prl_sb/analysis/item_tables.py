"""Manifests for ABX: utterances with their items.

A record has ``speaker``, and ``items``: lists of start and stop in seconds, the phone,
the one before it and the one after it.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Iterable
from pathlib import Path

from s3prl_sb.analysis.items import Item, aligned_items, read_items
from s3prl_sb.analysis.utterances import read_records
from s3prl_sb.corpora.completeness import check_folder, warn_if_short
from s3prl_sb.corpora.librispeech import UTTERANCES
from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.manifest import Records
from s3prl_sb.dataio.tables import skipped
from s3prl_sb.errors import ManifestError
from s3prl_sb.units import alignments

SPLITS = ("valid", "test")
#: Names of the items of a part, in the folder of items.
NAMES = ("triphone-{}.item", "{}.item", "{0}/{0}.item")
CORPUS = "librispeech"  # layout of the paths, which name the speaker


def prepare_librispeech_items(
    data_folder: str | None,
    save_folder: str,
    valid_split: str = "dev-other",
    test_split: str = "dev-clean",
    items: str | None = None,
    aligned: str | None = None,
    skip_prep: bool = False,
) -> dict[str, str]:
    """Writes ``valid.json`` and ``test.json`` of two parts of LibriSpeech.

    Arguments
    ---------
    data_folder : str
        Folder of LibriSpeech, or its parent.
    save_folder : str
        Folder for the manifests.
    valid_split, test_split : str
        Names of parts.
    items : str, optional
        Folder of the .item files, see :data:`NAMES`; default: ``data_folder``.
    aligned : str, optional
        Alignments to make items of instead, see
        :func:`s3prl_sb.units.alignments.read`.
    skip_prep : bool
        Use the manifests in ``save_folder`` as they are.

    Returns
    -------
    dict
        ``{"valid": path, "test": path}``.

    Raises
    ------
    ManifestError
        If a part, or its items, are not there; names the places.
    """
    if skip_prep:
        return skipped(manifest.paths_in(save_folder, SPLITS))
    corpus, files = find_parts(data_folder, (valid_split, test_split), items, aligned)
    phones = alignments.read(aligned) if aligned else None
    splits = {}
    for name, part in zip(SPLITS, (valid_split, test_split)):
        records = read_records(corpus / part)
        if phones is None:
            found = read_items(files[part], records)
        else:
            found = aligned_items(records, phones, True, CORPUS)
        published = UTTERANCES.get(part, 0)
        warn_if_short(corpus, len(records), published, f"utterances of {part}")
        splits[name] = with_items(records, found)
    return manifest.finish(splits, save_folder, {}, ("items",))


def find_parts(
    data_folder: str | None,
    parts: Iterable[str],
    items: str | None = None,
    aligned: str | None = None,
) -> tuple[Path, dict[str, Path]]:
    """Finds parts of LibriSpeech, and their items.

    Arguments
    ---------
    data_folder, items, aligned
        See :func:`prepare_librispeech_items`.
    parts : iterable of str
        Names of parts.

    Returns
    -------
    corpus : pathlib.Path
        Folder of the parts.
    files : dict
        Parts to their .item files; empty if alignments are given.

    Raises
    ------
    ManifestError
        If a part, or its items, are not there; names the places.
    """
    tables = "valid", "test"
    corpus = Path(check_folder(data_folder, "of LibriSpeech", "LibriSpeech", tables))
    files = {}
    for part in parts:
        if not (corpus / part).is_dir():
            raise ManifestError(f"{corpus / part}: no such folder. Set data_folder.")
        if not aligned:
            files[part] = _file_of(part, items or corpus)
    return corpus, files


def prepare_item_tables(
    valid_csv: str,
    test_csv: str,
    valid_items: str | None,
    test_items: str | None,
    save_folder: str,
    skip_prep: bool = False,
) -> dict[str, str]:
    """Writes ``valid.json`` and ``test.json`` of custom lists.

    Arguments
    ---------
    valid_csv, test_csv : str
        Lists of audio, see :func:`s3prl_sb.analysis.utterances.read_records`.
    valid_items, test_items : str
        Their .item files.
    save_folder : str
        Folder for the manifests.
    skip_prep : bool
        Use the manifests in ``save_folder`` as they are.

    Returns
    -------
    dict
        ``{"valid": path, "test": path}``.
    """
    if skip_prep:
        return skipped(manifest.paths_in(save_folder, SPLITS))
    lists = {"valid": (valid_csv, valid_items), "test": (test_csv, test_items)}
    splits = {}
    for name, (table, items) in lists.items():
        if not table:
            raise ManifestError(f"{name}_csv is not set: give both, --{name}_csv FILE.")
        splits[name] = load_item_table(table, items, f"{name}_items")
    return manifest.finish(splits, save_folder, {}, ("items",))


def load_item_table(table: str, items: str | None, key: str = "test_items") -> Records:
    """Returns the records of a list, with their items.

    Arguments
    ---------
    table : str
        List of audio.
    items : str
        .item file.
    key : str
        Key of the items, for the error.

    Returns
    -------
    dict
        ``{id: record}``.

    Raises
    ------
    ManifestError
        If no items are given.
    """
    if not items:
        raise ManifestError(
            f"{key} is not set: give the items of {table}, --{key} FILE."
        )
    records = read_records(table)
    return with_items(records, read_items(items, records))


def with_items(records: Records, items: list[Item]) -> Records:
    """Returns the records that have items, with them.

    Arguments
    ---------
    records : dict
        ``{id: record}``.
    items : list of Item
        Their items.

    Returns
    -------
    dict
        ``{id: record}`` with ``items`` and ``speaker``.

    Raises
    ------
    ManifestError
        If an utterance has items of several speakers.

    Example
    -------
    >>> item = Item("a", 0.1, 0.3, "AE", ("K", "T"), "mo")
    >>> record = {"wav": "a.wav", "duration": 1.0, "start": None, "stop": None}
    >>> made = with_items({"a": record, "b": record}, [item])
    >>> {name: each["items"] for name, each in made.items()}
    {'a': [[0.1, 0.3, 'AE', 'K', 'T']]}
    """
    found: dict[str, list] = {}
    speakers: dict[str, str] = {}
    for each in items:
        row = [each.start, each.stop, each.phone, *each.context]
        found.setdefault(each.utterance, []).append(row)
        who = speakers.setdefault(each.utterance, each.speaker)
        if who != each.speaker:
            raise ManifestError(
                f"'{each.utterance}' has items of the speakers {who} and "
                f"{each.speaker}. Correct the items."
            )
    kept = (*manifest.KEYS,)
    return {
        name: {
            **{key: record[key] for key in kept},
            "speaker": speakers[name],
            "items": found[name],
        }
        for name, record in records.items()
        if name in found
    }


def items_of(records: Records) -> list[Item]:
    """Returns the items of records of :func:`with_items`.

    Arguments
    ---------
    records : dict
        ``{id: record}``.

    Returns
    -------
    list of Item
    """
    return [
        Item(name, start, stop, phone, (before, after), record["speaker"])
        for name, record in records.items()
        for start, stop, phone, before, after in record["items"]
    ]


def _file_of(part, folder):
    """Returns the .item file of a part."""
    names = [name.format(part) for name in NAMES]
    for name in names:
        if (Path(folder) / name).is_file():
            return Path(folder) / name
    raise ManifestError(
        f"{folder}: no {', '.join(names)}. Set items to the folder of the .item files "
        "of the ZeroSpeech challenge, or aligned to alignments."
    )
