"""Autoregressive predictive coding: APC and VQ-APC.

Papers: Chung et al., "An Unsupervised Autoregressive Model for Speech Representation
Learning", https://arxiv.org/abs/1904.03240; Chung et al., "Vector-Quantized
Autoregressive Predictive Coding", https://arxiv.org/abs/2005.08392.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Sequence
from typing import Any

import torch

from s3prl_sb.lobes.pretext.arguments import require
from s3prl_sb.lobes.pretext.draws import Draws
from s3prl_sb.lobes.pretext.prediction_heads import linear_head
from s3prl_sb.lobes.pretext.ratios import ratio
from s3prl_sb.objectives.base import Outcome, Picture
from s3prl_sb.objectives.receptive_field import (
    last_state,
    require_features,
    require_past_only,
)
from s3prl_sb.objectives.reconstruction import Reconstruction
from s3prl_sb.objectives.targets import unit_of


class APC(Reconstruction):
    """Predicts a future frame from the frames up to the present one.

    With a ``quantizer`` in the network it is VQ-APC: the last hidden state becomes
    codes, chosen by a hard Gumbel soft-max in training.

    Arguments
    ---------
    network : s3prl_sb.lobes.upstreams.base.Upstream
        Network over acoustic features that sees no later frame, see
        :class:`~s3prl_sb.objectives.base.Objective`.
    n_future : int
        Distance of the predicted frame. Shorter utterances contribute nothing.
    temperature : float
        Temperature of the Gumbel soft-max.
    seed : int
        Seed of the random weights of the head.

    Raises
    ------
    UnfitNetwork
        If the network sees later frames, or learns them from the waveform.

    Note
    ----
    S3PRL's loss also counts the padding of a batch, where the target is zero. Here it
    is the mean over true frames.

    Example
    -------
    >>> from s3prl_sb.lobes.upstreams.apc import Apc
    >>> network = Apc(config={"hidden_size": 32, "codebook_size": [16]}, freeze=False)
    >>> apc = APC(network, n_future=3)
    >>> outcome = apc([torch.randn(16000)], Draws(0, epochs=[0], rows=[0]))
    >>> outcome.loss.backward()
    >>> outcome.count.item() == (98 - 3) * 80
    True
    >>> sums = {"loss": outcome.loss.detach(), "count": outcome.count, **outcome.sums}
    >>> list(apc.measures(sums))
    ['loss', 'chance', 'code_perplexity', 'copied']
    """

    trains_quantizer = True

    def __init__(
        self,
        network: Any,
        n_future: int = 5,
        temperature: float = 0.5,
        seed: int = 0,
    ):
        require("whole", low=1, n_future=n_future)
        require("whole", low=0, seed=seed)
        super().__init__(network, temperature=temperature)
        require_features(network, "APC")
        require_past_only(network)
        self.n_future = n_future
        self.head = linear_head(network.output_size, network.local_size, seed)

    def forward(
        self,
        wavs: Sequence[torch.Tensor],
        draws: Draws,
        codes: Sequence[torch.Tensor] | None = None,
    ) -> Outcome:
        """See :class:`~s3prl_sb.objectives.base.Objective`."""
        past, predicted, target, frames, sums = self._predicted(wavs, draws)
        copied = self.difference(past, target).sum(dtype=torch.float64)
        outcome = self.outcome(predicted, target, frames, copied=copied, **sums)
        if frames:
            return outcome
        trained = [p.sum() for p in self.parameters() if p.requires_grad]
        return outcome._replace(loss=outcome.loss + 0 * sum(trained))

    def measures(self, sums: dict[str, torch.Tensor]) -> dict[str, float]:
        """See :class:`~s3prl_sb.objectives.base.Objective`.

        ``copied`` is the loss of predicting the present frame.
        """
        copied = ratio(sums["copied"], sums["count"])
        return super().measures(sums) | {"copied": copied}

    @torch.no_grad()
    def picture(self, wav: torch.Tensor, draws: Draws) -> Picture:
        """See :class:`~s3prl_sb.objectives.base.Objective`."""
        past, predicted, target, *_ = self._predicted([wav], draws)
        return Picture(target, past, predicted, unit_of(self.network.features))

    def _predicted(self, wavs, draws):
        """Returns past, predicted and target frames, the number of them in each
        utterance, and sums."""
        x, frames = self.network.local(wavs)
        kept = [i for i, count in enumerate(frames) if count > self.n_future]
        pieces = [x.split(frames)[i] for i in kept]
        frames = [frames[i] - self.n_future for i in kept]
        # Without utterances they are empty.
        past = torch.cat([x[:0], *(piece[: -self.n_future] for piece in pieces)])
        target = torch.cat([x[:0], *(piece[self.n_future :] for piece in pieces)])
        state = past.new_zeros(0, self.network.output_size)
        if frames:
            state = last_state(self.network, self.network.embed(past), frames)
        generators = [draws.of(i, "code") for i in kept]
        predicted, sums = self.decode(state, frames, generators)
        return past, predicted, target, frames, sums
