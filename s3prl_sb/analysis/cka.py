r"""Similarity of hidden states: linear centred kernel alignment (CKA).

For the frames :math:`X` [frames, size] and :math:`Y` [frames, other size] of two hidden
states, both centred,

.. math:: \|X^\top Y\|_F^2 / (\|X^\top X\|_F \, \|Y^\top Y\|_F)

is 1 if one is the other rotated and scaled, and 0 if they are uncorrelated (Kornblith
et al., https://arxiv.org/abs/1905.00414). With few frames and many dimensions it is too
large. The debiased form replaces each squared norm by the unbiased estimate of HSIC
(Song et al., https://jmlr.org/papers/v13/song12a.html); it may be slightly negative.

Authors
 * The s3prl_sb developers, 2026
"""

import logging
from collections.abc import Iterator

import numpy
import torch

from s3prl_sb.analysis.errors import AnalysisError
from s3prl_sb.analysis.utterances import HiddenStates
from s3prl_sb.lobes.time_alignment import align
from s3prl_sb.terminal import progress

logger = logging.getLogger(__name__)

BATCH = 4096  # frames that are multiplied at once
MEMORY = 4.0  # GB of products
#: The plain form is noticeably too large below this number of frames a dimension.
ENOUGH = 20


def similarity(
    first: HiddenStates,
    second: HiddenStates | None = None,
    debiased: bool = False,
    memory: float = MEMORY,
    device: str = "cpu",
    progressbar: bool = True,
) -> numpy.ndarray:
    """Returns the CKA of each pair of hidden states.

    The upstreams have run; this reads their cached frames, once for the means and then
    as often as the memory requires. A pass accumulates the products [size, other size]
    of as many pairs of hidden states as fit.

    Arguments
    ---------
    first : HiddenStates
        Hidden states of an upstream.
    second : HiddenStates, optional
        Hidden states of another one, of the same utterances. The rates of frames may
        differ: both are brought to the lower one, where the faster upstream gives the
        frame at the centre. Default: the first one.
    debiased : bool
        Whether to use the unbiased estimate of HSIC.
    memory : float
        GB of products that are accumulated at once. One pair is the least.
    device : str
        Device of the computation, which is in float64.
    progressbar : bool
        Whether to show progress.

    Returns
    -------
    numpy.ndarray
        [hidden states of the first, of the second], float64.

    Raises
    ------
    AnalysisError
        If there are too few frames, or a hidden state is the same in all of them.

    Example
    -------
    >>> import tempfile, numpy, soundfile
    >>> from s3prl_sb.analysis.utterances import hidden_states, read_records
    >>> from s3prl_sb.lobes.upstreams import load
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     soundfile.write(folder + "/a.wav", numpy.random.randn(8000) / 9, 16000)
    ...     records = read_records(folder)
    ...     states = hidden_states(load("fbank"), records, folder, "fbank")
    ...     similarity(states).round(6).tolist()
    [[1.0]]
    """
    frames = _Frames(first, second, device)
    own = len(first.layers)
    other = 0 if second is None else len(second.layers)
    sides = [(0, layer) for layer in range(own)] + [(1, n) for n in range(other)]
    means, number = frames.means(sides)
    _check_number(number, max(len(mean) for mean in means.values()), debiased)
    pairs = [(side, side) for side in sides]
    if second is None:
        pairs += [(a, b) for a in sides for b in sides if a < b]
    else:
        pairs += [(a, b) for a in sides[:own] for b in sides[own:]]
    passes = list(_passes(pairs, means, memory * 1e9))
    bar = progress.bar(
        desc="Comparing hidden states",
        total=len(passes) * len(first),
        unit="utterance",
        disable=not progressbar,
    )
    dependence = {}
    with bar:
        for some in passes:
            dependence |= _dependence(frames, some, means, number, debiased, bar.update)
    if second is None:
        dependence |= {(b, a): value for (a, b), value in dependence.items()}
    columns = sides if second is None else sides[own:]
    return _ratios(dependence, sides[:own], columns, (first, second or first))


class _Frames:
    """Batches of frames of one or two upstreams, at the lower of their frame rates."""

    def __init__(self, first, second, device):
        self.first, self.second, self.device = first, second, device
        if not len(first):
            raise AnalysisError("There are no utterances to compare hidden states on.")

    def __iter__(self) -> Iterator[tuple[int, tuple[torch.Tensor, ...]]]:
        """Yields utterances and the frames [frames, layers, size] of each upstream."""
        waiting, frames, utterances = [], 0, 0
        for utterance in self.first:
            waiting.append(self._of(utterance))
            frames, utterances = frames + len(waiting[-1][0]), utterances + 1
            if frames >= BATCH:
                yield utterances, self._joined(waiting)
                waiting, frames, utterances = [], 0, 0
        if waiting:
            yield utterances, self._joined(waiting)

    def _of(self, utterance):
        first = self.first[utterance]
        if self.second is None:
            return (first,)
        second = self.second[utterance]
        steps = (self.first.stride_seconds, self.second.stride_seconds)
        # The duration that both have frames for.
        seconds = min(len(first) * steps[0], len(second) * steps[1])
        count = torch.tensor([max(1, round(seconds / max(steps)))])
        return tuple(
            align(states.flatten(1)[None], torch.ones(1), step, max(steps), count)[
                0
            ].unflatten(1, states.shape[1:])
            for states, step in zip((first, second), steps)
        )

    def _joined(self, waiting):
        return tuple(torch.cat(states).to(self.device) for states in zip(*waiting))

    def means(self, sides):
        """Returns the mean frame of each side, and the number of frames."""
        totals, number = dict.fromkeys(sides, 0.0), 0
        for _, states in self:
            number += len(states[0])
            for upstream, layer in sides:
                frames = states[upstream][:, layer].double()
                totals[upstream, layer] = totals[upstream, layer] + frames.sum(0)
        return {side: total / number for side, total in totals.items()}, number


def _check_number(number, size, debiased):
    if debiased and number < 4:
        raise AnalysisError(
            f"There are {number} frames; the debiased form needs 4 at least."
        )
    if not debiased and number < ENOUGH * size:
        logger.warning(
            "%d frames are few for %d dimensions: the similarities are too large. Give "
            "more audio, or --debiased.",
            number,
            size,
        )


def _passes(pairs, means, most):
    """Yields the pairs of each pass: their products fit into `most` bytes."""
    some, used = [], 0
    for a, b in pairs:
        needed = 8 * len(means[a]) * len(means[b])
        if some and used + needed > most:
            yield some
            some, used = [], 0
        some.append((a, b))
        used += needed
    if some:
        yield some


def _dependence(frames, pairs, means, number, debiased, tick):
    """Returns the squared norm of the product of each pair, or n (n - 3) times HSIC."""
    sides = list(dict.fromkeys(side for pair in pairs for side in pair))
    products, both, alone = {}, dict.fromkeys(pairs, 0.0), dict.fromkeys(sides, 0.0)
    for utterances, states in frames:
        centred = {
            side: states[side[0]][:, side[1]].double() - means[side] for side in sides
        }
        squares = {side: values.square().sum(1) for side, values in centred.items()}
        for side in sides:
            alone[side] += squares[side].sum().item()
        for a, b in pairs:
            if (a, b) not in products:
                shape = (len(means[a]), len(means[b]))
                products[a, b] = torch.zeros(shape).to(means[a])
            products[a, b].addmm_(centred[a].T, centred[b])
            both[a, b] += (squares[a] @ squares[b]).item()
        tick(utterances)
    values = {pair: product.square().sum().item() for pair, product in products.items()}
    if debiased:
        for a, b in pairs:
            values[a, b] -= number / (number - 2) * both[a, b]
            values[a, b] += alone[a] * alone[b] / ((number - 1) * (number - 2))
    return values


def _ratios(dependence, rows, columns, upstreams):
    for side in dict.fromkeys([*rows, *columns]):
        if dependence[side, side] <= 0:
            states = upstreams[side[0]]
            raise AnalysisError(
                f"Hidden state {states.layers[side[1]]} of {states.name} hardly varies "
                "over the frames, so nothing is similar to it. Give more audio, or "
                "choose other --layers."
            )
    return numpy.array(
        [
            [
                dependence[a, b] / (dependence[a, a] * dependence[b, b]) ** 0.5
                for b in columns
            ]
            for a in rows
        ]
    )
