"""Tokenizers for characters, phones, slots and sentencepieces.

In every tokenizer token 0 is the CTC blank, :meth:`Tokenizer.encode` appends the end
tokens, and :meth:`Tokenizer.decode` drops special tokens. A tokenizer is rebuilt from a
JSON value, ``from_spec(tokenizer.spec())``, which exports contain.

Authors
 * The s3prl_sb developers, 2026
"""

import base64
from pathlib import Path

from s3prl_sb.dataio.phones import PHONES
from s3prl_sb.storage.files import naming

#: S3PRL's letters for ASR, by frequency; ``|`` ends a word.
LETTERS = "|ETAONIHSRDLUMCWFGYPBVK'XJQZ"

#: Tokens before and after a text, for a decoder.
BOS, EOS = "<s>", "</s>"

#: S3PRL's special tokens for phones and slots, the blank first.
SPECIALS = ("<pad>", "<eos>", "<unk>")


class Tokenizer:
    """Base class; a subclass splits texts into tokens and joins them.

    Arguments
    ---------
    tokens : list of str
        All tokens; token 0 is the blank.
    specials : list of str
        Tokens that do not appear in texts.
    end : list of str
        Tokens that are appended to every text.
    unknown : str, optional
        Token for unknown pieces, such as ``<unk>``. Default: they are an error.
    """

    blank = 0

    def __init__(self, tokens, specials, end=(), unknown=None):
        self.tokens = list(tokens)
        self.indices = {token: index for index, token in enumerate(self.tokens)}
        if len(self.indices) < len(self.tokens):
            twice = sorted({t for t in self.tokens if self.tokens.count(t) > 1})
            raise ValueError(f"tokens that occur twice: {', '.join(map(repr, twice))}")
        for token in [*specials, *end, *([unknown] if unknown else [])]:
            if token not in self.indices:
                raise ValueError(f"'{token}' is none of the {len(self.tokens)} tokens")
        self.hidden = {self.blank, *(self.indices[token] for token in specials)}
        self.end = [self.indices[token] for token in end]
        self.unknown = None if unknown is None else self.indices[unknown]

    def __len__(self):
        return len(self.tokens)

    @property
    def bos(self):
        """Index of the token with which a decoder begins, ``<s>``."""
        if BOS not in self.indices:
            raise ValueError(f"{self._way_out_of_ends}: there is no {BOS}")
        return self.indices[BOS]

    @property
    def eos(self):
        """Index of the token that ends every text."""
        if not self.end:
            raise ValueError(f"{self._way_out_of_ends}: no token ends a text")
        return self.end[-1]

    _way_out_of_ends = "the tokenizer does not suit a decoder"

    def encode(self, text):
        """Encodes a text, with the end tokens.

        Arguments
        ---------
        text : str
            Transcription.

        Returns
        -------
        list of int

        Raises
        ------
        ValueError
            If there is no token for a part of the text.
        """
        pieces = self.split(text)
        unknown = {p for p in pieces if self.indices.get(p, 0) in self.hidden}
        if unknown and self.unknown is None:
            raise ValueError(
                f"{', '.join(map(repr, sorted(unknown)))} in '{text}' is none of the "
                f"{len(self)} tokens. Correct the text, or give {self._way_out}."
            )
        indices = [self.unknown if p in unknown else self.indices[p] for p in pieces]
        return indices + self.end

    _way_out = "the tokenizer unknown: <unk>"

    def normalize(self, text):
        """Returns the reference text for a prediction.

        Unknown pieces stay in it, so that no prediction can match them.

        Arguments
        ---------
        text : str
            Transcription.

        Returns
        -------
        str
        """
        return self.join(self.split(text))

    def decode(self, indices):
        """Decodes tokens, without blank and special tokens.

        Arguments
        ---------
        indices : list of int
            Tokens, with repeats already merged.

        Returns
        -------
        str
        """
        return self.join([self.tokens[i] for i in indices if i not in self.hidden])

    def spell(self, word):
        """Returns the tokens of a word inside a text, as a list of str."""
        return [self.tokens[i] for i in self.encode(word) if i not in self.hidden]

    def spec(self):
        """Returns JSON values for :func:`from_spec`."""
        return {"class": type(self).__name__, **self.arguments}


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


_ALL = (CharacterTokenizer, SlotTokenizer, SymbolTokenizer, SentencePieceTokenizer)
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
