"""Mixing scenes: exact sums and times, reproducible bytes, disjoint sources."""

import json
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from started_processes import Fork

from s3prl_sb import cli
from s3prl_sb.corpora import toys
from s3prl_sb.corpora.mixing import sources
from s3prl_sb.corpora.mixing.activity import active_spans
from s3prl_sb.corpora.mixing.folder import Mix, make_scenes, twins_of
from s3prl_sb.corpora.mixing.layout import lay_out
from s3prl_sb.corpora.mixing.rendering import render
from s3prl_sb.corpora.mixing.settings import MixError, Settings
from s3prl_sb.corpora.mixing.sounds import Clip, RecordedSounds
from s3prl_sb.corpora.mixing.speech import RecordedSpeech, Speech, Utterance
from s3prl_sb.corpora.mixing.toy_sounds import KINDS, ToySounds
from s3prl_sb.corpora.mixing.toy_speech import WORDS
from s3prl_sb.corpora.scenes import prepare_scenes
from s3prl_sb.dataio import manifest, scene_checks, scenes
from s3prl_sb.errors import ManifestError

RATE = 16000
SPLITS = ("train", "valid", "test")
COUNTS = {"train": 2, "valid": 1, "test": 2}


class Talk:
    """Speech of ones, whose samples say when it sounds."""

    word_times = "exact"

    def __init__(self, shortest=1.0, longest=3.0):
        self.limits = shortest, longest

    def speakers(self, split):
        return [f"{split}{i}" for i in range(5)]

    def draw(self, split, speaker, rng, longest):
        length = round(min(rng.uniform(*self.limits), longest), 3)
        if length < 0.5:
            return None
        word = (0.0, length, speaker.upper())
        return Speech(np.ones(round(length * RATE)), [(0.0, length)], [word])

    def identity(self):
        return {"talk": list(self.limits)}


def mix_of(folder, stems=True, **changes):
    settings = {"seconds": (3, 4), "speakers": (1, 2), "events": (1, 2), **changes}
    return Mix(str(folder), Settings(**settings), Talk(), ToySounds(), stems=stems)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mix") / "scenes"
    make_scenes(mix_of(folder), COUNTS)
    return folder


def integers(path):
    samples, rate = soundfile.read(path, dtype="int16")
    assert rate == RATE
    return samples.astype(int)


def contents(folder, pattern="audio/**/*.wav"):
    return {
        str(p.relative_to(folder)): p.read_bytes() for p in Path(folder).glob(pattern)
    }


# ----------------------------------------------------------------------------- exact
def test_stems_add_up_and_twins_share_their_samples(made):
    records = scenes.read_scenes(str(made / "test.json"))
    for scene in ("test-00000", "test-00001"):
        twin = {t: integers(records[f"{scene}-{t}"]["wav"]) for t in scene_checks.TWINS}
        stems = {
            p.stem: integers(p) for p in (made / "stems" / "test" / scene).iterdir()
        }
        assert any(name.startswith("speech-") for name in stems)
        assert any(name.startswith("sound-") for name in stems)
        assert (sum(stems.values()) == twin["both"]).all()
        rest = twin["both"] - twin["speech"] - twin["sounds"]
        assert (rest == -stems["background"]).all() and rest.any()


def test_times_are_those_of_the_samples(made):
    for split in SPLITS:
        for name, record in scenes.read_scenes(str(made / f"{split}.json")).items():
            if record["twin"] != "both":
                continue
            folder = made / "stems" / split / record["scene"]
            spoken = {
                s: np.zeros(len(integers(record["wav"])), bool)
                for s in record["speakers"]
            }
            for speaker, start, stop in record["segments"]:
                spoken[speaker][round(start * RATE) : round(stop * RATE)] = True
            for speaker, mask in spoken.items():
                stem = integers(folder / f"speech-{speaker}.wav")
                assert ((stem != 0) == mask).mean() > 0.9999, name
            for i, (_, start, stop) in enumerate(record["events"]):
                sounding = np.flatnonzero(integers(folder / f"sound-{i}.wav"))
                assert start * RATE - 1 <= sounding[0] < start * RATE + 400
                assert stop * RATE - 1600 < sounding[-1] <= stop * RATE


def test_levels_are_those_of_the_record():
    settings = Settings(seconds=(5, 5), events=(1, 1), snr=(7, 7), spread=0.0)
    layout = lay_out(settings, Talk(), ToySounds(["hiss"]), "train", 3)
    noise = np.random.default_rng(0).standard_normal(layout.samples)
    rendered = render(layout, noise, RATE, None)
    sound, (turn, *_) = rendered.stem(0), layout.turns
    speech = rendered.speech[turn.speaker]
    levels = [
        10 * np.log10(np.mean((wave[wave != 0] / 2**15) ** 2))
        for wave in (speech, sound, rendered.background)
    ]
    assert levels[0] == pytest.approx(layout.level, abs=0.01)
    assert levels[0] - levels[1] == pytest.approx(7, abs=0.1)
    assert levels[0] - levels[2] == pytest.approx(layout.background, abs=0.3)


def test_loud_scenes_are_made_softer_as_a_whole():
    settings = Settings(
        seconds=(3, 3), level=(-3, -3), snr=(0, 0), spread=0.0, events=(3, 3)
    )
    layout = lay_out(settings, Talk(), ToySounds(["clicks"]), "train", 0)
    rendered = render(layout, np.zeros(layout.samples), RATE, None)
    peaks = [np.abs(rendered.twin(twin)).max() for twin in scene_checks.TWINS]
    assert max(peaks) == pytest.approx(0.95 * 2**15, abs=4)


# ---------------------------------------------------------------------------- layout
@pytest.mark.parametrize("overlap", [0.0, 0.2])
def test_turns_overlap_as_much_as_wanted(overlap):
    settings = Settings(seconds=(20, 20), speakers=(2, 3), overlap=overlap)
    shared = spoken = 0
    for index in range(40):
        layout = lay_out(settings, Talk(), None, "train", index)
        voices = np.zeros((5, layout.samples // 16 + 1), int)
        for turn in layout.turns:
            first, last = (
                turn.start // 16,
                (turn.start + len(turn.speech.samples)) // 16,
            )
            assert last * 16 <= layout.samples
            voices[int(turn.speaker[-1]), first:last] += 1
        assert voices.max() == 1  # nobody speaks over oneself
        assert voices.sum(0).max() <= 2
        shared += (voices.sum(0) > 1).sum()
        spoken += (voices.sum(0) > 0).sum()
    assert shared / spoken == pytest.approx(overlap, abs=0.03)


class LongTalk(Talk):
    """Speakers who have one utterance each, of 3, 4, … seconds."""

    def draw(self, split, speaker, rng, longest):
        length = 3.0 + int(speaker[-1])
        if length > longest:
            return None
        return Speech(np.ones(round(length * RATE)), [(0.0, length)], [])


@pytest.mark.parametrize(("seconds", "speakers"), [(6.0, 1), (10.0, 2), (16.0, 3)])
def test_long_utterances_leave_time_for_the_others(seconds, speakers):
    settings = Settings(seconds=(seconds, seconds), speakers=(3, 3), pause=(0.2, 0.3))
    for i in range(10):
        layout = lay_out(settings, LongTalk(), None, "train", i)
        assert len({turn.speaker for turn in layout.turns}) == speakers
        assert len({turn.level for turn in layout.turns}) == speakers


def test_a_scene_may_be_silent():
    settings = Settings(seconds=(1, 1), events=(0, 1))
    layout = lay_out(settings, None, None, "train", 0)
    rendered = render(layout, np.zeros(layout.samples), RATE, None)
    assert not rendered.twin("both").any()


def test_more_speakers_than_there_are(tmp_path, caplog):
    caplog.set_level("WARNING")
    with pytest.raises(
        MixError, match="speakers 6 6, but the train set has 5 speakers"
    ):
        mix_of(tmp_path, speakers=(6, 6))
    mix_of(tmp_path, speakers=(1, 6))
    assert "up to 6 speakers, but the test set has 5 speakers: test0" in caplog.text


def test_numbers_of_scenes_are_checked(tmp_path):
    for counts in ({"train": -1, "test": 1}, {"train": 0}):
        with pytest.raises(MixError, match="numbers of scenes are 0 or more"):
            make_scenes(mix_of(tmp_path), counts)


def test_sounds_do_not_depend_on_speech_nor_overlap_with_their_like():
    settings = Settings(seconds=(8, 8), events=(4, 6))
    for index in range(10):
        alone = lay_out(settings, None, ToySounds(["bell", "buzz"]), "train", index)
        other = lay_out(settings, Talk(), ToySounds(["bell", "buzz"]), "train", index)
        assert [e[:2] for e in alone.events] == [e[:2] for e in other.events]
        assert other.turns and not alone.turns
        for label in ("bell", "buzz"):
            spans = [
                (e.start, e.start + len(e.samples))
                for e in alone.events
                if e.label == label
            ]
            assert all(a[1] < b[0] for a, b in zip(spans, spans[1:]))


def test_every_kind_of_toy_sound_sounds_until_its_end():
    rng = np.random.default_rng(0)
    for label in KINDS:
        sound = ToySounds([label]).draw("train", label, rng, 2.0)
        spans = active_spans(sound, RATE, 35, join=0.5)
        assert len(spans) == 1, label
        assert np.mean(sound**2) == pytest.approx(1)
        assert spans[0][0] < 0.02 * RATE and len(sound) - spans[0][1] < 0.35 * RATE


# ---------------------------------------------------------------------- reproducible
def test_a_scene_is_rebuilt_alone(made, tmp_path):
    rendered, _ = mix_of(tmp_path).render("test", 1)
    for twin in scene_checks.TWINS:
        wave = integers(made / f"audio/test/test-00001-{twin}.wav")
        assert (wave == rendered.twin(twin)).all()


def test_damaged_and_missing_files_are_made_again(made, tmp_path):
    folder = tmp_path / "scenes"
    make_scenes(mix_of(folder), COUNTS)
    before = contents(folder, "**/*.*")
    lost, damaged = (folder / f"audio/test/test-0000{i}-both.wav" for i in range(2))
    kept = folder / "audio/train/train-00000-both.wav"
    lost.unlink()
    damaged.write_bytes(damaged.read_bytes()[:-2])
    time_of = kept.stat().st_mtime_ns
    make_scenes(mix_of(folder), COUNTS)
    assert contents(folder, "**/*.*") == before
    assert kept.stat().st_mtime_ns == time_of
    assert contents(folder) == contents(made)


def test_more_scenes_and_twins_leave_the_others(made, tmp_path):
    folder = tmp_path / "scenes"
    make_scenes(mix_of(folder, stems=False), {"train": 1})
    mix = mix_of(folder, stems=False)
    mix.twins = dict.fromkeys(SPLITS, twins_of(True))
    paths = make_scenes(mix, {"train": 2})
    assert len(manifest.read(paths["train"])) == 6
    name = "audio/train/train-00000-both.wav"
    assert (folder / name).read_bytes() == (made / name).read_bytes()


def test_other_settings_are_refused(made):
    with pytest.raises(MixError, match=r"settings.seed was 0, and is 1\. Choose"):
        make_scenes(mix_of(made, seed=1), COUNTS)
    other = mix_of(made)
    other.sounds = ToySounds(["siren"])
    with pytest.raises(MixError, match="another mix: sounds.labels was"):
        make_scenes(other, COUNTS)


def test_killed_and_continued_in_two_processes(tmp_path):
    """kill -9 in the middle, then two processes: the bytes of one process."""
    pytest.importorskip("espeakng_loader")
    options = "--voices 3 --words 3 --seconds 2 2 --events 1 1 --train 8 --valid 1"
    command = ["mix", str(tmp_path / "killed"), *options.split(), "--test", "1"]
    process = Fork(f"from s3prl_sb import cli; cli.main({command})")
    truth, deadline = tmp_path / "killed" / "truth", time.monotonic() + 60
    while not list(truth.glob("*/*.json")) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert process.kill() == -signal.SIGKILL
    assert cli.main([*command, "--processes", "2"]) == 0
    assert cli.main(["mix", str(tmp_path / "whole"), *command[2:]]) == 0
    assert contents(tmp_path / "killed", "*.*") == contents(tmp_path / "whole", "*.*")
    audio = contents(tmp_path / "whole")
    assert len(audio) == 8 + 1 + 3 and contents(tmp_path / "killed") == audio
    assert not list((tmp_path / "killed").glob(".*"))


# -------------------------------------------------------------------------- sources
def burst(path, parts, rate=RATE, seed=0):
    """Writes noise in (start, stop) seconds, silence elsewhere, 5 s long."""
    wave, rng = np.zeros(5 * rate), np.random.default_rng(seed)
    for start, stop in parts:
        first, last = round(start * rate), round(stop * rate)
        wave[first:last] = 0.1 * rng.standard_normal(last - first)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, wave, rate)
    return str(path)


def test_clips_are_trimmed_to_where_they_sound(tmp_path):
    wav = burst(tmp_path / "a.wav", [(0.5, 1.5), (3.0, 3.4)])
    clip = Clip("a", wav, None, None, "dog")
    source = RecordedSounds({"train": [clip]}, RATE)
    rng = np.random.default_rng(0)
    lengths = {len(source.draw("train", "dog", rng, 9.0)) / RATE for _ in range(20)}
    assert sorted(lengths) == pytest.approx([0.4, 1.0], abs=0.002)
    assert len(source.draw("train", "dog", rng, 0.3)) == 0.3 * RATE
    silent = Clip("b", burst(tmp_path / "b.wav", []), None, None, "cat")
    with pytest.raises(MixError, match=r"None of the 1 clips of 'cat'.*b\.wav"):
        RecordedSounds({"train": [silent]}, RATE).draw("train", "cat", rng, 1.0)


def esc(folder, folds=5):
    rows = ["filename,fold,target,category,esc10,src_file,take"]
    for fold in range(1, folds + 1):
        for number, label in enumerate(("dog", "rain")):
            name = f"{fold}-1-A-{number}.wav"
            burst(folder / "audio" / name, [(1, 2)], seed=10 * fold + number)
            rows.append(f"{name},{fold},{number},{label},True,1,A")
    (folder / "meta").mkdir(parents=True)
    (folder / "meta" / "esc50.csv").write_text("\n".join(rows))
    return str(folder)


def test_folds_of_esc50_are_kept_apart(tmp_path):
    source = sources.sound_source(esc(tmp_path / "five"), Settings())
    names = {
        split: sorted(c.name[0] for clips in labels.values() for c in clips)
        for split, labels in source.splits.items()
    }
    assert names == {"train": list("112233"), "valid": ["4"] * 2, "test": ["5"] * 2}
    ten = sources.sound_source(esc(tmp_path / "ten", folds=10), Settings())
    assert [c.name[:3] for c in ten.splits["test"]["dog"]] == ["10-"]
    one = sources.sound_source(str(tmp_path / "five"), Settings(), ["rain"])
    assert one.labels("test") == ["rain"]
    with pytest.raises(MixError, match="no label 'rian'. Did you mean rain?"):
        sources.sound_source(str(tmp_path / "five"), Settings(), ["rian"])


def test_lists_of_events_and_of_several_labels(tmp_path):
    records = {}
    for i in range(5):
        wav = burst(tmp_path / f"{i}.wav", [(0, 5)], seed=i)
        records[f"a{i}"] = {"wav": wav, "events": [["dog", 1, 2], ["cat", 3, 3.5]]}
    path = tmp_path / "list.json"
    path.write_text(json.dumps(records))
    source = sources.sound_source(str(path), Settings())
    rng = np.random.default_rng(0)
    for split in SPLITS:
        lengths = [len(source.draw(split, name, rng, 9)) for name in ("dog", "cat")]
        assert lengths == [RATE, RATE // 2]
    for i in range(5):
        label = ["dog"] if i else ["dog", "cat"]
        records[f"a{i}"] = {"wav": records[f"a{i}"]["wav"], "labels": label}
    path.write_text(json.dumps(records))
    source = sources.sound_source(str(path), Settings())
    assert sum(len(source.splits[split]["dog"]) for split in SPLITS) == 4
    assert source.labels("train") == ["dog"]


def utterances(folder, people=5, words=False, name="list.json"):
    records = {}
    for i in range(people):
        wav = burst(folder / f"s{i}.wav", [(1, 2), (2.5, 3)], seed=i)
        records[f"u{i}"] = {"wav": wav, "spk_id": f"s{i}", "text": "one, two three"}
        if words:
            times = [[1, 1.4, "One,"], [1.4, 2, "two"], [2.5, 3, "three"]]
            records[f"u{i}"]["words"] = times
    path = folder / name
    path.write_text(json.dumps(records))
    return str(path)


def test_speakers_of_a_list_are_divided(tmp_path):
    path = utterances(tmp_path)
    source = sources.speech_source(path, Settings())
    people = [set(source.speakers(split)) for split in SPLITS]
    assert [len(p) for p in people] == [3, 1, 1] and len(set.union(*people)) == 5
    assert people == [
        set(sources.speech_source(path, Settings()).speakers(s)) for s in SPLITS
    ]
    drawn = source.draw("test", *people[2], np.random.default_rng(0), 9.0)
    assert source.word_times == "estimated"
    assert [word for _, _, word in drawn.words] == ["ONE", "TWO", "THREE"]
    # 1.5 s of speech for 11 letters; the first sample is 50 ms before the speech
    assert drawn.words[0][:2] == pytest.approx((0.05, 0.05 + 1.5 * 3 / 11), abs=0.01)
    assert drawn.spans[1] == pytest.approx((1.55, 2.05), abs=0.02)
    assert len(drawn.samples) == pytest.approx(2.1 * RATE, abs=200)


@pytest.mark.parametrize("where", ["list", "ctm"])
def test_words_with_times_are_exact(where, tmp_path):
    path = utterances(tmp_path, words=where == "list")
    times = None
    if where == "ctm":
        times = tmp_path / "words.ctm"
        rows = [(1, 0.4, "One,"), (1.4, 0.6, "two"), (2.5, 0.5, "three")]
        times.write_text(
            "".join(f"u{i} 1 {a} {d} {w}\n" for i in range(5) for a, d, w in rows)
        )
    source = sources.speech_source(path, Settings(join=0.3), word_times=times)
    (speaker,) = source.speakers("valid")
    drawn = source.draw("valid", speaker, np.random.default_rng(0), 9.0)
    assert source.word_times == "exact"
    times = [moment for word in drawn.words for moment in word[:2]]
    assert times == pytest.approx([0.05, 0.45, 0.45, 1.05, 1.55, 2.05])
    assert np.ravel(drawn.spans) == pytest.approx([0.05, 1.05, 1.55, 2.05])


def test_long_utterances_with_times_are_cut_at_pauses(tmp_path):
    wav = burst(tmp_path / "a.wav", [(0, 5)])
    words = [(0.2, 1.0, "A"), (1.05, 2.0, "B"), (2.5, 3.5, "C"), (4.0, 4.8, "D")]
    long = Utterance("a", wav, None, None, 5.0, "A B C D", words)
    source = RecordedSpeech({"train": {"x": [long]}}, RATE, longest_turn=2.5)
    pieces = source.splits["train"]["x"]
    assert [piece.text for piece in pieces] == ["A B", "C D"]
    assert pieces[1].start == 2.45
    assert [round(t, 6) for t in pieces[1].words[0][:2]] == [0.05, 1.05]


def test_timit_has_exact_words(tmp_path):
    for part, speaker in (
        ("TRAIN", "FAAA0"),
        ("TRAIN", "MBBB0"),
        ("TEST", "FCCC0"),
        ("TEST", "MDAB0"),
    ):
        place = tmp_path / part / "DR1" / speaker
        place.mkdir(parents=True)
        wave = 0.1 * np.random.default_rng(0).standard_normal(32000)
        soundfile.write(place / "SX1.WAV", wave, RATE, format="NIST")
        (place / "SX1.PHN").write_text("0 32000 ix\n")
        (place / "SX1.WRD").write_text("1600 16000 she\n16000 30000 had\n")
    source = sources.speech_source(str(tmp_path), Settings())
    assert source.word_times == "exact" and source.speakers("test") == ["MDAB0"]
    drawn = source.draw("test", "MDAB0", np.random.default_rng(0), 9.0)
    assert [word for _, _, word in drawn.words] == ["SHE", "HAD"]
    assert drawn.words[1][:2] == pytest.approx((0.95, 1.825))


def test_librispeech_without_dev_is_divided(tmp_path):
    for split, speaker in (("train-clean-100", 1), ("train-clean-100", 2), ("test", 3)):
        name = f"{speaker}-1-0000"
        folder = tmp_path / (split if "-" in split else "test-clean") / f"{speaker}/1"
        burst(folder / f"{name}.wav", [(1, 3)], seed=speaker)
        (folder / f"{speaker}-1.trans.txt").write_text(f"{name} GOOD DAY\n")
    source = sources.speech_source(str(tmp_path), Settings())
    assert sorted(s for split in SPLITS for s in source.speakers(split)) == list("123")


def test_bad_sources(tmp_path):
    with pytest.raises(MixError, match="--speech .*nowhere: no such file or folder"):
        sources.speech_source(str(tmp_path / "nowhere"), Settings())
    with pytest.raises(MixError, match=r"can be mixed \(ESC-50.*wav and label"):
        sources.sound_source(str(tmp_path), Settings())
    path = utterances(tmp_path, people=2)
    with pytest.raises(MixError, match="2 speakers, and three sets need one each"):
        sources.speech_source(path, Settings())
    path = utterances(tmp_path, people=3)
    with pytest.raises(MixError, match="has 5.0 s, too long for scenes of 4 s"):
        sources.speech_source(path, Settings(seconds=(4, 6)))
    records = json.loads(Path(path).read_text())
    for split in SPLITS:
        (tmp_path / f"{split}.json").write_text(json.dumps(records))
    with pytest.raises(MixError, match="speaker 's0' is in train and valid"):
        sources.speech_source(str(tmp_path), Settings())
    del records["u1"]["spk_id"]
    Path(path).write_text(json.dumps(records))
    with pytest.raises(ManifestError, match="u1"):
        sources.speech_source(path, Settings())
    records["u0"]["words"] = [[2, 1, "one"]]
    Path(path).write_text(json.dumps({"u0": records["u0"]}))
    with pytest.raises(MixError, match=r"'u0': \[2, 1, 'one'\] is not"):
        sources.speech_source(path, Settings())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--seconds", "5", "3"], "seconds 5.0 3.0: give the lowest and the highest"),
        (["--overlap", "0.9"], "overlap 0.9: a share from 0 to 0.5"),
        (["--words", "99"], "99 words: toy speech has 0"),
        (["--speech", "none", "--sounds", "none"], "A scene needs speech or sounds"),
        (["--labels", "sirene"], "no toy sound 'sirene'. Did you mean siren?"),
    ],
)
def test_wrong_options(options, message, tmp_path, capsys):
    pytest.importorskip("espeakng_loader")
    assert cli.main(["mix", str(tmp_path / "scenes"), *options]) == 1
    assert message in capsys.readouterr().err


def test_backgrounds_of_the_splits_are_different_recordings(tmp_path):
    for i in range(4):
        burst(tmp_path / f"{i}.wav", [(0, 5)], seed=i)
    source = sources.background_source(str(tmp_path), Settings())
    files = [file for split in SPLITS for file in source.files[split]]
    assert len(set(files)) == len(files) == 4
    drawn = source.draw("test", 7 * RATE, np.random.default_rng(0))
    assert len(drawn) == 7 * RATE and np.mean(drawn**2) == pytest.approx(1)
    (tmp_path / "0.wav").unlink()
    (tmp_path / "1.wav").unlink()
    with pytest.raises(MixError, match="2 recordings, and each of the three splits"):
        sources.background_source(str(tmp_path), Settings())


def test_rooms_do_not_delay(tmp_path):
    """The first arrival of a sound is where the dry sound is."""
    pytest.importorskip("pyroomacoustics")
    dry, wet = (
        Mix(
            str(tmp_path),
            Settings(seconds=(3, 3), events=(1, 1), snr=(0, 0), rooms=rooms),
            sounds=ToySounds(["hiss"]),
        ).render("test", 0)[0]
        for rooms in (False, True)
    )
    one, other = dry.stem(0), wet.stem(0)
    size = 2 * len(one)
    spectra = [np.fft.rfft(wave, size) for wave in (one, other)]
    response = np.abs(np.fft.irfft(spectra[1] / (spectra[0] + 1), size))
    direct = response[[-1, 0, 1]].max()
    assert direct > 0.5 * response.max()
    assert response[-400:-20].max() < 0.1 * direct
    assert (one != other).any()


def test_a_response_begins_with_the_direct_path():
    pytest.importorskip("pyroomacoustics")
    from s3prl_sb.corpora.mixing.rooms import Room

    for seed in range(3):
        response = Room(np.random.default_rng(seed), RATE).response()
        assert np.abs(response[:12]).argmax() <= 1
        assert len(response) > 0.1 * RATE
        again = Room(np.random.default_rng(seed), RATE).response()
        assert (response == again).all()


def test_toy_scenes_are_scenes(tmp_path):
    pytest.importorskip("espeakng_loader")
    small = {"train": 2, "valid": 1, "test": 1, "seconds": 3.0, "voices": 3}
    folder = toys.make("scenes", tmp_path / "toy", **small)
    paths = prepare_scenes(str(folder), str(tmp_path / "save"))
    records = {split: scenes.read_scenes(path) for split, path in paths.items()}
    assert [len(records[split]) for split in SPLITS] == [2, 1, 3]
    said = {word for r in records["train"].values() for *_, word in r["words"]}
    assert said <= {word.upper() for word in WORDS[:6]}
    assert all(r["words"] for r in records["train"].values())


def test_a_full_disk_is_found_first(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(MixError, match=r"scenes take about 0\.. GB, and the disk has"):
        make_scenes(mix_of(tmp_path / "scenes"), {"train": 500})
