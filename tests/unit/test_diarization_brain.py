"""The Brain of diarization: labels, error rates, what is chosen and written."""

import csv
from types import SimpleNamespace

import numpy as np
import pytest
import speechbrain as sb
import torch

from s3prl_sb.brains.diarization import DiarizationBrain, errors_of, fit_labels
from s3prl_sb.brains.timeline_plot import _gaps, timeline
from s3prl_sb.dataio.rttm import read_rttm, read_uem
from s3prl_sb.dataio.speaker_activity import PROBABILITIES
from s3prl_sb.storage.tensor_files import read_safetensors

SHIFT = 0.02


def record(found, duration=2.0, regions=None):
    speakers = sorted({speaker for speaker, *_ in found})
    return {
        "duration": duration,
        "segments": found,
        "speakers": speakers,
        "regions": regions,
    }


RECORDS = {
    "a": record([["ann", 0.0, 1.0], ["bob", 0.5, 2.0]]),
    "b": record([["bob", 0.2, 1.2]], regions=[[0.0, 1.0]]),
    "silent": record([]),
}


def probabilities(found, low=0.1, high=0.9, frames=100):
    """[frames, 2]."""
    result = np.full((frames, 2), low, dtype=np.float32)
    for number, (_, start, stop) in enumerate(found):
        result[round(start / SHIFT) : round(stop / SHIFT), number] = high
    return result


def brain(tmp_path, **seen):
    """One that has seen these probabilities, without a model."""
    made = DiarizationBrain.__new__(DiarizationBrain)
    made.hparams = SimpleNamespace(output_folder=str(tmp_path))
    made.references = {"valid": RECORDS, "test": RECORDS}
    made.shift, made.best = SHIFT, {}
    made.grid = [(t, m) for t in (0.3, 0.4, 0.5, 0.6, 0.7) for m in (1, 11)]
    made.threshold, made.median = made.grid[0]
    made.start_stage(sb.Stage.VALID)
    made.right = {name: (1, 2) for name in seen}
    made.probabilities = seen
    return made


def perfect(**kwargs):
    return {n: probabilities(r["segments"], **kwargs) for n, r in RECORDS.items()}


def test_perfect_is_no_error(tmp_path):
    stats = brain(tmp_path, **perfect()).stage_stats(sb.Stage.VALID)
    assert stats == {
        "der": 0.0,
        "der_miss": 0.0,
        "der_false_alarm": 0.0,
        "der_confusion": 0.0,
        "der_collar": 0.0,
        "frame_accuracy": 0.5,
        "threshold": 0.5,  # the middle one of those that are equally good
        "median": 1.0,
    }


def test_chooses_threshold_and_median(tmp_path):
    stats = brain(tmp_path, **perfect(high=0.35)).stage_stats(sb.Stage.VALID)
    assert (stats["der"], stats["threshold"], stats["median"]) == (0.0, 0.3, 1.0)
    noisy = perfect()
    for values in noisy.values():
        values[::17] = 1 - values[::17]  # single frames, which a median filter heals
    stats = brain(tmp_path, **noisy).stage_stats(sb.Stage.VALID)
    assert stats["der"] < 0.02 and stats["median"] == 11.0


def test_the_test_set_has_no_say(tmp_path):
    made = brain(tmp_path, **perfect(high=0.35))
    made.best = {"threshold": 0.6, "median": 11.0}
    stats = made.stage_stats(sb.Stage.TEST)
    assert (stats["der"], stats["der_miss"]) == (1.0, 1.0)
    assert (stats["threshold"], stats["median"]) == (0.6, 11.0)
    assert made.interface()["hparams"] == {"threshold": 0.6, "median": 11}


def test_errors_near_boundaries_are_within_the_collar(tmp_path):
    """1.25 to 1.75 s of "a" and 0.45 to 0.95 s of "b" remain: a second of speech."""
    wrong = perfect()
    wrong["a"][:10, 0] = 0  # 0 to 0.2 s: near a boundary
    wrong["a"][70:75, 1] = 0  # 1.4 to 1.5 s: not near one
    made = brain(tmp_path, **wrong)
    made.best = {"threshold": 0.5, "median": 1.0}
    stats = made.stage_stats(sb.Stage.TEST)
    assert stats["der"] == pytest.approx((0.2 + 0.1) / (2.5 + 0.8))
    assert stats["der_collar"] == pytest.approx(0.1 / 1.0)
    within = errors_of(RECORDS, made.hypotheses, collar=0.25)
    assert stats["der_collar"] == within.rate


def test_no_collar_where_it_leaves_nothing(tmp_path):
    short = {"c": record([["ann", 0.5, 0.9]])}
    made = brain(tmp_path, c=probabilities(short["c"]["segments"]))
    made.references = {"valid": short, "test": short}
    stats = made.stage_stats(sb.Stage.VALID)
    assert stats["der"] == 0 and "der_collar" not in stats


def test_frames_are_compared_in_the_best_order(tmp_path):
    """Speakers of "a" are swapped; "b" has 3 of 5 frames, the others are rubbish."""
    said = torch.tensor([[1, 0], [1, 0], [1, 1], [0, 0], [1, 0]]).float()
    labels = torch.stack([said.flip(1), said])
    logits = 8 * (torch.stack([said, said]) - 0.5)
    logits[1, 1, 1] = 0.5  # one frame of a speaker is wrong
    logits[1, 3] = 4.0  # padding, wrong too
    lens = torch.tensor([1.0, 0.6])
    longer = torch.tensor([1.0, 0.8])  # the labels of "b" by a frame
    batch = SimpleNamespace(id=["a", "b"], activity=(labels, longer))
    made = brain(tmp_path)
    made.start_stage(sb.Stage.VALID)
    loss = made.compute_objectives((logits, lens), batch, sb.Stage.VALID)
    right = {"a": (2 * 5, 2 * 5), "b": (2 * 3 - 1, 2 * 3)}
    assert made.right == right
    assert made.weight(batch) == 5 + 3
    assert loss.item() == pytest.approx((15 * 0.01815 + 0.97408) / 2 / 8, rel=1e-3)
    for name, row, frames in zip("ab", logits, (5, 3)):
        expected = torch.sigmoid(row[:frames]).numpy()
        np.testing.assert_allclose(made.probabilities[name], expected)
    again = made.compute_objectives((logits, lens), batch, sb.Stage.TRAIN)
    assert again == loss and made.right == right  # not of training


def test_only_regions_are_scored():
    wrong = {"b": [("speaker1", 0.2, 1.9)]}
    assert errors_of({"b": RECORDS["b"]}, wrong).rate == 0.0
    whole = {**RECORDS["b"], "regions": None}
    assert errors_of({"b": whole}, wrong).false_alarm == pytest.approx(0.7)


def test_part_of_the_set_is_enough(tmp_path):
    """With --debug not all recordings are seen."""
    part = {"a": perfect()["a"]}
    assert brain(tmp_path, **part).stage_stats(sb.Stage.VALID)["der"] == 0.0


def test_what_is_written(tmp_path):
    wrong = perfect()
    wrong["a"][:10, 0] = 0  # 0.2 of 2.5 s
    made = brain(tmp_path, **wrong)
    made.best = {"threshold": 0.5, "median": 1.0}
    stats = made.stage_stats(sb.Stage.TEST)
    made.write_predictions()
    with open(tmp_path / "predictions.csv", newline="") as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    assert {name: row["der"] for name, row in rows.items()} == {
        "a": "0.080000",
        "b": "0.000000",
        "silent": "",
    }
    assert rows["a"]["missed"] == "0.200000" and rows["b"]["speech"] == "0.800000"
    assert stats["der"] == pytest.approx(0.2 / (2.5 + 0.8))
    assert read_rttm(tmp_path / "hyp.rttm") == {
        "a": [("speaker1", 0.2, 1.0), ("speaker2", 0.5, 2.0)],
        "b": [("speaker1", 0.2, 1.2)],
    }
    assert read_rttm(tmp_path / "ref.rttm") == {
        name: [tuple(s) for s in r["segments"]]
        for name, r in RECORDS.items()
        if r["segments"]
    }
    assert read_uem(tmp_path / "ref.uem") == {
        "a": [(0.0, 2.0)],
        "b": [(0.0, 1.0)],
        "silent": [(0.0, 2.0)],
    }


def test_probabilities_are_kept_for_a_submission(tmp_path):
    """Others may read them as they may the tables; a test in noise has none."""
    for folder, noise in ((tmp_path / "clean", None), (tmp_path / "noisy", {"snr": 5})):
        folder.mkdir()
        made = brain(folder, **perfect())
        made.hparams.test_noise = noise
        made.stage_stats(sb.Stage.TEST)
        made.write_predictions()
    path = tmp_path / "clean" / PROBABILITIES
    kept = read_safetensors(path)
    assert {n: p.tolist() for n, p in kept.items()} == {
        n: p.tolist() for n, p in perfect().items()
    }
    assert path.stat().st_mode == (tmp_path / "clean/predictions.csv").stat().st_mode
    assert not (tmp_path / "noisy" / PROBABILITIES).exists()


def test_timelines_are_plotted(tmp_path):
    pytest.importorskip("matplotlib")
    made = brain(tmp_path, **perfect())
    made.stage_stats(sb.Stage.TEST)
    made.write_predictions()
    plots = sorted(path.name for path in (tmp_path / "timelines").iterdir())
    assert plots == ["a.png", "b.png", "silent.png"]


def test_timeline_of_nothing(tmp_path):
    pytest.importorskip("matplotlib")
    timeline(tmp_path / "a.png", [], [], 1.0)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert _gaps([(1, 2), (4, 5)], 6) == [(0.0, 1), (2, 4), (5, 6)]
    assert _gaps(None, 6) == []


# Labels


def test_labels_fit_the_frames():
    labels = torch.ones(2, 5, 2)
    lens = torch.tensor([1.0, 0.6])  # 5 and 3 frames
    logits = torch.zeros(2, 6, 2)  # 6 and 2 frames
    fitted = fit_labels(labels, lens, logits, torch.tensor([1.0, 1 / 3]), ["a", "b"])
    assert fitted.shape == logits.shape
    assert fitted[0, :, 0].tolist() == [1, 1, 1, 1, 1, -1]
    assert fitted[1, :, 0].tolist() == [1, 1, 1, -1, -1, -1]
    fitted = fit_labels(labels, lens, logits[:, :4], torch.tensor([1.0, 0.5]), "ab")
    assert fitted.shape == (2, 4, 2) and (fitted[0] == 1).all()


def test_labels_of_other_audio():
    labels, logits = torch.ones(2, 5, 2), torch.zeros(2, 9, 2)
    with pytest.raises(ValueError, match="'b' has 9 frames, but by its duration .* 5"):
        fit_labels(labels, torch.ones(2), logits, torch.tensor([5 / 9, 1.0]), "ab")
