"""Tasks in HEAR's layout: folds, splits, tars, events, and broken ones."""

import io
import json
import logging
import shutil
import tarfile

import pytest

from s3prl_sb.corpora import clip_folds, hear
from s3prl_sb.corpora.toys import hear as toy
from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.manifest import ManifestError

ESC, FSD = "esc50-v2.0.0-full", "fsd50k-v1.0-full"
DCASE, MAESTRO = "dcase2016_task2-hear2021-full", "maestro-v3.0.0-5h"
PITCH = "nsynth_pitch-v2.2.3-5h"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy") / "hear"
    toy.hear(folder, clips=1, tasks=[ESC, FSD, DCASE, MAESTRO, PITCH])
    return folder / "tasks"


@pytest.fixture
def task(made, tmp_path):
    """A copy of the task of notes, to break."""
    return shutil.copytree(made / PITCH, tmp_path / "tasks" / PITCH)


def read(paths):
    return {split: manifest.read(path) for split, path in paths.items()}


def test_folds_in_turn(made, tmp_path):
    assert hear.folds(made / ESC) == [1, 2, 3, 4, 5]
    tested = set()
    for fold in (1, 2, 5):
        splits = read(hear.prepare_hear(made / ESC, tmp_path / f"{fold}", fold))
        names = {split: {n[:6] for n in records} for split, records in splits.items()}
        assert names["test"] == {f"fold{fold - 1:02d}"}
        assert names["valid"] == {f"fold{fold % 5:02d}"}
        assert len(names["train"]) == 3 and len(splits["train"]) == 15
        record = splits["test"][f"fold{fold - 1:02d}_000"]
        assert record["label"] == "siren" and record["duration"] == 0.8
        assert record["wav"].endswith(
            f"16000/fold{fold - 1:02d}/{names['test'].pop()}_000.wav"
        )
        tested |= set(splits["test"])
    assert len(tested) == 15
    assert clip_folds.measures_of(tmp_path / "1") == [
        *("accuracy", "mean_average_precision", "d_prime", "auc")
    ]


def test_any_number_of_labels(made, tmp_path):
    assert hear.folds(made / FSD) is None
    splits = read(hear.prepare_hear(made / FSD, tmp_path))
    assert {split: len(records) for split, records in splits.items()} == {
        **{"train": 20, "valid": 5, "test": 5}
    }
    labels = [record["labels"] for record in splits["train"].values()]
    assert {1, 2} == set(map(len, labels))
    assert clip_folds.measures_of(tmp_path)[0] == "mean_average_precision"


def test_pitches_are_texts(made, tmp_path):
    splits = read(hear.prepare_hear(made / PITCH, tmp_path))
    assert {record["label"] for record in splits["test"].values()} == set(toy.PITCHES)
    expected = ["pitch_accuracy", "chroma_accuracy"]
    assert clip_folds.measures_of(tmp_path) == expected


def test_events_in_seconds(made, tmp_path):
    splits = read(hear.prepare_hear_events(made / DCASE, tmp_path))
    content = json.loads((made / DCASE / "test.json").read_text())
    events = content["test_000.wav"]
    record = splits["test"]["test_000"]
    assert record["segments"] == [
        [e["label"], pytest.approx(e["start"] / 1000), pytest.approx(e["end"] / 1000)]
        for e in events
    ]
    assert record["duration"] == 6.0 and len(events) > 1
    assert hear.folds(made / MAESTRO) == [1, 2, 3, 4, 5]
    paths = hear.prepare_hear_events(made / MAESTRO, tmp_path / "maestro", 3)
    assert list(manifest.read(paths["test"])) == ["fold02_000"]
    with pytest.raises(
        ManifestError, match="task of events. Its recipe is HEAR/events"
    ):
        hear.prepare_hear(made / DCASE, tmp_path)
    with pytest.raises(ManifestError, match="task of scenes. Its recipe is HEAR/scene"):
        hear.prepare_hear_events(made / ESC, tmp_path)


def test_a_finished_preparation_is_kept(task, tmp_path):
    paths = hear.prepare_hear(task.parent, tmp_path / "save")  # with one task
    before = (tmp_path / "save/prepare.json").stat().st_mtime_ns
    assert hear.prepare_hear(str(task), tmp_path / "save") == paths
    assert (tmp_path / "save/prepare.json").stat().st_mtime_ns == before
    content = json.loads((task / "test.json").read_text())
    content["test_000.wav"] = ["64"]
    (task / "test.json").write_text(json.dumps(content))
    hear.prepare_hear(task, tmp_path / "save")
    assert manifest.read(paths["test"])["test_000"]["label"] == "64"


def test_the_tar_is_unpacked_once_beside_it(made, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    path = tmp_path / f"hear2021-{PITCH}-48000.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        tar.add(made / PITCH, f"hear-2021.0.6/tasks/{PITCH}")
    splits = read(hear.prepare_hear(path, tmp_path / "save"))
    assert len(splits["train"]) == 32
    folder = tmp_path / f"hear2021-{PITCH}-48000"
    assert splits["test"]["test_000"]["wav"].startswith(str(folder))
    assert f"{path} is unpacked into {folder}" in caplog.text
    caplog.clear()
    assert hear.folds(path) is None and not caplog.records


def test_tars_that_are_unsafe_or_cut_off(made, tmp_path):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as tar:
        tar.addfile(tarfile.TarInfo("../escaped.txt"), io.BytesIO())
    with pytest.raises(ManifestError, match="leads outside the folder"):
        hear.prepare_hear(path, tmp_path / "save")
    path = tmp_path / "b.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        tar.add(made / PITCH / "16000", "16000")
    path.write_bytes(path.read_bytes()[:20000])
    with pytest.raises(ManifestError, match="b.tar.gz: cannot be unpacked"):
        hear.prepare_hear(path, tmp_path / "save")
    path.write_bytes(b"")
    with pytest.raises(ManifestError) as error:
        hear.prepare_hear(path, tmp_path / "save")
    assert "\n" not in str(error.value)
    assert sorted(p.name for p in tmp_path.iterdir() if p.name[0] != ".") == [
        *("a.tar", "b.tar.gz")
    ]


def broken(task, name, change):
    """Changes a JSON file of a task."""
    path = task / name
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    "name, change, message",
    [
        (hear.METADATA, {"embedding_type": "song"}, "'song' is none of scene, event"),
        (hear.METADATA, {"split_mode": None}, "split_mode None is none of trainval"),
        (hear.METADATA, {"splits": ["../a"]}, r"splits \['../a'\] is no list of names"),
        (hear.METADATA, {"splits": ["train"]}, "not train, valid, test"),
        ("test.json", {"test_000.wav": ["64", "63"]}, r"'test_000.wav': .* one label"),
        ("test.json", {"test_000.wav": ["20"]}, "'20' is not in labelvocabulary.csv"),
        ("test.json", {"test_000.wav": "64"}, "'64' is no list of labels"),
        ("test.json", {"../a.wav": ["64"]}, "'../a.wav' is no name of a file"),
        (hear.METADATA, {"splits": []}, r"splits \[\] is no list of names"),
        (hear.METADATA, {"splits": ["", "a"]}, "is no list of names"),
        (hear.METADATA, {"evaluation": [["mAP"]]}, "is no list of metrics"),
        (hear.METADATA, {"evaluation": "mAP"}, "'mAP' is no list of metrics"),
        ("test.json", {"": ["64"]}, "'' is no name of a file"),
        ("test.json", {"train_000.wav": ["64"]}, "train_000 occurs twice"),
        ("test.json", {"test_000.flac": ["64"]}, "test_000 occurs twice"),
    ],
)
def test_broken_lists(task, tmp_path, name, change, message):
    broken(task, name, lambda content: content.update(change))
    with pytest.raises(ManifestError, match=message):
        hear.prepare_hear(task, tmp_path / "save")


@pytest.mark.parametrize(
    "event, message",
    [
        ({"label": "alert", "start": 5.0}, "is no event with label, start and end"),
        ({"label": "alert", "start": 5.0, "end": 5.0}, "ends before it starts"),
        ({"label": "drum", "start": 5.0, "end": 9.0}, "'drum' is not in labelvoc"),
    ],
)
def test_broken_events(made, tmp_path, event, message):
    folder = shutil.copytree(made / DCASE, tmp_path / "task")
    broken(
        folder, "test.json", lambda content: content.update({"test_000.wav": [event]})
    )
    with pytest.raises(ManifestError, match=message):
        hear.prepare_hear_events(folder, tmp_path / "save")


def test_missing_parts(made, task, tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    with pytest.raises(ManifestError, match="there is no task_metadata.json"):
        hear.folds(tmp_path / "tasks" / PITCH / "16000")
    with pytest.raises(
        ManifestError, match="has 5 tasks. Set data_folder to one of th"
    ):
        hear.folds(made)
    with pytest.raises(ManifestError, match="data_folder is not set"):
        hear.folds(None)
    with pytest.raises(ManifestError, match="fold: 6. There are 1, 2, 3, 4, 5"):
        hear.prepare_hear(made / ESC, tmp_path / "save", fold=6)
    with pytest.raises(ManifestError, match="has fixed splits. Leave out fold 1"):
        hear.prepare_hear(task, tmp_path / "save", fold=1)
    (task / "16000/test/test_003.wav").unlink()
    splits = read(hear.prepare_hear(task, tmp_path / "save"))
    assert len(splits["test"]) == 7 and "1 of 8 recordings" in caplog.text
    (task / "test.json").unlink()
    with pytest.raises(ManifestError, match="test.json"):
        hear.prepare_hear(task, tmp_path / "save")
    shutil.rmtree(task / "16000")
    with pytest.raises(ManifestError, match="no folder of audio, such as 48000"):
        hear.prepare_hear(task, tmp_path / "save")


def test_the_highest_rate_is_read(task, tmp_path):
    shutil.copytree(task / "16000", task / "48000")
    splits = read(hear.prepare_hear(task, tmp_path / "save"))
    assert f"{task}/48000/test/test_000.wav" == splits["test"]["test_000"]["wav"]
    (task / "96000/test").mkdir(parents=True)  # of an unfinished download
    (task / "192000").write_text("no folder")
    (task / "4⁴").mkdir()
    splits = read(hear.prepare_hear(task, tmp_path / "save"))
    assert f"{task}/48000/test/test_000.wav" == splits["test"]["test_000"]["wav"]


def test_toys_are_what_they_were(made, tmp_path):
    again = toy.hear(tmp_path / "toy", clips=1, tasks=[PITCH])
    for path in sorted((again / "tasks" / PITCH).rglob("*.*")):
        if path.is_file():
            other = made / path.relative_to(again / "tasks")
            assert path.read_bytes() == other.read_bytes()
    with pytest.raises(ValueError, match="no task 'esc'. "):
        toy.hear(tmp_path / "other", tasks=["esc"])
