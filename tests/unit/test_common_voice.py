"""Common Voice: releases, accents, odd tables, missing clips; its toy."""

import logging
import re

import numpy
import pytest
import soundfile

from s3prl_sb.corpora import common_voice
from s3prl_sb.corpora.common_voice import TABLES, find_language, prepare_common_voice
from s3prl_sb.corpora.text_normalization import is_unspaced, normalize
from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.manifest import ManifestError

HEADER = "client_id\tpath\tsentence\tup_votes\taccent\tlocale"


def write(folder, rows, header=HEADER, tables=tuple(TABLES.values()), clips=None):
    """Writes the same rows to all tables, and the clips of their paths."""
    (folder / "clips").mkdir(parents=True, exist_ok=True)
    for table in tables:
        (folder / table).write_text("\n".join([header, *rows]) + "\n", "utf-8")
    paths = [row.split("\t")[1] for row in rows] if clips is None else clips
    for path in paths:
        wav = (folder / "clips" / path).with_suffix(".wav")
        soundfile.write(wav, numpy.zeros(1600), 16000)


def prepared(*args, **kwargs):
    paths = prepare_common_voice(*args, **kwargs)
    return {split: manifest.read(path) for split, path in paths.items()}


def spanish(number, sentence, accent="mexicano"):
    return f"who{number % 2}\tc{number}.mp3\t{sentence}\t2\t{accent}\tes"


def test_only_mexican_spanish(tmp_path):
    rows = [spanish(0, "¡Hola!"), spanish(1, "Vale.", "nortepeninsular")]
    write(tmp_path / "es", [*rows, spanish(2, "しら"), spanish(3, "¿Qué?", "")])
    splits = prepared(tmp_path, tmp_path / "save", "es")
    assert {name: r["text"] for name, r in splits["test"].items()} == {"c0": "HOLA"}
    record = splits["train"]["c0"]
    assert record["duration"] == 0.1 and record["speaker"] == "who0"
    splits = prepared(tmp_path, tmp_path / "save", "es", accents=None)
    assert set(splits["test"]) == {"c0", "c1", "c3"}  # another argument: made again


def test_a_later_release(tmp_path):
    """Several accents by their names, and columns in another order."""
    rows = ["1\tc0.mp3\tHola\tMéxico, Caribe\tx", "1\tc1.mp3\tHola\tCaribe|Andino\tx"]
    header = "sentence_id\tpath\tsentence\taccents\tclient_id"
    write(tmp_path / "cv-corpus-13.0-2023-03-09/es", rows, header)
    write(tmp_path / "cv-corpus-9.0-2022-04-27/es", [spanish(5, "¡Otro!")])
    splits = prepared(tmp_path, tmp_path / "save", "es")
    assert set(splits["test"]) == {"c0"}  # 13 comes after 9
    words = r"no sentence with the accent chileno; there are .*México, Caribe \(1\)"
    with pytest.raises(ManifestError, match=words):
        prepared(tmp_path, tmp_path / "save", "es", accents="chileno")


def test_quotes_and_backslashes_are_characters(tmp_path):
    """A quotation mark at the beginning does not swallow the next rows."""
    rows = [
        spanish(0, '"Hola'),
        spanish(1, r"uno\\dos \"tres\""),
        spanish(2, "a\u2028b"),
    ]
    write(tmp_path, rows)
    splits = prepared(tmp_path, tmp_path / "save", "es")
    texts = [record["text"] for record in splits["test"].values()]
    assert texts == ["HOLA", "UNO DOS TRES", "A\u2028B"]


@pytest.mark.parametrize(
    "rows, header, words",
    [
        (
            [spanish(0, "a")],
            HEADER.replace("sentence", "text"),
            ":1: no column sentence",
        ),
        (["who\tc0.mp3\ta"], HEADER, ":2: 3 cells, but the header has 6"),
        ([spanish(0, "a"), spanish(0, "b")], HEADER, ":3: c0.mp3 again"),
        ([spanish(0, "a"), "w\t\tb\t2\t\tes"], HEADER, ":3: path is empty"),
        ([spanish(0, "a").replace("\tes", "\tca")], HEADER, ":2: its locale is ca"),
        ([spanish(0, "a", "")], HEADER, r"the accent mexicano or .*none \(1\)"),
        (
            [spanish(0, "a"), "w\tc0.wav\tb\t2\t\tes"],
            HEADER,
            ":3: c0.wav has the name of c0.mp3",
        ),
        (
            [spanish(0, "a"), spanish(1, "b")],
            HEADER.replace("up_votes", "sentence"),
            ":1: sentence is there twice",
        ),
    ],
)
def test_errors_name_the_line(rows, header, words, tmp_path):
    write(tmp_path / "es", rows, header, clips=["c0.mp3"])
    with pytest.raises(ManifestError, match=words):
        prepare_common_voice(tmp_path, tmp_path / "save", "es")


@pytest.mark.parametrize("rows", [[], ["w\tc0.mp3\t...\t2\t\tde"]])
def test_no_sentence_is_left(rows, tmp_path):
    """An empty table, or one of which nothing can be spelled; without accents."""
    write(tmp_path / "de", rows, clips=["c0.mp3"])
    with pytest.raises(ManifestError, match="train.tsv: no sentence in it"):
        prepare_common_voice(tmp_path, tmp_path / "save", "de")


def test_missing_languages_and_tables(tmp_path):
    write(tmp_path / "es", [spanish(0, "a")])
    with pytest.raises(ManifestError, match="/ar: no folder of .* There are es. "):
        find_language(tmp_path, "ar")
    assert find_language(tmp_path / "es", "es") == tmp_path / "es"
    (tmp_path / "es/dev.tsv").unlink()
    with pytest.raises(ManifestError, match="dev.tsv: no such file"):
        prepare_common_voice(tmp_path, tmp_path / "save", "es")


def test_a_few_missing_clips_are_counted_and_many_are_an_error(tmp_path, caplog):
    rows = [spanish(number, "hola") for number in range(4)]
    write(tmp_path / "es", rows, clips=["c0.mp3", "c1.mp3", "c3.mp3"])
    splits = prepared(tmp_path, tmp_path / "save", "es")
    assert len(splits["train"]) == 3
    assert "train: 1 of 4 recordings" in caplog.text and "c2.mp3" in caplog.text
    for name in ("c0", "c1"):
        (tmp_path / f"es/clips/{name}.wav").unlink()
    (tmp_path / "save/train.json").unlink()
    with pytest.raises(ManifestError, match="3 of 4 clips of train are missing"):
        prepare_common_voice(tmp_path, tmp_path / "save", "es")


def test_speakers_of_two_splits_are_reported(tmp_path, caplog):
    write(tmp_path / "es", [spanish(0, "hola"), spanish(1, "adiós")])
    with caplog.at_level(logging.WARNING):
        prepare_common_voice(tmp_path, tmp_path / "save", "es")
    assert "2 of 2 speakers of test are in training too" in caplog.text


@pytest.mark.parametrize(
    "sentence, language, expected",
    [
        ("„Äpfel & Öl“ – 3 €, d’accord?", "de", "ÄPFEL ÖL 3 D'ACCORD"),
        ("'It' isn't 'rock 'n' roll'", "cy", "IT ISN'T ROCK N ROLL"),
        ("istanbul ılık", "tr", "İSTANBUL ILIK"),
        ("नमस्ते, दुनिया!", "hi", "नमस्ते दुनिया"),
        ("สวัสดี", "th", "สวัสดี"),
        ("…!", "fr", ""),
        # What has no form of its own ends no word: soft hyphen, joiners, marks of
        # direction; a space without width is a space.
        ("Fuß\u00adball \u200fist\ufeff", "de", "FUSSBALL IST"),
        ("\u0915\u094d\u200d\u0937 \u0646\u0645\u06cc\u200c\u062e", "hi", "क्ष نمیخ"),
        ("ខ្មែរ\u200bមួយ", "km", "ខ្មែរ មួយ"),
    ],
)
def test_other_languages(sentence, language, expected):
    assert normalize(sentence, language) == expected


def test_scripts_without_spaces():
    assert is_unspaced(["日本のカタカナ"]) and is_unspaced(["สวัสดี"])
    assert not is_unspaced(["PRECIO 你"]) and not is_unspaced(["नमस्ते", "123"])


def test_toy(tmp_path):
    """All splits, other accents and scripts left out, nothing missing or shared."""
    pytest.importorskip("espeakng_loader")
    from s3prl_sb.corpora.sbcsae import prepare_sbcsae
    from s3prl_sb.corpora.toys.common_voice import common_voice as toy

    folder = toy(tmp_path / "toy", clips=16, conversations=1, turns=2)
    for language, letters in (("es", "A-ZÁÉÍÓÚÑ "), ("zh-CN", "一-鿿"), ("ar", "ء-ي ")):
        splits = prepared(folder, tmp_path / language, language)
        assert {n: len(r) for n, r in splits.items()} == {
            "train": 10,
            "valid": 2,
            "test": 2,
        }
        records = [r for records in splits.values() for r in records.values()]
        assert all(re.fullmatch(f"[{letters}]+", r["text"]) for r in records)
        assert all(1 < r["duration"] < 6 for r in records)
    paths = prepare_sbcsae(folder, tmp_path / "sbcsae")
    turns = {split: manifest.read(path) for split, path in paths.items()}
    assert {len(records) for records in turns.values()} == {2}
    assert common_voice.speaker({"client_id": "a" * 128}) == "a" * 16
