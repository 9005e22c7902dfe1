"""Scores of sound events in cases that are computed by hand."""

import json
import math
import tracemalloc

import numpy as np
import pytest

from s3prl_sb.metrics import psds_counts
from s3prl_sb.metrics.measures import Measures
from s3prl_sb.metrics.psds import SCENARIOS, psds
from s3prl_sb.metrics.sound_events import event_counts, segment_counts

SHARP = {"dtc": 0.7, "gtc": 0.7}


def test_segments_by_hand():
    reference = {"a": [("dog", 0.2, 1.1), ("cat", 2.0, 3.0)], "b": []}
    estimate = {"a": [("dog", 1.9, 2.0), ("dog", 2.0, 2.1)], "b": [("cat", 0.0, 0.1)]}
    counts = segment_counts(reference, estimate, {"a": 3.0, "b": 2.0})
    # dog: true in segments 0 and 1, estimated in 1 and 2; cat: true in 2, estimated
    # in 0 of b. In segment 2 of a, dog instead of cat is one substitution
    assert counts.labels == ["cat", "dog"]
    assert counts.right.tolist() == [[0, 1], [0, 0]]
    assert counts.estimated.tolist() == [[0, 2], [1, 0]]
    assert counts.reference.tolist() == [[1, 2], [0, 0]]
    assert counts.errors.tolist() == [2, 1]
    assert counts.f1 == pytest.approx(2 / 6)
    assert counts.error_rate == pytest.approx(1.0)
    assert counts.macro_f1 == pytest.approx((0 + 0.5) / 2)
    assert counts.macro_error_rate == pytest.approx((2 + 1) / 2)


def test_segments_after_the_end_do_not_count():
    counts = segment_counts({"a": [("x", 0, 9.9)]}, {"a": [("x", 0, 2)]}, {"a": 2.0})
    assert counts.f1 == 1.0


def test_sums_of_decimal_times_are_limits_of_segments():
    stop = 3 * 0.1 + 1e-12  # 0.30000000000000004 and a little
    events = {"a": [("x", 0.1, stop)]}
    counts = segment_counts(events, events, {"a": 1.0}, resolution=0.1)
    assert counts.reference.tolist() == [[2]]


def test_onset_at_the_collar_counts():
    counts = event_counts({"a": [("x", 1.0, 2.0)]}, {"a": [("x", 1.2, 9.0)]})
    assert counts.f1 == 1.0
    counts = event_counts({"a": [("x", 1.0, 2.0)]}, {"a": [("x", 1.2001, 9.0)]})
    assert counts.f1 == 0.0


def test_each_event_matches_once_and_as_many_as_possible():
    # Greedily, the first true event would take the estimate that only the second can
    reference = {"a": [("x", 1.0, 2.0), ("x", 0.9, 2.0)]}
    estimate = {"a": [("x", 1.05, 2.0), ("x", 1.15, 2.0)]}
    assert event_counts(reference, estimate).f1 == 1.0
    assert event_counts(reference, {"a": [("x", 1.0, 2.0)] * 3}).right.sum() == 2


def test_offset_within_a_share_of_the_true_length():
    reference = {"a": [("x", 0.0, 10.0), ("x", 20.0, 20.1)]}
    estimate = {"a": [("x", 0.0, 8.0), ("x", 20.0, 20.3)]}
    assert event_counts(reference, estimate, offset_share=0.2).f1 == 1.0
    assert event_counts(reference, estimate, offset_share=0.19).f1 == 0.5


def test_labels_with_spaces_and_labels_of_one_side():
    reference = {"a": [("dog barks", 1.0, 2.0)]}
    counts = event_counts(reference, {"a": [("a cat", 1.0, 2.0)]})
    assert counts.labels == ["a cat", "dog barks"]
    assert counts.label_f1 == {"dog barks": 0.0}
    with pytest.raises(ValueError, match="a cat"):
        event_counts(reference, {"a": [("a cat", 1.0, 2.0)]}, labels=["dog barks"])


def test_nothing_to_find_is_no_score():
    nothing = event_counts({"a": []}, {"a": [("x", 0.0, 1.0)]})
    assert math.isnan(nothing.f1) and math.isnan(nothing.macro_f1)
    assert event_counts({"a": [("x", 0.0, 1.0)]}, {"a": []}).f1 == 0.0
    with pytest.raises(ValueError, match="without a prediction"):
        event_counts({"a": []}, {})


def test_psds_by_hand():
    # Threshold 0.9 finds the first event, 0.6 a false positive, 0.3 the second event
    scores = {"a": np.array([0.9, 0.0, 0.6, 0.0, 0.3, 0.0])[:, None]}
    reference = {"a": [("x", 0.0, 1.0), ("x", 4.0, 5.0)]}
    durations = {"a": 360.0}  # a false positive is ten an hour
    result = psds(scores, reference, durations, 1.0, ["x"], **SHARP, e_max=100.0)
    assert result.value == pytest.approx(0.1 * 0.5 + 0.9 * 1.0)
    assert result.false_positives.tolist() == [0.0, 10.0]
    assert result.true_positives.tolist() == [0.5, 1.0]


def test_a_merged_detection_is_no_longer_accepted():
    # Below 0.5 the detection of 1 s grows to 4 s, of which a quarter is an event
    scores = {"a": np.array([0.5, 0.5, 0.9, 0.5])[:, None]}
    reference = {"a": [("x", 2.0, 3.0)]}
    result = psds(scores, reference, {"a": 4.0}, 1.0, ["x"], **SHARP)
    assert result.value == 1.0  # the best points count
    blurred = {"a": np.full((4, 1), 0.5)}
    assert psds(blurred, reference, {"a": 4.0}, 1.0, ["x"], **SHARP).value == 0.0


def test_cross_triggers_cost_more_than_false_positives():
    scores = {"a": np.array([[0.9, 0.1], [0.1, 0.1], [0.8, 0.1], [0.1, 0.1]])}
    reference = {"a": [("x", 2.0, 3.0), ("y", 0.0, 1.0)]}
    keys = {**SHARP, "e_max": 1e4}
    plain = psds(scores, reference, {"a": 4.0}, 1.0, ["x", "y"], **keys)
    assert plain.by_label["x"] == pytest.approx(1 - 900 / 1e4)  # one in 4 seconds
    costly = psds(
        scores, reference, {"a": 4.0}, 1.0, ["x", "y"], cttc=0.3, alpha_ct=0.5, **keys
    )
    # And one a second of the other label's events, at half the cost
    assert costly.by_label["x"] == pytest.approx(1 - (900 + 1800) / 1e4)
    with pytest.raises(ValueError, match="cttc"):
        psds(scores, reference, {"a": 4.0}, 1.0, ["x", "y"], alpha_ct=0.5, **SHARP)


def test_differences_between_labels_cost():
    scores = {"a": np.array([[0.9, 0.0], [0.0, 0.0]])}
    reference = {"a": [("x", 0.0, 1.0), ("y", 1.0, 2.0)]}
    args = (scores, reference, {"a": 2.0}, 1.0, ["x", "y"])
    assert psds(*args, **SHARP).value == 0.5
    assert psds(*args, **SHARP, alpha_st=0.4).value == pytest.approx(0.5 - 0.4 * 0.5)


def test_a_label_without_events_does_not_count():
    scores = {"a": np.array([[0.9, 0.7], [0.0, 0.0]])}
    result = psds(scores, {"a": [("x", 0, 1)]}, {"a": 2.0}, 1.0, ["x", "y"], **SHARP)
    assert result.value == 1.0 and list(result.by_label) == ["x"]
    nothing = psds(scores, {"a": []}, {"a": 2.0}, 1.0, ["x", "y"], **SHARP)
    assert math.isnan(nothing.value)


def test_thousands_of_frames():
    random = np.random.default_rng(0)
    scores = {
        "a": random.random((6000, 2)),
        "b": np.linspace(1, 0, 12000)[:, None][::2].repeat(2, 1),
    }
    reference = {name: [("x", 10.0, 30.0), ("y", 5.0, 6.0)] for name in scores}
    durations = dict.fromkeys(scores, 120.0)
    result = psds(scores, reference, durations, 0.02, ["x", "y"], **SHARP)
    assert 0 <= result.value < 1
    assert (np.diff(result.false_positives) > 0).all()


def test_scores_of_minus_infinity_are_never_detected_first():
    scores = {"a": np.array([[0.9], [-np.inf], [-np.inf]])}
    result = psds(scores, {"a": [("x", 0, 1)]}, {"a": 3.0}, 1.0, ["x"], **SHARP)
    assert result.value == 1.0


def test_psds_of_a_long_recording_needs_little_memory():
    """Not frames times events."""
    random = np.random.default_rng(0)
    frames, step = 10000, 25
    scores = random.random((frames, 1)).astype(np.float32)
    true = [("x", start, start + 10.0) for start in range(0, frames, step)]
    for _, start, stop in true:
        scores[start : int(stop)] += 1
    tracemalloc.start()
    try:
        result = psds({"a": scores}, {"a": true}, {"a": frames}, 1.0, ["x"], **SHARP)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert result.value == pytest.approx(1.0)
    assert peak < 0.25 * 8 * frames * len(true)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"scores": {"a": np.ones((2, 2))}}, r"'a': scores \[2, 2\], not \[frames, 1"),
        ({"scores": {"a": np.full((2, 1), np.nan)}}, "'a': a score is not a number"),
        ({"reference": {"a": [("a dog", 0.0, 1.0)]}}, "other labels .*'a dog'"),
        ({"dtc": 0.0}, "shares above 0"),
        ({"gtc": 0.0}, "shares above 0"),
    ],
)
def test_psds_of_faulty_input_is_no_score(changes, message):
    keys = {"scores": {"a": np.ones((2, 1))}, "reference": {"a": [("x", 0.0, 1.0)]}}
    keys.update(SHARP, durations={"a": 2.0}, frame_seconds=1.0, labels=["x"])
    with pytest.raises(ValueError, match=message):
        psds(**{**keys, **changes})


def test_psds_of_logits_and_of_infinite_scores():
    """The order of scores counts, not their size."""
    random = np.random.default_rng(3)
    order = random.permutation(60).reshape(30, 2).astype(np.float64)
    true = {"a": [("x", 3.0, 9.0), ("y", 20.0, 30.0), ("x", 15.0, 16.0)]}
    keys = dict(reference=true, durations={"a": 30.0}, frame_seconds=1.0)
    keys.update(labels=["x", "y"], dtc=0.3, gtc=0.3, e_max=2000.0)
    plain = psds({"a": order}, **keys)
    edges = order.copy()
    edges[order == 59], edges[order == 0] = np.inf, -np.inf
    assert 0 < plain.value < 1
    for scores in (edges, order - 1e6, (order * 1e300).astype(np.float64)):
        assert psds({"a": scores}, **keys).value == pytest.approx(plain.value)


def noisy(count, labels=("x", "y"), seed=0):
    """Returns arguments of psds, of recordings of 12 s."""
    random = np.random.default_rng(seed)
    scores, events = {}, {}
    for name in (f"r{seed}-{number}" for number in range(count)):
        start = random.integers(0, 20)
        events[name] = [(str(random.choice(labels)), start / 4, start / 4 + 1.5)]
        scores[name] = random.normal(size=(48, len(labels)))
        column = labels.index(events[name][0][0])
        scores[name][start : start + 6, column] += random.normal(1.5)
    return scores, events, dict.fromkeys(events, 12.0), 0.25, list(labels)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_few_thresholds_have_nearly_the_same_interval(scenario):
    settings = {**SCENARIOS[scenario], "e_max": 1500.0}
    arguments = noisy(40)
    value = psds(*arguments, **settings).value
    found = {}
    for points in (10**5, 60, 8):
        entry = psds_counts.counts_of(*arguments, **settings, points=points)
        kept = entry["found"].shape[1] // 2
        assert kept <= points and (kept > 300) == (points > 300)
        measures = Measures.build("recording", list(arguments[0]), {"psds": entry})
        found[points] = np.array(measures.interval("psds", resamples=200))
        assert found[points][0] == pytest.approx(value, abs=1e-9)  # exact in any case
    exact, many, few = found.values()
    width = exact[2] - exact[1]
    assert 0.02 < width and np.abs(many - exact).max() < 0.05 * width
    assert np.abs(many - exact).max() <= np.abs(few - exact).max()


def test_too_many_recordings_or_no_event_have_no_counts(monkeypatch):
    arguments, settings = noisy(4), SCENARIOS["psds2"]
    assert psds_counts.counts_of(*arguments, **settings)["crossed"].shape[0] == 4
    quiet = (arguments[0], dict.fromkeys(arguments[0], []), *arguments[2:])
    assert psds_counts.counts_of(*quiet, **settings) == {}
    monkeypatch.setattr(psds_counts, "MOST", 20 * 4 * 2 * 4 - 1)
    assert psds_counts.counts_of(*arguments, **settings) == {}
    assert psds_counts.counts_of(*arguments, **SCENARIOS["psds1"])


def test_detections_that_are_all_too_many_false_positives_have_a_score_of_0():
    scores, *others = noisy(6)
    arguments = ({name: -each for name, each in scores.items()}, *others)
    entry = psds_counts.counts_of(*arguments, dtc=0.7, gtc=0.7, e_max=0.01, points=30)
    measures = Measures.build("recording", list(arguments[0]), {"psds": entry})
    assert psds(*arguments, dtc=0.7, gtc=0.7, e_max=0.01).value == 0
    assert measures.interval("psds", resamples=20) == (0, 0, 0)


def test_folds_of_sound_events(tmp_path):
    """Their thresholds differ; if their labels do, there is no mean of them."""
    settings, values = {**SCENARIOS["psds2"], "e_max": 1500.0}, []
    folds = [noisy(12, seed=1), noisy(20, seed=2)]
    for number, fold in enumerate(folds):
        entry = psds_counts.counts_of(*fold, **settings, points=50 + number)
        measures = Measures.build("recording", list(fold[0]), {"psds2": entry})
        (tmp_path / f"fold{number}").mkdir()
        measures.write(tmp_path / f"fold{number}")
        values.append(psds(*fold, **settings).value)
    content = {"folds": [{"fold": n, "folder": f"fold{n}"} for n in range(2)]}
    (tmp_path / "results.json").write_text(json.dumps(content))
    together = Measures.read(tmp_path)
    assert together.value("psds2") == pytest.approx(np.mean(values))
    assert together.interval("psds2", resamples=50).low < np.mean(values)
    other = noisy(12, labels=("x", "y", "z"), seed=1)
    entry = psds_counts.counts_of(*other, **settings)
    measures = Measures.build("recording", list(other[0]), {"psds2": entry})
    measures.write(tmp_path / "fold0")
    assert Measures.read(tmp_path).names == []


@pytest.mark.parametrize("name", ["found", "wrong", "seconds", "crossed"])
def test_damaged_counts_are_no_score(name):
    arguments = noisy(3)
    entry = psds_counts.counts_of(*arguments, **SCENARIOS["psds2"])
    entry[name] = entry[name][:, :-1]
    with pytest.raises(ValueError, match="'psds2': tables of .* columns, for 2 labels"):
        Measures.build("recording", list(arguments[0]), {"psds2": entry})
