import logging
import shutil

import pytest

from s3prl_sb.corpora.desed import prepare_desed
from s3prl_sb.corpora.toys.desed import desed
from s3prl_sb.dataio import manifest
from s3prl_sb.errors import ManifestError


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("desed") / "toy"
    return desed(folder, train=4, validation=2, evaluation=2, weak=2, seconds=4.0)


@pytest.fixture
def folder(made, tmp_path):
    return shutil.copytree(made, tmp_path / "toy")


def prepared(folder):
    paths = prepare_desed(str(folder), str(folder / "save"))
    return {split: manifest.read(path) for split, path in paths.items()}


def rows(folder, name):
    lines = (folder / "metadata" / name).read_text().splitlines()[1:]
    return [line.split("\t") for line in lines]


def test_clips_have_the_events_of_their_file(folder, caplog):
    caplog.set_level(logging.WARNING)
    splits = prepared(folder)
    assert {split: len(records) for split, records in splits.items()} == {
        **{"train": 4, "valid": 2, "test": 2}
    }
    events = rows(folder, "train/synthetic21_train/soundscapes.tsv")
    expected = [(n[:-4], e, float(a), float(b)) for n, a, b, e in events if e]
    found = [
        (name, *segment)
        for name, record in splits["train"].items()
        for segment in record["segments"]
    ]
    assert sorted(found) == sorted(expected) and len(found) >= 3
    assert splits["train"]["train0"]["duration"] == 4.0
    assert "2 clips are left out, as their labels have no times" in caplog.text


def test_the_parent_is_taken_and_a_finished_preparation_is_kept(folder, tmp_path):
    parent = tmp_path / "DESED"
    parent.mkdir()
    folder.rename(parent / "dataset")
    save = str(tmp_path / "save")
    paths = prepare_desed(str(parent), save)
    stamp = (tmp_path / "save/prepare.json").stat().st_mtime_ns
    assert prepare_desed(str(parent), save) == paths
    assert (tmp_path / "save/prepare.json").stat().st_mtime_ns == stamp
    assert prepare_desed("nowhere", save, skip_prep=True) == paths


def test_missing_audio_is_left_out_with_its_number(folder, caplog):
    caplog.set_level(logging.WARNING)
    (folder / "audio/eval/public/eval0.wav").unlink()
    (folder / "metadata/eval/public.tsv").write_text(
        "filename\tonset\toffset\tevent_label\neval0.wav\t\t\t\n"
        "eval1.wav\t1.0\t2.0\tDog\n"
    )
    assert list(prepared(folder)["test"]) == ["eval1"]
    assert "test: 1 of 2 clips" in caplog.text and "eval0.wav" in caplog.text


def test_clips_without_events_and_names_with_spaces(folder):
    """pandas may write what is not there as nan."""
    audio = folder / "audio/eval/public"
    (audio / "eval0.wav").rename(audio / "a dog (1).wav")
    (folder / "metadata/eval/public.tsv").write_text(
        "filename\tonset\toffset\tevent_label\neval1.wav\tnan\tnan\tNaN\n"
        "a dog (1).wav\t1.0\t2.0\tDog barks\n"
    )
    found = {name: each["segments"] for name, each in prepared(folder)["test"].items()}
    assert found == {"eval1": [], "a dog (1)": [["Dog barks", 1.0, 2.0]]}


def test_several_files_of_training_and_events_after_the_end(folder, caplog):
    caplog.set_level(logging.WARNING)
    real = folder / "audio/train/strong_label_real"
    real.mkdir()
    source = folder / "audio/train/synthetic21_train/soundscapes/train0.wav"
    shutil.copy(source, real / "train0.wav")  # another clip of the same name
    (folder / "metadata/train/audioset_strong.tsv").write_text(
        "filename\tonset\toffset\tevent_label\ntrain0.wav\t3.0\t10.0\tDog\n"
    )
    (folder / "metadata/train/durations.tsv").write_text(
        "filename\tduration\ntrain0.wav\t4.0\n"
    )
    train = prepared(folder)["train"]
    assert len(train) == 5
    assert train["strong_label_real-train0"]["segments"] == [["Dog", 3.0, 4.0]]
    assert "1 events end after their audio" in caplog.text


@pytest.mark.parametrize(
    "file, text, message",
    [
        ("eval/public.tsv", None, "public.tsv: no such file"),
        ("train/synthetic21_train/soundscapes.tsv", None, "no .tsv file with the col"),
        (
            "eval/public.tsv",
            "eval0.wav\tx\t2\tDog",
            r"public.tsv:2: .* from 'x' to '2'",
        ),
        ("eval/public.tsv", "eval0.wav\t3\t2\tDog", "public.tsv:2: an event 'Dog'"),
        ("eval/public.tsv", "eval0.wav\t1\t2\t", "public.tsv:2: an event ''"),
        ("eval/public.tsv", "", "public.tsv: it names no clips"),
        ("eval/public.tsv", "x.wav\t1\t2\tDog", "none of its 1 clips is below"),
        ("eval/public.tsv", "eval0.wav\t\t\t", "there is no event in any of the 1 rec"),
    ],
)
def test_faults_name_the_file(file, text, message, folder):
    path = folder / "metadata" / file
    if text is None:
        path.unlink()
    else:
        path.write_text(f"filename\tonset\toffset\tevent_label\n{text}\n")
    with pytest.raises(ManifestError, match=message):
        prepared(folder)
