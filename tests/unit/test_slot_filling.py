"""Words with slots: tags and marks, custom tables, and the Brain."""

import logging
import re
from itertools import product

import numpy as np
import pytest
import soundfile

from s3prl_sb.brains.slot_filling import SlotFillingBrain, readable
from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.manifest import ManifestError
from s3prl_sb.dataio.slots import (
    mark_slots,
    prepare_slot_tables,
    tagged_words,
    with_slots,
    without_marks,
)
from s3prl_sb.dataio.tokenizers import SlotTokenizer
from s3prl_sb.metrics.slots import slot_values


def marked(text, iob, **kwargs):
    words, tags, unknown = tagged_words(text, iob, **kwargs)
    assert len(words) == len(tags) and not unknown
    return mark_slots(words, tags)


@pytest.mark.parametrize(
    "text, iob, expected",
    [
        ("go", "O", "GO"),
        ("play abba", "O artist", "PLAY B-artist ABBA E-artist"),
        ("the who now", "artist artist O", "B-artist THE WHO E-artist NOW"),
        ("abba rome", "artist city", "B-artist ABBA E-artist B-city ROME E-city"),
        # Two of a kind in a row
        ("abba oasis", "B-x B-x", "B-x ABBA E-x B-x OASIS E-x"),
        ("the who", "B-artist I-artist", "B-artist THE WHO E-artist"),
        ("the who", "I-artist I-artist", "B-artist THE WHO E-artist"),
        # Punctuation is dropped, but not where a slot ends
        ("hello ! now", "song song O", "B-song HELLO E-song NOW"),
        ("now , hello !", "O song song song", "NOW B-song HELLO E-song"),
        ("oh , hello", "song song song", "B-song OH HELLO E-song"),
        ("abba , oasis", "x O x", "B-x ABBA E-x B-x OASIS E-x"),
        ("... abba", "x I-x", "B-x ABBA E-x"),
        ("! abba", "x y", "B-y ABBA E-y"),
        # What is written as one word
        ("r&b check-in", "genre O", "B-genre R AND B E-genre CHECK IN"),
        ("rock & roll", "genre genre genre", "B-genre ROCK AND ROLL E-genre"),
        ("don’t 'cause '", "O O O", "DON'T 'CAUSE"),
        ("Beyoncé Ærø ﬁn", "O O O", "BEYONCE ARO FIN"),
    ],
)
def test_marks(text, iob, expected):
    assert marked(text, iob) == expected


def test_all_short_tag_sequences_keep_their_slots():
    """Read back from the marked text, the slots are what a plain walk finds."""
    for tags in product(["O", "x", "B-x", "I-x", "y"], repeat=4):
        words = ["A", "B", "C", "D"]
        slots, last = [], "O"
        for word, tag in zip(words, tags):
            slot = tag.removeprefix("B-").removeprefix("I-")
            if slot != "O":
                if slot == last and tag[:2] != "B-":
                    slots[-1][1].append(word)
                else:
                    slots.append((slot, [word]))
            last = slot
        expected = {}
        for slot, value in slots:
            expected.setdefault(slot, []).append(" ".join(value))
        text = marked(" ".join(words), " ".join(tags))
        assert slot_values(text) == expected
        assert without_marks(text, ["x", "y"]) == "A B C D"
        kept, plain, _ = tagged_words("A B C D", " ".join(tags))
        again = tagged_words(" ".join(kept), " ".join(plain))
        assert again[:2] == (kept, plain)  # as a manifest is read again


def test_other_letters():
    assert marked("Äpfel, bitte", "x O", characters="abcdefilnpteäÄ") == (
        "B-x Äpfel E-x bitte"
    )
    assert tagged_words("7 days 愛", "O O O")[::2] == (["DAYS"], {"7", "愛"})


def test_wrong_tags():
    with pytest.raises(ValueError, match="2 words, but 1 tags in iob"):
        tagged_words("a b", "O")
    with pytest.raises(ValueError, match="'B-' is no tag"):
        tagged_words("a b", "O B-")


def test_only_known_marks_are_dropped():
    text = "B-x A E-y B-sides E- E-x"
    assert without_marks(text, ["x", "y"]) == "A B-sides E-"


# --------------------------------------------------------------------------- tables
def tables(folder, text="Play ABBA", iob="O artist", split="valid"):
    soundfile.write(folder / "a.wav", np.zeros(1600), 16000)
    paths = []
    for name in ("train", "valid", "test"):
        lines = ["id,wav,transcription,iob", f"{name}0,a.wav,Go to Rome,O O city"]
        if name == split:
            lines.append(f'{name}1,a.wav,"{text}",{iob}')
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n", "utf-8")
        paths.append(folder / f"{name}.csv")
    return paths


def test_tables(tmp_path):
    paths = prepare_slot_tables(*tables(tmp_path), tmp_path / "save")
    record = manifest.read(paths["valid"])["valid1"]
    assert (record["text"], record["iob"]) == ("Play ABBA", "O artist")


@pytest.mark.parametrize(
    "text, iob, message",
    [
        ("Play ABBA now", "O artist", "3 words, but 2 tags in iob"),
        ("Play ABBA", "O I-", "'I-' is no tag"),
        ("Play 7 days", "O O O", "has 7, none of ABCDEFGHIJ"),
        ("...", "O", "holds no word"),
        ("Play ABBA", "", "iob is empty"),
        ("", "O", "text is empty"),
    ],
)
def test_wrong_tables(tmp_path, text, iob, message):
    paths = tables(tmp_path, text, iob)
    place = re.escape(f"{paths[1]}:3: 'valid1': {message}")
    with pytest.raises(ManifestError, match=place):
        prepare_slot_tables(*paths, tmp_path / "save")


def test_json_that_is_no_text(tmp_path):
    train, valid, _ = tables(tmp_path)
    path = tmp_path / "test.json"
    path.write_text('{"x": {"wav": "a.wav", "text": ["Go"], "iob": "O"}}')
    message = re.escape(f"{path}:1: 'x': text ['Go'] is neither text nor a number")
    with pytest.raises(ManifestError, match=message):
        prepare_slot_tables(train, valid, path, tmp_path / "save")


def test_wrong_manifests_are_named_themselves(tmp_path):
    prepare_slot_tables(*tables(tmp_path, "Ö", "O"), tmp_path / "save")
    path = tmp_path / "save/valid.json"
    path.write_text(path.read_text("utf-8").replace('"Ö"', '"!"'), "utf-8")
    with pytest.raises(ManifestError, match=r"valid.json:3: 'valid1': holds no word"):
        prepare_slot_tables(None, None, None, tmp_path / "save", skip_prep=True)


def test_marks_in_all_splits(caplog):
    def record(text, iob):
        return {"wav": "a.wav", "text": text, "iob": iob}

    records = {
        "train": {"a": record("go to rome", "O O city")},
        "valid": {"b": record("play abba", "O artist")},
        "test": {"c": record("rome", "city")},
    }
    with caplog.at_level(logging.WARNING):
        found, slots = with_slots(records)
    assert slots == ["artist", "city"]
    assert found["train"]["a"] == {"wav": "a.wav", "text": "GO TO B-city ROME E-city"}
    assert "training does not show: artist" in caplog.text
    assert records["train"]["a"]["iob"]  # not changed
    records["test"] = {"c": record("rome", "O")}
    with pytest.raises(
        ManifestError, match="none of the 1 utterances of test has a slot"
    ):
        with_slots(records)


# ---------------------------------------------------------------------------- Brain
def score(hypotheses, references):
    brain = SlotFillingBrain.__new__(SlotFillingBrain)
    brain.tokenizer = SlotTokenizer(["artist", "city"])
    return brain.score(hypotheses, references)


def test_score():
    true = {"a": "PLAY B-artist THE WHO E-artist", "b": "TO B-city ROME E-city"}
    assert score(true, true) == {
        "slot_type_f1": 1,
        "wer": 0,
        "slot_value_cer": 0,
        "slot_value_wer": 0,
        "slot_edit_f1_full": 1,
        "slot_edit_f1_part": 1,
    }
    found = {"a": "PLAY B-artist THE WHO E-artist", "b": "TO B-artist ROM E-artist"}
    scores = score(found, true)
    assert scores["slot_type_f1"] == 0.5
    assert scores["wer"] == 1 / 5  # the marks are no words
    assert scores["slot_value_cer"] == 4 / 11
    assert scores["slot_value_wer"] == 1 / 3
    assert scores["slot_edit_f1_full"] == 2 / (2 + 2)
    assert scores["slot_edit_f1_part"] == 2 / (2 + 1)
    assert score({"a": ""}, {"a": "GO"}) == {"slot_type_f1": 1, "wer": 1}
    assert score({"a": ""}, {"a": "B-city ROME E-city"})["slot_value_cer"] == 1


def test_readable():
    assert readable("GO") == ""
    assert readable("B-x A B E-x B-y C E-y B-x D E-x B-z") == "x: A B, D; y: C"


def test_tokens_of_marked_texts():
    tokenizer = SlotTokenizer(["artist"], characters=" '" + "ABHOSTWY", upper=False)
    for text in ("B-artist WHO E-artist", "TO B-artist THAT'S A B E-artist BY"):
        assert tokenizer.decode(tokenizer.encode(text)) == text
