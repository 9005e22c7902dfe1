"""Conditions: reverberation, speed, fixed draws of noise, and labels in time."""

import itertools

import numpy as np
import pytest
import soundfile
import torch
import torchaudio

from s3prl_sb.dataio import conditions
from s3prl_sb.dataio.dataset import ManifestDataset, Pipe
from s3prl_sb.dataio.description import estimate
from s3prl_sb.dataio.extraction import extract, replace_audio
from s3prl_sb.dataio.pipes import (
    AddNoise,
    AddReverb,
    ChangeSpeed,
    LoadAudio,
    RandomCrop,
    UnfoldChunks,
)
from s3prl_sb.dataio.reverb import reverberate
from s3prl_sb.dataio.sampler import make_sampler
from s3prl_sb.dataio.silence import TrimSilence
from s3prl_sb.dataio.speaker_activity import SpeakerActivity
from s3prl_sb.dataio.splits import make_splits
from s3prl_sb.dataio.time_map import TimeMap
from s3prl_sb.errors import ManifestError, UserError
from s3prl_sb.identity.objects import identity_of
from s3prl_sb.lobes.upstreams import load
from s3prl_sb.schema.combinations import check_together
from s3prl_sb.schema.declarations import KeysError

RATE = 16000


def noise_like(samples, seed=0):
    return torch.randn(samples, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def speech(tmp_path):
    """``speech(*seconds)``: records of files of noise, a, b, and so on."""

    def speech(*seconds):
        records = {}
        for name, length in zip("abcdef", seconds):
            path = str(tmp_path / f"{name}.wav")
            wave = 0.1 * noise_like(round(length * RATE), ord(name)).numpy()
            soundfile.write(path, wave, RATE, subtype="FLOAT")
            records[name] = dict(wav=path, start=None, stop=None, duration=length)
        return records

    return speech


@pytest.fixture
def rooms(tmp_path):
    """A folder of two impulse responses, one of another rate and of two channels."""
    folder = tmp_path / "rooms"
    (folder / "deep").mkdir(parents=True)
    for name, rate, channels in (("a.wav", RATE, 1), ("deep/b.wav", 48000, 2)):
        decay = np.exp(-np.arange(rate // 8) / (rate / 50))[:, None]
        response = 0.1 * np.random.default_rng(rate).normal(
            0, 1, (len(decay), channels)
        )
        response *= decay
        response[30] = 0.9
        soundfile.write(folder / name, response, rate, subtype="FLOAT")
    return folder


# --------------------------------------------------------------------- reverb
@pytest.mark.parametrize("length, tail", [(4000, 900), (500, 900), (1, 10)])
def test_reverberation_is_a_plain_convolution(length, tail):
    sig, response = noise_like(length), noise_like(tail, 1) * 0.1
    response[tail // 3] = -1.0  # the direct path: its sign does not matter
    wet = reverberate(sig, response)
    plain = np.convolve(sig.double().numpy(), response.double().numpy())
    plain = plain[tail // 3 :][:length]
    plain *= np.sqrt((sig.double().numpy() ** 2).mean() / (plain**2).mean())
    assert wet.shape == sig.shape and wet.dtype == torch.float32
    np.testing.assert_allclose(wet.numpy(), plain, atol=2e-5)
    assert wet.pow(2).mean() == pytest.approx(sig.pow(2).mean().item(), rel=1e-5)


def test_reverberation_does_not_shift_in_time():
    click = torch.zeros(2000)
    click[700] = 1.0
    response = torch.cat([torch.zeros(321), torch.tensor([1.0, 0.0, 0.4])])
    wet = reverberate(click, response)
    assert wet.abs().argmax() == 700 and wet[:699].abs().max() < 1e-5
    assert wet[702] == pytest.approx(0.4 * wet[700].item(), rel=1e-4)
    assert torch.equal(reverberate(click, torch.zeros(5)), click)
    assert torch.equal(reverberate(torch.zeros(9), response), torch.zeros(9))


def test_rooms_are_drawn(rooms):
    reverb, sig = AddReverb(str(rooms), sample_rate=RATE), noise_like(3000)
    wet = [reverb.add(sig, "a", draw) for draw in range(12)]
    assert len({tuple(wave[:5].tolist()) for wave in wet}) == 2
    assert reverb.variants({}) is None
    few = AddReverb(str(rooms), probability=0.5, draws=3, seed=1)
    assert few.variants({}) == 3 and torch.equal(
        few.add(sig, "a", 1), AddReverb(str(rooms), 0.5, 3, seed=2).add(sig, "a", 4)
    )
    dry = [AddReverb(str(rooms), 0.5).add(sig, "a", d) is sig for d in range(200)]
    assert 70 < sum(dry) < 130
    first = reverb.loader.load("b", str(rooms / "deep/b.wav"))
    samples, _ = soundfile.read(rooms / "deep/b.wav", dtype="float32")
    one = torchaudio.functional.resample(torch.from_numpy(samples[:, 0]), 48000, RATE)
    torch.testing.assert_close(first, one)  # one microphone, no mean of two
    with pytest.raises(ValueError, match="no impulse responses under"):
        AddReverb(str(rooms / "none"))


# ---------------------------------------------------------------------- speed
@pytest.mark.parametrize("factor", [0.5, 0.9, 1.0, 1.1, 1.37])
def test_speed_is_resampling(factor):
    sig = noise_like(8001)
    fast = ChangeSpeed([factor]).change(sig, 0)
    wanted = torchaudio.functional.resample(sig, round(RATE * factor), RATE)
    wanted = wanted if factor != 1 else sig
    torch.testing.assert_close(fast, wanted, atol=1e-4, rtol=1e-4)
    tone = torch.sin(2 * torch.pi * 440 * torch.arange(RATE) / RATE)
    spectrum = torch.fft.rfft(ChangeSpeed([factor]).change(tone, 0)).abs()
    hertz = spectrum.argmax().item() * RATE / (2 * (len(spectrum) - 1))
    assert hertz == pytest.approx(440 * factor, abs=2)


def test_each_factor_is_a_form():
    speed, sig = ChangeSpeed([0.9, 1.0, 1.1]), noise_like(9900)
    lengths = [len(speed.change(sig, draw)) for draw in range(7)]
    assert lengths == [11000, 9900, 9000, 11000, 9900, 9000, 11000]
    assert speed.variants({"duration": 1}) == 3
    for draw, length in enumerate(lengths):
        assert speed.form_seconds(9900 / RATE, draw) == pytest.approx(length / RATE)
    for factors in ([], [0.0001], [1.0, 0]):
        with pytest.raises(ValueError, match="factors such as 0.9"):
            ChangeSpeed(factors)


# ---------------------------------------------------------------------- draws
def test_a_number_of_noisy_forms():
    noise, sig = AddNoise([0, 20], draws=3, seed=7), noise_like(500)
    forms = [noise.add(sig, "a", draw) for draw in range(9)]
    assert all(torch.equal(forms[i], forms[i % 3]) for i in range(9))
    assert not any(torch.equal(*pair) for pair in itertools.combinations(forms[:3], 2))
    same = AddNoise([0, 20], draws=3, seed=8).add(sig, "a", 1)
    assert torch.equal(same, forms[1])  # for every seed of the recipe
    assert noise.variants({}) == 3 and AddNoise(snr=5).variants({}) is None
    assert (AddNoise(snr=5).low, AddNoise(snr=5.0).high) == (5, 5)


def test_forms_of_all_pipes_and_their_durations():
    pipes = [LoadAudio(), ChangeSpeed([0.8, 1.0])]
    pipes += [RandomCrop(3.0, crops=3), AddNoise(5, draws=4)]
    records = {"a": {"duration": 2.5}, "b": {"duration": 2.0}}
    dataset = ManifestDataset(records, pipes)
    assert dataset.variants(0) == 12 and dataset.variants(1) == 4
    assert dataset.form_seconds(0) == [3.0, 2.5] * 6
    assert dataset.longest_forms() == [3.0, 2.5]
    endless = ManifestDataset(records, [*pipes, AddNoise(5)])
    assert endless.variants(0) is None and endless.form_seconds(0) is None
    assert endless.form_seconds(0, unlimited=1) == [3.0, 2.5] * 6
    pipes = [LoadAudio(), AddNoise(5, draws=2)]
    assert ManifestDataset({"a": {"x": 1}}, pipes).variants(0) == 2


def test_estimates_and_batches_count_the_forms():
    upstream, records = load("fbank"), {"a": {"duration": 2.0}, "b": {"duration": 1.0}}
    plain = ManifestDataset(records)
    slow = ManifestDataset(records, [LoadAudio(), ChangeSpeed([0.5])])
    both = ManifestDataset(records, [LoadAudio(), ChangeSpeed([0.5, 1.0])])
    sizes = [estimate(upstream, each, "frames") for each in (plain, slow, both)]
    assert sizes[1] == pytest.approx(2 * sizes[0], rel=0.02)
    assert sizes[2] == sizes[0] + sizes[1]
    assert estimate(upstream, both, "pooled") == 2 * estimate(upstream, plain, "pooled")
    batches = [
        make_sampler(each, None, 1, batch_seconds=4.0).batches for each in (plain, slow)
    ]
    assert batches == [[[0, 1]], [[0], [1]]]


def test_cached_forms_are_the_computed_ones(speech, rooms, tmp_path):
    hparams = {
        "train_pipes": [LoadAudio()],
        "eval_pipes": [LoadAudio()],
        "speed": [0.9, 1.1],
        "crop_seconds": 0.4,
        "crops": 2,
        "reverb": {"folder": str(rooms), "draws": 2},
        "noise": {"snr": [0, 5], "draws": 4, "probability": 0.7},
    }
    records, upstream = {"train": speech(0.3, 0.42, 0.6)}, load("fbank_no_cmvn")
    plain, cached = (
        make_splits({**hparams, "seed": seed}, records, [], ["sig"])["train"]
        for seed in (1, 2)
    )
    expected = [[plain[i, draw]["sig"] for draw in range(9)] for i in range(3)]
    for i, draw in itertools.product(range(3), range(9)):
        assert torch.equal(cached[i, draw]["sig"], expected[i][draw])
    cache = extract(
        upstream, cached, tmp_path / "cache", dtype="float32", progressbar=False
    )
    replace_audio(cached, cache)
    for i, draw in itertools.product(range(3), range(9)):
        states, _ = upstream(expected[i][draw][None])
        feats = cached[i, draw]["feats"]
        torch.testing.assert_close(feats, torch.stack([s[0] for s in states], 1))


# ------------------------------------------------------------ labels in time
SPEAKERS = {"ann": (900, [(0.1, 0.9), (1.6, 2.0)]), "bob": (2500, [(0.7, 1.3)])}


@pytest.fixture
def conversation(tmp_path):
    """A recording in which each speaker is a tone, of another rate, and its record."""
    rate, seconds = 22050, 2.4
    times = np.arange(round(rate * seconds)) / rate
    wave, segments = np.zeros(len(times)), []
    for name, (hertz, spans) in SPEAKERS.items():
        for first, last in spans:
            speaks = (first <= times) & (times < last)
            wave += 0.2 * speaks * np.sin(2 * np.pi * hertz * times)
            segments.append([name, first, last])
    soundfile.write(tmp_path / "talk.wav", wave, rate, subtype="FLOAT")
    return {
        "wav": str(tmp_path / "talk.wav"),
        "start": None,
        "stop": None,
        "duration": len(times) / rate,
        "segments": segments,
        "speakers": ["ann", "bob"],
        "regions": [[0.0, 2.2]],
    }


class Frames:
    stride, sample_rate = 160, RATE

    def frames(self, samples):
        return max(1, samples // 160)


def heard(sig, factor, name):
    """Tells in which frames of a waveform the tone of a speaker is."""
    frames = sig[: len(sig) // 160 * 160].view(-1, 160)
    turns = 2 * torch.pi * SPEAKERS[name][0] * factor * torch.arange(160) / RATE
    level = (frames * torch.exp(-1j * turns)).mean(1).abs()
    return level > 0.05


@pytest.mark.parametrize("chunk", [None, 1.1])
def test_labels_follow_what_is_heard(conversation, chunk):
    factors = [0.8, 1.0, 1.25]
    pipes = [UnfoldChunks(chunk)] if chunk else []
    pipes += [LoadAudio(), ChangeSpeed(factors), RandomCrop(0.7, crops=5)]
    pipes += [AddNoise(snr=40, draws=2), SpeakerActivity(Frames(), 2)]
    dataset = ManifestDataset({"talk": conversation}, pipes, ["sig", "activity"])
    talking = 0
    for index, draw in itertools.product(range(len(dataset)), range(15)):
        example = dataset[index, draw]
        labels, sig = example["activity"], example["sig"]
        assert abs(len(labels) - len(sig) // 160) <= 1
        for column, name in enumerate(SPEAKERS):
            audible = heard(sig, factors[draw % 3], name)
            known = labels[: len(audible), column] >= 0
            wrong = audible[: len(labels)] != (labels[: len(audible), column] > 0)
            # Only at the edges of segments, where a frame is half of each.
            assert (wrong & known).sum() <= 4, (index, draw, name)
            talking += int(audible.sum())
    assert talking > 300


def test_labels_by_hand(conversation):
    """A crop of a recording that is slowed down, computed for each frame."""
    pipes = [LoadAudio(), ChangeSpeed([0.8]), RandomCrop(0.7, crops=4)]
    pipes.append(SpeakerActivity(Frames(), 2))
    keys = ["activity", "time_map"]
    dataset = ManifestDataset({"talk": conversation}, pipes, keys)
    assert len({dataset[0, draw]["time_map"] for draw in range(8)}) > 1
    for draw in range(4):
        times, labels = (dataset[0, draw][key] for key in ("time_map", "activity"))
        assert times.speed == 0.8 and times.duration == 0.7 and len(labels) == 70
        for frame, row in enumerate(labels.tolist()):
            middle = times.start + 0.8 * (frame + 0.5) * 0.01  # time in the recording
            for column, (_, spans) in enumerate(SPEAKERS.values()):
                near = min(
                    abs(middle - edge) for span in [*spans, (2.2, 9)] for edge in span
                )
                if near > 0.8 * 0.006:
                    speaks = any(first <= middle < last for first, last in spans)
                    assert row[column] == (-1 if middle > 2.2 else speaks)


def test_times_do_not_need_the_audio(conversation):
    """As where features are cached: the file is not there any more."""
    pipes = [LoadAudio(), ChangeSpeed([0.8, 1.2]), RandomCrop(0.7, crops=3)]
    pipes.append(SpeakerActivity(Frames(), 2))
    dataset = ManifestDataset({"talk": conversation}, pipes, ["sig", "activity"])
    before = [dataset[0, draw]["activity"] for draw in range(6)]
    gone = ManifestDataset({"talk": {**conversation, "wav": "gone"}}, pipes)
    gone.set_output_keys(["activity"])
    for draw, labels in enumerate(before):
        assert torch.equal(gone[0, draw]["activity"], labels)


def test_labels_that_cannot_follow_are_refused(conversation):
    def gain(dataset):
        """Adds nothing; what a function does is not known."""

    activity, crop = SpeakerActivity(Frames(), 2), RandomCrop(0.5)
    for losing in (TrimSilence(), gain):
        with pytest.raises(ManifestError, match="cannot follow RandomCrop in time"):
            ManifestDataset({"a": conversation}, [LoadAudio(), losing, crop, activity])
        ManifestDataset({"a": conversation}, [LoadAudio(), losing, activity])
    gain.timed = True
    ManifestDataset({"a": conversation}, [LoadAudio(), gain, crop, activity])


def test_crops_after_trimming_are_of_what_is_left():
    class Halve(Pipe):
        audio = True

        def add_to(self, dataset):
            dataset.add_dynamic_item(lambda sig: sig[: len(sig) // 2], ["sig"], "sig")

    class Sig(LoadAudio):
        def load(self, *_):
            return torch.arange(1000.0)

    record = {"wav": "", "start": None, "stop": None, "duration": 10.0}
    pipes = [Sig(100), Halve(), RandomCrop(1.0, sample_rate=100)]
    dataset = ManifestDataset({"a": record}, pipes, ["sig", "time_map"])
    crops = [dataset[0, draw] for draw in range(50)]
    assert {len(crop["sig"]) for crop in crops} == {100}
    assert len({crop["sig"][0].item() for crop in crops}) > 40  # not all at the end
    assert crops[0]["time_map"] is None
    whole = ManifestDataset({"a": record}, [Sig(100), RandomCrop(1.0, sample_rate=100)])
    whole.set_output_keys(["sig", "time_map"])
    for draw in range(20):
        assert whole[0, draw]["sig"][0] == whole[0, draw]["time_map"].start * 100


def test_time_maps_compose():
    times = TimeMap.whole(10.0).cropped(2.0, 6.0).sped(1.5).cropped(1.0, 2.0)
    assert (times.start, times.speed, times.duration) == (3.5, 1.5, 2.0)
    assert times.heard(3.5) == 0 and times.heard(6.5) == 2.0
    assert TimeMap.whole(None) is None
    assert TimeMap(9900 / RATE / 0.9).samples(RATE) == 11000


# ------------------------------------------------------------------ conditions
ALL = {
    "seed": 3,
    "chunk_seconds": 1.0,
    "speed": [0.9, 1.0],
    "crop_seconds": 0.5,
    "crops": 2,
    "noise": {"snr": [0, 15]},
    "test_noise": {"snr": 5},
    "test_speed": 0.9,
}


def names(pipes):
    return [type(pipe).__name__ for pipe in pipes]


def test_the_order_of_conditions(rooms, speech):
    reverb = {"folder": str(rooms), "probability": 0.5}
    hparams = {**ALL, "reverb": reverb, "test_reverb": reverb}
    order = ["UnfoldChunks", "ChangeSpeed", "RandomCrop", "AddReverb", "AddNoise"]
    assert names(conditions.train_pipes(hparams)) == order
    tested = ["ChangeSpeed", "AddReverb", "AddNoise"]
    assert names(conditions.test_pipes(hparams)) == tested
    hparams.update(train_pipes=[LoadAudio()], eval_pipes=[LoadAudio()])
    records = {split: speech(1.5) for split in ("train", "valid", "test")}
    splits = make_splits(hparams, records, [], ["sig"])
    assert names(splits["train"].pipes) == ["LoadAudio", *order]
    assert len(splits["train"]) == 2
    assert names(splits["valid"].pipes) == ["LoadAudio"]
    assert names(splits["test"].pipes) == ["LoadAudio", *tested]
    assert splits["test"].variants(0) == 1 and splits["train"].variants(0) is None


def test_no_condition_adds_no_pipe():
    for hparams in ({}, dict.fromkeys(ALL), {"crops": 4}):
        assert conditions.train_pipes(hparams) == conditions.test_pipes(hparams) == []
        assert conditions.train_identity(hparams) == {}
        assert conditions.test_identity(hparams) == []


def test_a_test_depends_on_the_utterance_alone(speech):
    records = {"test": speech(0.3, 0.4)}
    keys = {"train_pipes": [], "eval_pipes": [LoadAudio()]}
    sets = [
        make_splits({**ALL, **keys, "seed": seed}, records, [], ["sig"])["test"]
        for seed in (1, 2)
    ]
    for index in range(2):
        first = sets[0][index]["sig"]
        assert torch.equal(sets[1][index, 17]["sig"], first)
    other = {**ALL, **keys, "test_noise": {"snr": 15}}
    quiet = make_splits(other, records, [], ["sig"])["test"][0]["sig"]
    clean = make_splits({**other, "test_noise": None}, records, [], ["sig"])["test"]
    loud, quiet = sets[0][0]["sig"] - clean[0]["sig"], quiet - clean[0]["sig"]
    ratio = (loud.norm() / quiet.norm()).item()  # the same noise, 10 dB louder
    assert ratio == pytest.approx(10**0.5, rel=1e-3)
    torch.testing.assert_close(loud, quiet * ratio, atol=1e-5, rtol=1e-3)


def test_an_old_recipe_crops_twice_without_effect(speech):
    """RandomCrop is in the train_pipes of copies of older recipes."""
    crop = RandomCrop(0.5, seed=3)
    keys = {"seed": 3, "crop_seconds": 0.5, "eval_pipes": []}
    records = {"train": speech(0.9, 0.3)}
    old, new = (
        make_splits({**keys, "train_pipes": pipes}, records, [], ["sig"])["train"]
        for pipes in ([LoadAudio(), crop], [LoadAudio()])
    )
    assert names(old.pipes) == ["LoadAudio", "RandomCrop", "RandomCrop"]
    for index, draw in itertools.product(range(2), range(5)):
        assert torch.equal(old[index, draw]["sig"], new[index, draw]["sig"])
    assert old.variants(1) == new.variants(1) == 1
    fixed = RandomCrop(0.5, crops=4)
    twice = ManifestDataset(
        records["train"], [LoadAudio(), fixed, RandomCrop(0.5, crops=4)]
    )
    assert twice.variants(0) == 4


def test_leftovers_that_are_too_short_are_no_chunks():
    records = {"a": {"start": None, "stop": None, "duration": 2.01}}
    upstream = load("fbank")
    hparams = {"chunk_seconds": 1.0, "upstream_model": upstream}
    pipes = conditions.train_pipes(hparams)
    assert upstream.min_samples > 160
    assert len(ManifestDataset(records, pipes)) == 2
    assert (
        len(ManifestDataset(records, conditions.train_pipes({"chunk_seconds": 1}))) == 3
    )


def test_impossible_conditions_name_their_key(tmp_path):
    for hparams, words in (
        ({"noise": {"snr": [0], "folder": None}}, "noise: snr: .lowest, highest"),
        (
            {"test_noise": {"snr": 1, "folder": str(tmp_path)}},
            "test_noise: no noise rec",
        ),
        ({"test_speed": 0.001}, "test_speed: factors such as 0.9"),
        ({"chunk_seconds": 0}, "chunk_seconds 0: a frame takes"),
        ({"crop_seconds": 0.01, "upstream_model": load("fbank")}, "takes 0.025 s"),
    ):
        with pytest.raises(UserError, match=words):
            conditions.train_pipes(hparams), conditions.test_pipes(hparams)


def test_folders_count_by_content(rooms, tmp_path, monkeypatch):
    hparams = {"test_reverb": {"folder": str(rooms)}}
    first = conditions.test_identity(hparams)
    moved = rooms.rename(tmp_path / "moved")
    assert conditions.test_identity({"test_reverb": {"folder": str(moved)}}) == first
    monkeypatch.chdir(moved)  # names without a folder are paths too
    assert conditions.test_identity({"test_reverb": {"folder": "."}}) == first
    (moved / "a.wav").write_bytes((moved / "deep/b.wav").read_bytes())
    again = identity_of(conditions.test_pipes({"test_reverb": {"folder": "."}}))["is"]
    assert [again] != first


@pytest.mark.parametrize(
    "values, words",
    [
        ({"noise": {"snr": [0, 1, 2]}}, r"noise.snr is a number or \[lowest, highest"),
        ({"noise": {"snr": [5, 0]}}, "noise.snr is a number"),
        ({"test_noise": {"folder": "x"}}, "test_noise has no snr: .*--test_noise"),
        ({"reverb": {"folder": None}}, "reverb has no folder"),
        ({"reverb": {"foldr": "x"}}, "'reverb.foldr'. Did you mean reverb.folder"),
        ({"crops": 4, "crop_seconds": None}, "crops 4 has no effect"),
        ({"__labels": {"are": "tokens"}, "crop_seconds": 3}, "the whole text"),
        ({"__labels": {"are": "tokens"}, "train_per_class": 3}, "no classes"),
        ({"__labels": {"are": "segments"}, "train_per_class": 3}, "no classes"),
        ({"__labels": {"are": "frames"}, "train_per_class": 3}, "no classes"),
        ({"__labels": {"are": "segments"}, "chunk_seconds": 3}, "chunk_frames"),
        ({"__labels": {"are": "segments"}, "test_speed": 1.0}, "stay where they are"),
    ],
)
def test_incompatible_keys(values, words):
    with pytest.raises(KeysError, match=words):
        check_together(values)


def test_compatible_keys():
    check_together({"noise": {"snr": 5, "draws": 2}, "reverb": None, "crops": 4})
    check_together({"__labels": {"are": "segments"}, "crop_seconds": 3, "speed": [1]})
    check_together({"__labels": {"are": "classes"}, "chunk_seconds": 3})
    speakers = {"are": "frames", "one_per": "utterance"}
    check_together({"__labels": speakers, "train_per_class": 3, "chunk_seconds": 3})
    check_together({"crop_seconds": 3, "train_per_class": 1, "test_speed": 0.9})
