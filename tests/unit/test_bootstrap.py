"""Tests of bootstrap intervals against SciPy, and of the effects between twins.

Authors
 * The s3prl_sb developers, 2026
"""

import numpy as np
import pytest
from scipy import stats

from s3prl_sb.metrics import bootstrap
from s3prl_sb.metrics.bootstrap import interval, paired_interval
from s3prl_sb.metrics.cross_effects import cross_effects


def scipy_interval(data, statistic, **options):
    """Returns SciPy's percentile interval, of the same draws."""
    result = stats.bootstrap(
        data,
        statistic,
        paired=True,
        vectorized=True,
        method="percentile",
        n_resamples=500,
        rng=np.random.default_rng(3),
        **options,
    ).confidence_interval
    return result.low, result.high


@pytest.fixture
def counts():
    draw = np.random.default_rng(0)
    words = draw.integers(5, 40, 30)
    return [draw.binomial(words, p).astype(float) for p in (0.2, 0.3)], words


def test_a_ratio_of_sums_has_the_interval_of_scipy(counts):
    (errors, _), words = counts

    def rate(errors, words, axis=-1):
        return errors.sum(axis) / words.sum(axis)

    mine = interval(errors, words, level=0.9, resamples=500, seed=3)
    assert mine.value == errors.sum() / words.sum()
    expected = scipy_interval((errors, words), rate, confidence_level=0.9)
    assert mine[1:] == pytest.approx(expected, rel=1e-12)


def test_a_mean_has_the_interval_of_scipy(counts):
    (errors, _), _ = counts
    mine = interval(errors, resamples=500, seed=3)
    assert mine[1:] == pytest.approx(scipy_interval((errors,), np.mean), rel=1e-12)


def test_a_paired_difference_has_the_interval_of_scipy(counts):
    (one, two), words = counts

    def difference(one, two, words, axis=-1):
        return (two.sum(axis) - one.sum(axis)) / words.sum(axis)

    mine = paired_interval(one, two, words, words, resamples=500, seed=3)
    expected = scipy_interval((one, two, words), difference)
    assert mine[1:] == pytest.approx(expected, rel=1e-12)
    with pytest.raises(ValueError, match="30 recordings cannot be paired with 29"):
        paired_interval(one, two[1:])


def test_a_macro_average_is_the_mean_of_the_ratios(counts):
    (one, two), words = counts
    both, below = np.stack([one, two], 1), np.stack([words, 2 * words], 1)
    value = interval(both, below).value
    assert value == (one.sum() / words.sum() + two.sum() / (2 * words.sum())) / 2


def test_draws_do_not_depend_on_the_memory(counts, monkeypatch):
    (errors, _), words = counts
    whole = interval(errors, words, resamples=50)
    monkeypatch.setattr(bootstrap, "DRAWN", 100)
    assert interval(errors, words, resamples=50) == whole
    assert interval(errors, words, resamples=50, seed=1) != whole


def test_recordings_without_references():
    assert interval([0, 1], [0, 4]).value == 0.25
    with pytest.raises(ValueError, match="all recordings are zero"):
        interval([1, 2], [0, 0])
    with pytest.raises(ValueError, match="one recording or more"):
        interval([])
    with pytest.raises(ValueError, match="shape"):
        interval([1, 2], [1])
    with pytest.raises(ValueError, match="level of 95"):
        interval([1, 2], level=95)


def test_intervals_hold_the_truth_as_often_as_they_say():
    draw = np.random.default_rng(4)
    hits = 0
    for seed in range(200):
        mine = interval(draw.normal(size=60), level=0.8, resamples=300, seed=seed)
        hits += mine.low <= 0 <= mine.high
    assert 0.7 < hits / 200 < 0.9


def twin_records():
    return {
        f"{scene}{twin}": {
            "scene": scene,
            "twin": twin,
            "snr": None if twin == "speech" else snr,
        }
        for scene, snr in (("1", -5.0), ("2", 0.0), ("3", 15.0))
        for twin in ("both", "speech", "sounds")
    }


def test_effects_are_differences_between_twins():
    records = twin_records()
    errors = {"1both": 6, "1speech": 1, "2both": 3, "2speech": 1, "3both": 1}
    words = {
        name: (errors.get(name, 1), 10) for name in records if "sounds" not in name
    }
    f1 = {name: (8, 10 if "both" in name else 8) for name in records}
    effects = cross_effects(records, {"tcpwer": words, "event_f1": f1})
    speech = effects["tcpwer"]
    assert speech["against"] == "speech" and speech["scenes"] == 3
    assert speech["alone"] == 0.1 and speech["together"] == pytest.approx(1 / 3)
    value, low, high = speech["difference"]
    assert value == pytest.approx(7 / 30, abs=1e-6) and low < value < high
    ranges = [(each["from"], each["to"]) for each in speech["by_snr"]]
    assert ranges == [(None, 0.0), (0.0, 10.0), (10.0, None)]
    assert [each["difference"][0] for each in speech["by_snr"]] == [0.5, 0.2, 0.0]
    assert effects["event_f1"]["against"] == "sounds"
    assert effects["event_f1"]["difference"][0] == pytest.approx(-0.2)


def test_scenes_without_a_twin_are_left_out():
    records = twin_records()
    del records["2speech"]
    records["3speech"]["scene"] = None
    counts = {name: (1, 10) for name in records}
    assert cross_effects(records, {"der": counts})["der"]["scenes"] == 1
    plain = {"a": {"wav": "a.wav"}}
    assert cross_effects(plain, {"der": {"a": (1, 10)}}) == {}
