"""From the log-probabilities of CTC to tokens.

Authors
 * The s3prl_sb developers, 2026
"""

import logging
import sys
import tempfile
from pathlib import Path

import torch

from s3prl_sb.errors import MissingExtra
from s3prl_sb.files import naming, read_text

logger = logging.getLogger(__name__)

#: From this version of Python on flashlight-text has no wheel (0.0.7).
NO_WHEEL = (3, 13)


def greedy(log_probs, frames, blank=0):
    """The tokens of the most probable alignment.

    Arguments
    ---------
    log_probs : torch.Tensor
        [batch, frames, tokens].
    frames : torch.Tensor
        [batch], numbers of true frames; what comes after them does not count.
    blank : int
        The blank's number.

    Returns
    -------
    list of list of int
        Repeats merged, then blanks dropped.

    Example
    -------
    >>> best = torch.tensor([[1, 1, 0, 1, 2, 2, 0], [2, 2, 0, 1, 1, 1, 1]])
    >>> greedy(torch.nn.functional.one_hot(best).float(), torch.tensor([7, 3]))
    [[1, 1, 2], [2]]
    """
    best = log_probs.argmax(-1)
    kept = best != blank
    kept[:, 1:] &= best[:, 1:] != best[:, :-1]
    true = torch.arange(best.shape[1], device=best.device)
    kept &= true < frames.to(best.device)[:, None]
    tokens = best[kept].tolist()  # one transfer for the whole batch
    found, start = [], 0
    for count in kept.sum(1).tolist():
        found.append(tokens[start : start + count])
        start += count
    return found


def beam_search():
    """torchaudio's beam search, if there is what it needs.

    Returns
    -------
    callable
        ``torchaudio.models.decoder.ctc_decoder``.

    Raises
    ------
    MissingExtra
        Without flashlight-text, with what installs it.
    """
    try:
        from torchaudio.models.decoder import ctc_decoder
    except (ImportError, RuntimeError) as fault:  # the latter from torchaudio
        way = "pip install 's3prl_sb[lm]'"
        if sys.version_info >= NO_WHEEL:
            version = ".".join(map(str, sys.version_info[:2]))
            last = f"{NO_WHEEL[0]}.{NO_WHEEL[1] - 1}"
            way = (
                f"it has no wheel for Python {version}, so take Python {last} and "
                f"there {way}, or decode without --lm."
            )
        raise MissingExtra(
            f"Decoding with a language model needs flashlight-text: {way}"
        ) from fault
    return ctc_decoder


class LMDecoder:
    """Beam search over the words of a lexicon, with an n-gram language model.

    A text's score is that of its best alignment, plus ``lm_weight`` times the
    logarithm to base 10 that the language model gives it, plus ``word_score`` a word.
    The search is flashlight's, by ``torchaudio.models.decoder``. The defaults are
    SUPERB's.

    Arguments
    ---------
    tokenizer : s3prl_sb.dataio.tokenizers.CharacterTokenizer
        Of the log-probabilities.
    lm : str
        The n-gram model of words: ARPA, or a binary of KenLM.
    lexicon : str, optional
        A file with a word and its characters a line, such as ``EGG E G G |``.
        Default: the words of ``lm``, which then is an ARPA file.
    beam : int
        Hypotheses that are kept after each frame.
    beam_threshold : float
        How much worse than the best one they may be.
    lm_weight : float
        Of the language model.
    word_score : float
        Added for each word.
    sil_score : float
        Added for each frame of silence between words.

    Raises
    ------
    MissingExtra
        Without the extra ``lm``.
    ValueError
        For a file that does not fit the tokenizer.
    """

    def __init__(
        self,
        tokenizer,
        lm,
        lexicon=None,
        beam=5,
        beam_threshold=25.0,
        lm_weight=2.0,
        word_score=-1.0,
        sil_score=0.0,
    ):
        ctc_decoder = beam_search()
        space = getattr(tokenizer, "space", None)
        if space is None:
            raise ValueError(
                f"{type(tokenizer).__name__} has no token between words: a language "
                "model of words needs a CharacterTokenizer."
            )
        lm = Path(lm).expanduser()
        if not lm.is_file():
            raise FileNotFoundError(f"no language model at '{lm}'")
        with tempfile.TemporaryDirectory() as folder:
            if lexicon is None:
                lexicon = Path(folder) / "lexicon.txt"
                spellings = "".join(spell(tokenizer, words_of(lm)))
                lexicon.write_text(spellings, encoding="utf-8")
            else:
                lexicon = check_lexicon(lexicon, tokenizer)
            try:
                self.search = ctc_decoder(
                    lexicon=str(lexicon),
                    tokens=tokenizer.tokens,
                    lm=str(lm),
                    beam_size=beam,
                    beam_size_token=len(tokenizer),
                    beam_threshold=beam_threshold,
                    lm_weight=lm_weight,
                    word_score=word_score,
                    sil_score=sil_score,
                    blank_token=tokenizer.tokens[tokenizer.blank],
                    sil_token=space,
                )
            except RuntimeError as fault:  # KenLM's, of many lines of C++
                raise ValueError(
                    f"'{lm}' is no language model that KenLM reads, ARPA or its own "
                    "binary, of bigrams at least: "
                    f"{str(fault).strip().splitlines()[-1]}"
                ) from fault

    def __call__(self, log_probs):
        """The best text.

        Arguments
        ---------
        log_probs : torch.Tensor
            [frames, tokens], of the true frames of an utterance.

        Returns
        -------
        str or None
            None: there is none in the beam.
        """
        found = self.search(log_probs.detach().float().cpu()[None].contiguous())[0]
        return " ".join(found[0].words) if found else None


def words_of(arpa):
    """The words of an n-gram model.

    Arguments
    ---------
    arpa : str
        An ARPA file.

    Returns
    -------
    list of str
        Without the marks of sentences and unknown words.
    """
    words, inside = [], False
    with naming(arpa, "an ARPA file in UTF-8"), open(arpa, "rb") as file:
        for line in file:
            if line.startswith(b"\\"):
                if inside:
                    return words
                inside = line.strip() == b"\\1-grams:"
            elif inside and line.strip():
                word = line.split()[1].decode("utf-8")
                if not (word.startswith("<") and word.endswith(">")):
                    words.append(word)
            elif b"\0" in line:
                break
    raise ValueError(
        f"'{arpa}' is no ARPA file, so its words are not known: give a lexicon."
    )


def spell(tokenizer, words):
    """Lines of a lexicon, of the words that the tokenizer has the characters for.

    Arguments
    ---------
    tokenizer : s3prl_sb.dataio.tokenizers.CharacterTokenizer
        Spells.
    words : list of str
        The words.

    Yields
    ------
    str
        A line.

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
    """The path of a lexicon, if all its characters are tokens.

    Arguments
    ---------
    lexicon : str
        The file.
    tokenizer : s3prl_sb.dataio.tokenizers.Tokenizer
        Has the tokens.

    Returns
    -------
    pathlib.Path
    """
    path, known = Path(lexicon).expanduser(), set(tokenizer.tokens)
    if not path.is_file():
        raise FileNotFoundError(f"no lexicon at '{path}'")
    lines = read_text(path, "a lexicon in UTF-8").split("\n")
    for number, line in enumerate(lines, start=1):
        word, *spelling = line.split() or [""]
        unknown = [token for token in spelling if token not in known]
        if unknown or (word and not spelling):
            fault = f"{unknown[0]!r} is no token" if unknown else "no characters"
            raise ValueError(
                f"{path}:{number}: {fault}. A line is a word and its characters "
                f"between spaces, such as {'EGG E G G |'!r}."
            )
    return path
