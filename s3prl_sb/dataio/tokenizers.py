"""Texts as token numbers: characters, phones, slots, sentencepieces.

Of every tokenizer, token 0 is CTC's blank, :meth:`Tokenizer.encode` appends the tokens
that end an utterance, and :meth:`Tokenizer.decode` leaves out what is no text. One is
rebuilt from a JSON value, ``from_spec(tokenizer.spec())``, so an export can carry it.

Authors
 * The s3prl_sb developers, 2026
"""

import base64
from pathlib import Path

from s3prl_sb.dataio.phones import PHONES
from s3prl_sb.storage.files import naming

#: S3PRL's letters for ASR, the frequent ones first; ``|`` ends a word.
LETTERS = "|ETAONIHSRDLUMCWFGYPBVK'XJQZ"

#: S3PRL's for phones and slots, the blank first.
SPECIALS = ("<pad>", "<eos>", "<unk>")


class Tokenizer:
    """Base of the others, which say how a text splits and joins.

    Arguments
    ---------
    tokens : list of str
        Token 0 is the blank.
    specials : list of str
        Tokens that are no text.
    end : list of str
        Tokens after every text.
    unknown : str, optional
        The token that stands for everything unknown, such as ``<unk>``. Default:
        what is unknown is an error.
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

    def encode(self, text):
        """Token numbers of a text, those of its end included.

        Arguments
        ---------
        text : str
            What was said.

        Returns
        -------
        list of int

        Raises
        ------
        ValueError
            If the text has what the tokenizer has no token for.
        """
        pieces = self.split(text)
        unknown = {p for p in pieces if self.indices.get(p, 0) in self.hidden}
        if unknown and self.unknown is None:
            raise ValueError(
                f"{', '.join(map(repr, sorted(unknown)))} in '{text}' is none of the "
                f"{len(self)} tokens. Correct the text, or give {self._way_out}."
            )
        known = [self.unknown if p in unknown else self.indices[p] for p in pieces]
        return known + self.end

    _way_out = "the tokenizer unknown: <unk>"

    def normalize(self, text):
        """A text as a model would have to say it; what is unknown stays as it is, so
        that nobody is ever right about it.

        Arguments
        ---------
        text : str
            What was said.

        Returns
        -------
        str
        """
        return self.join(self.split(text))

    def decode(self, indices):
        """The text of token numbers, without blank and specials.

        Arguments
        ---------
        indices : list of int
            As the model gives them, repeats already merged.

        Returns
        -------
        str
        """
        return self.join([self.tokens[i] for i in indices if i not in self.hidden])

    def spell(self, word):
        """The tokens of one word in the middle of a text: a list of str."""
        return [self.tokens[i] for i in self.encode(word) if i not in self.hidden]

    def spec(self):
        """What rebuilds this tokenizer, as JSON can hold it: see :func:`from_spec`."""
        return {"class": type(self).__name__, **self.arguments}


class CharacterTokenizer(Tokenizer):
    """Characters; by default S3PRL's 32 tokens for ASR.

    Arguments
    ---------
    characters : str
        All of them, ``space`` included.
    space : str
        The character that stands for a space.
    specials : list of str
        Come first; the first of them is the blank.
    end : list of str
        Tokens after every text.
    upper : bool
        Whether texts are put into upper case.
    unknown : str, optional
        The token that stands for other characters. Default: they are errors.
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
        if space not in characters:
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
        """A text -> characters; white space between words is one ``space``."""
        words = (text.upper() if self.upper else text).split()
        return list(self.space.join(words))

    def join(self, pieces):
        """Characters -> the text."""
        return " ".join("".join(pieces).replace(self.space, " ").split())


class SlotTokenizer(CharacterTokenizer):
    """Characters, and one token for the start and the end of each slot.

    A text has the marks as words, ``PLAY B-artist MUSE E-artist NOW``; between a mark
    and the words that it encloses there is no token. By default the characters are
    SUPERB's for slot filling.

    Arguments
    ---------
    slots : list of str
        Names of slots.
    **kwargs
        As for :class:`CharacterTokenizer`.

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
        """A text -> characters and marks."""
        pieces, glued = [], True  # whether no space comes before the next word
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
        """Characters and marks -> the text, marks as words."""
        marks = self.starts | self.ends
        return super().join([f" {p} " if p in marks else p for p in pieces])


class SymbolTokenizer(Tokenizer):
    """Symbols with spaces between them; by default SUPERB's 74 tokens for phones.

    Arguments
    ---------
    symbols : list of str
        All of them.
    specials : list of str
        Come first; the first of them is the blank.
    end : list of str
        Tokens after every text.
    unknown : str, optional
        The token that stands for other symbols. Default: they are errors.

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
        """A text -> symbols."""
        return text.split()

    def join(self, pieces):
        """Symbols -> a text."""
        return " ".join(pieces)


class SentencePieceTokenizer(Tokenizer):
    """Pieces of words, of a model that sentencepiece has trained.

    Arguments
    ---------
    model_file : str, optional
        The ``.model``.
    model : str, optional
        Its content in base64, as :meth:`spec` gives it; this or ``model_file``.
    unknown : bool
        Whether its token for unknown characters may be used. Default: they are errors.

    Note
    ----
    The blank comes before the model's own tokens, so each number is one higher than
    sentencepiece's.
    """

    _way_out = "unknown: True, or a model trained on such texts"

    def __init__(self, model_file=None, model=None, unknown=False):
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
        super().__init__(["<blank>", *pieces], specials, unknown=name)
        self.arguments = {"model": model, "unknown": unknown}

    def split(self, text):
        """A text -> pieces."""
        return self.model.encode(text, out_type=str)

    def join(self, pieces):
        """Pieces -> the text."""
        return self.model.decode(list(pieces))


_ALL = (CharacterTokenizer, SlotTokenizer, SymbolTokenizer, SentencePieceTokenizer)
TOKENIZERS = {tokenizer.__name__: tokenizer for tokenizer in _ALL}


def from_spec(spec):
    """The tokenizer that gave this ``spec()``.

    Arguments
    ---------
    spec : dict
        ``class``, and the arguments of that class.

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
        known = ", ".join(TOKENIZERS)
        raise ValueError(f"'{name}' is no tokenizer; there are {known}")
    return TOKENIZERS[name](**arguments)
