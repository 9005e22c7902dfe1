"""Tests of the recognizer: windows of a recording are as good as the whole.

Authors
 * The s3prl_sb developers, 2026
"""

import json

import numpy as np
import pytest
import soundfile
import torch

from s3prl_sb.dataio.pipes import LoadAudio
from s3prl_sb.dataio.timeline import Item
from s3prl_sb.dataio.timeline_decoding import BestTokens, Decisions
from s3prl_sb.dataio.tokenizers import CharacterTokenizer
from s3prl_sb.errors import UserError
from s3prl_sb.inference.recognizer import Recognizer
from s3prl_sb.inference.windows import Span, Window, joined, pieces, spans, speakers
from s3prl_sb.lobes.featurizer import Featurizer
from s3prl_sb.lobes.heads.recognizer import SceneOutput, track_vectors
from s3prl_sb.lobes.upstreams import load

RATE = 16000
TOKENIZER = CharacterTokenizer(" AB", " ", ["<blank>"], end=())
VOICES = (300, 900, 1800)  # Hz
LETTERS = {"A": 3000, "B": 4200}
DOG = 6500


def tone(samples, hertz, start, stop):
    """Adds a tone to a waveform."""
    span = slice(round(start * RATE), round(stop * RATE))
    times = np.arange(span.stop - span.start) / RATE
    fade = np.minimum(1, np.minimum(times, times[-1] - times) / 0.01)
    samples[span] += 0.1 * fade * np.sin(2 * np.pi * hertz * times)


def spoken(seconds):
    """Returns turns (voice, start, stop, letters), a second apart."""
    voices = [0, 1, 0, 2, 1, 1, 0, 2, 0]
    texts = ["AB", "A", "BA", "B", "AB", "BB", "A", "BA", "B"]
    turns, start = [], 0.5
    while start + 2.5 < seconds:
        n = len(turns) % len(voices)
        turns.append((voices[n], start, start + 1.8, texts[n]))
        start += 2.3
    return turns


def recording(path, seconds):
    """Writes a recording; returns its timeline, with the voices as speakers."""
    samples = 1e-4 * np.random.default_rng(0).standard_normal(round(seconds * RATE))
    order, items = [], []
    for voice, start, stop, letters in spoken(seconds):
        tone(samples, VOICES[voice], start, stop)
        order += [voice] * (voice not in order)
        name = f"speaker{order.index(voice) + 1}"
        items.append(Item("speaker", name, start, stop))
        for number, letter in enumerate(letters):
            first = start + 0.3 + 0.5 * number
            tone(samples, LETTERS[letter], first, first + 0.2)
        last = first + 0.2
        items.append(Item("word", letters, start + 0.3, last, name))
    for start in np.arange(1.1, seconds - 3, 6.7).tolist():
        tone(samples, DOG, start, start + 2.2)
        items.append(Item("event", "dog", start, start + 2.2))
    soundfile.write(path, samples, RATE)
    return sorted(items, key=lambda item: item.start)


class Head(torch.nn.Module):
    """Hears tones. Its tracks are in the order in which voices first speak."""

    def forward(self, features, lens):
        features = features[..., :80]
        mel = torch.linspace(20, 2840, 80)
        hertz = 700 * (10 ** (mel / 2595) - 1)

        def level(wanted):
            return features[..., int((hertz - wanted).abs().argmin())]

        voices = torch.stack([level(hertz) for hertz in VOICES], -1) > -4
        first = torch.where(voices.any(1), voices.int().argmax(1), 9999)
        order = first.argsort(stable=True)[:, None].expand(-1, voices.shape[1], -1)
        active = voices.gather(2, order).float()
        letters = [(level(hertz) > -4).float() for hertz in LETTERS.values()]
        quiet = 1 - torch.stack(letters).amax(0)
        tokens = []
        for track in active.unbind(-1):
            rows = [track * quiet, 1 - track, *(track * each for each in letters)]
            tokens.append(torch.stack(rows, -1))
        words = (torch.stack(tokens, 1) + 0.01).log().log_softmax(-1)
        events = (level(DOG) > -4).float()[..., None]
        vectors = track_vectors(features + 16, active)
        logits = [8 * each - 4 for each in (active, events)]
        return SceneOutput(*logits, words, vectors, lens)


def recognizer(**settings):
    medians = {"speaker_median": 0.1, "event_median": 0.1}
    decisions = Decisions(0.02, ["dog"], TOKENIZER, **medians, **settings)
    hparams = {"decisions": decisions.spec(), "audio_pipes": [LoadAudio(RATE)]}
    modules = {"upstream": load("fbank_no_cmvn"), "featurizer": Featurizer(1)}
    modules["head"] = Head()
    return Recognizer(modules=modules, hparams=hparams, run_opts={"device": "cpu"})


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    path = tmp_path_factory.mktemp("scene") / "a scene.wav"
    return path, recording(path, 61.3)


def test_hears_a_short_recording(tmp_path):
    true = recording(tmp_path / "a.wav", 12.0)
    found = recognizer().timeline_file(tmp_path / "a.wav")
    assert [item[:2] for item in found] == [item[:2] for item in true]
    for one, other in zip(found, true):
        assert one.speaker == other.speaker and 0.5 < one.score <= 1
        assert abs(one.start - other.start) < 0.06 and abs(one.stop - other.stop) < 0.06


@pytest.mark.parametrize(("window", "overlap"), [(10, 4), (15, 3), (25.5, 8)])
def test_windows_are_as_good_as_the_whole(scene, window, overlap):
    path, true = scene
    whole = recognizer(window_seconds=1000).timeline_file(path)
    parts = recognizer(window_seconds=window, overlap_seconds=overlap)
    found = parts.timeline_file(path)
    assert [item[:5] for item in found] == [item[:5] for item in whole]
    for one, other in zip(found, whole):
        assert one.score == pytest.approx(other.score, abs=0.02)
    assert [item[:2] for item in found] == [item[:2] for item in true]


def test_excerpts_have_their_own_time(scene):
    path, _ = scene
    model = recognizer(window_seconds=10, overlap_seconds=4)
    found = model.timeline_file(path, 20.0, 50.0)
    whole = recognizer(window_seconds=1000).timeline_file(path, 20.0, 50.0)
    assert found and [item[:5] for item in found] == [item[:5] for item in whole]
    assert found[-1].stop <= 30.0


def test_records_and_files(scene, tmp_path):
    path, _ = scene
    model = recognizer()
    (record,) = model.records([str(path)])
    assert list(record) == ["wav", "recording", "timeline"]
    assert record["recording"] == "a_scene"
    assert model.timeline(json.loads(json.dumps(record)))[0].label == "speaker1"
    assert len(model.line(record).splitlines()) == len(record["timeline"])
    files = model.files([record])
    assert set(files) == {
        *("hyp.jsonl", "hyp.rttm", "hyp.seglst.json", "hyp.tsv"),
        "a_scene.audacity.txt",
    }
    assert "SPEAKER a_scene 1 0.480 " in files["hyp.rttm"]


def test_probabilities_are_of_speakers_and_events(scene):
    found = recognizer().probabilities_file(scene[0], 0.0, 8.0)
    assert found.names == ["speaker1", "speaker2", "speaker3", "dog"]
    assert found.values.shape == (400, 4) and found.seconds == pytest.approx(0.02)


def window(first, last, columns=None, words=None, vectors=None):
    activity = None
    if columns is not None:
        activity = np.zeros((last - first, len(columns)), np.float32)
        for number, spans_of in enumerate(columns):
            for start, stop in spans_of:
                activity[max(start - first, 0) : stop - first, number] = 1
    vectors = None if vectors is None else np.array(vectors, float)
    return Window(Span(first, last), activity, None, words, vectors)


def test_windows_cover_every_frame_once():
    for frames in (1, 9, 10, 11, 23, 40):
        found = spans(frames, 10, 4)
        assert found[0].first == 0 and found[-1].last == frames
        parts = pieces([window(*span) for span in found])
        covered = [
            frame
            for span, part in zip(found, parts)
            for frame in range(span.first + part.start, span.first + part.stop)
        ]
        assert covered == list(range(frames))


def test_cuts_are_between_words():
    tokens = np.zeros((1, 20), int)
    tokens[0, [13, 15, 17]] = 2, 2, 1  # A A space
    early = window(0, 20, words=BestTokens(tokens, np.zeros((1, 20))))
    tokens = np.zeros((1, 20), int)
    tokens[0, [3, 5, 7]] = 2, 2, 1
    late = window(10, 30, words=BestTokens(tokens, np.zeros((1, 20))))
    parts = pieces([early, late], blank=0, space=1)
    assert parts[0].stop == 16 and parts[1].start == 6
    without = pieces([early, late], blank=0, space=None)
    assert without[0].stop == 14


def test_speakers_agree_in_the_overlap():
    one = window(0, 20, [[(0, 5)], [(12, 18)]])
    two = window(10, 30, [[(12, 18)], [(22, 29)]])
    assert speakers([one, two], 0.5) == [{0: 0, 1: 1}, {0: 1, 1: 2}]
    activity, _, _ = joined([one, two], 0.5)
    assert activity.shape == (30, 3) and activity[12:18, 1].all()
    assert activity.sum(0).tolist() == [5, 6, 7]


def test_speakers_are_joined_by_vectors():
    ann, bob = [1.0, 0.1], [0.1, 1.0]
    one = window(0, 20, [[(0, 5)], [(6, 9)]], vectors=[ann, bob])
    two = window(16, 36, [[(26, 30)], [(31, 33)]], vectors=[bob, ann])
    far = speakers([one, two], 0.5)
    assert far == [{0: 0, 1: 1}, {0: 1, 1: 0}]
    assert speakers([one, two], 0.5, similarity=1.01)[1] == {0: 2, 1: 3}
    same = window(16, 36, [[(26, 30)], [(31, 33)]], vectors=[ann, ann])
    assert len(set(speakers([one, same], 0.5)[1].values())) == 2


def test_the_similarity_is_taken_from_the_recording():
    """All vectors are alike, as those of networks are; differences still count."""
    ann, bob = [1.0, 1.0, 0.2], [1.0, 0.8, 0.2]
    one = window(0, 20, [[(0, 18)], [(5, 9)]], vectors=[ann, bob])
    two = window(10, 30, [[(10, 18)], [(22, 29)]], vectors=[ann, bob])
    assert speakers([one, two], 0.5) == [{0: 0, 1: 1}, {0: 0, 1: 1}]


def test_speakers_of_many_windows():
    """Voices in any order in 80 windows, whose tracks never agree in an overlap."""
    rng = np.random.default_rng(0)
    voices = rng.standard_normal((3, 8))
    orders = [rng.permutation(3) for _ in range(80)]
    many = [
        window(
            16 * n,
            16 * n + 20,
            [[(16 * n + 5 + k, 16 * n + 6 + k)] for k in range(3)],
            vectors=voices[order] + 0.1 * rng.standard_normal((3, 8)),
        )
        for n, order in enumerate(orders)
    ]
    found = speakers(many, 0.5)
    names = {voice: found[0][k] for k, voice in enumerate(orders[0])}
    for group, order in zip(found, orders):
        assert [group[k] for k in range(3)] == [names[voice] for voice in order]


def test_silence_has_no_speakers():
    silent = [window(0, 20, [[], []]), window(10, 30, [[], []])]
    activity, events, words = joined(silent, 0.5)
    assert activity.shape == (30, 0) and events is None and words is None


def test_words_without_speakers():
    best = [BestTokens(np.full((1, 20), n), np.zeros((1, 20))) for n in (0, 1)]
    pair = window(0, 20, words=best[0]), window(10, 30, words=best[1])
    _, _, words = joined(pair, 0.5, blank=0, space=1)
    assert words.tokens.tolist() == [[0] * 15 + [1] * 15]


def test_frames_are_fitted_to_the_header():
    found = Window(Span(0, 5), np.eye(4), None, None, None)
    assert found.activity.shape == (5, 4) and found.activity[4].tolist() == [0, 0, 0, 1]


def test_windows_that_overlap_too_much(scene):
    with pytest.raises(UserError, match="windows of 10 s cannot share 6 s"):
        recognizer(window_seconds=10, overlap_seconds=6).timeline_file(scene[0])
