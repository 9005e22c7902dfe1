"""Tokens that are learned from the texts of a training set, by sentencepiece.

Authors
 * The s3prl_sb developers, 2026
"""

import base64
import io
import logging
from pathlib import Path

from speechbrain.utils.distributed import run_on_main

from s3prl_sb.dataio.tokenizers import SentencePieceTokenizer, from_spec
from s3prl_sb.errors import ManifestError, UserError
from s3prl_sb.identity import digest
from s3prl_sb.storage.files import read_json, write_json

logger = logging.getLogger(__name__)

#: Kinds of tokens, and their names in sentencepiece.
KINDS = {"characters": "char", "unigram": "unigram", "bpe": "bpe"}
LONGEST = 1 << 16  # bytes of a text; longer ones are not learned from


class TokenError(UserError, ValueError):
    """Settings of tokens that do not suit the texts; the message has the fix."""


def train_tokenizer(texts, kind="characters", size=1000):
    """Learns tokens from texts; the same texts give the same tokens.

    Arguments
    ---------
    texts : list of str
        Texts of the training set.
    kind : str
        Key of :data:`KINDS`: "characters", "unigram" or "bpe".
    size : int
        Largest number of tokens, special ones included. The rarest characters are left
        out if there are more.

    Returns
    -------
    SentencePieceTokenizer
        Tokenizer with ``</s>`` at the end of a text, and ``<unk>`` for what it lacks.

    Raises
    ------
    TokenError
        If the texts have more characters than ``size``, for "unigram" and "bpe".

    Note
    ----
    Texts are left as they are, but for runs of white space; S3PRL applies NFKC, which
    changes the references of BLEU, too.

    Example
    -------
    >>> tokenizer = train_tokenizer(["ein Ei", "nein"])
    >>> tokenizer.decode(tokenizer.encode("eine")), len(tokenizer)
    ('eine', 9)
    >>> tokenizer.tokens[:4], tokenizer.bos, tokenizer.eos
    (['<blank>', '<unk>', '<s>', '</s>'], 2, 3)
    """
    import sentencepiece

    if not any(text.strip() for text in texts):
        raise ManifestError("all texts of the training set are empty.")
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts),
            model_writer=model,
            model_type=KINDS[kind],
            vocab_size=size - 1,  # and the padding
            hard_vocab_limit=False,
            character_coverage=1.0,
            normalization_rule_name="identity",
            max_sentence_length=LONGEST,
            num_threads=1,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise TokenError(
            f"num_tokens {size}: sentencepiece cannot learn as many {kind} tokens from "
            f"these texts. Give another number, or --tokens characters. ({error})"
        ) from error
    content = base64.b64encode(model.getvalue()).decode("ascii")
    return SentencePieceTokenizer(model=content, unknown=True, end=True)


def _left_out(texts, tokenizer):
    """Returns the characters of texts that no token has, sorted."""
    tokens = enumerate(tokenizer.tokens)
    written = {c for i, token in tokens if i not in tokenizer.hidden for c in token}
    return sorted(c for c in set().union(*texts) - written if not c.isspace())


def trained_tokenizer(save_folder, texts, kind, size, name="tokens"):
    """Returns tokens learned from texts, and keeps them in a file of a run.

    They are learned once, in the main process; a resumed run reads the file.

    Arguments
    ---------
    save_folder : str
        Folder of ``<name>.json``.
    texts : list of str
        Texts of the training set.
    kind, size
        See :func:`train_tokenizer`.
    name : str
        Name of the file.

    Returns
    -------
    s3prl_sb.dataio.tokenizer.Tokenizer
    """
    path = Path(save_folder) / f"{name}.json"
    wanted = digest([list(texts), kind, size])
    run_on_main(_write, args=[path, wanted, texts, kind, size])
    tokenizer = from_spec(read_json(path, "tokens of a run", kind=dict)["tokenizer"])
    logger.info("Tokens (%s): %d %s", path, len(tokenizer), kind)
    return tokenizer


def _write(path, wanted, texts, kind, size):
    """Learns and writes the tokens, unless the file has them."""
    if path.exists():
        earlier = read_json(path, "tokens of a run", "Delete it.", kind=dict)
        if earlier.get("learned_from") == wanted:
            return
    tokenizer = train_tokenizer(texts, kind, size)
    if left_out := _left_out(texts, tokenizer):
        message = (
            "num_tokens %d: %d characters of the training texts, such as %s, have "
        )
        message += "no token and cannot be written. Give more tokens to have all."
        logger.warning(message, size, len(left_out), left_out[0])
    write_json(path, {"learned_from": wanted, "tokenizer": tokenizer.spec()})
