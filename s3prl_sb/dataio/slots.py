"""Texts with slots, as a tag for each word or as marks between the words.

A manifest has words (``text``) and one tag for each (``iob``): ``O``, ``B-slot`` at the
start of a slot, ``I-slot`` inside it. Models learn, and metrics score, the text of
:func:`mark_slots`: ``PLAY B-artist THE WHO E-artist NOW``.

Note
----
S3PRL merges adjacent words with the same tag, then removes punctuation: a slot that
ends in punctuation is never closed (legacy recipe), or two slots separated only by
punctuation become one (newer API). Here slots are found first. A hyphenated word is
split into two words of the slot; S3PRL has an unknown character there.

Authors
 * The s3prl_sb developers, 2026
"""

import logging
import re
import unicodedata

from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.rows import places
from s3prl_sb.dataio.tables import SPLITS, prepare_tables
from s3prl_sb.errors import ManifestError

logger = logging.getLogger(__name__)

CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ'"
FOLDED = str.maketrans({"Æ": "A", "Ð": "D", "Ø": "O", "Ł": "L", "’": "'", "‘": "'"})
JOINS = re.compile(r"[-‐‑–—/_]")  # between the parts of a compound


def prepare_slot_tables(
    train_csv: str,
    valid_csv: str,
    test_csv: str,
    save_folder: str,
    characters: str = CHARACTERS,
    skip_prep: bool = False,
) -> dict[str, str]:
    """Converts custom tables to manifests, see :mod:`s3prl_sb.dataio.tables`.

    Arguments
    ---------
    train_csv, valid_csv, test_csv : str
        Tables with the columns ``wav``, ``text`` (or ``transcription``) and ``iob``:
        one tag for each word, ``O`` or a slot. Adjacent words with the same tag are
        one slot; with tags ``B-slot`` and ``I-slot`` each ``B-`` starts a slot.
    save_folder : str
        Folder of the manifests.
    characters : str
        Characters of words. Other accents and punctuation are removed; any other
        character is an error.
    skip_prep : bool
        Use the existing manifests in ``save_folder``.

    Returns
    -------
    dict
        ``{"train": path, "valid": path, "test": path}``.

    Raises
    ------
    ManifestError
        Names the file and line, and the way out.
    """
    tables = dict(zip(SPLITS, (train_csv, valid_csv, test_csv)))
    paths = prepare_tables(
        *tables.values(),
        save_folder,
        required=("text", "iob"),
        categories=(),
        skip_prep=skip_prep,
    )
    for split, path in paths.items():
        source = path if skip_prep else tables[split]
        check_tagged(manifest.read(path), source, characters)
    return paths


def check_tagged(records, table, characters=CHARACTERS):
    """Checks the tags and the characters of records.

    Arguments
    ---------
    records : dict
        ``{id: record}``, with ``text`` and ``iob``.
    table : str
        File of the records.
    characters : str
        Characters of words.

    Raises
    ------
    ManifestError
        Names the file and line, and the way out.
    """
    faults = []
    for name, record in records.items():
        try:
            words, _, unknown = tagged_words(record["text"], record["iob"], characters)
            reason = "holds no word" if not words else None
            if unknown:
                reason = f"has {' '.join(sorted(unknown))}, none of {characters}"
        except ValueError as fault:
            reason = str(fault)
        if reason:
            faults.append((name, reason))
    if faults:
        named = places(table)
        texts = [f"{named[n]}: '{n}': {reason}" for n, reason in faults]
        way_out = (
            "Write one tag for each word, O or a slot; spell numbers out; give "
            "characters: the letters of your language."
        )
        raise ManifestError.listing(texts, way_out, len(records))


def tagged_words(text, iob, characters=CHARACTERS):
    """Normalizes a text, and returns its words and their tags.

    Arguments
    ---------
    text : str
        Words.
    iob : str
        One tag for each word: ``O``, a slot, or a slot with ``B-`` or ``I-``.
    characters : str
        Characters of words; the text is converted to upper case unless these include
        lower case.

    Returns
    -------
    words : list of str
        Words without punctuation.
    tags : list of str
        One tag for each word: ``O``, ``B-slot`` or ``I-slot``.
    unknown : set of str
        Letters and digits outside ``characters``, which were removed.

    Raises
    ------
    ValueError
        If the numbers of tags and words differ, or a tag is invalid.

    Example
    -------
    >>> tagged_words("Play Sigur-Rós , now !", "O artist O O O")[:2]
    (['PLAY', 'SIGUR', 'ROS', 'NOW'], ['O', 'B-artist', 'I-artist', 'O'])
    """
    spoken, tags = text.split(), iob.split()
    if len(spoken) != len(tags):
        raise ValueError(f"{len(spoken)} words, but {len(tags)} tags in iob")
    words, kept, unknown = [], [], set()
    before, started = "O", False  # slot of the previous word; whether it has words
    for word, tag in zip(spoken, tags):
        side, slot = "", tag
        if tag[:2] in ("B-", "I-"):
            side, slot = tag[0], tag[2:]
        if not slot:
            raise ValueError(f"'{tag}' is no tag")
        if slot != before or side == "B":
            started = False
        before = slot
        for part in JOINS.sub(" ", word.replace("&", " AND ")).split():
            part = _spelled(part, characters, unknown)
            if part:
                words.append(part)
                kept.append("O" if slot == "O" else f"{'BI'[started]}-{slot}")
                started = True
    return words, kept, unknown


def _spelled(word, characters, unknown):
    """Spells a word in ``characters``; adds removed letters to ``unknown``."""
    capitals = characters.upper() == characters
    if capitals:
        word = word.upper()
    spelled = ""
    for character in unicodedata.normalize("NFC", word).translate(FOLDED):
        if character in characters:
            spelled += character
            continue
        plain = unicodedata.normalize("NFKD", character)  # "№" is "No"
        plain = plain.upper() if capitals else plain
        plain = [c for c in plain if not unicodedata.combining(c)]
        spelled += "".join(c for c in plain if c in characters)
        unknown |= {c for c in plain if c.isalnum() and c not in characters}
    return spelled if spelled.strip("'") else ""


def mark_slots(words, tags):
    """Returns the text that the model learns, with each slot between two marks.

    Arguments
    ---------
    words, tags : list of str
        Result of :func:`tagged_words`.

    Returns
    -------
    str

    Example
    -------
    >>> mark_slots(["PLAY", "THE", "WHO", "NOW"], ["O", "B-artist", "I-artist", "O"])
    'PLAY B-artist THE WHO E-artist NOW'
    """
    pieces = []
    for i, (word, tag) in enumerate(zip(words, tags)):
        slot, following = tag[2:], (*tags[i + 1 : i + 2], "O")[0]
        if tag[0] == "B":
            pieces.append(f"B-{slot}")
        pieces.append(word)
        if slot and following != f"I-{slot}":
            pieces.append(f"E-{slot}")
    return " ".join(pieces)


def with_slots(records, characters=CHARACTERS):
    """Marks the slots in the texts of a recipe's manifests.

    Arguments
    ---------
    records : dict
        Splits to ``{id: record}``, with ``text`` and ``iob``.
    characters : str
        Characters of words.

    Returns
    -------
    marked : dict
        Splits to records with the ``text`` of :func:`mark_slots`, without ``iob``.
    slots : list of str
        All slots, sorted. Slots that are missing in training are logged.

    Raises
    ------
    ManifestError
        If a split has no slots.
    """
    marked, slots = {}, {}
    for split, utterances in records.items():
        marked[split], slots[split] = {}, set()
        for name, record in utterances.items():
            record = dict(record)
            words, tags, _ = tagged_words(record["text"], record.pop("iob"), characters)
            marked[split][name] = {**record, "text": mark_slots(words, tags)}
            slots[split].update(tag[2:] for tag in tags if tag != "O")
        if not slots[split]:
            raise ManifestError(
                f"none of the {len(utterances)} utterances of {split} has a slot: "
                "their tags are all O. Nothing could be learned or measured."
            )
    every = set().union(*slots.values())
    unseen = sorted(every - slots["train"])
    if unseen:
        logger.warning("Slots that training does not show: %s", ", ".join(unseen))
    return marked, sorted(every)


def without_marks(text, slots):
    """Removes the marks of slots from a text.

    Arguments
    ---------
    text : str
        Result of :func:`mark_slots`, or a prediction.
    slots : list of str
        Slots whose marks are removed, paired or not.

    Returns
    -------
    str

    Example
    -------
    >>> without_marks("PLAY B-artist THE WHO E-artist NOW", ["artist"])
    'PLAY THE WHO NOW'
    """
    marks = {f"{side}-{slot}" for slot in slots for side in "BE"}
    return " ".join(word for word in text.split() if word not in marks)
