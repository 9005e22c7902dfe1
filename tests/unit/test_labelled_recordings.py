"""Tables with a row a recording, whose labels are in files of other tools."""

import json
import logging

import numpy
import pytest
import soundfile

from s3prl_sb.corpora.segment_tables import load_segment_table, prepare_segment_tables
from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.ctm import write_ctm
from s3prl_sb.dataio.timeline import Item, prediction_files
from s3prl_sb.errors import ManifestError

EXPECTED = {"a": [["ah", 0.1, 0.5], ["t", 0.5, 0.9]], "b": [["ah", 0.0, 1.0]], "c": []}
TEXTGRID = """File type = "ooTextFile"
Object class = "TextGrid"
0 1 <exists> 2
"IntervalTier" "words" 0 1 1 0 1 "at"
"IntervalTier" "phones" 0 1 3 0.1 0.5 "ah" 0.5 0.9 "t" 0.9 1 ""
"""
FILES = {
    "a.TextGrid": TEXTGRID,
    "a.phn": "800 4000 ah\n4000 7200 t\n",  # at 8 kHz
    "a.txt": "0.1\t0.5\tah\n0.5\t0.9\tt\n",
    "b.txt": "0\t1\tah\n",
    "all.ctm": "b 1 0 1 ah\na 1 0.1 0.4 ah\na 1 0.5 0.4 t\n",
}


@pytest.fixture
def folder(tmp_path):
    for name in "abc":
        soundfile.write(tmp_path / f"{name}.wav", numpy.zeros(8000), 8000)
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def prepared(folder, rows, header="record_id,wav,label_file,tier"):
    (folder / "t.csv").write_text("\n".join([header, *rows]) + "\n")
    table = folder / "t.csv"
    paths = prepare_segment_tables(table, table, table, folder / "save", label="label")
    records = manifest.read(paths["test"])
    return {name: record["segments"] for name, record in records.items()}


@pytest.mark.parametrize(
    "file, tier, other",
    [
        ("a.TextGrid", "phones", "b.txt"),
        ("a.phn", "", "b.txt"),
        ("a.txt", "", "all.ctm"),
        ("all.ctm", "", "all.ctm"),
    ],
)
def test_each_format(file, tier, other, folder):
    rows = [f"a,a.wav,{file},{tier}", f"b,b.wav,{other},", "c,c.wav,,"]
    assert prepared(folder, rows) == EXPECTED


def test_turns_of_speakers_in_one_rttm(folder):
    """As diarization has them: they may overlap."""
    (folder / "all.rttm").write_text(
        "SPEAKER a 1 0.1 0.4 <NA> <NA> ann <NA> <NA>\n"
        "SPEAKER b 1 0 1 <NA> <NA> bob <NA> <NA>\n"
        "SPEAKER a 1 0.3 0.6 <NA> <NA> bob <NA> <NA>\n"
    )
    table = folder / "t.csv"
    table.write_text("record_id,wav,label_file\na,a.wav,all.rttm\nb,b.wav,all.rttm\n")
    paths = prepare_segment_tables(table, table, table, folder / "save")
    record = manifest.read(paths["train"])["a"]
    assert record["segments"] == [["ann", 0.1, 0.5], ["bob", 0.3, 0.9]]
    assert record["speakers"] == ["ann", "bob"]


def test_changed_labels_are_read_again(folder, caplog):
    caplog.set_level(logging.INFO)
    rows = ["a,a.wav,a.txt,", "b,b.wav,b.txt,", "c,c.wav,,"]
    assert prepared(folder, rows) == EXPECTED
    stamp = (folder / "save/prepare.json").stat().st_mtime_ns
    assert prepared(folder, rows) == EXPECTED
    assert (folder / "save/prepare.json").stat().st_mtime_ns == stamp
    (folder / "b.txt").write_text("0\t0.5\tt\n")
    assert prepared(folder, rows)["b"] == [["t", 0.0, 0.5]]


@pytest.mark.parametrize(
    "row, message",
    [
        ("a,a.wav,x.txt,", "t.csv:2: 'a': no such file of labels: .*x.txt"),
        ("x,a.wav,all.ctm,", "t.csv:2: .*no labels of 'x'; its recordings are b, a"),
        ("c,c.wav,b.ctm,", "t.csv:2: .*no labels of 'c'; its recordings are b"),
        ("a,a.wav,a.TextGrid,", "a.TextGrid: tiers of intervals: words, phones"),
        ("a,a.wav,a.TextGrid,tones", "called 'tones'; there are words, phones"),
        ("a,a.wav,a.txt,\na,a.wav,b.txt,", "t.csv:3: 'a' again, first .*t.csv:2"),
        ("a,a.wav,late.txt,", "late.txt:1: 'a': a segment until 9.0 s, .* has 1.000 s"),
        ("a,a.wav,space.txt,", "space.txt:1: label 'two  words' has"),
        (",a.wav,a.txt,", "t.csv:2: no record_id"),
    ],
)
def test_faults_name_the_line(row, message, folder):
    (folder / "b.ctm").write_text("b 1 0 1 ah\n")
    (folder / "late.txt").write_text("0\t9\tah\n")
    (folder / "space.txt").write_text("0\t1\ttwo  words\n")
    with pytest.raises(ManifestError, match=message):
        prepared(folder, row.splitlines())


def test_samples_of_another_rate(folder):
    """Audio of 1 s at 8 kHz, whose labels are still in the samples of 16 kHz."""
    (folder / "old.phn").write_text("0 8000 h#\n8000 16000 ah\n")
    with pytest.raises(ManifestError, match="old.phn:2: .* sample 16000, .* 8000 Hz"):
        prepared(folder, ["a,a.wav,old.phn,"])
    (folder / "old.phn").write_text("0 4000 h#\n4000 8000 ah\n")
    assert prepared(folder, ["a,a.wav,old.phn,"])["a"][1] == ["ah", 0.5, 1.0]


def test_one_label_at_a_time(folder):
    (folder / "a.txt").write_text("0\t0.2\tah\n0.5\t0.9\tt\n0.1\t0.4\tih\n")
    table = folder / "t.csv"
    table.write_text("record_id,wav,label_file\na,a.wav,a.txt\nb,b.wav,b.txt\n")
    message = "a.txt:3: 'a': 'ih' from 0.1 s, and 'ah' is until 0.2 s .*a.txt:1.: a fr"
    tables = (table, table, table, folder / "save")
    with pytest.raises(ManifestError, match=message):
        prepare_segment_tables(*tables, label="label", overlaps=False)
    prepare_segment_tables(*tables, label="label")


def test_a_column_is_missing(folder):
    with pytest.raises(ManifestError, match="t.csv:1: no column record_id; found"):
        prepared(folder, ["a.wav,a.txt"], "wav,label_file")


def test_labels_of_sounds_may_have_spaces(folder):
    (folder / "sounds.txt").write_text("0\t1\tdog barks\n")
    assert prepared(folder, ["a,a.wav,sounds.txt,"])["a"] == [["dog barks", 0.0, 1.0]]
    path = folder / "rows.csv"
    path.write_text("record_id,wav,label,start,stop\na,a.wav,a car horn,0.1,0.4\n")
    records = load_segment_table(path, "label")
    assert records["a"]["segments"] == [["a car horn", 0.1, 0.4]]


SOUNDS = [["dog barks", 0.1, 0.5], ['a "hey", twice', 0.4, 0.8], ["#1", 0.8, 0.9]]


@pytest.mark.parametrize("name", ["hyp.ctm", "hyp.tsv", "a.audacity.txt", "ref.json"])
def test_files_that_runs_write_are_read_again(name, folder):
    """Whatever is in their labels."""
    timeline = {"a": [Item("event", *each) for each in SOUNDS]}
    write_ctm({"a": SOUNDS}, folder / "hyp.ctm")
    for file, text in prediction_files(timeline, ["tsv"]).items():
        (folder / file).write_text(text)
    (folder / "ref.json").write_text(json.dumps({"a": {"segments": SOUNDS}}))
    assert prepared(folder, [f"a,a.wav,{name},"])["a"] == SOUNDS


def test_recordings_of_sounds_may_have_spaces(folder):
    (folder / "a.wav").rename(folder / "a dog.wav")
    path = folder / "rows.csv"
    path.write_text("record_id,wav,label,start,stop\na dog,a dog.wav,bark,0.1,0.4\n")
    assert list(load_segment_table(path, "label")) == ["a dog"]
    path.write_text("record_id,wav,label,start,stop\na  dog,a dog.wav,bark,0.1,0.4\n")
    with pytest.raises(ManifestError, match="rows.csv:2: the name 'a  dog' has"):
        load_segment_table(path, "label")
