"""Lexica for decoding with a language model.

A line has a word and its characters, ``EGG E G G |``; ``EGG(2)`` is a pronunciation
variant of ``EGG``. Language models may be compressed by gzip, as LibriSpeech's are.

Authors
 * The s3prl_sb developers, 2026
"""

import gzip
import logging
import re
from pathlib import Path

from s3prl_sb.storage.files import naming, read_text

logger = logging.getLogger(__name__)

VARIANT = re.compile(r"(?<=.)\(\d+\)$")  # pronunciation variant: HELLO(2)
GZIP = b"\x1f\x8b"


def words_of(arpa):
    """Returns the words of an n-gram model.

    Arguments
    ---------
    arpa : str
        Path of an ARPA file.

    Returns
    -------
    list of str
        All words except ``<s>``, ``</s>`` and ``<unk>``.

    Raises
    ------
    ValueError
        If it is not an ARPA file in UTF-8; names the line.
    """
    words, inside = [], False
    with naming(arpa, "an ARPA file in UTF-8"), _opened(arpa) as file:
        for number, line in enumerate(file, start=1):
            if line.startswith(b"\\"):
                if inside:
                    return words
                inside = line.strip() == b"\\1-grams:"
            elif inside and line.strip():
                try:
                    word = line.split()[1].decode("utf-8")
                except UnicodeDecodeError as fault:
                    raise ValueError(
                        f"line {number}: {fault.reason}. Save it as UTF-8"
                    ) from fault
                if not (word.startswith("<") and word.endswith(">")):
                    words.append(word)
            elif b"\0" in line:
                break
    raise ValueError(
        f"'{arpa}' is no ARPA file, so its words are not known: give a lexicon."
    )


def _opened(path):
    with open(path, "rb") as file:
        packed = file.read(2) == GZIP
    return gzip.open(path) if packed else open(path, "rb")


def spell(tokenizer, words):
    """Yields lexicon lines for the words that the tokenizer can spell.

    Arguments
    ---------
    tokenizer : s3prl_sb.dataio.tokenizers.CharacterTokenizer
        Tokenizer that spells the words.
    words : list of str
        Words to spell.

    Yields
    ------
    str
        A line of the lexicon.

    Example
    -------
    >>> from s3prl_sb.dataio.tokenizers import CharacterTokenizer
    >>> list(spell(CharacterTokenizer(), ["EGG", "Ägypten"]))
    ['EGG\\tE G G |\\n']
    """
    left_out = []
    for word in words:
        try:
            yield f"{word}\t{' '.join(tokenizer.spell(word))}\n"
        except ValueError:
            left_out.append(word)
    if left_out:
        logger.warning(
            "%d words of the language model cannot be written with the tokens, such "
            "as %s: they are not decoded",
            len(left_out),
            ", ".join(map(repr, left_out[:3])),
        )


def check_lexicon(lexicon, tokenizer):
    """Returns the lines of a lexicon, after checking that all characters are tokens.

    Arguments
    ---------
    lexicon : str
        Path of the lexicon.
    tokenizer : s3prl_sb.dataio.tokenizer.Tokenizer
        Tokenizer with the valid tokens.

    Returns
    -------
    list of str
        Lines, where a variant is replaced by its word.
    """
    path, tokens = Path(lexicon).expanduser(), set(tokenizer.tokens)
    if not path.is_file():
        raise FileNotFoundError(f"no lexicon at '{path}'")
    entries, strange = [], {}
    lines = read_text(path, "a lexicon in UTF-8").split("\n")
    for number, line in enumerate(lines, start=1):
        word, *spelling = line.split() or [""]
        unknown = [token for token in spelling if token not in tokens]
        if unknown or (word and not spelling):
            fault = f"{unknown[0]!r} is no token" if unknown else "no characters"
            raise ValueError(
                f"{path}:{number}: {fault}. A line is a word and its characters "
                f"between spaces, such as {'EGG E G G |'!r}."
            )
        word = VARIANT.sub("", word)
        if word:
            entries.append(f"{word}\t{' '.join(spelling)}\n")
            if tokenizer.join(spelling) != tokenizer.normalize(word):
                strange.setdefault(f"{word!r} ({' '.join(spelling)})", number)
    if not entries:
        raise ValueError(f"{path}: has no words, so nothing could be decoded.")
    if strange:
        logger.warning(
            "%s:%d: the word %s is not what its characters spell. Such words: %d; "
            "texts get the word",
            path,
            next(iter(strange.values())),
            next(iter(strange)),
            len(strange),
        )
    return entries


def check_known(words, unknown, lexicon, lm):
    """Warns of the words of a lexicon that a language model does not know.

    Arguments
    ---------
    words : collection of str
        All words of the lexicon.
    unknown : list of str
        Words that the model scores as unknown.
    lexicon, lm : str
        Paths of the files.

    Raises
    ------
    ValueError
        If all words are unknown, as the language model would be useless.

    Example
    -------
    >>> check_known({"egg"}, ["egg"], "my.lex", "my.arpa")
    Traceback (most recent call last):
    ...
    ValueError: my.lex: none of its 1 words is in the language model my.arpa, such as …
    """
    if not unknown:
        return
    if len(unknown) == len(words):
        raise ValueError(
            f"{lexicon}: none of its {len(words)} words is in the language model {lm}, "
            f"such as {unknown[0]!r}. Write them as the model has them: in upper or "
            "lower case, in the same alphabet."
        )
    logger.warning(
        "%s: %d of its %d words are not in the language model %s, such as %s: they "
        "count as unknown",
        lexicon,
        len(unknown),
        len(words),
        lm,
        ", ".join(map(repr, unknown[:3])),
    )
