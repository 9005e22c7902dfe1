"""Audio besides `wav`: names in tables, identity by content, sources of mixtures."""

import json
import os
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from s3prl_sb.dataio import audio_columns, manifest
from s3prl_sb.dataio.dataset import ManifestDataset
from s3prl_sb.dataio.pipes import (
    AddNoise,
    AddReverb,
    ChangeSpeed,
    LoadAudio,
    RandomCrop,
    UnfoldChunks,
)
from s3prl_sb.dataio.source_tables import prepare_source_tables
from s3prl_sb.dataio.sources import LoadSources
from s3prl_sb.errors import ManifestError, UserError
from s3prl_sb.identity.data import digests

RATE = 16000


def write(path, samples, rate=RATE):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, "FLOAT")
    return str(path)


@pytest.fixture
def mixtures(tmp_path):
    """Records of two mixtures of two sources."""
    random, records = np.random.default_rng(0), {}
    for name in ("a", "b"):
        sources = 0.1 * random.standard_normal((2, 2 * RATE))
        paths = [
            write(tmp_path / f"s{i}" / f"{name}.wav", s) for i, s in enumerate(sources)
        ]
        wav = write(tmp_path / "mix" / f"{name}.wav", sources.sum(0))
        records[name] = {"wav": wav, "sources": paths}
        records[name].update(duration=2.0, start=None, stop=None)
    return records


def examples(records, *pipes):
    return ManifestDataset(records, [*pipes, LoadSources()])


def test_sources_sum_to_the_mixture(mixtures):
    for example in examples(mixtures, LoadAudio()):
        assert example["source_waves"].shape == (2, 2 * RATE)
        torch.testing.assert_close(example["source_waves"].sum(0), example["sig"])


@pytest.mark.parametrize(
    "pipes",
    [
        [RandomCrop(0.7)],
        [RandomCrop(0.7, crops=2)],
        [ChangeSpeed([0.9, 1.1])],
        [ChangeSpeed([0.9, 1.1]), RandomCrop(0.7)],
        [RandomCrop(0.7), ChangeSpeed([0.9, 1.1])],
        [UnfoldChunks(0.7), RandomCrop(0.5)],
    ],
)
def test_sources_follow_the_conditions(mixtures, pipes):
    dataset = examples(mixtures, LoadAudio(), *pipes)
    seen = set()
    for draw in range(4):
        for position in range(len(dataset)):
            example = dataset[position, draw]
            parts = example["source_waves"].sum(0)
            torch.testing.assert_close(parts, example["sig"], atol=1e-5, rtol=0)
            seen.add(float(parts[0]))
    assert len(seen) > 2  # not always the same part


def test_a_source_that_is_a_little_shorter_stays_aligned(mixtures):
    """By 20 ms, at the end: no crop of it is shifted."""
    for record in mixtures.values():
        for path in record["sources"]:
            samples, rate = soundfile.read(path)
            soundfile.write(path, samples[: -rate // 50], rate, "FLOAT")
    dataset = examples(mixtures, LoadAudio(), RandomCrop(1.9))
    for draw in range(8):
        example = dataset[0, draw]
        parts = example["source_waves"].sum(0)[:28000]
        torch.testing.assert_close(parts, example["sig"][:28000], atol=1e-5, rtol=0)


def test_sources_are_of_the_channel_of_the_mixture(tmp_path, mixtures):
    for record in mixtures.values():
        for path in (record["wav"], *record["sources"]):
            samples, _ = soundfile.read(path)
            write(Path(path), np.stack([samples, 0.3 * samples], 1))
    example = examples(mixtures, LoadAudio(channel=1))[0]
    torch.testing.assert_close(example["source_waves"].sum(0), example["sig"])


def test_noise_is_no_source(mixtures):
    dataset = examples(mixtures, LoadAudio(), AddNoise(snr=10))
    example = dataset[0]
    noise = example["sig"] - example["source_waves"].sum(0)
    ratio = example["source_waves"].sum(0).square().mean() / noise.square().mean()
    assert 10 * ratio.log10() == pytest.approx(10, abs=0.1)


def test_what_sources_cannot_follow_is_refused(mixtures, tmp_path):
    write(tmp_path / "rooms" / "room.wav", np.eye(1, 99)[0])
    with pytest.raises(ManifestError, match="AddReverb changes the mixture"):
        examples(mixtures, LoadAudio(), AddReverb(str(tmp_path / "rooms")))


def test_segments_and_rates(tmp_path, mixtures):
    clean = np.sin(np.arange(4 * 48000) / 7)
    wav = write(tmp_path / "48.wav", clean, 48000)
    segment = {"wav": wav, "sources": [wav], "start": 1.0, "stop": 2.5}
    example = examples({"a": segment}, LoadAudio())[0]
    assert len(example["sig"]) == 1.5 * RATE
    torch.testing.assert_close(example["source_waves"][0], example["sig"])
    mixtures["a"]["sources"][1] = wav  # 4 s
    with pytest.raises(UserError, match="has 4.000 s, the mixture 2.000 s"):
        examples(mixtures, LoadAudio())[0]


def test_a_changed_source_changes_the_identity(mixtures):
    with_sources = examples(mixtures, LoadAudio())
    without = ManifestDataset(mixtures, [LoadAudio()])
    before, plain = digests({"a": with_sources}), digests({"a": without})
    assert digests({"a": with_sources}) == before
    samples, rate = soundfile.read(mixtures["b"]["sources"][1])
    time.sleep(0.01)
    soundfile.write(mixtures["b"]["sources"][1], samples[::-1], rate, "FLOAT")
    assert digests({"a": with_sources}) != before
    assert digests({"a": without}) == plain


def test_identity_does_not_depend_on_the_place(mixtures, tmp_path):
    before = digests({"a": examples(mixtures, LoadAudio())})
    for record in mixtures.values():
        moved = [f"{path}.moved.wav" for path in record["sources"]]
        for old, new in zip(record["sources"], moved):
            os.rename(old, new)
        record["sources"] = moved
    assert digests({"a": examples(mixtures, LoadAudio())}) == before


def table(folder, mixtures, columns):
    """Writes a CSV with paths relative to its folder."""
    lines = [",".join(("wav", *columns))]
    for record in mixtures.values():
        cells = [record["wav"], *record["sources"]]
        lines.append(",".join(os.path.relpath(c, folder) for c in cells))
    path = folder / "my.csv"
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def prepared(path, folder, **options):
    paths = prepare_source_tables(path, path, path, str(folder / "save"), **options)
    return manifest.read(paths["test"])


def test_tables_of_sources(tmp_path, mixtures):
    path = table(tmp_path, mixtures, ("source_1", "source_2"))
    records = prepared(path, tmp_path, num_sources=2)
    assert sorted(r["sources"] for r in records.values()) == sorted(
        r["sources"] for r in mixtures.values()
    )
    # A manifest is a table too; so are rows with a list
    (tmp_path / "again.json").write_text(json.dumps(records))
    again = prepared(str(tmp_path / "again.json"), tmp_path / "2", num_sources=2)
    assert again == records


def test_an_edited_source_is_prepared_again(tmp_path, mixtures):
    path = table(tmp_path, mixtures, ("source_1", "source_2"))
    prepared(path, tmp_path, num_sources=2)
    time.sleep(0.01)
    write(tmp_path / "s1" / "b.wav", np.zeros(RATE))
    with pytest.raises(ManifestError, match=r"my.csv:3: .*b.wav has 1.000 s"):
        prepared(path, tmp_path, num_sources=2)


@pytest.mark.parametrize(
    "columns, number, message",
    [
        (("source_1", "other"), 2, "clean audio are source_1, source_2; found"),
        (("source_1", "source_2"), 1, "clean audio are clean; found"),
        (("source_1", "source_3"), None, "source_1, source_2 and so on; found"),
        (("source_0", "source_1"), None, "source_1, source_2 and so on; found"),
        (("clean", "source_1"), 1, "both clean and source_1"),
        (("clear", "other"), None, "are clean, or of several sources source_1"),
    ],
)
def test_wrong_columns(tmp_path, mixtures, columns, number, message):
    path = table(tmp_path, mixtures, columns)
    with pytest.raises(ManifestError, match=message):
        prepared(path, tmp_path, num_sources=number)


def test_missing_and_empty_cells(tmp_path, mixtures):
    path = table(tmp_path, mixtures, ("source_1", "source_2"))
    text = open(path).read()
    with open(path, "w") as file:
        file.write(text.replace("s1/b.wav", "s1/c.wav"))
    with pytest.raises(ManifestError, match=r"my.csv:3: .*missing audio file .*c.wav"):
        prepared(path, tmp_path, num_sources=2)
    with open(path, "w") as file:
        file.write(text.replace("s1/b.wav", ""))
    with pytest.raises(ManifestError, match=r"my.csv:3: .* has 1 sources"):
        prepared(path, tmp_path, num_sources=2)


def test_columns_of_several_names(tmp_path):
    for name in "bc":
        write(tmp_path / f"{name}.wav", np.zeros(9))
    records = {"x": {"wav": "a", "enroll": "b.wav | {data_root}/c.wav", "target": None}}
    columns = {"enroll": True, "target": False}
    audio_columns.resolve(records, columns, str(tmp_path), {})
    expected = [str(tmp_path / "b.wav"), str(tmp_path / "c.wav")]
    assert records["x"]["enroll"] == expected and records["x"]["target"] is None
    for value in (["b.wav"], 3):
        records = {"x": {"wav": "a", "target": value}}
        with pytest.raises(ManifestError, match="not the name of a file"):
            audio_columns.resolve(records, columns, str(tmp_path), {})
