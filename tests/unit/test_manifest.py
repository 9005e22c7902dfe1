"""The manifest: round trips, every error's place and way out."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from corpus_errors import fails

from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.manifest import ManifestError


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
    with fails(f"{path}: line 1 is not UTF-8"):
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


# ---- one record a line, which is read faster ----------------------------------------

LINE = '"a": {"wav": "x", "n": [1, {"wav": "y"}], "t": "x"}'


@pytest.mark.parametrize(
    "text",
    [
        "{\n" + LINE + "\n}\n",
        "{\n" + LINE + ',\n"b": {}\n}\n',
        "{\n" + LINE + ',\n"a": {}\n}\n',  # repeated
        "{\n" + LINE + ', "b": {}\n}\n',  # two in a line
        "{\n" + LINE + ',\n"b": {"x":\n1}\n}\n',  # one in two lines
        "{\n" + LINE + ',\n"b": 1\n}\n',
        "{\n" + LINE + ",\n}\n",  # a comma too much
        "{\n" + LINE + '\n"b": {}\n}\n',  # one too few
        "{\n" + LINE + ",\n1: {}\n}\n",
        "{\n" + LINE + "\n}\n}\n",
        "{\n" + LINE + "\n}",
        "{\n" + LINE + "\n",
        "{\n" + LINE + '\n}\n"b": {}\n',
        "{\n}\n",
        "{\n" + LINE.replace("1,", "NaN,") + "\n}\n",
        "{\n" + LINE.replace("1,", "1" * 5000 + ",") + "\n}\n",
        "{\n" + LINE.replace("1,", "[" * 20_000 + ",") + "\n}\n",
        "\ufeff{\n" + LINE + "\n}\n",
        "{\r\n" + LINE + "\r\n}\r\n",
        "{\n" + LINE.replace("y", "\\ud83d \\u00e9 \udcff") + "\n}\n",
    ],
)
def test_a_record_a_line_or_not(text, tmp_path):
    """The same records or the same error as by the general way."""

    def outcome(read):
        try:
            return repr(read())
        except ManifestError as error:
            return str(error)

    path = tmp_path / "m.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))

    def general():
        rows = manifest.unique(manifest.json_rows(path), path)
        return {name: record for name, _, record in rows}

    assert outcome(lambda: manifest.read(path)) == outcome(general)


def test_what_write_makes_is_read_the_fast_way(tmp_path):
    path = tmp_path / "m.json"
    given = records(tmp_path, 40)
    given["odd"] = {**given["u0"], "label": 'grün "綠" \n {x}'}
    manifest.write(given, path)
    found = manifest._line_records(path)
    assert found == given and found is not None
    labels = [record["label"] for name, record in found.items() if name != "odd"]
    assert len(set(map(id, labels))) == 2  # equal texts are one
