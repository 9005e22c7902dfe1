"""Kaldi folders, meetings, and users' own tables: recordings with several speakers."""

import json
import logging

import numpy as np
import pytest
import soundfile
from corpus_errors import fails

from s3prl_sb.corpora.ami import prepare_ami_sd
from s3prl_sb.corpora.kaldi import read_kaldi
from s3prl_sb.corpora.segment_tables import prepare_segment_tables
from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.packing import pack

FILES = {
    "wav.scp": "a wav/a b.wav\nb b.wav\n",
    "segments": "bob-1 a 0.30 0.90\nann-1 a 0.10 0.50\nann-2 b 0.00 1.01\n",
    "utt2spk": "ann-1 ann\nann-2 ann\nbob-1 bob\n",
}
RTTM = (
    "SPEAKER a 1 0.3 0.6 <NA> <NA> bob <NA>\n"
    "SPEAKER b 1 0 1.01 <NA> <NA> ann <NA>\n"
    "SPEAKER a 1 0.1 0.4 <NA> <NA> ann <NA>\n"
)
COLUMNS = "record_id,duration,wav_path,utt_id,speaker,start_sec,end_sec\n"
TABLE = COLUMNS + "a,1,x.wav,u1,ann,0.1,0.5\na,1,x.wav,u2,bob,0.3,0.9\nb,1,b.wav,,,,\n"


def tone(path, seconds=1.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.full(int(seconds * 16000), 0.1), 16000)


def kaldi(folder, **changes):
    tone(folder / "wav/a b.wav")
    tone(folder / "b.wav")
    for name, text in {**FILES, **changes}.items():
        name = name.replace("_", ".") if name == "wav_scp" else name
        if text is not None:
            (folder / name).write_text(text)
    return folder


# Kaldi folders


def test_reads_segments(tmp_path):
    records = read_kaldi(kaldi(tmp_path))
    assert records["a"] == {
        "wav": str(tmp_path / "wav/a b.wav"),
        "duration": 1.0,
        "start": None,
        "stop": None,
        "segments": [["ann", 0.1, 0.5], ["bob", 0.3, 0.9]],
        "speakers": ["ann", "bob"],
        "regions": None,
    }
    assert records["b"]["segments"] == [["ann", 0.0, 1.0]]  # cut at the end of audio


def test_rttm_in_place_of_segments(tmp_path):
    expected = read_kaldi(kaldi(tmp_path / "k"))
    (tmp_path / "k/segments").unlink()
    (tmp_path / "k/rttm").write_text(RTTM)
    assert read_kaldi(tmp_path / "k") == expected


def test_paths_from_a_root(tmp_path):
    folder = kaldi(tmp_path / "data/train", wav_scp="a a.wav\nb b.wav\n")
    with fails(f"{folder}/wav.scp:1: ", "a.wav: no such audio file"):
        read_kaldi(folder)
    tone(tmp_path / "a.wav")
    assert read_kaldi(folder, [tmp_path])["a"]["wav"] == str(tmp_path / "a.wav")


@pytest.mark.parametrize(
    "file, text, parts",
    [
        ("wav_scp", "a sph2pipe x.sph |\n", ["wav.scp:1: 'a' is the output of a com"]),
        ("wav_scp", "a x.wav\na b.wav\n", ["wav.scp:2: 'a' again, first in", ":1"]),
        ("wav_scp", "\n", ["wav.scp: names no recording"]),
        ("wav_scp", "a\n", ["wav.scp:1: 'a' has no file"]),
        ("segments", "ann-1 a 0.1\n", ["segments:1: 3 fields", "A line is: utteranc"]),
        ("segments", "ann-1 a 0.1 1 1\n", ["segments:1: 5 fields"]),
        ("segments", "\nann-1 a zero 1\n", ["segments:2: start 'zero' is no time"]),
        ("segments", "cat-1 a 0 1\n", ["segments:1: the utterance 'cat-1' has no sp"]),
        ("segments", "ann-1 c 0 1\n", ["segments:1: a segment of 'c', which has no"]),
        ("segments", "ann-1 a 0.6 0.5\n", ["segments:1: 'a': a segment from 0.6 to"]),
        ("segments", "ann-1 a 0 1.2\n", ["segments:1: 'a': a segment until", "1.000"]),
        ("segments", None, ["neither 'segments' nor 'rttm'"]),
        ("utt2spk", None, ["utt2spk: no such file"]),
    ],
)  # fmt: skip
def test_faults_have_a_place(tmp_path, file, text, parts):
    folder = kaldi(tmp_path, **{file: text})
    with fails(*parts):
        read_kaldi(folder)


# Meetings


def meetings(folder):
    for split, names in {"train": "ab", "development": "c", "test": "d"}.items():
        lines = []
        for name in names:
            tone(folder / f"audio/{name}/{name}.Mix-Headset.wav")
            for speaker, start in (("MÉO069", 0.0), ("ann", 0.2), ("bob", 0.4)):
                line = f"SPEAKER {name} 1 {start} 0.5 <NA> <NA> {speaker} <NA> <NA>\n"
                lines.append(line)
        (folder / f"AMI.{split}.rttm").write_text("".join(lines), encoding="utf-8")
    return folder


def test_meetings(tmp_path):
    folder = meetings(tmp_path / "ami")
    (folder / "AMI.train.lst").write_text("a\n")
    (folder / "AMI.train.uem").write_text("a NA 0.25 0.5\na NA 0.75 2\nb NA 0 1\n")
    paths = prepare_ami_sd(folder, tmp_path / "save")
    records = {name: manifest.read(path) for name, path in paths.items()}
    assert [sorted(found) for found in records.values()] == [["a"], ["c"], ["d"]]
    assert records["train"]["a"]["speakers"] == ["MÉO069", "ann", "bob"]
    assert records["train"]["a"]["regions"] == [[0.25, 0.5], [0.75, 1.0]]
    assert records["test"]["d"]["regions"] is None
    assert records["test"]["d"]["wav"].endswith("audio/d/d.Mix-Headset.wav")


def test_meetings_in_folders(tmp_path):
    """AMI-diarization-setup: a file a meeting, two annotations of each."""
    expected = prepare_ami_sd(meetings(tmp_path / "ami"), tmp_path / "1")
    expected = {name: manifest.read(path) for name, path in expected.items()}
    for split, names in {"train": "ab", "dev": "c", "test": "d"}.items():
        for kind, speaker in (("only_words", "ann"), ("word_and_vocalsounds", "bob")):
            folder = tmp_path / "ami/setup" / kind / "rttms" / split
            folder.mkdir(parents=True)
            for name in names:
                line = f"SPEAKER {name} 1 0 0.5 <NA> <NA> {speaker} <NA> <NA>\n"
                (folder / f"{name}.rttm").write_text(line)
            # By set too, as since 2023
            whole = "".join(file.read_text() for file in sorted(folder.iterdir()))
            folder.with_suffix(".rttm").write_text(whole)
        (tmp_path / "ami/setup/lists").mkdir(exist_ok=True)
        lists = tmp_path / f"ami/setup/lists/{split}.meetings.txt"
        lists.write_text("".join(f"{name}\n" for name in names))
    for file in (tmp_path / "ami").glob("AMI.*"):
        file.unlink()
    paths = prepare_ami_sd(tmp_path / "ami", tmp_path / "2")
    records = {name: manifest.read(path) for name, path in paths.items()}
    for split, found in records.items():
        assert found.keys() == expected[split].keys()
        assert all(r["segments"] == [["ann", 0.0, 0.5]] for r in found.values())


def test_words_beyond_what_is_annotated(tmp_path):
    """As in TS3007c: its words go on for ten seconds after the audio has ended."""
    folder = meetings(tmp_path / "ami")
    rttm = folder / "AMI.test.rttm"
    rttm.write_text(rttm.read_text("utf-8") + "SPEAKER d 1 9 2 <NA> <NA> ann <NA>\n")
    with fails("AMI.test.rttm:4: 'd': a segment until 11.0 s", "another version"):
        prepare_ami_sd(folder, tmp_path / "save")
    (folder / "AMI.test.uem").write_text("d NA 0 1\n")
    paths = prepare_ami_sd(folder, tmp_path / "save")
    assert len(manifest.read(paths["test"])["d"]["segments"]) == 3
    (folder / "AMI.test.uem").write_text("d NA 0 11\n")
    with fails("AMI.test.rttm:4: 'd': a segment until 11.0 s", "another version"):
        prepare_ami_sd(folder, tmp_path / "save")


def test_a_set_without_speech(tmp_path):
    folder = meetings(tmp_path / "ami")
    (folder / "AMI.development.uem").write_text("c NA 0.95 1\n")  # all have stopped
    with fails("AMI.development.rttm: nobody speaks in any of the 1 recordings of the"):
        prepare_ami_sd(folder, tmp_path / "save")
    (folder / "AMI.development.uem").write_text("c NA 0.85 1\n")
    prepare_ami_sd(folder, tmp_path / "save")


def test_files_of_a_mac_are_no_annotation(tmp_path):
    folder = meetings(tmp_path / "ami")
    (folder / "._AMI.train.rttm").write_bytes(b"\x00\xff")
    (folder / "audio/a/._a.wav").write_bytes(b"\x00\xff")
    prepare_ami_sd(folder, tmp_path / "save")


def test_toy_of_meetings(tmp_path):
    pytest.importorskip("espeakng_loader")
    from s3prl_sb.corpora.toys.ami import ami

    sizes = {"train": 2, "dev": 1, "test": 1}
    folder = ami(tmp_path / "toy", **sizes, seconds=15, speakers=16)
    paths = prepare_ami_sd(folder, tmp_path / "save")
    everyone, at_once = [], 0
    for path, count in zip(paths.values(), sizes.values()):
        records = manifest.read(path)
        assert len(records) == count
        everyone.append({s for record in records.values() for s in record["speakers"]})
        for record in records.values():
            assert record["regions"] == [[0.0, pytest.approx(record["duration"])]]
            assert 15 <= record["duration"] < 30 and 2 <= len(record["speakers"]) <= 4
            pairs = zip(record["segments"], record["segments"][1:])
            at_once += sum(first[2] > second[1] for first, second in pairs)
            samples, rate = soundfile.read(record["wav"])
            spoken = np.zeros(len(samples), dtype=bool)
            for _, start, stop in record["segments"]:
                spoken[round(start * rate) : round(stop * rate)] = True
            loudness = np.square(samples)
            assert loudness[spoken].mean() > 50 * loudness[~spoken].mean()
    assert not everyone[0] & everyone[1] and not everyone[1] & everyone[2]
    assert at_once
    with pytest.raises(ValueError, match="from 16 speakers"):
        ami(tmp_path / "other", speakers=15)


def test_faults_of_meetings(tmp_path):
    with fails("data_folder is not set"):
        prepare_ami_sd(None, tmp_path / "save")
    with fails("no such folder"):
        prepare_ami_sd(tmp_path / "none", tmp_path / "save")
    folder = meetings(tmp_path / "ami")
    (folder / "audio/c/c.Mix-Headset.wav").unlink()
    with fails("AMI.development.rttm:1: 'c' has no audio file"):
        prepare_ami_sd(folder, tmp_path / "save")
    (folder / "AMI.development.rttm").unlink()
    with fails("no .rttm file of the valid set"):
        prepare_ami_sd(folder, tmp_path / "save")


# Tables


def table(folder, text=TABLE, name="t.csv"):
    for wav in ("x.wav", "b.wav"):
        tone(folder / wav)
    (folder / name).write_text(text)
    return folder / name


def test_tables(tmp_path, caplog):
    path = table(tmp_path)
    with caplog.at_level(logging.WARNING):
        paths = prepare_segment_tables(path, path, path, tmp_path / "save")
    assert "a leak?" in caplog.text
    records = manifest.read(paths["test"])
    assert records["a"]["segments"] == [["ann", 0.1, 0.5], ["bob", 0.3, 0.9]]
    assert records["a"]["wav"] == str(tmp_path / "x.wav")
    assert records["b"]["segments"] == records["b"]["speakers"] == []
    # Again: nothing to do; changed: prepared again
    before = (tmp_path / "save/train.json").stat().st_mtime_ns
    assert prepare_segment_tables(path, path, path, tmp_path / "save") == paths
    assert (tmp_path / "save/train.json").stat().st_mtime_ns == before
    (tmp_path / "x.wav").unlink()
    with fails("t.csv:2: ", "x.wav: no such audio file"):
        prepare_segment_tables(path, path, path, tmp_path / "save")


@pytest.mark.parametrize(
    "text, parts",
    [
        ("wav,speaker,start,stop\nx.wav,a,0,1\n", ["t.csv:1: no column record_id"]),
        (COLUMNS, ["t.csv: the table is empty"]),
        (COLUMNS + "a b,1,x.wav,u,ann,0,1\n", ["t.csv:2: record_id 'a b' has a space"]),
        (COLUMNS + "a,1,x.wav,u,ann b,0,1\n", ["t.csv:2: speaker 'ann b' has a space"]),
        (COLUMNS + 'a,1,x.wav,u,"ann\nb",0,1\n', ["t.csv:2: speaker", "line break"]),
        (COLUMNS + "a,1,x.wav,u,,,\n", ["t.csv: nobody speaks in any of the 1 rec"]),
        (COLUMNS + ",1,x.wav,u,ann,0,1\n", ["t.csv:2: no record_id"]),
        (COLUMNS + "a,1,,u,ann,0,1\n", ["t.csv:2: 'a': no path"]),
        (COLUMNS + "a,1,x.wav,u,,0,1\n", ["t.csv:2: 'a': a segment without a speaker"]),
        (COLUMNS + "a,1,x.wav,u,ann,0,\n", ["t.csv:2: end_sec '' is no time"]),
        (COLUMNS + "a,1,x.wav,u,ann,0.5,0.1\n", ["t.csv:2: 'a': a segment from 0.5"]),
        (
            TABLE + "a,1,b.wav,u3,ann,0,1\n",
            ["t.csv:5: 'a' is ", "x.wav in ", "t.csv:2"],
        ),
    ],
)
def test_faults_of_tables(tmp_path, text, parts):
    path = table(tmp_path, text)
    with fails(*parts):
        prepare_segment_tables(path, path, path, tmp_path / "save")


def test_other_kinds_of_tables(tmp_path):
    tabs = table(tmp_path, TABLE.replace(",", "\t"), "t.tsv")
    paths = prepare_segment_tables(tabs, tabs, tabs, tmp_path / "save")
    assert len(manifest.read(paths["train"])) == 2
    segments = {
        "u1": {"record_id": "a", "wav_path": "x.wav", "speaker": "ann"},
        "u2": {"record_id": "a", "wav_path": "x.wav", "speaker": "bob"},
        "u3": {"record_id": "b", "wav_path": "b.wav", "speaker": None},
    }
    times = [(0.1, 0.5), (0.3, 0.9), (None, None)]
    for segment, (start, stop) in zip(segments.values(), times):
        segment.update(start_sec=start, end_sec=stop)
    file = table(tmp_path, json.dumps(segments, indent=1), "t.json")
    same = prepare_segment_tables(file, file, file, tmp_path / "other")
    assert manifest.read(same["test"]) == manifest.read(paths["test"])
    segments["u2"]["speaker"] = "half \ud83d"
    table(tmp_path, json.dumps(segments), "t.json")
    with fails("t.json:1: 'a': speaker 'half \\ud83d' is not", "valid Unicode"):
        prepare_segment_tables(file, file, file, tmp_path / "other")
    del segments["u2"]["wav_path"]
    table(tmp_path, json.dumps(segments), "t.json")
    with fails("t.json:1: no column wav"):
        prepare_segment_tables(file, file, file, tmp_path / "other")


@pytest.mark.parametrize("regions", [None, [[0.0, 0.4]], [[5.0, 6.0]]])
def test_manifests_and_packs_are_tables(regions, tmp_path):
    """Any preparation writes them; audio is named as in all tables."""
    path = table(tmp_path)
    paths = prepare_segment_tables(path, path, path, tmp_path / "save")
    if regions:
        records = manifest.read(paths["test"])
        records["b"]["regions"] = regions
        manifest.write(records, paths["test"])
    packed = pack(str(tmp_path / "save"), str(tmp_path / "pack"), url=".")
    tables = [packed[split] for split in manifest.SPLITS]
    again = prepare_segment_tables(*tables, tmp_path / "again")
    for split, new in again.items():
        old, new = manifest.read(paths[split]), manifest.read(new)
        for name, record in new.items():
            assert record["wav"].startswith(str(tmp_path / "pack/test-00000-"))
            record["wav"] = old[name]["wav"]
        if regions == [[5.0, 6.0]] and split == "test":  # beyond the audio
            old["b"]["regions"] = []
        assert new == old


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("segments", None),
        ("segments", [["ann", 0.1]]),
        ("segments", [["ann", "x", 1]]),
        ("segments", [["ann", 0, 9]]),
        ("segments", [["ann", 0, "nan"]]),
        ("segments", [["ann b", 0, 1]]),
        ("regions", 3),
        ("regions", [[0, None]]),
        ("wav", None),
    ],
)
def test_faults_of_manifests(key, value, tmp_path):
    path = table(tmp_path)
    paths = prepare_segment_tables(path, path, path, tmp_path / "save")
    records = manifest.read(paths["test"])
    records["a"][key] = value
    manifest.write(records, paths["test"])
    with fails("test.json:2: "):
        prepare_segment_tables(*[paths["test"]] * 3, tmp_path / "again")


def test_segments_of_audio_behind_a_url(tmp_path):
    memory = pytest.importorskip("fsspec").filesystem("memory")
    path = table(tmp_path)
    memory.pipe_file("/tables/x.wav", (tmp_path / "x.wav").read_bytes())
    path = table(tmp_path, TABLE.replace("x.wav", "memory://tables/x.wav"))
    paths = prepare_segment_tables(path, path, path, tmp_path / "save")
    assert manifest.read(paths["test"])["a"]["wav"] == "memory://tables/x.wav"
    memory.rm("/tables", recursive=True)


# Facts that are stated twice, or elsewhere


@pytest.mark.parametrize("end", ["-1", "-1.0", "-1.000"])
def test_segments_to_the_end(tmp_path, end):
    lines = f"ann-1 a 0.10 {end}\nann-2 b 0.00 {end}\nbob-1 a 0.30 0.90\n"
    records = read_kaldi(kaldi(tmp_path, segments=lines))
    assert records["a"]["segments"] == [["ann", 0.1, 1.0], ["bob", 0.3, 0.9]]
    assert records["b"]["segments"] == [["ann", 0.0, 1.0]]
    with fails("segments:1: stop '-2' is no time"):
        read_kaldi(kaldi(tmp_path, segments="ann-1 a 0.10 -2\n"))


def test_paths_of_another_place(tmp_path, caplog):
    scp = "a /old/home/corpus/wav/a b.wav\nb /old/home/wav/b.wav\n"
    folder = kaldi(tmp_path, wav_scp=scp)
    tone(folder / "wav/b.wav")
    records = read_kaldi(folder)
    assert records["a"]["wav"] == str(folder / "wav/a b.wav")
    assert records["b"]["wav"] == str(folder / "wav/b.wav")
    assert "wav.scp names the place where the corpus was: 2 of its files" in caplog.text
    (folder / "wav/b.wav").unlink()  # another b.wav, in another folder, is another file
    with fails("wav.scp:2: /old/home/wav/b.wav: no such audio file"):
        read_kaldi(folder)


@pytest.mark.parametrize(
    "name", ["out/test/d.rttm", "hyp.test.rttm", "system/rttms/test/d.rttm"]
)
def test_a_systems_output_is_no_reference(tmp_path, name):
    folder, path = meetings(tmp_path / "m"), tmp_path / "m" / name
    prepare_ami_sd(folder, tmp_path / "save")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("SPEAKER d 1 0.0 0.9 <NA> <NA> spk0 <NA> <NA>\n")
    with fails("two files tell of 'd', and their segments differ", "AMI.test.rttm"):
        prepare_ami_sd(folder, tmp_path / "save")
    path.write_bytes((folder / "AMI.test.rttm").read_bytes())  # a copy says the same
    assert prepare_ami_sd(folder, tmp_path / "save")


def test_two_regions_of_one_meeting(tmp_path):
    folder = meetings(tmp_path / "m")
    for name, stop in (("AMI", 0.5), ("other", 0.9)):
        (folder / f"{name}.test.uem").write_text(f"d 1 0.0 {stop}\n")
    with fails("two files tell of 'd', and their regions differ"):
        prepare_ami_sd(folder, tmp_path / "save")


def test_two_audio_files_of_one_meeting(tmp_path):
    folder = meetings(tmp_path / "m")
    headset = folder / "audio/d/d.Mix-Headset.wav"
    (folder / "d.wav").write_bytes(headset.read_bytes())
    assert prepare_ami_sd(folder, tmp_path / "save")  # the same
    tone(folder / "d.wav", 2.0)
    for file in (tmp_path / "save").iterdir():
        file.unlink()
    with fails(
        "'d' has 2 audio files that differ", str(headset), str(folder / "d.wav")
    ):
        prepare_ami_sd(folder, tmp_path / "save")


def test_names_with_spaces_in_kaldi_folders(tmp_path):
    names = "ann-1 ann lee\nann-2 ann\nbob-1 bob\n"
    with fails("utt2spk:1: 3 fields in 'ann-1 ann lee', not 2", "without spaces"):
        read_kaldi(kaldi(tmp_path, utt2spk=names))


def test_recordings_with_spaces_in_lists(tmp_path):
    folder = meetings(tmp_path / "m")
    tone(folder / "my talk.wav")
    (folder / "AMI.test.lst").write_text("d\nmy talk\n")
    with fails("AMI.test.lst:2: recording 'my talk' has a space"):
        prepare_ami_sd(folder, tmp_path / "save")
