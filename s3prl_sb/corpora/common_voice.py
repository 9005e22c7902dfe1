"""Common Voice: read sentences in many languages (SUPERB-SG's OOD-ASR, and CoVoST 2).

A release (Ardila et al. 2020, https://arxiv.org/abs/1912.06670) has a folder for each
language with ``clips`` and the tables ``train.tsv``, ``dev.tsv``, ``test.tsv`` and
``validated.tsv``. Their columns differ from release to release and are found by their
names: ``path`` of the clip, ``sentence``, ``client_id`` of the speaker, ``accent`` or
``accents``. SUPERB-SG takes release 7.0: Spanish with a Mexican accent, Mandarin and
Arabic.

Note
----
A cell is what is between two tabs, with a backslash before a special character, as the
tables are written. S3PRL reads them as CSV, where a sentence that begins with a
quotation mark swallows what follows, up to the next one. It takes the eighth column for
the accent, which it is in release 7.0.

Authors
 * The s3prl_sb developers, 2026
"""

import logging
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from s3prl_sb.audio import headers
from s3prl_sb.corpora.completeness import check_folder, with_audio
from s3prl_sb.corpora.downloading import behind_a_form
from s3prl_sb.corpora.text_normalization import normalize
from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.manifest import ManifestError
from s3prl_sb.dataio.tables import SPLITS, skipped
from s3prl_sb.terminal.messages import few

logger = logging.getLogger(__name__)

download_common_voice = behind_a_form(
    "Common Voice",
    "https://commonvoice.mozilla.org/datasets",
    "each language is an archive, which holds cv-corpus-<release>/<language>. Unpack "
    "those that you want into one folder.",
)
VERSION = "common_voice/1"  # a change makes finished preparations stale
TABLES = {"train": "train.tsv", "valid": "dev.tsv", "test": "test.tsv"}
CLIPS = "clips"
COLUMNS = ("path", "sentence")
#: Accents that SUPERB-SG takes, as release 7.0 and later ones name them.
ACCENTS = {"es": ("mexicano", "México")}
#: Share of the clips of a table without which it is not the corpus any more.
TOO_MANY = 0.5
SPEAKER = 16  # first characters of a client_id, which has 128


def prepare_common_voice(
    data_folder: str | None,
    save_folder: str,
    language: str,
    accents: str | Sequence[str] | None = "auto",
    skip_prep: bool = False,
) -> dict[str, str]:
    """Writes ``train.json``, ``valid.json`` and ``test.json`` of a language.

    Arguments
    ---------
    data_folder : str
        Folder of the language, of a release, or with releases, of which the last one
        that has the language is taken.
    save_folder : str
        Folder for the manifests. A finished preparation of the same tables with the
        same arguments is kept.
    language : str
        Name of its folder, such as "es", "zh-CN" or "ar".
    accents : list of str or str, optional
        Accents of the speakers; "auto": Mexican for Spanish as in SUPERB-SG, otherwise
        all; null: all.
    skip_prep : bool
        Use the manifests in ``save_folder`` as they are.

    Returns
    -------
    dict
        ``{"train": path, "valid": path, "test": path}``. Records have ``text``, see
        :func:`~s3prl_sb.corpora.text_normalization.normalize`, and ``speaker``.

    Raises
    ------
    ManifestError
        With the file, the line and the way out.

    Example
    -------
    >>> import tempfile, numpy, soundfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     os.makedirs(folder + "/de/clips")
    ...     soundfile.write(folder + "/de/clips/a.wav", numpy.zeros(1600), 16000)
    ...     for table in TABLES.values():
    ...         path = Path(folder, "de", table)
    ...         _ = path.write_text("path\\tsentence\\na.mp3\\tGrüß Gott!\\n")
    ...     paths = prepare_common_voice(folder, folder + "/save", "de")
    ...     manifest.read(paths["test"])["a"]["text"]
    'GRÜSS GOTT'
    """
    if skip_prep:
        return skipped(manifest.paths_in(save_folder))
    folder = find_language(data_folder, language)
    if accents == "auto":
        accents = ACCENTS.get(language)
    accents = [accents] if isinstance(accents, str) else accents
    tables = {split: folder / name for split, name in TABLES.items()}
    arguments = {
        "version": VERSION,
        "tables": {split: manifest.digest(path) for split, path in tables.items()},
        "folder": str(folder),
        "language": language,
        "accents": accents and list(accents),
    }
    if paths := manifest.finished(save_folder, arguments):
        return paths
    splits = {}
    for split, path in tables.items():
        records = _sentences(path, language, accents)
        splits[split] = with_clips(records, split, path)
    warn_of_shared_speakers(splits, folder)
    for records in splits.values():
        headers.add_durations(list(records.values()))
    return manifest.finish(splits, save_folder, arguments, required=("text",))


def find_language(data_folder: str | None, language: str) -> Path:
    """Returns the folder of a language.

    Arguments
    ---------
    data_folder : str
        See :func:`prepare_common_voice`.
    language : str
        Name of the folder.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    ManifestError
        If it is not there; lists the languages that are.
    """
    corpus = Path(check_folder(data_folder, "of Common Voice"))
    releases = sorted(corpus.glob("cv-corpus-*"), key=_release, reverse=True)
    for folder in (corpus / language, *(each / language for each in releases)):
        if (folder / CLIPS).is_dir():
            return folder
    if (corpus / CLIPS).is_dir():  # whatever its name; its locale is checked
        return corpus
    present = sorted(
        {clips.parent.name for place in (corpus, *releases) for clips in _clips(place)}
    )
    has = f"There are {few(present)}." if present else "There is no language at all."
    raise ManifestError(
        f"{corpus / language}: no folder of this language, with {CLIPS} and the tables "
        f"of Common Voice. {has} Unpack its archive there "
        "(https://commonvoice.mozilla.org/datasets), or correct data_folder."
    )


def _release(folder):
    """Returns the numbers in the name of a release, to sort by."""
    return [int(number) for number in re.findall(r"\d+", folder.name)]


def _clips(folder):
    return folder.glob(f"*/{CLIPS}")


def _sentences(path, language, accents):
    """Returns ``{id: record}`` of the sentences of a table that can be spelled."""
    records, others, dropped = {}, Counter(), []
    for place, row in rows(path, COLUMNS):
        check_locale(place, row, language)
        accent = row.get("accent", row.get("accents", ""))
        if accents and not set(_names(accent)) & set(accents):
            others[accent or "none"] += 1
            continue
        text = normalize(row["sentence"], language)
        if not text:
            dropped.append(row["sentence"])
            continue
        name = clip_id(row["path"])
        wav = str(path.parent / CLIPS / row["path"])
        records[name] = manifest.whole_file(wav, text=text, speaker=speaker(row))
    if dropped:
        message = "%s: sentences that the letters of %s cannot write: %d, such as %r"
        logger.warning(message, path, language, len(dropped), dropped[0])
    if not records:
        raise ManifestError(f"{path}: no sentence {_why_none(accents, others)}.")
    return records


def _why_none(accents, others):
    """Returns why no sentence is left, and the way out.

    ``others`` are the numbers of sentences with accents that were not asked for.
    """
    if not others:
        return "in it can be used. Is it the right language? Else unpack it anew"
    found = few(f"{name} ({count})" for name, count in others.most_common())
    return f"with the accent {' or '.join(accents)}; there are {found}. Set accents"


def _names(cell):
    """Returns the accents in a cell: later releases allow several."""
    return [cell, *(name.strip() for name in re.split(r"[,|]", cell))]


def rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yields the rows of a table of Common Voice or CoVoST.

    Arguments
    ---------
    path : pathlib.Path
        Table whose cells are separated by tabs, without quotes; a backslash is before
        special characters.
    columns : tuple of str
        Columns that it must have. No cell of the first one, names of files, may be
        empty, or occur twice, with whatever extension.

    Yields
    ------
    place : str
        "file:line".
    row : dict
        Cells by the names of their columns.

    Raises
    ------
    ManifestError
        With the file, the line and the fix.
    """
    if not path.is_file():
        raise ManifestError(
            f"{path}: no such file. Unpack the archive of this language anew."
        )
    lines = manifest.read_text(path).split("\n")  # a sentence may hold U+2028
    names = lines[0].rstrip("\r").split("\t")
    if missing := [name for name in columns if name not in names]:
        raise ManifestError(
            f"{path}:1: no column {', '.join(missing)}; found {', '.join(names)}. "
            "The first line must name the columns, separated by tabs."
        )
    if twice := [name for name in columns if names.count(name) > 1]:
        raise ManifestError(f"{path}:1: {twice[0]} is there twice. Remove one of them.")
    seen: dict[str, str] = {}
    for number, line in enumerate(lines[1:], 2):
        if not line.strip():
            continue
        place = f"{path}:{number}"
        cells = line.rstrip("\r").split("\t")
        if len(cells) != len(names):
            raise ManifestError(
                f"{place}: {len(cells)} cells, but the header has {len(names)}. "
                "Correct the line, or remove it."
            )
        row = {n: re.sub(r"\\(.)", r"\1", c).strip() for n, c in zip(names, cells)}
        file = row[columns[0]]
        name = clip_id(file)
        if not file:
            raise ManifestError(
                f"{place}: {columns[0]} is empty. Fill it in, or remove the line."
            )
        if name in seen:
            how = "again" if seen[name] == file else f"has the name of {seen[name]}"
            raise ManifestError(f"{place}: {file} {how}. Remove one of the rows.")
        seen[name] = file
        yield place, row


def check_locale(place: str, row: dict[str, str], language: str) -> None:
    """Raises an error if a row says that it is of another language.

    Arguments
    ---------
    place : str
        "file:line".
    row : dict
        Cells by column; not all releases have ``locale``.
    language : str
        Language that it should be of.
    """
    locale = row.get("locale") or language
    if locale != language:
        raise ManifestError(
            f"{place}: its locale is {locale}, and not {language}. Set data_folder to "
            f"the folder of {language}, or to one that has it."
        )


def clip_id(path: str) -> str:
    """Returns the id of a clip: its name, without the extension.

    Arguments
    ---------
    path : str
        Name in the column ``path``.
    """
    return os.path.splitext(path)[0]


def speaker(row: dict[str, str]) -> str:
    """Returns the beginning of the hash that stands for the speaker of a row, or "".

    Arguments
    ---------
    row : dict
        Cells by column.
    """
    return row.get("client_id", "")[:SPEAKER]


def with_clips(records: dict, split: str, path: Path) -> dict:
    """Returns the records whose clip exists; see also ``with_audio``.

    Arguments
    ---------
    records : dict
        ``{id: record}`` with paths of clips; converted clips are found too.
    split : str
        Name of the split, for messages.
    path : pathlib.Path
        Table of the records, for messages.

    Raises
    ------
    ManifestError
        If most clips are missing: the numbers would be of another corpus.
    """
    kept = with_audio(records, split, str(path))
    missing = len(records) - len(kept)
    if missing > TOO_MANY * len(records):
        raise ManifestError(
            f"{path}: {missing} of {len(records)} clips of {split} are missing. Unpack "
            "the archive of this language anew. To use the part that is there, write "
            "its rows to tables of your own (--train_csv, --valid_csv, --test_csv)."
        )
    return kept


def warn_of_shared_speakers(splits: dict, source: Path) -> None:
    """Logs a warning if speakers of the training set are in another one.

    Arguments
    ---------
    splits : dict
        ``{split: {id: record}}`` with ``speaker``, which may be "".
    source : pathlib.Path
        Folder of the corpus, for the message.
    """
    train, *others = ({r["speaker"] for r in splits[n].values()} for n in SPLITS)
    for split, speakers in zip(SPLITS[1:], others):
        if shared := train & speakers - {""}:
            message = "%s: %d of %d speakers of %s are in training too: a leak?"
            logger.warning(message, source, len(shared), len(speakers), split)
