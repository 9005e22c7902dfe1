"""Metrics of voice conversion: undefined values, missing libraries, range of F0."""

import sys

import numpy
import pytest
import torch
from scipy.signal import filtfilt, firwin

from s3prl_sb.metrics import conversion, world
from s3prl_sb.metrics.spectral_distance import warped_distance

RATE = 24000


@pytest.fixture
def fresh():
    """Forgets which libraries are installed, before and after."""
    conversion.measurable.cache_clear()
    yield
    conversion.measurable.cache_clear()


def pulses(period, seconds=0.3):
    return numpy.where(numpy.arange(int(seconds * RATE)) % period, 0.0, 0.5)


@pytest.fixture
def libraries():
    for name in ("pyworld", "fastdtw"):
        pytest.importorskip(name)


def test_unvoiced_speech_has_no_f0_errors(libraries):
    noise = 0.1 * numpy.random.default_rng(0).standard_normal(RATE // 4)
    values = conversion.conversion_metrics(noise, pulses(120), RATE, (700.0, 790.0))
    assert values["f0_rmse"] is None and values["f0_corr"] is None
    assert values["mcd"] > 1


def test_frequencies_that_only_one_has_can_be_left_out(libraries):
    """A low-passed copy, such as Griffin-Lim's, is near its original in its band."""
    rng = numpy.random.default_rng(0)
    whole = pulses(120) + 0.003 * rng.standard_normal(int(0.3 * RATE))
    low = filtfilt(firwin(201, 7800, fs=RATE), 1, whole)
    wide, narrow, own = (
        conversion.conversion_metrics(a, whole, RATE, (100.0, 300.0), band)["mcd"]
        for a, band in ((low, None), (low, 7000), (whole, 7000))
    )
    assert own == 0 and narrow < 1 and wide > 5 * narrow


def test_silence_is_no_error(libraries):
    values = conversion.conversion_metrics(numpy.zeros(4800), pulses(120), RATE)
    assert list(values) == list(conversion.METRICS)
    assert all(value is None or numpy.isfinite(value) for value in values.values())


def test_without_the_extra_durations_remain(fresh, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "fastdtw", None)
    values = [
        conversion.conversion_metrics(pulses(120, s), pulses(120), RATE)
        for s in (0.3, 0.6)
    ]
    assert [list(value) for value in values] == [["ddur"], ["ddur"]]
    assert values[1]["ddur"] == pytest.approx(0.3, abs=0.03)
    (message,) = caplog.messages
    assert "pip install 's3prl_sb[vc]'" in message and "mcd, f0_rmse" in message


def test_range_of_f0_is_that_of_the_speaker(libraries):
    low, high = world.estimate_f0_range([pulses(240), pulses(120)], RATE)
    assert 80 < low < 100 and 200 < high < 240
    assert world.estimate_f0_range([numpy.zeros(4800)], RATE) is None
    assert world.estimate_f0_range([], RATE) is None


@pytest.mark.parametrize(("rows", "columns"), [(7, 5), (4, 9), (1, 6), (6, 1), (1, 1)])
def test_the_distance_of_spectrograms_is_that_of_the_best_path(rows, columns):
    """Compared with the recursion, cell by cell."""
    rng = numpy.random.default_rng(rows)
    one, other = rng.standard_normal((rows, 3)), rng.standard_normal((columns, 3))
    best = {(-1, -1): (0.0, 0)}
    for i, j in numpy.ndindex(rows, columns):
        before = [best.get(c) for c in ((i - 1, j - 1), (i - 1, j), (i, j - 1))]
        cost, steps = min(filter(None, before))
        best[i, j] = cost + numpy.abs(one[i] - other[j]).mean(), steps + 1
    cost, steps = best[rows - 1, columns - 1]
    distance = warped_distance(torch.from_numpy(one), torch.from_numpy(other))
    assert distance == pytest.approx(cost / steps, rel=1e-9)
