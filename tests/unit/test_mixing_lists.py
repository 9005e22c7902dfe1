"""Lists that scenes are mixed from: what they may hold, and errors that name it."""

import json

import numpy as np
import pytest
import soundfile

from s3prl_sb.corpora.mixing import lists, sources
from s3prl_sb.corpora.mixing.folder import _stems
from s3prl_sb.corpora.mixing.rendering import Part, Rendered
from s3prl_sb.corpora.mixing.settings import MixError, Settings
from s3prl_sb.corpora.mixing.speech import plain
from s3prl_sb.errors import ManifestError

PART = {"wav": "a.wav", "start": None, "stop": None, "duration": 2.0}


def spoken(**changes):
    """Returns the utterances of a list of one."""
    record = {**PART, "speaker": "ann", "text": "HI", **changes}
    return lists.utterances({"u": record}, {}, "l.json")


@pytest.mark.parametrize(
    ("words", "read"),
    [
        ([[0.1, 0.5, "new  york"]], [(0.1, 0.271429, "NEW"), (0.271429, 0.5, "YORK")]),
        ([[0.5, 0.5, "a"]], [(0.5, 0.51, "A")]),
        ([[1.9, 2.05, "b"], [0.1, 0.2, "--"]], [(1.9, 2.0, "B")]),
    ],
)
def test_words_of_a_list(words, read):
    assert spoken(words=words)["ann"][0].words == read


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("«Où?»", "OÙ"),
        ("नमस्ते।", "नमस्ते"),
        ("--", ""),
        ("'tis_", "'TIS_"),
        ("l'a", "L'A"),
    ],
)
def test_words_keep_their_marks(word, expected):
    assert plain(word) == expected


def test_speakers_and_texts_may_be_numbers():
    (people,) = [spoken(speaker=0, text=5)]
    assert people["0"][0].text == "5"
    assert list(spoken(speaker=" ann\n b ")) == ["ann b"]
    assert spoken(text=" ")["ann"][0].text is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"speaker": "\n"}, "'u' has no speaker. Add the column"),
        ({"words": "HI"}, r"'u': 'HI' is not \[start, stop, word\]"),
        ({"words": [[0.1, 3, "a"]]}, "seconds within its 2.0 s"),
        ({"words": []}, "no utterance has words"),
    ],
)
def test_faults_of_utterances(changes, message):
    with pytest.raises(MixError, match=message):
        spoken(**changes)


def test_words_are_of_all_utterances_or_of_none():
    ann, bob = spoken(words=[[0, 1, "a"]]), spoken()
    lists.check_words({"train": ann, "test": ann}, "l.json")
    lists.check_words({"train": bob, "test": bob}, "l.json")
    with pytest.raises(MixError, match="'u' has no times of its words, like 1 of 2"):
        lists.check_words({"train": ann, "test": bob}, "l.json")
    with pytest.raises(MixError, match="'u' has no text, like 1 of 2"):
        lists.check_words({"train": bob, "test": spoken(text="")}, "l.json")
    silent = spoken(text=None)
    lists.check_words({"train": silent, "test": silent}, "l.json")


@pytest.mark.parametrize(
    ("changes", "fault", "message"),
    [
        ({"label": ""}, MixError, "'c' has no label"),
        ({"labels": ["dog", None]}, MixError, "'c' has no label"),
        ({"events": [["dog", 0.1]]}, ManifestError, "l.json: 'c': events: .* is not"),
        ({"events": [["dog", "0", "1"]]}, ManifestError, "is not .label, start, stop"),
        ({"events": [["dog", 0, 5]]}, ManifestError, "ends after the audio, 2.0 s"),
        ({"events": "dog"}, ManifestError, "Give a list of"),
    ],
)
def test_faults_of_clips(changes, fault, message):
    with pytest.raises(fault, match=message):
        lists.clips({"c": {**PART, **changes}}, "l.json")


def test_labels_of_clips_have_no_line_breaks():
    (clip,) = lists.clips({"c": {**PART, "label": " dog\tbarks\n"}}, "l.json")
    assert clip.label == "dog barks"


def files(folder, count, seconds=2.0):
    noise = 0.1 * np.random.default_rng(0).standard_normal(round(seconds * 8000))
    for i in range(count):
        soundfile.write(folder / f"{i}.wav", noise, 8000)
    return [str(folder / f"{i}.wav") for i in range(count)]


def write(path, records):
    path.write_text(json.dumps(records))
    return str(path)


def test_all_events_of_a_file_are_in_one_set(tmp_path):
    events = [["dog", 0, 0.5], ["cat", 0.5, 1.0], ["dog", 1.0, 1.5]]
    records = {
        str(i): {"wav": wav, "events": events[i % 2 :]}
        for i, wav in enumerate(files(tmp_path, 8))
    }
    source = sources.sound_source(write(tmp_path / "l.json", records), Settings())
    used = [
        {clip.wav for clips in labels.values() for clip in clips}
        for labels in source.splits.values()
    ]
    assert sum(map(len, used)) == len(set.union(*used)) == 8
    for split in source.splits:
        assert source.labels(split) == ["cat", "dog"]


def test_folds_are_of_all_clips_or_of_none(tmp_path):
    rows = [f"{wav},dog,{i}" for i, wav in enumerate(files(tmp_path, 4))]
    path = tmp_path / "l.csv"
    path.write_text("\n".join(["wav,label,fold", *rows]))
    source = sources.sound_source(str(path), Settings())
    assert [c.wav[-5:] for c in source.splits["test"]["dog"]] == ["3.wav"]
    path.write_text("\n".join(["wav,label,fold", *rows])[:-1])
    with pytest.raises(MixError, match="/3' has no fold, like 1 of 4 clips"):
        sources.sound_source(str(path), Settings())


def test_a_folder_without_backgrounds(tmp_path):
    with pytest.raises(MixError, match="--background: .*Give another folder"):
        sources.background_source(str(tmp_path), Settings())


def test_times_of_other_utterances_are_an_error(tmp_path):
    records = {
        f"u{i}": {"wav": wav, "speaker": f"s{i}", "text": "hi"}
        for i, wav in enumerate(files(tmp_path, 3))
    }
    path = write(tmp_path / "l.json", records)
    times = tmp_path / "words.ctm"
    times.write_text("v0 1 0.1 0.5 hi\n")
    with pytest.raises(MixError, match="words of v0, and of no utterance of .*u0, u1"):
        sources.speech_source(path, Settings(), word_times=str(times))
    times.write_text("u0 1 0.1 0.5 hi\n")
    with pytest.raises(MixError, match="'u1' has no times of its words, like 2 of 3"):
        sources.speech_source(path, Settings(), word_times=str(times))


def test_an_utterance_that_is_silent_is_named(tmp_path):
    records = {}
    for i in range(3):
        soundfile.write(tmp_path / f"{i}.wav", np.zeros(16000), 8000)
        records[f"u{i}"] = {"wav": f"{i}.wav", "speaker": f"s{i}", "text": "hi"}
    source = sources.speech_source(write(tmp_path / "l.json", records), Settings())
    (speaker,) = source.speakers("test")
    with pytest.raises(MixError, match=rf"'u{speaker[1]}' .* is silent where it"):
        source.draw("test", speaker, np.random.default_rng(0), 9.0)


def test_a_background_may_be_silent_for_a_while(tmp_path):
    wave = np.zeros(80000)
    wave[70000:] = 0.1
    for i in range(3):
        soundfile.write(tmp_path / f"{i}.wav", wave, 8000, subtype="FLOAT")
    source = sources.background_source(str(tmp_path), Settings(rate=8000))
    for seed in range(10):
        noise = source.draw("train", 8000, np.random.default_rng(seed))
        assert np.mean(noise**2) == pytest.approx(1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rate": 0}, "rate 0: 1000 Hz or more"),
        ({"snr": (0.0, float("inf"))}, "snr: .* is no finite number"),
        ({"longest_sound": 0.0}, "longest_sound are 0.1 s or more"),
    ],
)
def test_settings_without_sense(changes, message):
    with pytest.raises(MixError, match=message):
        Settings(**changes)


def test_stems_of_all_speakers_have_files_of_their_own():
    wave = np.zeros(4, np.int32)
    people = dict.fromkeys(["a/b", "a_b", "a--b", "x" * 300, "x" * 299], wave)
    stems = _stems("stems", Rendered(people, [Part(0, wave)], wave))
    assert len(stems) == 7 and max(len(name.encode()) for name in stems) < 200
