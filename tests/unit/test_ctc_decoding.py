import itertools
import sys

import pytest
import torch

from s3prl_sb.dataio.tokenizers import CharacterTokenizer, SymbolTokenizer
from s3prl_sb.errors import MissingExtra, UserError
from s3prl_sb.lobes.ctc_decoding import LMDecoder, beam_search, greedy
from s3prl_sb.lobes.lexica import check_lexicon, spell
from s3prl_sb.startup import readiness

WORDS = {"A": "A|", "AB": "AB|", "BAA": "BAA|"}
UNIGRAMS = {"<unk>": -2, "<s>": 0, "</s>": -1, "A": -0.5, "AB": -0.7, "BAA": -0.9}
BACKOFF = {"<s>": -0.3, "A": -0.2, "AB": -0.4, "BAA": -0.1}
BIGRAMS = {("<s>", "AB"): -0.1, ("A", "AB"): -0.3, ("AB", "</s>"): -0.2}


@pytest.fixture
def tokenizer():
    return CharacterTokenizer(characters="|AB", specials=["<s>"], end=["|"])


@pytest.fixture
def arpa(tmp_path):
    """A bigram model of three words."""
    path = tmp_path / "tiny.arpa"
    singles = [f"{p}\t{w}\t{BACKOFF.get(w, 0)}" for w, p in UNIGRAMS.items()]
    pairs = [f"{p}\t{' '.join(w)}" for w, p in BIGRAMS.items()]
    lines = ["\\data\\", f"ngram 1={len(singles)}", f"ngram 2={len(pairs)}", ""]
    lines += ["\\1-grams:", *singles, "", "\\2-grams:", *pairs, "", "\\end\\", ""]
    path.write_text("\n".join(lines))
    return path


def collapsed(alignment):
    """Repeats merged, then blanks (0) dropped."""
    return [token for token, _ in itertools.groupby(alignment) if token]


# ------------------------------------------------------------------------ greedy
def test_greedy_is_the_best_alignment_collapsed():
    log_probs = torch.randn(16, 30, 3)
    frames = torch.randint(0, 31, (16,))
    expected = [
        collapsed(row.argmax(-1).tolist()[:n]) for row, n in zip(log_probs, frames)
    ]
    assert greedy(log_probs, frames) == expected
    assert [] in greedy(log_probs, torch.zeros(16, dtype=int))


def test_greedy_keeps_a_token_twice_where_a_blank_is_between():
    best = torch.tensor([[1, 1, 0, 1, 2]])
    scores = torch.nn.functional.one_hot(best).float()
    assert greedy(scores, torch.tensor([5])) == [[1, 1, 2]]


def test_greedy_with_another_blank():
    best = torch.tensor([[2, 1, 1, 2, 1, 0]])
    scores = torch.nn.functional.one_hot(best).float()
    assert greedy(scores, torch.tensor([6]), blank=2) == [[1, 1, 0]]


def test_greedy_does_not_see_padding_or_the_batch():
    log_probs, frames = torch.randn(5, 20, 4), torch.tensor([20, 3, 11, 1, 17])
    alone = [greedy(x[None, :n], n[None])[0] for x, n in zip(log_probs, frames)]
    assert greedy(log_probs, frames) == alone


# ---------------------------------------------------------------- language model
def lm_score(words):
    """Logarithm to base 10 of the model's probability of a sentence."""
    score, before = 0.0, "<s>"
    for word in [*words, "</s>"]:
        pair = BIGRAMS.get((before, word))
        score += BACKOFF[before] + UNIGRAMS[word] if pair is None else pair
        before = word
    return score


def words_spelled(tokens):
    """The words that a collapsed alignment spells; None: it does not.

    Between words there may be more silence.
    """
    letters = "".join(".|AB"[token] for token in tokens)
    if letters and not letters.endswith("|"):
        return None
    words = [word for word in letters.split("|") if word]
    return tuple(words) if set(words) <= set(WORDS) else None


def brute_force(log_probs, lm_weight, word_score, sil_score):
    """Score of the best alignment of every text."""
    frames, best = len(log_probs), {}
    for alignment in itertools.product(range(4), repeat=frames):
        words = words_spelled(collapsed(alignment))
        if words is None:
            continue
        score = sum(log_probs[t, token] for t, token in enumerate(alignment))
        score += lm_weight * lm_score(words) + word_score * len(words)
        score += sil_score * alignment.count(1)
        best[words] = max(best.get(words, -float("inf")), score)
    return best


@pytest.mark.parametrize("lm_weight, word_score, sil", [(2, -1, 0), (0.5, 2, -0.3)])
def test_beam_search_is_exact_where_the_beam_is_wide(
    tokenizer, arpa, lm_weight, word_score, sil
):
    pytest.importorskip("flashlight")
    decoder = LMDecoder(
        tokenizer,
        arpa,
        beam=10000,
        beam_threshold=1e6,
        lm_weight=lm_weight,
        word_score=word_score,
        sil_score=sil,
    )
    texts = set()
    for _ in range(5):
        log_probs = torch.log_softmax(3 * torch.randn(6, 4), -1)
        best = brute_force(log_probs.numpy(), lm_weight, word_score, sil)
        words = max(best, key=best.get)
        assert decoder(log_probs) == " ".join(words)
        found = decoder.search(log_probs[None])[0][0].score
        assert found == pytest.approx(best[words], abs=1e-4)
        texts.add(words)
    assert len(texts) > 1


def test_language_model_decides(tokenizer, arpa, tmp_path):
    """Between A and AB the sound leaves no choice, the sentence does."""
    pytest.importorskip("flashlight")
    log_probs = torch.full((3, 4), -10.0)
    log_probs[0, 2] = log_probs[2, 1] = 0.0
    log_probs[1, 0] = log_probs[1, 3] = -0.7  # B or nothing
    lexicon = tmp_path / "lexicon.txt"
    lexicon.write_text("".join(f"{w}\t{' '.join(s)}\n" for w, s in WORDS.items()))
    assert LMDecoder(tokenizer, arpa, str(lexicon))(log_probs) == "AB"
    log_probs[1, 3] -= 5.0
    assert LMDecoder(tokenizer, str(arpa))(log_probs) == "A"
    lexicon.write_text("A\tA |\n")  # the only word there is
    log_probs[1, 3] += 9.0
    assert LMDecoder(tokenizer, arpa, lexicon, beam_threshold=99)(log_probs) == "A"


def test_without_the_extra(tokenizer, arpa, without_flashlight, monkeypatch):
    import torchaudio.models.decoder as decoder

    with pytest.raises(RuntimeError):  # no ImportError, as one would expect
        decoder.ctc_decoder
    monkeypatch.setattr(sys, "version_info", (3, 12, 1))
    with pytest.raises(MissingExtra, match=r"-text: pip install 's3prl_sb\[lm\]'$"):
        LMDecoder(tokenizer, arpa)
    monkeypatch.setattr(sys, "version_info", (3, 14, 0))
    message = r"no wheel for Python 3.14, so take Python 3.12 and there pip install"
    with pytest.raises(MissingExtra, match=message):
        beam_search()


def test_without_the_extra_a_run_does_not_begin(arpa, without_flashlight):
    """Before a corpus is looked for; and what may be done without it is said."""
    with pytest.raises(MissingExtra, match="needs flashlight-text") as stopped:
        readiness.check({"lm": str(arpa)})
    assert "decode later: s3prl-sb score RUN" in str(stopped.value)
    assert issubclass(MissingExtra, UserError)  # which is said without a traceback


def test_wrong_files(tokenizer, tmp_path):
    pytest.importorskip("flashlight")
    with pytest.raises(FileNotFoundError, match="no language model at '.*no.arpa'"):
        LMDecoder(tokenizer, tmp_path / "no.arpa")
    binary = tmp_path / "lm.bin"
    binary.write_bytes(b"mmap lm \0\0\n" + bytes(range(256)))
    with pytest.raises(ValueError, match="'.*lm.bin' is no ARPA file.* give a lexicon"):
        LMDecoder(tokenizer, binary)
    unigrams = tmp_path / "unigrams.arpa"
    unigrams.write_text("\\data\\\nngram 1=1\n\n\\1-grams:\n-1\tA\n\n\\end\\\n")
    with pytest.raises(ValueError, match="KenLM reads.* at least: .* a bigram model"):
        LMDecoder(tokenizer, unigrams)
    with pytest.raises(ValueError, match="SymbolTokenizer has no token between words"):
        LMDecoder(SymbolTokenizer(), binary)


@pytest.mark.parametrize(
    "line, fault", [("AC\tA C |", "'C' is no token"), ("A", "no characters")]
)
def test_lexicon_that_does_not_fit(tokenizer, tmp_path, line, fault):
    path = tmp_path / "lexicon.txt"
    path.write_text(f"A\tA |\n\n{line}\n")
    with pytest.raises(ValueError, match=f"lexicon.txt:3: {fault}. A line is a word"):
        check_lexicon(path, tokenizer)
    with pytest.raises(FileNotFoundError, match="no lexicon at '.*no.txt'"):
        check_lexicon(tmp_path / "no.txt", tokenizer)


def test_words_that_cannot_be_written_are_left_out(tokenizer, caplog):
    assert list(spell(tokenizer, ["ABC", "A", "C"])) == ["A\tA |\n"]
    assert "2 words of the language model cannot be written" in caplog.text
    assert "'ABC', 'C'" in caplog.text
