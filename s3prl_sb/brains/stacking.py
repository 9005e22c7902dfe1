"""Stacked weights of several copies of one Brain.

:func:`torch.func.vmap` runs all copies forward and backward at once through the
Brain's ``compute_forward`` and ``compute_objectives``, whatever the task is.
:meth:`Stack.is_right` detects what it cannot run, recurrent layers above all.

Authors
 * The s3prl_sb developers, 2026
"""

import logging

import speechbrain as sb
import torch
import torch.nn.functional as F
from torch.func import functional_call, vmap
from torch.overrides import TorchFunctionMode

from s3prl_sb.brains.base import SSLBrain

logger = logging.getLogger(__name__)


class Stack:
    """Weights of all copies, [copies, ...] each.

    The weights of a copy become views of them, so optimizers, checkpoints and
    evaluations of the copy work as before.

    Arguments
    ---------
    copies : list of SSLBrain
        Brains of one class, with modules of the same shapes.
    """

    def __init__(self, copies):
        self.copies = copies
        self.owned = [dict(brain.modules.named_parameters()) for brain in copies]
        self.weights = {}
        for name, first in self.owned[0].items():
            weights = torch.stack([copy[name].detach() for copy in self.owned])
            for copy, weight in zip(self.owned, weights):
                copy[name].data = weight
            self.weights[name] = weights.requires_grad_(first.requires_grad)

    @staticmethod
    def is_possible(copies):
        """Returns whether stacking can work: no RNNs, no buffers, no scaled losses,
        no custom ``optimizers_step``.

        Arguments
        ---------
        copies : list of SSLBrain
            See the class.

        Returns
        -------
        bool
        """
        modules = copies[0].modules
        recurrent = any(isinstance(m, torch.nn.RNNBase) for m in modules.modules())
        stateful = any(True for _ in modules.buffers())
        custom = type(copies[0]).optimizers_step is not SSLBrain.optimizers_step
        return not (recurrent or stateful or custom or copies[0].scaler.is_enabled())

    def losses(self, batch):
        """Returns the training loss of each copy.

        Arguments
        ---------
        batch : speechbrain.dataio.batch.PaddedBatch
            Batch of all copies.

        Returns
        -------
        torch.Tensor
            [copies].
        """
        objective = _Objective(self.copies[0])

        def loss(weights):
            return functional_call(objective, weights, (batch,))

        named = {f"parts.{name}": weight for name, weight in self.weights.items()}
        with _Layout():
            return vmap(loss, randomness="same")(named)

    def step(self, numbers, max_norm):
        """Updates copies, each with separate clipping.

        Arguments
        ---------
        numbers : list of int
            Copies to update. A copy whose gradient is not finite keeps its weights.
        max_norm : float
            Largest norm of a copy's gradient.
        """
        with torch.no_grad():
            trained = {n: w for n, w in self.weights.items() if w.grad is not None}
            norms = [
                torch.linalg.vector_norm(w.grad.flatten(1), dim=1)
                if w.dim() > 1
                else w.grad.abs()
                for w in trained.values()
            ]
            norm = torch.linalg.vector_norm(torch.stack(norms), dim=0)
            scale = (max_norm / (norm + 1e-6)).clamp(max=1.0)
            finite, clipped = norm.isfinite().tolist(), bool((scale < 1).any())
            for weight in trained.values() if clipped else ():
                weight.grad *= scale.view(-1, *[1] * (weight.dim() - 1))
        for i in numbers:
            self.copies[i].gradient_norm = norm[i]
            if not finite[i]:
                logger.warning("A step of copy %d is skipped: not finite", i)
                continue
            for name, parameter in self.owned[i].items():
                parameter.grad = trained[name].grad[i] if name in trained else None
            self.copies[i].set_rates()
            for optimizer in self.copies[i].learner.optimizers.values():
                optimizer.step()
        for weight in self.weights.values():
            weight.grad = None

    def is_right(self, batch, seed):
        """Returns whether the stacked losses equal those of each copy alone.

        Arguments
        ---------
        batch : speechbrain.dataio.batch.PaddedBatch
            Batch to compare on.
        seed : callable
            Seeds the random numbers of a step.

        Returns
        -------
        bool
        """
        alone = []
        with torch.no_grad():
            for brain in self.copies:
                seed()
                alone.append(_Objective(brain)(batch).float())
            seed()
            try:
                together = self.losses(batch).float()
            except RuntimeError as error:  # raised by vmap for what it cannot run
                logger.debug("The copies are not stacked: %s", error)
                return False
        return torch.allclose(together, torch.stack(alone), rtol=1e-4, equal_nan=True)


class _Objective(torch.nn.Module):
    """Loss of a Brain as a function of its weights and a batch."""

    def __init__(self, brain):
        super().__init__()
        self.brain, self.parts = brain, brain.modules

    def forward(self, batch):
        predictions = self.brain.compute_forward(batch, sb.Stage.TRAIN)
        return self.brain.compute_objectives(predictions, batch, sb.Stage.TRAIN)


class _Layout(TorchFunctionMode):
    """Linear layers with a memory layout that suits stacked products.

    Without it, weights are copied for each utterance and gradients are transposed,
    which is several times slower.
    """

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is not F.linear or kwargs or args[0].dim() < 2:
            return func(*args, **kwargs)
        x, weight, *bias = args
        y = (weight @ x.flatten(0, -2).mT).mT
        y = y if not bias or bias[0] is None else y + bias[0]
        return y.unflatten(0, x.shape[:-1])


def fuse(optimizer):
    """Lets an optimizer update all weights in one kernel, if it has one.

    Arguments
    ---------
    optimizer : torch.optim.Optimizer
        It may round otherwise from now on.

    Example
    -------
    >>> adam = torch.optim.Adam([torch.nn.Parameter(torch.ones(2))])
    >>> fuse(adam)
    >>> adam.param_groups[0]["fused"]
    True
    """
    for group in optimizer.param_groups:
        if "fused" in group:
            group["fused"] = True
