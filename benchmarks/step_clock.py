"""One step of pre-training with its parts timed, for all contestants alike.

It needs only torch, because it also runs in the environment of the peers.

Authors
 * The s3prl_sb developers, 2026
"""

import time

import torch

#: Parts of a step. ``features``: acoustic features, or convolutions over the waveform.
PARTS = ("features", "forward", "backward", "update")


class StepClock:
    """CPU seconds of the parts of a step."""

    def __init__(self):
        self.parts, self.last = dict.fromkeys(PARTS, 0.0), time.process_time()

    def start(self):
        """Sets all parts to zero."""
        self.__init__()

    def lap(self, part):
        """Adds the time since the last call to a part."""
        now = time.process_time()
        self.parts[part] += now - self.last
        self.last = now

    def watched(self, function):
        """The function, whose time counts as ``features`` instead of ``forward``."""

        def run(*args, **kwargs):
            self.lap("forward")
            result = function(*args, **kwargs)
            self.lap("features")
            return result

        return run


def step(loss, parameters, optimizer, clock, clip):
    """Runs a whole step: forward, backward, clipping, update.

    Arguments
    ---------
    loss : callable
        Returns the loss of the batch.
    parameters : list of torch.nn.Parameter
    optimizer : torch.optim.Optimizer
    clock : StepClock
    clip : float
        Largest norm of the gradients.

    Returns
    -------
    dict
        ``loss``, and ``parts`` with CPU seconds.
    """
    clock.start()
    value = loss()
    clock.lap("forward")
    value.backward()
    clock.lap("backward")
    torch.nn.utils.clip_grad_norm_(parameters, clip)
    optimizer.step()
    optimizer.zero_grad()
    clock.lap("update")
    return {"loss": value.item(), "parts": dict(clock.parts)}
