"""Synthetic speech and the toy corpora that it speaks."""

import builtins
import hashlib
import itertools
import json
import os
import re
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile

from s3prl_sb.corpora import espeak
from s3prl_sb.corpora.toys import making
from s3prl_sb.corpora.toys.speech_commands import speech_commands
from s3prl_sb.corpora.toys.voxceleb1 import voxceleb1

pytest.importorskip("espeakng_loader")

TEXT = "The old sailor of the north sea isn't happy, and at three he sold his boat."
KEYWORDS = {"yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go"}


def rms(utterance, start, stop):
    piece = utterance.samples[int(start * 16000) : int(stop * 16000)]
    return float(np.sqrt(np.mean(piece**2)))


def bytes_of(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    return speech_commands(tmp_path_factory.mktemp("toy") / "ks", speakers=3)


@pytest.fixture(scope="module")
def celebrities(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy") / "vox"
    return voxceleb1(folder, speakers=8, videos=3, utterances=1)


# Speech


@pytest.mark.parametrize("variant", [None, "f2", "m7", "klatt4"])
@pytest.mark.parametrize("voice", ["en-us", "en-gb-scotland"])
def test_phones_tile_and_words_are_made_of_phones(voice, variant):
    utterance = espeak.speak(TEXT, voice=voice, variant=variant)
    assert utterance.samples.dtype == np.float32
    assert np.abs(utterance.samples).max() == pytest.approx(0.5, abs=1e-6)
    starts, stops, names = zip(*utterance.phones)
    assert starts[0] == 0 and starts[1:] == stops[:-1]
    assert stops[-1] == pytest.approx(utterance.duration, abs=1 / 16000)
    assert all(start < stop for start, stop in zip(starts, stops))

    # Every phone but the pauses is within exactly one word, words within phones
    spoken = [phone for phone in utterance.phones if phone[2] != "_"]
    covered = 0
    for start, stop, _ in utterance.words:
        inside = [p for p in spoken if start <= p[0] and p[1] <= stop]
        assert inside[0][0] == start and inside[-1][1] == stop
        covered += len(inside)
    assert covered == len(spoken)
    assert " ".join(word for _, _, word in utterance.words) == re.sub("[,.]", "", TEXT)


def test_words_are_heard_and_pauses_are_not():
    utterance = espeak.speak(TEXT)
    # Each word carries energy within its times
    loudness = [rms(utterance, start, stop) for start, stop, _ in utterance.words]
    assert min(loudness) > 0.01
    # The comma's pause and the end are silent, apart from the decay of the last sound
    pauses = [
        (a, b) for a, b, phone in utterance.phones if phone == "_" and b - a > 0.1
    ]
    assert pauses
    for start, stop in pauses:
        assert rms(utterance, start + 0.05, stop) < 0.01 * np.mean(loudness)
    # 99.5 % of all energy is within words
    inside = sum(rms(utterance, a, b) ** 2 * (b - a) for a, b, _ in utterance.words)
    whole = rms(utterance, 0, utterance.duration) ** 2 * utterance.duration
    assert inside > 0.995 * whole


def test_phone_times_find_the_sibilants():
    utterance = espeak.speak("see the sun. he saw us. so sad a song.")
    bright, dark = [], []
    for start, stop, phone in utterance.phones:
        piece = utterance.samples[int(start * 16000) : int(stop * 16000)]
        power = np.abs(np.fft.rfft(piece)) ** 2
        share = power[len(power) // 2 :].sum() / power.sum()  # above 4 kHz
        if phone == "s":
            bright.append(share)
        elif phone[0] in "aeiouAEIOU":
            dark.append(share)
    assert len(bright) >= 6 and len(dark) >= 6
    assert min(bright) > 0.5 > max(dark)


def test_the_same_call_gives_the_same_samples_whatever_came_before():
    # Flutter, echo, breath and the Klatt synthesiser all keep state in the library
    people = ["f1", "croak", "whisper", "klatt4", "f4", "m1"]
    first = [espeak.speak(TEXT, variant=variant).samples for variant in people]
    for order in [reversed(range(6)), [3, 0, 0, 5, 1]]:
        for i in order:
            espeak.speak("something else", voice="en-029", variant=people[i - 2])
            again = espeak.speak(TEXT, variant=people[i]).samples
            assert np.array_equal(again, first[i])


def test_samples_are_the_same_in_another_process():
    code = (
        "import hashlib; from s3prl_sb.corpora.espeak import speak; "
        "samples = speak('breathy', variant='whisper').samples; "
        "print(hashlib.sha256(samples.tobytes()).hexdigest())"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    samples = espeak.speak("breathy", variant="whisper").samples
    assert done.stdout.strip() == hashlib.sha256(samples.tobytes()).hexdigest()


def test_trimmed_keeps_the_words_only():
    utterance = espeak.speak("stop. stop")
    start, stop, _ = utterance.words[-1]
    one = utterance._replace(words=[(start, stop, "stop")])
    assert len(one.trimmed(0)) == pytest.approx((stop - start) * 16000, abs=1)
    assert len(one.trimmed(0.01)) == pytest.approx(len(one.trimmed(0)) + 320, abs=210)
    assert np.array_equal(utterance.trimmed(9), utterance.samples)


def median_pitch(samples):
    pitches = []
    for start in range(0, len(samples) - 640, 320):
        frame = samples[start : start + 640] - samples[start : start + 640].mean()
        if np.sqrt(np.mean(frame**2)) > 0.03:
            lags = np.correlate(frame, frame, "full")[639:]
            best = 40 + np.argmax(lags[40:270])
            if lags[best] > 0.5 * lags[0]:
                pitches.append(16000 / best)
    return np.median(pitches)


def test_voices_are_many_and_differ():
    people = espeak.voices()
    assert len(people) >= 100 and people == espeak.voices()
    assert len({(p.voice, p.variant) for p in people}) == len(people)
    text = "nobody knew why the yellow flowers were gone"
    spoken = [person.speak(text).samples for person in people[:28]]
    pitch = [median_pitch(samples) for samples in spoken]
    assert np.median(pitch[0::2]) > 150 > np.median(pitch[1::2])  # women, men
    # Mean log spectra, levels apart, differ between any two
    spectra = []
    for samples in spoken:
        frames = samples[: len(samples) // 512 * 512].reshape(-1, 512)
        power = np.log(np.abs(np.fft.rfft(frames * np.hanning(512))) ** 2 + 1e-4)
        spectra.append(power.mean(0) - power.mean())
    for (i, a), (j, b) in itertools.combinations(enumerate(spectra), 2):
        assert np.abs(a - b).mean() > 0.1, (people[i], people[j])


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"voice": "klingon"}, "Unknown voice 'klingon'.*en-gb"),
        ({"variant": "nobody"}, "Unknown variant 'nobody'.*f2"),
        ({"rate": 10}, "rate must be 80 to 450"),
        ({"pitch": 100}, "pitch must be 0 to 99"),
        ({"text": " ... "}, "Nothing to say"),
    ],
)
def test_wrong_settings_are_errors(settings, message):
    with pytest.raises(ValueError, match=message):
        espeak.speak(**{"text": "yes", **settings})


def test_missing_wheel_says_what_to_install(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "espeakng_loader":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"pip install 's3prl_sb\[demo\]'"):
        espeak._loader()


def test_import_is_light():
    code = "import sys, s3prl_sb.corpora.toys.making; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# Corpora


def test_every_clip_is_16_bit_mono_neither_silent_nor_clipped(commands, celebrities):
    for path in [*commands.rglob("*.wav"), *celebrities.rglob("*.wav")]:
        info = soundfile.info(path)
        assert (info.samplerate, info.channels, info.subtype) == (16000, 1, "PCM_16")
        samples, _ = soundfile.read(path, dtype="int16")
        assert 1000 < np.abs(samples.astype(int)).max() < 2**15 - 1, path


def published_rule(name):
    """The rule of the corpus' README, written once more for this test."""
    digest = hashlib.sha1(re.sub("_nohash_.*", "", name).encode("utf-8")).digest()
    percent = int.from_bytes(digest, "big") % (2**27) * (100.0 / (2**27 - 1))
    return "validation" if percent < 10 else "testing" if percent < 20 else "training"


def test_speech_commands_layout(commands):
    assert {path.name for path in commands.iterdir()} == {
        "speech_commands_v0.01",
        "speech_commands_test_set_v0.01",
        "toy.json",
    }
    corpus = commands / "speech_commands_v0.01"
    folders = {path.name for path in corpus.iterdir() if path.is_dir()}
    words = folders - {"_background_noise_"}
    assert len(words) == 30 and words > KEYWORDS
    noises = list((corpus / "_background_noise_").glob("*.wav"))
    assert len(noises) == 6
    assert all(soundfile.info(path).duration >= 10 for path in noises)
    speakers = set()
    for word in words:
        for path in (corpus / word).iterdir():
            assert re.fullmatch(r"[0-9a-f]{8}_nohash_0\.wav", path.name)
            assert soundfile.info(path).frames == 16000
            speakers.add(path.name[:8])
    assert len(speakers) == 3

    test_set = commands / "speech_commands_test_set_v0.01"
    classes = {path.name for path in test_set.iterdir()}
    assert classes == KEYWORDS | {"_unknown_", "_silence_"}
    others = {path.name[:8] for path in test_set.rglob("*.wav")}
    assert len(others) == 2 and not others & speakers
    assert all(soundfile.info(p).frames == 16000 for p in test_set.rglob("*.wav"))


def test_speech_commands_lists_follow_the_published_rule(commands):
    corpus = commands / "speech_commands_v0.01"
    splits = {"validation": set(), "testing": set(), "training": set()}
    for path in corpus.glob("[!_]*/*.wav"):
        splits[published_rule(path.name)].add(path.relative_to(corpus).as_posix())
    for split in ["validation", "testing"]:
        lines = (corpus / f"{split}_list.txt").read_text().splitlines()
        assert lines and len(set(lines)) == len(lines)
        assert set(lines) == splits[split]
    assert splits["training"]


def test_voxceleb1_layout(celebrities):
    paths = {}
    for path in celebrities.rglob("*.wav"):
        folder, wav, speaker, video, name = path.relative_to(celebrities).parts
        assert wav == "wav" and re.fullmatch(r"id\d{5}", speaker)
        assert folder == ("test" if 10270 <= int(speaker[2:]) <= 10309 else "dev")
        assert len(video) == 11 and re.fullmatch(r"\d{5}\.wav", name)
        paths[f"{speaker}/{video}/{name}"] = path
    assert len(paths) == 8 * 3
    assert min(paths)[:7] == "id10001" and max(paths)[:7] == "id10271"
    seconds = [soundfile.info(path).duration for path in paths.values()]
    assert 3 <= min(seconds) < 7 and 8 < max(seconds) <= 9.001

    lines = (celebrities / "iden_split.txt").read_text().splitlines()
    assert {line.split()[1] for line in lines} == set(paths)
    videos = {}
    for line in lines:
        split, path = line.split()
        videos.setdefault(path.rsplit("/", 1)[0], set()).add(split)
    assert all(len(splits) == 1 for splits in videos.values())
    for speaker in {path[:7] for path in paths}:
        found = [videos[video] for video in videos if video.startswith(speaker)]
        assert set.union(*found) == {"1", "2", "3"}

    trials = (celebrities / "veri_test.txt").read_text().splitlines()
    assert len(set(trials)) == len(trials)
    for line in trials:
        label, a, b = line.split()
        assert a != b and paths[a].is_file() and paths[b].is_file()
        assert (label == "1") == (a[:7] == b[:7])
        assert "test" in paths[a].parts and "test" in paths[b].parts
    assert {line[0] for line in trials} == {"0", "1"}

    header, *rows = (celebrities / "vox1_meta.csv").read_text().splitlines()
    assert header == "VoxCeleb1 ID\tVGGFace1 ID\tGender\tNationality\tSet"
    assert [row.split("\t")[0] for row in rows] == sorted({p[:7] for p in paths})
    assert {row.split("\t")[2] for row in rows} == {"f", "m"}


def test_same_seed_same_bytes(tmp_path):
    make = voxceleb1
    settings = {"speakers": 4, "videos": 3, "utterances": 1}
    first = bytes_of(make(tmp_path / "a", **settings))
    espeak.speak("something in between", variant="klatt4")
    assert bytes_of(make(tmp_path / "b", **settings)) == first


def test_another_seed_gives_others(commands, tmp_path):
    other = speech_commands(tmp_path / "ks", speakers=3, seed=1)
    names = {path.name for path in commands.rglob("*_nohash_*")}
    assert not names & {path.name for path in other.rglob("*_nohash_*")}
    samples = {path.read_bytes() for path in commands.rglob("*.wav")}
    assert not samples & {path.read_bytes() for path in other.rglob("*.wav")}


def test_more_speakers_of_commands_need_more_than_two(tmp_path):
    with pytest.raises(ValueError, match="3 speakers"):
        speech_commands(tmp_path / "ks", speakers=2)
    with pytest.raises(ValueError, match="224 voices"):
        speech_commands(tmp_path / "ks", speakers=300)
    assert not any(tmp_path.iterdir())


# All or nothing


@pytest.fixture
def letters():
    calls = []

    @making.toy
    def alphabet(folder, count=3, fail=False):
        calls.append(count)
        for i in range(count):
            if fail and i == 2:
                raise KeyboardInterrupt
            (folder / f"{i}.txt").write_text("abc"[i])

    alphabet.calls = calls
    return alphabet


def test_a_second_call_returns_at_once(commands):
    before = {path: path.stat().st_mtime_ns for path in commands.rglob("*")}
    start = time.process_time()
    assert speech_commands(str(commands), speakers=3) == commands
    assert time.process_time() - start < 0.1
    assert {p: p.stat().st_mtime_ns for p in commands.rglob("*")} == before


def test_other_parameters_are_refused(letters, tmp_path):
    folder = letters(tmp_path / "toy", 2)
    assert json.loads((folder / "toy.json").read_text())["count"] == 2
    with pytest.raises(FileExistsError, match='"count": 2.*"count": 3.*another'):
        letters(folder, 3)
    assert letters(folder, count=2) == folder and letters.calls == [2]


def test_killed_in_the_middle_leaves_nothing(letters, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        letters(tmp_path / "toy", fail=True)
    assert not any(tmp_path.iterdir())
    assert len(list(letters(tmp_path / "toy").iterdir())) == 4


def test_failing_corpus_leaves_nothing(tmp_path, monkeypatch):
    real, count = espeak.speak, itertools.count()

    def speak(*args, **kwargs):
        if next(count) == 7:
            raise RuntimeError("out of breath")
        return real(*args, **kwargs)

    monkeypatch.setattr(espeak, "speak", speak)
    with pytest.raises(RuntimeError, match="breath"):
        voxceleb1(tmp_path / "vox", speakers=4, videos=3, utterances=1)
    assert not any(tmp_path.iterdir())


def test_nothing_is_visible_before_the_end(tmp_path):
    @making.toy
    def curious(folder):
        assert folder.is_dir() and not (tmp_path / "toy").exists()

    assert (curious(tmp_path / "toy") / "toy.json").is_file()


@pytest.mark.parametrize("record", [None, "[]", "{}", "not json", '{"a": 1}'])
def test_a_foreign_folder_is_left_alone(letters, tmp_path, record):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "thesis.txt").write_text("precious")
    if record is not None:
        (folder / "toy.json").write_text(record)
    before = bytes_of(tmp_path)
    with pytest.raises(FileExistsError, match="not a toy corpus"):
        letters(folder)
    assert bytes_of(tmp_path) == before and not letters.calls


def test_a_file_is_refused_and_an_empty_folder_is_filled(letters, tmp_path):
    (tmp_path / "file").write_text("precious")
    with pytest.raises(FileExistsError, match="not a toy corpus"):
        letters(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    assert (letters(tmp_path / "empty") / "0.txt").read_text() == "a"


TWIN = """
import sys, time
from s3prl_sb.corpora.toys import making

@making.toy
def twin(folder):
    print("begun", flush=True)
    (folder / "half").write_text("h")
    time.sleep(float(sys.argv[2]))

print(twin(sys.argv[1]))
"""


def _twin(folder, seconds):
    line = [sys.executable, "-c", TWIN, str(folder), str(seconds)]
    return subprocess.Popen(line, stdout=subprocess.PIPE, text=True)


def test_another_process_makes_it(tmp_path):
    """The second one waits, finds it, and makes nothing."""
    folder = tmp_path / "toy"
    first = _twin(folder, 2)
    assert first.stdout.readline() == "begun\n"
    second = _twin(folder, 0)
    said = [process.communicate(timeout=60)[0] for process in (first, second)]
    assert said == [f"{folder}\n"] * 2
    assert [path.name for path in tmp_path.iterdir()] == ["toy"]


def test_a_kill_leaves_nothing_for_ever(tmp_path):
    folder = tmp_path / "toy"
    for _ in range(3):
        process = _twin(folder, 60)
        assert process.stdout.readline() == "begun\n"
        process.kill()
        process.communicate()
        assert not folder.exists() and len(os.listdir(tmp_path)) == 1
    assert _twin(folder, 0).communicate(timeout=60)[0] == f"begun\n{folder}\n"
    assert os.listdir(tmp_path) == ["toy"]
