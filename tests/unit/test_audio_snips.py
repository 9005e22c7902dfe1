"""Audio SNIPS: its texts and voices, errors that say the way out, and its toy."""

import logging
import re

import numpy as np
import pytest
import soundfile
from corpus_errors import fails

from s3prl_sb.corpora.audio_snips import SPEAKERS, prepare_audio_snips
from s3prl_sb.dataio import manifest

LINE = "PLAY ABBA\tO O artist PlayMusic"


def corpus(folder, texts=(LINE,), voices=("Joey", "Aditi", "Emma"), splits=None):
    """Every voice in every split, with these texts: words, tab, tags."""
    lines = []
    for split in splits or SPEAKERS:
        for voice in voices:
            for number, text in enumerate(texts):
                name = f"{voice}-snips-{split}-{number}"
                path = folder / split / f"{name}.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(path, np.zeros(800 * (number + 1)), 16000)
                words, tab, tags = text.partition("\t")
                lines.append(f"{name} BOS {words} EOS{tab}{tags}")
    (folder / "all.iob.snips.txt").write_text("\n".join(lines) + "\n", "utf-8")
    return folder


def load(paths):
    assert list(paths) == ["train", "valid", "test"]
    required = ("text", "iob", "intent", "speaker")
    return {
        n: manifest.validate(manifest.read(p), p, required) for n, p in paths.items()
    }


def test_voices_of_each_split(tmp_path):
    texts = [LINE, "GIVE IT TWO STARS .\tO O O rating unit O RateBook"]
    found = load(prepare_audio_snips(corpus(tmp_path, texts), tmp_path / "save"))
    assert set(found["train"]) == {f"Joey-snips-train-{n}" for n in (0, 1)}
    assert {r["speaker"] for r in found["valid"].values()} == {"Aditi"}
    assert {r["speaker"] for r in found["test"].values()} == {"Emma"}
    assert found["train"]["Joey-snips-train-1"] == {
        "wav": str(tmp_path / "train/Joey-snips-train-1.wav"),
        "duration": 0.1,
        "start": None,
        "stop": None,
        "text": "GIVE IT TWO STARS",
        "iob": "O O B-rating B-unit",
        "intent": "RateBook",
        "speaker": "Joey",
    }


def test_other_voices(tmp_path):
    voices = {"train_speakers": ["Emma"], "valid_speakers": ["Joey", "Aditi"]}
    found = load(prepare_audio_snips(corpus(tmp_path), tmp_path / "save", **voices))
    assert [len(records) for records in found.values()] == [1, 2, 1]
    with fails("train_speakers: 'Emma' is no list"):
        prepare_audio_snips(tmp_path, tmp_path / "x", train_speakers="Emma")
    with fails("train: no recordings", "of Nobody", "set train_speakers"):
        prepare_audio_snips(tmp_path, tmp_path / "x", train_speakers=["Nobody"])


def test_the_folder_above(tmp_path):
    corpus(tmp_path / "SNIPS")
    assert load(prepare_audio_snips(tmp_path, tmp_path / "save"))["test"]


def test_foreign_titles(tmp_path, caplog):
    texts = [
        "PLAY 楽園追放 R&B\tO O track artist PlayMusic",
        'PLAY "SIGUR RÓS" №日\tO O artist artist O PlayMusic',
    ]
    with caplog.at_level(logging.WARNING):
        found = load(prepare_audio_snips(corpus(tmp_path, texts), tmp_path / "save"))
    first, second = found["train"].values()
    assert first["text"] == "PLAY EXPELLED R AND B"
    assert first["iob"] == "O B-track B-artist I-artist I-artist"
    assert second["text"] == "PLAY SIGUR ROS NO"
    assert f"{tmp_path / 'all.iob.snips.txt'}:2: '日' is dropped" in caplog.text


def test_made_once(tmp_path):
    folder = corpus(tmp_path / "corpus")
    paths = prepare_audio_snips(folder, tmp_path / "save")
    before = {path: manifest.digest(path) for path in paths.values()}
    for wav in folder.rglob("*.wav"):
        wav.unlink()
    assert prepare_audio_snips(folder, tmp_path / "save") == paths
    assert prepare_audio_snips(None, tmp_path / "save", skip_prep=True) == paths
    assert before == {path: manifest.digest(path) for path in paths.values()}
    with fails("no recordings"):
        prepare_audio_snips(folder, tmp_path / "save", characters="ABC")


def test_what_is_left_out_is_logged(tmp_path, caplog):
    folder = corpus(tmp_path, [LINE, LINE])
    text = folder / "all.iob.snips.txt"
    lines = text.read_text().splitlines()
    text.write_text("\n".join(x for x in lines if "Joey-snips-train-1" not in x))
    with caplog.at_level(logging.WARNING):
        found = load(prepare_audio_snips(folder, tmp_path / "save"))
    assert list(found["train"]) == ["Joey-snips-train-0"]
    assert "train: 1 recordings have no line in" in caplog.text
    assert "train: no recordings of Ivy, Joanna, Justin" in caplog.text


def test_texts_without_recordings_are_logged(tmp_path, caplog):
    folder = corpus(tmp_path, [LINE, LINE])
    (folder / "train/Joey-snips-train-1.wav").unlink()
    (folder / "train/Emma-snips-train-1.wav").unlink()  # none of the chosen voices
    (folder / "train/._Joey-snips-train-1.wav").write_bytes(b"\x00\xff")
    found = load(prepare_audio_snips(folder, tmp_path / "save"))
    assert list(found["train"]) == ["Joey-snips-train-0"]
    (message,) = (r.message for r in caplog.records if "lines" in r.message)
    place = f"{folder / 'all.iob.snips.txt'}:2: 'Joey-snips-train-1'"
    assert message == (
        f"train: 1 lines have no recording and are left out, the first in {place}"
    )


def test_a_broken_folder(tmp_path):
    save = tmp_path / "save"
    with fails("data_folder is not set"):
        prepare_audio_snips(None, save)
    with fails(f"{tmp_path / 'absent'}: no such folder"):
        prepare_audio_snips(tmp_path / "absent", save)
    with fails(f"{tmp_path / 'all.iob.snips.txt'}: absent"):
        prepare_audio_snips(tmp_path, save)
    with fails("train.json: absent", "skip_prep: False"):
        prepare_audio_snips(tmp_path, save, skip_prep=True)
    corpus(tmp_path)
    (tmp_path / "test" / "Emma-snips-test-0.wav").write_bytes(b"no audio")
    with fails("Emma-snips-test-0.wav: cannot be read as audio"):
        prepare_audio_snips(tmp_path, save)
    (tmp_path / "all.iob.snips.txt").write_text("")
    with fails("all.iob.snips.txt: no line for any of the 1 recordings of train"):
        prepare_audio_snips(tmp_path, save)


@pytest.mark.parametrize(
    "line, message",
    [
        ("PLAY ABBA", "no tab between words and tags"),
        ("PLAY ABBA\tO O PlayMusic", "4 words, but 3 tags"),
        ("PLAY  ABBA NOW\tO O x PlayMusic", "5 words, but 4 tags"),
        ("PLAY ABBA\tO O B- PlayMusic", "'B-' is no tag"),
        ("! ,\tO O O PlayMusic", "no words"),
        ("PLAY ABBA\tO O singer PlayMusic", "'singer' is not in slots.txt"),
    ],
)
def test_a_broken_line(tmp_path, line, message):
    folder = corpus(tmp_path, [LINE, line])
    if "singer" in line:
        (folder / "slots.txt").write_text("O\nartist\n")
    with fails("all.iob.snips.txt:2: 'Joey-snips-train-1': ", message, "Expected"):
        prepare_audio_snips(folder, tmp_path / "save")


def test_broken_names(tmp_path):
    folder = corpus(tmp_path)
    text = folder / "all.iob.snips.txt"
    good = text.read_text()
    text.write_text(good + good.splitlines()[0] + "\n")
    with fails(":10: 'Joey-snips-train-0' again, first in line 1"):
        prepare_audio_snips(folder, tmp_path / "save")
    text.write_text(good.replace("BOS ", "", 1).replace("O O artist", "O artist", 1))
    with fails(":1:", "not between BOS and EOS"):
        prepare_audio_snips(folder, tmp_path / "save")


# ------------------------------------------------------------------------------ toy
def test_toy(tmp_path):
    pytest.importorskip("espeakng_loader")
    from s3prl_sb.corpora.toys.audio_snips import REQUESTS, SLOTS, audio_snips

    size = {"train": 2, "valid": 1, "test": 1, "speakers": 2}
    toy = audio_snips(tmp_path / "toy", **size)
    found = load(prepare_audio_snips(toy, tmp_path / "save"))
    assert [len(records) for records in found.values()] == [4, 1, 1]
    texts = [{r["text"] for r in records.values()} for records in found.values()]
    assert [len(t) for t in texts] == [2, 1, 1] and len(set.union(*texts)) == 4
    for records in found.values():
        for record in records.values():
            assert record["intent"] in REQUESTS
            assert len(record["text"].split()) == len(record["iob"].split())
            assert 0.5 < record["duration"] < 6
    assert audio_snips(tmp_path / "toy", **size) == toy
    again = audio_snips(tmp_path / "again", **size)
    for path in toy.rglob("*"):
        if path.is_file():
            assert path.read_bytes() == (again / path.relative_to(toy)).read_bytes()
    assert (toy / "slots.txt").read_text().splitlines()[0] == "O"
    named = set(re.findall(r"\{(\w+)\}", "".join(REQUESTS.values())))
    assert named == set(SLOTS)
    for bad in ({"speakers": 0}, {"speakers": 9}, {"train": 0}, {"test": 400}):
        with pytest.raises(ValueError):
            audio_snips(tmp_path / "bad", **bad)


def test_toy_has_enough_requests():
    from s3prl_sb.corpora.toys.audio_snips import requests

    texts = [tuple(words) for _, words, _ in requests(400, seed=3)]
    assert len(set(texts)) == 400
