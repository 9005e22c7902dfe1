"""Checks of the contract of a head.

Authors
 * The s3prl_sb developers, 2026
"""

import copy
from collections.abc import Callable

import torch
from torch.func import functional_call, stack_module_state, vmap

from s3prl_sb.lobes.heads.pooling import frame_mask, is_poolable
from s3prl_sb.lobes.heads.subsampling import factor_of, subsampled_lens

KINDS = ("utterances", "frames")
FRAMES = (
    40,
    7,
    40,
    23,
    1,
    2,
)  # of the test batch: two are equal, one is a single frame
GARBAGE = 1e4  # in the padding
TOLERANCE = 1e-4  # relative to the largest output
COARSE = 0.1  # the same, between bfloat16 and float32


class HeadContractError(AssertionError):
    """Violations of the contract of a head."""


class _Violation(Exception):
    """One violation, with its fix."""


def check_head(
    make: Callable[[int, int], torch.nn.Module],
    kind: str | None = None,
    input_size: int = 24,
    num_classes: int = 5,
) -> list[str]:
    """Checks the contract of :class:`~s3prl_sb.lobes.heads.contract.Head`.

    Arguments
    ---------
    make : callable
        Takes ``input_size`` and ``num_classes``, returns a new head: the class itself,
        if these are its first arguments.
    kind : str, optional
        Output that the task needs, "utterances" or "frames". Default: either.
    input_size : int
        Size of the features.
    num_classes : int
        Number of classes.

    Returns
    -------
    list of str
        One line for each check that passed, with figures.

    Raises
    ------
    HeadContractError
        If a check fails; the error lists all violations, and how to fix each.

    Example
    -------
    >>> from s3prl_sb.lobes.heads.utterance import UtteranceClassifier
    >>> for line in check_head(UtteranceClassifier)[:2]:
    ...     print(line)
    shapes: one vector an utterance, 7,685 parameters
    one frame: works
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        passed, failed = [], []
        case = _Case(make, input_size, num_classes)
        _run(lambda case: _shapes(case, kind), "shapes", case, passed, failed)
        for check in () if failed else CHECKS:
            name = check.__name__.strip("_").replace("_", " ")
            _run(check, name, case, passed, failed)
    if failed:
        raise HeadContractError(
            "It does not keep the contract of a head:\n"
            + "\n".join(f"- {line}" for line in failed)
        )
    return passed


def _run(check, name, case, passed, failed):
    try:
        passed.append(f"{name}: {check(case)}")
    except _Violation as violation:
        failed.append(f"{name}: {violation}")
    except Exception as error:  # a candidate may raise anything
        failed.append(f"{name}: raised {type(error).__name__}: {error}")


class _Case:
    """Candidate and the batch that it is tested on."""

    def __init__(self, make, input_size, num_classes):
        self.make = lambda: make(input_size, num_classes)
        self.num_classes = num_classes
        self.features = torch.randn(len(FRAMES), max(FRAMES), input_size)
        self.lens = torch.tensor(FRAMES) / max(FRAMES)
        self.mask = frame_mask(self.features, self.lens)[..., None]
        self.features = self.features.masked_fill(~self.mask, 0.0)
        self.garbage = self.features.masked_fill(~self.mask, GARBAGE)

    def true(self, output):
        """Returns the part of an output that belongs to true frames, of which a head
        may leave some out."""
        if output.dim() == 2:
            return output
        frames = self.features.shape[1]
        lens = subsampled_lens(self.lens, frames, -(-frames // output.shape[1]))
        return output.masked_fill(~frame_mask(output, lens)[..., None], 0.0)

    def difference(self, output, expected):
        """Returns the largest difference, relative to the largest output."""
        scale = expected.abs().max().clamp_min(1e-8)
        return ((output.float() - expected.float()).abs().max() / scale).item()


def _shapes(case, kind):
    head = case.make()
    if not isinstance(head, torch.nn.Module):
        raise _Violation(f"{type(head).__name__} is no torch.nn.Module; derive it.")
    with torch.no_grad():
        shape = list(head.eval()(case.features, case.lens).shape)
    batch, frames, _ = case.features.shape
    left = -(-frames // factor_of(head))
    shapes = ([batch, case.num_classes], [batch, left, case.num_classes])
    wanted = dict(zip(KINDS, shapes))
    if kind is not None:
        wanted = {kind: wanted[kind]}
    if shape not in wanted.values():
        expected = " or ".join(str(value) for value in wanted.values())
        raise _Violation(
            f"{list(case.features.shape)} became {shape}; return {expected}: [batch, "
            "num_classes] for utterances, [batch, frames, num_classes] for frames."
        )
    count = sum(parameter.numel() for parameter in head.parameters())
    unit = "an utterance" if len(shape) == 2 else "a frame"
    return f"one vector {unit}, {count:,} parameters"


@torch.no_grad()
def _one_frame(case):
    head = case.make()
    output = head.eval()(case.features[:1, :1], torch.ones(1))
    if not output.isfinite().all():
        raise _Violation(
            "an utterance of one frame has an output that is not finite; the standard "
            "deviation of one frame is 0, and convolutions need a longer utterance."
        )
    return "works"


@torch.no_grad()
def _padding(case):
    head = case.make().eval()
    expected = case.true(head(case.features, case.lens))
    changed = case.difference(case.true(head(case.garbage, case.lens)), expected)
    if not changed <= TOLERANCE:
        raise _Violation(
            f"what stands in the padding changes the output, by {changed:.1e}; remove "
            "it with s3prl_sb.lobes.heads.pooling.frame_mask, also before each "
            "convolution."
        )
    return f"changes nothing, within {changed:.1e}"


@torch.no_grad()
def _company(case):
    head, worst = case.make().eval(), 0.0
    together = head(case.features, case.lens)
    scale = case.true(together).abs().max().clamp_min(1e-8)
    for i, frames in enumerate(FRAMES):
        alone = head(case.features[i : i + 1, :frames], torch.ones(1))[0]
        other = together[i]
        if alone.dim() == 2:  # of frames; the head may leave some out
            count = max(1, frames // factor_of(head))
            alone, other = alone[:count], other[:count]
        worst = max(worst, ((alone - other).abs().max() / scale).item())
    if not worst <= TOLERANCE:
        raise _Violation(
            f"an utterance gets another output in a batch than alone, by {worst:.1e}; "
            "in evaluation it must not depend on the batch, nor on its longest "
            "utterance."
        )
    return f"the same alone and in a batch, within {worst:.1e}"


@torch.no_grad()
def _evaluation(case):
    head, features = case.make().eval(), case.features.clone()
    first = head(features, case.lens)
    if not torch.equal(features, case.features):
        raise _Violation("it changes the features in place; they may be used again.")
    if not torch.equal(case.true(first), case.true(head(features, case.lens))):
        raise _Violation(
            "a second call gives another output: random numbers, such as "
            "F.dropout without training=self.training, or state between calls."
        )
    return "deterministic, features untouched"


def _training(case):
    head = case.make().train()
    outputs = []
    for features in (case.features, case.garbage):
        torch.manual_seed(1)  # of dropout
        outputs.append(case.true(copy.deepcopy(head)(features, case.lens)))
    changed = case.difference(outputs[1].detach(), outputs[0].detach())
    if not changed <= TOLERANCE:
        raise _Violation(
            f"in training, what stands in the padding changes the output, by "
            f"{changed:.1e}; a batch norm must not count it either."
        )
    try:
        alone = head(case.features[:1], torch.ones(1))
    except Exception as error:
        raise _Violation(
            f"a batch of one utterance cannot be trained on: {error}"
        ) from error
    if not alone.isfinite().all():
        raise _Violation("in training, the output of one utterance is not finite.")
    return "padding changes nothing, a batch of one works"


def _gradients(case):
    head = case.make().train()
    case.true(head(case.features, case.lens)).square().sum().backward()
    parameters = dict(head.named_parameters())
    without = [name for name, p in parameters.items() if p.grad is None]
    if without:
        raise _Violation(
            f"{len(without)} of {len(parameters)} parameters get no gradient, "
            f"{without[0]} for one; remove what is not used."
        )
    infinite = [name for name, p in parameters.items() if not p.grad.isfinite().all()]
    if infinite:
        raise _Violation(
            f"the gradient of {infinite[0]} is not finite; a square root has none at "
            "zero, which is where the deviation of one frame is."
        )
    return f"reach {len(parameters)} parameters"


@torch.no_grad()
def _state(case):
    head, other = case.make().eval(), case.make().eval()
    other.load_state_dict(copy.deepcopy(head.state_dict()))
    expected = case.true(head(case.features, case.lens))
    if not torch.equal(case.true(other(case.features, case.lens)), expected):
        raise _Violation(
            "its state_dict in a new one gives another output: make all weights "
            "parameters or buffers, in __init__."
        )
    return f"{len(head.state_dict())} entries restore it"


@torch.no_grad()
def _copies(case):
    head, other = case.make(), case.make()
    shared = {id(p) for p in head.parameters()} & {id(p) for p in other.parameters()}
    if shared:
        raise _Violation(
            f"two heads share {len(shared)} parameters; copy modules that are given."
        )
    twin = copy.deepcopy(head.eval())
    expected = case.true(head(case.features, case.lens))
    for parameter in twin.parameters():
        parameter += 1.0
    if not torch.equal(case.true(head(case.features, case.lens)), expected):
        raise _Violation("a change of its deep copy changes it.")
    return "independent"


@torch.no_grad()
def _bfloat16(case):
    head = case.make().eval()
    expected = case.true(head(case.features, case.lens))
    with torch.autocast("cpu", torch.bfloat16):
        output = case.true(head(case.features, case.lens))
    error = case.difference(output, expected)
    if not error <= COARSE:
        raise _Violation(
            f"under autocast to bfloat16 it differs by {error:.1e}; compute sums over "
            "frames and counts in float32."
        )
    return f"under autocast, within {error:.1e}"


@torch.no_grad()
def _linear(case):
    head = case.make().eval()
    claimed, output = is_poolable(head), head(case.features, case.lens)
    if output.dim() == 3:
        if claimed:
            raise _Violation(
                "it declares linear = True, and returns frames, of which no mean is "
                "taken; remove the declaration."
            )
        return "not declared"
    counts = case.mask.sum(1)
    mean = (case.features.sum(1) / counts)[:, None]
    error = case.difference(head(mean, torch.ones(len(mean))), output)
    if claimed and not error <= TOLERANCE:
        raise _Violation(
            f"it declares linear = True, but a mean over time before it changes the "
            f"output, by {error:.1e}; remove the declaration."
        )
    if not claimed and error <= TOLERANCE:
        return (
            "not declared, but a mean over time may come before it: with linear = True "
            "the cache keeps one vector an utterance, unless training differs"
        )
    return "declared, and it is" if claimed else "not declared"


@torch.no_grad()
def _sweeps(case):
    """Does what s3prl_sb.brains.stacking does with several copies of a head."""
    heads = [case.make().eval() for _ in range(2)]
    recurrent = any(isinstance(m, torch.nn.RNNBase) for m in heads[0].modules())
    if recurrent or any(True for _ in heads[0].buffers()):
        reason = "recurrent layers" if recurrent else "buffers"
        return f"one learning rate after the other, for its {reason}"
    weights, _ = stack_module_state(heads)

    def output(weights):
        return functional_call(heads[0], weights, (case.features, case.lens))

    try:
        together = vmap(output, randomness="same")(weights)
    except RuntimeError as error:  # the only kind that a sweep expects
        reason = str(error).partition("\n")[0][:60]
        return f"one learning rate after the other: {reason}"
    alone = torch.stack([head(case.features, case.lens) for head in heads])
    if case.difference(together, alone) > TOLERANCE:
        return "one learning rate after the other: vmap is not exact"
    return "all learning rates at once"


CHECKS = (
    _one_frame,
    _padding,
    _company,
    _evaluation,
    _training,
    _gradients,
    _state,
    _copies,
    _bfloat16,
    _linear,
    _sweeps,
)
