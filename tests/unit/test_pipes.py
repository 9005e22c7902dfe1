"""Data pipes: audio of any kind, crops, noise, chunks, labels and texts."""

import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from speechbrain.dataio.encoder import CategoricalEncoder

from s3prl_sb.dataio.dataset import ManifestDataset, generator
from s3prl_sb.dataio.pipes import (
    AddNoise,
    AudioFileError,
    EncodeCategory,
    LoadAudio,
    Pipe,
    RandomCrop,
    UnfoldChunks,
)

CASES = {  # of the resample_cases: rate and channels
    "lhotse/mono_c0.wav": (8000, 1),
    "lhotse/stereo.wav": (8000, 2),
    "lhotse/stereo.mp3": (8000, 2),
    "lhotse/real_8ch.wav": (16000, 8),
    "emodb_22k/11a01Nd.wav": (22050, 1),
    "lhotse/LJ002-0020.wav": (22050, 1),
    "silero/test_44k_stereo.mp3": (44100, 2),
    "lhotse/common_voice_en_651325.mp3": (48000, 1),
    "ravdess_48k_mono/03-01-01-01-01-02-24.wav": (48000, 1),
    "ravdess_48k_stereo/03-01-02-01-01-02-01.wav": (48000, 2),
}


def tone(rate, seconds=0.5, channels=1, hertz=440.0):
    """[samples, channels]; channel c has the amplitude 0.1 (c + 1)."""
    wave = np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)
    return np.stack([0.1 * (c + 1) * wave for c in range(channels)], 1)


def write(path, samples, rate, **kwargs):
    soundfile.write(path, samples, rate, **kwargs)
    return str(path)


# ----------------------------------------------------------------- LoadAudio
@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100, 48000])
@pytest.mark.parametrize("channels", [1, 2, 8])
def test_rates_and_channels(rate, channels, tmp_path):
    wav = write(
        tmp_path / "a.wav", tone(rate, channels=channels), rate, subtype="FLOAT"
    )
    sig = LoadAudio().load("a", wav)
    assert sig.dtype == torch.float32 and sig.shape == (8000,)
    expected = torch.from_numpy(tone(16000)[:, 0]) * (channels + 1) / 2
    inner = slice(400, -400)  # resampling has edges
    assert (sig - expected)[inner].abs().max() < 0.01 * expected.max()
    last = LoadAudio(channel=channels - 1).load("a", wav)[inner]
    assert (
        last - channels * 10 * 0.1 * tone(16000)[inner, 0]
    ).abs().max() < 0.01 * channels


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_formats(suffix, tmp_path):
    path = write(tmp_path / f"a.{suffix}", tone(16000, 1.0), 16000)
    sig = LoadAudio().load("a", path)
    expected = torch.from_numpy(tone(16000, 1.0)[:, 0])
    tolerance = 1e-3 if suffix in ("wav", "flac") else 0.05
    count = min(len(sig), len(expected)) - 2000
    assert abs(len(sig) - 16000) < 2500  # mp3 comes in blocks
    assert (sig[1000:count] - expected[1000:count]).pow(2).mean().sqrt() < tolerance


@pytest.mark.parametrize("name", CASES)
def test_real_files(name, data_folder):
    path = data_folder / "resample_cases" / name
    rate, channels = CASES[name]
    info = soundfile.info(path)
    assert (info.samplerate, info.channels) == (rate, channels)
    sig = LoadAudio().load("a", str(path))
    expected = math.ceil(info.frames * 16000 / rate)
    # Headers of mp3 files count the encoder's padding too.
    assert abs(len(sig) - expected) <= (100 if name.endswith("mp3") else 0)
    assert 1e-4 < sig.abs().max() < 1.5
    stop = min(1.0, 0.5 * info.duration)
    segment = LoadAudio().load("a", str(path), 0.02, stop)
    assert abs(len(segment) - (stop - 0.02) * 16000) <= 2
    with pytest.raises(AudioFileError, match=f"has {channels} channels"):
        LoadAudio(channel=channels).load("a", str(path))


def test_segments_are_exact(tmp_path):
    ramp = np.arange(32000) / 32768
    wav = write(tmp_path / "a.wav", ramp, 16000)
    whole = LoadAudio().load("a", wav)
    for start, stop in [(0, 1), (0.25, 0.5), (1.5, None), (None, 0.75), (0, None)]:
        first, last = round((start or 0) * 16000), stop and round(stop * 16000)
        assert torch.equal(LoadAudio().load("a", wav, start, stop), whole[first:last])
    assert len(LoadAudio().load("a", wav, 1.5, 9)) == 8000  # up to the end


@pytest.mark.parametrize(
    "start, stop", [(3.0, None), (2.0, 2.5), (1.0, 1.0), (1.0, 0.5), (-1.0, 0.5)]
)
def test_impossible_segments(start, stop, tmp_path):
    wav = write(tmp_path / "a.wav", tone(16000, 2.0), 16000)
    with pytest.raises(AudioFileError, match=r"utterance 'a' \(.*a.wav\)"):
        LoadAudio().load("a", wav, start, stop)


def test_unreadable(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"RIFF but no more")
    nan = write(tmp_path / "nan.wav", np.full(100, np.nan), 16000, subtype="FLOAT")
    for path in (tmp_path / "a.wav", tmp_path / "absent.wav", nan):
        with pytest.raises(AudioFileError, match=f"utterance 'u7' .*{Path(path).name}"):
            LoadAudio().load("u7", str(path))
    empty = write(tmp_path / "empty.wav", np.zeros(0), 16000)
    with pytest.raises(AudioFileError, match="holds no audio"):
        LoadAudio().load("u7", empty)


@pytest.mark.parametrize("channel", ["left", 0.5, None])
def test_bad_channel(channel):
    with pytest.raises(ValueError, match="'mean' or an index"):
        LoadAudio(channel=channel)


# ---------------------------------------------------------------- RandomCrop
def test_crops():
    crop, sig = RandomCrop(seconds=1, sample_rate=100), torch.arange(1000.0)
    pieces = [crop.cut(sig, "a", draw) for draw in range(300)]
    for piece in pieces:
        assert torch.equal(piece, torch.arange(piece[0], piece[0] + 100))
    starts = torch.tensor([piece[0] for piece in pieces])
    assert starts.min() < 50 and starts.max() > 850 and 380 < starts.mean() < 520
    assert torch.equal(crop.cut(sig, "a", 7), pieces[7])  # of (id, draw) alone
    assert not torch.equal(crop.cut(sig, "b", 7), pieces[7])
    other = RandomCrop(seconds=1, sample_rate=100, seed=1)
    assert not torch.equal(other.cut(sig, "a", 7), pieces[7])
    for short in (torch.arange(100), torch.arange(99), torch.arange(1)):
        assert torch.equal(crop.cut(short, "a", 3), short)
    ends = {int(crop.cut(torch.arange(101), "a", draw)[0]) for draw in range(30)}
    assert ends == {0, 1}  # both places that there are


def test_crops_at_fixed_places():
    crop, sig = RandomCrop(seconds=1, crops=4, sample_rate=100), torch.arange(1000)
    starts = [int(crop.cut(sig, "a", draw)[0]) for draw in range(40)]
    assert starts == starts[:4] * 10 and len(set(starts)) == 4
    assert crop.variants({"duration": 10}) == 4 and crop.variants({"duration": 1}) == 1
    assert RandomCrop(seconds=1).variants({"duration": 10}) is None
    other = RandomCrop(seconds=1, crops=4, sample_rate=100, seed=1)
    assert [int(other.cut(sig, "a", draw)[0]) for draw in range(40)] == starts


def test_variants_of_a_dataset():
    records = {"long": {"duration": 9.0}, "short": {"duration": 0.5}}
    pipes = [LoadAudio(), RandomCrop(1, crops=4), Pipe0(), RandomCrop(0.8, crops=6)]
    dataset = ManifestDataset(records, pipes)
    assert [dataset.variants(i) for i in range(2)] == [12, 1]
    dataset.add_pipe(lambda dataset: None)  # says nothing: taken for random
    assert dataset.variants(1) is None


class Pipe0(Pipe):
    """Adds nothing."""

    def add_to(self, dataset):
        pass


# ------------------------------------------------------------------ AddNoise
def decibels(clean, noisy):
    noise = (noisy - clean).double()
    return 10 * (clean.double().pow(2).mean() / noise.pow(2).mean()).log10().item()


@pytest.fixture
def noises(tmp_path):
    """A folder of noise, deep, short and long, of other rates."""
    rng = np.random.default_rng(0)
    (tmp_path / "deep" / "er").mkdir(parents=True)
    write(tmp_path / "a.wav", 0.3 * rng.standard_normal(4000), 16000)
    write(tmp_path / "deep/er/b.FLAC", 0.01 * rng.standard_normal(96000), 48000)
    (tmp_path / "deep/notes.txt").write_text("no audio")
    return tmp_path


@pytest.mark.parametrize("snr", [-5, 0, 12.5, 40])
@pytest.mark.parametrize("white", [True, False])
def test_snr_is_exact(white, snr, noises):
    pipe = AddNoise([snr, snr], files=None if white else noises)
    clean = torch.from_numpy(tone(16000, 1.0)[:, 0]).float()
    for draw in range(5):
        assert decibels(clean, pipe.add(clean, "a", draw)) == pytest.approx(
            snr, abs=0.01
        )


def test_snr_range_choice_and_repetition(noises):
    pipe, clean = AddNoise([0, 20], files=noises), torch.ones(8000)
    noisy = [pipe.add(clean, "a", draw) for draw in range(40)]
    ratios = [decibels(clean, n) for n in noisy]
    assert -0.01 <= min(ratios) < 4 and 16 < max(ratios) <= 20.01
    again = AddNoise([0, 20], files=str(noises))
    assert all(torch.equal(again.add(clean, "a", i), n) for i, n in enumerate(noisy))
    assert not torch.equal(again.add(clean, "b", 0), noisy[0])
    assert not torch.equal(
        AddNoise([0, 20], files=noises, seed=1).add(clean, "a", 0), noisy[0]
    )
    assert torch.equal(clean, torch.ones(8000))  # not changed in place


def test_noise_probability_and_edges():
    clean = torch.ones(400)
    for probability in (0.0, 0.3, 1.0):
        pipe = AddNoise([10, 10], probability=probability)
        share = sum(pipe.add(clean, "a", d) is not clean for d in range(400)) / 400
        assert abs(share - probability) < 0.08
    silence = AddNoise([10, 10]).add(torch.zeros(400), "a", 0)
    assert torch.isfinite(silence).all()
    assert torch.isfinite(AddNoise([0, 0]).add(torch.ones(1), "a", 0)).all()
    assert AddNoise([0, 0]).variants({"duration": 1}) is None


def test_pauses_of_a_recording_are_no_noise(tmp_path):
    """Sound libraries fill short sounds up with digital silence, as ESC-50 does."""
    paused, silent = np.zeros(80000), np.zeros(8000)
    paused[60000:60400] = 0.1 * np.random.default_rng(0).normal(size=400)
    for name, samples in {"a": silent, "b": paused, "c": silent}.items():
        soundfile.write(tmp_path / f"{name}.wav", samples, 16000)
    pipe, clean = AddNoise(10, files=str(tmp_path)), torch.ones(16000)
    for draw in range(20):
        noisy = pipe.add(clean, "a", draw)
        assert decibels(clean, noisy) == pytest.approx(10, abs=0.01)
    (tmp_path / "b.wav").unlink()
    silence = AddNoise(10, files=str(tmp_path))
    with pytest.raises(AudioFileError, match="only silent recordings"):
        silence.add(clean, "a", 0)


@pytest.mark.parametrize(
    "options",
    [
        {"snr": [20, 0]},
        {"snr": [0, 5, 10]},
        {"snr": [5]},
        {"snr": float("nan")},
        {"snr": [0, float("inf")]},
        {"snr": [0, 1], "files": "nowhere"},
    ],
)
def test_bad_noise(options):
    with pytest.raises(ValueError, match="snr: .lowest|under 'nowhere'"):
        AddNoise(**options)


def test_random_numbers_of_an_utterance():
    draws = {(s, u, d) for s in (0, 1) for u in ("a", "b") for d in (0, 1)}
    numbers = {key: torch.rand(1, generator=generator(*key)).item() for key in draws}
    assert len(set(numbers.values())) == 8
    assert numbers == {k: torch.rand(1, generator=generator(*k)).item() for k in draws}


# -------------------------------------------------------------- UnfoldChunks
def unfolded(record, **options):
    dataset = ManifestDataset({"a": record}, [UnfoldChunks(**options)])
    dataset.set_output_keys(
        ["id", "unchunked_id", "chunk", "start", "stop", "duration"]
    )
    chunks = [dataset[i] for i in range(len(dataset))]
    assert [c["id"] for c in chunks] == [f"a-{c['chunk']:04d}" for c in chunks]
    assert {c["unchunked_id"] for c in chunks} == {"a"}
    assert all(c["duration"] == c["stop"] - c["start"] > 0 for c in chunks)
    return [(round(c["start"], 6), round(c["stop"], 6)) for c in chunks]


WHOLE = {"start": None, "stop": None, "duration": 2.5}


@pytest.mark.parametrize(
    "options, expected",
    [
        ({"seconds": 1}, [(0, 1), (1, 2), (2, 2.5)]),
        ({"seconds": 1, "min_seconds": 0.6}, [(0, 1), (1, 2)]),
        ({"seconds": 1, "step": 0.75}, [(0, 1), (0.75, 1.75), (1.5, 2.5), (2.25, 2.5)]),
        ({"seconds": 2.5}, [(0, 2.5)]),
        ({"seconds": 9, "min_seconds": 5}, [(0, 2.5)]),  # something always remains
    ],
)
def test_chunks(options, expected):
    assert unfolded(WHOLE, **options) == expected


def test_chunks_of_a_segment_and_without_slivers():
    record = {"start": 1.5, "stop": 3.0, "duration": 1.5}
    assert unfolded(record, seconds=1) == [(1.5, 2.5), (2.5, 3.0)]
    for tenths in range(1, 40):  # sums of 0.1 are not exact
        record = {"start": None, "stop": None, "duration": tenths / 10}
        assert len(unfolded(record, seconds=0.1)) == tenths


@pytest.mark.parametrize("options", [{"seconds": 0}, {"seconds": 1, "step": -1}])
def test_bad_chunks(options):
    with pytest.raises(ValueError):  # or it would go on for ever
        UnfoldChunks(**options)


# ------------------------------------------------------------ labels and texts
def test_categories():
    encoder = CategoricalEncoder()
    encoder.update_from_iterable(["b", "a"])
    pipe = EncodeCategory(encoder, key="word")
    dataset = ManifestDataset(
        {"x": {"word": "a"}, "y": {"word": "c"}}, [pipe], ["word_encoded"]
    )
    assert dataset[0] == {"word_encoded": 1}
    with pytest.raises(ValueError, match="'c' does not occur .* 2 labels are b, a"):
        dataset[1]
