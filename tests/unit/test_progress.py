"""Progress: lines in files, bars on terminals, readable quantities."""

import logging
import re
import sys

import pytest
import torch

from s3prl_sb.brains import course
from s3prl_sb.terminal import progress, quantities


@pytest.fixture
def clock(monkeypatch):
    """A clock that advances on request."""

    class Clock:
        now = 1000.0

        def __call__(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(progress.time, "monotonic", clock)
    return clock


def messages(caplog):
    return [record.getMessage() for record in caplog.records]


def test_nobody_reads_what_takes_a_moment(clock, caplog, capsys):
    caplog.set_level(logging.INFO)
    with progress.bar(total=100, desc="Reading", unit="file") as bar:
        for _ in range(100):
            bar.update()
    assert list(progress.bar(range(1000))) == list(range(1000))
    assert not caplog.records and capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    "unit, total, state, end",
    [
        ("file", 3600, "10 of 3,600 files (0 %), 59 min 50 s left", "1 h"),
        ("s of audio", 3600, "10.0 s of 1.0 h of audio (0 %), 59 min 50 s left", "1 h"),
        ("B", 3600, "10 B of 3.6 kB (0 %), 59 min 50 s left", "1 h"),
        ("", 3600, "10 of 3,600 (0 %), 59 min 50 s left", "1 h"),
        ("file", None, "10 files", "1 h"),
    ],
)
def test_lines_of_what_takes_an_hour(unit, total, state, end, clock, caplog):
    caplog.set_level(logging.INFO)
    with progress.bar(total=total, desc="Reading", unit=unit) as bar:
        for _ in range(360):
            clock.now += 10
            bar.update(10)
    found = messages(caplog)
    assert found[0] == f"Reading: {state}" and found[-1] == f"Reading: done in {end}"
    assert len(found) == 2 + 3600 // progress.EVERY - 1


def test_what_goes_on_counts_only_what_it_does(clock, caplog):
    """The rest of a download that resumes at nine tenths takes a tenth."""
    caplog.set_level(logging.INFO)
    with progress.bar(total=1000, initial=900, unit="B", desc="Downloading x") as bar:
        clock.now += 50
        bar.update(50)
    assert "950 B of 1 kB (95 %), 50 s left" in messages(caplog)[0]


def test_what_fails_is_not_done(clock, caplog):
    caplog.set_level(logging.INFO)
    with pytest.raises(OSError), progress.bar(total=9, desc="Reading") as bar:
        clock.now += 60
        bar.update()
        raise OSError
    assert not any("done" in message for message in messages(caplog))


def test_a_bar_on_a_terminal(monkeypatch, caplog, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(progress, "_bars", True)
    assert list(progress.bar([1, 2], desc="Reading", plural="files")) == [1, 2]
    assert "Reading: 100%" in capsys.readouterr().err and not caplog.records
    monkeypatch.setattr(progress, "_bars", False)  # --noprogressbar
    list(progress.bar([1, 2], desc="Reading"))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "seconds, words",
    [
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (3599, "59 min 59 s"),
        (3599.7, "1 h"),
        (86_369, "23 h 59 min"),
        (86_399, "1 d"),
        (86400 * 12.5, "12 d 12 h"),
    ],
)
def test_durations(seconds, words):
    assert quantities.duration(seconds) == words


@pytest.mark.parametrize(
    "number, words",
    [(0, "0"), (999, "999"), (999.7, "1 k"), (1000, "1 k"), (123456, "123 k")]
    + [(94_371_712, "94.4 M"), (2e15, "2000 T"), (1.5, "1.5")],
)
def test_counts(number, words):
    assert quantities.count(number) == words


@pytest.mark.parametrize(
    "name, value, words",
    [
        ("accuracy", 0.32917, "32.92 %"),
        ("accuracy_action", 1.0, "100.00 %"),
        ("wer_lm", 1.25, "125.00 %"),
        ("slot_type_f1", 0.5, "50.00 %"),
        ("cosine_eer", 0.0, "0.00 %"),
        ("mtwv", 0.0736, "0.0736"),
        ("loss", 0.00123456, "0.001235"),
        ("threshold", 0.5, "0.5"),
        ("temper", 0.5, "0.5"),
        ("accuracy", float("nan"), "nan"),
        ("steps", 500, "500"),
    ],
)
def test_measures(name, value, words):
    assert quantities.measure(name, value) == words


class Brain:
    optimizer_step = 0
    optimizers_dict = {"optimizer": torch.optim.SGD([torch.zeros(1)], lr=0.1)}

    def measures_since(self, reader):
        return {}


def train(watching, clock, steps, each=1.0, loss=2.0, brain=None):
    brain = brain or Brain()
    for _ in range(steps):
        clock.now += each
        brain.optimizer_step += 1
        watching.train(torch.tensor(loss), brain)
    return brain


def test_a_course_tells_of_the_whole_run(clock, caplog):
    """With the validations, once it has seen one: here they take as long."""
    caplog.set_level(logging.INFO)
    watching = course.Course("Training", total=1000, epoch=100)
    brain = train(watching, clock, 100)
    first = messages(caplog)[0]
    assert first == (
        "Training: step 5 of 1,000 (0 %), loss 2, lr 0.1, 1 updates/s, "
        "at least 16 min 35 s left"
    )
    assert len(caplog.records) == 1 + 95 // progress.EVERY
    for _ in range(100):
        clock.now += 1
        watching.evaluate()
    assert "step 100, validation, batch 85" in messages(caplog)[-1]
    caplog.clear()
    train(watching, clock, 20, loss=3.0, brain=brain)
    # 885 updates, and 9 validations of 100 s: half an hour.
    (last,) = messages(caplog)
    assert last.startswith("Training: step 115 of 1,000 (12 %), loss 2.75, ")
    minutes = int(re.search(r"updates/s, (\d+) min \d+ s left$", last)[1])
    assert minutes == pytest.approx((885 + 900) / 60, abs=1)


def test_folds_that_follow_count(clock, caplog):
    caplog.set_level(logging.INFO)
    token = course.to_follow.set(4)
    try:
        train(course.Course("Training", total=3600, epoch=3600), clock, 5)
    finally:
        course.to_follow.reset(token)
    assert "at least 5 h left" in messages(caplog)[0]


def test_a_course_that_goes_on_does_not_count_what_was_done(clock, caplog):
    caplog.set_level(logging.INFO)
    brain = Brain()
    brain.optimizer_step = 900
    watching = course.Course("Training", total=1000, step=900, epoch=1000)
    train(watching, clock, 10, brain=brain)
    assert "step 905 of 1,000 (90 %)" in messages(caplog)[0]
    assert "1 updates/s, at least 1 min 35 s left" in messages(caplog)[0]


def test_a_course_is_cheap():
    """A step of a probe on cached features takes half a millisecond."""
    import time

    watching, brain, loss = course.Course("", 10**9), Brain(), torch.tensor(1.0)
    began = time.process_time()
    for _ in range(2000):
        brain.optimizer_step += 1
        watching.train(loss, brain)
    assert (time.process_time() - began) / 2000 < 1e-4
