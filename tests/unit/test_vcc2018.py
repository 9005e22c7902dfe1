"""VCC2018 and VCC2016 for opinion scores: lists, audio, scores of systems."""

import numpy
import pytest
import soundfile

from s3prl_sb.corpora import vcc2018
from s3prl_sb.dataio import manifest
from s3prl_sb.errors import ManifestError

NAMES = ("B01_VCC2TF1_VCC2SF1_30001_HUB", "N11_VCC2TM1_VCC2SM1_30002_SPO")


@pytest.fixture
def corpus(tmp_path):
    """Two systems; each list has both utterances under other sentences."""
    folder = tmp_path / "VCC_2018"
    (folder / vcc2018.AUDIO).mkdir(parents=True)
    (folder / "VCC2018_Results").mkdir()
    (folder / vcc2018.RESULTS).write_text("B01_HUB,N11_SPO\n3.9,4.1\n")
    for number, (split, file) in enumerate(vcc2018.LISTS.items()):
        lines = [",".join(vcc2018.COLUMNS)]
        for name in NAMES:
            wav = f"{name[:-5]}{number}{name[-4:]}.wav"
            soundfile.write(folder / vcc2018.AUDIO / wav, numpy.zeros(8000), 16000)
            lines += [f"{wav},3.5,3,ANN", f"{wav},3.5,4,BOB"]
        (folder / file).write_text("\n".join(lines) + "\n")
    return folder


def test_records(corpus, tmp_path):
    paths = vcc2018.prepare_vcc2018(str(tmp_path), tmp_path / "save")
    records = {split: manifest.read(path) for split, path in paths.items()}
    first = records["train"]["B01_VCC2TF1_VCC2SF1_30000_HUB"]
    assert first["value"] == 3.5 and first["duration"] == 0.5
    assert first["judgements"] == [["ANN", 3.0], ["BOB", 4.0]]
    assert (first["system"], first["system_value"]) == ("B01_HUB", 3.9)
    assert {r["system"] for r in records["test"].values()} == {"B01_HUB", "N11_SPO"}
    assert not any("judgements" in r for r in records["test"].values())
    stamp = tmp_path / "save/prepare.json"
    before = stamp.stat().st_mtime_ns
    vcc2018.prepare_vcc2018(str(corpus), tmp_path / "save")
    assert stamp.stat().st_mtime_ns == before


def replace(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        ("train_judge.csv", "3.5,3,ANN", "3.5,3,BOB", ":3: BOB judges B01.* twice"),
        ("valid_judge.csv", "3.5,4,BOB", "3.0,4,BOB", "has MEAN 3.0 here, and 3.5 in"),
        ("test_judge.csv", "3.5,3", "3.5,x", r":2: MOS 'x' is not a number"),
        ("test_judge.csv", "JUDGE", "WHO", "no column JUDGE"),
        ("train_judge.csv", "B01_VCC2TF1", "B01_VCC2TF9", ":2: missing audio file"),
        (vcc2018.RESULTS, "N11_SPO", "N12_SPO", "no score of the system N11_SPO"),
    ],
)
def test_faults(corpus, tmp_path, file, old, new, words):
    replace(corpus / file, old, new)
    with pytest.raises(ManifestError, match=words):
        vcc2018.prepare_vcc2018(str(corpus), tmp_path / "save")


def test_missing_lists_say_where_they_are(corpus, tmp_path):
    (corpus / "valid_judge.csv").unlink()
    with pytest.raises(ManifestError, match="valid_judge.csv: no such file. Copy"):
        vcc2018.prepare_vcc2018(str(corpus), tmp_path / "save")


def test_vcc2016_is_a_test_set(tmp_path):
    folder = tmp_path / "VCC_2016"
    (folder / "unified_speech").mkdir(parents=True)
    (folder / "system_mos.csv").write_text("source,baseline,A\n4.62,1.5,2.7\n")
    for name in ("A_SF1_TF1_100001", "baseline_SF1_TF1_100001"):
        soundfile.write(folder / f"unified_speech/{name}.wav", numpy.zeros(800), 16000)
    paths = vcc2018.prepare_vcc2018(str(folder), tmp_path / "save")
    assert list(paths) == ["test"]
    records = manifest.read(paths["test"])
    assert {r["system"]: r["value"] for r in records.values()} == {
        "A": 2.7,
        "baseline": 1.5,
    }
    (folder / "unified_speech/Q_SF1_TF1_100001.wav").write_bytes(b"")
    with pytest.raises(ManifestError, match="no score of the system Q"):
        vcc2018.prepare_vcc2018(str(folder), tmp_path / "other")


def test_toy(tmp_path):
    pytest.importorskip("espeakng_loader")
    from s3prl_sb.corpora.toys.vcc2018 import vcc2018 as toy

    folder = toy(tmp_path / "toy", systems=3, utterances=5)
    paths = vcc2018.prepare_vcc2018(str(folder), tmp_path / "save")
    records = {split: manifest.read(path) for split, path in paths.items()}
    assert {split: len(r) for split, r in records.items()} == {
        "train": 9,
        "valid": 3,
        "test": 3,
    }
    scores = {r["system"]: r["system_value"] for r in records["test"].values()}
    best, middle, worst = (scores[name] for name in sorted(scores))
    assert best > middle > worst
    assert {len(r["judgements"]) for r in records["train"].values()} == {4}
