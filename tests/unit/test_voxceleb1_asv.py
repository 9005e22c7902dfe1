"""VoxCeleb1 for verification: splits, trials, a user's own tables, and their errors."""

import itertools
import json
import logging
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
from corpus_errors import fails

from s3prl_sb.audio import headers
from s3prl_sb.brains import caching, opening
from s3prl_sb.brains.verification import VerificationBrain
from s3prl_sb.corpora.voxceleb1_asv import (
    prepare_trial_tables,
    prepare_voxceleb1_asv,
    trial_lists,
)
from s3prl_sb.dataio import manifest, trials

PATH = "id10270/video/00001.wav"


def silence(path, seconds):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.zeros(int(seconds * 8000), "int16"), 8000)


def corpus(folder, homes=("dev/wav", "test/wav"), speakers=8, name="veri_test.txt"):
    """``speakers`` to train on, of 3 videos of 2 recordings, and 2 to test."""
    lines = []
    for home, first, count in zip(homes, (10001, 10270), (speakers, 2)):
        for number, video, take in itertools.product(range(count), "abc", (1, 2)):
            path = f"id{first + number}/{video}/{take:05d}.wav"
            silence(folder / home / path, 2.1 if video + str(take) != "c2" else 1.9)
    tested = [f"id1027{n}/{video}/00001.wav" for n in (0, 1) for video in "ab"]
    for a, b in itertools.combinations(tested, 2):
        lines.append(f"{int(a[:7] == b[:7])} {a} {b}")
    (folder / name).write_text("\n".join(lines) + "\n")
    return folder


def speakers(records):
    return {record["speaker"] for record in records.values()}


def load(paths):
    assert list(paths) == ["train", "valid", "test"]
    return {n: manifest.validate(manifest.read(p), p, ()) for n, p in paths.items()}


@pytest.mark.parametrize(
    "homes, name",
    [
        (("dev/wav", "test/wav"), "veri_test.txt"),
        (("wav", "wav"), "voxceleb1_test_v2.txt"),
    ],
)
def test_splits(homes, name, tmp_path):
    vox = corpus(tmp_path / "vox", homes, name=name)
    save = tmp_path / "save"
    found = load(prepare_voxceleb1_asv(vox, save, valid_speakers=3))
    groups = [speakers(found[split]) for split in ("train", "valid", "test")]
    assert [len(group) for group in groups] == [5, 3, 2]
    assert not groups[0] & groups[1] and not groups[2] & (groups[0] | groups[1])
    assert len(found["train"]) == 5 * 5  # one of each is too short
    assert all(record["duration"] > 2 for record in found["train"].values())
    record = found["test"]["id10270--a--00001"]
    assert record["wav"] == str(vox / homes[1] / "id10270/a/00001.wav")
    assert (record["speaker"], record["video"]) == ("id10270", "a")
    lists = trial_lists(save)
    listed = (vox / name).read_text().split("\n")
    for line, trial in zip(listed, lists["test"]):
        a, b = (n.replace("--", "/") + ".wav" for n in (trial.first, trial.second))
        assert line == f"{trial.label} {a} {b}"
    for split, content in lists.items():
        used = {name for trial in content for name in trial[1:]}
        assert used == set(found[split])
    assert len(lists["test"]) == 6


def test_trials_of_validation(tmp_path):
    vox, save = corpus(tmp_path / "vox"), tmp_path / "save"
    found = load(prepare_voxceleb1_asv(vox, save, valid_speakers=3))["valid"]
    drawn = trial_lists(save)["valid"]
    assert Counter(trial.label for trial in drawn) == {1: 36, 0: 36}  # 12 pairs each
    pairs = [frozenset(trial[1:]) for trial in drawn]
    assert len(set(pairs)) == len(pairs) and all(len(pair) == 2 for pair in pairs)
    for trial in drawn:
        a, b = found[trial.first], found[trial.second]
        assert (a["speaker"] == b["speaker"]) == trial.label
        if trial.label:
            assert a["video"] != b["video"]
    prepare_voxceleb1_asv(vox, tmp_path / "save2", valid_speakers=3)
    assert trial_lists(tmp_path / "save2")["valid"] == drawn
    prepare_voxceleb1_asv(vox, tmp_path / "save3", valid_speakers=3, valid_seed=1)
    assert trial_lists(tmp_path / "save3")["valid"] != drawn


def test_no_speakers_held_out(tmp_path):
    vox = corpus(tmp_path / "vox")
    found = load(prepare_voxceleb1_asv(vox, tmp_path / "save", valid_speakers=0))
    assert len(speakers(found["train"])) == 8
    assert speakers(found["valid"]) == speakers(found["train"])


def test_drawing_trials():
    """As many as VoxCeleb1's own list has: 8 an utterance, half of one speaker."""
    records = {
        f"{s}-{v}-{n}": {"speaker": s, "video": v}
        for s, v, n in itertools.product(range(10), range(4), range(5))
    }
    drawn = trials.draw(records)
    assert len(drawn) == 8 * len(records)
    assert sum(trial.label for trial in drawn) == 4 * len(records)
    firsts = Counter(trial.first for trial in drawn)
    assert set(firsts.values()) == {8}
    backwards = trials.draw(dict(reversed(records.items())))
    assert backwards == drawn
    alone = {"a": {"speaker": 1}, "b": {"speaker": 2}, "c": {"speaker": 2}}
    assert [trial.label for trial in trials.draw(alone)] == [1, 0]


def test_a_finished_preparation_is_kept(tmp_path, monkeypatch):
    vox, save = corpus(tmp_path / "vox"), tmp_path / "save"
    paths = prepare_voxceleb1_asv(vox, save, valid_speakers=3)
    with monkeypatch.context() as patch:
        patch.setattr(headers, "durations", None)
        assert prepare_voxceleb1_asv(vox, save, valid_speakers=3) == paths
        assert prepare_voxceleb1_asv(None, save, skip_prep=True) == paths
        assert prepare_trial_tables(0, 0, 0, save, skip_prep=True) == paths
    before = (save / "valid_trials.txt").read_text()
    (save / "valid_trials.txt").unlink()
    with fails("valid_trials.txt: absent", "skip_prep"):
        prepare_voxceleb1_asv(vox, save, skip_prep=True)
    prepare_voxceleb1_asv(vox, save, valid_speakers=3)
    assert (save / "valid_trials.txt").read_text() == before
    prepare_voxceleb1_asv(vox, save, valid_speakers=2)
    assert (save / "valid_trials.txt").read_text() != before


def test_files_that_are_no_recordings(tmp_path, caplog):
    vox = corpus(tmp_path / "vox")
    (vox / "dev/wav/id10009").write_text("a file, not a folder")
    (vox / "dev/wav/id10001/a/._00001.wav").write_bytes(b"\x00\xff")
    (vox / "dev/wav/id10001/._a").mkdir()
    prepare_voxceleb1_asv(vox, tmp_path / "save", valid_speakers=2)
    assert "8 speakers outside the test, and 1211 are published" in caplog.text


def test_errors(tmp_path, caplog):
    save = tmp_path / "save"

    def prepare(*args, **kwargs):
        prepare_voxceleb1_asv(*args, save, **{"valid_speakers": 2, **kwargs})

    with fails("data_folder is not set", "--train_csv"):
        prepare(None)
    with fails("none: no such folder"):
        prepare(tmp_path / "none")
    vox = corpus(tmp_path / "vox")
    table = vox / "veri_test.txt"
    lines = table.read_text().splitlines()
    with fails(str(vox / "my.txt"), "trials file is missing", "set trials_file"):
        prepare(vox, trials_file=str(vox / "my.txt"))
    with fails("valid_speakers 7", "has 8 speakers", "2 must be left"):
        prepare(vox, valid_speakers=7)
    with fails("of 0 speakers: 2 are needed", "min_seconds"):
        prepare(vox, min_seconds=3)
    for number, line, parts in (
        (2, f"2 {PATH} {PATH}", ["malformed line", "Expected 1 or 0"]),
        (3, "1 id10270/a/00001.wav", ["malformed line"]),
        (1, f"0 {lines[0][2:]}", ["label 0, but the speakers are the same"]),
        (2, f"1 {lines[1][2:]}", ["label 1, but the speakers are different"]),
        (6, f"1 {PATH} {PATH}", [f"missing audio file {PATH}", "Unpack VoxCeleb1"]),
    ):
        table.write_text("\n".join([*lines[: number - 1], line, *lines[number:]]))
        with fails(f"{table}:{number}: ", *parts):
            prepare(vox)
    table.write_text(lines[0])
    with fails("none of 1 trials is of different speakers"):
        prepare(vox)
    table.write_text("\n".join(lines))
    with caplog.at_level(logging.WARNING):
        prepare(vox)
    assert "6 of 36 training utterances are left out" in caplog.text
    assert not any(manifest.STAMP in str(path) for path in (vox).iterdir())


def test_only_speakers_of_the_test(tmp_path):
    vox = corpus(tmp_path / "vox", homes=("elsewhere", "test/wav"))
    with fails("no recordings of speakers outside the test", "dev/wav"):
        prepare_voxceleb1_asv(vox, tmp_path / "save")


# ---- tables -------------------------------------------------------------------------


def tables(folder, rows=("x,y,a.wav,b.wav,1", "x,z,a.wav,c.wav,0")):
    for name, seconds in zip("abcde", (2.5, 2.5, 2.5, 2.5, 1)):
        silence(folder / f"{name}.wav", seconds)
    train = folder / "train.csv"
    train.write_text("id,wav_path,spk\n1,a.wav,Ann\n2,b.wav,Bob\n3,e.wav,Eve\n")
    files = [str(train)]
    for split in ("valid", "test"):
        table = folder / f"{split}.csv"
        table.write_text("\n".join(["id1,id2,wav_path1,wav_path2,label", *rows]))
        files.append(str(table))
    return files


def test_tables(tmp_path, caplog):
    files = tables(tmp_path)
    with caplog.at_level(logging.WARNING):
        found = load(prepare_trial_tables(*files, tmp_path / "save"))
    assert [r["speaker"] for r in found["train"].values()] == ["Ann", "Bob"]
    assert "1 of 3 training utterances are left out" in caplog.text
    assert "train.csv" in caplog.text and "a leak?" in caplog.text
    assert sorted(found["test"]) == ["x", "y", "z"]
    assert found["test"]["z"]["wav"] == str(tmp_path / "c.wav")
    assert found["test"]["z"]["duration"] == 2.5
    assert trial_lists(tmp_path / "save")["test"] == [
        trials.Trial(1, "x", "y"),
        trials.Trial(0, "x", "z"),
    ]


def test_tables_without_ids_and_as_json(tmp_path):
    files = tables(tmp_path)
    Path(files[1]).write_text("wav1,wav2,label\na.wav,b.wav,1\na.wav,c.wav,0\n")
    json = tmp_path / "test.json"
    rows = ['"1": {"wav_path1": "a.wav", "wav_path2": "b.wav", "label": 1}']
    rows += ['"2": {"wav_path1": "a.wav", "wav_path2": "d.wav", "label": 0}']
    json.write_text("{" + ",\n".join(rows) + "}")
    prepare_trial_tables(files[0], files[1], json, tmp_path / "save")
    lists = trial_lists(tmp_path / "save")
    assert lists["valid"] == [trials.Trial(1, "a", "b"), trials.Trial(0, "a", "c")]
    assert lists["test"] == [trials.Trial(1, "a", "b"), trials.Trial(0, "a", "d")]


def test_tables_are_read_as_all_tables_are(tmp_path):
    """Spaces around cells, also in the header; blank rows; other delimiters."""
    files = tables(tmp_path)
    Path(files[1]).write_text(
        " label , wav1 ,wav_path2\n,,\n1, a.wav ,b.wav\n\n0,a.wav,c.wav\n , ,\n"
    )
    prepare_trial_tables(*files, tmp_path / "save")
    lists = trial_lists(tmp_path / "save")
    assert lists["valid"] == [trials.Trial(1, "a", "b"), trials.Trial(0, "a", "c")]
    Path(files[1]).write_text("label;wav1;wav2\n1;a.wav;b.wav\n")
    with fails(f"{files[1]}:1: no column label", "separated by semicolons"):
        prepare_trial_tables(*files, tmp_path / "save")


@pytest.mark.parametrize(
    "row, parts",
    [
        ("x,y,a.wav,b.wav,yes", [":3: label 'yes' is neither 1"]),
        ("x,y,a.wav,,1", [":3: missing wav_path2"]),
        ("x,y,a.wav,b.wav", [":3: 4 cells, but the header has 5"]),
        ("x,y,a.wav,b.wav,1,1", [":3: 6 cells, but the header has 5"]),
        ("y,z,a.wav,c.wav,0", [":3: 'y' is a.wav, but b.wav in line 2"]),
        ("x,z,a.wav,none.wav,0", [":3: ", "none.wav: no such audio file"]),
        ('x,"z', [":3: not valid CSV"]),
        ('"x\ny",y,a.wav,b.wav,1', [":3: tab or line break in the id "]),
        ("x\x85z,y,a.wav,b.wav,1", [":3: tab or line break in the id "]),
        ("x,y,a.wav,b.wav,1", ["none of 2 trials is of different speakers"]),
    ],
)
def test_rows_that_are_wrong(row, parts, tmp_path):
    files = tables(tmp_path, rows=("x,y,a.wav,b.wav,1", row))
    with fails(files[1], *parts):
        prepare_trial_tables(*files, tmp_path / "save")


def test_tables_that_are_wrong(tmp_path):
    files, save = tables(tmp_path), tmp_path / "save"
    text = Path(files[0]).read_text()
    Path(files[0]).write_text(text.replace("spk", "name"))
    with fails(files[0], "no column speaker or spk"):
        prepare_trial_tables(*files, save)
    Path(files[0]).write_text(text)
    with fails("train.csv: 0 of 3", "min_seconds"):
        prepare_trial_tables(*files, save, min_seconds=10)
    with fails("none.csv: no such file"):
        prepare_trial_tables(files[0], tmp_path / "none.csv", files[2], save)
    Path(files[2]).write_text("id1,id2,wav,label\n")
    with fails(f"{files[2]}:1: no column wav_path1 or wav1, wav_path2", "found id1"):
        prepare_trial_tables(*files, save)
    Path(files[2]).write_text("id1,id2,wav_path1,wav_path2,label\n")
    with fails(f"{files[2]}: the table is empty"):
        prepare_trial_tables(*files, save)


def test_a_list_that_was_tampered_with(tmp_path):
    path = tmp_path / "valid_trials.txt"
    trials.write([trials.Trial(0, "a b", "c")], path)
    assert trials.read(path) == [trials.Trial(0, "a b", "c")]
    path.write_text("0\ta b\tc\n0 a b c\n")
    with fails(f"{path}:2: malformed line"):
        trials.read(path)


def test_json_that_is_wrong(tmp_path):
    files, save = tables(tmp_path), tmp_path / "save"
    trial = {"wav_path1": "a.wav", "wav_path2": None, "label": 0}
    path = tmp_path / "trials.json"
    for content, message in (
        ({"1": trial}, "trials.json:1: missing wav_path2"),
        ({"1": {**trial, "wav_path2": 5}}, "trials.json:1: wav_path2 5 is no path"),
        ({"1": [1, 2]}, "trials.json:1: [1, 2] is not an object"),
    ):
        path.write_text(json.dumps(content))
        with fails(message):
            prepare_trial_tables(files[0], path, files[2], save)
    with fails("test_csv is not set: give all three tables, --test_csv"):
        prepare_trial_tables(files[0], files[1], None, save)


def test_the_cohort_is_counted_apart(monkeypatch):
    monkeypatch.setattr(caching, "use_cache", lambda *_: None)
    monkeypatch.setattr(opening, "say", lambda *_: None)
    brain = VerificationBrain.__new__(VerificationBrain)
    brain.noprogressbar, brain.upstream = True, None
    brain.trials, brain.cohort = {"valid": [], "test": []}, ["cohort--a"]
    sized = {name: _Sized(7) for name in ("train", "valid", "test")}
    brain.use_cache(sized)
    assert brain.splits == {"train": 7, "valid": 6, "test": 6, "cohort": 1}


class _Sized:
    """A dataset as far as counting goes."""

    def __init__(self, count):
        self.count, self.data, self.pipes = count, {}, []

    def __len__(self):
        return self.count
