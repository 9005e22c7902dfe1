"""The size of a cache: eight bits, many shards, and the room that it may take."""

import functools
import json
import logging
import multiprocessing
import os
import re
import shutil
import zlib
from types import SimpleNamespace

import pytest
import soundfile
import torch
from safetensors.torch import save_file

from s3prl_sb.brains import cache_budget, caching
from s3prl_sb.dataio import extraction, shard_plan, shards
from s3prl_sb.dataio.cache import CacheError, FeatureCache
from s3prl_sb.dataio.dataset import ManifestDataset
from s3prl_sb.dataio.description import DTYPES, describe, estimate
from s3prl_sb.dataio.pipes import LoadAudio
from s3prl_sb.dataio.quantization import quantize, restore
from s3prl_sb.lobes.featurizer import Featurizer
from s3prl_sb.lobes.heads.frames import FrameClassifier
from s3prl_sb.lobes.heads.utterance import UtteranceClassifier
from s3prl_sb.lobes.upstreams import load

INT8 = {"kind": "frames", "dtype": "int8"}


@pytest.fixture
def data(tmp_path):
    """Nine utterances of a second."""
    generator, records = torch.Generator().manual_seed(0), {}
    for number in range(9):
        wav = str(tmp_path / f"{number}.wav")
        samples = 0.1 * torch.randn(16000, generator=generator)
        soundfile.write(wav, samples.numpy(), 16000)
        place = {"wav": wav, "start": None, "stop": None}
        records[f"u{number}"] = {**place, "duration": 1.0}
    return ManifestDataset(records, [LoadAudio()], ["id", "sig"])


def features(seed=0, frames=20):
    return torch.randn(frames, 2, 5, generator=torch.Generator().manual_seed(seed))


# ------------------------------------------------------------------- eight bits
def test_eight_bits_are_off_by_half_a_step_at_most():
    x = features() * torch.logspace(-30, 30, 20)[:, None, None]
    x[3], x[5, 1, 2] = 0, 1e38
    stored = quantize(x)
    assert stored["features"].dtype == torch.int8
    step = x.abs().amax(2, keepdim=True) / 127
    assert ((restore(stored) - x).abs() <= step * 0.50001).all()
    assert torch.equal(restore(stored)[3], torch.zeros(2, 5))
    # each frame of a layer has its own scale
    assert torch.equal(quantize(x[7:8, 1:])["scales"], stored["scales"][7:8, 1:])


def test_values_too_small_for_a_scale_stay_finite():
    x = torch.full((2, 1, 3), 1e-45)
    restored = restore(quantize(x))
    assert restored.isfinite().all() and restored.abs().max() <= 1e-43


def test_a_cache_in_eight_bits(tmp_path):
    cache = FeatureCache(tmp_path, INT8)
    given = {f"k{n}": features(n, 1 + n) for n in range(4)}
    cache.write([(key, key, value) for key, value in given.items()])
    for again in (cache, FeatureCache(tmp_path, INT8), FeatureCache(tmp_path)):
        for key, value in given.items():
            assert torch.equal(again[key], restore(quantize(value)))
            assert again[key].dtype == torch.float32
    assert len(FeatureCache(tmp_path, {"kind": "frames", "dtype": "float16"})) == 0


@pytest.mark.parametrize("name", ["features", "scales"])
def test_damage_in_codes_and_in_scales_is_found(name, tmp_path):
    cache = FeatureCache(tmp_path, INT8)
    path = cache.write([("k", "a", features())])
    content, stored = path.read_bytes(), quantize(features())[name]
    place = content.rindex(stored.contiguous().view(torch.uint8).numpy().tobytes())
    damaged = bytearray(content)
    damaged[place] ^= 1
    path.write_bytes(damaged)
    assert "k" not in FeatureCache(tmp_path, INT8) and not path.exists()


def test_extraction_in_eight_bits(data, tmp_path, monkeypatch):
    upstream, found = load("fbank"), {}
    for dtype in DTYPES:
        cache = extraction.extract(
            upstream, data, tmp_path / "cache", dtype=dtype, progressbar=False
        )
        found[dtype] = torch.cat([cache[cache.keys_of[n]] for n in data.data_ids])
        headers = 30_000  # of the shards, and alignment
        size = estimate(upstream, data, "frames", None, dtype)
        assert size <= cache.bytes() <= size + headers
    assert torch.equal(found["int8"], restore(quantize(found["float32"])))
    forks = multiprocessing.get_context("fork")  # which import nothing again
    monkeypatch.setattr(multiprocessing, "get_context", lambda method: forks)
    again = extraction.extract(
        upstream, data, tmp_path / "two", dtype="int8", num_processes=2
    )
    two = torch.cat([again[again.keys_of[n]] for n in data.data_ids])
    assert torch.equal(two, found["int8"])


def test_code_that_quantizes_counts_for_eight_bits_alone(data, monkeypatch):
    from s3prl_sb.identity import code

    read, upstream = code._read, load("mel")

    def changed(file):
        hash_, *rest = read(file)
        return (hash_ + "x" * (file.name == "quantization.py"), *rest)

    before = [describe(upstream, data, "frames", None, dtype) for dtype in DTYPES]
    monkeypatch.setattr(code, "_read", changed)
    after = [describe(upstream, data, "frames", None, dtype) for dtype in DTYPES]
    same = {d: one == two for d, one, two in zip(DTYPES, before, after)}
    assert same == {"float16": True, "float32": True, "int8": False}


# ------------------------------------------------------------------- many shards
def maps_of(folder):
    with open("/proc/self/maps") as file:
        return sum(str(folder) in line for line in file)


@pytest.mark.skipif(not os.path.exists("/proc/self/maps"), reason="no /proc")
def test_few_shards_are_mapped(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "MAPS", 4)
    cache = FeatureCache(tmp_path, {"kind": "frames"})
    for number in range(40):
        cache.write([(f"k{number}", f"u{number}", features(number))])
    for opened in (cache, FeatureCache(tmp_path, {"kind": "frames"})):
        order = [*range(40), *range(0, 40, 7), 39, 0]
        for number in order:
            assert torch.equal(opened[f"k{number}"], features(number))
            assert maps_of(tmp_path) <= 8  # four of each cache
        kept = opened["k0"]
        for number in range(1, 40):
            opened[f"k{number}"]
        assert torch.equal(kept, features(0))  # in use: it stays readable
        del kept


def test_shards_of_earlier_versions_are_read(tmp_path):
    """Their layout is fixed here: caches are large, and outlive versions."""
    given = [features(n, 3 + n).half() for n in range(2)]
    said = {
        "description": json.dumps({"kind": "frames"}),
        "keys": '["k0", "k1"]',
        "ids": '["a", "b"]',
        "frames": "[3, 4]",
        "checksums": json.dumps([zlib.crc32(x.numpy().tobytes()) for x in given]),
    }
    said["header"] = str(zlib.crc32(json.dumps(said, sort_keys=True).encode()))
    save_file({"features": torch.cat(given)}, tmp_path / "a.safetensors", said)
    cache = FeatureCache(tmp_path, {"kind": "frames"})
    assert cache.keys_of == {"a": "k0", "b": "k1"}
    for key, x in zip(("k0", "k1"), given):
        assert torch.equal(cache[key], x) and cache[key].dtype == torch.float16


def test_a_shard_that_is_deleted_or_made_again_meanwhile(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "MAPS", 1)
    cache = FeatureCache(tmp_path, {"kind": "frames"})
    paths = [cache.write([(f"k{n}", f"u{n}", features(n))]) for n in range(3)]
    for number in range(3):
        assert torch.equal(cache[f"k{number}"], features(number))
    paths[0].unlink()
    with pytest.raises(CacheError, match=f"{paths[0]}.* deleted .*Run again"):
        cache["k0"]
    # Another machine computes the same features with other last bits.
    paths[1].unlink()
    other = FeatureCache(tmp_path, {"kind": "frames"})
    other.write([("k1", "u1", features(1) + 1e-6)])
    assert torch.equal(cache["k1"], features(1) + 1e-6)
    assert torch.equal(cache["k2"], features(2))


class Sized:
    """A dataset of utterances of some durations, without audio."""

    def __init__(self, seconds):
        self.seconds = seconds
        self.data_ids = [f"u{number}" for number in range(len(seconds))]
        self.data = {name: {"wav": "a.wav"} for name in self.data_ids}

    def __len__(self):
        return len(self.seconds)

    def form_seconds(self, index):
        return [self.seconds[index]]


def planned(seconds, kind="frames", dtype="float16"):
    """The seconds of each shard of an extraction of mel spectrograms."""
    upstream = load("mel")
    count = functools.partial(extraction.frames, upstream, kind)
    per_frame = extraction.frame_bytes(upstream, None, dtype)
    found = shard_plan.ShardPlan(Sized(seconds), count, per_frame)
    found._hashes = {"a.wav": "0"}
    assert [item["id"] for shard in found for item in shard] == Sized(seconds).data_ids
    assert found.utterances == len(seconds) and found.seconds == sum(seconds)
    return [sum(item["seconds"] for item in shard) for shard in found]


def test_shards_are_limited_by_seconds_and_bytes(monkeypatch):
    hour = planned([10.0] * 360, "pooled")
    assert hour == [240.0] * 15  # a kill costs little, processes have work
    days = planned([15.0] * 60_000, "pooled")  # 250 hours
    assert 250 <= len(days) <= 260
    many = planned([1200.0] * 6000, "pooled")  # 2,000 hours
    assert many == [3600.0] * 2000
    monkeypatch.setattr(shard_plan, "SHARD_BYTES", 1_000_000)
    sizes = [
        seconds * 100 * 80 * 4 for seconds in planned([10.0] * 360, dtype="float32")
    ]
    assert 0.5e6 < max(sizes) <= 1.01e6


# -------------------------------------------------------------- a run, and its room
def brain(tmp_path, head, **hparams):
    upstream = load("fbank")
    featurizer = Featurizer(upstream.num_layers)
    hparams = {"cache": "auto", "cache_folder": str(tmp_path / "cache"), **hparams}
    return SimpleNamespace(
        hparams=SimpleNamespace(**hparams),
        upstream=upstream,
        raw_modules={"featurizer": featurizer, "head": head},
        device="cpu",
    )


def three(data):
    names = data.data_ids
    parts = {"train": names[:5], "valid": names[5:7], "test": names[7:]}
    return {
        name: ManifestDataset(
            {n: data.data[n] for n in ids}, [LoadAudio()], ["id", "sig"]
        )
        for name, ids in parts.items()
    }


def test_a_run_opens_and_verifies_a_cache_once(data, tmp_path, monkeypatch):
    made = brain(tmp_path, UtteranceClassifier(240, 2, hidden_size=4))
    caching.use_cache(made, three(data))
    opened, checked = [], []
    begin, check = FeatureCache.__init__, shards.is_sound
    monkeypatch.setattr(
        FeatureCache, "__init__", lambda *a: opened.append(a[1]) or begin(*a)
    )
    monkeypatch.setattr(
        shards, "is_sound", lambda p, h: checked.extend(h.keys) or check(p, h)
    )
    splits = three(data)
    caching.use_cache(made, splits)
    assert len(opened) == 1 and len(checked) == 9
    assert all("feats" in splits[name][0] for name in splits)
    assert len(checked) == 9


def disk(monkeypatch, folder, size):
    """A disk of this many bytes, with nothing but the folder on it."""

    def usage(_):
        return SimpleNamespace(free=size - cache_budget._bytes(folder))

    monkeypatch.setattr(shutil, "disk_usage", usage)


def test_auto_is_half_of_the_disk_also_for_a_run_that_resumes(
    data, tmp_path, monkeypatch, caplog
):
    made = brain(tmp_path, FrameClassifier(240, 2, hidden_size=4), cache_budget="auto")
    dtypes = {"train": "float16", "valid": "float16", "test": "float32"}
    sizes = {
        name: estimate(made.upstream, dataset, "frames", None, dtypes[name])
        for name, dataset in three(data).items()
    }
    needed = sum(sizes.values())

    def kinds(size):
        disk(monkeypatch, tmp_path / "cache", size)
        caplog.clear()
        with caplog.at_level(logging.INFO):
            caching.use_cache(made, three(data))
        return re.findall(r"Cache of the \w+ set: (\w+)", caplog.text)

    assert kinds(sizes["valid"]) == ["off"] * 3

    enough = 2 * (needed + 100_000)  # and headers
    assert kinds(enough) == ["frames"] * 3
    said = caplog.text
    assert "half of the" in said and "of audio as float16 frames of Kaldi" in said
    assert kinds(enough) == ["frames"] * 3  # though half of the rest is less
    made.hparams.cache_budget = needed / 1e9
    assert kinds(enough) == ["frames"] * 3 and "auto is" not in caplog.text


def test_features_of_another_dataset_count(data, tmp_path, monkeypatch):
    """Though they are in the same cache, as those of two corpora are."""
    made = brain(tmp_path, FrameClassifier(240, 2, hidden_size=4), cache_budget="auto")
    splits, folder = three(data), tmp_path / "cache"
    first, second = splits["train"], splits["valid"]
    sizes = [
        estimate(made.upstream, dataset, "frames", None, "float16")
        for dataset in (first, second)
    ]
    extraction.extract(made.upstream, first, folder, progressbar=False)
    disk(monkeypatch, folder, 2 * (cache_budget._bytes(folder) + sizes[1] // 2))
    assert [caching.kind(made, dataset)[0] for dataset in (first, second)] == [
        "frames",
        "off",
    ]
    disk(monkeypatch, folder, 2 * (cache_budget._bytes(folder) + 2 * sizes[1]))
    assert caching.kind(made, second)[0] == "frames"


def test_auto_keeps_no_large_set_that_is_not_heard_once(data, tmp_path, monkeypatch):
    made = brain(
        tmp_path,
        FrameClassifier(240, 2, hidden_size=4),
        cache_budget="auto",
        total_steps=2,
        batch_size=4,
    )
    assert caching.kind(made, data)[0] == "frames"  # a small one is
    monkeypatch.setattr(caching, "DEFAULT", 1e-6)
    found, reason = caching.kind(made, data)
    assert found == "off" and "less than one pass" in reason
    assert caching.kind(made, data, "valid")[0] == "frames"
    made.hparams.total_steps = 3
    assert caching.kind(made, data)[0] == "frames"
    made.hparams.total_steps, made.hparams.cache_budget = 2, 1
    assert caching.kind(made, data)[0] == "frames"  # as asked


def test_auto_says_the_hours_that_it_holds(data, tmp_path, monkeypatch, caplog):
    made = brain(tmp_path, None, cache_budget="auto")
    disk(monkeypatch, tmp_path / "cache", 2 * 3600 * 480 * 100)
    whole = cache_budget.Disk(tmp_path / "cache")
    with caplog.at_level(logging.INFO):
        left = cache_budget.budget(
            made.hparams, made.upstream, [data], [0], "float16", whole
        )
    assert left.bytes == 3600 * 480 * 100 and "1.0 h of audio" in caplog.text
