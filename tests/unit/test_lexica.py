"""Lexica and language models of all kinds: case, variants, compressed, encoded."""

import gzip
import logging

import pytest
import torch

from s3prl_sb.corpora.lexicon import read_lexicon
from s3prl_sb.dataio.manifest import ManifestError
from s3prl_sb.dataio.tokenizers import CharacterTokenizer
from s3prl_sb.lobes.ctc_decoding import LMDecoder
from s3prl_sb.lobes.lexica import check_lexicon, words_of

TOKENIZER = CharacterTokenizer()


def arpa(path, words):
    """A bigram model that finds all words as probable; its path."""
    singles = ["-5\t<unk>\t0", "-99\t<s>\t-0.3", "-1\t</s>"]
    singles += [f"-1\t{word}\t-0.3" for word in words]
    pairs = [f"-0.5\t<s> {word}" for word in words]
    lines = ["\\data\\", f"ngram 1={len(singles)}", f"ngram 2={len(pairs)}", ""]
    lines += ["\\1-grams:", *singles, "", "\\2-grams:", *pairs, "", "\\end\\", ""]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def scores(text, tokenizer=TOKENIZER):
    """Log-probabilities of CTC that spell a text with certainty."""
    tokens = tokenizer.encode(text)
    frames = [t for token in tokens for t in (token, token, tokenizer.blank)]
    found = torch.full((len(frames), len(tokenizer)), -12.0)
    found[range(len(frames)), frames] = -0.01
    return found


@pytest.fixture(autouse=True)
def flashlight():
    pytest.importorskip("flashlight")


@pytest.mark.parametrize(
    "words", [["GOOD", "EGGS"], ["good", "eggs"], ["Good", "eGGs"]]
)
def test_texts_are_as_the_tokenizer_has_them(tmp_path, words):
    decoder = LMDecoder(TOKENIZER, arpa(tmp_path / "a.arpa", words))
    assert decoder(scores("good eggs")) == TOKENIZER.normalize("good eggs")


def test_a_tokenizer_of_small_letters(tmp_path):
    letters = "|abcdefghijklmnopqrstuvwxyz"
    tokenizer = CharacterTokenizer(letters, upper=False)
    decoder = LMDecoder(tokenizer, arpa(tmp_path / "a.arpa", ["good", "eggs"]))
    assert decoder(scores("good eggs", tokenizer)) == "good eggs"
    with pytest.raises(ValueError, match="none of its 1 words can be written with"):
        LMDecoder(tokenizer, arpa(tmp_path / "b.arpa", ["GOOD"]))


@pytest.mark.parametrize(
    ("lexicon", "found"),
    [
        ("GOOD G O O D |\nEGGS E G G S |\n", "GOOD EGGS"),
        ("GOOD(2) G O O D |\nEGGS(13) E G G S |\n", "GOOD EGGS"),
        ("GOOD\tG O O D |\r\nEGGS\tE G G S |\r\n", "GOOD EGGS"),
        ("good G O O D |\n", "none of its 1 words is in the language model"),
        ("BAD B A D |\n", "none of its 1 words is in the language model"),
        ("", "has no words"),
        ("\n\n", "has no words"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_lexica_beside_a_model(tmp_path, lexicon, found, packed):
    model, path = arpa(tmp_path / "a.arpa", ["GOOD", "EGGS"]), tmp_path / "my.lex"
    path.write_bytes(gzip.compress(lexicon.encode()) if packed else lexicon.encode())
    if found == "GOOD EGGS":
        decoder = LMDecoder(TOKENIZER, model, lexicon=path)
        assert decoder(scores("good eggs")) == found
    else:
        with pytest.raises(ValueError, match=f"my.lex: {found}"):
            LMDecoder(TOKENIZER, model, lexicon=path)


def test_what_is_partly_known_is_counted(tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    path = tmp_path / "my.lex"
    path.write_text("GOOD G O O D |\nBAD B A D |\nÉG E G |\n", encoding="utf-8")
    LMDecoder(TOKENIZER, arpa(tmp_path / "a.arpa", ["GOOD", "EGGS"]), lexicon=path)
    assert "2 of its 3 words are not in the language model" in caplog.text
    assert "my.lex:3: the word 'ÉG' (E G |) is not what its characters" in caplog.text


def test_packed_models(tmp_path):
    plain = arpa(tmp_path / "a.arpa", ["GOOD", "EGGS"])
    packed = tmp_path / "a.arpa.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert words_of(packed) == words_of(plain) == ["GOOD", "EGGS"]
    assert LMDecoder(TOKENIZER, packed)(scores("eggs")) == "EGGS"


def test_other_encodings_name_file_and_line(tmp_path):
    model = arpa(tmp_path / "a.arpa", ["GOOD", "CAFÉ"])
    model.write_bytes(model.read_text("utf-8").encode("latin-1"))
    with pytest.raises(ValueError, match="a.arpa' is not an ARPA .*: line 10: "):
        words_of(model)
    path = tmp_path / "my.lex"
    path.write_bytes("GOOD G O O D |\nCAFÉ C A F E |\n".encode("latin-1"))
    with pytest.raises(ValueError, match="my.lex' is not a lex.*: line 2 is not UTF-8"):
        check_lexicon(path, TOKENIZER)
    with pytest.raises(ManifestError, match="my.lex: line 2 is not UTF-8"):
        read_lexicon(path)
    path.write_bytes(gzip.compress(b"GOOD G UH1 D\n")[:-9])
    with pytest.raises(ManifestError, match="packed with gzip, and damaged"):
        read_lexicon(path)


def test_pronunciations(tmp_path):
    path = tmp_path / "my.dict.gz"
    text = ";;; CMUdict\ngood(1)  G UH1 D\nGOOD(2) G UH0 D\nEGG EH1 G\n(1) AH0\n"
    path.write_bytes(gzip.compress(text.encode()))
    assert read_lexicon(path) == {"GOOD": "G UH1 D", "EGG": "EH1 G", "(1)": "AH0"}
