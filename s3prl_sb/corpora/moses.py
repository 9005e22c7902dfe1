"""Punctuation as the normalizer of Moses writes it, for translations.

S3PRL prepares both sides of CoVoST 2 with it (as sacremoses has it), so that BLEU
depends on it. Quotation marks, dashes, full-width characters and spaces before
punctuation get one form.

Authors
 * The s3prl_sb developers, 2026
"""

import re
import unicodedata

NBSP = "\u00a0"
#: Punctuation and digits of other writing systems, and their form in ASCII.
_CHARACTERS = str.maketrans(
    {
        **dict(zip("０１２３４５６７８９", "0123456789")),
        **dict.fromkeys("，、", ","),
        **dict.fromkeys("∶：", ":"),
        **dict.fromkeys("”“《》「」", '"'),
        **{"？": "?", "！": "!", "；": ";", "（": "(", "）": ")", "％": "%", "～": "~"},
        **{"【": "[", "】": "]", "〈": "<", "〉": ">", "━": "-", "’": "'", "…": "..."},
    }
)
_RULES = [
    (pattern, form)
    for pattern, form in (
        (r"[。．]\s*", ". "),
        # Parentheses stand apart from words, and keep nothing inside
        (r"\r", ""),
        (r"\(", " ("),
        (r"\)", ") "),
        (r" +", " "),
        (r"\) ([.!:?;,])", r")\1"),
        (r"\( ", "("),
        (r" \)", ")"),
        (r"(\d) %", r"\1%"),
        (r" ([:;])", r"\1"),
        # Quotation marks and dashes
        (r"`", "'"),
        (r"''", ' " '),
        (r"„", '"'),
        (r"–", "-"),
        (r"—", " - "),
        (r" +", " "),
        (r"[´‘‚]", "'"),
        (r"''", '"'),
        (f"{NBSP}«{NBSP}|«{NBSP}|«", '"'),
        (f"{NBSP}»{NBSP}|{NBSP}»|»", '"'),
        # Spaces that do not break
        (f"{NBSP}%", "%"),
        (f"nº{NBSP}", "nº "),
        (f"{NBSP}:", ":"),
        (f"{NBSP}(ºC|cm)", r" \1"),
        (f"{NBSP}([?!;])", r"\1"),
        (f",{NBSP}", ", "),
        (r" +", " "),
    )
]
#: Languages in which a comma follows the quotation mark.
_COMMA_OUTSIDE = ("de", "es", "fr")
#: Languages with a decimal comma, by the list of Moses.
_DECIMAL_COMMA = ("de", "es", "cz", "cs", "fr")


def normalize_punctuation(text: str, language: str) -> str:
    """Returns a text with the punctuation of Moses.

    Arguments
    ---------
    text : str
        Sentence.
    language : str
        Its language, such as "en" or "de".

    Returns
    -------
    str

    Example
    -------
    >>> normalize_punctuation("„Gut“ , sagte er – so … ( leise )", "de")
    '"Gut" , sagte er - so ... (leise)'
    """
    text = text.translate(_CHARACTERS)
    for pattern, form in _RULES:
        text = re.sub(pattern, form, text)
    if language == "en":
        text = re.sub(r'"([,.]+)', r'\1"', text)
    elif language in _COMMA_OUTSIDE:
        text = text.replace(',"', '",')
        text = re.sub(r'(\.+)"(\s*[^<])', r'"\1\2', text)
    mark = "," if language in _DECIMAL_COMMA else "."
    text = re.sub(rf"(\d){NBSP}(\d)", rf"\1{mark}\2", text)
    return "".join(c for c in text if unicodedata.category(c)[0] != "C").strip()
