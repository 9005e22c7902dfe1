"""Tokenizers of the characters that a training set has.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.tokenizer import SPECIALS
from s3prl_sb.dataio.tokenizers import CharacterTokenizer, MarkTokenizer


def characters_of(texts, marks=(), upper=True):
    """Returns the tokenizer of all characters of some texts, in upper case.

    Tokens are those of S3PRL's character encoder: ``<pad>``, the blank, ``<eos>``,
    which ends a text, ``<unk>`` for other characters, and the characters in the order
    of Unicode, the space among them if a text has one.

    Arguments
    ---------
    texts : iterable of str
        Texts of the training set.
    marks : list of str
        Words that are one token each, after the characters.
    upper : bool
        Whether to convert texts to upper case.

    Returns
    -------
    CharacterTokenizer
        With marks, a :class:`~s3prl_sb.dataio.tokenizers.MarkTokenizer`.

    Raises
    ------
    ValueError
        If there are no characters.

    Example
    -------
    >>> characters_of(["une été", "où"]).tokens[3:]
    [' ', 'E', 'N', 'O', 'T', 'U', 'É', 'Ù']
    """
    characters, named = set(), set(marks)
    for text in texts:
        words = [" " if word in named else word for word in text.split()]
        spelled = " ".join(words)
        characters.update(spelled.upper() if upper else spelled)
    if not characters:
        raise ValueError("texts without any character")
    options = {
        "characters": "".join(sorted(characters)),
        "space": " " if " " in characters else None,
        "specials": SPECIALS,
        "end": ["<eos>"],
        "upper": upper,
        "unknown": "<unk>",
    }
    if marks:
        return MarkTokenizer(list(marks), **options)
    return CharacterTokenizer(**options)


def characters_in(save_folder, marks=(), upper=True):
    """Returns the tokenizer of the characters of a prepared training set.

    The whole set counts, also where a part of it is trained on.

    Arguments
    ---------
    save_folder : str
        Folder with ``train.json``, whose records have ``text``.
    marks, upper
        See :func:`characters_of`.

    Returns
    -------
    CharacterTokenizer
        See :func:`characters_of`.
    """
    records = manifest.read(manifest.paths_in(save_folder)["train"])
    texts = (record["text"] for record in records.values())
    return characters_of(texts, marks, upper)
