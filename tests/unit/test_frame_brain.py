"""The Brain of frames: what counts, what is measured, chosen and written."""

import csv
from types import SimpleNamespace

import pytest
import speechbrain as sb
import torch
import torch.nn.functional as F
from speechbrain.dataio.batch import PaddedBatch

from s3prl_sb.brains.frames import FrameBrain, frame_splits
from s3prl_sb.brains.multi_label_frames import MultiLabelFrameBrain
from s3prl_sb.brains.stacking import Stack
from s3prl_sb.dataio import label_files, manifest
from s3prl_sb.dataio.frame_labels import UNKNOWN
from s3prl_sb.dataio.time_map import TimeMap
from s3prl_sb.lobes.heads.composed import FrameHead
from s3prl_sb.lobes.heads.frames import FrameClassifier
from s3prl_sb.lobes.time_alignment import count_frames
from s3prl_sb.lobes.upstreams import load
from s3prl_sb.metrics.multi_label import macro_f1
from s3prl_sb.startup.configuration import RecipeError

LABELS = ["ah", "sil", "t"]
SIZE, STRIDE = 4, 0.02


class First(torch.nn.Module):
    """Featurizer of one hidden state."""

    def forward(self, states):
        return states[0]


def brain(tmp_path, cls=FrameBrain, frame_seconds=0.01, head=None, **hparams):
    """One without an upstream, whose head is a single layer."""
    made = cls.__new__(cls)
    made.hparams = SimpleNamespace(output_folder=str(tmp_path), **hparams)
    made.labels, made.device, made.best = LABELS, "cpu", {}
    made.stride, made.frame_seconds = STRIDE, frame_seconds
    if head is None:
        torch.manual_seed(0)
        head = FrameClassifier(SIZE, len(LABELS), hidden_size=None)
    made.modules = torch.nn.ModuleDict({"featurizer": First(), "head": head})
    made.hidden_states = lambda batch: ([batch.states.data], batch.states.lengths)
    made.threshold = 0.5
    made.start_stage(sb.Stage.VALID)
    return made


def examples(seed=0, frames=(6, 4, 1), per_frame=2):
    """Features, and labels of which some are unknown, ``per_frame`` a frame."""
    random = torch.Generator().manual_seed(seed)
    made = []
    for number, count in enumerate(frames):
        labels = torch.randint(-1, 3, (round(per_frame * count),), generator=random)
        states = torch.randn(count, SIZE, generator=random)
        example = {"id": f"u{number}", "states": states, "frame_labels": labels}
        made.append({**example, "time_map": TimeMap(count * STRIDE)})
    return made


def run(made, few, stage=sb.Stage.VALID):
    batch = PaddedBatch(few)
    with torch.set_grad_enabled(stage == sb.Stage.TRAIN):
        output = made.compute_forward(batch, stage)
        return made.compute_objectives(output, batch, stage)


def logits(made, example, per_frame=2):
    return made.modules["head"](
        example["states"].repeat_interleave(per_frame, 0), None
    ).detach()


def test_loss_is_a_mean_over_known_frames(tmp_path):
    """Whatever the batch is: padding and unknown frames do not count."""
    made, few = brain(tmp_path), examples()
    rows = torch.cat([logits(made, example) for example in few])
    true = torch.cat([example["frame_labels"] for example in few])
    known = true != UNKNOWN
    expected = F.cross_entropy(rows[known], true[known])
    assert torch.allclose(run(made, few), expected)
    assert torch.allclose(run(made, few, sb.Stage.TRAIN), expected)
    losses, weights = [], []
    for example in few:
        losses.append(run(made, [example]) * made.weight(None))
        weights.append(made.weight(None))
    assert sum(weights) == known.sum()
    assert torch.allclose(sum(losses) / sum(weights), expected)


def test_a_batch_without_labels_teaches_nothing(tmp_path):
    made, (example, *_) = brain(tmp_path), examples()
    example["frame_labels"][:] = UNKNOWN
    loss = run(made, [example], sb.Stage.TRAIN)
    loss.backward()
    assert loss == 0 and not made.modules["head"].classifier.weight.grad.any()


@pytest.mark.parametrize("frame", [0.01, 0.0125, 0.02, 0.04])
def test_rates(frame, tmp_path):
    """Any rate of labels with features every 20 ms."""
    made = brain(tmp_path, frame_seconds=frame)
    few = examples(frames=(20, 10, 5), per_frame=STRIDE / frame)
    batch = PaddedBatch(few)
    output = made.compute_forward(batch, sb.Stage.VALID)
    for row, example in enumerate(few):
        for i in range(len(example["frame_labels"])):
            place = min(
                int((i + 0.5) * frame / STRIDE + 1e-9), len(example["states"]) - 1
            )
            expected = made.modules["head"](example["states"][place], None)
            assert torch.allclose(output[row, i], expected, atol=1e-6)


def test_audio_that_has_changed(tmp_path):
    made, few = brain(tmp_path), examples(frames=(50,))
    few[0]["frame_labels"] = few[0]["frame_labels"][:-13]
    run(made, few)
    few[0]["frame_labels"] = few[0]["frame_labels"][:-15]
    with pytest.raises(RecipeError, match="'u0' has 1.00 s of features.*manifest 0.72"):
        run(made, few)


@pytest.mark.parametrize("frame, frames", [(0.4, 2), (0.7, 1), (5, 1)])
def test_frames_much_longer_than_the_stride(frame, frames, tmp_path):
    """The audio, 1 s, may end within the last of them, which may be the only one."""
    made, (example, *_) = brain(tmp_path, frame_seconds=frame), examples(frames=(50,))
    example["frame_labels"] = torch.ones(count_frames(1.0, frame)).long()
    assert len(example["frame_labels"]) == frames
    assert torch.isfinite(run(made, [example]))


@pytest.mark.parametrize("encoder", ["linear", "mlp", "concat", "conv_bank"])
def test_searches_of_learning_rates_are_stacked(encoder, tmp_path):
    """Several copies run at once through alignment, head and loss."""
    heads = [FrameHead(SIZE, len(LABELS), encoder) for _ in range(3)]
    stack = Stack([brain(tmp_path, head=head) for head in heads])
    batch = PaddedBatch(examples())
    assert stack.is_right(batch, lambda: torch.manual_seed(1))
    stack.losses(batch).sum().backward()
    assert all(weight.grad.flatten(1).any(1).all() for weight in stack.weights.values())


def test_metrics_and_files(tmp_path):
    made, few = brain(tmp_path), examples(frames=(6, 4, 9))
    made.task, made.tested = "frames", {}
    run(made, few[:2])
    run(made, few[2:])
    stats = made.stage_stats(sb.Stage.VALID)
    right = known = 0
    for example in few:
        guess, true = logits(made, example).argmax(-1), example["frame_labels"]
        right += int((guess == true).sum())
        known += int((true != UNKNOWN).sum())
    assert stats == {"frame_accuracy": pytest.approx(right / known)}
    made.write_predictions()
    with open(tmp_path / "predictions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["frames"] for row in rows] == ["12", "8", "18"]
    reference = label_files.read(tmp_path / "ref.ctm")
    hypothesis = label_files.read(tmp_path / "hyp.ctm")
    for example, row in zip(few, rows):
        true, guess = example["frame_labels"], logits(made, example).argmax(-1)
        for labels, segments in ((true, reference), (guess, hypothesis)):
            for i, label in enumerate(labels.tolist()):
                names = [
                    n for n, a, b in segments[row["id"]] if a <= i / 100 < b - 1e-6
                ]
                assert names == ([] if label == UNKNOWN else [LABELS[label]])
        share = (guess == true).sum() / (true != UNKNOWN).sum()
        assert float(row["frame_accuracy"]) == pytest.approx(float(share), abs=1e-6)
    assert (tmp_path / "confusion_matrix.png").stat().st_size > 5000
    assert len(list((tmp_path / "timelines").glob("*.png"))) == 3
    interface = made.interface()
    assert interface["hparams"] == {
        "labels": LABELS,
        "frame_seconds": None,
        "utterance_labels": False,
        "threshold": None,
    }


def test_names_with_spaces_lose_nothing(tmp_path):
    """Neither at the end of a training; and labels end where the audio ends."""
    made, (example, *_) = brain(tmp_path), examples()
    made.task, made.tested, made.labels = "frames", {}, ["a h", "sil", "t"]
    example.update(id="my talk/1", time_map=TimeMap(0.116))
    example["frame_labels"][:] = 0
    run(made, [example])
    made.write_predictions()
    found = label_files.read(tmp_path / "ref.ctm")
    assert found == {"my talk/1": [("a h", 0.0, 0.116)]}
    assert "my talk/1" in (tmp_path / "predictions.csv").read_text()


def test_utterances_without_labels_have_no_accuracy(tmp_path):
    made, few = brain(tmp_path), examples()
    made.task, made.tested = "frames", {}
    few[1]["frame_labels"][:] = UNKNOWN
    run(made, few)
    made.write_predictions()
    with open(tmp_path / "predictions.csv", newline="") as file:
        rates = [row["frame_accuracy"] for row in csv.DictReader(file)]
    assert rates[1] == "" and all(0 <= float(rates[i]) <= 1 for i in (0, 2))
    assert not (tmp_path / "timelines/u1.png").exists()
    assert (tmp_path / "timelines/u0.png").exists()


def test_utterances_with_one_label(tmp_path):
    """Measured by frames, and by the mean probability over the frames."""
    made, few = brain(tmp_path), examples(frames=(6, 4, 9))
    made.task, made.tested = "frames", {}
    for label, example in enumerate(few):
        example["frame_labels"][:] = label
        example["label_encoded"] = label
    run(made, few)
    means = [logits(made, example).softmax(-1).mean(0) for example in few]
    right = [int(mean.argmax()) == label for label, mean in enumerate(means)]
    stats = made.stage_stats(sb.Stage.VALID)
    assert stats["accuracy"] == pytest.approx(sum(right) / 3)
    made.write_predictions()
    with open(tmp_path / "predictions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows] == LABELS
    assert [row["prediction"] for row in rows] == [LABELS[m.argmax()] for m in means]
    assert made.interface()["hparams"]["utterance_labels"]


def test_any_number_of_labels(tmp_path):
    made = brain(tmp_path, MultiLabelFrameBrain, thresholds=[0.1, 0.4, 0.5, 0.6])
    made.task, made.tested = "frames", {}
    few = examples(frames=(60, 40))
    for example in few:
        labels = (logits(made, example) > -0.4).float()  # a probability of 0.4
        labels[:3] = UNKNOWN
        example["frame_labels"] = labels
    loss = run(made, few)
    rows = torch.cat([logits(made, example)[3:] for example in few])
    true = torch.cat([example["frame_labels"][3:] for example in few])
    assert torch.allclose(loss, F.binary_cross_entropy_with_logits(rows, true))
    stats = made.stage_stats(sb.Stage.VALID)
    assert made.threshold == stats["threshold"] == 0.4
    scores = rows.sigmoid()
    assert stats["frame_f1"] == macro_f1(scores > 0.4, true > 0) > 0.99
    assert stats["frame_average_precision"] == pytest.approx(1.0)
    made.best = {"threshold": 0.6}
    assert made.stage_stats(sb.Stage.TEST)["frame_f1"] == macro_f1(
        scores > 0.6, true > 0
    )
    made.write_predictions()
    assert made.interface()["hparams"]["threshold"] == 0.6
    assert label_files.read(tmp_path / "hyp.ctm").keys() == {"u0", "u1"}


# --------------------------------------------------------------------------- splits
def written(folder, **labels):
    """Manifests of one utterance each."""
    for split in manifest.SPLITS:
        record = {"wav": "a.wav", "duration": 0.1, **labels}
        manifest.write({split: record}, folder / f"{split}.json")
    keys = {"save_folder": folder, "upstream_model": load("fbank"), "seed": 1}
    return {**keys, "train_pipes": [], "eval_pipes": [], "frame_seconds": 0.02}


def test_splits_of_segments(tmp_path):
    hparams = written(tmp_path, segments=[["t", 0, 0.05], ["ah", 0.05, 0.1]])
    splits, labels = frame_splits(hparams)
    assert labels == ["ah", "t"] and "label_encoded" not in splits["test"].provided
    splits["test"].set_output_keys(["frame_labels"])
    assert splits["test"][0]["frame_labels"].tolist() == [1, 1, 0, 0, 0]
    other = {"wav": "a.wav", "duration": 0.1, "segments": [["uh", 0, 0.05]]}
    manifest.write({"x": other}, tmp_path / "test.json")
    with pytest.raises(RecipeError, match="test.json has .* uh, first in 'x'"):
        frame_splits(hparams)


def test_splits_without_a_labelled_frame(tmp_path):
    hparams = written(tmp_path, segments=[["t", 0, 0.05]])
    short = {"wav": "a.wav", "duration": 0.1, "segments": [["t", 0.011, 0.029]]}
    manifest.write({"x": short}, tmp_path / "valid.json")
    message = "valid.json: no frame has a label: .* 0.02 s long"
    with pytest.raises(RecipeError, match=message):
        frame_splits(hparams)
    frame_splits({**hparams, "frame_seconds": 0.01})


def test_splits_of_utterances_with_a_label(tmp_path):
    splits, labels = frame_splits(written(tmp_path, label="ann"))
    assert labels == ["ann"]
    splits["train"].set_output_keys(["frame_labels", "label_encoded"])
    made = splits["train"][0]
    assert made["label_encoded"] == 0 and made["frame_labels"].tolist() == [0] * 5
