"""SLUE-VoxPopuli: named entities in speeches of the European Parliament.

SLUE (Shon et al. 2021, https://arxiv.org/abs/2111.10367) has a folder for each split,
``fine-tune``, ``dev`` and ``test``, with ``<id>.ogg``, and a table for each,
``slue-voxpopuli_<split>.tsv``. Its columns are found by name: ``id``,
``normalized_text``, and ``normalized_ner``, a list of tags, each with the first
character of its phrase and the number of its characters.

The test table with labels has been public since January 2024; the archive of the
toolkit has ``slue-voxpopuli_test_blind.tsv`` without any.

Authors
 * The s3prl_sb developers, 2026
"""

import logging
import re
from collections.abc import Sequence
from pathlib import Path

from s3prl_sb.audio import headers
from s3prl_sb.corpora.completeness import check_folder, warn_if_short, with_audio
from s3prl_sb.corpora.downloading import behind_a_form
from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.manifest import ManifestError
from s3prl_sb.dataio.rows import csv_cells
from s3prl_sb.dataio.tables import SPLITS, skipped
from s3prl_sb.metrics.entities import CLOSING, OPENING

logger = logging.getLogger(__name__)

VERSION = "slue_voxpopuli/1"  # a change makes finished preparations stale
NAME = "slue-voxpopuli"
NAMES = {"train": "fine-tune", "valid": "dev", "test": "test"}  # of splits
UTTERANCES = {"train": 5000, "valid": 1753, "test": 1842}  # published
COLUMNS = ("id", "normalized_text", "normalized_ner")
#: Tags of the corpus to those of the task; the other tags are dropped.
TAGS = {
    "DATE": "WHEN",
    "TIME": "WHEN",
    "CARDINAL": "QUANT",
    "ORDINAL": "QUANT",
    "QUANTITY": "QUANT",
    "MONEY": "QUANT",
    "PERCENT": "QUANT",
    "GPE": "PLACE",
    "LOC": "PLACE",
    "NORP": "NORP",
    "ORG": "ORG",
    "LAW": "LAW",
    "PERSON": "PERSON",
}
DROPPED = ("FAC", "EVENT", "WORK_OF_ART", "PRODUCT", "LANGUAGE")
PUNCTUATION = ".,!?;"
MARKS = OPENING + CLOSING  # brackets of a text would be taken for marks
_ENTRY = re.compile(r"""[\[(]\s*['"]([A-Z_]+)['"]\s*,\s*(\d+)\s*,\s*(\d+)\s*[\])]""")
_DROPPED = dict.fromkeys(map(ord, PUNCTUATION + MARKS))
_NONE = ("", "None", "[]", "nan")
download_slue_voxpopuli = behind_a_form(
    "SLUE-VoxPopuli",
    "https://huggingface.co/datasets/asapp/slue",
    "download its archive, or that of https://github.com/asappresearch/slue-toolkit "
    "(scripts/download_datasets.sh) with the table of the test labels, and unpack it.",
)


def prepare_slue_voxpopuli(
    data_folder: str | None, save_folder: str, skip_prep: bool = False
) -> dict[str, str]:
    """Writes ``train.json``, ``valid.json`` and ``test.json``.

    Arguments
    ---------
    data_folder : str
        Folder ``slue-voxpopuli``, or its parent.
    save_folder : str
        Folder for the manifests. A finished preparation of the same tables is kept.
    skip_prep : bool
        Use the manifests in ``save_folder`` as they are.

    Returns
    -------
    dict
        ``{"train": path, "valid": path, "test": path}``. Records have ``text``, see
        :func:`marked_text`.

    Raises
    ------
    ManifestError
        With the file, the line and the way out.

    Example
    -------
    >>> import tempfile, numpy, soundfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in NAMES.values():
    ...         Path(folder, name).mkdir()
    ...         soundfile.write(f"{folder}/{name}/a_1.wav", numpy.zeros(1600), 16000)
    ...         rows = ["\\t".join(COLUMNS), "a_1\\tin rome, today\\t[['GPE', 3, 4]]"]
    ...         path = Path(folder, f"{NAME}_{name}.tsv")
    ...         _ = path.write_text("\\n".join(rows))
    ...     paths = prepare_slue_voxpopuli(folder, folder + "/save")
    ...     manifest.read(paths["test"])["a_1"]["text"]
    'in [PLACE rome ] today'
    """
    if skip_prep:
        return skipped(manifest.paths_in(save_folder))
    corpus, tables = find_tables(data_folder, NAME)
    arguments = {
        "version": VERSION,
        "folder": str(corpus),
        "tables": {split: manifest.digest(path) for split, path in tables.items()},
    }
    if paths := manifest.finished(save_folder, arguments):
        return paths
    splits = {}
    for split, path in tables.items():
        records = with_audio(_records(path, corpus / NAMES[split]), split, str(path))
        headers.add_durations(list(records.values()))
        what = f"utterances of {split}"
        warn_if_short(str(corpus), len(records), UTTERANCES[split], what)
        splits[split] = records
    return manifest.finish(splits, save_folder, arguments, ("text",))


def find_tables(data_folder: str | None, name: str) -> tuple[Path, dict[str, Path]]:
    """Finds a corpus of SLUE, and the table of each split.

    Arguments
    ---------
    data_folder : str
        Folder of the corpus, or its parent.
    name : str
        Name of the corpus, which its tables begin with.

    Returns
    -------
    corpus : pathlib.Path
        Folder of the corpus.
    tables : dict
        "train", "valid" and "test" to files.

    Raises
    ------
    ManifestError
        If one is not there; also says so if only the blind one is.
    """
    corpus = Path(check_folder(data_folder, f"of {name}", inside=name))
    return corpus, {split: _table_of(corpus, name, split) for split in SPLITS}


def _table_of(corpus, name, split):
    path = corpus / f"{name}_{NAMES[split]}.tsv"
    if path.is_file():
        return path
    if path.with_name(f"{path.stem}_blind.tsv").is_file():
        raise ManifestError(
            f"{path}: no such file, only the blind one, which has no labels. Get the "
            "table with labels from https://huggingface.co/datasets/asapp/slue."
        )
    raise ManifestError(
        f"{path}: no such file. Set data_folder to the folder {name} of SLUE."
    )


def marked_text(text: str, entities: Sequence[tuple[str, int, int]]) -> str:
    """Returns a text with marks around the entities.

    Arguments
    ---------
    text : str
        Text of the table.
    entities : list of tuple
        Tag, first character and number of characters, not overlapping. Entities whose
        tags the task does not have are not marked.

    Returns
    -------
    str
        Lower case, without ``.,!?;`` and square brackets. As in SLUE's script, an
        apostrophe within a word begins a new one, and one at its end is dropped.

    Example
    -------
    >>> marked_text("Parliament's vote, in May.", [("ORG", 0, 10), ("DATE", 22, 3)])
    "[ORG parliament ] 's vote in [WHEN may ]"
    """
    pieces, place = [], 0
    for tag, start, length in sorted(entities, key=lambda each: each[1]):
        if tag in DROPPED:
            continue
        phrase = _words(text[start : start + length])
        pieces += _words(text[place:start])
        place = start + length
        if phrase:
            pieces += [f"{OPENING}{TAGS[tag]}", *phrase, CLOSING]
    return " ".join([*pieces, *_words(text[place:])])


def _words(text):
    words = []
    for word in text.lower().translate(_DROPPED).split():
        word = word.removesuffix("'")
        first, *more = word.split("'") if word != "'s" else [word]
        if more:
            more[-1] = f"'{more[-1]}"
        words += filter(None, [first, *more])
    return words


def _records(path, folder):
    """Returns ``{id: record}`` of a table."""
    records = {}
    for line, row in csv_cells(str(path), COLUMNS, aliases={}):
        place = f"{path}:{line}"
        name, text = row["id"], row["normalized_text"]
        if name in records:
            raise ManifestError(f"{place}: '{name}' again. Remove one of the rows.")
        marked = marked_text(text, _entities(row["normalized_ner"], text, place))
        if not marked:
            logger.warning("%s: '%s' has no words and is left out", place, name)
            continue
        wav = str(folder / f"{name}.ogg")
        records[name] = manifest.whole_file(wav, text=marked)
    return records


def _entities(cell, text, place):
    """Returns the tags, first characters and lengths in a cell."""
    if cell.strip() in _NONE:
        return []
    found = [(t, int(start), int(n)) for t, start, n in _ENTRY.findall(cell)]
    if not found or len(found) != len(re.findall(r"[A-Z_]{3,}", cell)):
        raise ManifestError(
            f"{place}: normalized_ner '{cell[:60]}' is no list such as "
            "[['LAW', 86, 18]]. Correct it."
        )
    last = 0
    for tag, start, length in sorted(found, key=lambda each: each[1]):
        if tag not in TAGS and tag not in DROPPED:
            raise ManifestError(
                f"{place}: the tag {tag} is none of {', '.join([*TAGS, *DROPPED])}. "
                "Correct it."
            )
        if tag in DROPPED:
            continue
        phrase = text[start : start + length]
        if start < last or len(phrase) < length or phrase != phrase.strip():
            raise ManifestError(
                f"{place}: {tag}, characters {start} to {start + length}, overlaps "
                f"another entity, ends after the {len(text)} characters, or begins or "
                "ends with a space. Correct it."
            )
        last = start + length
    return found
