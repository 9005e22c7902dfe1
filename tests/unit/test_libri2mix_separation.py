"""The parser of Libri2Mix for separation: tables, folders, S3PRL's choice of dev."""

import random
import shutil

import numpy as np
import pytest
import soundfile

from s3prl_sb.corpora.libri2mix_separation import (
    prepare_libri2mix_ss,
    speakers_of,
    validation_subset,
)
from s3prl_sb.dataio import manifest
from s3prl_sb.errors import ManifestError

SUBSETS = {"train-100": "19-1-0001_26-1-0002", "dev": "84-1-1_174-1-1"}
SUBSETS["test"] = "61-1-1_121-1-1"


def librimix(folder, mode="wav16k/min", sources=2, tables=True):
    """Writes one mixture a subset; its tables have the paths of another machine."""
    head = ["mixture_ID", "mixture_path"]
    head += [f"source_{n + 1}_path" for n in range(sources)] + ["length"]
    for subset, name in SUBSETS.items():
        paths = []
        for part in ("mix_clean", *(f"s{n + 1}" for n in range(sources))):
            place = folder / mode / subset / part / f"{name}.wav"
            place.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(place, np.zeros(1600), 16000)
            paths.append(f"/old/Libri2Mix/{mode}/{subset}/{part}/{name}.wav")
        if tables:
            table = folder / mode / "metadata" / f"mixture_{subset}_mix_clean.csv"
            table.parent.mkdir(parents=True, exist_ok=True)
            row = ",".join([name, *paths, "1600"])
            table.write_text(",".join(head) + "\n" + row + "\n")
    return folder


def prepared(folder, **options):
    paths = prepare_libri2mix_ss(str(folder), str(folder / "save"), **options)
    return {split: manifest.read(path) for split, path in paths.items()}


def test_tables_and_folders_are_alike(tmp_path):
    splits = prepared(librimix(tmp_path))
    for split, name in zip(("train", "valid", "test"), SUBSETS.values()):
        (record,) = splits[split].values()
        assert list(splits[split]) == [name]
        assert record["wav"].endswith(f"/mix_clean/{name}.wav")
        assert [p.split("/")[-2] for p in record["sources"]] == ["s1", "s2"]
        assert record["duration"] == 0.1
    shutil.rmtree(tmp_path / "wav16k/min/metadata")
    assert prepared(tmp_path) == splits
    assert prepared(tmp_path / "wav16k/min") == splits


def test_three_sources(tmp_path):
    splits = prepared(librimix(tmp_path, sources=3))
    assert len(splits["test"][SUBSETS["test"]]["sources"]) == 3


def test_max_only_on_purpose(tmp_path):
    librimix(tmp_path, mode="wav16k/max")
    with pytest.raises(ManifestError, match="has wav16k/max only"):
        prepared(tmp_path)
    assert len(prepared(tmp_path / "wav16k/max")["test"]) == 1


def test_noisy_mixtures(tmp_path):
    librimix(tmp_path)
    with pytest.raises(ManifestError, match="needs the folders mix_both, s1 and s2"):
        prepared(tmp_path, mixture="mix_both")


def test_sources_of_another_length(tmp_path):
    librimix(tmp_path)
    path = tmp_path / "wav16k/min/test/s2" / f"{SUBSETS['test']}.wav"
    soundfile.write(path, np.zeros(16000), 16000)
    with pytest.raises(ManifestError, match="has 1.000 s, .* has 0.100 s"):
        prepared(tmp_path)


def test_broken_tables(tmp_path):
    librimix(tmp_path)
    table = tmp_path / "wav16k/min/metadata/mixture_test_mix_clean.csv"
    head, row = table.read_text().splitlines()
    for lines, message in (
        ([head, row, row], "3: '61-1-1_121-1-1' again, first in"),
        ([head], "has no rows"),
        ([head, row.replace("/old/Libri2Mix", "")[:30] + ",,,"], "2: no source_1_path"),
    ):
        table.write_text("\n".join(lines) + "\n")
        with pytest.raises(ManifestError, match=message):
            prepared(tmp_path)


def test_validation_mixtures_of_s3prl():
    names = [f"{number}-1-1_{number % 7}-2-2" for number in range(3000)]
    random.seed(7)
    expected = sorted(names)
    random.shuffle(expected)
    found = validation_subset(dict.fromkeys(names), 1000)
    assert list(found) == sorted(expected[:1000])
    assert len(validation_subset(dict.fromkeys(names), None)) == 3000


def test_shared_speakers_are_reported(tmp_path, caplog):
    librimix(tmp_path)
    shutil.rmtree(tmp_path / "wav16k/min/metadata")
    for part in ("mix_clean", "s1", "s2"):
        folder = tmp_path / "wav16k/min/test" / part
        soundfile.write(folder / "26-9-9_99-1-1.wav", np.zeros(1600), 16000)
    prepared(tmp_path)
    assert "1 of the 4 speakers of the test set" in caplog.text


def test_toy(tmp_path):
    pytest.importorskip("espeakng_loader")
    from s3prl_sb.corpora.toys.libri2mix import libri2mix

    folder = libri2mix(tmp_path / "toy", train=1, dev=1, test=1, speakers=8)
    splits = prepared(folder)
    for records in splits.values():
        for record in records.values():
            mixture, *sources = (
                soundfile.read(p)[0] for p in (record["wav"], *record["sources"])
            )
            np.testing.assert_allclose(sum(sources), mixture, atol=1e-4)
            assert all(np.abs(source).max() > 0.1 for source in sources)
    train, test = splits["train"], splits["test"]
    assert not {*speakers_of(*train)} & {*speakers_of(*test)}
