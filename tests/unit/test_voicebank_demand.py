"""The parser of VoiceBank-DEMAND, on files with its names."""

import os
import shutil

import numpy as np
import pytest
import soundfile

from s3prl_sb.corpora.voicebank_demand import (
    download_voicebank_demand,
    prepare_voicebank_demand,
)
from s3prl_sb.dataio import manifest
from s3prl_sb.errors import ManifestError

TRAIN = ["p226_001", "p226_002", "p287_001", "p227_001", "p228_001", "p228_002"]
TEST = ["p232_001", "p257_001"]


def write(folder, names, samples=480, rate=48000):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        soundfile.write(folder / f"{name}.wav", np.zeros(samples), rate)


@pytest.fixture
def corpus(tmp_path):
    for kind in ("clean", "noisy"):
        write(tmp_path / f"{kind}_trainset_28spk_wav", TRAIN)
        write(tmp_path / f"{kind}_testset_wav", TEST)
    return tmp_path


def prepared(corpus, **options):
    paths = prepare_voicebank_demand(str(corpus), str(corpus / "save"), **options)
    return {split: manifest.read(path) for split, path in paths.items()}


def test_splits_and_pairs(corpus):
    splits = prepared(corpus)
    assert sorted(splits["train"]) == ["p227_001", "p228_001", "p228_002"]
    assert sorted(splits["valid"]) == ["p226_001", "p226_002", "p287_001"]
    assert sorted(splits["test"]) == TEST
    for records in splits.values():
        for name, record in records.items():
            (clean,) = record["sources"]
            folders = [os.path.dirname(path) for path in (record["wav"], clean)]
            assert "noisy" in folders[0] and "clean" in folders[1]
            assert {os.path.basename(p) for p in (clean, record["wav"])} == {
                f"{name}.wav"
            }
            assert record["duration"] == 0.01


def test_counts_are_compared_with_the_published_ones(corpus, caplog):
    prepared(corpus)
    assert "6 utterances of trainset_28spk_wav, and 11572 are published" in caplog.text
    assert "2 utterances of testset_wav, and 824 are published" in caplog.text


def test_the_copy_for_s3prl_is_preferred(corpus):
    for kind in ("clean", "noisy"):
        write(corpus / f"{kind}_testset_wav_16k", TEST, 160, 16000)
    splits = prepared(corpus)
    assert all("_16k" in r["wav"] for r in splits["test"].values())
    assert not any("_16k" in r["wav"] for r in splits["train"].values())


def test_other_validation_speakers(corpus):
    valid = prepared(corpus, valid_speakers=["p228"])["valid"]
    assert sorted(valid) == ["p228_001", "p228_002"]
    for share in (0.1, 0.5, 0.99):
        splits = prepared(corpus, valid_speakers=share)
        speakers = [{name[:4] for name in splits[s]} for s in ("train", "valid")]
        assert speakers[0] and speakers[1] and not speakers[0] & speakers[1]
        assert splits == prepared(corpus, valid_speakers=share)


@pytest.mark.parametrize(
    "valid_speakers, message",
    [
        (["p226", "p1"], "no recording of p1, to validate on; its 4 speakers are p226"),
        ([], "no recording of no speaker"),
        (1.5, "between 0 and 1"),
        (["p226", "p227", "p228", "p287"], "none is left to train on"),
    ],
)
def test_impossible_validation_speakers(corpus, valid_speakers, message):
    with pytest.raises(ManifestError, match=message):
        prepared(corpus, valid_speakers=valid_speakers)


def test_files_without_a_partner(corpus):
    (corpus / "clean_testset_wav" / "p257_001.wav").unlink()
    with pytest.raises(ManifestError, match=r"clean_testset_wav: lacks 1 .* p257_001"):
        prepared(corpus)


def test_pairs_of_different_lengths(corpus):
    write(corpus / "clean_testset_wav", ["p257_001"], 4800)
    with pytest.raises(ManifestError, match=r"^'p257_001': .*has 0.100 s, .*0.010 s"):
        prepared(corpus)


def test_shared_speakers_are_reported(corpus, caplog):
    for kind in ("clean", "noisy"):
        write(corpus / f"{kind}_testset_wav", ["p227_009"])
    prepared(corpus)
    assert "1 of the 3 speakers of the test set are in the training set" in caplog.text


@pytest.mark.parametrize("scp", [False, True])
def test_folders_that_are_split(tmp_path, scp):
    for split in ("train", "dev", "test"):
        for kind in ("noisy", "clean"):
            folder = tmp_path / "wav16k" / split / kind
            audio = tmp_path / "audio" / kind if scp else folder
            write(audio, [f"{split}_1"])
            if scp:
                folder.mkdir(parents=True)
                line = f"{split}_1 /old/audio/{kind}/{split}_1.wav\n"
                (folder / "wav.scp").write_text(line)
    splits = prepared(tmp_path)
    assert {s: list(r) for s, r in splits.items()} == {
        "train": ["train_1"],
        "valid": ["dev_1"],
        "test": ["test_1"],
    }


def test_no_corpus(tmp_path, corpus):
    shutil.rmtree(corpus / "clean_testset_wav")
    with pytest.raises(ManifestError, match="no folders noisy_testset_wav and clean_"):
        prepared(corpus)
    with pytest.raises(ManifestError, match="data_folder is not set"):
        prepare_voicebank_demand(None, str(tmp_path / "save"))


def test_download(monkeypatch, tmp_path):
    files = []
    monkeypatch.setattr(
        "s3prl_sb.corpora.voicebank_demand.download",
        lambda wanted, destination: files.extend(wanted) or destination,
    )
    assert download_voicebank_demand(tmp_path) == tmp_path
    assert [file.file_name for file in files] == [
        "noisy_trainset_28spk_wav.zip",
        "clean_trainset_28spk_wav.zip",
        "noisy_testset_wav.zip",
        "clean_testset_wav.zip",
    ]


def test_toy(tmp_path):
    pytest.importorskip("espeakng_loader")
    from s3prl_sb.corpora.toys.voicebank_demand import NOISES, TEST, voicebank_demand

    folder = voicebank_demand(tmp_path / "toy", speakers=5, utterances=1)
    splits = prepared(folder)
    names = {split: sorted(records) for split, records in splits.items()}
    assert names["valid"] == ["p226_001", "p287_001"]
    assert names["test"] == ["p232_001", "p257_001"] and len(names["train"]) == 1
    lines = (folder / "log_testset.txt").read_text().splitlines()
    for line in lines:
        name, kind, ratio = line.split()
        record = splits["test"][name]
        noisy, clean = (
            soundfile.read(p)[0] for p in (record["wav"], *record["sources"])
        )
        assert kind in NOISES[TEST]
        loud = clean[np.abs(clean) > 0.01 * np.abs(clean).max()]
        found = 10 * np.log10(np.mean(loud**2) / np.mean((noisy - clean) ** 2))
        assert found == pytest.approx(float(ratio), abs=1.5)  # some noises beat
    assert len(lines) == 2
