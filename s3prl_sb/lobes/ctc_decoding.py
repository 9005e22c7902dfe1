"""From the log-probabilities of CTC to tokens.

Authors
 * The s3prl_sb developers, 2026
"""

import sys
import tempfile
from pathlib import Path

import torch

from s3prl_sb.errors import MissingExtra
from s3prl_sb.lobes.lexica import check_known, check_lexicon, spell, words_of

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
        The n-gram model of words: ARPA, also packed with gzip, or a binary of KenLM.
    lexicon : str, optional
        A file with a word and its characters a line, such as ``EGG E G G |``.
        Default: the words of ``lm``, which then is an ARPA file. Its words are written
        as in ``lm``; texts are then as the tokenizer has them, in its case.
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
            except RuntimeError as fault:  # KenLM's, of many lines of C++
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
        """Those words that the model scores as it scores any unknown one."""
        lm, index = self.search.lm, self.search.word_dict.get_index
        begin = lm.start(False)
        score = lm.score(begin, index("<unk>"))[1]
        return [w for w in words if lm.score(begin, index(w))[1] == score]

    def __call__(self, log_probs):
        """The best text.

        Arguments
        ---------
        log_probs : torch.Tensor
            [frames, tokens], of the true frames of an utterance.

        Returns
        -------
        str or None
            In the tokenizer's case. None: there is none in the beam.
        """
        found = self.search(log_probs.detach().float().cpu()[None].contiguous())[0]
        return self.tokenizer.normalize(" ".join(found[0].words)) if found else None
