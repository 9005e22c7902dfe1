"""A user's own tables: columns, values, lines of faults, three of them prepared."""

import json
import logging
import os
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile
from corpus_errors import fails

from s3prl_sb.dataio import manifest, tables
from s3prl_sb.dataio.tables import prepare_tables


def tone(path, seconds=1.0, rate=16000, channels=1):
    """Writes a quiet file of that length; gives its path as text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = np.full((int(seconds * rate), channels), 0.1)
    soundfile.write(path, samples, rate)
    return str(path)


# ---- a user's own tables ------------------------------------------------------------


def test_csv_in_the_columns_of_s3prl(tmp_path):
    tone(tmp_path / "audio" / "a.wav", 2)
    table = tmp_path / "my.csv"
    table.write_text(
        ",id,wav_path,label,start_sec,end_sec,speaker\n"  # as pandas writes it
        "0,x,audio/a.wav,yes,nan,nan,s1\n"
        f'1,y,{tmp_path}/audio/a.wav,"no, thanks",0.5,1.5,s2\n'
        "2,z,$data_root/audio/a.wav,no,0.5,,s2\n",
        encoding="utf-8-sig",
    )
    found = tables.load_table(table)
    wav = str(tmp_path / "audio" / "a.wav")
    assert found == {
        "x": {
            "wav": wav,
            "duration": 2.0,
            "start": None,
            "stop": None,
            "label": "yes",
            "speaker": "s1",
        },
        "y": {
            "wav": wav,
            "duration": 1.0,
            "start": 0.5,
            "stop": 1.5,
            "label": "no, thanks",
            "speaker": "s2",
        },
        "z": {
            "wav": wav,
            "duration": 1.5,
            "start": 0.5,
            "stop": 2.0,
            "label": "no",
            "speaker": "s2",
        },
    }
    manifest.write(found, tmp_path / "train.json")
    assert tables.load_table(tmp_path / "train.json") == found


def test_csv_without_ids(tmp_path):
    tone(tmp_path / "a.wav")
    table = tmp_path / "my.tsv"
    table.write_text("wav\tstart\tstop\na.wav\t0\t0.5\na.wav\t0.5\t1\na.wav\t\t\n")
    assert list(tables.load_table(table)) == ["a_0_0.5", "a_0.5_1", "a"]
    table.write_text("wav\na.wav\n\na.wav\n")
    with fails(f"{table}:4: duplicated id 'a', first in line 2"):
        tables.load_table(table)


def test_json_in_the_style_of_speechbrain(tmp_path):
    wav = tone(tmp_path / "audio" / "a.wav")
    table = tmp_path / "lists" / "my.json"
    table.parent.mkdir()
    table.write_text(json.dumps({"x": {"wav": "{data_root}/audio/a.wav", "n": [1, 2]}}))
    expected = {"wav": wav, "duration": 1.0, "start": None, "stop": None, "n": [1, 2]}
    assert tables.load_table(table, data_root=tmp_path) == {"x": expected}
    table.write_text(
        json.dumps({"x": {"id": "x", "wav": "../audio/a.wav", "n": [1, 2]}})
    )
    assert tables.load_table(table) == {"x": expected}


@pytest.mark.parametrize(
    "content, place, message",
    [
        ("id,label\nx,yes\n", ":1", "no column wav or wav_path; found id, label"),
        ("wav,wav_path,label\n", ":1", "two columns for wav"),
        ("wav,label\na.wav,yes,no\n", ":2", "3 cells, but the header has 2. Quote"),
        ('wav,label\na.wav,"yes\n', ":2", "not valid CSV"),
        ("wav,label\n", "", "has no rows"),
        ("", "", "has no rows"),
        ("wav,label\na.wav,yes\n,no\n", ":3", "missing key wav"),
        ("wav,label\na.wav,\n", ":2", "label is empty"),
        ("wav,text\na.wav,hello\n", ":1", "no column label; found text, wav"),
        ("wav,label,start\na.wav,yes,soon\n", ":2", "start 'soon' is not a number"),
        ("wav,label,start,stop\na.wav,yes,.8,.2\n", ":2", "stop 0.2 <= start 0.8"),
        ("wav,label,start,stop\na.wav,yes,0,9\n", ":2", "beyond the 1.000 s"),
        ("wav,label,duration\na.wav,yes,-1\n", ":2", "duration -1.0 is not positive"),
        ('wav,label\na.wav,"y\nes"\nb.wav,no\n', ":4", "b.wav: no such audio file"),
        ("wav,label,duration\na.wav,y,1\nb.wav,y,1\n", ":3", "b.wav: no such"),
        ("wav,label\na.wav,yes\nbroken.wav,no\n", ":3", "cannot be read as audio"),
    ],
)
def test_csv_errors_name_the_line(tmp_path, content, place, message):
    tone(tmp_path / "a.wav")
    (tmp_path / "broken.wav").write_bytes(b"RIFF....")
    table = tmp_path / "my.csv"
    table.write_text(content)
    with fails(f"{table}{place}: ", message):
        tables.load_table(table, required=("label",))


def test_a_cell_may_span_lines(tmp_path):
    tone(tmp_path / "a.wav")
    table = tmp_path / "my.csv"
    table.write_text('id,wav,text\n\nx,a.wav,"one\ntwo"\ny,a.wav,\n')
    with fails(f"{table}:5: 'y': text is empty"):
        tables.load_table(table, required=("text",))
    assert tables.load_table(table)["x"]["text"] == "one\ntwo"


def test_json_errors_name_the_line(tmp_path):
    tone(tmp_path / "a.wav")
    table = tmp_path / "my.json"
    table.write_text('{\n"x": {"wav": "a.wav"},\n"y": {"label": "no"}\n}')
    with fails(f"{table}:3: 'y': missing key wav (found label)"):
        tables.load_table(table)
    table.write_text('{\n"x": {"wav": "a.wav"},\n"y": 3\n}')
    with fails(f"{table}:3: 'y': 3 is not an object"):
        tables.load_table(table)
    with fails("my.xlsx: not a .csv, .tsv or .json file"):
        tables.load_table((tmp_path / "a.wav").rename(tmp_path / "my.xlsx"))
    with fails("none.csv: no such file"):
        tables.load_table(tmp_path / "none.csv")


@pytest.mark.parametrize(
    "name, content, place, message",
    [
        # What stands between two stray quotes is no text
        ("t.tsv", 'wav\ttext\na.wav\t"twas\nb.wav\t5"\n', ":2", "A stray quote?"),
        ("t.csv", 'id,wav,text\n\n1,a.wav,"t\n2,b.wav,x\n3,c.wav,5"\n', ":3", "stray"),
        ("t.csv", "id;wav;label\nx;a.wav;yes\n", ":1", "separated by semicolons"),
        ("t.csv", "id\twav_path\nx\ta.wav\n", ":1", "by tabs; in a .csv file they are"),
        ("t.tsv", "id,wav,label\nx,a.wav,yes\n", ":1", "by commas; in a .tsv file"),
        ("t.csv", 'id,wav\n"x\ny",a.wav\n', ":2", "line break in the id 'x\\ny'"),
        ("t.csv", "id,wav\nx\x85y,a.wav\n", ":2", "line break in the id 'x\\x85y'"),
        ("t.tsv", 'id\twav\n"x\ty"\ta.wav\n', ":2", "tab or line break in the id"),
        ("t.csv", "wav,duration\na.wav,16000\n", ":2", "a.wav has 1.000 s. Is it"),
        ("t.csv", "wav,duration\na.wav,1\na.wav,.8\n", ":3", "duplicated id"),
    ],
)
def test_tables_that_are_something_else(tmp_path, name, content, place, message):
    tone(tmp_path / "a.wav")
    table = tmp_path / name
    table.write_text(content, "utf-8")
    with fails(f"{table}{place}: ", message):
        tables.load_table(table)


def test_texts_of_several_lines_stay(tmp_path):
    tone(tmp_path / "a.wav")
    table = tmp_path / "my.csv"
    table.write_text('id,wav,text\nx,a.wav,"well, yes,\nno,\nmaybe"\n')
    assert tables.load_table(table)["x"]["text"] == "well, yes,\nno,\nmaybe"
    table = tmp_path / "my.tsv"
    table.write_text('id\twav\ttext\nx\ta.wav\t"yes\nno"\n')
    assert tables.load_table(table)["x"]["text"] == "yes\nno"


def test_the_header_has_the_last_word_on_durations(tmp_path):
    tone(tmp_path / "a.wav")
    table = tmp_path / "my.csv"
    table.write_text("wav,duration\na.wav,1.05\n")
    assert tables.load_table(table)["a"]["duration"] == 1.0


def write_json(path, **records):
    """A record a line, from the second line on."""
    lines = [f'"{name}": {json.dumps(r)}' for name, r in records.items()]
    path.write_text("{\n" + ",\n".join(lines) + "\n}")
    return path


def test_labels_in_json_are_text(tmp_path):
    tone(tmp_path / "a.wav")
    labels = [1, "1", True, 0.5, "no"]
    found = {f"u{n}": {"wav": "a.wav", "label": x} for n, x in enumerate(labels)}
    table = write_json(tmp_path / "my.json", **found)
    loaded = tables.load_table(table, required=("label",)).values()
    assert [r["label"] for r in loaded] == ["1", "1", "true", "0.5", "no"]


@pytest.mark.parametrize(
    "label, message",
    [
        (["yes"], "label ['yes'] is neither text nor a number"),
        ({"a": 1}, "label {'a': 1} is neither text nor a number"),
        (None, "label is empty"),
    ],
)
def test_values_in_json_that_are_no_labels(tmp_path, label, message):
    tone(tmp_path / "a.wav")
    good = {"wav": "a.wav", "label": "yes"}
    table = write_json(tmp_path / "my.json", a=good, b={"wav": "a.wav", "label": label})
    with fails(f"{table}:3: 'b': ", message):
        tables.load_table(table, required=("label",))
    assert tables.load_table(table)["b"]["label"] == label  # of no task


@pytest.mark.parametrize(
    "value, shown",
    [
        (float("nan"), "nan"),
        ([1, float("inf")], "[1, inf]"),
        ("half \ud83d", "'half \\ud83d'"),
    ],
)
def test_values_in_json_that_no_manifest_can_hold(tmp_path, value, shown):
    tone(tmp_path / "a.wav")
    table = write_json(tmp_path / "my.json", a={"wav": "a.wav", "extra": value})
    with fails(f"{table}:2: 'a': extra {shown} is not finite, or not valid Unicode"):
        tables.load_table(table)


def test_an_id_that_is_no_unicode(tmp_path):
    tone(tmp_path / "a.wav")
    table = tmp_path / "my.json"
    table.write_text('{"\\ud83d": {"wav": "a.wav"}}')
    with fails(f"{table}:1: '\\ud83d': id is not finite, or not valid Unicode"):
        tables.load_table(table)


# ---- three tables -------------------------------------------------------------------


def three_tables(folder, **labels):
    """CSV tables of a split's labels, each record its own file."""
    paths = []
    for split in ("train", "valid", "test"):
        lines = ["id,wav,label"]
        for n, label in enumerate(labels.get(split, ("yes", "no"))):
            tone(folder / split / f"{n}.wav", 0.1)
            lines.append(f"{split}{n},{split}/{n}.wav,{label}")
        paths.append(folder / f"{split}.csv")
        paths[-1].write_text("\n".join(lines) + "\n")
    return paths


def test_prepare_tables(tmp_path):
    tables = three_tables(tmp_path)
    paths = prepare_tables(*tables, tmp_path / "save")
    assert list(paths) == ["train", "valid", "test"]
    assert set(manifest.read(paths["valid"])) == {"valid0", "valid1"}
    before = os.stat(paths["train"]).st_mtime_ns
    assert prepare_tables(*tables, tmp_path / "save") == paths
    assert os.stat(paths["train"]).st_mtime_ns == before  # finished: kept
    assert prepare_tables("x", "y", "z", tmp_path / "save", skip_prep=True) == paths
    tables[0].write_text(tables[0].read_text().replace("no", "yes"))
    with fails("label 'no' is unseen"):  # a changed table is prepared again
        prepare_tables(*tables, tmp_path / "save")
    with fails("train.json: absent", "skip_prep: False"):
        prepare_tables("x", "y", "z", tmp_path / "other", skip_prep=True)


def test_a_label_unseen_in_training(tmp_path):
    tables = three_tables(tmp_path, test=("yes", "maybe"))
    with fails(
        f"{tables[2]}:3: 'test1': label 'maybe' is unseen in training",
        "Add it to training or drop it here. Training has no, yes.",
    ):
        prepare_tables(*tables, tmp_path / "save")
    prepare_tables(*tables, tmp_path / "save", categories=())  # texts, not classes


def test_the_same_audio_in_two_splits_is_logged(tmp_path, caplog):
    tables = three_tables(tmp_path)
    tables[2].write_text("id,wav,label\ntrain0,train/0.wav,yes\n")
    with caplog.at_level(logging.WARNING):
        prepare_tables(*tables, tmp_path / "save")
    (entry,) = caplog.records
    assert "share 1 recordings" in entry.message and "'train0'" in entry.message
    assert str(tables[0]) in entry.message and str(tables[2]) in entry.message


def test_changed_audio_is_prepared_again(tmp_path):
    files = three_tables(tmp_path)
    paths = prepare_tables(*files, tmp_path / "save")
    time.sleep(0.02)  # file systems count time in steps
    tone(tmp_path / "valid" / "1.wav", 0.2)
    assert prepare_tables(*files, tmp_path / "save") == paths
    assert manifest.read(paths["valid"])["valid1"]["duration"] == 0.2
    before = os.stat(paths["train"]).st_mtime_ns
    prepare_tables(*files, tmp_path / "save")
    assert os.stat(paths["train"]).st_mtime_ns == before
    os.remove(tmp_path / "train" / "0.wav")
    with fails(f"{files[0]}:2: ", "train/0.wav: no such audio file"):
        prepare_tables(*files, tmp_path / "save")


def test_a_single_class_is_logged(tmp_path, caplog):
    files = three_tables(tmp_path, train=("yes", "yes"), valid=["yes"], test=["yes"])
    prepare_tables(*files, tmp_path / "save")
    (entry,) = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert entry.message.startswith(f"{files[0]}: all 2 records have the label 'yes'")


def test_a_users_own_file_is_not_overwritten(tmp_path):
    train, *rest = three_tables(tmp_path)
    manifest.write(tables.load_table(train), tmp_path / "train.json")
    with fails("train.json: would be overwritten"):
        prepare_tables(tmp_path / "train.json", *rest, tmp_path)


KILLED = """
import os, sys
from s3prl_sb.dataio.tables import prepare_tables
count, replace = int(sys.argv[1]), os.replace
def dying(*names):
    global count
    count -= 1
    if count < 0:
        os._exit(9)  # as kill -9: nothing is cleaned up
    replace(*names)
os.replace = dying
prepare_tables(*sys.argv[2:])
"""


def test_killed_and_repeated_gives_the_same(tmp_path):
    tables = three_tables(tmp_path)
    whole = prepare_tables(*tables, tmp_path / "whole")
    for written in (0, 2, 3):
        save = tmp_path / f"save{written}"
        arguments = [str(written), *map(str, tables), str(save)]
        command = [sys.executable, "-c", KILLED, *arguments]
        assert subprocess.run(command).returncode == 9
        assert not (save / "prepare.json").exists()
        assert len(list(save.glob("*.json"))) == written
        paths = prepare_tables(*tables, save)
        for name, path in paths.items():
            assert open(path, "rb").read() == open(whole[name], "rb").read()
