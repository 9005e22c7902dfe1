"""The feature cache gives what the upstream gives, or says why it cannot."""

import functools
import os
import shutil
from pathlib import Path

import pytest
import torch
from conftest import KS, LABELS, TINY, clip, command, results, trained

from s3prl_sb.brains.classification import ClassificationBrain
from s3prl_sb.dataio import extraction, shard_plan
from s3prl_sb.dataio.cache import CacheError, FeatureCache, audio_key
from s3prl_sb.dataio.dataset import ManifestDataset
from s3prl_sb.dataio.pipes import AddNoise, LoadAudio, RandomCrop
from s3prl_sb.lobes.featurizer import Featurizer
from s3prl_sb.lobes.heads.utterance import UtteranceClassifier
from s3prl_sb.lobes.upstreams import load
from s3prl_sb.lobes.upstreams.base import Upstream


@pytest.fixture(scope="module")
def upstream(tiny_card):
    return load(str(tiny_card))


@pytest.fixture
def records(tmp_path):
    """12 clips in a folder of their own, to be changed at will."""
    import soundfile

    found = {}
    for number in range(12):
        wav = tmp_path / "audio" / f"{number}.wav"
        wav.parent.mkdir(exist_ok=True)
        samples = clip(LABELS[number % 4], number, seconds=0.3 + 0.05 * number)
        soundfile.write(wav, samples, 16000)
        found[f"clip{number}"] = {
            "wav": str(wav),
            "duration": len(samples) / 16000,
            "start": None,
            "stop": None,
            "label": LABELS[number % 4],
        }
    return found


@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr(shard_plan, "SHARD_UTTERANCES", 3)


def dataset(records, *pipes):
    return ManifestDataset(records, [LoadAudio(), *pipes], ["id", "sig"])


def extract(upstream, records, folder, *pipes, kind="frames", dtype="float32", **more):
    return extraction.extract(
        upstream,
        dataset(records, *pipes),
        folder,
        kind=kind,
        dtype=dtype,
        progressbar=False,
        **more,
    )


def features(cache, records):
    return {name: cache[audio_key(name, record)] for name, record in records.items()}


def assert_equal(cache, other, records):
    expected = features(other, records)
    for name, value in features(cache, records).items():
        assert torch.equal(value, expected[name]), name


class Counting(torch.nn.Module):
    """Counts the waveforms that an upstream is given."""

    def __init__(self, upstream, monkeypatch):
        super().__init__()
        self.waveforms, forward = 0, upstream.forward

        def counting(wavs, lens=None):
            self.waveforms += len(wavs)
            return forward(wavs, lens)

        monkeypatch.setattr(upstream, "forward", counting)


# --------------------------------------------------------------------- exactness
@pytest.mark.parametrize("kind", ["frames", "pooled"])
@pytest.mark.parametrize("dtype, tolerance", [("float32", 1e-6), ("float16", 1e-3)])
def test_cached_features_are_those_computed(
    kind, dtype, tolerance, upstream, records, tmp_path
):
    cache = extract(upstream, records, tmp_path / "cache", kind=kind, dtype=dtype)
    audio = dataset(records)
    for index, (name, found) in enumerate(features(cache, records).items()):
        states, _ = upstream(audio[index]["sig"][None])
        expected = torch.stack([state[0] for state in states], dim=1)
        if kind == "pooled":
            expected = expected.mean(0, keepdim=True)
        difference = (found.float() - expected).abs().max()
        assert difference <= tolerance * expected.abs().max(), name


def test_training_is_the_same_with_any_cache(corpus, tiny_card, launcher, tmp_path):
    hparams = tmp_path / "train.yaml"  # Adam would magnify rounding errors
    text = (KS / "hparams/train.yaml").read_text().replace("optim.Adam", "optim.SGD")
    hparams.write_text(text)
    for kind in ("off", "pooled", "frames"):
        argv = command(
            KS,
            tmp_path / kind,
            hparams=hparams,
            data_folder=corpus,
            upstream=tiny_card,
            labels="folders",
            version="v0.02",
            cache=kind,
            cache_dtype="float32",
            total_steps=10,
            steps_per_epoch=5,
            batch_size=8,
            lr=0.3,
        )
        assert launcher.run(argv) == 0
    expected, weights = results(tmp_path / "off"), trained(tmp_path / "off")
    for kind in ("pooled", "frames"):
        found = results(tmp_path / kind)
        assert found["metrics"] == pytest.approx(expected["metrics"], abs=1e-4)
        assert found["best_step"] == expected["best_step"]
        for name, value in trained(tmp_path / kind).items():
            if torch.is_tensor(value):
                torch.testing.assert_close(value, weights[name], atol=1e-4, rtol=1e-3)


def test_each_of_k_crops_is_cached_as_it_is_computed(upstream, records, tmp_path):
    crop = RandomCrop(seconds=0.5, crops=2)
    audio = dataset(records, crop)
    cache = extract(upstream, records, tmp_path / "cache", crop)
    assert len(cache) == sum(1 if r["duration"] <= 0.5 else 2 for r in records.values())
    cached = dataset(records, crop)
    extraction.replace_audio(cached, cache)
    for index in range(len(records)):
        for draw in (0, 1, 5):  # the fifth is the second again
            states, _ = upstream(audio[index, draw]["sig"][None])
            expected = torch.stack([state[0] for state in states], dim=1)
            found = cached[index, draw]["feats"]
            torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert not torch.equal(cached[11, 0]["feats"], cached[11, 1]["feats"])


# -------------------------------------------------------- stale and damaged entries
def test_audio_that_changed_is_extracted_anew(upstream, records, tmp_path):
    import soundfile

    before = extract(upstream, records, tmp_path / "cache")[
        audio_key("clip5", records["clip5"])
    ].clone()
    soundfile.write(records["clip5"]["wav"], clip("owl", 99, seconds=0.55), 16000)
    after = extract(upstream, records, tmp_path / "cache")
    now = after[audio_key("clip5", records["clip5"])]
    assert now.shape == before.shape and not torch.allclose(now, before, atol=1e-3)


def damage_flipped(path):
    content = bytearray(path.read_bytes())
    content[-100] ^= 0x40
    path.write_bytes(content)


def damage_truncated(path):
    os.truncate(path, path.stat().st_size // 2)


def damage_header(path):
    path.write_bytes(b"\xff" * 64 + path.read_bytes()[64:])


def damage_empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize(
    "damage", [damage_flipped, damage_truncated, damage_header, damage_empty]
)
def test_a_damaged_shard_is_found_and_made_anew(
    damage, upstream, records, small_shards, tmp_path, caplog
):
    sound = extract(upstream, records, tmp_path / "sound")
    folder = extract(upstream, records, tmp_path / "cache").folder
    shards = sorted(folder.glob("*.safetensors"))
    damage(shards[1])
    mended = extract(upstream, records, tmp_path / "cache")
    assert str(shards[1]) in caplog.text, "no warning names it"
    assert_equal(mended, sound, records)
    assert_equal(FeatureCache(folder), sound, records)


def test_damage_found_at_first_use_says_what_to_do(
    upstream, records, tmp_path, monkeypatch
):
    monkeypatch.setattr(FeatureCache, "VERIFY_AT_ONCE", 0)
    folder = extract(upstream, records, tmp_path / "cache").folder
    damage_flipped(next(folder.glob("*.safetensors")))
    cache = FeatureCache(folder)
    with pytest.raises(CacheError, match="is damaged and has been deleted. Run again"):
        features(cache, records)
    assert not list(folder.glob("*.safetensors"))


# ------------------------------------------------------- shards, parts and processes
def test_a_killed_extraction_does_not_redo_finished_shards(
    upstream, records, small_shards, tmp_path, monkeypatch
):
    whole = extract(upstream, records, tmp_path / "whole")
    write, written = FeatureCache.write, []

    def third_is_too_many(self, entries):
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(write(self, entries))

    with monkeypatch.context() as patch:
        patch.setattr(FeatureCache, "write", third_is_too_many)
        with pytest.raises(KeyboardInterrupt):
            extract(upstream, records, tmp_path / "cache")
    counting = Counting(upstream, monkeypatch)
    times = [path.stat().st_mtime_ns for path in written]
    cache = extract(upstream, records, tmp_path / "cache")
    assert counting.waveforms == 6  # of 12: two shards of three were there
    assert [path.stat().st_mtime_ns for path in written] == times
    assert_equal(cache, whole, records)


def test_several_processes_give_the_same_bits(
    upstream, records, small_shards, tmp_path, request
):
    # Of equally many threads: their number decides the order of additions.
    request.addfinalizer(
        functools.partial(torch.set_num_threads, torch.get_num_threads())
    )
    torch.set_num_threads(1)
    one = extract(upstream, records, tmp_path / "one")
    two = extract(upstream, records, tmp_path / "two", num_processes=2)
    names = [sorted(p.name for p in c.folder.glob("*.safetensors")) for c in (one, two)]
    assert names[0] == names[1] and len(names[0]) == 4
    assert_equal(two, one, records)


@pytest.mark.parametrize("parts", [2, 3])
def test_parts_make_up_the_whole_whoever_comes_first(
    parts, upstream, records, small_shards, tmp_path, monkeypatch
):
    whole = extract(upstream, records, tmp_path / "whole")
    counting = Counting(upstream, monkeypatch)
    for part in range(parts):  # one after the other: machines are never in step
        cache = extract(upstream, records, tmp_path / "parts", part=(part, parts))
    assert counting.waveforms == len(records)
    assert_equal(cache, whole, records)


# ------------------------------------------------------------------------- reuse
def test_a_few_shot_subset_uses_the_cache_of_all(
    upstream, records, tmp_path, monkeypatch
):
    whole = extract(upstream, records, tmp_path / "cache")
    counting = Counting(upstream, monkeypatch)
    few = {name: records[name] for name in list(records)[::3]}
    assert_equal(extract(upstream, few, tmp_path / "cache"), whole, few)
    assert counting.waveforms == 0


def test_a_corpus_that_moved_keeps_its_cache(upstream, records, tmp_path, monkeypatch):
    extract(upstream, records, tmp_path / "cache")
    shutil.move(tmp_path / "audio", tmp_path / "elsewhere")
    counting = Counting(upstream, monkeypatch)
    moved = {
        name: {**r, "wav": str(tmp_path / "elsewhere" / Path(r["wav"]).name)}
        for name, r in records.items()
    }
    extract(upstream, moved, tmp_path / "cache")
    assert counting.waveforms == 0


def test_another_upstream_another_cache(upstream, records, tmp_path):
    other = tmp_path / "other.yaml"
    other.write_text(TINY + "    seed: 7\n")
    first = extract(upstream, records, tmp_path / "cache")
    second = extract(load(str(other)), records, tmp_path / "cache")
    assert first.folder != second.folder
    key = audio_key("clip0", records["clip0"])
    assert not torch.allclose(first[key], second[key], atol=1e-3)


# ------------------------------------------------------------------------- limits
def test_a_full_disk_is_an_error_before_the_work(
    upstream, records, tmp_path, monkeypatch
):
    usage = type("usage", (), {"free": 100})
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(CacheError, match="(?s)would take .*100 B left.*cache_folder"):
        extract(upstream, records, tmp_path / "cache")


def test_a_cache_of_others_is_read_and_not_completed(
    upstream, records, tmp_path, monkeypatch
):
    extract(upstream, records, tmp_path / "cache")
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    assert len(extract(upstream, records, tmp_path / "cache")) == len(records)
    more = {**records, "again": records["clip0"]}
    with pytest.raises(CacheError, match="1 utterances.*not write.*cache_folder"):
        extract(upstream, more, tmp_path / "cache")


def test_what_float16_cannot_hold_is_an_error_that_says_so(records, tmp_path):
    class Loud(Upstream):
        stride, num_layers, output_size = 160, 1, 1

        def frames(self, samples):
            return max(1, samples // 160)

        def encode(self, wavs):
            return [wavs.unfold(1, 160, 160).mean(2, keepdim=True) * 0 + 1e6]

    with pytest.raises(CacheError, match="(?s)'clip0'.*0.wav.*cache_dtype: float32"):
        extract(Loud(), records, tmp_path / "cache", dtype="float16")


def test_endless_forms_cannot_be_cached(upstream, records, tmp_path):
    for pipe in (RandomCrop(seconds=0.4), AddNoise([0, 10])):
        with pytest.raises(
            CacheError, match="(?s)clip.*another one each time.*cache: off"
        ):
            extract(upstream, records, tmp_path / "cache", pipe)


def kind_chosen(upstream, records, folder, normalize=False, pipes=(), **hparams):
    """The kind of cache that a Brain makes of a training set."""
    size = upstream.output_size
    brain = ClassificationBrain(
        labels=list(LABELS),
        modules={
            "featurizer": Featurizer(upstream.num_layers, normalize=normalize),
            "head": UtteranceClassifier(size, len(LABELS), hidden_size=8),
        },
        hparams={
            "upstream_model": upstream,
            "opt_class": torch.optim.Adam,
            "cache_folder": str(folder),
            "max_grad_norm": 1.0,
            "noprogressbar": True,
            "cache": "auto",
            **hparams,
        },
        run_opts={"device": "cpu", "noprogressbar": True},
    )
    train = dataset(records, *pipes)
    brain.use_cache({"train": train})
    if "feats" not in train.pipeline.output_mapping:
        return "off"
    return "pooled" if len(train[0]["feats"]) == 1 else "frames"


def test_auto_takes_the_smallest_that_is_exact(upstream, records, tmp_path):
    def kind(**options):
        return kind_chosen(upstream, records, tmp_path / "cache", **options)

    assert kind() == "pooled"
    assert kind(normalize=True) == "frames"
    assert kind(normalize=True, cache_budget=1e-6) == "off"
    assert kind(cache_budget=1e-6) == "pooled"
    assert kind(pipes=[RandomCrop(0.4)]) == "off"
    assert kind(pipes=[RandomCrop(0.4, crops=2)]) == "pooled"
    assert kind(pipes=[AddNoise([0, 10])]) == "off"
    assert kind(cache="off") == "off"
    assert kind(cache="frames") == "frames"


@pytest.mark.parametrize("name", ["fbank", "fbank_no_cmvn"])
def test_means_of_normalized_features_are_named(name, records, tmp_path, caplog):
    """Means over time are zero after CMVN: the head would be at chance, silently."""
    upstream = load(name)
    means = upstream.encode(torch.randn(1, 16000))[0].mean(1)
    assert (means.abs().max() < 1e-4) == (name == "fbank")
    assert kind_chosen(upstream, records, tmp_path / "cache") == "pooled"
    assert ("such as fbank_no_cmvn" in caplog.text) == (name == "fbank")
    caplog.clear()
    assert kind_chosen(upstream, records, tmp_path / "cache", cache="frames")
    assert "fbank_no_cmvn" not in caplog.text


def test_a_trained_upstream_is_not_cached(tiny_card, records, tmp_path):
    upstream = load(str(tiny_card), freeze=False)
    assert kind_chosen(upstream, records, tmp_path, lr_upstream=0.1) == "off"
    with pytest.raises(ValueError, match="impossible, the upstream is trained"):
        kind_chosen(upstream, records, tmp_path, lr_upstream=0.1, cache="frames")


def test_runs_that_begin_together_share_a_cache(upstream, records, tmp_path):
    """Each of them describes it, at the same time."""
    import threading

    half = len(records) // 2
    parts = [dict(list(records.items())[:half]), dict(list(records.items())[half:])]
    start, failed = threading.Barrier(2), []

    def run(part):
        start.wait()
        try:
            extract(upstream, part, tmp_path / "cache")
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=run, args=(part,)) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert len(extract(upstream, records, tmp_path / "cache")) == len(records)
