"""Decoding of CTC log-probabilities, greedy or with a language model.

Authors
 * The s3prl_sb developers, 2026
"""

import sys
import tempfile
from pathlib import Path

import torch

from s3prl_sb.errors import MissingExtra
from s3prl_sb.lobes.lexica import check_known, check_lexicon, spell, words_of

#: First version of Python that flashlight-text (0.0.7) has no wheel for.
NO_WHEEL = (3, 13)


def greedy(log_probs, frames, blank=0):
    """Returns the tokens of the most probable alignment.

    Arguments
    ---------
    log_probs : torch.Tensor
        [batch, frames, tokens].
    frames : torch.Tensor
        [batch], numbers of true frames; later frames are ignored.
    blank : int
        Index of the blank.

    Returns
    -------
    list of list of int
        Token indices, with repeats merged, then blanks removed.

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
    rows, start = [], 0
    for count in kept.sum(1).tolist():
        rows.append(tokens[start : start + count])
        start += count
    return rows


def beam_search():
    """Returns torchaudio's beam search.

    Returns
    -------
    callable
        ``torchaudio.models.decoder.ctc_decoder``.

    Raises
    ------
    MissingExtra
        If flashlight-text is not installed; says how to install it.
    """
    try:
        from torchaudio.models.decoder import ctc_decoder
    except (ImportError, RuntimeError) as fault:  # torchaudio raises RuntimeError
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

    The score of a text is the score of its best alignment, plus ``lm_weight`` times
    the base-10 logarithm of its probability by the language model, plus ``word_score``
    per word. The search is flashlight's, from ``torchaudio.models.decoder``. The
    defaults are SUPERB's.

    Arguments
    ---------
    tokenizer : s3prl_sb.dataio.tokenizers.CharacterTokenizer
        Tokenizer of the log-probabilities.
    lm : str
        N-gram model of words: ARPA, optionally compressed by gzip, or a KenLM binary.
    lexicon : str, optional
        A file whose lines have a word and its characters, such as ``EGG E G G |``.
        Words are spelled as in ``lm``, and decoded texts are in the tokenizer's case.
        Default: the words of ``lm``, which then is an ARPA file.
    beam : int
        Number of hypotheses kept after each frame.
    beam_threshold : float
        Largest difference between their scores and the best one.
    lm_weight : float
        Weight of the language model.
    word_score : float
        Score added for each word.
    sil_score : float
        Score added for each frame of silence between words.

    Raises
    ------
    MissingExtra
        If the extra ``lm`` is not installed.
    ValueError
        If a file does not fit the tokenizer.
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
                f"This {type(tokenizer).__name__} has no token between words: a "
                "language model of words needs a CharacterTokenizer with a space."
            )
        lm = Path(lm).expanduser()
        if not lm.is_file():
            raise FileNotFoundError(f"no language model at '{lm}'")
        with tempfile.TemporaryDirectory() as folder:
            if lexicon is None:
                words = words_of(lm)
                lines = list(spell(tokenizer, words))
                if not lines:
                    raise ValueError(
                        f"{lm}: none of its {len(words)} words can be written with the "
                        f"tokens {' '.join(tokenizer.tokens)}. Give a lexicon, or "
                        "another language model."
                    )
            else:
                lines = check_lexicon(lexicon, tokenizer)
            written = Path(folder) / "lexicon.txt"
            written.write_text("".join(lines), encoding="utf-8")
            try:
                self.search = ctc_decoder(
                    lexicon=str(written),
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
            except RuntimeError as fault:  # KenLM's message has many lines of C++
                raise ValueError(
                    f"'{lm}' is no language model that KenLM reads, ARPA or its own "
                    "binary, of bigrams at least: "
                    f"{str(fault).strip().splitlines()[-1]}"
                ) from fault
        self.tokenizer = tokenizer
        if lexicon is not None:
            words = list(dict.fromkeys(line.partition("\t")[0] for line in lines))
            check_known(words, self._unknown(words), lexicon, lm)

    def _unknown(self, words):
        """Returns the words that the language model scores as unknown ones."""
        lm, index = self.search.lm, self.search.word_dict.get_index
        begin = lm.start(False)
        score = lm.score(begin, index("<unk>"))[1]
        return [w for w in words if lm.score(begin, index(w))[1] == score]

    def __call__(self, log_probs):
        """Returns the best text.

        Arguments
        ---------
        log_probs : torch.Tensor
            [frames, tokens], the true frames of an utterance.

        Returns
        -------
        str or None
            Text in the tokenizer's case; None if the beam is empty.
        """
        texts = self.search(log_probs.detach().float().cpu()[None].contiguous())[0]
        return self.tokenizer.normalize(" ".join(texts[0].words)) if texts else None
