"""Base class of tokenizers.

In every tokenizer token 0 is the CTC blank, :meth:`Tokenizer.encode` appends the end
tokens, and :meth:`Tokenizer.decode` drops special tokens.

Authors
 * The s3prl_sb developers, 2026
"""

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
        """Returns JSON values for :func:`~s3prl_sb.dataio.tokenizers.from_spec`."""
        return {"class": type(self).__name__, **self.arguments}
