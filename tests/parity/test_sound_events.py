"""Scores of sound events against sed_eval and sed_scores_eval, see
make_sound_events.py."""

import json

import make_sound_events as made
import pytest

from s3prl_sb.metrics.psds import psds
from s3prl_sb.metrics.sound_events import event_counts, segment_counts

RESULTS = json.loads(made.FIXTURE.read_text())


def check(counts, expected):
    assert counts.f1 == pytest.approx(expected["f_measure"], abs=1e-9)
    assert counts.precision == pytest.approx(expected["precision"], abs=1e-9)
    assert counts.recall == pytest.approx(expected["recall"], abs=1e-9)
    assert counts.label_f1 == pytest.approx(expected["labels"], abs=1e-9)
    assert counts.macro_f1 == pytest.approx(expected["macro_f1"], abs=1e-9)
    rate = expected["macro_error_rate"]
    assert counts.macro_error_rate == pytest.approx(rate, abs=1e-9)


@pytest.mark.parametrize("seed", made.SEEDS)
def test_equals_sed_eval(seed):
    reference, estimate, durations = made.timelines(seed)
    results = RESULTS[str(seed)]["events"]
    for resolution in made.RESOLUTIONS:
        counts = segment_counts(reference, estimate, durations, made.LABELS, resolution)
        expected = results[f"segments {resolution}"]
        check(counts, expected)
        assert counts.error_rate == pytest.approx(expected["error_rate"], abs=1e-9)
    for collar, share in made.COLLARS:
        counts = event_counts(reference, estimate, made.LABELS, collar, share)
        check(counts, results[f"events {collar} {share}"])


@pytest.mark.parametrize("seed", made.SEEDS)
def test_equals_sed_scores_eval(seed):
    scores, reference, durations = made.scores(seed)
    for scenario, expected in zip(made.SCENARIOS, RESULTS[str(seed)]["psds"]):
        ours = psds(
            scores, reference, durations, made.FRAME, made.LABELS[:3], **scenario
        )
        assert ours.value == pytest.approx(expected["value"], abs=1e-9)
        assert ours.by_label == pytest.approx(expected["labels"], abs=1e-9)
        assert 0 < ours.value < 1
