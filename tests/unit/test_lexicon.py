"""Words to phones: what counts, and errors that name the line."""

import logging
import time

import numpy as np
import pytest
import soundfile
from corpus_errors import fails

from s3prl_sb.corpora.lexicon import (
    PHONES,
    add_phones,
    prepare_phone_tables,
    read_lexicon,
)
from s3prl_sb.dataio import manifest, tokenizers


def write(path, *lines):
    path.write_text("\n".join(lines) + "\n")
    return str(path)


@pytest.fixture
def lexicon(tmp_path):
    return write(tmp_path / "lexicon.txt", "A AH0", "A EY1", "BEE\tB IY1", "SEE S IY1")


def texts(**splits):
    """``{split: {id: record}}`` of texts."""
    return {
        split: {f"{split}{n}": {"text": text} for n, text in enumerate(said)}
        for split, said in splits.items()
    }


def places(split):
    return {f"{split}{n}": f"{split}.trans.txt:{n + 1}" for n in range(9)}


def test_phones_are_those_of_the_tokenizer():
    assert len(PHONES) == 71 and len(set(PHONES)) == 71
    assert list(PHONES) == tokenizers.SymbolTokenizer().tokens[3:]
    assert sum(phone[-1] in "012" for phone in PHONES) == 45


def test_first_pronunciation_over_files(tmp_path, lexicon):
    more = write(tmp_path / "more.txt", ";;; of CMUdict", "", "bee  B EH1", "dee D IY1")
    assert read_lexicon([lexicon, more])["BEE"] == "B IY1"
    assert read_lexicon([more, lexicon])["BEE"] == "B EH1"
    assert read_lexicon([lexicon, more])["DEE"] == "D IY1"
    assert read_lexicon(lexicon, {"A"}) == {"A": "AH0"}


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("BAD B AE1 X", "BAD: 'X' is no phone"),
        ("BAD 0.9 B AE1 D", "BAD: '0.9' is no phone"),  # Kaldi's lexiconp.txt
        ("BAD B AE D", "BAD: 'AE' is no phone"),  # no stress
        ("BAD", "BAD: no phones"),
    ],
)
def test_malformed_lexicon(tmp_path, line, fault):
    path = write(tmp_path / "l.txt", "A AH0", line)
    with fails(f"{path}:2: {fault}", "'ABOUT AH0 B AW1 T'"):
        read_lexicon(path)
    assert read_lexicon(path, {"A"}) == {"A": "AH0"}  # where it does not matter
    with fails("absent.txt: no such file"):
        read_lexicon(str(tmp_path / "absent.txt"))


def test_phones_of_records(lexicon):
    splits = add_phones(texts(train=["A BEE", "see a"], test=["SEE"]), lexicon, places)
    assert splits["train"]["train0"] == {"text": "A BEE", "phones": "AH0 B IY1"}
    assert splits["train"]["train1"]["phones"] == "S IY1 AH0"
    assert splits["test"]["test0"]["phones"] == "S IY1"


def test_unknown_words_are_listed(lexicon):
    said = texts(train=["A CAT", "CAT DOG"], valid=["EMU A"], test=["A"])
    with fails(
        "train.trans.txt:1: 'train0': CAT is in no lexicon (2 times in all)",
        "train.trans.txt:2: 'train1': DOG is in no lexicon (once in all)",
        "valid.trans.txt:1: 'valid0': EMU",
        f"3 words are not in {lexicon}",
        "lexicon: [a.txt, b.txt]",
        "unknown_words: drop",
        "spn",
    ):
        add_phones(said, [lexicon], places)
    many = texts(train=[f"W{n}" for n in range(9)])
    with fails("W4", "... and 4 more", "9 words"):
        add_phones(many, lexicon, places)
    with fails("unknown_words: 'skip'. There are error, drop, spn."):
        add_phones(texts(train=["A"]), lexicon, places, "skip")


def test_unknown_words_as_noise_or_without_their_utterances(lexicon, caplog):
    said = ["A CAT BEE", "A"]
    with caplog.at_level(logging.WARNING):
        noise = add_phones(texts(train=said), lexicon, places, "spn")["train"]
        assert [r["phones"] for r in noise.values()] == ["AH0 SPN B IY1", "AH0"]
        left = add_phones(texts(train=said), lexicon, places, "drop")["train"]
        assert left == {"train1": {"text": "A", "phones": "AH0"}}
    assert "1 words are in no lexicon, such as CAT: their phone is SPN" in caplog.text
    assert "CAT: 1 of 2 utterances are left out" in caplog.text
    with fails("unknown_words: drop leaves no utterance in test"):
        add_phones(texts(train=["A"], test=["CAT"]), lexicon, places, "drop")


def test_a_large_lexicon_is_read_once(tmp_path):
    """Half as many words and a third of the utterances of LibriSpeech: a second."""
    vowels = [p for p in PHONES if p[-1] in "012"]
    lines = [
        f"W{n} B {vowels[n % 45]} D {vowels[n // 45 % 45]}" for n in range(100_000)
    ]
    path = write(tmp_path / "large.txt", *lines)
    said = {f"u{n}": {"text": f"W{n} W{n + 1} " * 17} for n in range(10_000)}
    begin = time.process_time()
    add_phones({"train": said}, path, places)
    assert time.process_time() - begin < 8
    assert said["u1"]["phones"].startswith(read_lexicon(path, {"W1"})["W1"])


# ----------------------------------------------------------------------- tables
@pytest.fixture
def table(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(8000), 16000)

    def table(name, column, *labels):
        rows = [f"{name}{n},a.wav,{label}" for n, label in enumerate(labels)]
        return write(tmp_path / f"{name}.csv", f"id,wav,{column}", *rows)

    return table


def test_tables_with_phones_or_words(table, tmp_path, lexicon):
    train = table("train", "phones", "B IY1", "S IY1 AH0")
    valid = table("valid", "text", "a bee")
    test = table("test", "transcription", "SEE")
    save = str(tmp_path / "save")
    paths = prepare_phone_tables(train, valid, test, save, [lexicon])
    found = {n: manifest.read(p) for n, p in paths.items()}
    assert found["train"]["train1"]["phones"] == "S IY1 AH0"
    assert found["valid"]["valid0"]["phones"] == "AH0 B IY1"
    assert found["test"]["test0"]["phones"] == "S IY1"
    before = (tmp_path / "save/train.json").stat().st_mtime_ns
    prepare_phone_tables(train, valid, test, save, lexicon)
    assert (tmp_path / "save/train.json").stat().st_mtime_ns == before
    write(tmp_path / "lexicon.txt", "A EY1", "BEE B IY1", "SEE S IY1")
    prepare_phone_tables(train, valid, test, save, lexicon)
    assert manifest.read(paths["valid"])["valid0"]["phones"] == "EY1 B IY1"
    assert prepare_phone_tables(None, None, None, save, skip_prep=True) == paths


def test_tables_that_lack_something(table, tmp_path, lexicon):
    good, save = table("good", "phones", "B IY1"), str(tmp_path / "save")
    label = table("label", "label", "yes")
    with fails(f"{label}:1: no column phones or text; found wav, label"):
        prepare_phone_tables(good, label, good, save, [lexicon])
    words = table("words", "text", "a", "a cat")
    with fails(f"{words}:1: no column phones", "lexicon: [librispeech-lexicon.txt]"):
        prepare_phone_tables(good, good, words, save)
    with fails(f"{words}:3: 'words1': CAT is in no lexicon"):
        prepare_phone_tables(good, good, words, save, [lexicon])
    wrong = table("wrong", "phones", "B IY1", "B IY")
    with fails(f"{wrong}:3: 'wrong1': 'IY' is no phone", "SIL, SPN, AA0"):
        prepare_phone_tables(wrong, good, good, save)
    empty = table("empty", "phones", "B IY1", "")
    with fails(f"{empty}:3: 'empty1': phones is empty"):
        prepare_phone_tables(empty, good, good, save)


def test_tables_of_other_phones(table, tmp_path):
    german = table("german", "phones", "a: x", "x a:")
    paths = prepare_phone_tables(
        german, german, german, str(tmp_path / "save"), phones=["a:", "x"]
    )
    assert manifest.read(paths["train"])["german0"]["phones"] == "a: x"


@pytest.mark.parametrize("column", ["phones", "text"])
def test_json_that_is_no_text(table, tmp_path, lexicon, column):
    good, save = table("good", "phones", "B IY1"), str(tmp_path / "save")
    path = tmp_path / "my.json"
    write(path, '{"x": {"wav": "a.wav", "%s": ["B", "IY1"]}}' % column)
    with fails(f"{path}:1: 'x': {column} ['B', 'IY1'] is neither text nor a number"):
        prepare_phone_tables(good, path, good, save, [lexicon])
    write(path, '{"x": {"wav": "a.wav", "%s": 5}}' % column)
    fault = "'5' is no phone" if column == "phones" else "5 is in no lexicon"
    with fails(f"{path}:1: 'x': {fault}"):
        prepare_phone_tables(good, path, good, save, [lexicon])
