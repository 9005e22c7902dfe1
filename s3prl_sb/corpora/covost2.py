"""CoVoST 2: translations of Common Voice (SUPERB-SG's ST).

The corpus (Wang et al. 2020, https://arxiv.org/abs/2007.10310) has for a pair of
languages a table ``covost_v2.<source>_<target>.tsv`` with the columns ``path``,
``translation`` and ``split``. Clips, sentences and speakers are those of Common Voice
4 (or a later release, which may lack some), by ``path`` in its ``validated.tsv``. The
training set is what is marked ``train`` or ``train_covost``. The tables for each split
that CoVoST's own script writes, ``covost_v2.<source>_<target>.train.tsv`` and so on,
are read as well.

Texts are prepared as by S3PRL: punctuation as Moses writes it, and the transcription in
lower case without punctuation; see :func:`clean`.

Authors
 * The s3prl_sb developers, 2026
"""

import logging
import re
import string
from pathlib import Path

from s3prl_sb.audio import headers
from s3prl_sb.corpora import common_voice
from s3prl_sb.corpora.common_voice import CLIPS, clip_id, rows, speaker, with_clips
from s3prl_sb.corpora.completeness import check_folder, warn_if_short
from s3prl_sb.corpora.downloading import Published, download
from s3prl_sb.corpora.moses import normalize_punctuation
from s3prl_sb.corpora.text_normalization import is_unspaced
from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.manifest import ManifestError
from s3prl_sb.dataio.tables import SPLITS, skipped
from s3prl_sb.terminal.messages import few

logger = logging.getLogger(__name__)

URL = "https://dl.fbaipublicfiles.com/covost"
VERSION = "covost2/1"  # a change makes finished preparations stale
VALIDATED = "validated.tsv"
#: Marks in the column ``split`` of the one table, and the split they stand for.
MARKS = {"train": "train", "train_covost": "train", "dev": "valid", "test": "test"}
ENDINGS = {"train": "train", "valid": "dev", "test": "test"}  # of the three tables
#: Published sizes, from memory; all targets of English have the same.
UTTERANCES = {
    "en": {"train": 289430, "valid": 15531, "test": 15531},
    "de": {"train": 127834, "valid": 13511, "test": 13511},
    "fr": {"train": 207374, "valid": 14760, "test": 14760},
    "es": {"train": 79015, "valid": 13221, "test": 13221},
}
RATIO = 5  # of the words of the two sides, above which they do not belong together
_UNWRITTEN = str.maketrans("", "", "".join(set(string.punctuation) - set("'-")))


def prepare_covost2(
    data_folder: str | None,
    save_folder: str,
    source: str = "en",
    target: str = "de",
    translations: str | None = None,
    skip_prep: bool = False,
) -> dict[str, str]:
    """Writes ``train.json``, ``valid.json`` and ``test.json`` of a pair of languages.

    Arguments
    ---------
    data_folder : str
        Folder of the source language in Common Voice, of a release, or with releases.
    save_folder : str
        Folder for the manifests. A finished preparation of the same tables is kept.
    source, target : str
        Languages, such as "en" and "de".
    translations : str, optional
        Table of CoVoST 2, or the folder of its tables. Default: they are in
        ``data_folder``, or in the folder of the language.
    skip_prep : bool
        Use the manifests in ``save_folder`` as they are.

    Returns
    -------
    dict
        ``{"train": path, "valid": path, "test": path}``. Records have ``text`` (the
        translation), ``transcription`` and ``speaker``.

    Raises
    ------
    ManifestError
        With the file, the line and the way out.

    Example
    -------
    >>> import os, tempfile, numpy, soundfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     os.makedirs(folder + "/en/clips")
    ...     for n in SPLITS:
    ...         wav = f"{folder}/en/clips/{n}.wav"
    ...         soundfile.write(wav, numpy.zeros(1600), 16000)
    ...     sentences = [f"{n}.mp3\\tGood day!\\n" for n in SPLITS]
    ...     table = Path(folder, "en", VALIDATED)
    ...     _ = table.write_text("path\\tsentence\\n" + "".join(sentences))
    ...     sentences = [f"{n}.mp3\\tGuten Tag!\\t{m}\\n" for m, n in MARKS.items()]
    ...     table = Path(folder, "covost_v2.en_de.tsv")
    ...     header = "path\\ttranslation\\tsplit\\n"
    ...     _ = table.write_text(header + "".join(sentences[1:]))
    ...     paths = prepare_covost2(folder, folder + "/save")
    ...     record = manifest.read(paths["test"])["test"]
    >>> record["transcription"], record["text"]
    ('good day', 'Guten Tag!')
    """
    if skip_prep:
        return skipped(manifest.paths_in(save_folder))
    folder = common_voice.find_language(data_folder, source)
    tables = find_tables(data_folder, folder, source, target, translations)
    sources = [folder / VALIDATED, *tables] if len(tables) == 1 else tables
    for path in sources:
        if not path.is_file():
            raise ManifestError(f"{path}: no such file. Unpack Common Voice there.")
    arguments = {
        "version": VERSION,
        "tables": [manifest.digest(path) for path in sources],
        "folder": str(folder),
        "languages": [source, target],
    }
    if paths := manifest.finished(save_folder, arguments):
        return paths
    if len(tables) == 1:
        splits = _joined(tables[0], folder, source)
    else:
        pairs = zip(SPLITS, tables)
        splits = {split: _sentences(path, split) for split, path in pairs}
    for split, pairs in splits.items():
        records = _records(pairs, split, folder, source, target)
        splits[split] = with_clips(records, split, tables[0])
        published = UTTERANCES.get(source, {}).get(split, 0)
        # Cleaning and later releases leave out a few
        enough = len(records) > 0.98 * published
        count = published if enough else len(records)
        warn_if_short(folder, count, published, f"translations of {split}")
    common_voice.warn_of_shared_speakers(splits, folder)
    for records in splits.values():
        headers.add_durations(list(records.values()))
    return manifest.finish(splits, save_folder, arguments, required=("text",))


def find_tables(data_folder, folder, source, target, translations=None):
    """Returns the one table of a pair of languages, or those of its three splits.

    Arguments
    ---------
    data_folder, source, target, translations
        See :func:`prepare_covost2`.
    folder : pathlib.Path
        Folder of the source language in Common Voice.

    Returns
    -------
    list of pathlib.Path

    Raises
    ------
    ManifestError
        If there is none; lists the pairs that there are.
    """
    stem = f"covost_v2.{source}_{target}"
    names = [f"{stem}.{ending}.tsv" for ending in ENDINGS.values()]
    if translations is not None and Path(translations).is_file():
        return [Path(translations)]
    places = [Path(check_folder(data_folder, "of CoVoST 2")), folder, folder.parent]
    if translations is not None:
        places = [Path(translations)]
        if not places[0].is_dir():
            raise ManifestError(
                f"{translations}: no such file or folder. Set translations to a table "
                "of CoVoST 2, or to the folder of its tables."
            )
    for place in places:
        if (place / f"{stem}.tsv").is_file():
            return [place / f"{stem}.tsv"]
        if all((place / name).is_file() for name in names):
            return [place / name for name in names]
    others = {p.name for place in places for p in place.glob("covost_v2.*.tsv")}
    has = f" There are {few(sorted(others))}." if others else ""
    raise ManifestError(
        f"{places[0] / stem}.tsv: no such table of translations.{has} Unpack "
        f"{URL}/{stem}.tsv.tar.gz there, or set translations."
    )


def _joined(path, folder, source):
    """Returns ``{split: [(place, row)]}`` of the one table, joined with the sentences.

    Clips that this release of Common Voice has no sentence of are counted.
    """
    columns = ("path", "translation", "split")
    translated: dict = {split: {} for split in SPLITS}
    split_of = {}
    for place, row in rows(path, columns):
        if row["split"] not in MARKS:
            raise ManifestError(
                f"{place}: split {row['split']!r} is none of {', '.join(MARKS)}. "
                "Correct it."
            )
        split_of[row["path"]] = split = MARKS[row["split"]]
        translated[split][row["path"]] = place, row
    splits: dict = {split: [] for split in SPLITS}
    for place, row in rows(folder / VALIDATED, common_voice.COLUMNS):
        common_voice.check_locale(place, row, source)
        if split := split_of.pop(row["path"], None):
            place, other = translated[split][row["path"]]
            splits[split].append((place, {**row, "translation": other["translation"]}))
    if split_of:
        total = sum(map(len, translated.values()))
        message = "%s: %d of %d clips are not in %s, such as %s"
        missing = next(iter(split_of))
        logger.warning(message, path, len(split_of), total, VALIDATED, missing)
    for split, pairs in splits.items():
        if not pairs:
            raise ManifestError(
                f"{path}: no clip of {split} is in {folder / VALIDATED}. Are the "
                "languages and the release of Common Voice the right ones?"
            )
    return splits


def _sentences(path, split):
    """Returns the (place, row) of a table of one split."""
    pairs = list(rows(path, ("path", "sentence", "translation")))
    if not pairs:
        raise ManifestError(f"{path}: no row of {split}. Write the table again.")
    return pairs


def _records(pairs, split, folder, source, target):
    """Returns ``{id: record}`` of the rows that are translations of each other."""
    records, dropped = {}, []
    for place, row in pairs:
        texts = clean(row["sentence"], row["translation"], source, target)
        if texts is None:
            dropped.append(place)
            continue
        name = clip_id(row["path"])
        records[name] = manifest.whole_file(
            str(folder / CLIPS / row["path"]),
            text=texts[1],
            transcription=texts[0],
            speaker=speaker(row),
        )
    if dropped:
        message = "%s: %d of %d pairs of sentences are no translations, such as %s"
        logger.warning(message, split, len(dropped), len(pairs), dropped[0])
    if not records:
        raise ManifestError(f"{pairs[0][0]}: no pair of {split} can be used.")
    return records


def clean(
    sentence: str, translation: str, source: str, target: str
) -> tuple[str, str] | None:
    """Returns the transcription and the translation to learn; None to leave them out.

    Arguments
    ---------
    sentence, translation : str
        Both sides, as written.
    source, target : str
        Their languages.

    Returns
    -------
    tuple of str or None
        None where one side is marked "REMOVE", is empty, or has over five times as many
        words as the other.

    Note
    ----
    S3PRL counts words by spaces; a Chinese or Japanese sentence is one word, so that
    it drops translations from or into these languages of over five words. Here the
    comparison is left out if one side is such a language. A side that has nothing but
    punctuation is empty.

    Example
    -------
    >>> clean("Well , he said: don 't!", "Nun, er sagte: „Nicht!“", "en", "de")
    ("well he said don't", 'Nun, er sagte: "Nicht!"')
    """
    sides = (sentence, translation)
    counts = [len(text.split()) for text in sides]
    if not all(counts) or any("REMOVE" in text for text in sides):
        return None
    if max(counts) > RATIO * min(counts) and not any(map(_is_unspaced, sides)):
        return None
    sentence, translation = (
        _joined_marks(normalize_punctuation(text, language))
        for text, language in zip(sides, (source, target))
    )
    words = sentence.translate(_UNWRITTEN).lower().split()
    if not words or not translation:
        return None
    return " ".join(words), translation


def _is_unspaced(text):
    return is_unspaced([text])


def _joined_marks(text):
    """Removes spaces before marks, which some sentences are tokenized with."""
    return re.sub(r" (?=[.?,'])", "", text).replace("do n't", "don't")


def download_covost2(destination: str, source: str = "en", target: str = "de") -> Path:
    """Downloads a table of translations; Common Voice has a form to fill in first.

    Arguments
    ---------
    destination : str
        Folder that gets ``covost_v2.<source>_<target>.tsv``.
    source, target : str
        Languages, such as "en" and "de".

    Returns
    -------
    pathlib.Path
        The destination.
    """
    name = f"covost_v2.{source}_{target}.tsv.tar.gz"
    return download([Published(f"{URL}/{name}", 0.01)], destination)
