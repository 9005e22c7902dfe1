"""The manifest: round trips, every error's place and way out, few-shot subsets."""

import json
import logging
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from s3prl_sb.dataio import manifest, tables
from s3prl_sb.dataio.manifest import ManifestError
from s3prl_sb.dataio.tables import prepare_tables


def tone(path, seconds=1.0, rate=16000, channels=1):
    """Writes a quiet file of that length; gives its path as text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = np.full((int(seconds * rate), channels), 0.1)
    soundfile.write(path, samples, rate)
    return str(path)


def records(folder, count=3):
    return {
        f"u{n}": {
            "wav": tone(folder / f"u{n}.wav"),
            "duration": 1.0,
            "start": None,
            "stop": None,
            "label": "ab"[n % 2],
        }
        for n in range(count)
    }


def fails(*parts):
    """A ManifestError whose message has the parts in that order."""
    return pytest.raises(ManifestError, match="(?s)" + ".*".join(map(re.escape, parts)))


# ---- writing and reading ------------------------------------------------------------


def test_write_and_read(tmp_path):
    path = tmp_path / "new" / "train.json"
    found = records(tmp_path)
    found["u0"]["label"] = "grün 綠 {x}"
    manifest.write(found, path)
    assert manifest.read(path) == found
    assert json.loads(path.read_text("utf-8")) == found
    assert os.listdir(path.parent) == ["train.json"]  # no temporary file is left


def test_same_content_gives_the_same_bytes(tmp_path):
    one, two = {"wav": "w", "duration": 1.0, "label": "l"}, {"b": 1, "a": 2}
    manifest.write({"y": {**one, **two}, "x": one}, tmp_path / "1.json")
    backwards = dict(reversed({**one, **two}.items()))
    manifest.write({"x": one, "y": backwards}, tmp_path / "2.json")
    content = (tmp_path / "1.json").read_bytes()
    assert content == (tmp_path / "2.json").read_bytes()
    assert content.count(b"\n") == 4  # braces, and a line for each record


def test_a_failed_write_keeps_the_old_file(tmp_path):
    path = tmp_path / "train.json"
    manifest.write({"a": {"wav": "w", "duration": 1.0}}, path)
    before = path.read_bytes()
    with pytest.raises(ValueError):
        manifest.write({"a": {"wav": "w", "duration": float("nan")}}, path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["train.json"]


def test_speechbrain_reads_it(tmp_path):
    from speechbrain.dataio.dataset import DynamicItemDataset

    found = records(tmp_path)
    found["u1"].update(start=0.25, stop=0.5, label="{curly}")
    manifest.write(found, tmp_path / "train.json")
    data = DynamicItemDataset(manifest.read(tmp_path / "train.json"))
    data.set_output_keys(["id", "start", "stop", "label"])
    assert data[1] == {"id": "u1", "start": 0.25, "stop": 0.5, "label": "{curly}"}


def test_import_is_light():
    code = (
        "import sys; from s3prl_sb.dataio import manifest; "
        "from s3prl_sb.dataio import tables; "
        "from s3prl_sb.corpora import speech_commands, voxceleb1; "
        "sys.exit('torch' in sys.modules or 'speechbrain' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


# ---- what is wrong, where, and the way out ------------------------------------------


def test_invalid_json_names_line_and_column(tmp_path):
    path = tmp_path / "m.json"
    path.write_text('{\n"a": {"wav": "x"},\n"b": {"wav": }\n}')
    with fails(f"{path}:3: column 14: not valid JSON", "one object"):
        manifest.read(path)
    path.write_text('[{"wav": "x"}]')
    with fails(f"{path}:1: list instead of an object"):
        manifest.read(path)
    path.write_bytes(b'{"a": "\xff"}')
    with fails(f"{path}: not UTF-8"):
        manifest.read(path)
    with fails(f"{tmp_path / 'none.json'}: no such file"):
        manifest.read(tmp_path / "none.json")


def test_duplicated_id_names_both_lines(tmp_path):
    path = tmp_path / "m.json"
    path.write_text('{"a": {"x": "\\"a\\": 1"},\n\n"b": {"a": 1},\n"a": {}}')
    with fails(f"{path}:4: duplicated id 'a', first in line 1"):
        manifest.read(path)


def test_empty_manifest(tmp_path):
    path = tmp_path / "m.json"
    path.write_text("{ }")
    assert manifest.read(path) == {}
    with fails(f"{path}: the manifest is empty"):
        manifest.validate(manifest.read(path), path)


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize(
    "change, message, way_out",
    [
        ({"label": ...}, "missing key label (found", "same keys"),
        ({"label": ""}, "label is empty", "Fill it in"),
        ({"stop": ...}, "missing key stop", "same keys"),
        ({"extra": 1}, None, None),
        ({"id": "u1"}, "key 'id' inside the record", "rename"),
        ({"duration": 0}, "duration 0 is not positive", "seconds"),
        ({"duration": "1.0"}, "duration '1.0' is not positive", "seconds"),
        ({"start": 0.5, "stop": 0.5}, "stop 0.5 <= start 0.5", "start < stop"),
        ({"start": 0.5}, "start 0.5, stop None are not a segment", "start < stop"),
        ({"start": -1, "stop": 0.5}, "start -1", "0 <= start"),
        (
            {"start": 0.5, "stop": 1.1},
            "0.5 to 1.1 has not the duration 1.0",
            "that of the segment",
        ),
        ({"wav": "gone.wav"}, "missing audio file gone.wav", "Correct the paths"),
    ],
)
def test_validate_names_the_line(tmp_path, change, message, way_out, indent):
    found = records(tmp_path)
    found["u1"].update(change)
    found["u1"] = {k: v for k, v in found["u1"].items() if v is not ...}
    path = tmp_path / "m.json"
    if indent:
        path.write_text(json.dumps(found, indent=indent))
        line = path.read_text().split('"u1"')[0].count("\n") + 1
    else:
        lines = [f'"{name}": {json.dumps(record)}' for name, record in found.items()]
        path.write_text("{\n" + ",\n".join(lines) + "}")
        line = 3
    if message is None:  # a key that the others lack: theirs is the fault
        with fails("'u0': missing key extra", "'u2': missing key extra", "2 of 3."):
            manifest.validate(found, path)
    else:
        with fails(f"{path}:{line}: 'u1': ", message, way_out):
            manifest.validate(found, path)


def test_missing_audio_lists_the_first_and_the_count(tmp_path):
    found = records(tmp_path, 10)
    for record in list(found.values())[2:]:
        os.remove(record["wav"])
    path = tmp_path / "m.json"
    manifest.write(found, path)
    with pytest.raises(ManifestError) as error:
        manifest.validate(found, path)
    message = str(error.value)
    assert f"{path}:4: 'u2': missing audio file {found['u2']['wav']}" in message
    assert f"{path}:8: 'u6'" in message and "'u7'" not in message
    assert "... and 3 more" in message and "8 of 10. Correct the paths" in message
    assert manifest.validate(found, path, audio=False) is found


def test_a_millisecond_beyond_the_end_is_rounding(tmp_path):
    found = records(tmp_path)
    found["u0"].update(start=0.0, stop=1.0005)
    assert manifest.validate(found, "m.json") is found


# ---- audio headers ------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg"])
def test_audio_info(tmp_path, ending):
    path = tone(tmp_path / f"a.{ending}", 0.5, 8000, 2)
    assert manifest.audio_info(path) == (8000, 4000, 2)


def test_audio_info_names_the_file_and_the_way_out(tmp_path):
    with fails("none.wav: no such audio file"):
        manifest.audio_info(tmp_path / "none.wav")
    for name, way_out in {
        "a.wav": "sound copy",
        "a.m4a": "Convert it to wav or flac: ffmpeg -i in.m4a out.wav",
        "a.sph": "Convert it to wav or flac: sph2pipe",
        "a.raw": "Convert it",
    }.items():
        path = tmp_path / name
        path.write_bytes(b"not audio at all" * 100)
        with fails(f"{path}: cannot be read as audio", way_out):
            manifest.audio_info(path)
    with fails("empty.wav: holds no audio"):
        manifest.audio_info(tone(tmp_path / "empty.wav", 0))


def test_audio_info_on_real_formats(data_folder):
    seen = set()
    for path in sorted((data_folder / "resample_cases").rglob("*.*")):
        if path.suffix in (".wav", ".flac", ".ogg", ".mp3", ".sph"):
            rate, frames, channels = manifest.audio_info(path)
            samples, expected = soundfile.read(path, always_2d=True)
            assert (rate, channels) == (expected, samples.shape[1]), path
            assert abs(frames - len(samples)) <= 1152, path  # an mp3 frame
            seen.add(path.suffix)
    assert {".wav", ".mp3", ".sph"} <= seen


def test_many_headers_show_a_bar(tmp_path, capsys):
    path = tone(tmp_path / "a.wav", 0.5)
    assert manifest.durations([path] * 201) == [0.5] * 201
    assert "201/201" in capsys.readouterr().err
    manifest.durations([path] * 200)
    assert capsys.readouterr().err == ""


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
        ("wav,label,duration\na.wav,y,1\nb.wav,y,1\n", ":3", "missing audio file"),
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


def test_a_users_own_file_is_not_overwritten(tmp_path):
    train, *rest = three_tables(tmp_path)
    manifest.write(tables.load_table(train), tmp_path / "train.json")
    with fails("train.json: would be overwritten"):
        prepare_tables(tmp_path / "train.json", *rest, tmp_path)


# ---- few-shot subsets ---------------------------------------------------------------


def many(count=100):
    return {f"u{n}": {"label": "common" if n % 10 else "rare"} for n in range(count)}


def test_subsets_are_nested_and_stratified():
    full, last = many(), {}
    for fraction in (0.01, 0.1, 0.25, 0.5, 1):
        part = manifest.subset(full, fraction=fraction)
        labels = [record["label"] for record in part.values()]
        assert set(last) <= set(part)
        assert labels.count("rare") == max(1, int(10 * fraction + 0.5))
        assert labels.count("common") == max(1, int(90 * fraction + 0.5))
        assert list(part) == [name for name in full if name in part]  # their order
        last = part
    assert last == full
    assert set(manifest.subset(full, per_class=2)) < set(
        manifest.subset(full, per_class=5)
    )


def test_subsets_are_deterministic():
    full = many()
    part = manifest.subset(full, fraction=0.3)
    assert part == manifest.subset(dict(reversed(full.items())), fraction=0.3)
    assert set(part) != set(manifest.subset(full, fraction=0.3, seed=1))
    # ranks do not depend on the rest: what stays in the pool stays chosen
    pool = {n: r for n, r in full.items() if n in part or r["label"] == "rare"}
    few = manifest.subset(full, per_class=3)
    assert set(few) <= set(manifest.subset({**pool, **few}, per_class=3))
    assert manifest.subset(full) == full and manifest.subset(full) is not full


def test_subset_errors():
    for fraction in (0, -0.1, 1.01, float("nan"), "0.5"):
        with fails(f"fraction {fraction!r} is outside (0, 1]"):
            manifest.subset(many(), fraction=fraction)
    with fails("per_class 0 is not a positive"):
        manifest.subset(many(), per_class=0)
    with fails("not both"):
        manifest.subset(many(), fraction=0.5, per_class=1)
    with fails("class 'rare' has only 10", "at most 10 per class, not 11"):
        manifest.subset(many(), per_class=11)
    with fails("'u0' has no 'speaker'"):
        manifest.subset(many(), per_class=1, key="speaker")


# ---- finished preparations ----------------------------------------------------------


def test_a_stamp_holds_for_the_same_arguments_and_files(tmp_path):
    split = {"train": records(tmp_path)}
    paths = manifest.finish(split, tmp_path / "save", {"version": 1, "at": (1, 2)})
    stamp = json.loads((tmp_path / "save" / "prepare.json").read_text())
    assert stamp["records"] == {"train": 3}
    again = {"version": 1, "at": (1, 2)}
    assert manifest.finished(tmp_path / "save", again) == paths
    assert manifest.finished(tmp_path / "save", {"version": 2, "at": (1, 2)}) is None
    content = open(paths["train"]).read()
    open(paths["train"], "w").write(content.replace("1.0", "2.0"))
    assert manifest.finished(tmp_path / "save", again) is None  # changed by hand
    open(paths["train"], "w").write(content)
    assert manifest.finished(tmp_path / "save", again) == paths
    (tmp_path / "save" / "prepare.json").write_text("{")
    assert manifest.finished(tmp_path / "save", again) is None
    with fails("split valid: the manifest is empty"):
        manifest.finish({"valid": {}}, tmp_path / "save", {})


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
