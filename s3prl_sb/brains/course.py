"""The course of a training, for those who watch it: how far, how well, how long still.

A :class:`Course` only looks on: it is no state of a run, and draws no random numbers.

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

WINDOW = 60.0  # seconds over which updates are counted for their rate
BAR = "{desc} {percentage:3.0f} %|{bar}| {n_fmt}/{total_fmt}{postfix}"
REFRESH = 0.3  # seconds between two looks of a bar

#: Runs of about the same length that follow this one, such as other folds.
to_follow = contextvars.ContextVar("to_follow", default=0)


class Silent:
    """Nobody watches."""

    def train(self, loss, brain):
        """Nothing."""

    def evaluate(self):
        """Nothing."""

    def save(self):
        """Nothing."""

    def close(self):
        """Nothing."""


class Evaluating(Silent):
    """Counts the batches of a test.

    Arguments
    ---------
    batches : int
        How many there are.
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
    """Counts the updates of a training, and tells of them.

    Arguments
    ---------
    title : str
        What it is of.
    total : int
        Updates of the whole run.
    step : int
        Of which so many are done.
    epoch : int
        Updates between two validations.
    recorders : list
        Loggers that want to know of each update: with ``every`` (updates) and
        ``log_step``.
    is_shown : bool
        Whether to tell of it: of several processes one does.
    batches : int, optional
        Of a validation.

    Example
    -------
    >>> course = Course("Training", total=100, epoch=10)
    >>> course.left(rate=2.0, step=40)
    30.0
    """

    def __init__(
        self,
        title,
        total,
        step=0,
        epoch=1,
        recorders=(),
        is_shown=True,
        batches=None,
    ):
        self.title, self.total, self.epoch = title, total, max(epoch, 1)
        self.recorders, self.is_shown, self.bar = recorders, is_shown, None
        self.batches = batches
        self.step = self.first = step
        now = time.monotonic()
        self.marks = collections.deque([(now, step)])  # (time, step), in training
        self.last, self.is_training = now, True
        self.pauses, self.pause = 0, 0.0  # validations, and what they took
        self.losses, self.count, self.evaluated = 0.0, 0, 0
        if is_shown and progress.on_terminal():
            self.every = REFRESH
            self.bar = progress.bar(
                total=total,
                initial=step,
                desc=title,
                bar_format=BAR,
            )
        else:
            self.every = progress.EVERY
        self.next = now + (REFRESH if self.bar is not None else progress.FIRST)

    def close(self):
        """Ends the bar."""
        if self.bar is not None:
            self.bar.close()

    def train(self, loss, brain):
        """Counts a batch of training.

        Arguments
        ---------
        loss : torch.Tensor
            Its loss, a scalar.
        brain : s3prl_sb.brains.base.SSLBrain
            Which has taken it.
        """
        now = time.monotonic()
        if not self.is_training:  # a validation lies between
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
            self._tell(now, brain)

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
        """Before a checkpoint: what was recorded is on the disk, as it will be."""
        for recorder in self.recorders:
            recorder.flush()

    def left(self, rate, step):
        """How long the rest takes.

        Arguments
        ---------
        rate : float
            Updates a second.
        step : int
            Where it is.

        Returns
        -------
        float
            Seconds, with the validations if one was seen, and runs that follow.
        """
        pause = self.pause / self.pauses if self.pauses else 0.0
        rest = (self.total - step) / rate + pause * self._validations(step)
        whole = self.total / rate + pause * self._validations(0)
        return rest + to_follow.get() * whole

    def _validations(self, step):
        return math.ceil((self.total - step) / self.epoch)

    def _tell(self, now, brain):
        self.marks.append((now, self.step))
        while len(self.marks) > 2 and now - self.marks[0][0] > WINDOW:
            self.marks.popleft()
        (then, before), done = self.marks[0], self.step
        rate = (done - before) / max(now - then, 1e-9)
        words = []
        if self.count:
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
            if self.count > 1000:  # the last ones count
                self.losses, self.count = self.losses / self.count, 1
            return
        share = f"{100 * done / self.total:.0f} %"
        logger.info(
            "%s: step %s of %s (%s), %s",
            self.title,
            f"{done:,}",
            f"{self.total:,}",
            share,
            ", ".join(words),
        )
        self.losses, self.count = 0.0, 0

    def _facts(self, loss, brain):
        facts = {"loss": float(loss)}
        norm = getattr(brain, "gradient_norm", None)
        if norm is not None:
            facts["gradient_norm"] = float(norm)
        return {**facts, **learning_rates(brain)}


def course_of(brain):
    """The course of a Brain's training, from where it is now.

    Arguments
    ---------
    brain : s3prl_sb.brains.base.SSLBrain
        About to train, or to go on.

    Returns
    -------
    Course
        Of several processes one tells of it.
    """
    (total, epoch), step = planned(brain), brain.optimizer_step
    if step:
        done = "has trained already" if step >= total else "goes on"
        logger.info("The run %s: step %s of %s", done, f"{step:,}", f"{total:,}")
    recorders = []
    if if_main_process():
        loggers = getattr(brain.hparams, "train_loggers", ())
        recorders = [each for each in loggers if hasattr(each, "log_step")]
    for recorder in recorders:
        recorder.go_on(step)
    return Course(
        brain.title,
        total,
        step,
        epoch,
        recorders,
        is_shown=if_main_process() and step < total,
        batches=getattr(brain, "batches", None),
    )


def planned(brain):
    """The updates that a training is going to make.

    Arguments
    ---------
    brain : s3prl_sb.brains.base.SSLBrain
        As above; with ``--debug`` it makes a few.

    Returns
    -------
    total, epoch : int
        Those of the whole run, and those between two validations.
    """
    total, epoch = brain.hparams.total_steps, brain.hparams.steps_per_epoch
    if getattr(brain, "debug", False):
        epoch = min(epoch, brain.debug_batches)
        total = min(total, brain.debug_epochs * epoch)
    return total, epoch


def learning_rates(brain):
    """The learning rates of a Brain's optimizers.

    Arguments
    ---------
    brain : s3prl_sb.brains.base.SSLBrain
        In training.

    Returns
    -------
    dict
        ``lr``, and ``lr_upstream`` of an unfrozen one; nothing of a search.
    """
    names = {"optimizer": "lr", "optimizer_upstream": "lr_upstream"}
    optimizers = getattr(brain, "optimizers_dict", None) or {}
    return {
        names[name]: optimizer.param_groups[0]["lr"]
        for name, optimizer in optimizers.items()
        if name in names
    }
