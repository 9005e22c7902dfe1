"""Progress display of a training: steps, loss and remaining time.

A :class:`Course` only observes: it has no state of the run and draws no random numbers.

Authors
 * The s3prl_sb developers, 2026
"""

import collections
import contextvars
import logging
import math
import time

from speechbrain.utils.distributed import if_main_process

from s3prl_sb.terminal import progress, quantities

logger = logging.getLogger(__name__)

WINDOW = 60.0  # seconds over which the rate of updates is measured
BAR = "{desc} {percentage:3.0f} %|{bar}| {n_fmt}/{total_fmt}{postfix}"
REFRESH = 0.3  # seconds between two refreshes of a bar

#: Number of similar runs that follow this one, such as other folds.
to_follow = contextvars.ContextVar("to_follow", default=0)


class Silent:
    """Display that shows nothing."""

    def train(self, loss, brain):
        """Does nothing."""

    def evaluate(self):
        """Does nothing."""

    def save(self):
        """Does nothing."""

    def close(self):
        """Does nothing."""


class Evaluating(Silent):
    """Progress bar over the batches of a test.

    Arguments
    ---------
    batches : int
        Number of batches.
    """

    def __init__(self, batches):
        self.bar = progress.bar(
            desc="Testing", total=batches, unit="batch", plural="batches", leave=False
        )

    def evaluate(self):
        """Counts a batch."""
        self.bar.update()

    def close(self):
        """Ends the bar."""
        self.bar.close()


class Course(Silent):
    """Progress of a training, by a bar or log lines.

    Arguments
    ---------
    title : str
        Title of the training.
    total : int
        Number of updates of the whole run.
    step : int
        Number of updates done so far.
    epoch : int
        Number of updates between two validations.
    recorders : list
        Loggers of single updates, with ``every`` (updates) and ``log_step``.
    is_shown : bool
        Whether to show anything; one of several processes does.
    batches : int, optional
        Number of batches of a validation.

    Example
    -------
    >>> course = Course("Training", total=100, epoch=10)
    >>> course.left(rate=2.0, step=40)
    30.0
    """

    def __init__(
        self, title, total, step=0, epoch=1, recorders=(), is_shown=True, batches=None
    ):
        self.title, self.total, self.epoch = title, total, max(epoch, 1)
        self.recorders, self.is_shown, self.bar = recorders, is_shown, None
        self.batches = batches
        self.step = self.first = step
        now = time.monotonic()
        self.marks = collections.deque([(now, step)])  # (time, step), in training
        self.last, self.is_training = now, True
        self.pauses, self.pause = 0, 0.0  # validations, and their seconds
        self.losses, self.count, self.evaluated = 0.0, 0, 0
        self.every, first = progress.EVERY, progress.FIRST
        if is_shown and progress.on_terminal():
            options = {"total": total, "initial": step, "desc": title}
            self.bar = progress.bar(**options, bar_format=BAR)
            self.every = first = REFRESH
        self.next = now + first

    def close(self):
        """Ends the bar."""
        if self.bar is not None:
            self.bar.close()

    def train(self, loss, brain):
        """Counts a batch of training.

        Arguments
        ---------
        loss : torch.Tensor
            Loss of the batch, a scalar.
        brain : s3prl_sb.brains.base.SSLBrain
            Brain that trains.
        """
        now = time.monotonic()
        if not self.is_training:  # a validation has ended
            self.is_training = True
            self.pauses, self.pause = self.pauses + 1, self.pause + now - self.last
            later = now - self.last
            self.marks = collections.deque((t + later, s) for t, s in self.marks)
        self.last, step = now, brain.optimizer_step
        for recorder in self.recorders if step != self.step else ():
            if step % recorder.every == 0:
                recorder.log_step(step, self._facts(loss, brain))
        self.step = step
        loss = float(loss)
        if math.isfinite(loss):
            self.losses, self.count = self.losses + loss, self.count + 1
        if now >= self.next and self.is_shown:
            self.next = now + self.every
            self._show(now, brain)

    def evaluate(self):
        """Counts a batch of the validation."""
        if self.is_training:
            self.is_training, self.evaluated = False, 0
        self.evaluated += 1
        if self.is_shown and (now := time.monotonic()) >= self.next:
            self.next = now + self.every
            of = f" of {self.batches}" if self.batches else ""
            text = f"validation, batch {self.evaluated}{of}"
            if self.bar is not None:
                self.bar.set_postfix_str(text)
            else:
                logger.info("%s: step %s, %s", self.title, f"{self.step:,}", text)

    def save(self):
        """Flushes the recorders before a checkpoint is saved."""
        for recorder in self.recorders:
            recorder.flush()

    def left(self, rate, step):
        """Estimates the remaining time.

        Arguments
        ---------
        rate : float
            Updates per second.
        step : int
            Number of updates done so far.

        Returns
        -------
        float
            Seconds, including validations (once one has been timed) and runs that
            follow.
        """
        pause = self.pause / self.pauses if self.pauses else 0.0
        rest = (self.total - step) / rate + pause * self._validations(step)
        whole = self.total / rate + pause * self._validations(0)
        return rest + to_follow.get() * whole

    def _validations(self, step):
        return math.ceil((self.total - step) / self.epoch)

    def _show(self, now, brain):
        self.marks.append((now, self.step))
        while len(self.marks) > 2 and now - self.marks[0][0] > WINDOW:
            self.marks.popleft()
        (then, before), done = self.marks[0], self.step
        rate = (done - before) / max(now - then, 1e-9)
        words = []
        if measures := brain.measures_since("display"):
            words.append(quantities.measures(measures))
        elif self.count:
            words.append(f"loss {quantities.measure('loss', self.losses / self.count)}")
        rates = learning_rates(brain)
        if rates:
            words.append("lr " + ", ".join(f"{value:g}" for value in rates.values()))
        if rate > 0:
            left = quantities.duration(self.left(rate, done))
            least = "" if self.pauses else "at least "
            words += [f"{rate:.3g} updates/s", f"{least}{left} left"]
        if self.bar is not None:
            self.bar.n = done
            self.bar.set_postfix_str(", ".join(words))
            if self.count > 1000:  # forget old losses
                self.losses, self.count = self.losses / self.count, 1
            return
        step = f"{done:,} of {self.total:,} ({100 * done / self.total:.0f} %)"
        logger.info("%s: step %s, %s", self.title, step, ", ".join(words))
        self.losses, self.count = 0.0, 0

    def _facts(self, loss, brain):
        norm = getattr(brain, "gradient_norm", None)
        facts = {} if norm is None else {"gradient_norm": float(norm)}
        measures = brain.measures_since("recorders")
        return {"loss": float(loss), **facts, **learning_rates(brain), **measures}


def course_of(brain):
    """Starts the display of a Brain's training at its current step.

    Arguments
    ---------
    brain : s3prl_sb.brains.base.SSLBrain
        Brain that begins or resumes training.

    Returns
    -------
    Course
        Display that is shown by one of several processes.
    """
    (total, epoch), step = planned(brain), brain.optimizer_step
    stopping = getattr(brain, "stopping", None)
    has_stopped = stopping is not None and stopping.is_due()
    has_ended = step >= total or has_stopped
    if step:
        done = "has trained already" if has_ended else "goes on"
        logger.info("The run %s: step %s of %s", done, f"{step:,}", f"{total:,}")
        if has_stopped:
            logger.info("It has stopped at %s", stopping)
    recorders = loggers_with(brain, "log_step") if if_main_process() else []
    for recorder in recorders:
        recorder.resume(step)
    return Course(
        brain.title,
        total,
        step,
        epoch,
        recorders,
        is_shown=if_main_process() and not has_ended,
        batches=getattr(brain, "batches", None),
    )


def loggers_with(brain, method):
    """Returns the loggers of a run that have a method.

    Arguments
    ---------
    brain : s3prl_sb.brains.base.SSLBrain
        Brain of the run.
    method : str
        Name of the method.

    Returns
    -------
    list
    """
    loggers = getattr(brain.hparams, "train_loggers", None) or ()
    return [each for each in loggers if hasattr(each, method)]


def planned(brain):
    """Returns the planned number of updates.

    Arguments
    ---------
    brain : s3prl_sb.brains.base.SSLBrain
        Brain to train; with ``--debug`` it makes a few updates only.

    Returns
    -------
    total, epoch : int
        Number of updates of the whole run, and between two validations.
    """
    total, epoch = brain.hparams.total_steps, brain.hparams.steps_per_epoch
    if getattr(brain, "debug", False):
        epoch = min(epoch, brain.debug_batches)
        total = min(total, brain.debug_epochs * epoch)
    return total, epoch


def learning_rates(brain):
    """Returns the learning rates of a Brain's optimizers.

    Arguments
    ---------
    brain : s3prl_sb.brains.base.SSLBrain
        Brain in training.

    Returns
    -------
    dict
        ``lr``, and ``lr_upstream`` if the upstream is unfrozen; empty in a search.
    """
    keys = {"optimizer": "lr", "optimizer_upstream": "lr_upstream"}
    optimizers = getattr(brain, "optimizers_dict", None) or {}
    named = [(keys[name], each) for name, each in optimizers.items() if name in keys]
    return {key: optimizer.param_groups[0]["lr"] for key, optimizer in named}
