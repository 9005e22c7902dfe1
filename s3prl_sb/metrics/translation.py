"""BLEU of translations, by sacreBLEU.

Authors
 * The s3prl_sb developers, 2026
"""

from dataclasses import dataclass

from s3prl_sb.errors import MissingExtra, UserError
from s3prl_sb.metrics.transcription import paired

AUTO = "auto"
#: Tokenizers of sacreBLEU that need no download.
TOKENIZERS = (AUTO, "13a", "intl", "char", "zh", "ja-mecab", "ko-mecab", "none")
#: Languages that are not written in words, and their tokenizers.
OF_LANGUAGES = {
    **{"zh": "zh", "yue": "zh", "ja": "ja-mecab", "ko": "ko-mecab"},
    **dict.fromkeys(("th", "lo", "km", "my"), "char"),
}
USUAL = "13a"


class BleuError(UserError, ValueError):
    """Settings of BLEU that cannot work."""


@dataclass(frozen=True)
class Bleu:
    """BLEU of a corpus.

    Arguments
    ---------
    score : float
        BLEU, 0 to 100.
    signature : str
        Version and settings of sacreBLEU, which belong to every published number.
    """

    score: float
    signature: str


def bleu(predicted, true, tokenize=USUAL):
    """Measures the BLEU of a corpus: case-sensitive, with one reference.

    Paper: Post, https://arxiv.org/abs/1804.08771.

    Arguments
    ---------
    predicted, true : dict
        Ids to detokenized texts.
    tokenize : str
        Tokenizer of sacreBLEU, see :func:`tokenizer_for`.

    Returns
    -------
    Bleu

    Raises
    ------
    MissingExtra
        If sacreBLEU, or what its tokenizer needs, is not installed.

    Example
    -------
    >>> texts = {"a": "The cat is on the mat.", "b": "There is a dog."}
    >>> measured = bleu(texts, texts)
    >>> round(measured.score, 3), measured.signature.partition("|version")[0]
    (100.0, 'nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp')
    """
    pairs = paired(predicted, true)
    metric = _metric(tokenize)
    hypotheses, references = [pair[1] for pair in pairs], [pair[2] for pair in pairs]
    score = metric.corpus_score(hypotheses, [references]).score
    return Bleu(float(score), metric.get_signature().format())


def bleu_counts(predicted, true, tokenize=USUAL):
    """Counts what the BLEU of a corpus is computed of, for each utterance.

    Arguments
    ---------
    predicted, true, tokenize
        See :func:`bleu`.

    Returns
    -------
    dict
        For each utterance, in the order of ``true``: ``matches`` and ``ngrams``,
        numbers of right and of all n-grams of one to four words; ``predicted`` and
        ``reference``, numbers of words.

    Example
    -------
    >>> counts = bleu_counts({"a": "a dog ran"}, {"a": "a cat ran"})
    >>> counts["matches"], counts["ngrams"], counts["reference"]
    ([[2, 0, 0, 0]], [[3, 2, 1, 0]], [3])
    """
    metric = _metric(tokenize)
    each = [metric.corpus_score([p], [[t]]) for _, p, t in paired(predicted, true)]
    return {
        "matches": [list(one.counts) for one in each],
        "ngrams": [list(one.totals) for one in each],
        "predicted": [one.sys_len for one in each],
        "reference": [one.ref_len for one in each],
    }


def tokenizer_for(tokenize, language):
    """Returns the tokenizer of sacreBLEU for a language.

    Arguments
    ---------
    tokenize : str
        One of :data:`TOKENIZERS`; "auto" chooses by the language: "zh" for Chinese,
        "ja-mecab" and "ko-mecab" for Japanese and Korean, or "char" where what they
        need is not installed, "char" for Thai, Lao, Khmer and Burmese, and "13a" for
        all others.
    language : str
        Code of the language of the references, such as "de" or "zh-CN".

    Returns
    -------
    str

    Raises
    ------
    MissingExtra
        If sacreBLEU, or what a tokenizer needs, is not installed.

    Example
    -------
    >>> tokenizer_for("auto", "de"), tokenizer_for("auto", "zh-CN")
    ('13a', 'zh')
    """
    wanted = tokenize
    if tokenize == AUTO:
        code = str(language).lower().replace("_", "-").partition("-")[0]
        wanted = OF_LANGUAGES.get(code, USUAL)
    try:
        _metric(wanted)
    except TokenizerMissing:
        if tokenize != AUTO:
            raise
        return "char"
    return wanted


class TokenizerMissing(MissingExtra):
    """A tokenizer of sacreBLEU whose libraries are not installed."""


def _metric(tokenize):
    """Returns sacreBLEU's metric."""
    try:
        from sacrebleu.metrics import BLEU
    except ImportError as error:
        raise MissingExtra(
            "BLEU needs sacreBLEU: pip install 's3prl_sb[st]'"
        ) from error
    if tokenize not in TOKENIZERS[1:]:
        raise BleuError(
            f"bleu_tokenize: there is no '{tokenize}'; there are "
            f"{', '.join(TOKENIZERS)}."
        )
    try:
        return BLEU(tokenize=tokenize)
    except (ImportError, RuntimeError) as error:  # sacreBLEU raises RuntimeError
        extra = tokenize.partition("-")[0]
        raise TokenizerMissing(
            f"bleu_tokenize {tokenize} needs more: pip install 'sacrebleu[{extra}]'"
        ) from error
