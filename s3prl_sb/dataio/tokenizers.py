"""Tokenizers for characters, phones, slots and sentencepieces.

Each is a :class:`~s3prl_sb.dataio.tokenizer.Tokenizer`, and is rebuilt from a JSON
value, ``from_spec(tokenizer.spec())``, which exports contain.

Authors
 * The s3prl_sb developers, 2026
"""

import base64
from pathlib import Path

from s3prl_sb.dataio.phones import PHONES
from s3prl_sb.dataio.tokenizer import EOS, SPECIALS, Tokenizer
from s3prl_sb.storage.files import naming

#: S3PRL's letters for ASR, by frequency; ``|`` ends a word.
LETTERS = "|ETAONIHSRDLUMCWFGYPBVK'XJQZ"


class CharacterTokenizer(Tokenizer):
    """Characters; by default S3PRL's 32 tokens for ASR.

    Arguments
    ---------
    characters : str
        All characters, including ``space``.
    space : str or None
        Character that represents a space. None: texts have no spaces, as in Chinese.
    specials : list of str
        Special tokens at the start; the first one is the blank.
    end : list of str
        Tokens that are appended to every text.
    upper : bool
        Whether to convert texts to upper case.
    unknown : str, optional
        Token for other characters. Default: they are an error.
    marks : list of str
        Tokens after the characters, for a subclass.

    Example
    -------
    >>> tokenizer = CharacterTokenizer()
    >>> len(tokenizer), tokenizer.encode("an egg")
    (32, [7, 9, 4, 5, 21, 21, 4, 2])
    >>> tokenizer.decode([7, 9, 4, 5, 21, 21, 4, 2])
    'AN EGG'
    """

    _way_out = "the tokenizer more characters, or unknown: <unk>"

    def __init__(
        self,
        characters=LETTERS,
        space="|",
        specials=("<s>", "<pad>", "</s>", "<unk>"),
        end=("|", "</s>"),
        upper=True,
        unknown=None,
        marks=(),
    ):
        if space is not None and space not in characters:
            characters = [space, *characters]
        self.space, self.upper = space, upper
        super().__init__([*specials, *characters, *marks], specials, end, unknown)
        self.arguments = {
            "characters": "".join(characters),
            "space": space,
            "specials": list(specials),
            "end": list(end),
            "upper": upper,
            "unknown": unknown,
        }

    def split(self, text):
        """Splits a text into characters; white space becomes one ``space``."""
        words = (text.upper() if self.upper else text).split()
        return list((self.space or "").join(words))

    def join(self, pieces):
        """Joins characters to a text."""
        text = "".join(pieces)
        return " ".join(text.replace(self.space or " ", " ").split())


class SlotTokenizer(CharacterTokenizer):
    """Characters, and a token for the start and the end of each slot.

    In a text the marks are words, ``PLAY B-artist MUSE E-artist NOW``; there is no
    space token between a mark and the enclosed words. The default characters are those
    of SUPERB's slot filling.

    Arguments
    ---------
    slots : list of str
        Names of the slots.
    **kwargs
        See :class:`CharacterTokenizer`.

    Example
    -------
    >>> tokenizer = SlotTokenizer(["artist"])
    >>> indices = tokenizer.encode("PLAY B-artist MUSE E-artist")
    >>> [tokenizer.tokens[i] for i in indices[3:]]
    ['Y', ' ', 'B-artist', 'M', 'U', 'S', 'E', 'E-artist', '<eos>']
    >>> tokenizer.decode(indices)
    'PLAY B-artist MUSE E-artist'
    """

    def __init__(
        self,
        slots,
        characters=" ABCDEFGHIJKLMNOPQRSTUVWXYZ'",
        space=" ",
        specials=SPECIALS,
        end=("<eos>",),
        **kwargs,
    ):
        self.starts = {f"B-{slot}" for slot in slots}
        self.ends = {f"E-{slot}" for slot in slots}
        marks = [f"{side}-{slot}" for slot in slots for side in "BE"]
        super().__init__(characters, space, specials, end, marks=marks, **kwargs)
        self.arguments = {"slots": list(slots), **self.arguments}

    def split(self, text):
        """Splits a text into characters and marks."""
        pieces, glued = [], True  # whether the next word follows without a space
        for word in text.split():
            if not glued and word not in self.ends:
                pieces.append(self.space)
            if word in self.starts or word in self.ends:
                pieces.append(word)
            else:
                pieces += word.upper() if self.upper else word
            glued = word in self.starts
        return pieces

    def join(self, pieces):
        """Joins characters and marks to a text, with the marks as words."""
        marks = self.starts | self.ends
        return super().join([f" {p} " if p in marks else p for p in pieces])


class MarkTokenizer(CharacterTokenizer):
    """Characters, and marks, which are words of a text and one token each.

    Marks are the language of a text, ``[eng] HELLO``, or begin and end a phrase,
    ``ask [PERSON john smith ] now``. As for any word, spaces are between marks and
    words.

    Arguments
    ---------
    marks : list of str
        Words with a token of their own.
    **kwargs
        See :class:`CharacterTokenizer`.

    Example
    -------
    >>> tokenizer = MarkTokenizer(["[eng]"], end=())
    >>> [tokenizer.tokens[i] for i in tokenizer.encode("[eng] hi")]
    ['[eng]', '|', 'H', 'I']
    >>> tokenizer.decode(tokenizer.encode("[eng] hi"))
    '[eng] HI'
    """

    _way_out = "the tokenizer more characters, more marks, or unknown: <unk>"

    def __init__(self, marks, **kwargs):
        self.marks = set(marks)
        super().__init__(marks=marks, **kwargs)
        self.arguments = {"marks": list(marks), **self.arguments}

    def split(self, text):
        """Splits a text into characters and marks."""
        pieces = []
        for word in text.split():
            if pieces and self.space is not None:
                pieces.append(self.space)
            pieces += [word] if word in self.marks else super().split(word)
        return pieces

    def join(self, pieces):
        """Joins characters and marks to a text, with the marks as words."""
        return super().join([f" {p} " if p in self.marks else p for p in pieces])


class SymbolTokenizer(Tokenizer):
    """Symbols separated by spaces; by default SUPERB's 74 tokens for phones.

    Arguments
    ---------
    symbols : list of str
        All symbols.
    specials : list of str
        Special tokens at the start; the first one is the blank.
    end : list of str
        Tokens that are appended to every text.
    unknown : str, optional
        Token for other symbols. Default: they are an error.

    Example
    -------
    >>> tokenizer = SymbolTokenizer()
    >>> len(tokenizer), tokenizer.decode(tokenizer.encode("HH AH0 L OW1"))
    (74, 'HH AH0 L OW1')
    """

    _way_out = "the tokenizer more symbols, or unknown: <unk>"

    def __init__(self, symbols=PHONES, specials=SPECIALS, end=("<eos>",), unknown=None):
        super().__init__([*specials, *symbols], specials, end, unknown)
        self.arguments = {
            "symbols": list(symbols),
            "specials": list(specials),
            "end": list(end),
            "unknown": unknown,
        }

    def split(self, text):
        """Splits a text into symbols."""
        return text.split()

    def join(self, pieces):
        """Joins symbols to a text."""
        return " ".join(pieces)


class SentencePieceTokenizer(Tokenizer):
    """Subwords of a sentencepiece model.

    Arguments
    ---------
    model_file : str, optional
        Path of the ``.model`` file.
    model : str, optional
        Content of the file in base64, as in :meth:`spec`; this or ``model_file``.
    unknown : bool
        Whether to use the model's token for unknown characters. Default: they are an
        error.
    end : bool
        Whether ``</s>`` ends every text, for a decoder.

    Note
    ----
    The blank precedes the tokens of the model, so that each number is one higher than
    in sentencepiece.
    """

    _way_out = "unknown: True, or a model trained on such texts"

    def __init__(self, model_file=None, model=None, unknown=False, end=False):
        import sentencepiece

        if (model_file is None) == (model is None):
            raise ValueError("give either model_file or model")
        if model_file is not None:
            path = Path(model_file).expanduser()
            if not path.is_file():
                raise FileNotFoundError(f"no sentencepiece model at '{path}'")
            with naming(path):
                model = base64.b64encode(path.read_bytes()).decode("ascii")
        self.model = sentencepiece.SentencePieceProcessor()
        with naming(model_file or "the tokenizer", "a sentencepiece model"):
            self.model.LoadFromSerializedProto(base64.b64decode(model))
        ids = range(self.model.vocab_size())
        pieces = [self.model.id_to_piece(i) for i in ids]
        no_text = [self.model.is_control(i) or self.model.is_unknown(i) for i in ids]
        specials = ["<blank>", *(p for p, none in zip(pieces, no_text) if none)]
        name = pieces[self.model.unk_id()] if unknown else None
        ends = [EOS] if end else []
        super().__init__(["<blank>", *pieces], specials, ends, unknown=name)
        self.arguments = {"model": model, "unknown": unknown, "end": end}

    def split(self, text):
        """Splits a text into subwords."""
        return self.model.encode(text, out_type=str)

    def join(self, pieces):
        """Joins subwords to a text."""
        return " ".join(self.model.decode(list(pieces)).split())


_ALL = (
    CharacterTokenizer,
    SlotTokenizer,
    MarkTokenizer,
    SymbolTokenizer,
    SentencePieceTokenizer,
)
TOKENIZERS = {tokenizer.__name__: tokenizer for tokenizer in _ALL}


def from_spec(spec):
    """Rebuilds a tokenizer from its ``spec()``.

    Arguments
    ---------
    spec : dict
        ``class``, and the arguments of the class.

    Returns
    -------
    Tokenizer

    Example
    -------
    >>> from_spec(SymbolTokenizer(["a", "b"]).spec()).encode("b a")
    [4, 3, 1]
    """
    arguments = dict(spec)
    name = arguments.pop("class", None)
    if name not in TOKENIZERS:
        names = ", ".join(TOKENIZERS)
        raise ValueError(f"'{name}' is no tokenizer; there are {names}")
    return TOKENIZERS[name](**arguments)
