"""TIMIT: its layout, its split, the folding of its phones, and its toy."""

import logging
import re

import numpy
import pytest
import soundfile

from s3prl_sb.corpora.timit import CORE, prepare_timit
from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.dataset import ManifestDataset
from s3prl_sb.dataio.frame_labels import FrameLabels
from s3prl_sb.dataio.phones import CLASSES, FOLDED
from s3prl_sb.errors import ManifestError
from s3prl_sb.lobes.upstreams import load

PHN = "0 800 h#\n800 1000 q\n1000 1600 ix\n1600 2400 bcl\n"


def sentence(folder, name, phones=PHN, audio=".WAV"):
    """Writes a sentence of 0.2 s."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    wav = path.with_name(f"{path.name}{audio}")
    soundfile.write(wav, numpy.zeros(3200), 16000, format="NIST")
    if phones is not None:
        path.with_name(f"{path.name}.PHN").write_text(phones)
    return path


@pytest.fixture
def corpus(tmp_path):
    folder = tmp_path / "TIMIT"
    for place in ("TRAIN/DR1/FAAA0", "TEST/DR1/MDAB0", "TEST/DR2/FBBB0"):
        for name in ("SA1", "SI12", "SX3"):
            sentence(folder, f"{place}/{name}")
    text = folder / "TEST/DR1/MDAB0/SX3.TXT"
    text.write_text("0 3200 She had your dark suit.\n")
    return folder


def prepared(folder, save, **keys):
    paths = prepare_timit(folder, save, **keys)
    return {name: manifest.read(path) for name, path in paths.items()}


def test_split_and_segments(corpus, tmp_path):
    splits = prepared(tmp_path, tmp_path / "save")  # the parent of the corpus
    assert list(splits["train"]) == ["DR1-FAAA0-SI12", "DR1-FAAA0-SX3"]
    assert list(splits["test"]) == ["DR1-MDAB0-SI12", "DR1-MDAB0-SX3"]
    assert {r["speaker"] for r in splits["valid"].values()} == {"FBBB0"}
    record = splits["test"]["DR1-MDAB0-SX3"]
    assert record["segments"] == [
        ["sil", 0.0, 0.05],
        ["ih", 0.0625, 0.1],  # after a glottal stop
        ["sil", 0.1, 0.15],
    ]
    assert record["text"] == "She had your dark suit." and record["duration"] == 0.2
    assert splits["train"]["DR1-FAAA0-SX3"]["text"] == ""
    whole = prepared(corpus, tmp_path / "other", folded=False)
    phones = [s[0] for s in whole["train"]["DR1-FAAA0-SX3"]["segments"]]
    assert phones == ["h#", "q", "ix", "bcl"]


def test_lower_case_and_converted_copies(corpus, tmp_path):
    lower = tmp_path / "lower"
    for path in sorted(corpus.rglob("*.*")):
        name = path.relative_to(corpus).as_posix().lower()
        (lower / name).parent.mkdir(parents=True, exist_ok=True)
        path.rename(lower / name)
    copy = lower / "train/dr1/faaa0/sx3.wav.wav"
    soundfile.write(copy, numpy.zeros(16), 16000)
    splits = prepared(lower, tmp_path / "save")
    assert list(splits["train"]) == ["DR1-FAAA0-SI12", "DR1-FAAA0-SX3"]
    assert splits["train"]["DR1-FAAA0-SX3"]["duration"] == 0.2
    assert {r["speaker"] for r in splits["test"].values()} == {"MDAB0"}


def test_a_sample_without_core_speakers(corpus, tmp_path, caplog):
    (corpus / "TEST/DR1/MDAB0").rename(corpus / "TEST/DR1/MZZZ0")
    with caplog.at_level(logging.WARNING):
        splits = prepared(corpus, tmp_path / "save")
    assert "no speaker of the core test set" in caplog.text and "MZZZ0" in caplog.text
    assert {r["speaker"] for r in splits["test"].values()} == {"MZZZ0"}
    splits = prepared(corpus, tmp_path / "save", test_speakers="fbbb0")
    assert {r["speaker"] for r in splits["test"].values()} == {"FBBB0"}


def test_a_finished_preparation_is_kept(corpus, tmp_path):
    paths = prepare_timit(corpus, tmp_path / "save")
    stamp = (tmp_path / "save/prepare.json").stat().st_mtime_ns
    assert prepare_timit(corpus, tmp_path / "save") == paths
    assert (tmp_path / "save/prepare.json").stat().st_mtime_ns == stamp
    (corpus / "TRAIN/DR1/FAAA0/SX3.PHN").write_text("0 3200 iy\n")
    changed = prepared(corpus, tmp_path / "save")["train"]["DR1-FAAA0-SX3"]
    assert changed["segments"] == [["iy", 0.0, 0.2]]


@pytest.mark.parametrize(
    "spoil, words",
    [
        (lambda f: (f / "TEST").rename(f / "DEV"), "no folders TRAIN and TEST; it has"),
        (
            lambda f: sentence(f, "TRAIN/DR1/FAAA0/SX4", None),
            r"SX4: its file of phones \(.PHN\) is missing",
        ),
        (
            lambda f: (f / "TRAIN/DR1/FAAA0/SX3.WAV").unlink(),
            "SX3: its audio file is missing",
        ),
        (
            lambda f: sentence(f, "TRAIN/DR1/FAAA0/SX3", "0 800 h#\nah 800 1600\n"),
            r"SX3.PHN:2: ",
        ),
        (
            lambda f: sentence(f, "TRAIN/DR1/FAAA0/SX3", "0 800 h#\n800 9600 ix\n"),
            r"SX3.PHN:2: a phone until 0.60 s, and the audio has 0.20 s",
        ),
        (
            lambda f: sentence(f, "TEST/DR1/MDAB0/SX3", "0 800 h#\n700 1600 ix\n"),
            r"SX3.PHN:2: 'ix' from 0.04375 s, and the phone before is until 0.05 s",
        ),
        (
            lambda f: sentence(f, "TRAIN/DR1/FAAA0/SX3", "0 800 h#\n800 1600 IX\n"),
            r"SX3.PHN:2: 'IX' is none of the 61 phones of TIMIT",
        ),
        (
            lambda f: sentence(f, "TRAIN/DR1/FAAA0/SX3", "\n0 0 h#\n"),
            r"SX3.PHN: no phones in it",
        ),
        (
            lambda f: (f / "TEST/DR2").rename(f / "DR2"),
            "no speaker is left for validation beside MDAB0",
        ),
    ],
)
def test_errors_name_the_place(spoil, words, corpus, tmp_path):
    spoil(corpus)
    with pytest.raises(ManifestError, match=words):
        prepare_timit(corpus, tmp_path / "save")


def test_an_unknown_test_speaker(corpus, tmp_path):
    with pytest.raises(ManifestError, match="test_speakers: FXXX0 not in .*MDAB0"):
        prepare_timit(corpus, tmp_path / "save", test_speakers=["FXXX0", "MDAB0"])


def test_the_classes():
    """61 phones: 39 classes with themselves, those folded to them, and q."""
    assert len(CLASSES) == 39 and set(FOLDED.values()) <= CLASSES | {""}
    assert len((CLASSES | set(FOLDED)) - {"sil"}) == 61


def test_the_core_test_set():
    assert len(set(CORE)) == 24 and sum(name[0] == "F" for name in CORE) == 8


def test_real_labels(data_folder, tmp_path):
    """Each 10 ms has the folded phone that the .PHN file has at its centre."""
    folder = data_folder / "TIMIT"
    records = prepared(folder, tmp_path / "save")["test"]
    labels = sorted({s[0] for record in records.values() for s in record["segments"]})
    pipe = FrameLabels(load("fbank"), labels, 0.01)
    dataset = ManifestDataset(records, [pipe], ["id", "frame_labels"])
    glottal = 0
    for example in dataset:
        place, speaker, name = example["id"].split("-")
        lines = (folder / f"TEST/{place}/{speaker}/{name}.PHN").read_text().splitlines()
        for frame, number in enumerate(example["frame_labels"].tolist()):
            centre = 160 * frame + 80
            words = [line.split() for line in lines]
            phones = [p for start, stop, p in words if int(start) <= centre < int(stop)]
            phone = FOLDED.get(phones[0], phones[0]) if phones else ""
            glottal += phones == ["q"]
            assert (labels[number] if number >= 0 else "") == phone
    assert glottal > 5


def test_toy(tmp_path):
    pytest.importorskip("espeakng_loader")
    from s3prl_sb.corpora.toys.timit import timit

    toy = timit(tmp_path / "toy", speakers=8, sentences=1)
    splits = prepared(toy, tmp_path / "save")
    assert {name: len(records) for name, records in splits.items()} == {
        "train": 6,
        "valid": 1,
        "test": 1,
    }
    assert {r["speaker"] in CORE for r in splits["test"].values()} == {True}
    phones = {s[0] for r in splits["train"].values() for s in r["segments"]}
    assert "sil" in phones and len(phones) > 15
    for records in splits.values():
        for record in records.values():
            spans = [s[1:] for s in record["segments"]]
            assert abs(spans[-1][1] - record["duration"]) < 0.01
            assert all(a[1] == b[0] for a, b in zip(spans, spans[1:]))
            assert re.match(r"\w+ \w+", record["text"])
            with open(record["wav"], "rb") as file:
                assert file.read(7) == b"NIST_1A"
