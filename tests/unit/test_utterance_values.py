"""Tables of numbers: one row an utterance, or one a judge."""

import json

import numpy
import pytest
import soundfile

from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.utterance_values import load_value_table, prepare_value_tables
from s3prl_sb.errors import ManifestError


@pytest.fixture
def table(tmp_path):
    """``table(text, suffix)`` writes a table beside two recordings."""
    for name in "ab":
        soundfile.write(tmp_path / f"{name}.wav", numpy.zeros(16000), 16000)

    def table(text, suffix=".csv", name="my"):
        path = tmp_path / f"{name}{suffix}"
        path.write_text(text)
        return path

    return table


def test_numbers_and_systems(table):
    records = load_value_table(table("wav,value,system\na.wav,3.25,7\nb.wav,-1e2,x\n"))
    assert [r["value"] for r in records.values()] == [3.25, -100.0]
    assert [r["system"] for r in records.values()] == ["7", "x"]
    assert "judgements" not in records["a"]


def test_several_numbers(table):
    path = table("wav,valence,arousal\na.wav,3,4\nb.wav,1,2\n")
    records = load_value_table(path, ["valence", "arousal"])
    assert (records["a"]["valence"], records["b"]["arousal"]) == (3.0, 2.0)


def test_json(table):
    rows = {"x": {"wav": "a.wav", "value": 3}, "y": {"wav": "b.wav", "value": 0.1}}
    records = load_value_table(table(json.dumps(rows), ".json"))
    assert (records["x"]["value"], records["y"]["value"]) == (3.0, 0.1)


def test_numbers_that_no_float_holds(table):
    path = table(f'{{"x": {{"wav": "a.wav", "value": {400 * "9"}}}}}', ".json")
    with pytest.raises(ManifestError, match="'x': value 999.* is not a finite"):
        load_value_table(path)


def test_judges_are_joined_by_audio(table):
    text = "wav,start,stop,value,judge\n"
    text += "a.wav,0,0.5,3,ann\nb.wav,0,0.5,5,ann\na.wav,0,0.5,4,bob\n"
    text += "a.wav,0.5,1,1,ann\n"
    records = load_value_table(table(text))
    assert [r["value"] for r in records.values()] == [3.5, 5.0, 1.0]
    first = next(iter(records.values()))
    assert first["judgements"] == [["ann", 3.0], ["bob", 4.0]]
    assert "judge" not in first


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("wav,value\na.wav,good\n", r"my.csv:2: 'a': value 'good' is not a finite"),
        (f"wav,value\na.wav,{400 * '9'}\n", "is not a finite number"),
        ("wav,value\na.wav,nan\n", "is not a finite number. Write such as 3.5"),
        ("wav,value\na.wav,1\nb.wav,\n", "my.csv:3: 'b': value is empty"),
        ("wav,score\na.wav,1\n", "no column value"),
        ("wav,value,judge\na.wav,1,ann\na.wav,2,ann\n", "3: 'a': 'ann' judges it twi"),
        ("wav,value,system\na.wav,1,A\nb.wav,1,\n", "3: 'b': system is empty. Fill"),
        ("wav,value,judge\na.wav,1,\n", "my.csv:2: 'a': no judge"),
        (
            "wav,value,judge,system\na.wav,1,ann,A\na.wav,2,bob,B\n",
            "system 'B' here, and 'A' in line 2",
        ),
    ],
)
def test_faults_name_the_line_and_the_fix(table, text, words):
    with pytest.raises(ManifestError, match=words):
        load_value_table(table(text))


def test_judges_of_several_numbers(table):
    path = table("wav,v,w,judge\na.wav,1,2,ann\n")
    with pytest.raises(ManifestError, match="Keep one of them"):
        load_value_table(path, ["v", "w"])


def test_prepared_tables(table, tmp_path):
    rows = {"train": "a.wav,1", "valid": "b.wav,2", "test": "b.wav,3"}
    files = [
        table(f"id,wav,value\n{split},{row}\n", name=split)
        for split, row in rows.items()
    ]
    paths = prepare_value_tables(*files, tmp_path / "save")
    assert manifest.read(paths["test"])["test"]["value"] == 3.0
    stamp = (tmp_path / "save/prepare.json").stat().st_mtime_ns
    assert prepare_value_tables(*files, tmp_path / "save") == paths
    assert (tmp_path / "save/prepare.json").stat().st_mtime_ns == stamp
