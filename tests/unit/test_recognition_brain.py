"""RecognitionBrain: what it learns, measures and writes."""

import json

import numpy as np
import pytest
import torch

from s3prl_sb.brains.recognition import Heard, RecognitionBrain, ordered_tracks
from s3prl_sb.brains.recognition_data import check_settings, recognition_splits
from s3prl_sb.brains.recognition_detections import EventFrames
from s3prl_sb.brains.recognition_files import badness
from s3prl_sb.brains.recognition_scores import SceneScores, normalized
from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.scene_labels import words_tokenizer
from s3prl_sb.dataio.timeline import items_of
from s3prl_sb.dataio.timeline_decoding import Decisions, best_tokens, decode
from s3prl_sb.lobes.heads.recognizer import SceneRecognizer
from s3prl_sb.lobes.scene_losses import event_loss, speaker_loss, word_loss
from s3prl_sb.lobes.upstreams import load
from s3prl_sb.metrics.measures import Measures
from s3prl_sb.startup.configuration import RecipeError

TOKENIZER = words_tokenizer(["a", "b"])


def record(**changes):
    return {
        "wav": "a.wav",
        "duration": 2.0,
        "start": None,
        "stop": None,
        "speakers": ["ann", "bob"],
        "segments": [["ann", 0.2, 1.0], ["bob", 0.8, 1.6]],
        "regions": None,
        "words": [["ann", 0.2, 0.5, "ab"], ["bob", 1.1, 1.5, "ba"]],
        "word_times": "exact",
        "events": [["dog", 1.0, 1.8]],
        **changes,
    }


# --------------------------------------------------------------------- learning
def seen(scene, number):
    """Features in which speakers, letters and sounds can be seen, every 40 ms."""
    generator = torch.Generator().manual_seed(number)
    features = 0.1 * torch.randn(50, 12, generator=generator)
    for column, (_, start, stop) in enumerate(scene["segments"]):
        features[round(25 * start) : round(25 * stop), column] += 1
    for _, start, stop in scene["events"]:
        features[round(25 * start) : round(25 * stop), 3] += 1
    for speaker, start, stop, word in scene["words"]:
        first, step = round(25 * start), round(25 * (stop - start) / len(word))
        for place, letter in enumerate(word):
            column = 4 + 2 * scene["speakers"].index(speaker) + "AB".index(letter)
            features[first + place * step : first + (place + 1) * step, column] += 1
    return features


def test_it_learns_two_scenes_by_heart():
    """All three heads together, from the losses to the measures."""
    scenes = {
        "a": record(words=[["ann", 0.2, 0.6, "a"], ["bob", 1.1, 1.5, "b"]]),
        "b": record(
            segments=[["ann", 0.3, 1.2], ["bob", 0.1, 0.7]],
            words=[["ann", 0.8, 1.2, "b"], ["bob", 0.2, 0.6, "a"]],
            events=[["dog", 0.1, 0.5]],
        ),
    }
    scenes = normalized(scenes, TOKENIZER)
    torch.manual_seed(0)
    sizes = {"projection_size": 24, "hidden_size": 24, "num_layers": 1, "word_size": 24}
    head = SceneRecognizer(12, 2, 1, len(TOKENIZER), **sizes)
    features = torch.stack([seen(scene, i) for i, scene in enumerate(scenes.values())])
    activity, events = torch.zeros(2, 50, 2), torch.zeros(2, 50, 1)
    tracks, lens = [], torch.ones(2)
    for i, scene in enumerate(scenes.values()):
        for column, (_, start, stop) in enumerate(scene["segments"]):
            activity[i, round(25 * start) : round(25 * stop), column] = 1
        for _, start, stop in scene["events"]:
            events[i, round(25 * start) : round(25 * stop)] = 1
        tracks.append([TOKENIZER.encode(w[3]) for w in scene["words"]])
    optimizer = torch.optim.Adam(head.parameters(), lr=0.01)
    known = torch.tensor([True, True])
    for _ in range(120):
        output = head(features, lens, activity)
        loss = speaker_loss(output.activity, activity, lens)[0]
        loss = loss + event_loss(output.events, events, lens)[0]
        loss = loss + word_loss(output.words, tracks, known, lens)[0]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        output = head.eval()(features, lens)
    decisions = Decisions(0.04, ["dog"], TOKENIZER)
    timelines = {
        name: decode(
            output.activity[i].sigmoid(),
            output.events[i].sigmoid(),
            best_tokens(output.words[i]),
            decisions,
            2.0,
        )
        for i, name in enumerate(scenes)
    }
    stats = SceneScores(scenes, timelines, ["dog"]).stats()
    assert stats["der"] < 0.03 and stats["tcpwer"] == 0 and stats["event_f1"] == 1


# --------------------------------------------------------------------- measures
def test_a_perfect_timeline():
    records = {"a": record(), "b": record(events=[], words=None)}
    timelines = {name: items_of(each) for name, each in records.items()}
    scores = SceneScores(records, timelines, ["cat", "dog"])
    stats = scores.stats()
    assert stats["der"] == stats["cpwer"] == stats["tcpwer"] == 0
    names = ("segment_f1", "onset_f1", "event_f1", "timeline_f1", "mean_score")
    assert [stats[name] for name in names] == [1.0] * 5
    assert badness(scores.rates("a")) == 0
    assert "tcpwer" not in scores.rates("b")


def test_measures_are_sums_of_the_scenes():
    records = {"a": record(), "b": record()}
    timelines = {"a": items_of(records["a"]), "b": []}
    scores = SceneScores(records, timelines, ["dog"])
    stats, counts = scores.stats(), scores.counts()
    assert stats["der"] == stats["cpwer"] == 0.5
    assert stats["event_f1"] == pytest.approx(2 / 3)
    assert stats["mean_score"] == pytest.approx((0.5 + 0.5 + 2 / 3) / 3)
    assert counts["der"]["b"] == (pytest.approx(1.6), pytest.approx(1.6))
    assert counts["event_f1"] == {"a": (2.0, 2.0), "b": (0.0, 1.0)}
    assert badness(scores.rates("b")) == 1


def test_what_is_not_annotated_is_not_measured():
    bare = record(words=None, events=None)
    stats = SceneScores({"a": bare}, {"a": items_of(record())}, ["dog"]).stats()
    assert stats["der"] == 0 and "tcpwer" not in stats and "event_f1" not in stats
    assert stats["mean_score"] == 1
    none = record(words=[], events=[], segments=[], speakers=[])
    assert SceneScores({"a": none}, {"a": []}, ["dog"]).stats() == {}


def test_items_outside_of_the_regions_do_not_count():
    known = record(regions=[[0.0, 1.0]], events=[], words=[["ann", 0.2, 0.5, "ab"]])
    scores = SceneScores({"a": known}, {"a": items_of(record())}, ["dog"])
    assert scores.stats()["cpwer"] == 0
    assert scores.events.estimated.sum() == 0


def test_the_truth_outside_of_the_regions_does_not_count_either():
    known = record(regions=[[0.0, 1.0]])
    items = [item for item in items_of(known) if item.start < 0.9]
    stats = SceneScores({"a": known}, {"a": items}, ["dog"]).stats()
    assert stats["der"] == stats["tcpwer"] == 0 and "event_f1" not in stats
    assert stats["timeline_f1"] == stats["mean_score"] == 1
    more = [*items, *items_of(record(segments=[["cy", 1.2, 1.9]], words=[]))]
    stats = SceneScores({"a": known}, {"a": more}, ["dog"]).stats()
    assert stats["der"] == 0 and stats["timeline_f1"] == 1


def test_one_track_of_words():
    """Without speakers, words are one text in the order of time."""
    timeline = decode(
        None,
        None,
        np.log(np.eye(5)[[3, 4, 2, 4, 3]] * 0.9 + 0.02)[None],
        Decisions(tokenizer=TOKENIZER, frame_seconds=0.3),
        2.0,
    )
    assert [item.label for item in timeline] == ["AB", "BA"]
    records = normalized({"a": record()}, TOKENIZER)
    stats = SceneScores(records, {"a": timeline}, [], ["words"]).stats()
    assert stats["cpwer"] == 0 and "der" not in stats
    times = [(item.start, item.stop) for item in timeline]
    words = [["ann", *times[0], "AB"], ["bob", *times[1], "BA"]]
    records["a"]["words"] = words
    stats = SceneScores(records, {"a": timeline}, [], ["words"]).stats()
    assert stats["timeline_f1"] == 1


# ------------------------------------------------------------------------ Brain
class Settings:
    """Enough of a Brain to choose thresholds."""

    choose = RecognitionBrain._choose
    decide = RecognitionBrain._decide
    _decide, _cost = RecognitionBrain._decide, RecognitionBrain._cost
    kinds = ("speakers", "events")

    class hparams:
        speaker_thresholds, speaker_medians = [0.3, 0.5, 0.7], [0.0, 0.1]
        event_thresholds, event_medians = [0.2, 0.5], [0.0, 0.5]


def test_the_validation_set_chooses():
    brain, scene = Settings(), record()
    activity, events = np.full((100, 2), 0.1), np.full((100, 1), 0.1)
    activity[10:50, 0], activity[40:80, 1] = 0.6, 0.6
    activity[90, 0] = 0.9  # which a filter removes
    events[50:90], events[20:24] = 0.4, 0.3
    brain.heard = {"a": Heard(activity, events, None)}
    brain.decisions = Decisions(event_labels=["dog"])
    brain.choose({"a": scene})
    chosen = brain.decisions
    assert (chosen.speaker_threshold, chosen.speaker_median) == (0.5, 0.1)
    assert (chosen.event_threshold, chosen.event_median) == (0.2, 0.5)


@pytest.mark.parametrize("changes", [{"events": None}, {"regions": [[0.0, 0.5]]}])
def test_a_validation_set_without_events_chooses_the_middle(changes):
    """With nothing to find, or with nothing but false alarms."""
    brain, scene = Settings(), record(segments=None, **changes)
    brain.kinds = ("events",)
    brain.heard = {"a": Heard(None, np.full((100, 1), 0.3), None)}
    brain.decisions = Decisions(event_labels=["dog"])
    brain.choose({"a": scene})
    assert (brain.decisions.event_threshold, brain.decisions.event_median) == (0.5, 0.0)


def test_words_go_with_their_speakers():
    words = [[[1], [2], []], [[3], [], []]]
    order = torch.tensor([[1, 0, 2], [2, 1, 0]])
    assert ordered_tracks(words, order) == [[[2], [1], []], [[], [], [3]]]
    assert ordered_tracks(words, None) == words


# --------------------------------------------------------------------- the data
def settings(folder, train, **changes):
    for split, each in (("train", train), ("valid", record()), ("test", record())):
        manifest.write({"a": each}, folder / f"{split}.json")
    return {
        "save_folder": str(folder),
        "heads": ["speakers", "words", "events"],
        "choose_by": "mean_score",
        "upstream_model": load("fbank"),
        "num_speakers": 2,
        "frame_seconds": 0.02,
        "train_pipes": [],
        "eval_pipes": [],
        "seed": 0,
        **changes,
    }


def test_sizes_of_the_head(tmp_path):
    splits, known, sizes = recognition_splits(settings(tmp_path, record()))
    assert sizes == {"num_events": 1, "num_tokens": 5, "part_sizes": [240]}
    assert known["event_labels"] == ["dog"]
    assert known["tokenizer"].tokens == ["<blank>", "<unk>", " ", "A", "B"]
    assert json.dumps(sorted(splits)) == '["test", "train", "valid"]'


def test_sets_that_do_not_fit_the_heads(tmp_path):
    with pytest.raises(
        RecipeError, match=r"no events: .* --heads '\[speakers, words\]"
    ):
        recognition_splits(settings(tmp_path, record(events=None)))
    with pytest.raises(RecipeError, match="no events: annotate them"):
        recognition_splits(settings(tmp_path, record(events=[]), heads=["events"]))
    other = record(events=[["cat", 0.0, 1.0]])
    with pytest.raises(RecipeError, match="valid.json has events .*: dog. Remove"):
        recognition_splits(settings(tmp_path, other))
    alone = settings(tmp_path, record(events=None), heads=["speakers"])
    assert recognition_splits(alone)[1]["tokenizer"] is None


def test_settings_are_checked():
    with pytest.raises(RecipeError, match="choose_by event_f1 needs the head events"):
        check_settings({"heads": ["speakers"], "choose_by": "event_f1"})
    with pytest.raises(RecipeError, match="heads: no head 'speaker'"):
        check_settings({"heads": ["speaker"], "choose_by": "der"})


def test_scenes_without_events_are_no_part_of_detection_scores():
    """In any draw: they have neither events nor time."""
    random = np.random.default_rng(0)
    records, heard = {}, {}
    for number in range(12):
        name, start = f"r{number}", random.integers(0, 8)
        heard[name] = random.random((10, 1))
        heard[name][start : start + 2] += 0.4
        records[name] = {
            "duration": 10.0,
            "events": [["dog", float(start), start + 2.0]],
            "regions": None,
        }
    records["r3"]["events"], records["r5"]["regions"] = None, [[0.0, 5.0]]
    seen = {n: r for n, r in records.items() if n not in ("r3", "r5")}
    every, some = (EventFrames(each, heard, ["dog"], 1.0) for each in (records, seen))
    assert every.scores() == some.scores()
    measures = Measures.build("recording", list(records), every.entries())
    only = Measures.build("recording", list(seen), some.entries())
    for name, value in every.scores().items():
        assert measures.value(name) == pytest.approx(value)
        assert measures.only(list(seen)).interval(name) == only.interval(name)
