"""The feature cache: what is found, what is refused, what a key depends on."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import safetensors.torch
import soundfile
import torch
from transformer_checkpoint_files import content

from s3prl_sb.dataio import extraction, shard_plan, shards
from s3prl_sb.dataio.cache import CacheError, FeatureCache, audio_key
from s3prl_sb.dataio.dataset import ManifestDataset
from s3prl_sb.dataio.extraction import describe, estimate, extract
from s3prl_sb.dataio.pipes import AddNoise, AudioFileError, LoadAudio, Pipe, RandomCrop
from s3prl_sb.identity import digest
from s3prl_sb.identity.upstreams import upstream_identity
from s3prl_sb.lobes.upstreams import load
from s3prl_sb.lobes.upstreams.features import KaldiFeatures
from s3prl_sb.lobes.upstreams.hubert import Hubert

TINY = {
    "conv_layers": [[8, 10, 5], [8, 8, 64]],
    "hidden_size": 16,
    "ffn_size": 16,
    "num_layers": 2,
    "num_heads": 2,
    "position_kernel": 8,
    "position_groups": 2,
}


def fingerprint(upstream):
    return digest(upstream_identity(upstream))


def features(frames=5, layers=2, size=3, dtype=torch.float16, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(frames, layers, size, generator=generator).to(dtype)


@pytest.fixture
def records(tmp_path):
    """Five utterances in three files."""
    generator, found = torch.Generator().manual_seed(0), {}
    for number, seconds in enumerate((0.3, 0.5, 1.2)):
        wav = str(tmp_path / f"{number}.wav")
        samples = 0.1 * torch.randn(int(seconds * 16000), generator=generator)
        soundfile.write(wav, samples.numpy(), 16000)
        found[f"u{number}"] = {
            "wav": wav,
            "start": None,
            "stop": None,
            "duration": seconds,
        }
    for number, (start, stop) in enumerate([(0.0, 0.4), (0.4, 1.2)]):
        segment = {"start": start, "stop": stop, "duration": stop - start}
        found[f"s{number}"] = {**found["u2"], **segment}
    return found


def dataset(records, *pipes):
    return ManifestDataset(records, [LoadAudio(), *pipes], ["id", "sig"])


# ------------------------------------------------------------------- the store
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_written_and_read_again(dtype, tmp_path):
    given = {f"k{n}": features(n + 1, dtype=dtype, seed=n) for n in range(4)}
    cache = FeatureCache(tmp_path, {"kind": "frames"})
    cache.write([(key, f"id{key}", value) for key, value in list(given.items())[:3]])
    cache.write([("k3", "idk3", given["k3"])])
    for found in (
        cache,
        FeatureCache(tmp_path, {"kind": "frames"}),
        FeatureCache(tmp_path),
    ):
        assert len(found) == 4 and "k9" not in found
        assert found.keys_of == {f"id{key}": key for key in given}
        assert all(torch.equal(found[key], value) for key, value in given.items())
        assert found.bytes() == sum(
            p.stat().st_size for p in tmp_path.glob("*.safetensors")
        )
    assert sorted(p.suffix for p in tmp_path.iterdir()) == [".safetensors"] * 2


def test_other_descriptions_are_not_used(tmp_path):
    FeatureCache(tmp_path, {"kind": "frames"}).write([("k", "a", features())])
    assert len(FeatureCache(tmp_path, {"kind": "pooled"})) == 0


def test_shards_of_other_processes_are_taken_in(tmp_path):
    cache, other = (FeatureCache(tmp_path, {"kind": "frames"}) for _ in range(2))
    other.write([("k", "a", features())])
    assert "k" not in cache
    cache.refresh()
    assert torch.equal(cache["k"], features())


def test_broken_shards_are_ignored(tmp_path, caplog):
    cache = FeatureCache(tmp_path, {"kind": "frames"})
    paths = [cache.write([(f"k{n}", f"a{n}", features(seed=n))]) for n in range(3)]
    paths[0].write_bytes(paths[0].read_bytes()[:100])
    paths[1].write_bytes(b"")
    (tmp_path / ".half.1.part").write_bytes(paths[2].read_bytes())
    (tmp_path / "foreign.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    found = FeatureCache(tmp_path, {"kind": "frames"})
    assert list(found.keys_of) == ["a2"] and "broken cache shard" in caplog.text


@pytest.mark.parametrize(
    "entry, value",
    [("keys", [["a"], {}]), ("frames", ["7", None]), ("frames", 3), ("ids", "null")],
)
def test_headers_that_somebody_else_wrote(entry, value, tmp_path, caplog):
    from safetensors.torch import save_file

    said = {"description": "{}", "keys": ["a"], "ids": ["a"], "frames": [7]}
    said |= {"checksums": [0], entry: value}
    said = {k: v if isinstance(v, str) else json.dumps(v) for k, v in said.items()}
    said[shards.HEADER] = shards.header_checksum(said)
    save_file({"features": torch.ones(7, 1, 2)}, tmp_path / "a.safetensors", said)
    assert len(FeatureCache(tmp_path)) == 0


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize(
    "tensors",
    [
        {"features": torch.ones(())},
        {"features": torch.ones(7)},
        {"features": torch.ones(7, 1, 2), "scales": torch.ones(())},
        {"features": torch.ones(7, 1, 2), "scales": torch.ones(6, 1)},
        {"features": torch.ones(0, 1, 2)},
        {"scales": torch.ones(7, 1)},
    ],
)
def test_tensors_that_somebody_else_wrote(tensors, at_once, tmp_path, monkeypatch):
    from safetensors.torch import save_file

    monkeypatch.setattr(FeatureCache, "VERIFY_AT_ONCE", (4 << 30) * at_once)
    said = {"description": "{}", "keys": '["a"]', "ids": '["a"]', "frames": "[7]"}
    alone = {name: t[None] if t.dim() == 0 else t for name, t in tensors.items()}
    said["checksums"] = json.dumps([shards.checksum(alone)])
    said[shards.HEADER] = shards.header_checksum(said)
    save_file(tensors, tmp_path / "a.safetensors", said)
    assert len(FeatureCache(tmp_path)) == 0


def test_a_shard_without_frames(tmp_path):
    cache = FeatureCache(tmp_path)
    cache.write([("k", "a", features(frames=0))])
    assert FeatureCache(tmp_path)["k"].shape[0] == 0


@pytest.mark.parametrize("at_once", [True, False])
def test_damaged_features_are_found_out(at_once, tmp_path, monkeypatch):
    cache = FeatureCache(tmp_path, {"kind": "frames"})
    path = cache.write([("k0", "a0", features()), ("k1", "a1", features(seed=1))])
    cache.write([("k2", "a2", features(seed=2))])
    data = bytearray(path.read_bytes())
    data[-1] ^= 1  # one bit of the last entry
    path.write_bytes(data)
    if at_once:
        found = FeatureCache(tmp_path)
    else:
        monkeypatch.setattr(FeatureCache, "VERIFY_AT_ONCE", 0)
        found = FeatureCache(tmp_path)
        with pytest.raises(
            CacheError, match="is damaged and has been deleted. Run again"
        ):
            found["k1"]
        assert not path.exists()
        found = FeatureCache(tmp_path)
    assert list(found.keys_of) == ["a2"] and not path.exists()


# --------------------------------------------------------------------- its keys
def test_audio_key(records, tmp_path):
    record = records["u0"]
    keys = {audio_key("u0", record)}
    assert audio_key("u0", {**record, "label": "other"}) in keys
    keys |= {audio_key("u1", record), audio_key("u0", record, variant=1)}
    keys |= {
        audio_key("u0", {**record, "start": 0.1}),
        audio_key("u0", {**record, "stop": 1}),
    }
    assert len(keys) == 5
    moved = tmp_path / "moved.wav"
    os.rename(record["wav"], moved)
    assert audio_key("u0", {**record, "wav": str(moved)}) in keys
    os.utime(moved, ns=(0, 1))  # when it was written does not count
    assert audio_key("u0", {**record, "wav": str(moved)}) in keys
    data = bytearray(moved.read_bytes())
    data[-1] ^= 1
    moved.write_bytes(data)
    os.utime(moved, ns=(0, 1))
    assert audio_key("u0", {**record, "wav": str(moved)}) not in keys


def test_fingerprint_of_random_networks():
    same = {fingerprint(Hubert(config=TINY)) for _ in range(2)}
    assert len(same) == 1 and len(same.copy().pop()) == 64
    others = [
        Hubert(config=TINY, seed=1),
        Hubert(config={**TINY, "normalize_wav": True}),
        Hubert(config=TINY, feature_selection="fairseq_layers"),
        Hubert(config=TINY, precision="bf16"),
        KaldiFeatures(deltas=1),
        KaldiFeatures(deltas=2),
        KaldiFeatures(deltas=2, num_mel_bins=40),
    ]
    prints = {fingerprint(upstream) for upstream in others}
    assert len(prints) == len(others) and not same & prints


def test_fingerprint_of_changed_weights(tmp_path):
    """Also where they came from a file: what counts is what computes."""
    upstream = Hubert(config=TINY)
    before = fingerprint(upstream)
    upstream.network.encoder.norm.bias.data += 1
    assert fingerprint(upstream) != before
    loaded = Hubert(_checkpoint(tmp_path / "a.pt"))
    before = fingerprint(loaded)
    loaded.network.encoder.norm.bias.data += 1
    assert fingerprint(loaded) != before


def test_fingerprint_of_files(tmp_path):
    a, c = _checkpoint(tmp_path / "a.pt"), _checkpoint(tmp_path / "c.pt", seed=1)
    b = shutil.copy(a, tmp_path / "b.pt")
    prints = [fingerprint(Hubert(str(path))) for path in (a, b, c)]
    assert prints[0] == prints[1] != prints[2]  # where it lies does not count


def _checkpoint(path, seed=0):
    """A small HuBERT in S3PRL's format."""
    torch.save(content("s3prl", Hubert(config=TINY, seed=seed)), path)
    return path


def test_fingerprint_is_the_same_in_every_process():
    code = f"""
from s3prl_sb.identity import digest
from s3prl_sb.identity.upstreams import upstream_identity
from s3prl_sb.lobes.upstreams import load
from s3prl_sb.lobes.upstreams.hubert import Hubert
fingerprint = lambda upstream: digest(upstream_identity(upstream))
print(fingerprint(load("mel")), fingerprint(Hubert(config={TINY})))
"""
    seed = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
    printed = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert printed == [fingerprint(load("mel")), fingerprint(Hubert(config=TINY))]


class Taps(Pipe):
    """A custom filter."""

    audio = True

    def __init__(self, taps):
        self.taps = taps

    def add_to(self, dataset):
        """Refines sig."""


@pytest.mark.parametrize(
    "pipe, other",
    [
        (RandomCrop(1, crops=2), RandomCrop(1, crops=3)),
        (RandomCrop(1, crops=2), RandomCrop(2, crops=2)),
        (Taps([1, 2]), Taps([1, 3])),
        (Taps((1, 2)), Taps((1, 3))),
        (Taps({"a": 1}), Taps({"a": 2})),
        (Taps([(1, 2)]), LoadAudio(8000)),
    ],
    ids=lambda pipe: f"{type(pipe).__name__} {list(vars(pipe).values())}",
)
def test_description_tells_audio_pipes_apart(pipe, other, records):
    upstream = load("mel")
    described = [
        describe(upstream, dataset(records, p), "frames") for p in (pipe, other)
    ]
    assert described[0] != described[1]
    json.dumps(described)


@pytest.mark.parametrize("module", ["lobes/networks/packing", "audio/loading"])
def test_changed_code_is_another_description(module, records, monkeypatch):
    from s3prl_sb.identity import code

    upstream, read = Hubert(config=TINY), code._read
    before = describe(upstream, dataset(records), "frames")

    def changed(file):
        found, imports = read(file)
        return found + "x" * str(file).endswith(f"s3prl_sb/{module}.py"), imports

    monkeypatch.setattr(code, "_read", changed)
    assert describe(upstream, dataset(records), "frames") != before


def test_seeds_share_crops_at_fixed_places(records):
    first, other = (
        describe(load("mel"), dataset(records, RandomCrop(1, 2, seed=seed)), "frames")
        for seed in (0, 1)
    )
    assert first == other


# -------------------------------------------------------------------- extraction
@pytest.mark.parametrize("kind", ["frames", "pooled"])
@pytest.mark.parametrize("layers", [None, [1], [2, 0]])
def test_extract(kind, layers, records, tmp_path):
    upstream, data = Hubert(config=TINY), dataset(records)
    options = {"kind": kind, "layers": layers, "dtype": "float32", "progressbar": False}
    cache = extract(upstream, data, tmp_path / "cache", **options)
    assert len(cache) == 5
    for i, name in enumerate(data.data_ids):
        states = upstream(data[i]["sig"][None])[0]
        expected = torch.stack([states[layer][0] for layer in layers or range(3)], 1)
        expected = expected.mean(0, keepdim=True) if kind == "pooled" else expected
        torch.testing.assert_close(
            cache[cache.keys_of[name]], expected, atol=1e-5, rtol=1e-5
        )
    stamps = [p.stat().st_mtime_ns for p in cache.folder.glob("*.safetensors")]
    again = extract(upstream, data, tmp_path / "cache", **options)
    assert again.folder == cache.folder
    assert stamps == [p.stat().st_mtime_ns for p in cache.folder.glob("*.safetensors")]
    payload = sum(again[key].nbytes for key in again.keys_of.values())
    assert estimate(upstream, data, kind, layers, "float32") == payload


def test_extract_in_parts_and_what_is_new(records, tmp_path, monkeypatch):
    monkeypatch.setattr(shard_plan, "SHARD_UTTERANCES", 1)
    upstream, data = load("mel"), dataset(records)
    for part in (1, 0):
        cache = extract(upstream, data, tmp_path, part=(part, 2), progressbar=False)
        assert len(cache) == (2 if part else 5)
    soundfile.write(records["u0"]["wav"], torch.zeros(4800).numpy(), 16000)
    cache = extract(upstream, data, tmp_path, progressbar=False)
    assert len(cache) == 6 and not cache[audio_key("u0", records["u0"])].isnan().any()


def test_crops_are_cached_by_draw(records, tmp_path):
    data, upstream = dataset(records, RandomCrop(0.25, crops=3)), load("mel")
    cache = extract(upstream, data, tmp_path, dtype="float32", progressbar=False)
    assert len(cache) == 15
    audio = [data[2, draw]["sig"] for draw in range(7)]
    extraction.replace_audio(data, cache)
    for draw, wav in enumerate(audio):
        feats = data[2, draw]["feats"]
        torch.testing.assert_close(feats[:, 0], upstream(wav[None])[0][0][0])
    assert "sig" not in data[0]


def test_what_cannot_be_cached(records, tmp_path):
    upstream = load("mel")
    with pytest.raises(CacheError, match="'u0' is another one each time .*cache: off"):
        extract(
            upstream, dataset(records, AddNoise([0, 5])), tmp_path, progressbar=False
        )
    with pytest.raises(ValueError, match="'frames' or 'pooled', not 'mean'"):
        extract(upstream, dataset(records), tmp_path, kind="mean")
    with pytest.raises(ValueError, match="float16 or float32 or int8, not 'int4'"):
        extract(upstream, dataset(records), tmp_path, dtype="int4")
    for layers in ([1], [-2]):
        with pytest.raises(ValueError, match="layers"):
            extract(
                upstream, dataset(records), tmp_path, layers=layers, progressbar=False
            )
    bad = dict(records)
    soundfile.write(
        bad["u1"]["wav"], torch.full((800,), torch.nan).numpy(), 16000, "FLOAT"
    )
    with pytest.raises(AudioFileError, match="'u1' .*1.wav"):
        extract(upstream, dataset(bad), tmp_path, progressbar=False)


def test_features_beyond_half_precision(records, tmp_path):
    class Loud(type(load("mel"))):
        def encode(self, wavs):
            return [state * 1e6 for state in super().encode(wavs)]

    with pytest.raises(CacheError, match="not finite as float16.*cache_dtype: float32"):
        extract(Loud("mel"), dataset(records), tmp_path, progressbar=False)


@pytest.mark.parametrize("kind", [safetensors.SafetensorError, OSError])
def test_a_full_disk_is_named(kind, tmp_path, monkeypatch):
    cache = FeatureCache(tmp_path, {"kind": "frames"})

    def full(*args):
        raise kind("No space left on device")

    monkeypatch.setattr(safetensors.torch, "save_file", full)
    with pytest.raises(CacheError, match=f"{tmp_path}.*No space.*make room"):
        cache.write([("key", "a", torch.ones(2, 1, 4))])
    assert os.listdir(tmp_path) == []


def test_layers_as_an_array_has_them(records):
    """The same cache, and one that JSON can describe."""
    upstream, data = Hubert(config=TINY), dataset(records)
    expected = describe(upstream, data, "frames", [0, 2])
    for layers in (np.array([0, 2]), [np.int64(0), -1], (0, 2), range(0, 3, 2)):
        found = describe(upstream, data, "frames", layers)
        assert json.dumps(found) == json.dumps(expected)
    size = estimate(upstream, data, "frames", np.array([0, 2]))
    assert size == estimate(upstream, data, "frames", [0, 2])


def test_ids_are_read_once_until_a_shard_is_added(tmp_path, monkeypatch):
    cache = FeatureCache(tmp_path, {"kind": "frames"})
    cache.write([("k0", "a", torch.ones(2, 1, 3)), ("k1", "b", torch.ones(1, 1, 3))])
    reads, read = [], shards.read
    monkeypatch.setattr(shards, "read", lambda path: reads.append(path) or read(path))
    assert [cache.keys_of[name] for name in ("a", "b", "a")] == ["k0", "k1", "k0"]
    assert len(reads) == 1
    cache.write([("k2", "c", torch.ones(1, 1, 3))])
    assert set(cache.keys_of) == {"a", "b", "c"}
    FeatureCache(tmp_path).write([("k3", "d", torch.ones(1, 1, 3))])
    cache.refresh()
    assert cache.keys_of["d"] == "k3"
