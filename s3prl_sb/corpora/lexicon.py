"""Words to phones by pronunciation dictionaries: the labels of phoneme recognition.

A lexicon is a text file with a line for each pronunciation, the word and its phones::

    ABOUT   AH0 B AW1 T

as LibriSpeech's (https://www.openslr.org/11) and CMUdict. The phones are ARPAbet with
stress, and SIL and SPN (spoken noise): 71 in all. If a word has several pronunciations,
the first one counts, also over files; ``ABOUT(2)`` is another one of ``ABOUT``. Lexica
may be packed with gzip.

Authors
 * The s3prl_sb developers, 2026
"""

import logging
import os
from collections import Counter
from collections.abc import Sequence
from functools import partial

from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.phones import PHONES
from s3prl_sb.dataio.rows import locate, places
from s3prl_sb.dataio.tables import (
    by_split,
    finished,
    load_table,
    skipped,
    warn_of_leaks,
)
from s3prl_sb.dataio.values import make_texts
from s3prl_sb.errors import ManifestError
from s3prl_sb.lobes.lexica import VARIANT

logger = logging.getLogger(__name__)

VERSION = "phone_tables/2"  # a change makes finished preparations stale
UNKNOWN_WORDS = ("error", "drop", "spn")
COMMENT = ";;;"  # of CMUdict


def read_lexicon(paths, words=None, phones=PHONES):
    """Reads the first pronunciation of each word.

    Arguments
    ---------
    paths : str or list of str
        Lexicon files; earlier ones have priority.
    words : collection of str, optional
        Words to keep, in capitals; only their phones are checked.
    phones : list of str
        Phones that a lexicon may have.

    Returns
    -------
    dict
        Words in capitals to phones, separated by spaces.

    Raises
    ------
    ManifestError
        With the file and the line.

    Example
    -------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
    ...     _ = file.write("A AH0\\nA EY1\\nBEE B IY1\\n")
    ...     file.flush()
    ...     read_lexicon(file.name)
    {'A': 'AH0', 'BEE': 'B IY1'}
    """
    allowed, lexicon = set(phones), {}
    for path in [paths] if isinstance(paths, (str, os.PathLike)) else paths:
        for place, line in manifest.lines(path):
            if line.startswith(COMMENT):
                continue
            word, *sounds = line.split()
            word = VARIANT.sub("", word).upper()
            if word in lexicon or (words is not None and word not in words):
                continue
            wrong = [sound for sound in sounds if sound not in allowed]
            if wrong or not sounds:
                fault = f"{wrong[0]!r} is no phone" if wrong else "no phones"
                raise ManifestError(
                    f"{place}: {word}: {fault}. Expected a word and its phones "
                    f"('ABOUT AH0 B AW1 T'), which are {_some(phones)}"
                )
            lexicon[word] = " ".join(sounds)
    return lexicon


def add_phones(splits, lexicon, places, unknown_words="error", phones=PHONES):
    """Adds ``phones`` to records, from their ``text``.

    Arguments
    ---------
    splits : dict
        ``{split: {id: record}}``; changed in place.
    lexicon : str or list of str
        Lexicon files.
    places : callable
        Function of a split's name that returns ``{id: "file:line"}``; called for
        errors only.
    unknown_words : str
        Treatment of words that no lexicon has. "error"; "drop": their utterances
        are left out; "spn": their phone is SPN.
    phones : list of str
        Phones that the lexica may have.

    Returns
    -------
    dict
        ``splits``.

    Raises
    ------
    ManifestError
        With the unknown words, their files and lines.

    Example
    -------
    >>> import tempfile
    >>> splits = {"train": {"u1": {"text": "a bee"}}}
    >>> with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
    ...     _ = file.write("A AH0\\nBEE B IY1\\n")
    ...     file.flush()
    ...     add_phones(splits, file.name, lambda split: {})["train"]["u1"]["phones"]
    'AH0 B IY1'
    """
    check_unknown_words(unknown_words)
    spoken = {
        (split, name): record["text"].upper().split()
        for split, records in splits.items()
        for name, record in records.items()
    }
    words = set().union(*spoken.values())
    pronounced = read_lexicon(lexicon, words, phones)
    unknown = Counter(w for ws in spoken.values() for w in ws if w not in pronounced)
    if unknown and unknown_words == "error":
        raise _unknown(unknown, spoken, places, lexicon)
    dropped = 0
    for (split, name), words in spoken.items():
        if unknown and unknown_words == "drop" and any(w in unknown for w in words):
            del splits[split][name]
            dropped += 1
            continue
        sounds = [pronounced.get(word, "SPN") for word in words]
        splits[split][name]["phones"] = " ".join(sounds)
    if unknown:
        logger.warning(
            "%d words are in no lexicon, such as %s: %s",
            len(unknown),
            ", ".join(word for word, _ in unknown.most_common(5)),
            f"{dropped} of {len(spoken)} utterances are left out"
            if unknown_words == "drop"
            else "their phone is SPN",
        )
    empty = [split for split, records in splits.items() if not records]
    if empty:
        raise ManifestError(
            f"unknown_words: drop leaves no utterance in {', '.join(empty)}. Give more "
            "lexica."
        )
    return splits


def check_unknown_words(unknown_words):
    """Raises a ManifestError unless the value is in ``UNKNOWN_WORDS``."""
    if unknown_words not in UNKNOWN_WORDS:
        raise ManifestError(
            f"unknown_words: {unknown_words!r}. There are {', '.join(UNKNOWN_WORDS)}."
        )


def _unknown(unknown, spoken, places, lexicon):
    """Returns an error with the words, where each comes first, and the way out."""
    faults, named = [], {}
    first = {}
    for key, words in spoken.items():
        for word in words:
            if word in unknown:
                first.setdefault(word, key)
    for word, (split, name) in first.items():
        if len(faults) < ManifestError.SHOWN and split not in named:
            named[split] = places(split)
        place = named.get(split, {}).get(name, split)
        times = "once" if unknown[word] == 1 else f"{unknown[word]} times"
        faults.append(f"{place}: '{name}': {word} is in no lexicon ({times} in all)")
    files = lexicon if isinstance(lexicon, (list, tuple)) else [lexicon]
    return ManifestError.listing(
        faults,
        f"{len(unknown)} words are not in {', '.join(map(str, files))}. Add a lexicon "
        "that has them (lexicon: [a.txt, b.txt]), or choose unknown_words: drop (leave "
        "such utterances out) or spn (take such words for noise).",
    )


def prepare_phone_tables(
    train_csv: str,
    valid_csv: str,
    test_csv: str,
    save_folder: str,
    lexicon: str | Sequence[str] | None = None,
    unknown_words: str = "error",
    phones: Sequence[str] = PHONES,
    skip_prep: bool = False,
) -> dict[str, str]:
    """Turns three tables into ``train.json``, ``valid.json`` and ``test.json``.

    Arguments
    ---------
    train_csv, valid_csv, test_csv : str
        Tables of :func:`s3prl_sb.dataio.tables.prepare_tables` with a column ``phones``
        (separated by spaces), or ``text`` and a lexicon.
    save_folder : str
        Folder for the manifests. A finished preparation of the same tables is kept.
    lexicon : list of str, optional
        Lexicon files, for the tables without ``phones``.
    unknown_words : str
        See :func:`add_phones`.
    phones : list of str
        All phones.
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
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     soundfile.write(folder + "/a.wav", numpy.zeros(8000), 16000)
    ...     table = Path(folder, "all.csv")
    ...     _ = table.write_text("id,wav,phones\\nu1,a.wav,B IY1\\n")
    ...     paths = prepare_phone_tables(table, table, table, folder + "/save")
    ...     manifest.read(paths["test"])["u1"]["phones"]
    'B IY1'
    """
    if skip_prep:
        return skipped(manifest.paths_in(save_folder))
    check_unknown_words(unknown_words)
    lexicon = [lexicon] if isinstance(lexicon, str) else list(lexicon or [])
    tables = by_split(train_csv, valid_csv, test_csv, save_folder)
    arguments = {
        "version": VERSION,
        "tables": {name: os.path.abspath(table) for name, table in tables.items()},
        "sha256": [manifest.digest(path) for path in (*tables.values(), *lexicon)],
        "unknown_words": unknown_words,
        "phones": list(phones),
    }
    if paths := finished(save_folder, arguments):
        return paths
    splits = load_phone_tables(tables, lexicon, unknown_words, phones)
    warn_of_leaks(splits, tables)
    return manifest.finish(splits, save_folder, arguments, ("phones",))


def load_phone_tables(tables, lexicon=(), unknown_words="error", phones=PHONES):
    """Reads user tables as records with ``phones``.

    Arguments
    ---------
    tables : dict
        Names to files.
    lexicon, unknown_words, phones
        See :func:`prepare_phone_tables`.

    Returns
    -------
    dict
        Names to ``{id: record}``.
    """
    splits = {name: load_table(table) for name, table in tables.items()}
    spelt = {}  # records whose words have to be looked up
    for name, records in splits.items():
        keys = next(iter(records.values()))
        if "phones" in keys:
            _check_phones(records, tables[name], phones)
        elif "text" not in keys:
            raise ManifestError(
                f"{tables[name]}:1: no column phones or text; found {', '.join(keys)}. "
                "Give phones, or text and a lexicon."
            )
        elif not lexicon:
            raise ManifestError(
                f"{tables[name]}:1: no column phones. To make them from text, set "
                "lexicon: [librispeech-lexicon.txt]"
            )
        else:
            _check_texts(records, tables[name], "text")
            spelt[name] = records
    if spelt:
        spots = {name: places(tables[name]) for name in spelt}
        add_phones(spelt, lexicon, spots.get, unknown_words, phones)
    return splits


def _check_texts(records, table, key):
    """Checks that every record has a key, and converts its values to text."""
    manifest.validate(records, table, (key,), audio=False, lines=locate(table))
    make_texts(records, (key,), partial(places, table))


def _check_phones(records, table, phones):
    _check_texts(records, table, "phones")
    allowed = set(phones)
    wrong = {n: set(r["phones"].split()) - allowed for n, r in records.items()}
    if any(wrong.values()):
        spots = places(table)
        faults = [
            f"{spots[name]}: '{name}': {min(names)!r} is no phone"
            for name, names in wrong.items()
            if names
        ]
        way_out = f"The phones are {_some(phones)}; the recipe's tokenizer names them."
        raise ManifestError.listing(faults, way_out, len(records))


def _some(phones):
    return ", ".join(list(phones)[:12]) + (", ..." if len(phones) > 12 else "")
