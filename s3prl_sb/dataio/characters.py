"""Tokenizers of the characters that a training set has.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.tokenizers import SPECIALS, CharacterTokenizer


def characters_of(texts):
    """Returns the tokenizer of all characters of some texts, in upper case.

    Tokens are those of S3PRL's character encoder: ``<pad>``, the blank, ``<eos>``,
    which ends a text, ``<unk>`` for other characters, and the characters in the order
    of Unicode, the space among them if a text has one.

    Arguments
    ---------
    texts : iterable of str
        Texts of the training set.

    Returns
    -------
    CharacterTokenizer

    Raises
    ------
    ValueError
        If there are no characters.

    Example
    -------
    >>> characters_of(["une été", "où"]).tokens[3:]
    [' ', 'E', 'N', 'O', 'T', 'U', 'É', 'Ù']
    """
    characters = set()
    for text in texts:
        characters.update(" ".join(text.upper().split()))
    if not characters:
        raise ValueError("texts without any character")
    return CharacterTokenizer(
        characters="".join(sorted(characters)),
        space=" " if " " in characters else None,
        specials=SPECIALS,
        end=["<eos>"],
        unknown="<unk>",
    )


def characters_in(save_folder):
    """Returns the tokenizer of the characters of a prepared training set.

    The whole set counts, also where a part of it is trained on.

    Arguments
    ---------
    save_folder : str
        Folder with ``train.json``, whose records have ``text``.

    Returns
    -------
    CharacterTokenizer
        See :func:`characters_of`.
    """
    records = manifest.read(manifest.paths_in(save_folder)["train"])
    return characters_of(record["text"] for record in records.values())
