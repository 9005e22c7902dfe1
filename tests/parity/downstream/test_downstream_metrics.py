"""Metrics against S3PRL's, of the same predictions."""

import numpy as np
import pytest
import torch
from peer_values import Values

from s3prl_sb.brains import layer_scores
from s3prl_sb.dataio.speaker_activity import decide, segments
from s3prl_sb.lobes import dtw
from s3prl_sb.lobes.heads.diarization import RecurrentDiarizer
from s3prl_sb.metrics import classification, slots
from s3prl_sb.metrics.diarization import frame_errors
from s3prl_sb.metrics.query_trials import DETECTED, standardize
from s3prl_sb.metrics.transcription import cer, per, wer
from s3prl_sb.metrics.verification import equal_error_rate

KINDS = dtw.DISTANCES


@pytest.mark.parametrize("task", ["PR", "ASR", "SF"])
def test_damaged_texts(task):
    """Error rates, and the five numbers of slots; S3PRL's in its own units."""
    damaged = Values(task).facts["damaged"]
    sides = damaged["hypotheses"], damaged["references"]
    both = [{str(i): text for i, text in enumerate(side)} for side in sides]
    found = {"wer": wer(*both).rate, "per": per(*both).rate, "cer": cer(*both).rate}
    found["uer"] = 100 * found["cer"]
    if task == "ASR":
        found["wer"] *= 100
    if task == "SF":
        found["slot_type_f1"] = slots.slot_type_f1(*both)
        found["slot_value_cer"] = slots.slot_value_cer(*both).rate
        found["slot_value_wer"] = slots.slot_value_wer(*both).rate
        for part in ("full", "part"):
            name = f"slot_edit_f1_{part}"
            found[name] = 100 * getattr(slots, name)(*both)
    expected = damaged["values"]
    assert {name: found[name] for name in expected} == pytest.approx(
        expected, rel=1e-12
    )
    assert all(0 < value for value in expected.values())


@pytest.mark.parametrize("name", ["fine", "tied"])
def test_equal_error_rate(name):
    """Also where scores are equal."""
    values = Values("ASV")
    scores, true = (values[f"trials/{name}/{key}"] for key in ("scores", "true"))
    found, _ = equal_error_rate(scores, true)
    assert float(found) == pytest.approx(values.facts["eer"][name], abs=1e-9)


def test_accuracy_of_a_resampled_validation_set():
    """S3PRL resamples its validation set, each class equally often: what it expects to
    see is the mean recall over classes, whatever their shares."""
    targets = Values("KS").facts["targets"]
    names, weights = targets["classes"], targets["dev_weights"]
    true = torch.tensor([names.index(label) for label in targets["dev"].values()])
    draw = torch.rand(len(true), generator=torch.Generator().manual_seed(1))
    predicted = torch.where(draw < 0.6, true, (true + 1) % len(names))
    weight = torch.tensor([weights[label] for label in targets["dev"].values()])
    right = (predicted == true).double()
    expected = (weight * right).sum() / weight.sum()
    found = classification.balanced_accuracy(predicted, true)
    assert found == pytest.approx(expected.item(), abs=1e-6)
    assert classification.accuracy(predicted, true) != pytest.approx(found, abs=0.01)


def probabilities():
    """Logits of S3PRL's small diarization head for each recording."""
    values = Values("SD")
    head = RecurrentDiarizer(12, 2, hidden_size=8)
    weights = {
        name.replace("model.rnn.", "recurrent.").replace(
            "model.linear.", "classifier."
        ): v
        for name, v in values.group("weight").items()
    }
    head.load_state_dict(weights)
    with torch.no_grad():
        return values, [
            head(feature[None], torch.ones(1))[0] for feature in values.group("feature")
        ]


def test_frames_of_diarization():
    """Missed, false alarm, confused and true frames of speakers, in the best order."""
    values, logits = probabilities()
    for labels, found, row in zip(
        values.group("labels"), logits, values.facts["counts"]
    ):
        *_, scored, missed, false_alarm, confused = row
        errors = frame_errors((found > 0).int(), labels.int())
        assert errors.speech == scored
        counted = errors.missed, errors.false_alarm, errors.confusion
        assert counted == (missed, false_alarm, confused)


def test_segments_of_diarization():
    """All thresholds and medians of S3PRL's scoring; it writes hundredths."""
    values, logits = probabilities()
    compared = 0
    for key, rows in values.facts["rttm"].items():
        threshold, median = key.split()
        for i, found in enumerate(logits):
            active = decide(torch.sigmoid(found), float(threshold), int(median))
            ours = [
                (int(speaker[-1]) - 1, start, stop - start)
                for speaker, start, stop in segments(active, 0.01, 0.01 * len(active))
            ]
            theirs = [
                (int(speaker.rsplit("_", 1)[1]), start, length)
                for recording, speaker, start, length in rows
                if recording == f"recording{i}"
            ]
            assert len(ours) == len(theirs)
            np.testing.assert_allclose(sorted(ours), sorted(theirs), atol=1e-6)
            compared += len(ours)
    assert compared > 100


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("minmax", [False, True])
def test_dynamic_time_warping(kind, minmax):
    """Scores of all queries that are long enough; ours are in fp32, S3PRL's are
    dtw-python's in fp64."""
    values = Values("QbE")
    queries, documents = values.group("query"), values.group("document")
    found = dtw.search(queries, documents, kind, minmax)
    expected = values[f"scores/{kind}/{minmax}"]
    assert (found[0] == 0).all()  # of four frames
    scale = expected[1:].abs().max()
    assert ((found[1:] - expected[1:]).abs() / scale).max() < 2e-6


def test_detections():
    """The list that S3PRL hands to QUESST's scoring: features and scores normalized,
    four decimals, and what is detected."""
    values = Values("QbE")
    queries, documents = values.group("query"), values.group("document")
    states = {"documents": documents, "valid": queries, "test": queries}
    scores = standardize(layer_scores.search(states)["test"])
    rows = values.facts["detections"]
    for i in range(len(queries)):
        for j in range(len(documents)):
            score, decision = rows[f"q{i}"][f"d{j}"]
            assert float(scores[i, j]) == pytest.approx(score, abs=1.1e-4)
            assert bool(scores[i, j] > DETECTED) == (decision == "YES")
