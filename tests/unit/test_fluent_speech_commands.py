"""Fluent Speech Commands and tables of intents: slots, errors, and the toy."""

import csv
import json

import numpy as np
import pytest
import soundfile
from corpus_errors import fails

from s3prl_sb.audio import headers
from s3prl_sb.corpora.fluent_speech_commands import (
    SLOTS,
    check_slots,
    prepare_fluent_speech_commands,
    prepare_intent_tables,
)
from s3prl_sb.corpora.toys.fluent_speech_commands import INTENTS
from s3prl_sb.corpora.toys.fluent_speech_commands import fluent_speech_commands as toy
from s3prl_sb.dataio import manifest

COLUMNS = ["", "path", "speakerId", "transcription", *SLOTS]
ROWS = [
    ("Turn it on, now", "activate", "lights", "kitchen"),
    ('He said "louder"', "increase", "volume", "none"),
    ("Heat\nup", "increase", "heat", "none"),
]


def tone(path, seconds=0.05):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.full(int(seconds * 16000), 0.1), 16000)


def write(path, columns, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


def corpus(folder, rows=ROWS, columns=COLUMNS):
    for split in ("train", "valid", "test"):
        table = []
        for n, (text, *slots) in enumerate(rows):
            path = f"wavs/speakers/{split}er/{n}.wav"
            tone(folder / path, 0.1 + 0.05 * n)
            table.append((n, path, f"{split}er", text, *slots))
        write(folder / f"data/{split}_data.csv", columns, table)
    return folder


def load(paths):
    assert list(paths) == ["train", "valid", "test"]
    return {n: manifest.validate(manifest.read(p), p, SLOTS) for n, p in paths.items()}


# ---- the corpus


def test_records(tmp_path):
    folder = corpus(tmp_path / "fluent_speech_commands_dataset")
    found = load(prepare_fluent_speech_commands(tmp_path, tmp_path / "save"))
    assert [len(records) for records in found.values()] == [3, 3, 3]
    assert found["valid"]["valider--1"] == {
        "wav": str(folder / "wavs/speakers/valider/1.wav"),
        "duration": 0.15,
        "start": None,
        "stop": None,
        "action": "increase",
        "object": "volume",
        "location": "none",
        "labels": "increase ; volume ; none",
        "speaker": "valider",
        "text": 'He said "louder"',
    }
    again = prepare_fluent_speech_commands(folder, tmp_path / "save2")
    assert load(again) == found
    kept = prepare_fluent_speech_commands(None, tmp_path / "save", skip_prep=True)
    assert load(kept) == found


def test_finished_is_kept_and_changed_is_not(tmp_path, monkeypatch):
    folder, save = corpus(tmp_path / "fsc"), tmp_path / "save"
    paths = prepare_fluent_speech_commands(folder, save)
    with monkeypatch.context() as patch:  # no header is read again
        patch.setattr(headers, "durations", None)
        assert prepare_fluent_speech_commands(folder, save) == paths
    slots = ["object", "location"]
    prepare_fluent_speech_commands(folder, save, slots=slots)
    record = manifest.read(paths["test"])["tester--0"]
    assert record["labels"] == "lights ; kitchen" and "action" not in record


def test_values_that_training_never_showed(tmp_path):
    folder = corpus(tmp_path)
    path = folder / "data/test_data.csv"
    path.write_text(path.read_text().replace("volume", "pitch"))
    with fails(f"{path}:3: 'tester--1': object 'pitch' is unseen in training", "heat"):
        prepare_fluent_speech_commands(folder, tmp_path / "save")


def test_an_empty_table_is_named(tmp_path):
    path = corpus(tmp_path) / "data/valid_data.csv"
    for text in ("", path.read_text().splitlines()[0] + "\n"):
        path.write_text(text)
        with fails(f"{path}: has no rows"):
            prepare_fluent_speech_commands(tmp_path, tmp_path / "save")


def test_faults_of_the_corpus(tmp_path):
    save = tmp_path / "save"
    with fails("data_folder is not set", "--train_csv"):
        prepare_fluent_speech_commands(None, save)
    with fails(f"{tmp_path / 'x'}: no such folder"):
        prepare_fluent_speech_commands(tmp_path / "x", save)
    with fails(f"{tmp_path}/data/train_data.csv: no such file", "wavs"):
        prepare_fluent_speech_commands(tmp_path, save)
    folder = corpus(tmp_path)
    with fails("train_data.csv:1: no column room; found path", "Check slots"):
        prepare_fluent_speech_commands(folder, save, slots=["action", "room"])
    path = folder / "data/valid_data.csv"
    sound = path.read_text()
    # the third row's text spans two lines: it begins in line 4
    path.write_text(sound.replace("volume", ""))
    with fails(f"{path}:3: no object. Fill it in"):
        prepare_fluent_speech_commands(folder, save)
    path.write_text(sound + "3,wavs/a.wav,valider\n")
    with fails(f"{path}:6: 3 cells, but the header has 7"):
        prepare_fluent_speech_commands(folder, save)
    path.write_text(sound + '9,wavs/0.wav,valider,"Up",increase,heat,none\n')
    with fails(f"{path}:6: wavs/0.wav again, first {path}:2"):
        prepare_fluent_speech_commands(folder, save)
    path.write_text(sound)
    (folder / "wavs/speakers/valider/2.wav").unlink()
    with fails(f"{path}:4: ", "valider/2.wav: no such audio file"):
        prepare_fluent_speech_commands(folder, save)
    assert not list(save.glob("*"))


def test_names_of_slots():
    assert check_slots("intent") == ["intent"]
    assert check_slots(("a", "b")) == ["a", "b"]
    for wrong in ([], ["a", "a"]):
        with fails("slots: ", "Name one or more, each once"):
            check_slots(wrong)
    for wrong in ("wav", "id", "duration", "sig"):
        with fails(f"slots: '{wrong}' means something else"):
            check_slots(["a", wrong])


# ---- a user's own tables


def tables(folder, columns, rows, suffix=".csv"):
    tone(folder / "a.wav")
    return [write(folder / f"{n}{suffix}", columns, rows) for n in ("a", "b", "c")]


def test_columns_of_slots_and_joined_labels_are_the_same(tmp_path):
    rows = [("1", "a.wav", "on", "heat"), ("2", "a.wav", "off", "lights, all")]
    apart = tables(tmp_path / "apart", ["id", "wav", "what", "which"], rows)
    joined = [(i, wav, f"{a} ; {b}") for i, wav, a, b in rows]
    joined = tables(tmp_path / "joined", ["id", "wav_path", "labels"], joined)
    found = []
    for files in (apart, joined):
        save = files[0].parent / "save"
        paths = prepare_intent_tables(*files, save, slots=["what", "which"])
        found.append(json.loads(open(paths["test"]).read()))
        kept = prepare_intent_tables(*files, save, slots=["what", "which"])
        assert kept == paths
    for records in found:
        for record in records.values():
            assert record.pop("wav").endswith("a.wav")
    assert found[0] == found[1]
    assert found[0]["2"]["which"] == "lights, all"
    assert found[0]["2"]["labels"] == "off ; lights, all"


def test_json_tables(tmp_path):
    tone(tmp_path / "a.wav")
    path = tmp_path / "all.json"
    path.write_text('{"x": {"wav": "a.wav", "labels": "on ; heat ; none"}}')
    paths = prepare_intent_tables(path, path, path, tmp_path / "save")
    assert manifest.read(paths["train"])["x"]["object"] == "heat"


def test_a_single_intent_is_logged(tmp_path, caplog):
    files = tables(tmp_path, ["id", "wav", "labels"], [("1", "a.wav", "on ; heat")])
    prepare_intent_tables(*files, tmp_path / "save", slots=["what", "which"])
    assert f"{files[0]}: all 1 records have the labels 'on ; heat'" in caplog.text


def test_faults_of_tables(tmp_path):
    save = tmp_path / "save"
    row = ("1", "a.wav", "on ; heat")
    files = tables(tmp_path, ["id", "wav", "labels"], [row, ("2", "a.wav", "on ;")])
    with fails(
        f"{files[0]}:3: '2': labels 'on ;', expected", "what ; which. Set slots"
    ):
        prepare_intent_tables(*files, save, slots=["what", "which"])
    with fails(f"{files[0]}:2: '1': labels 'on ; heat'", "action ; object ; location"):
        prepare_intent_tables(*files, save)
    write(files[0], ["id", "wav", "what"], [("1", "a.wav", "on")])
    with fails(f"{files[0]}:1: no column which"):
        prepare_intent_tables(*files, save, slots=["what", "which"])
    write(files[0], ["id", "wav", "labels"], [row])
    write(files[1], ["id", "wav", "labels"], [row])
    write(files[2], ["id", "wav", "labels"], [row, ("2", "a.wav", "on ; tea")])
    with fails(f"{files[2]}:3: '2': which 'tea' is unseen in training", "heat"):
        prepare_intent_tables(*files, save, slots=["what", "which"])
    with fails("none.csv: no such file"):
        prepare_intent_tables(files[0], files[1], tmp_path / "none.csv", save)
    save.mkdir()
    own = save / "train.json"
    own.write_text("{}")
    with fails(f"{own}: would be overwritten"):
        prepare_intent_tables(own, files[1], files[2], save)
    with fails("absent. Prepare with skip_prep: False"):
        prepare_intent_tables(*files, tmp_path / "empty", skip_prep=True)


# ---- the toy


def test_the_intents_are_those_of_the_corpus():
    assert len(set(INTENTS)) == 31
    assert [len({intent[n] for intent in INTENTS}) for n in range(3)] == [6, 14, 4]


def test_toy(tmp_path):
    pytest.importorskip("espeakng_loader")
    folder = toy(tmp_path / "toy", speakers=6, commands=3, intents=6)
    found = load(prepare_fluent_speech_commands(folder, tmp_path / "save"))
    assert [len(records) for records in found.values()] == [12, 3, 3]
    speakers = [{r["speaker"] for r in records.values()} for records in found.values()]
    assert [len(people) for people in speakers] == [4, 1, 1]
    assert not speakers[0] & speakers[1] and not speakers[1] & speakers[2]
    for records in found.values():
        for record in records.values():
            assert 0.3 < record["duration"] < 5
            room = record["location"]
            assert (room == "none") == (f" the {room}" not in record["text"])
    assert toy(tmp_path / "toy", speakers=6, commands=3, intents=6) == folder
    with pytest.raises(ValueError, match="1 to 3 commands"):
        toy(tmp_path / "other", commands=4, intents=3)


@pytest.mark.parametrize("ending", ["csv", "json"])
@pytest.mark.parametrize("slots", [["iob", "transcription"], ["spk"], ["text", "spk"]])
def test_slots_that_are_other_names_of_columns(slots, ending, tmp_path):
    """A column that is renamed when it is read is found by the name that it has."""
    soundfile.write(tmp_path / "a.wav", np.zeros(1600), 16000)
    row = {"id": "1", "wav": "a.wav", "iob": "O", "transcription": "go", "spk": "ann"}
    table = tmp_path / f"my.{ending}"
    if ending == "csv":
        table.write_text(f"{','.join(row)}\n{','.join(row.values())}\n")
    else:
        table.write_text(json.dumps({row.pop("id"): row}))
    paths = prepare_intent_tables(table, table, table, tmp_path / "save", slots=slots)
    (record,) = manifest.read(paths["test"]).values()
    values = {"text": "go", **row}
    assert [record[slot] for slot in slots] == [values[slot] for slot in slots]


def test_rows_of_training_in_the_test(tmp_path, caplog):
    folder = corpus(tmp_path / "fsc")
    rows = (folder / "data/train_data.csv").read_text()
    prepare_fluent_speech_commands(folder, tmp_path / "save")
    assert "a leak?" not in caplog.text
    (folder / "data/test_data.csv").write_text(rows)
    prepare_fluent_speech_commands(folder, tmp_path / "save")
    assert f"test_data.csv share {len(ROWS)} recordings" in caplog.text
