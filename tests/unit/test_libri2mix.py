"""Libri2Mix for diarization: its two forms, and the toy."""

import logging

import numpy as np
import pytest
import soundfile
from corpus_errors import fails

from s3prl_sb.corpora.kaldi import read_kaldi
from s3prl_sb.corpora.libri2mix import loud_spans, prepare_libri2mix_sd
from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.rttm import read_rttm

SUBSETS = {"train": "train-100", "valid": "dev", "test": "test"}
COLUMNS = "mixture_ID,mixture_path,source_1_path,source_2_path,length\n"


def sound(path, *spans, seconds=3.0):
    """Noise within the spans, nearly nothing elsewhere."""
    rng = np.random.default_rng(0)
    samples = 1e-4 * rng.standard_normal(int(seconds * 16000))
    for start, stop in spans:
        first, last = int(start * 16000), int(stop * 16000)
        samples[first:last] += 0.1 * rng.standard_normal(last - first)
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, 16000)


def librimix(folder, mode="max", mixture="mix_both"):
    for subset in SUBSETS.values():
        name = f"19-{subset[:2]}-0001_26-{subset[:2]}-0002"
        parts = [f"wav16k/{mode}/{subset}/{part}/{name}.wav"
                 for part in (mixture, "s1", "s2")]  # fmt: skip
        sound(folder / parts[0], (0.5, 2.5))
        sound(folder / parts[1], (0.5, 1.0), (1.1, 1.5), (2.0, 2.5))
        sound(folder / parts[2], (1.0, 2.0))
        table = folder / f"wav16k/{mode}/metadata/mixture_{subset}_{mixture}.csv"
        table.parent.mkdir(exist_ok=True)
        table.write_text(COLUMNS + ",".join([name, *parts, "48000"]) + "\n")
    return folder


@pytest.mark.parametrize("mode, mixture", [("max", "mix_both"), ("min", "mix_clean")])
def test_librimix(tmp_path, caplog, mode, mixture):
    folder = librimix(tmp_path / "Libri2Mix", mode, mixture)
    with caplog.at_level(logging.WARNING):
        paths = prepare_libri2mix_sd(folder, tmp_path / "save")
    assert "will not compare with published ones" in caplog.text
    record = manifest.read(paths["train"])["19-tr-0001_26-tr-0002"]
    assert record["speakers"] == ["19", "26"]
    expected = [["19", 0.5, 1.5], ["26", 1.0, 2.0], ["19", 2.0, 2.5]]
    assert record["segments"] == [[s, pytest.approx(a), pytest.approx(b)]
                                  for s, a, b in expected]  # fmt: skip


def test_kaldi_folders_come_first(tmp_path):
    folder = librimix(tmp_path)
    for name in ("train", "dev", "test"):
        sound(folder / f"wav/{name}.wav")
        (folder / "data" / name).mkdir(parents=True)
        (folder / "data" / name / "wav.scp").write_text(f"{name} wav/{name}.wav\n")
        (folder / "data" / name / "segments").write_text(f"u {name} 0 1\n")
        (folder / "data" / name / "utt2spk").write_text("u ann\n")
    paths = prepare_libri2mix_sd(folder, tmp_path / "save")
    assert manifest.read(paths["valid"])["dev"]["segments"] == [["ann", 0.0, 1.0]]
    # Kept while nothing changes, though the audio is gone
    (folder / "wav/dev.wav").unlink()
    assert prepare_libri2mix_sd(folder, tmp_path / "save") == paths
    (folder / "data/dev/segments").write_text("u dev 0 0.5\n")
    with fails("data/dev/wav.scp:1: ", "dev.wav: no such audio file"):
        prepare_libri2mix_sd(folder, tmp_path / "save")
    (folder / "data/dev/wav.scp").unlink()
    with fails("data/dev: no Kaldi folder"):
        prepare_libri2mix_sd(folder, tmp_path / "save")


def test_faults(tmp_path):
    with fails("data_folder is not set", "--data_folder", "--train_csv"):
        prepare_libri2mix_sd(None, tmp_path / "save")
    with fails("none: no such folder"):
        prepare_libri2mix_sd(tmp_path / "none", tmp_path / "save")
    with fails("neither Kaldi folders", "nor LibriMix"):
        prepare_libri2mix_sd(tmp_path, tmp_path / "save")
    with fails("train.json: absent"):
        prepare_libri2mix_sd(tmp_path, tmp_path / "save", skip_prep=True)
    folder = librimix(tmp_path)
    table = folder / "wav16k/max/metadata/mixture_dev_mix_both.csv"
    good = table.read_text()
    for text, parts in {
        COLUMNS: [": has no rows"],
        good + good.splitlines()[1]: [":3: '19-de-0001_26-de-0002' again", ":2"],
        good.replace("mixture_path", "path"): [":2: no mixture_path"],
        good.replace("26-de-0002,", "19-de-0002,"): [":2: mixture_ID", "two speakers"],
        good.replace("/s2/", "/s3/"): [":2: ", "s3", "no such audio file"],
        good.replace("mix_both/", "mix_none/"): [":2: ", "mix_none", "no such audio"],
    }.items():
        table.write_text(text)
        with fails(str(table), *parts):
            prepare_libri2mix_sd(folder, tmp_path / "save")


def test_a_set_without_speech(tmp_path):
    for name in ("train", "dev", "test"):
        folder = tmp_path / "data" / name
        sound(folder / "a.wav")
        (folder / "wav.scp").write_text("a a.wav\n")
        line = "SPEAKER a 1 0 1 <NA> <NA> ann <NA>\n" if name != "dev" else "\n"
        (folder / "rttm").write_text(line)
    with fails(f"{tmp_path}/data/dev: nobody speaks in any of the 1", "valid set"):
        prepare_libri2mix_sd(tmp_path, tmp_path / "save")


def test_loudness(tmp_path):
    path = tmp_path / "a.wav"
    # A pause that is filled, a click that is dropped
    sound(path, (0.2, 0.6), (0.72, 1.0), (2.0, 2.1))
    assert loud_spans(path) == [(pytest.approx(0.2), pytest.approx(1.0))]
    soundfile.write(path, np.zeros(16000), 16000)
    assert loud_spans(path) == []


def test_toy(tmp_path):
    pytest.importorskip("espeakng_loader")
    from s3prl_sb.corpora.toys.libri2mix import libri2mix

    sizes = {"train": 4, "dev": 2, "test": 2}
    folder = libri2mix(tmp_path / "toy", **sizes, speakers=8)
    paths = prepare_libri2mix_sd(folder, tmp_path / "save")
    speakers = []
    for path, (name, count) in zip(paths.values(), sizes.items()):
        records = manifest.validate(manifest.read(path), path, required=("speakers",))
        assert len(records) == count
        assert all(len(record["speakers"]) == 2 for record in records.values())
        speakers.append({s for record in records.values() for s in record["speakers"]})
        # rttm and segments agree, and the folder is one of Kaldi's
        rttm = read_rttm(folder / "data" / name / "rttm")
        for key, record in records.items():
            assert len(rttm[key]) == len(record["segments"])
            found = sorted(rttm[key], key=lambda s: (s[1], s[2], s[0]))
            for (name1, *times), (name2, *others) in zip(found, record["segments"]):
                assert name1 == name2
                assert times == pytest.approx(others, abs=0.011)
        for file in ("wav.scp", "segments", "utt2spk", "spk2utt", "reco2dur"):
            lines = (folder / "data" / name / file).read_text().splitlines()
            assert lines == sorted(lines) and lines
    assert (
        not speakers[0] & speakers[1] and not (speakers[0] | speakers[1]) & speakers[2]
    )
    # A mixture is its sources and a little noise; their loudness tells the same story
    tables = prepare_libri2mix_sd(folder / "wav16k/max", tmp_path / "save of tables")
    for split in paths:
        found = manifest.read(tables[split])
        for key, record in manifest.read(paths[split]).items():
            assert found[key]["wav"] == record["wav"] and record["wav"].endswith(
                f"/mix_clean/{key}.wav"
            )
            mixture, *sources = (
                soundfile.read(record["wav"].replace("mix_clean", part))[0]
                for part in ("mix_clean", "s1", "s2")
            )
            assert np.abs(mixture - sum(sources)).max() < 0.01
            ours, true = ({s: 0.0 for s in record["speakers"]} for _ in range(2))
            for times, segments in ((ours, found[key]), (true, record)):
                for speaker, start, stop in segments["segments"]:
                    times[speaker] += stop - start
            assert ours == pytest.approx(true, rel=0.2)
    # Where nobody speaks there is next to nothing, where both do there is more
    for record in read_kaldi(folder / "data/train", [folder]).values():
        samples, _ = soundfile.read(record["wav"])
        active = np.zeros((2, len(samples)), dtype=bool)
        for speaker, start, stop in record["segments"]:
            span = slice(int((start - 0.03) * 16000), int((stop + 0.03) * 16000))
            active[
                record["speakers"].index(speaker), max(span.start, 0) : span.stop
            ] = 1
        silent = ~active.any(0)
        if silent.any():
            assert np.sqrt(np.mean(samples[silent] ** 2)) < 0.01
        assert active.all(0).any(), "no overlap"


def test_a_corpus_that_was_moved(tmp_path, caplog):
    """LibriMix writes absolute paths."""
    folder = librimix(tmp_path / "Libri2Mix")
    expected = prepare_libri2mix_sd(folder, tmp_path / "save")
    expected = {split: manifest.read(path) for split, path in expected.items()}
    for table in folder.glob("wav16k/max/metadata/*.csv"):
        text = table.read_text()
        table.write_text(text.replace(",wav16k/", ",/gone/Libri2Mix/wav16k/"))
    caplog.clear()
    found = prepare_libri2mix_sd(folder, tmp_path / "save")
    assert {split: manifest.read(path) for split, path in found.items()} == expected
    assert caplog.text.count("names the place where the corpus was: 3 of its") == 3
    inside = prepare_libri2mix_sd(folder / "wav16k/max", tmp_path / "save2")
    assert {split: manifest.read(path) for split, path in inside.items()} == expected
    sample = next(folder.glob("wav16k/max/test/s1/*.wav"))
    sample.rename(sample.with_name("other.wav"))
    with fails("mixture_test_mix_both.csv:2: /gone/Libri2Mix/wav16k/max/test/s1/"):
        prepare_libri2mix_sd(folder, tmp_path / "save3")
