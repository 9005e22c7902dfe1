"""The Brain of sound events: what is chosen, measured and written; and its detector."""

import csv
from types import SimpleNamespace

import numpy as np
import pytest
import speechbrain as sb
import torch

from s3prl_sb.brains import events
from s3prl_sb.brains.events import EventBrain
from s3prl_sb.brains.multi_label_frames import MultiLabelFrameBrain
from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.time_map import TimeMap
from s3prl_sb.inference.event_detector import EventDetector
from s3prl_sb.lobes.upstreams import load
from s3prl_sb.metrics.psds import SCENARIOS, DetectionScore, psds
from s3prl_sb.startup.configuration import RecipeError

LABELS = ["a dog", "cat"]
FRAME = 0.1  # seconds
RECORDS = {
    "b": {"duration": 2.0, "segments": [["a dog", 0.5, 1.0], ["cat", 0.5, 1.5]]},
    "a": {"duration": 2.0, "segments": [["cat", 1.0, 1.3]]},
    "nothing": {"duration": 1.0, "segments": []},
}
SETTINGS = {
    "thresholds": [0.9, 0.5],
    "medians": [0.0, 0.3],
    "min_durations": [0.0, 0.2],
    "segment_seconds": 1.0,
    "onset_collar": 0.2,
    "offset_share": 0.2,
    "psds": ["psds1"],
}


@pytest.fixture
def make(monkeypatch, tmp_path):
    """One without an upstream and a head, that has collected probabilities."""

    def init(self, labels, hparams):
        self.hparams, self.labels, self.best = SimpleNamespace(**hparams), labels, {}
        self.frame_seconds, self.modules = FRAME, torch.nn.ModuleDict()

    def made(records=RECORDS, choose_by=None, **changes):
        hparams = {**SETTINGS, "output_folder": str(tmp_path), **changes}
        references = {"valid": records, "test": records}
        return EventBrain(references, choose_by, labels=LABELS, hparams=hparams)

    monkeypatch.setattr(MultiLabelFrameBrain, "__init__", init)
    return made


def collected(brain, values, time_map=None, stage=sb.Stage.VALID):
    """Collects probabilities as a batch would, and returns the scores."""
    brain.start_stage(stage)
    for name, each in values.items():
        whole = time_map or TimeMap(brain.references["valid"][name]["duration"])
        brain.seconds[name] = whole.duration
        batch = SimpleNamespace(id=[name], time_map=[whole])
        brain.collect(batch, 0, torch.as_tensor(each), None)
    return brain.stage_stats(stage)


def probabilities(height=0.7, spike=0.6):
    """The true events at a height, and a false one of a single frame."""
    values = {}
    for name, record in RECORDS.items():
        values[name] = np.full((round(record["duration"] / FRAME), 2), 0.1)
        for label, start, stop in record["segments"]:
            span = slice(round(start / FRAME), round(stop / FRAME))
            values[name][span, LABELS.index(label)] = height
    values["nothing"][4, 0] = spike
    return values


def test_validation_chooses_threshold_filter_and_duration(make):
    brain = make()
    stats = collected(brain, probabilities())
    # 0.9 finds nothing, 0.5 without a filter finds the spike; the duration is next
    assert brain.decoding == (0.5, 0.0, 0.2)
    assert stats["onset_f1"] == stats["event_f1"] == stats["segment_f1"] == 1.0
    assert stats["segment_error_rate"] == 0.0
    assert (stats["threshold"], stats["median"], stats["min_duration"]) == (
        *brain.decoding,
    )
    assert brain.interface()["hparams"] == {
        "labels": LABELS,
        "frame_seconds": None,
        "utterance_labels": False,
        "threshold": 0.5,
        "median": 0.0,
        "min_duration": 0.2,
    }


def test_the_test_uses_what_was_chosen(make):
    brain = make()
    brain.best = {"threshold": 0.5, "median": 0.3, "min_duration": 0.0}
    stats = collected(brain, probabilities(), stage=sb.Stage.TEST)
    assert brain.decoding == (0.5, 0.3, 0.0) and stats["median"] == 0.3
    assert stats["onset_f1"] == 1.0


def test_equal_choices_are_the_first(make):
    brain = make(choose_by="segment_f1")
    collected(brain, probabilities(height=0.95, spike=0.1))
    assert brain.decoding == brain.grid[0]


def test_lower_error_rates_are_better(make):
    brain = make(choose_by="segment_error_rate")
    assert not brain.higher_is_better
    assert collected(brain, probabilities())["segment_error_rate"] == 0.0
    assert brain.decoding[0] == 0.5


def test_psds_is_of_filtered_probabilities(make):
    brain = make(choose_by="psds1", medians=[0.3])
    values = probabilities()
    random = np.random.default_rng(0)
    values = {n: v + random.uniform(0, 0.3, v.shape) for n, v in values.items()}
    stats = collected(brain, values)
    true = {name: record["segments"] for name, record in RECORDS.items()}
    seconds = {name: record["duration"] for name, record in RECORDS.items()}
    smoothed = {name: events.smooth(each, FRAME, 0.3) for name, each in values.items()}
    ours = psds(smoothed, true, seconds, FRAME, LABELS, **SCENARIOS["psds1"])
    assert stats["psds1"] == ours.value > 0
    measures = brain.measures()
    assert measures.value("psds1") == pytest.approx(ours.value)
    assert measures.items == ["a", "b", "nothing"]


def test_events_follow_a_change_of_speed(make):
    brain = make({"b": RECORDS["b"]}, thresholds=[0.5], medians=[0.0])
    values = np.full((10, 2), 0.1)
    values[2:5, 0] = values[2:8, 1] = 0.9  # at twice the speed
    collected(brain, {"b": values}, TimeMap(2.0).sped(2.0))
    assert brain.events["b"] == [("a dog", 0.25, 0.5), ("cat", 0.25, 0.75)]
    assert brain.found["b"] == [("a dog", 0.2, 0.5), ("cat", 0.2, 0.8)]


def test_files(make, tmp_path):
    brain = make()
    brain.task = "HEAR/events"
    brain.tested = collected(brain, probabilities(), stage=sb.Stage.VALID)
    brain.found["a"] = [("a dog", 0.0, 0.5)]  # an error
    brain.write_predictions()
    with open(tmp_path / "predictions.csv", newline="") as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    assert list(rows) == ["a", "b", "nothing"]
    assert rows["b"]["onset_f1"] == "1.000000" and rows["b"]["onset_true"] == "2"
    assert [rows["a"][f"event_{k}"] for k in ("right", "found", "true")] == [*"011"]
    assert rows["nothing"]["event_f1"] == ""
    with open(tmp_path / "labels.csv", newline="") as file:
        labels = {row["label"]: row for row in csv.DictReader(file)}
    assert labels["cat"]["onset_true"] == "2" and labels["cat"]["onset_found"] == "1"
    reference = (tmp_path / "ref.tsv").read_text().splitlines()
    assert reference[1] == "a.wav\t1.000\t1.300\tcat" and len(reference) == 4
    with open(tmp_path / "psd_roc.csv", newline="") as file:
        points = [[float(x) for x in row[1:]] for row in list(csv.reader(file))[1:]]
    widths = np.diff([x for x, _ in points] + [100.0]) / 100  # of stairs
    area = np.dot(widths, [y for _, y in points])
    assert area == pytest.approx(brain.tested["psds1"], abs=1e-5) and area > 0
    names = {path.name for path in (tmp_path / "timelines").iterdir()}
    assert names == {"a.png", "b.png"} and (tmp_path / "labels.png").exists()


def test_curves_are_written_as_they_were_measured(make, tmp_path, monkeypatch):
    """PSDS takes minutes on a large corpus: it is not computed again for its curves."""
    brain = make(psds=list(SCENARIOS))
    brain.task = "HEAR/events"
    brain.tested = collected(brain, probabilities())
    monkeypatch.setattr(events, "psds", None)
    brain.write_predictions()
    with open(tmp_path / "psd_roc.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["scenario"] for row in rows] == [*SCENARIOS]
    assert float(rows[0]["true_positives"]) == brain.curves["psds1"][0, 1] > 0


def test_few_points_of_curves_are_kept(monkeypatch):
    monkeypatch.setattr(events, "POINTS", 4)
    curve = np.arange(10.0)
    kept = events._points(DetectionScore(0.5, {}, curve, curve / 10))
    assert kept.tolist() == [[0.0, 0.0], [3.0, 0.3], [6.0, 0.6], [9.0, 0.9]]
    assert kept.base is None  # nothing holds the whole curve


@pytest.mark.parametrize(
    "changes, message",
    [
        (
            {"choose_by": "f1"},
            "choose_by: there is no score 'f1'. There are segment_f1",
        ),
        ({"choose_by": "psds2"}, "psds2 is not measured. Add --psds "),
        ({"psds": ["psds3"]}, "psds: no scenario 'psds3'. There are psds1, psds2"),
        (
            {"records": {"a": {"segments": [], "regions": [[0, 1]]}}},
            "'a' is annotated in parts",
        ),
    ],
)
def test_faulty_settings(changes, message, make):
    with pytest.raises(RecipeError, match=message):
        make(**changes)


def test_detector_decodes_and_writes(monkeypatch):
    detector = EventDetector.__new__(EventDetector)
    learned = SimpleNamespace(
        labels=LABELS, threshold=0.5, median=0.0, min_duration=0.2
    )
    detector.__dict__["hparams"] = learned
    monkeypatch.setattr(EventDetector, "frame_seconds", FRAME)
    values = torch.as_tensor(probabilities()["b"])
    found = detector._segments(values, 2.0)
    assert found == [("a dog", 0.5, 1.0), ("cat", 0.5, 1.5)]
    record = {"wav": "x/b.wav", "recording": "x/b", "segments": found}
    lines = detector.line(record).splitlines()
    assert lines == ["x/b.wav\t0.500\t1.000\ta dog", "x/b.wav\t0.500\t1.500\tcat"]
    files = detector.files([record, {**record, "recording": "c", "segments": []}])
    labels = "x--b.audacity.txt", "c.audacity.txt"
    assert set(files) == {"hyp.tsv", "hyp.jsonl", *labels}
    assert files[labels[0]].splitlines()[0].split("\t")[2] == "a dog"
    assert files["hyp.tsv"].splitlines()[1:] == lines
    assert files[labels[1]] == ""


def test_labels_are_those_of_all_sets(tmp_path):
    """A label that does not occur in training is not an error: notes are rare."""
    sets = {"train": ["cat"], "valid": ["cat", "a dog"], "test": ["rain"]}
    for split, names in sets.items():
        record = manifest.whole_file(f"{split}.wav", duration=1.0)
        record["segments"] = [[name, 0.2, 0.6] for name in names]
        manifest.write({split: record}, tmp_path / f"{split}.json")
    hparams = {
        "save_folder": str(tmp_path),
        "upstream_model": load("fbank"),
        "train_pipes": [],
        "eval_pipes": [],
        "seed": 0,
        "choose_by": "psds1",
    }
    splits, options = events.event_splits(hparams)
    assert options["labels"] == ["a dog", "cat", "rain"]
    assert set(options["references"]) == {"valid", "test"}
    assert options["choose_by"] == "psds1"
    made = splits["valid"].data
    assert (
        made["valid"]["segments"] == options["references"]["valid"]["valid"]["segments"]
    )
