"""Scene manifests: their checks, and the layouts and tables that they come from."""

import json

import numpy as np
import pytest
import soundfile

from s3prl_sb.corpora.scenes import prepare_scene_tables, prepare_scenes
from s3prl_sb.dataio import manifest, scene_files, scenes
from s3prl_sb.dataio.label_files import read as read_labels
from s3prl_sb.dataio.rttm import read_rttm
from s3prl_sb.errors import ManifestError

SPLITS = ("train", "valid", "test")
SCENE = scenes.scene_record(
    "a.wav",
    4.0,
    segments=[("bob", 2.0, 3.5), ("ann", 0.5, 2.5)],
    words=[("ann", 0.5, 1.0, "HI"), ("bob", 2.0, 3.5, "YES")],
    events=[("running water", 1.0, 4.05), ("dog", 5.0, 6.0)],
)


def audio(path, seconds=4.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.zeros(round(seconds * 16000)), 16000)


def write(folder, name, rows):
    (folder / name).write_text("".join(f"{row}\n" for row in rows))


# ----------------------------------------------------------------------------- record
def test_a_record_is_sorted_and_cut_to_the_audio():
    assert SCENE["speakers"] == ["ann", "bob"]
    assert SCENE["segments"][0] == ["ann", 0.5, 2.5]
    assert SCENE["events"] == [["running water", 1.0, 4.0]]
    assert SCENE["regions"] is None
    silent = scenes.scene_record("a.wav", 4.0, segments=[], events=None)
    assert silent["segments"] == [] and silent["words"] is silent["events"] is None


def test_a_manifest_is_read_as_it_was_written(tmp_path):
    audio(tmp_path / "a.wav")
    path = str(tmp_path / "test.json")
    manifest.write({"a": SCENE}, path)
    wav = str(tmp_path / "a.wav")
    assert scenes.read_scenes(path) == {"a": {**SCENE, "wav": wav}}


def test_entries_of_a_manifest_are_put_in_order(tmp_path):
    audio(tmp_path / "a.wav")
    turns = [["bob", 2, 3], ["ann", 0.5, 4.05]]
    record = {"wav": "a.wav", "duration": 4.0, "segments": turns}
    record |= {"speakers": ["bob", "ann"], "regions": [[0, 9.0]]}
    words = [["bob", 2, 3, "HI"], ["ann", 0.5, 1, "GOOD DAY"]]
    manifest.write({"a": record, "b": {**record, "words": words}}, tmp_path / "t.json")
    made = scenes.read_scenes(str(tmp_path / "t.json"))
    assert made["a"]["speakers"] == ["ann", "bob"] and made["a"]["words"] is None
    assert made["a"]["segments"] == [["ann", 0.5, 4.0], ["bob", 2, 3]]
    assert made["a"]["regions"] == [[0, 4.0]]
    assert [word[0] for word in made["b"]["words"]] == ["ann", "bob"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"segments": [["ann", 2, 1]]}, r"segments: \['ann', 2, 1\] is not \[speaker"),
        ({"words": [["ann", 0, 1]]}, r"words: \['ann', 0, 1\] is not \[speaker, start"),
        ({"words": [["ann", 0, 1, " "]]}, "is not"),
        ({"events": [[3, 0, 1]]}, r"events: \[3, 0, 1\] is not \[label, start, stop\]"),
        ({"segments": [5], "speakers": None}, r"segments: 5 is not"),
        ({"events": "dog"}, r"events: 'dog'. Give a list of \[label, start, stop\]"),
        ({"events": [["dog", 0, 9]]}, "ends after the audio, 4.0 s"),
        ({"words": [["eve", 0, 1, "A"]]}, r"words of \['eve'\], who have no segments"),
        ({"speakers": 5}, "speakers 5, but the segments have"),
        ({"speakers": ["ann", "bob", "ann"]}, "speakers .*, but the segments have"),
        ({"regions": [[2, 1]]}, r"regions: \[\[2, 1\]\]. Give a list of"),
        ({"regions": 4}, "regions: 4. Give a list of"),
        ({"start": 1.0, "stop": 5.0}, "start and stop: a scene is a whole file"),
        ({"snr": "loud"}, "snr: 'loud' is no number"),
        ({"scene": 3}, "scene: 3 is no name"),
        ({"events": [["dog ", 0, 1]]}, "a space that is not between two words"),
        ({"words": [["ann", 0, 1, "a\nb"]]}, "has a line break"),
        ({"speakers": ["ann"]}, r"speakers \['ann'\], but the segments have"),
        ({"twin": "noise"}, "twin: 'noise'. There are: both, speech, sounds"),
        ({"word_times": "good"}, "word_times: 'good'. There are: exact, estimated"),
        ({"duration": 0}, "duration 0 is not positive"),
        ({"wav": "b.wav"}, "missing audio file"),
        ({"wav": None}, "is no record of a scene"),
    ],
)
def test_faults_name_the_line(change, message, tmp_path):
    audio(tmp_path / "a.wav")
    good = {"twin": "both", **SCENE}
    path = tmp_path / "test.json"
    manifest.write({"a": good, "b": {**good, **change}}, path)
    with pytest.raises(ManifestError, match=f"test.json:3: 'b'.*{message}"):
        scenes.read_scenes(str(path))


def test_words_are_spread_by_characters():
    spread = scenes.spread(["A", "BBB"], [(1.0, 2.0), (3.0, 4.0)])
    assert spread == [[1.0, 1.5, "A"], [1.5, 4.0, "BBB"]]
    assert scenes.spread(["AA", "B", "C"], [(0.0, 1.0), (2.0, 3.0)]) == [
        [0.0, 1.0, "AA"],
        [2.0, 2.5, "B"],
        [2.5, 3.0, "C"],
    ]


def test_truth_in_other_formats(tmp_path):
    records = {"a": SCENE, "b": scenes.scene_record("x/b.wav", 4.0, events=[])}
    scene_files.write_truth(records, str(tmp_path / "test"))
    assert read_rttm(tmp_path / "test.rttm") == {
        "a": [("ann", 0.5, 2.5), ("bob", 2.0, 3.5)]
    }
    assert scene_files.read_seglst(tmp_path / "test.seglst.json") == {
        "a": [tuple(word) for word in SCENE["words"]]
    }
    assert scene_files.read_event_tsv(tmp_path / "test.tsv") == {
        "a.wav": [("running water", 1.0, 4.0)]
    }
    assert read_labels(tmp_path / "test.tsv")["a.wav"] == [("running water", 1.0, 4.0)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "1: not valid JSON"),
        ("[" * 100_000, "not valid JSON: maximum recursion depth"),
        ("{}", "SegLST is a list of entries"),
        ('[{"speaker": "a"}]', "entry 1: .* It needs session_id, speaker"),
        (
            '[{"session_id": "a", "speaker": "b", "start_time": 3, "end_time": 1}]',
            "entry 1: from 3.0 to 1.0 s",
        ),
    ],
)
def test_bad_seglst(text, message, tmp_path):
    path = tmp_path / "a.seglst.json"
    path.write_text(text)
    with pytest.raises(ManifestError, match=message):
        scene_files.read_seglst(path)


def test_bad_tsv(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("filename\tonset\toffset\tevent_label\na.wav\t2\t1\tdog\n")
    with pytest.raises(ManifestError, match=r"a.tsv:2: 'dog' from 2.0 to 1.0 s"):
        scene_files.read_event_tsv(path)


# --------------------------------------------------------------------- real recordings
def recordings(folder):
    """Turns and words of all sets, events of the test; ``c`` is in the tsv only."""
    for split in SPLITS:
        audio(folder / "wav" / f"{split}1.wav")
        write(
            folder,
            f"{split}.rttm",
            [f"SPEAKER {split}1 1 0.5 1.5 <NA> <NA> ann <NA> <NA>"],
        )
        entry = {
            "session_id": f"{split}1",
            "speaker": "ann",
            "start_time": "0.5",
            "end_time": "1.5",
            "words": "ab cd ef gh ij",
        }
        (folder / f"{split}.seglst.json").write_text(json.dumps([entry]))
    audio(folder / "wav" / "c.wav")
    rows = ["filename\tonset\toffset\tevent_label", "c.wav\t1\t2\tdog bark"]
    write(folder, "test.tsv", [*rows, "test1.wav\t\t\t"])
    write(folder, "test.uem", ["test1 1 0.0 3.0"])


def test_recordings_with_annotation(tmp_path):
    recordings(tmp_path)
    paths = prepare_scenes(str(tmp_path), str(tmp_path / "save"))
    train = scenes.read_scenes(paths["train"])["train1"]
    assert train["segments"] == [["ann", 0.5, 2.0]] and train["events"] is None
    assert train["word_times"] == "estimated"
    assert train["words"][1] == ["ann", 0.7, 0.9, "cd"]
    test = scenes.read_scenes(paths["test"])
    assert test["test1"]["events"] == [] and test["test1"]["regions"] == [[0.0, 3.0]]
    assert test["c"]["events"] == [["dog bark", 1.0, 2.0]]
    assert test["c"]["segments"] == test["c"]["words"] == []
    before = (tmp_path / "save" / "prepare.json").stat().st_mtime_ns
    prepare_scenes(str(tmp_path), str(tmp_path / "save"))
    assert (tmp_path / "save" / "prepare.json").stat().st_mtime_ns == before


def test_words_of_a_ctm_belong_to_the_turns_that_they_overlap(tmp_path):
    recordings(tmp_path)
    for split in SPLITS:
        (tmp_path / f"{split}.seglst.json").unlink()
    turn = "SPEAKER train1 1 {} {} <NA> <NA> {} <NA> <NA>"
    write(
        tmp_path,
        "train.rttm",
        [turn.format(0.5, 1.5, "ann"), turn.format(1.8, 1.2, "bob")],
    )
    write(tmp_path, "train.ctm", ["train1 1 0.6 0.3 hi", "train1 1 1.7 0.8 yes"])
    paths = prepare_scenes(str(tmp_path), str(tmp_path / "save"))
    train = scenes.read_scenes(paths["train"])["train1"]
    assert train["words"] == [["ann", 0.6, 0.9, "hi"], ["bob", 1.7, 2.5, "yes"]]
    assert train["word_times"] == "exact"
    write(tmp_path, "train.ctm", ["train1 1 3.2 0.3 hi"])
    with pytest.raises(ManifestError, match="train.ctm:1: 'hi' from 3.2 to 3.5 s of"):
        prepare_scenes(str(tmp_path), str(tmp_path / "save"))


def test_words_without_a_duration_are_short(tmp_path):
    recordings(tmp_path)
    write(tmp_path, "train.rttm", ["SPEAKER train1 1 0.5 1.5 <NA> <NA> ann <NA> <NA>"])
    write(tmp_path, "train.ctm", ["train1 1 0.6 0 hi", "train1 1 0.7 0.2 yes"])
    (tmp_path / "train.seglst.json").unlink()
    entry = dict(zip(scene_files.SEGLST, ("valid1", "bob", 1, 1, "A B")))
    (tmp_path / "valid.seglst.json").write_text(json.dumps([entry]))
    (tmp_path / "valid.rttm").unlink()
    paths = prepare_scenes(str(tmp_path), str(tmp_path / "save"))
    train = scenes.read_scenes(paths["train"])["train1"]
    assert train["words"] == [["ann", 0.6, 0.61, "hi"], ["ann", 0.7, 0.9, "yes"]]
    valid = scenes.read_scenes(paths["valid"])["valid1"]
    assert valid["segments"] == [["bob", 1.0, 1.01]]
    assert valid["words"] == [["bob", 1.0, 1.005, "A"], ["bob", 1.005, 1.01, "B"]]


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        (
            "test.tsv",
            ["filename\tonset\toffset\tevent_label", "c.wav\t1000\t2000\tdog"],
        ),
        ("test.rttm", ["SPEAKER test1 1 2.0 9 <NA> <NA> ann <NA> <NA>"]),
    ],
)
def test_annotation_after_the_audio_is_an_error(name, rows, tmp_path):
    recordings(tmp_path)
    write(tmp_path, name, rows)
    with pytest.raises(
        ManifestError, match=r"but the audio has 4.000 s. Is it another"
    ):
        prepare_scenes(str(tmp_path), str(tmp_path / "save"))


def test_names_of_recordings_and_their_files(tmp_path):
    recordings(tmp_path)
    (tmp_path / "wav" / "c.wav").rename(tmp_path / "wav" / "c.v1.wav")
    rows = ["filename\tonset\toffset\tevent_label", "c.v1\t1\t2\tdog"]
    write(tmp_path, "test.tsv", rows)
    audio(tmp_path / "a" / "unused.wav")
    audio(tmp_path / "b" / "unused.wav")
    paths = prepare_scenes(str(tmp_path), str(tmp_path / "save"))
    assert list(scenes.read_scenes(paths["test"])) == ["c.v1", "test1"]
    audio(tmp_path / "a" / "test1.wav")
    with pytest.raises(ManifestError, match="'test1' has 2 audio files, .*a/test1.wav"):
        prepare_scenes(str(tmp_path), str(tmp_path / "save2"))


def test_faults_of_recordings(tmp_path):
    recordings(tmp_path)
    (tmp_path / "wav" / "c.wav").rename(tmp_path / "wav" / "d.wav")
    with pytest.raises(ManifestError, match="no audio file of c in"):
        prepare_scenes(str(tmp_path), str(tmp_path / "save"))
    (tmp_path / "valid.rttm").unlink()
    (tmp_path / "valid.seglst.json").unlink()
    with pytest.raises(ManifestError, match="no annotation of the valid set"):
        prepare_scenes(str(tmp_path), str(tmp_path / "save"))


def test_a_mix_needs_all_three_sets(tmp_path):
    audio(tmp_path / "a.wav")
    for split in SPLITS[:2]:
        manifest.write({"a": SCENE}, tmp_path / f"{split}.json")
    with pytest.raises(ManifestError, match="no test.json beside the other manifests"):
        prepare_scenes(str(tmp_path), str(tmp_path / "save"))
    manifest.write({"a": SCENE}, tmp_path / "test.json")
    paths = prepare_scenes(str(tmp_path), str(tmp_path / "save"))
    assert manifest.read(paths["test"])["a"]["wav"] == str(tmp_path / "a.wav")
    empty = scenes.scene_record("a.wav", 4.0, events=[])
    manifest.write({"a": empty}, tmp_path / "test.json")
    with pytest.raises(ManifestError, match="test.json: nothing happens in any of the"):
        prepare_scenes(str(tmp_path), str(tmp_path / "save"))


def test_desed_has_events_alone(tmp_path):
    for part, name in (
        ("train/synth", "train/synth.tsv"),
        ("validation/validation", "validation/validation.tsv"),
        ("eval/public", "eval/public.tsv"),
    ):
        audio(tmp_path / "audio" / part / f"{part[0]}.wav")
        (tmp_path / "metadata" / name).parent.mkdir(parents=True)
        rows = [
            "filename\tonset\toffset\tevent_label",
            f"{part[0]}.wav\t0.5\t1.5\tSpeech",
        ]
        write(tmp_path / "metadata", name, rows)
    paths = prepare_scenes(str(tmp_path), str(tmp_path / "save"))
    (record,) = scenes.read_scenes(paths["test"]).values()
    assert record["events"] == [["Speech", 0.5, 1.5]]
    assert record["segments"] is record["words"] is None
    assert record["speakers"] == []


def test_ami_has_speakers_and_words(tmp_path):
    for split in ("train", "dev", "test"):
        audio(tmp_path / f"{split}1.Mix-Headset.wav")
        line = f"SPEAKER {split}1 1 0.5 1.5 <NA> <NA> FEE005 <NA> <NA>"
        write(tmp_path, f"AMI.{split}.rttm", [line])
    paths = prepare_scenes(str(tmp_path), str(tmp_path / "save"))
    record = scenes.read_scenes(paths["valid"])["dev1"]
    assert record["segments"] == [["FEE005", 0.5, 2.0]]
    assert record["words"] is record["events"] is None
    for folder in ("words", "corpusResources"):
        (tmp_path / folder).mkdir()
    text = (
        '<nite:root xmlns:nite="http://nite.sourceforge.net/">'
        '<w starttime="0.5" endtime="0.9">Okay</w>'
        '<w starttime="0.9" endtime="0.9" punc="true">.</w><w>lost</w>'
        '<vocalsound starttime="1" endtime="1.5" type="laugh"/></nite:root>'
    )
    (tmp_path / "words" / "dev1.B.words.xml").write_text(text)
    with pytest.raises(ManifestError, match="no corpusResources/meetings.xml"):
        prepare_scenes(str(tmp_path), str(tmp_path / "save"))
    (tmp_path / "corpusResources" / "meetings.xml").write_text(
        '<root><meeting observation="dev1"><speaker nxt_agent="B" '
        'global_name="FEE005"/></meeting></root>'
    )
    paths = prepare_scenes(str(tmp_path), str(tmp_path / "save"))
    record = scenes.read_scenes(paths["valid"])["dev1"]
    assert record["words"] == [["FEE005", 0.5, 0.9, "OKAY"]]
    other = scenes.read_scenes(paths["test"])["test1"]
    assert other["words"] is None  # its words are not annotated
    meetings = tmp_path / "corpusResources" / "meetings.xml"
    meetings.write_text(meetings.read_text().replace("FEE005", "FEE099"))
    with pytest.raises(ManifestError, match="has words of FEE099, but turns of FEE005"):
        prepare_scenes(str(tmp_path), str(tmp_path / "save"))
    meetings.write_text(meetings.read_text().replace("FEE099", "FEE005"))
    (tmp_path / "words" / "dev1.B.words.xml").write_text("<w>")
    with pytest.raises(ManifestError, match="dev1.B.words.xml: not valid XML"):
        prepare_scenes(str(tmp_path), str(tmp_path / "save"))


# -------------------------------------------------------------------------- own tables
HEAD = "record_id,wav,type,label,start,stop,speaker"


def table(folder, rows, head=HEAD):
    audio(folder / "a.wav")
    audio(folder / "b.wav")
    write(folder, "my.csv", [head, *rows])
    paths = [str(folder / "my.csv")] * 3
    return manifest.read(prepare_scene_tables(*paths, str(folder / "save"))["train"])


def test_rows_are_turns_words_and_events(tmp_path):
    records = table(
        tmp_path,
        [
            "a,a.wav,speaker,ann lee,0,2,",
            "a,a.wav,word,HI,0.5,1,ann lee",
            "a,a.wav,event,dog bark,1,3,",
            "b,b.wav,,,,,",
        ],
    )
    assert records["a"]["segments"] == [["ann lee", 0.0, 2.0]]
    assert records["a"]["words"] == [["ann lee", 0.5, 1.0, "HI"]]
    assert records["a"]["events"] == [["dog bark", 1.0, 3.0]]
    assert records["b"]["segments"] == records["b"]["events"] == []
    events = table(tmp_path, ["a,a.wav,event,dog,1,3,"])["a"]
    assert events["segments"] is None and events["words"] is None
    short = table(
        tmp_path, ["a,a.wav,event,dog,1,2"], "record_id,wav,type,label,start,duration"
    )
    assert short["a"]["events"] == [["dog", 1.0, 3.0]]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a,a.wav,noise,dog,1,3,", "my.csv:3: type 'noise'. There are: speaker, word"),
        ("a,a.wav,word,HI,1,3,", "my.csv:3: a word without a speaker"),
        ("a,a.wav,event,dog,3,1,", "my.csv:3: from 3.0 to 1.0 s"),
        ("a,a.wav,event,,1,3,", "my.csv:3: no label, start or stop"),
        ("a,b.wav,event,dog,1,3,", "my.csv:3: 'a' is .*b.wav here, but .*a.wav in"),
        ("a,a.wav,,dog,1,3,", "a label without a type. There are: speaker, word"),
        ("a,a.wav,event,dog,1,3000,", r"3000.0\], but the audio has 4"),
        (",a.wav,event,dog,1,3,", "my.csv:3: no record_id or no wav"),
        ("a,a.wav,word,HI,2.5,3,eve", "words of \\['eve'\\], who have no segments"),
    ],
)
def test_faults_of_tables(row, message, tmp_path):
    with pytest.raises(ManifestError, match=message):
        table(tmp_path, ["a,a.wav,speaker,ann,0,2,", row])


def test_a_table_without_columns(tmp_path):
    with pytest.raises(ManifestError, match="my.csv:1: no column"):
        table(tmp_path, ["a,a.wav,dog"], "record_id,wav,label")


def test_words_without_turns_are_the_turns(tmp_path):
    words = [["bob", 1.0, 1.4, "HI"], ["ann", 0.2, 0.5, "YES"]]
    record = {"wav": "a.wav", "duration": 2.0, "segments": None, "words": words}
    manifest.write({"a": record}, tmp_path / "a.json")
    read = scenes.read_scenes(str(tmp_path / "a.json"), audio=False)["a"]
    assert read["segments"] == [["ann", 0.2, 0.5], ["bob", 1.0, 1.4]]
    assert read["speakers"] == ["ann", "bob"]
