"""Columns that tell a segment's times: many names, one meaning, or an error."""

import json
import logging

import numpy
import pytest
import soundfile

from s3prl_sb.corpora.segment_tables import load_segment_table
from s3prl_sb.dataio import trials
from s3prl_sb.dataio.manifest import ManifestError
from s3prl_sb.dataio.segment_times import read_name, time_columns
from s3prl_sb.dataio.tables import load_table

RATE = 8000
NAMES = [  # of the times 1.0 to 1.5 s
    ("start", "stop", 1.0, 1.5),
    ("start", "end", 1.0, 1.5),
    ("begin", "end", 1.0, 1.5),
    ("Start", "Stop", 1.0, 1.5),
    ("START_SEC", "END_SEC", 1.0, 1.5),
    ("startTime", "endTime", 1.0, 1.5),
    ("start_time", "stop_time", 1.0, 1.5),
    ("Start Time (s)", "End Time (s)", 1.0, 1.5),
    ("tbeg", "tend", 1.0, 1.5),
    ("t_start", "t_end", 1.0, 1.5),
    ("tmin", "tmax", 1.0, 1.5),
    ("segment_start", "segment_end", 1.0, 1.5),
    ("onset", "offset", 1.0, 1.5),
    ("onset", "duration", 1.0, 0.5),
    ("offset", "duration", 1.0, 0.5),
    ("start", "duration", 1.0, 0.5),
    ("start", "dur", 1.0, 0.5),
    ("Begin", "Duration (sec)", 1.0, 0.5),
    ("start", "end_time", 1.0, 1.5),
    ("start_ms", "end_ms", 1000, 1500),
    ("start_msec", "duration_msec", 1000, 500),
    ("start_sample", "end_sample", RATE, RATE * 3 // 2),
    ("sample_start", "sample_stop", RATE, RATE * 3 // 2),
    ("startSamples", "numSamples", RATE, RATE // 2),
    ("frame_offset", "num_frames", RATE, RATE // 2),
    ("sample_offset", "n_samples", RATE, RATE // 2),
    ("start", "end_sample", 1.0, RATE * 3 // 2),
    ("start", "length_in_samples", 1.0, RATE // 2),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Has ``a.wav``, ten seconds at 8 kHz."""
    made = tmp_path_factory.mktemp("audio")
    soundfile.write(made / "a.wav", numpy.full(10 * RATE, 0.1), RATE)
    return made


def write(folder, ending, rows):
    """A table of the rows, which all have the same keys; its path."""
    path = folder / f"table{ending}"
    if ending == ".json":
        path.write_text(json.dumps({f"u{n}": row for n, row in enumerate(rows)}))
    else:
        lines = [rows[0].keys(), *(row.values() for row in rows)]
        between = "," if ending == ".csv" else "\t"
        text = "\n".join(between.join(map(str, line)) for line in lines)
        path.write_text(text + "\n")
    return path


def times(records):
    return [(r["start"], r["stop"], r["duration"]) for r in records.values()]


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".json"])
@pytest.mark.parametrize(("first", "last", "a", "b"), NAMES)
def test_names_of_times(folder, ending, first, last, a, b):
    rows = [{"wav": "a.wav", "label": "yes", first: a, last: b}]
    found = load_table(write(folder, ending, rows), ("label",))
    assert times(found) == [(1.0, 1.5, 0.5)]
    (record,) = found.values()
    kept = {"wav", "label", "start", "stop", "duration"}
    assert record.keys() == kept  # under one name each


@pytest.mark.parametrize(
    ("row", "parts"),
    [
        ({"offset": 1.0}, "table.csv:1: offset may be where a segment starts or"),
        ({"start": 1.0, "offset": 1.5}, "offset beside start may be"),
        ({"offset": 1.0, "end": 1.5}, "offset beside end may be"),
        ({"begin": 1.0, "start": 1.0}, "begin and start both tell the start"),
        ({"stop": 1.0, "end_ms": 900}, "stop and end_ms both tell the stop"),
        ({"start_frame": 100, "end_frame": 150}, "how long a frame is, is not said"),
        ({"start": 1, "num_frames": 50}, "num_frames: how long a frame is"),
        ({"start": 1.0, "length": 0.5}, "length beside start may be in seconds or in"),
        ({"vad_start": 1.0, "vad_end": 1.5}, "vad_start, vad_end: looks like times"),
        ({"from": 1.0, "to": 1.5}, "from, to: looks like times"),
        ({"start_min": 0.1, "label2": "x"}, "start_min: looks like times"),
        ({"start": "00:00:01", "end": "00:00:02"}, "start '00:00:01' is not a number"),
        ({"start": 1.0, "stop": 2.0, "duration": 0.5}, "duration 0.5, but segment 1.0"),
        ({"start_sample": 0, "stop_sample": 8000, "dur": 9}, "duration 9.0, but segm"),
        ({"stop": 2.0, "duration": 10.0}, "start -8.0"),
        (
            {"start": 0, "stop": 32000},
            "those in samples belong in columns start_sample",
        ),
        ({"num_samples": 4000}, "duration 0.5, but"),
        ({"start": 1.0, "duration": -0.5}, "duration -0.5 is not positive"),
    ],
)
def test_what_is_not_clear_is_refused(folder, row, parts):
    for ending in (".csv", ".json"):
        with pytest.raises(ManifestError) as fault:
            load_table(write(folder, ending, [{"wav": "a.wav", "label": "x", **row}]))
        assert parts.replace(".csv", ending) in str(fault.value)
        assert len(str(fault.value).splitlines()) <= 3


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"start": 1.0, "stop": 1.5, "duration": 0.5}, (1.0, 1.5, 0.5)),
        ({"start": 1.0, "stop": 1.5, "duration": 0.52}, (1.0, 1.5, 0.5)),
        ({"start": 9.5, "duration": 0.505}, (9.5, 10.0, 0.5)),  # rounded
        ({"stop": 2.0, "duration": 0.5}, (1.5, 2.0, 0.5)),
        ({"stop": 2.0}, (0.0, 2.0, 2.0)),
        ({"duration": 10.0, "num_samples": 5}, (None, None, 10.0)),
        ({"num_frames": 1000}, (None, None, 10.0)),  # of features, perhaps
        ({"start": 1, "stop": 2, "n_frames": 99}, (1.0, 2.0, 1.0)),
        ({"length": 7}, (None, None, 10.0)),
        ({"end_of_turn": 1}, (None, None, 10.0)),  # a flag
        ({"ending": "", "start": ""}, (None, None, 10.0)),
        ({"from": "Rome", "to": "Oslo"}, (None, None, 10.0)),
        ({"start": 1, "stop": 2, "vad_start": 1.2}, (1.0, 2.0, 1.0)),
    ],
)
def test_what_is_clear_is_taken(folder, row, expected):
    found = load_table(write(folder, ".csv", [{"wav": "a.wav", "label": "x", **row}]))
    assert times(found) == [expected]


def test_labels_are_no_times(folder):
    rows = [{"wav": "a.wav", "t0": 3}, {"wav": "a.wav", "t0": 4}]
    path = write(folder, ".csv", [{"id": n, **row} for n, row in enumerate(rows)])
    assert [r["t0"] for r in load_table(path, ("t0",)).values()] == ["3", "4"]
    with pytest.raises(ManifestError, match="looks like times"):
        load_table(path)


@pytest.mark.parametrize(
    ("name", "value", "is_time"),
    [
        ("segment", [1.0, 2.5], True),
        ("Timestamp", "1.0-2.5", True),
        ("interval", {"begin": 1, "end": 2}, True),
        ("te", 2, True),
        ("segment", 3, False),
        ("timestamp", "2024-01-31", False),
    ],
)
def test_two_times_in_one_cell(folder, name, value, is_time):
    path = write(folder, ".json", [{"wav": "a.wav", "label": "x", name: value}])
    if is_time:
        with pytest.raises(ManifestError, match=f"{name}: looks like times"):
            load_table(path)
    else:
        assert times(load_table(path)) == [(None, None, 10.0)]


@pytest.mark.parametrize("name", ["start", "stop", "duration", "end", "onset_s"])
@pytest.mark.parametrize("ending", [".csv", ".json"])
def test_a_label_that_is_called_as_a_time_is(folder, name, ending):
    path = write(folder, ending, [{"wav": "a.wav", name: "3"}])
    with pytest.raises(ManifestError, match=f"{name} is to be learned.*Rename"):
        load_table(path, (name,))


def test_audio_as_speechbrain_writes_it(folder):
    wav = {"file": "a.wav", "start": 8000, "stop": 12000}
    path = write(folder, ".json", [{"wav": wav, "label": "x"}])
    assert times(load_table(path)) == [(1.0, 1.5, 0.5)]
    path = write(folder, ".json", [{"wav": wav, "label": "x", "start": 1}])
    with pytest.raises(ManifestError, match="beside wav and in it"):
        load_table(path)


def test_ids_tell_the_segments(folder):
    rows = [{"wav": "a.wav", "Begin": n, "dur": 0.5} for n in (1, 2)]
    assert list(load_table(write(folder, ".csv", rows))) == ["a_1_0.5", "a_2_0.5"]


def test_the_same_audio_under_two_labels(folder, caplog):
    caplog.set_level(logging.WARNING)
    rows = [
        {"id": f"r{n}", "wav": "a.wav", "label": label, "room": n}
        for n, label in enumerate(["yes", "yes", "no", "maybe"])
    ]
    load_table(write(folder, ".csv", rows), ("label",))
    assert "table.csv:4: 'r2' is the same audio as 'r0' in" in caplog.text
    assert "Such rows: 2." in caplog.text
    caplog.clear()
    for n, row in enumerate(rows):
        row["start"] = n
    load_table(write(folder, ".csv", rows), ("label",))
    assert not caplog.text


@pytest.mark.parametrize(
    ("first", "last", "a", "b"),
    [names for names in NAMES if names[0] != "frame_offset"],
)
def test_recordings_of_several_speakers(folder, first, last, a, b):
    row = {"record_id": "m", "wav": "a.wav", "speaker": "ann", first: a, last: b}
    if not {"duration", "dur"} & {last.lower().split(" ")[0]}:
        row["utt_id"] = "u"
    found = load_segment_table(write(folder, ".csv", [row]))
    assert found["m"]["segments"] == [["ann", 1.0, 1.5]]


def test_the_duration_of_a_recording_beside_a_segments_times(folder):
    row = {"record_id": "m", "duration": 10, "wav": "a.wav", "speaker": "ann"}
    path = write(folder, ".csv", [{**row, "start_sec": 1, "end_sec": 1.5}])
    assert load_segment_table(path)["m"]["segments"] == [["ann", 1.0, 1.5]]
    path = write(folder, ".csv", [{**row, "start_frame": 1, "end_frame": 2}])
    with pytest.raises(ManifestError, match="how long a frame is"):
        load_segment_table(path)


def test_trials_have_no_times(folder):
    soundfile.write(folder / "b.wav", numpy.zeros(RATE), RATE)
    rows = [
        {"label": 1, "wav1": "a.wav", "wav2": "a.wav", "start1": 0, "end_2": 1},
        {"label": 0, "wav1": "a.wav", "wav2": "b.wav", "start1": 2, "end_2": 1},
    ]
    with pytest.raises(ManifestError, match="start1, end_2: a trial is about two"):
        trials.load_table(write(folder, ".csv", rows))


def test_what_is_no_time():
    names = "speaker text label trend_line send bend friend lengthy 7 points"
    assert [read_name(name) for name in names.split()] == [None] * 10
    assert time_columns(["speaker", ""], "a.csv:1") == {}
