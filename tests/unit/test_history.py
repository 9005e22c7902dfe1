"""Features do not depend on what else is extracted, nor on when."""

import pytest
import soundfile
import torch

from s3prl_sb.dataio import extraction
from s3prl_sb.dataio.cache import FeatureCache
from s3prl_sb.dataio.dataset import ManifestDataset
from s3prl_sb.dataio.description import describe
from s3prl_sb.dataio.extraction import audio_keys, extract
from s3prl_sb.dataio.pipes import LoadAudio
from s3prl_sb.lobes.networks.packing import along_time
from s3prl_sb.lobes.upstreams import load
from s3prl_sb.lobes.upstreams.hubert import Hubert

SMALL = {
    "hidden_size": 64,
    "ffn_size": 128,
    "num_layers": 2,
    "num_heads": 4,
    "conv_layers": [[64, 10, 5]] + [[64, 3, 2]] * 4 + [[64, 2, 2]] * 2,
}
SECONDS = (1.0, 0.02, 0.7, 2.3, 1.0, 0.06, 0.45, 1.9, 1.0, 0.1, 0.33, 1.4)


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def records(tmp_path):
    generator, found = torch.Generator().manual_seed(0), {}
    for number, seconds in enumerate(SECONDS):
        wav = str(tmp_path / f"{number}.wav")
        samples = 0.1 * torch.randn(int(seconds * 16000), generator=generator)
        soundfile.write(wav, samples.numpy(), 16000)
        times = {"start": None, "stop": None, "duration": seconds}
        found[f"u{number}"] = {"wav": wav, **times}
    return found


@pytest.mark.parametrize("kind", ["frames", "pooled"])
@pytest.mark.parametrize("family", ["hubert", "odd", "mel", "modified_cpc", "apc"])
def test_the_history_of_a_cache_does_not_matter(family, kind, records, tmp_path):
    if family == "hubert":
        upstream = Hubert(config=SMALL)
    elif family == "odd":  # no multiple of what a processor takes at once
        upstream = Hubert(config={**SMALL, "hidden_size": 80, "ffn_size": 101})
    elif family == "mel":
        upstream = load("mel")
    else:  # recurrent
        upstream = load(family, source=None)
    names = list(records)
    options = {"kind": kind, "dtype": "float32", "progressbar": False}

    def fill(folder, *parts):
        for part in parts:
            chosen = {name: records[name] for name in part}
            dataset = ManifestDataset(chosen, [LoadAudio()], ["id", "sig"])
            cache = extract(upstream, dataset, tmp_path / folder, **options)
        keys = audio_keys(ManifestDataset(records, [LoadAudio()], ["id", "sig"]))
        return [cache[key] for name in names for key in keys[name]]

    whole = fill("whole", names)
    for n, parts in enumerate([(names[::3], names), (names[7:], names[::-1])]):
        found = fill(str(n), *parts)
        assert all(map(torch.equal, found, whole))


def test_a_convolution_gives_each_what_it_gets_alone():
    convolution = torch.nn.Conv1d(64, 64, 16, padding=8, groups=4)
    frames = [49, 49, 3, 120, 1, 20]
    x = torch.randn(sum(frames), 64, generator=torch.Generator().manual_seed(0))
    together = along_time(convolution, x, frames, 8).split(frames)
    for piece, found in zip(x.split(frames), together):
        assert torch.equal(along_time(convolution, piece, [len(piece)], 8), found)


# ------------------------------------------------------------------- other histories
def test_audio_that_is_not_there_is_named(records, tmp_path):
    records["u3"]["wav"] = str(tmp_path / "gone.wav")
    dataset = ManifestDataset(records, [LoadAudio()], ["id", "sig"])
    with pytest.raises(extraction.AudioFileError, match="'u3' .*gone.wav.*no such"):
        extract(load("mel"), dataset, tmp_path / "cache", progressbar=False)


def test_a_noisy_copy_with_equal_names_sizes_and_times(records, tmp_path):
    """Both on one cache: each gets its own features."""
    import os
    import shutil

    found = []
    for noise in (0.0, 0.01):
        folder = tmp_path / f"corpus{noise}"
        folder.mkdir()
        copied = {}
        for name, record in records.items():
            wav = shutil.copy2(record["wav"], folder)
            if noise:
                samples, rate = soundfile.read(wav)
                soundfile.write(wav, samples + noise, rate)
                stat = os.stat(record["wav"])
                os.utime(wav, ns=(stat.st_atime_ns, stat.st_mtime_ns))
                assert stat.st_size == os.stat(wav).st_size
            copied[name] = {**record, "wav": wav}
        dataset = ManifestDataset(copied, [LoadAudio()], ["id", "sig"])
        cache = extract(load("mel"), dataset, tmp_path / "cache", progressbar=False)
        [key, *_] = audio_keys(dataset)["u3"]
        found.append(cache[key])
    assert not torch.equal(*found)
    assert len(cache) == 2 * len(records)


def test_caches_of_an_older_identity_are_said_and_left(records, tmp_path, caplog):
    folder = tmp_path / "cache" / "StftFeatures-frames-0123456789ab"
    FeatureCache(folder, {"kind": "frames"}).write([("k", "a", torch.ones(1, 1, 1))])
    (folder / "description.json").write_text('{"kind": "frames"}')
    before = sorted(p.name for p in folder.iterdir())
    dataset = ManifestDataset(records, [LoadAudio()], ["id", "sig"])
    with caplog.at_level("INFO"):
        cache = extract(load("mel"), dataset, tmp_path / "cache", progressbar=False)
    assert "an older identity" in caplog.text and str(folder) in caplog.text
    assert cache.folder != folder and sorted(p.name for p in folder.iterdir()) == before


@pytest.mark.parametrize("entry", ["keys", "ids", "frames", "checksums", "description"])
def test_a_flipped_bit_in_a_header(entry, tmp_path, caplog):
    cache = FeatureCache(tmp_path, {"kind": "frames"})
    entries = [("k1", "i1", torch.ones(5, 2, 3)), ("k2", "i2", torch.zeros(3, 2, 3))]
    path = cache.write(entries)
    text = path.read_bytes()
    place = text.index(f'"{entry}":"'.encode()) + len(entry) + 4
    for at in range(place, place + 200):
        if chr(text[at]).isalnum() and text[at - 1 : at] != b"\\":
            break
    path.write_bytes(text[:at] + bytes([text[at] ^ 1]) + text[at + 1 :])
    found = FeatureCache(tmp_path, {"kind": "frames"})
    assert len(found) == 0 and "header is damaged" in caplog.text


def test_code_that_computes_features_counts(records, tmp_path, monkeypatch):
    from s3prl_sb.identity import code

    dataset = ManifestDataset(records, [LoadAudio()], ["id", "sig"])
    upstream, original = load("mel"), code._read
    found = [describe(upstream, dataset, "pooled")]
    for name in ("features.py", "extraction.py"):

        def read(file, name=name):
            hash_, *rest = original(file)
            return (hash_ + "x" * (file.name == name), *rest)

        monkeypatch.setattr(code, "_read", read)
        found.append(describe(upstream, dataset, "pooled"))
    assert found[0] != found[1] and found[0] == found[2]
