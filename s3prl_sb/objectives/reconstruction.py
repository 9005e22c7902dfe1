"""Base class of the objectives that predict acoustic features.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Sequence
from typing import Any

import numpy
import torch

from s3prl_sb.lobes.pretext.arguments import require
from s3prl_sb.lobes.pretext.class_counts import occurrences, perplexity
from s3prl_sb.lobes.pretext.gumbel import gumbel_noise
from s3prl_sb.lobes.pretext.ratios import ratio
from s3prl_sb.objectives.base import Objective, Outcome

LOSSES = ("l1", "mse")


class Reconstruction(Objective):
    """Predicts acoustic features, with a loss for each element of a frame.

    A subclass has a ``head``, and calls :meth:`outcome` in its ``forward``. The loss is
    the mean over elements, as in S3PRL.

    Arguments
    ---------
    network : s3prl_sb.lobes.upstreams.base.Upstream
        See :class:`~s3prl_sb.objectives.base.Objective`.
    loss : str
        "l1": absolute difference; "mse": squared difference.
    temperature : float
        Temperature of the network's ``quantizer``, if the objective trains it.
    """

    head: torch.nn.Module  #: predicts frames from the last hidden state

    def __init__(self, network: Any, loss: str = "l1", temperature: float = 1.0):
        if loss not in LOSSES:
            raise ValueError(f"loss must be one of {', '.join(LOSSES)}, not '{loss}'")
        require("number", above=0, temperature=temperature)
        super().__init__(network)
        self.loss, self.temperature = loss, temperature

    def difference(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Returns the loss of each element, float32."""
        difference = a.float() - b.float()
        return difference.abs() if self.loss == "l1" else difference.square()

    def outcome(
        self,
        predicted: torch.Tensor,
        target: torch.Tensor,
        frames: Sequence[int],
        label: torch.Tensor | None = None,
        **sums: torch.Tensor,
    ) -> Outcome:
        """Returns the loss of predicted frames.

        Arguments
        ---------
        predicted, target : torch.Tensor
            [total_frames, size].
        frames : list of int
            Number of frames of each utterance.
        label : torch.Tensor, optional
            [total_frames, size], bool: elements that count. None: all of them.
        **sums : torch.Tensor
            Further sums.

        Returns
        -------
        Outcome
            Its sums have ``all``, the loss of all elements, their number ``elements``,
            and ``guessed``, the loss of the utterance's mean where the label is.
        """
        label = torch.ones_like(target, dtype=torch.bool) if label is None else label
        error = self.difference(predicted, target)
        with torch.no_grad():
            mean = utterance_means(target, frames)
            guessed = self.difference(mean, target).masked_fill(~label, 0)
            sums["guessed"] = guessed.sum(dtype=torch.float64)
            sums["all"] = error.detach().sum(dtype=torch.float64)
            sums["elements"] = torch.tensor(label.numel(), device=label.device)
        return Outcome(error.masked_fill(~label, 0).sum(), label.sum(), sums)

    def decode(
        self,
        state: torch.Tensor,
        frames: Sequence[int],
        generators: Sequence[numpy.random.Generator],
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Predicts frames from the last hidden state, quantized if the network has a
        quantizer.

        Arguments
        ---------
        state : torch.Tensor
            [total_frames, output_size].
        frames : list of int
            Number of frames of each utterance.
        generators : list of numpy.random.Generator
            Random numbers of each utterance, for the choice of codes in training.

        Returns
        -------
        predicted : torch.Tensor
            [total_frames, size].
        sums : dict
            ``codes``, the number of frames with each code, part after part.
        """
        quantizer = self.network.quantizer
        if quantizer is None:
            return self.head(state), {}
        sizes, noise = quantizer.codebook_sizes, None
        if self.training:
            noise = gumbel_noise(generators, frames, sum(sizes), state.device)
        vectors, codes = quantizer.quantized(state, noise, self.temperature)
        parts = zip(codes.unbind(-1), sizes)
        counts = [occurrences(part, size) for part, size in parts]
        return self.head(vectors), {"codes": torch.cat(counts)}

    def measures(self, sums: dict[str, torch.Tensor]) -> dict[str, float]:
        """See :class:`~s3prl_sb.objectives.base.Objective`.

        ``chance`` is the loss of predicting the mean of the utterance, and
        ``code_perplexity`` the perplexity of codes, the mean over the parts of a frame.
        """
        measures = super().measures(sums)
        measures["chance"] = ratio(sums["guessed"], sums["count"])
        for counts in self.codes(sums).values():
            perplexities = [perplexity(part) for part in counts]
            measures["code_perplexity"] = sum(perplexities) / len(perplexities)
        return measures

    def codes(self, sums: dict[str, torch.Tensor]) -> dict[str, list[torch.Tensor]]:
        """Returns how often each code of the network's quantizer is used."""
        if "codes" not in sums:
            return {}
        return {"codes": [*sums["codes"].split(self.network.quantizer.codebook_sizes)]}

    def alarms(self, measures: dict[str, float]) -> list[str]:
        """See :class:`~s3prl_sb.objectives.base.Objective`."""
        if measures.get("code_perplexity", 2) < 1.1:
            return [
                "The quantizer uses a single code (perplexity "
                f"{measures['code_perplexity']:.2f}), so that hidden states cannot "
                "reach the prediction. Lower lr, or raise temperature."
            ]
        return []


def utterance_means(x: torch.Tensor, frames: Sequence[int]) -> torch.Tensor:
    """Returns the mean frame of its utterance for each frame, [total_frames, size].

    Example
    -------
    >>> utterance_means(torch.tensor([[1.0], [3.0], [7.0]]), [2, 1]).tolist()
    [[2.0], [2.0], [7.0]]
    """
    pieces = x.split(list(frames)) if frames else ()
    means = [piece.mean(0, keepdim=True).expand_as(piece) for piece in pieces]
    return torch.cat([x[:0], *means])
