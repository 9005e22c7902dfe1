"""Normalization of transcriptions by language, for speech recognition.

For the languages that S3PRL treats, the texts are exactly S3PRL's: compatibility forms
are composed (NFKC), letters are upper case, listed punctuation becomes a space. A
sentence with characters of another script is dropped, as it cannot be spelled with the
characters of the language. Other languages drop punctuation and symbols by their
Unicode category; soft hyphens, joiners and marks of direction part no word.

Authors
 * The s3prl_sb developers, 2026
"""

import re
import string
import unicodedata

#: Languages whose texts are those of S3PRL.
S3PRLS = ("es", "ar", "zh-CN", "zh-TW", "ja", "ru", "en")
#: Punctuation beside that of ASCII which S3PRL lists; the apostrophe is none.
PUNCTUATION = (
    string.punctuation.replace("'", "")
    + "\u00a1\u00bf\u00ab\u00bb\u00b7\u00d7"  # of Spanish, guillemets, dot, times
    + "\u2010\u2013\u2014\u2015\u2212\u2500"  # hyphen, dashes, minus, box drawing
    + "\u2018\u201c\u201d\u22ef\u262d"  # quotation marks, ellipsis, a symbol
    + "\u060c\u061b\u061f"  # of Arabic
    + "\u3001\u3002\u3008\u3009\u300a\u300b\u300c\u300d\u300e\u300f\u301c"  # of CJK
    + "\u30fb\u30fc\u4e36"  # middle dot, prolonged sound mark, dot as an ideograph
    + "\u02d0\u0301\u0303\u030c"  # length mark; accents that no letter composes with
)
_TO_SPACES = {ord(mark): " " for mark in PUNCTUATION}
_TO_SPACES |= {ord("\u2019"): "'", ord("\u3127"): "\u4e00"}  # apostrophe; Bopomofo I
#: Languages without spaces between words, of S3PRL's.
UNSPACED = ("zh-CN", "zh-TW", "ja")
#: Languages of S3PRL's in which a Latin letter or an apostrophe drops the sentence.
NOT_LATIN = (*UNSPACED, "ar", "ru")
#: Characters that drop a sentence, as S3PRL lists them.
STRAY = {"es": "しらゴミムラ消箱良", "zh-CN": "ΜИТオカドヤ\u4d15"}
_ENGLISH = set(string.ascii_uppercase + " '")
#: Ends a word where no space is seen, as in Khmer; others of its category do not.
ZERO_WIDTH_SPACE = "\u200b"
_DOTTED_I = {ord("i"): "İ", ord("ı"): "I"}  # upper case in Turkish and Azerbaijani
#: Beginnings of the Unicode names of scripts that write no spaces between words.
_UNSPACED_SCRIPTS = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR")


def normalize(sentence: str, language: str) -> str:
    """Returns the transcription to recognise, in upper case and without punctuation.

    Arguments
    ---------
    sentence : str
        Sentence as it is written.
    language : str
        Tag of Common Voice, such as "es", "zh-CN" or "sv-SE".

    Returns
    -------
    str
        Empty if the sentence is to be left out.

    Note
    ----
    For :data:`S3PRLS` it is S3PRL's, odd results included: a prolonged sound mark
    drops out of Japanese words. For other languages S3PRL has only the list of
    punctuation; here the category decides which characters are punctuation, symbols
    and controls, and combining marks, which are letters in many scripts, stay. What
    formats a word from within (category Cf) vanishes without a space.

    Example
    -------
    >>> normalize("¿Qué haces, niño?", "es"), normalize("我用 iPhone。", "zh-CN")
    ('QUÉ HACES NIÑO', '')
    >>> normalize("„Straße“ – d’accord!", "de")
    "STRASSE D'ACCORD"
    """
    if language not in S3PRLS:
        return _by_category(sentence, language)
    text = unicodedata.normalize("NFKC", sentence).upper().translate(_TO_SPACES)
    text = re.sub(" +", " ", text)
    if language in UNSPACED:
        text = text.replace(" ", "")
    if language in NOT_LATIN and re.search("[A-Za-z']", text):
        return ""
    if language == "en" and not _ENGLISH.issuperset(text):
        return ""
    if not set(STRAY.get(language, "")).isdisjoint(text):
        return ""
    return text.strip()


def _by_category(sentence, language):
    """Normalizes a sentence of a language that S3PRL does not treat."""
    text = unicodedata.normalize("NFKC", sentence)
    if language in ("tr", "az"):
        text = text.translate(_DOTTED_I)
    text = unicodedata.normalize("NFKC", text.upper()).translate({0x2019: "'"})
    words = (word.strip("'") for word in "".join(map(_kept, text)).split())
    return " ".join(filter(None, words))


def _kept(character):
    """Returns a letter, mark, number or apostrophe as it is, "" for a character that
    only formats others, and a space for the rest."""
    category = unicodedata.category(character)
    if category[0] in "LMN" or character == "'":
        return character
    return "" if category == "Cf" and character != ZERO_WIDTH_SPACE else " "


def is_unspaced(texts) -> bool:
    """Returns whether texts are of a script without spaces between words.

    Arguments
    ---------
    texts : iterable of str
        Transcriptions.

    Returns
    -------
    bool
        True if most of their letters are Chinese, Japanese, Thai, Lao, Khmer or
        Burmese: errors are then counted in characters.

    Example
    -------
    >>> is_unspaced(["你好"]), is_unspaced(["HOLA"]), is_unspaced([])
    (True, False, False)
    """
    counts: dict[str, int] = {}
    for text in texts:
        for character in text:
            counts[character] = counts.get(character, 0) + 1
    letters = {c: n for c, n in counts.items() if unicodedata.category(c)[0] == "L"}
    unspaced = (
        n
        for c, n in letters.items()
        if unicodedata.name(c, "").startswith(_UNSPACED_SCRIPTS)
    )
    return 2 * sum(unspaced) > sum(letters.values())
