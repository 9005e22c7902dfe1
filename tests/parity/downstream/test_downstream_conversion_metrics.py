"""Metrics of voice conversion against S3PRL's functions and pysptk (see
make_conversion_metrics.py)."""

import json

import numpy
import pytest
from conversion_signals import PAIRS, speech
from peer_values import HERE

from s3prl_sb.metrics.conversion import METRICS, conversion_metrics
from s3prl_sb.metrics.mel_cepstrum import mel_cepstrum

VALUES = json.loads((HERE / "conversion_metrics.json").read_text())


@pytest.mark.parametrize("index", range(len(PAIRS)))
def test_metrics_are_s3prls(index):
    pytest.importorskip("pyworld"), pytest.importorskip("fastdtw")
    one, other, low, high = PAIRS[index]
    (converted, rate), (target, _) = speech(one), speech(other)
    found = conversion_metrics(converted, target, rate, (low, high))
    expected = dict(zip(METRICS, VALUES["pairs"][index]))
    assert found == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("case", VALUES["cepstra"])
def test_mel_cepstra_are_sptks(case):
    n_fft, order, alpha, expected = case
    rng = numpy.random.default_rng(0)
    for size, *_ in VALUES["cepstra"]:
        power = numpy.exp(rng.standard_normal(size // 2 + 1))
        if size == n_fft:
            found = mel_cepstrum(power, order, alpha)
            assert found == pytest.approx(expected, rel=1e-9, abs=1e-12)
