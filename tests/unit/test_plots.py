"""Pictures: whole, titled, whatever the labels are called."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from s3prl_sb.brains import plots, pretraining_plots
from s3prl_sb.brains.det_plot import det_plot
from s3prl_sb.brains.timeline_plot import lanes, scene_timeline, timeline
from s3prl_sb.dataio.timeline import Item
from s3prl_sb.metrics.verification import det_curve
from s3prl_sb.objectives.base import Picture

pytest.importorskip("matplotlib")

TITLE = "SUPERB/KS · an_upstream_with_a_rather_long_name_of_its_own · accuracy 12.34 %"
NAMES = {
    "short": "label {}",
    "long": "the label number {} whose name does not end where names end, but later",
    "chinese": "标签{}号",
    "hebrew": "תווית {}",
    "arabic": "تسمية {}",
    "formula": "$x_{{{}$ \\frac",
    "escapes": "a\x1b[2K\n{}",
    "emoji": "😀{}",
    "nothing": "",
}


def pixels(path):
    """[height, width], 0 to 255."""
    from PIL import Image

    return np.asarray(Image.open(path).convert("L"))


def assert_whole(path):
    """No ink touches the border, and there is some ink."""
    image = pixels(path)
    edges = (image[:6], image[-6:], image[:, :6], image[:, -6:])
    assert all((edge == 255).all() for edge in edges), path
    assert (image < 128).sum() > 500


@pytest.mark.parametrize("number", [1, 2, 12, 14, 15, 17, 24, 31, 61, 130])
def test_confusion_matrices_are_whole(number, tmp_path):
    counts = torch.eye(number, dtype=torch.long) * 12345
    labels = [f"change language to {i}" for i in range(number)]
    plots.confusion_matrix(tmp_path / "a.png", counts, labels, TITLE)
    assert_whole(tmp_path / "a.png")


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_labels_of_any_kind(name, tmp_path, recwarn):
    labels = [name.format(i) for i in range(9)]
    counts = torch.ones(9, 9, dtype=torch.long)
    plots.confusion_matrix(tmp_path / "a.png", counts, labels, name.format(0) or TITLE)
    assert_whole(tmp_path / "a.png")
    spans = [(label, 0.5 * i, 0.5 * i + 1) for i, label in enumerate(labels)]
    timeline(tmp_path / "b.png", spans, spans, 6.0, TITLE, [(0.5, 5)])
    assert_whole(tmp_path / "b.png")


def test_the_names_of_labels_are_all_there(tmp_path):
    """A longer name takes more room, and none from the matrix."""
    counts, widths = torch.eye(20, dtype=torch.long), []
    for name in ("a", "a name of more letters"):
        labels = [f"{name}{i}" for i in range(20)]
        plots.confusion_matrix(tmp_path / "a.png", counts, labels)
        widths.append(pixels(tmp_path / "a.png").shape)
    (height, width), (higher, wider) = widths
    assert wider > width + 100 and higher > height + 100


@pytest.mark.parametrize("number", [2, 5, 13, 25, 49])
def test_layers(number, tmp_path):
    weights = torch.softmax(torch.randn(number), 0).tolist()
    layers = list(range(number))
    plots.layer_weights(tmp_path / "a.png", layers, weights, TITLE)
    lines = {"dev": weights, "eval": [-weight for weight in weights]}
    plots.layer_scores(tmp_path / "b.png", layers, lines, number - 1, TITLE)
    assert_whole(tmp_path / "a.png")
    assert_whole(tmp_path / "b.png")


@pytest.mark.parametrize("distance", [-3.0, 0.0, 2.0, 9.0])
def test_errors_of_a_verification(distance, tmp_path):
    labels = torch.arange(400) % 4 == 0
    scores = torch.randn(400) + distance * labels
    _, *rates = det_curve(scores, labels.long())
    det_plot(tmp_path / "a.png", *rates, 0.1, TITLE)
    assert_whole(tmp_path / "a.png")


@pytest.mark.parametrize("speakers", [0, 1, 30])
def test_timelines(speakers, tmp_path):
    spans = [(f"speaker {i}", i, i + 3.0) for i in range(speakers)]
    timeline(tmp_path / "a.png", spans, spans[::2], 40.0, TITLE)
    assert_whole(tmp_path / "a.png")


def test_scenes_of_any_labels(tmp_path, recwarn):
    spans = [
        (name.format(7), n / 2, n / 2 + 1) for n, name in enumerate(NAMES.values())
    ]
    items = [Item(kind, *span) for span in spans for kind in ("speaker", "event")]
    items += [Item("word", name, *times, name) for name, *times in spans]
    scene_timeline(tmp_path / "a.png", items, items[::2], 6.0, TITLE)
    assert_whole(tmp_path / "a.png")
    scene_timeline(tmp_path / "b.png", [], [], 6.0, TITLE)
    assert_whole(tmp_path / "b.png")
    assert not recwarn


def test_scenes_have_a_row_for_each_speaker_and_event(tmp_path):
    true = [Item("speaker", "bob", 0.0, 3.0), Item("word", "hi", 1.0, 2.0, "bob")]
    true += [Item("speaker", "ann", 3.0, 5.0), Item("event", "dog", 0.0, 1.0)]
    people = [("speaker", "bob"), ("speaker", "ann"), ("word", "bob")]
    assert lanes(true) == [*people, ("event", "dog")]
    heights = []
    names = {"bob": "speaker2", "ann": "speaker1", "": ""}
    renamed = [
        Item(kind, names.get(label, label), *times, names[speaker])
        for kind, label, *times, speaker, _ in true
    ]
    stranger = Item("speaker", "speaker3", 5.5, 6.0)
    for found in ([], renamed, [*renamed, stranger]):
        scene_timeline(tmp_path / "a.png", true, found, 6.0, TITLE)
        assert_whole(tmp_path / "a.png")
        heights.append(pixels(tmp_path / "a.png").shape[0])
    assert heights[0] == heights[1] < heights[2]  # mapped speakers share a row


@pytest.mark.parametrize(
    "name, drawn",
    [
        ("yes", "yes"),
        ("שלום", "םולש"),
        ("שלום a", "שלום a"),
        ("\U0001f9ff", "#0"),
        ("x" * 29, "x" * 27 + "…"),
        ("a\nb", "a?b"),
    ],
)
def test_names_as_they_are_drawn(name, drawn):
    assert plots.shown([name]) == [drawn]


def test_headings():
    class Brain:
        task, metric, tested = "SUPERB/IC", "accuracy", {"accuracy": 0.5, "loss": 1.0}

        class hparams:
            upstream_name = "tera"

    assert plots.heading(Brain) == "SUPERB/IC · tera · accuracy 50.00 %"
    assert plots.heading(Brain, {}) == "SUPERB/IC · tera"
    # What chooses the checkpoint may be something else than what is reported.
    Brain.task, Brain.metric = "SUPERB/KS", "balanced_accuracy"
    Brain.tested = {"balanced_accuracy": 0.25, "accuracy": 0.5}
    assert plots.heading(Brain) == "SUPERB/KS · tera · accuracy 50.00 %"
    # Attention ASR by the recipe of translation has no BLEU.
    Brain.task, Brain.metric, Brain.tested = "SUPERB/ST", "wer", {"wer": 0.25}
    assert plots.heading(Brain) == "SUPERB/ST · tera · wer 25.00 %"
    Brain.task, Brain.metric, Brain.tested = "digits", "error", {"error": 0.125}
    assert plots.heading(Brain) == "digits · tera · error 12.50 %"
    Brain.task, Brain.tested = None, {}
    assert plots.heading(Brain) == "tera"


@pytest.mark.parametrize("steps", [[1], [2, 4], [1, 2, 3, 4, 5], [1000, 2000]])
def test_updates_are_whole_numbers(steps, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        pretraining_plots, "finish", lambda axes, *_: drawn.append(axes)
    )
    points = [{"step": s, "train": {}, "valid": {"loss": 1 / s}} for s in steps]
    pretraining_plots.curves(tmp_path / "a.png", points)
    assert all(tick == int(tick) for tick in drawn[0].get_xticks())
    assert len(drawn[0].lines) == 1  # nothing was predicted in training


def test_a_reconstruction_says_what_its_colours_are(tmp_path):
    picture = Picture(*torch.randn(3, 50, 80), "standard deviations")
    pretraining_plots.reconstruction(tmp_path / "a.png", picture)
    assert_whole(tmp_path / "a.png")
    bare = Picture(*torch.randn(3, 50, 80), "")
    pretraining_plots.reconstruction(tmp_path / "b.png", bare)
    widths = [pixels(tmp_path / name).shape[1] for name in ("a.png", "b.png")]
    assert widths[0] > widths[1]


def test_without_matplotlib(tmp_path):
    code = f"""
import sys
sys.modules["matplotlib"] = None
import logging, pathlib, torch
logging.basicConfig(level=logging.INFO)
from s3prl_sb.brains import plots, det_plot, timeline_plot
path = pathlib.Path({str(tmp_path)!r}) / "a.png"
rates = torch.tensor([0.0, 1.0])
plots.layer_weights(path, [0, 1], [0.5, 0.5])
plots.confusion_matrix(path, torch.eye(2), ["a", "b"])
det_plot.det_plot(path, rates, rates, 0.5)
timeline_plot.timeline(path, [("a", 0, 1)], [], 1.0)
plots.layer_scores(path, [0, 1], {{"dev": [0, 1]}}, 0)
assert not path.exists()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("No plots: pip install 's3prl_sb[plots]'") == 1


@pytest.mark.parametrize(
    ("task", "said"),
    [("SUPERB/KS", "accuracy 50.00 %"), ("my/task", "balanced_accuracy 60.00 %")],
)
def test_the_heading_has_the_measure_of_the_table(task, said):
    """The metric of `s3prl-sb results`, also if another metric chose."""

    class Brain:
        metric = "balanced_accuracy"
        tested = {"accuracy": 0.5, "balanced_accuracy": 0.6}
        hparams = type("hparams", (), {"upstream_name": "mel"})

    Brain.task = task
    assert plots.heading(Brain()) == f"{task} · mel · {said}"
