"""CMU-MOSEI: its table, its foldings, cut and uncut sound, errors, and its toy."""

import logging

import numpy
import pytest
import soundfile

from s3prl_sb.corpora.mosei import CLASSES, prepare_mosei
from s3prl_sb.corpora.toys.mosei import mosei
from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.manifest import ManifestError

HEADER = ",file,index,start,end,label2a,label2b,label6,label7,split"
#: label2a, label2b, label6, label7 as S3PRL folds sentiments -2.3, 0 and 1
FOLDED = ("0,-1,1,-3", "1,0,0,0", "1,1,5,1")
SPLITS = ("train", "dev", "test")


def write_table(folder, rows):
    lines = [f"{number},{row}" for number, row in enumerate(rows)]
    (folder / "CMU_MOSEI_Labels.csv").write_text("\n".join([HEADER, *lines]) + "\n")


@pytest.fixture
def corpus(tmp_path):
    """Three segments of three labels in each split, and one of no split."""
    folder, rows = tmp_path / "corpus", []
    for split, name in enumerate(SPLITS):
        for number, labels in enumerate(FOLDED):
            wav = folder / f"Audio/Segmented_Audio/{name}/a_b{split}_{number}.wav"
            wav.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(wav, numpy.zeros(1600 * (number + 1)), 16000)
            rows.append(f"a_b{split},{number},0.5,1.0,{labels},{split}")
    write_table(folder, [*rows, "x,0,-0.4,1.0,1,1,0,1,3"])
    return folder


def prepared(*args, **kwargs):
    paths = prepare_mosei(*args, **kwargs)
    return {
        split: manifest.validate(manifest.read(path), path, ("label", "video"))
        for split, path in paths.items()
    }


@pytest.mark.parametrize(
    "classes, labels",
    [
        (2, ["negative", "non-negative", "non-negative"]),
        (3, ["negative", "neutral", "positive"]),
        (6, ["sad", "happy", "fear"]),
        (7, ["-3", "0", "1"]),
    ],
)
def test_labels(classes, labels, corpus, tmp_path):
    splits = prepared(corpus, tmp_path / "save", classes)
    for number, (split, records) in enumerate(splits.items()):
        assert list(records) == [f"a_b{number}_{k}" for k in range(3)]
        assert [record["label"] for record in records.values()] == labels
    record = splits["valid"]["a_b1_2"]
    assert (record["duration"], record["start"], record["video"]) == (0.3, None, "a_b1")
    assert record["wav"].endswith("Segmented_Audio/dev/a_b1_2.wav")
    assert len(CLASSES[classes][1]) == classes


def test_uncut_sound(tmp_path, caplog):
    folder = tmp_path / "Audio"
    (folder / "Full/WAV_16000").mkdir(parents=True)
    rows = []
    for split in range(3):
        path = folder / f"Full/WAV_16000/v{split}.wav"
        soundfile.write(path, numpy.zeros(16000), 16000)
        times = ("-0.4,0.25", "0.25,0.75", "0.75,1.5", "1.5,2.0")
        labels = FOLDED[1]
        rows += [f"v{split},{n},{t},{labels},{split}" for n, t in enumerate(times)]
    write_table(folder, rows)
    with caplog.at_level(logging.WARNING):
        test = prepared(folder, tmp_path / "save")["test"]
    places = [(r["start"], r["stop"], r["duration"]) for r in test.values()]
    assert places == [(0, 0.25, 0.25), (0.25, 0.75, 0.5), (0.75, 1.0, 0.25)]
    assert "csv:13: 'v2_3' is left out, as it is not within" in caplog.text


@pytest.mark.parametrize("end", ["nan", "inf", "soon"])
def test_times_of_uncut_sound(end, tmp_path):
    (tmp_path / "Full/WAV_16000").mkdir(parents=True)
    header = "file,index,start,end,label2a,split"
    table = tmp_path / "CMU_MOSEI_Labels.csv"
    table.write_text(f"{header}\nv,0,0.0,{end},0,0\n")
    with pytest.raises(ManifestError, match=f"csv:2: end '{end}' is no number of sec"):
        prepare_mosei(tmp_path, tmp_path / "save")


def test_missing_sound_is_counted(corpus, tmp_path, caplog):
    (corpus / "Audio/Segmented_Audio/train/a_b0_2.wav").unlink()
    first = prepare_mosei(corpus, tmp_path / "save", labels_csv=None)
    assert "train: 1 of 3 recordings in" in caplog.text
    assert "are not there and are left out" in caplog.text
    assert len(manifest.read(first["train"])) == 2
    wav = corpus / "Audio/Segmented_Audio/train/a_b0_2.flac"
    soundfile.write(wav, numpy.zeros(1600), 16000)
    splits = prepared(corpus, tmp_path / "save")
    assert splits["train"]["a_b0_2"]["wav"] == str(wav)


def test_a_finished_preparation_is_kept(corpus, tmp_path):
    prepare_mosei(corpus, tmp_path / "save")
    stamp = (tmp_path / "save/prepare.json").stat().st_mtime_ns
    prepare_mosei(corpus / "Audio", tmp_path / "save")
    assert (tmp_path / "save/prepare.json").stat().st_mtime_ns == stamp
    prepare_mosei(corpus, tmp_path / "save", classes=3)
    assert (tmp_path / "save/prepare.json").stat().st_mtime_ns != stamp


def spoiled(old, new):
    def spoil(folder):
        path = folder / "CMU_MOSEI_Labels.csv"
        path.write_text(path.read_text().replace(old, new))

    return spoil


@pytest.mark.parametrize(
    "spoil, words",
    [
        (lambda f: (f / "Audio").rename(f / "Sound"), "no Segmented_Audio and no Full"),
        (
            lambda f: (f / "CMU_MOSEI_Labels.csv").unlink(),
            "s3prl-sb download mosei .*labels_csv",
        ),
        (spoiled("label2a", "label"), "csv:1: no column label2a"),
        (spoiled("0,-1,1,-3,1", "7,-1,1,-3,1"), "csv:5: label2a '7' is none of 0, 1"),
        (spoiled("1,0,0,0,2", "1,0,0,0,9"), "csv:9: split '9' is none of 0, 1, 2, 3"),
        (spoiled("a_b0,1,", "a_b0,0,"), "csv:3: 'a_b0_0' again, first .*csv:2"),
        (
            lambda f: (f / "Audio/Segmented_Audio/dev").rename(f / "valid"),
            "none of the 3 recordings of valid is there, such as .*a_b1_0.wav",
        ),
    ],
)
def test_errors_name_the_place(spoil, words, corpus, tmp_path):
    spoil(corpus)
    with pytest.raises(ManifestError, match=words):
        prepare_mosei(corpus, tmp_path / "save")


def test_an_unknown_number_of_classes(corpus, tmp_path):
    with pytest.raises(ManifestError, match="classes: '5' is none of 2, 3, 6, 7"):
        prepare_mosei(corpus, tmp_path / "save", classes=5)


def test_toy(tmp_path):
    pytest.importorskip("espeakng_loader")
    folder = mosei(tmp_path / "toy", videos=4, segments=7)
    for classes in CLASSES:
        splits = prepared(folder, tmp_path / f"save{classes}", classes)
        assert [len(records) for records in splits.values()] == [14, 7, 7]
        found = {record["label"] for record in splits["train"].values()}
        assert found == set(CLASSES[classes][1].values())
