"""Texts of translations: tokens, tables, BLEU."""

import subprocess
import sys
from types import SimpleNamespace

import numpy
import pytest
import soundfile
import torch

from s3prl_sb.brains.seq2seq import Seq2SeqBrain
from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.dataset import ManifestDataset
from s3prl_sb.dataio.manifest import ManifestError
from s3prl_sb.dataio.pipes import EncodeTokens
from s3prl_sb.dataio.token_training import (
    TokenError,
    train_tokenizer,
    trained_tokenizer,
)
from s3prl_sb.dataio.tokenizers import CharacterTokenizer, SymbolTokenizer, from_spec
from s3prl_sb.dataio.translations import prepare_translation_tables
from s3prl_sb.errors import MissingExtra
from s3prl_sb.metrics.translation import BleuError, bleu, tokenizer_for
from s3prl_sb.startup import readiness

TEXTS = ["Guten Tag!", "Wie  geht es?", "Der Lappen liegt auf dem Eisschrank.", "我是"]


# ------------------------------------------------------------------------- tokens
@pytest.mark.parametrize(
    "kind, size", [("characters", 1000), ("unigram", 45), ("bpe", 60)]
)
def test_tokens_are_learned_from_texts(kind, size):
    tokenizer = train_tokenizer(TEXTS, kind, size)
    assert len(tokenizer) <= size
    for text in TEXTS:
        tokens = tokenizer.encode(text)
        assert tokens[-1] == tokenizer.eos and tokenizer.bos not in tokens
        assert tokenizer.decode(tokens) == tokenizer.normalize(text)
        assert tokenizer.normalize(text) == " ".join(text.split())
    again = train_tokenizer(TEXTS, kind, size)
    assert again.spec() == tokenizer.spec()
    assert from_spec(tokenizer.spec()).encode("Tag") == tokenizer.encode("Tag")
    if kind == "characters":  # each one is a token, the space among them
        assert len(tokenizer.encode("Tag!")) == len("_Tag!") + 1


def test_unknown_characters_stay_in_the_reference():
    tokenizer = train_tokenizer(TEXTS)
    tokens = tokenizer.encode("Tag Ω ½")
    assert tokens.count(tokenizer.unknown) == 2
    assert tokenizer.normalize("Tag Ω ½") == "Tag Ω ½"
    assert tokenizer.decode(tokens) == "Tag"


def test_rare_characters_are_left_out():
    tokenizer = train_tokenizer(["aaab", "aab", "a c"], "characters", 7)
    assert tokenizer.tokens[4:] == ["a", "▁", "b"]


def test_impossible_tokens():
    with pytest.raises(TokenError, match="num_tokens 10: sentencepiece cannot learn"):
        train_tokenizer(TEXTS, "unigram", 10)
    with pytest.raises(ManifestError, match="all texts"):
        train_tokenizer(["", " "])
    with pytest.raises(ValueError, match="no token ends a text"):
        _ = SymbolTokenizer(end=()).eos
    with pytest.raises(ValueError, match="there is no <s>"):
        _ = SymbolTokenizer().bos
    assert (CharacterTokenizer().bos, CharacterTokenizer().eos) == (0, 2)


def test_tokens_of_a_run_are_read_again(tmp_path):
    first = trained_tokenizer(tmp_path, TEXTS, "characters", 1000)
    stamp = (tmp_path / "tokens.json").stat().st_mtime_ns
    again = trained_tokenizer(tmp_path, TEXTS, "characters", 1000)
    assert again.spec() == first.spec()
    assert (tmp_path / "tokens.json").stat().st_mtime_ns == stamp
    other = trained_tokenizer(tmp_path, [*TEXTS, "Ω"], "characters", 1000)
    assert len(other) == len(first) + 1


def test_characters_without_a_token_are_told(tmp_path, caplog):
    """A thousand tokens are not enough for Chinese."""
    caplog.set_level("INFO", "s3prl_sb")  # whatever earlier tests have set
    texts = ["ein Ei", "nein\u2028ein"]
    trained_tokenizer(tmp_path, texts, "characters", 9)
    assert {record.levelname for record in caplog.records} == {"INFO"}
    caplog.clear()
    trained_tokenizer(tmp_path, [*texts, "x"], "characters", 8)
    assert [record.levelname for record in caplog.records].count("WARNING") == 1
    assert "num_tokens 8: 2 characters of the training texts, such as E" in caplog.text


def test_two_texts_of_an_utterance():
    records = {"a": {"text": "Tag", "transcription": "day"}}
    first, second = train_tokenizer(["Tag"]), train_tokenizer(["day"])
    pipes = [EncodeTokens(first), EncodeTokens(second, "transcription", "source_")]
    keys = ["tokens", "reference", "source_tokens", "source_reference"]
    example = ManifestDataset(records, pipes, keys)[0]
    assert first.decode(example["tokens"].tolist()) == example["reference"] == "Tag"
    assert second.decode(example["source_tokens"].tolist()) == "day"


# ------------------------------------------------------------------------- tables
@pytest.fixture
def table(tmp_path):
    soundfile.write(tmp_path / "a.wav", numpy.zeros(1600), 16000)

    def table(header, row):
        path = tmp_path / "my.csv"
        path.write_text(f"id,wav,{header}\n1,a.wav,{row}\n")
        return [path, path, path, tmp_path / "save"]

    return table


@pytest.mark.parametrize(
    "header, row, needed, texts",
    [
        ("translation", "nein", "translation", ("nein", "")),
        ("translation,transcription", "nein,no", "translation", ("nein", "no")),
        ("translation,text", "nein,no", "translation", ("nein", "no")),
        ("transcription", "no", "transcription", ("", "no")),
        ("text", "no", "transcription", ("", "no")),
        ("transcription,translation", "no,nein", "transcription", ("nein", "no")),
    ],
)
def test_columns_of_a_table(table, header, row, needed, texts):
    paths = prepare_translation_tables(*table(header, row), needed=(needed,))
    record = manifest.read(paths["train"])["1"]
    assert (record["text"], record["transcription"]) == texts


def test_a_column_that_is_missing(table):
    with pytest.raises(ManifestError, match="no column transcription"):
        given = table("translation", "nein")
        prepare_translation_tables(*given, needed=("translation", "transcription"))
    with pytest.raises(ManifestError, match="my.csv:2: '1'.*translation"):
        prepare_translation_tables(*table("translation,text", ",no"))


# --------------------------------------------------------------------------- BLEU
HYPOTHESES = {"a": "The cat sat on the mat .", "b": "", "c": "It is, a test's dog"}
REFERENCES = {"a": "The cat sat on a mat.", "b": "No!", "c": "It is a test's Dog."}


def test_bleu_of_the_command_line(tmp_path):
    files = []
    for name, texts in (("ref", REFERENCES), ("hyp", HYPOTHESES)):
        files.append(tmp_path / f"{name}.txt")
        files[-1].write_text("".join(f"{text}\n" for text in texts.values()))
    for tokenize in ("13a", "char"):
        argv = [files[0], "-i", files[1], "-tok", tokenize, "-b", "-w", "10"]
        said = subprocess.run(
            [sys.executable, "-m", "sacrebleu", *map(str, argv)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert bleu(HYPOTHESES, REFERENCES, tokenize).score == pytest.approx(
            float(said), abs=1e-9
        )
    reordered = dict(reversed(HYPOTHESES.items()))  # texts are paired by their ids
    assert bleu(reordered, REFERENCES) == bleu(HYPOTHESES, REFERENCES)


def test_tokenizers_of_languages(monkeypatch):
    found = {
        code: tokenizer_for("auto", code) for code in ("de", "zh-CN", "ZH_tw", "th")
    }
    assert found == {"de": "13a", "zh-CN": "zh", "ZH_tw": "zh", "th": "char"}
    assert tokenizer_for("char", "de") == "char"
    monkeypatch.setitem(sys.modules, "MeCab", None)
    monkeypatch.delitem(sys.modules, "sacrebleu.tokenizers.tokenizer_ja_mecab", False)
    assert tokenizer_for("auto", "ja") == "char"
    with pytest.raises(MissingExtra, match=r"pip install 'sacrebleu\[ja\]'"):
        tokenizer_for("ja-mecab", "ja")
    with pytest.raises(BleuError, match="there is no '13b'"):
        tokenizer_for("13b", "de")


def test_without_sacrebleu_a_run_does_not_begin(monkeypatch):
    monkeypatch.setitem(sys.modules, "sacrebleu.metrics", None)
    hparams = {"bleu_tokenize": "auto", "target_language": "de"}
    with pytest.raises(MissingExtra, match=r"pip install 's3prl_sb\[st\]'"):
        readiness.check({"target": "translation", **hparams})
    readiness.check({"target": "transcription", **hparams})


def test_texts_without_spaces_are_not_taken_for_words(caplog):
    """A wrong code of the language would measure whole sentences as words."""
    brain = object.__new__(Seq2SeqBrain)  # scoring needs no network
    brain.translates, brain.has_warned_of_words = True, False
    for code, how, warnings in (
        ("zh-CN", "auto", 0),
        ("de", "13a", 0),
        ("chinese", "auto", 1),
        ("chinese", "auto", 1),  # once
    ):
        settings = {"target_language": code, "bleu_tokenize": how}
        brain.hparams = SimpleNamespace(**settings)
        found = brain.score({"a": "我看见他了"}, {"a": "我看见你了"})
        assert (found["bleu"] > 0) == (code == "zh-CN")
        assert len(caplog.records) == warnings
    assert "target_language 'chinese': BLEU splits these texts" in caplog.text


def test_utterances_that_ctc_cannot_learn(caplog):
    """Equal tokens need a frame between them; the warning comes once."""
    brain = object.__new__(Seq2SeqBrain)
    brain.has_warned = False
    tokens = torch.tensor([[4, 5, 6, 3], [4, 4, 3, 0]])
    batch = SimpleNamespace(
        id=["a", "b"], source_tokens=(tokens, torch.tensor([1, 0.75]))
    )
    brain._warn_of_impossible(batch, torch.tensor([4, 4]))
    assert not caplog.records
    for _ in range(2):
        brain._warn_of_impossible(batch, torch.tensor([4, 3]))
    (record,) = caplog.records
    assert "utterance 'b' has 3 frames in the encoder, and the 3 tokens" in caplog.text
