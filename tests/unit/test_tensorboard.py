"""Curves by the step that a resume does not double, pictures, settings."""

import logging
import sys

import pytest
import torch
from started_processes import Fork

from s3prl_sb.audio.writing import write_waveform
from s3prl_sb.brains import plots
from s3prl_sb.brains.course import Course
from s3prl_sb.brains.tensorboard import TEST, TensorboardLogger

pytest.importorskip("tensorboard")


def read(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()


def curve(folder, tag):
    return {event.step: event.value for event in read(folder).Scalars(tag)}


class Brain:
    gradient_norm = torch.tensor(3.0)

    def __init__(self, step=0):
        self.optimizer_step = step
        optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.5)
        self.optimizers_dict = {"optimizer": optimizer}

    def measures_since(self, reader):
        return {}


def train(logger, start, stop, epoch=20, batches=2):
    """Logs like a Brain with a checkpoint at the end of each epoch."""
    logger.resume(start)
    course = Course("", 100, start, epoch, [logger])
    brain = Brain(start)
    for step in range(start + 1, stop + 1):
        for batch in range(batches):  # accumulated
            brain.optimizer_step += batch == batches - 1
            course.train(torch.tensor(1.0 / step), brain)
        if step % epoch == 0:
            course.save()
            logger.log_stats({"steps": step}, {"loss": 0.5}, {"accuracy": step / 100})
            logger.log_weights(step, [0, 3], [0.25, 0.75])


def test_curves_go_on_where_the_checkpoint_was(tmp_path):
    """Killed at 57, it goes on from 40: no step twice, none missing."""
    train(TensorboardLogger(tmp_path / "whole", every=5), 0, 100)
    broken = TensorboardLogger(tmp_path / "broken", every=5)
    train(broken, 0, 57)
    broken.flush()  # or not: what is after 40 is void
    train(TensorboardLogger(tmp_path / "broken", every=5), 40, 73)
    train(TensorboardLogger(tmp_path / "broken", every=5), 60, 100)
    tags = read(tmp_path / "whole").Tags()["scalars"]
    assert {"loss/step", "lr/step", "gradient_norm/step"} <= set(tags)
    assert {"loss/train", "accuracy/valid", "layer_weight/03"} <= set(tags)
    found = read(tmp_path / "broken")
    assert sorted(found.Tags()["scalars"]) == sorted(tags)
    for tag in tags:
        steps = [event.step for event in found.Scalars(tag)]
        assert steps == sorted(set(steps)), tag
        expected = curve(tmp_path / "whole", tag)
        assert curve(tmp_path / "broken", tag) == expected, tag
    assert list(curve(tmp_path / "whole", "loss/step")) == list(range(5, 101, 5))
    assert curve(tmp_path / "whole", "gradient_norm/step")[5] == 3.0


def test_what_is_before_a_checkpoint_is_on_the_disk(tmp_path):
    """Also if the process is killed right after it."""
    code = f"""
import os
from test_tensorboard import *
train(TensorboardLogger({str(tmp_path)!r}, every=1), 0, 47)
os.kill(os.getpid(), 9)
"""
    assert Fork(code).read() == ("", -9)
    assert set(curve(tmp_path, "loss/step")) >= set(range(1, 41))


def test_what_a_run_came_to(tmp_path):
    """New objects at each call, one of each kind."""
    plots.layer_weights(tmp_path / "layer_weights.png", [0, 1], [0.2, 0.8], "a")
    write_waveform(tmp_path / "a.wav", torch.full((80,), 0.5), 8000)
    logger, settings = TensorboardLogger(tmp_path / "tb"), {"lr": 0.1, "task": "X"}
    train(logger, 0, 20)
    for _ in range(2):
        pictures = [tmp_path / "layer_weights.png"]
        metrics = {"accuracy": 0.75}
        sounds = [("u1/clean", tmp_path / "a.wav")]
        settings["odd"] = [1]
        logger.log_results(settings, metrics, pictures, step=20, sounds=sounds)
    found = read(tmp_path / "tb" / TEST)
    (event,) = found.Scalars("accuracy/test")
    assert (event.step, event.value) == (20, 0.75)
    (image,) = found.Images("layer_weights")
    written = (tmp_path / "layer_weights.png").read_bytes()
    assert image.encoded_image_string == written and image.width > image.height > 100
    (sound,) = found.Audio("u1/clean")
    written = (tmp_path / "a.wav").read_bytes()
    assert sound.encoded_audio_string == written
    assert (sound.sample_rate, sound.length_frames) == (8000, 80)
    plugins = found.summary_metadata
    assert "_hparams_/session_start_info" in plugins
    told = plugins["_hparams_/session_start_info"].plugin_data.content
    assert b"task" in told and b"odd" not in told
    assert len(read(tmp_path / "tb").Scalars("loss/train")) == 1


def test_without_tensorboard(tmp_path, caplog, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    from s3prl_sb.brains.plots import log_once

    log_once.cache_clear()
    caplog.set_level(logging.INFO)
    logger = TensorboardLogger(tmp_path / "tb", every=1)
    train(logger, 0, 20)
    logger.log_results({}, {"accuracy": 1.0}, [], 20)
    assert not (tmp_path / "tb").exists()
    assert [r.getMessage() for r in caplog.records].count(
        "No TensorBoard log: pip install 's3prl_sb[plots]'"
    ) == 1
