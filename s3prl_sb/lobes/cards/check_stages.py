"""Checks of the second half of the contract: the steps that pre-training looks into.

Authors
 * The s3prl_sb developers, 2026
"""

import copy
from pkgutil import resolve_name
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from s3prl_sb.lobes.upstreams.base import Upstream

STAGES = "s3prl_sb.lobes.upstreams.stages.Stages"


def check_stages(
    upstream: "Upstream",
    wavs: list[torch.Tensor],
    states: list[list[torch.Tensor]],
    tolerance: float,
) -> tuple[list[str], list[str]]:
    """Checks :class:`~s3prl_sb.lobes.upstreams.stages.Stages`, if a family offers them.

    Arguments
    ---------
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        The upstream, in eval mode. It is not changed.
    wavs : list of torch.Tensor
        Waveforms [samples_i] of unequal lengths.
    states : list of list of torch.Tensor
        Their hidden states [frames_i, size], by utterance and layer.
    tolerance : float
        Relative error that is allowed.

    Returns
    -------
    passed : list of str
        A line, if there are steps and they are right.
    failed : list of str
        A line for each violation, with the fix.

    Example
    -------
    >>> from s3prl_sb.lobes.upstreams import load
    >>> upstream, wavs = load("hubert_small_random"), [torch.randn(4000)]
    >>> states = [[state[0] for state in upstream(wavs[0][None])[0]]]
    >>> check_stages(upstream, wavs, states, 1e-5)[0]
    ['stages: local frames of 128, embedded 192, the same hidden states']
    """
    if not isinstance(upstream, resolve_name(STAGES)):
        return [], []
    failed: list[str] = []
    wavs = [upstream._waveform(wav) for wav in wavs]
    with torch.no_grad():
        x, frames = upstream.local(wavs)
        _sizes(upstream, wavs, x, frames, failed)
        if not failed:
            expected = [torch.cat(layer) for layer in zip(*states)]
            _same(upstream, x, frames, expected, tolerance, failed)
            _own(upstream, x, frames, tolerance, failed)
    if not failed and upstream.precision == "fp32":
        _trained(upstream, wavs[:2], failed)
    if failed:
        return [], failed
    sizes = f"local frames of {upstream.local_size}, embedded {upstream.embedded_size}"
    return [f"stages: {sizes}, the same hidden states"], []


def _sizes(upstream, wavs, x, frames, failed):
    counts = [upstream.frames(len(wav)) for wav in wavs]
    if list(frames) != counts:
        failed.append(f"local() counts {list(frames)} frames; frames() says {counts}")
        return
    expected = [sum(counts), upstream.local_size]
    if list(x.shape) != expected:
        failed.append(
            f"local() gives {list(x.shape)}; by frames() and local_size it should be "
            f"{expected}"
        )
        return
    if upstream.normed(x).shape != x.shape:
        failed.append(
            f"normed() gives {list(upstream.normed(x).shape)}; it must keep the shape "
            f"of the local frames, {expected}"
        )
    expected = [sum(counts), upstream.embedded_size]
    if list(upstream.embed(x).shape) != expected:
        failed.append(
            f"embed() gives {list(upstream.embed(x).shape)}; by embedded_size it "
            f"should be {expected}"
        )


def _same(upstream, x, frames, expected, tolerance, failed):
    """Checks that the steps together are the encoding, each time."""
    for _ in range(2):
        found = list(upstream.contextualize(upstream.embed(x), frames))
        if len(found) != len(expected):
            failed.append(
                f"contextualize() gives {len(found)} hidden states where num_layers is "
                f"{len(expected)}"
            )
            return
        for layer, (a, b) in enumerate(zip(found, expected)):
            error = _error(a, b)
            if not error <= tolerance:
                failed.append(
                    f"contextualize(embed(local)) gives another hidden state {layer} "
                    f"than forward() (relative difference {error:.1e}): the steps must "
                    "be all of encode_packed(), and keep no state"
                )
                return


def _own(upstream, x, frames, tolerance, failed):
    """Checks that an utterance's hidden states depend on its own frames alone."""
    rows = torch.zeros(len(x), dtype=torch.bool)
    rows[frames[0] : frames[0] + frames[1] if len(frames) > 1 else None] = True
    if len(frames) == 1:
        rows[:] = True
    altered = x.clone()
    altered[rows] = 2 * altered[rows].flip(0) + 1
    before, after = (
        list(upstream.contextualize(upstream.embed(each), frames))
        for each in (x, altered)
    )
    for layer, (a, b) in enumerate(zip(after, before)):
        if not rows.all() and not _error(a[~rows], b[~rows]) <= tolerance:
            failed.append(
                f"other local frames of one utterance change hidden state {layer} of "
                "another: embed() and contextualize() must not mix utterances"
            )
            return
    if torch.equal(after[-1][rows], before[-1][rows]):
        failed.append(
            "other local frames leave the last hidden state as it is: contextualize() "
            "must compute it from the frames that it gets"
        )


def _trained(upstream, wavs, failed):
    """Checks which weights begin_pretraining() trains."""
    trained = copy.deepcopy(upstream)
    trained.freeze = False
    trained.begin_pretraining()
    trained.train()
    if not any(True for _ in trained.parameters()):
        return
    states = list(trained.encode_packed(wavs))[-max(1, len(trained.predicted_layers)) :]
    random = torch.Generator().manual_seed(0)
    sum(
        (state * torch.randn(state.shape, generator=random)).sum() for state in states
    ).backward()
    quantizer = trained.quantizer
    apart = set() if quantizer is None else set(quantizer.parameters())
    trainable = [(n, p) for n, p in trained.named_parameters() if p.requires_grad]
    without = [n for n, p in trainable if p.grad is None and p not in apart]
    if not trainable:
        failed.append("begin_pretraining() leaves no weight that is trained")
    elif without:
        failed.append(
            f"after begin_pretraining(), {len(without)} of {len(trainable)} trained "
            f"weights get no gradient from the last hidden state, {without[0]} for "
            "one: switch off, in begin_pretraining(), what it does not depend on"
        )


def _error(a, b):
    return ((a - b).abs().max() / b.abs().max().clamp_min(1e-8)).item()
