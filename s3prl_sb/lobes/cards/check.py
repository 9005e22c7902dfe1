"""Checks of the contract of an upstream.

Authors
 * The s3prl_sb developers, 2026
"""

import copy
import functools
import inspect
import os
from pkgutil import resolve_name
from typing import TYPE_CHECKING

import torch

from s3prl_sb.audio.waveforms import AudioError
from s3prl_sb.foreign import UPSTREAM
from s3prl_sb.identity.watching import watching
from s3prl_sb.lobes.cards.check_stages import check_stages
from s3prl_sb.lobes.checkpoints.finiteness import WeightsError

if TYPE_CHECKING:
    from s3prl_sb.lobes.upstreams.base import Upstream

SECONDS = (1.0, 0.31, 2.13, 0.62, 1.0)  # lengths in the test batch, two are equal
TOLERANCE = 1e-5  # relative, between a batch and each utterance alone


class ContractError(AssertionError):
    """Violations of the contract of an upstream."""


def check_upstream(upstream: "Upstream") -> list[str]:
    """Checks the contract of :mod:`s3prl_sb.lobes.upstreams.base`.

    Arguments
    ---------
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        The upstream, frozen or not. It is not changed.

    Returns
    -------
    list of str
        One line for each check that passed, with figures.

    Raises
    ------
    ContractError
        If a check fails; the error lists all violations, and how to fix each.

    Example
    -------
    >>> from s3prl_sb.lobes.upstreams import load
    >>> for line in check_upstream(load("fbank"))[:2]:
    ...     print(line)
    attributes: 1 x 240 every 160 samples at 16000 Hz
    shapes and lengths: as frames() says
    """
    passed, failed = [], []
    _attributes(upstream, passed, failed)
    if not failed:
        upstream = copy.deepcopy(upstream).eval()
        generator, rate = torch.Generator().manual_seed(0), upstream.sample_rate
        values = [upstream.input_size] * (upstream.input_size > 1)
        wavs = [
            0.1 * torch.randn(int(s * rate), *values, generator=generator)
            for s in SECONDS
        ]
        batch = _Batch(upstream, wavs)
        checks = (
            _shapes,
            _company,
            _lengths,
            _bad_audio,
            _frozen,
            _gradients,
            _stages,
            _files,
        )
        for check in checks:
            try:
                check(upstream, batch, passed, failed)
            except Exception as error:  # a candidate may raise anything
                failed.append(
                    f"{check.__name__.strip('_')}: raised {type(error).__name__}: "
                    f"{error}"
                )
            if failed:  # later checks would only repeat it
                break
    if failed:
        raise ContractError(
            f"{type(upstream).__name__} does not keep the contract of an "
            "upstream:\n" + "\n".join(f"- {line}" for line in failed)
        )
    return passed


def _attributes(upstream, passed, failed):
    if not isinstance(upstream, resolve_name(UPSTREAM.base)):
        failed.append(
            f"it is a {type(upstream).__name__}; derive it from "
            "s3prl_sb.lobes.upstreams.base.Upstream"
        )
        return
    for name in ("sample_rate", "stride", "num_layers", "output_size"):
        value = getattr(upstream, name, None)
        if not isinstance(value, int) or value < 1:
            failed.append(
                f"{name} is {value!r}; set it, a positive int, in the class or "
                "at the end of __init__"
            )
    if not failed:
        passed.append(
            f"attributes: {upstream.num_layers} x {upstream.output_size} every "
            f"{upstream.stride} samples at {upstream.sample_rate} Hz"
        )


class _Batch:
    """Waveforms, and what the upstream gives for all of them together."""

    def __init__(self, upstream, wavs):
        self.wavs = wavs
        self._upstream = upstream

    @functools.cached_property
    def outputs(self):
        """Hidden states of the padded batch, and relative lengths."""
        return self._upstream(*_padded(self.wavs))

    def states(self):
        """Returns the hidden states [utterance][layer][frames, size]."""
        states, lens = self.outputs
        frames = (lens * states[0].shape[1]).round().int().tolist()
        return [[s[i, :count] for s in states] for i, count in enumerate(frames)]


def _alone(upstream, wav):
    """Returns the hidden states [layers][frames, size] of one waveform."""
    return [state[0] for state in upstream(wav[None])[0]]


def _padded(wavs):
    padded = torch.nn.utils.rnn.pad_sequence(wavs, batch_first=True)
    return padded, torch.tensor([len(wav) for wav in wavs]) / padded.shape[1]


def _shapes(upstream, batch, passed, failed):
    states, lens = batch.outputs
    if len(states) != upstream.num_layers:
        failed.append(
            f"it gives {len(states)} hidden states where num_layers is "
            f"{upstream.num_layers}"
        )
        return
    frames = [upstream.frames(len(wav)) for wav in batch.wavs]
    for layer, state in enumerate(states):
        expected = [len(frames), max(frames), upstream.output_sizes[layer]]
        if list(state.shape) != expected:
            failed.append(
                f"hidden state {layer} has shape {list(state.shape)}; by "
                f"frames() and output_sizes it should be {expected}"
            )
    if (lens * max(frames)).round().int().tolist() != frames:
        failed.append(f"lens say {lens.tolist()}; frames() says {frames}")
    if not failed:
        passed.append("shapes and lengths: as frames() says")


def _company(upstream, batch, passed, failed):
    worst = 0.0
    for i, (wav, together) in enumerate(zip(batch.wavs, batch.states())):
        for layer, (a, b) in enumerate(zip(_alone(upstream, wav), together)):
            if a.shape != b.shape:
                failed.append(
                    f"utterance {i}, layer {layer}: {len(a)} frames alone, "
                    f"{len(b)} in a batch; frames() must be exact"
                )
                return
            error = ((a - b).abs().max() / a.abs().max().clamp_min(1e-8)).item()
            worst = max(worst, error)
    if not worst <= _limit(upstream):
        failed.append(
            f"an utterance gets other features in a batch than alone (relative "
            f"difference {worst:.1e}): encode() must not mix utterances, nor "
            "keep statistics or state from one call to the next"
        )
    else:
        passed.append(f"same features in any company: within {worst:.1e}")


def _limit(upstream):
    return TOLERANCE if upstream.precision == "fp32" else 5e-2


def _lengths(upstream, batch, passed, failed):
    for samples in (1, upstream.stride - 1, upstream.stride + 1, 1000, 5000):
        wav = batch.wavs[0][: max(samples, 1)]
        try:
            states = _alone(upstream, wav)
        except WeightsError as error:
            what = f"{len(wav)} samples give features that are not finite"
            failed.append(f"{what}. {error}")
            continue
        if len(states[0]) != upstream.frames(len(wav)) or len(states[0]) < 1:
            failed.append(
                f"{len(wav)} samples give {len(states[0])} frames where frames() "
                f"says {upstream.frames(len(wav))}; the least is 1: override "
                "min_samples, up to which audio is padded"
            )
    try:
        _alone(upstream, torch.zeros_like(batch.wavs[0]))
    except WeightsError as error:
        failed.append(f"digital silence gives features that are not finite. {error}")
    if not failed:
        passed.append("all lengths: from 1 sample, and silence")


def _bad_audio(upstream, batch, passed, failed):
    for lens, value in ((torch.tensor([1.0, 0.0]), 0.0), (None, float("nan"))):
        pair = torch.stack([batch.wavs[0], batch.wavs[0]])
        pair[1, 7] += value
        try:
            upstream(pair, lens)
        except AudioError as error:
            if error.index == 1:
                continue
        failed.append(
            "empty or non-finite audio must raise AudioError with the index of "
            "the utterance; do not override forward(), or call super().forward()"
        )
        return
    passed.append("bad audio: refused by name")


def _frozen(upstream, batch, passed, failed):
    frozen = copy.deepcopy(upstream)
    if not frozen.freeze:
        frozen.freeze = True
        frozen.requires_grad_(False)
    frozen.train()
    before = [state.clone() for state in _alone(frozen, batch.wavs[0])]
    after = _alone(frozen, batch.wavs[0])
    if any(module.training for module in frozen.modules()):
        failed.append("a frozen one enters training mode; call super().train()")
    if not all(torch.equal(a, b) for a, b in zip(before, after)):
        failed.append("a frozen one gives other features at the second call")
    if any(p.requires_grad for p in frozen.parameters()):
        failed.append("a frozen one has parameters that require gradients")
    if any(state.requires_grad for state in after):
        failed.append("a frozen one builds a graph for gradients")
    if not failed:
        passed.append("frozen: eval mode, no gradient, deterministic")


def _gradients(upstream, batch, passed, failed):
    trained = copy.deepcopy(upstream)
    parameters = list(trained.parameters())
    if not parameters or upstream.precision != "fp32":
        return
    if trained.freeze:  # the same as if built with freeze=False
        trained.freeze = False
        for name, parameter in trained.named_parameters():
            parameter.requires_grad_(name in trained.trainable)
    trained.train()
    states, _ = trained(*_padded(batch.wavs[:2]))
    sum(state.float().pow(2).sum() for state in states).backward()
    trainable = [(n, p) for n, p in trained.named_parameters() if p.requires_grad]
    without = [name for name, p in trainable if p.grad is None]
    if without:
        failed.append(
            f"unfrozen, {len(without)} of {len(trainable)} parameters get no "
            f"gradient, {without[0]} for one"
        )
    else:
        passed.append(f"unfrozen: gradients reach {len(trainable)} parameters")


def _stages(upstream, batch, passed, failed):
    lines = check_stages(upstream, batch.wavs, batch.states(), _limit(upstream))
    passed.extend(lines[0])
    failed.extend(lines[1])


def _files(upstream, batch, passed, failed):
    try:
        with watching() as seen:
            rebuilt = _rebuilt(upstream)
            rebuilt.eval()(*_padded(batch.wavs[:1]))
    except TypeError as error:
        failed.append(
            f"it cannot be built again from its arguments ({error}): its identity "
            "would not say what it is made of"
        )
        return
    unseen = sorted(seen.files - rebuilt.opened_files.real_paths())
    # Unpacked parts of an archive are gone again, and cannot change.
    unseen = [path for path in unseen if os.path.exists(path)]
    if unseen:
        failed.append(
            f"it opens {', '.join(unseen[:3])} past the door, so that a change of it "
            "would not be noticed: open(opened(path)), with "
            "s3prl_sb.identity.opened.opened, while it is built"
        )
    else:
        count = len(rebuilt.opened_files.files)
        passed.append(f"files: {count} opened, none unnoticed")


def _rebuilt(upstream):
    """Builds the upstream again from its recorded arguments."""
    arguments, args = dict(upstream.arguments), []
    for parameter in inspect.signature(type(upstream).__init__).parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            arguments.update(arguments.pop(parameter.name, {}))
        elif parameter.kind is parameter.VAR_POSITIONAL:
            args = arguments.pop(parameter.name, ())
    return type(upstream)(*args, **copy.deepcopy(arguments))
