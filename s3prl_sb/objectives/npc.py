"""Non-autoregressive predictive coding: NPC.

Paper: Liu et al., "Non-Autoregressive Predictive Coding for Learning Speech
Representations from Local Dependencies", https://arxiv.org/abs/2011.00406.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Sequence
from typing import Any

import torch

from s3prl_sb.lobes.pretext.arguments import require
from s3prl_sb.lobes.pretext.draws import Draws
from s3prl_sb.lobes.pretext.prediction_heads import linear_head
from s3prl_sb.objectives.base import Outcome, Picture
from s3prl_sb.objectives.receptive_field import (
    last_state,
    require_features,
    require_hidden_frame,
)
from s3prl_sb.objectives.reconstruction import Reconstruction
from s3prl_sb.objectives.targets import unit_of


class NPC(Reconstruction):
    """Reconstructs each frame from the frames around it.

    The network masks the frame itself. With a ``quantizer`` in the network, the last
    hidden state becomes codes, chosen by a hard Gumbel soft-max in training.

    Arguments
    ---------
    network : s3prl_sb.lobes.upstreams.base.Upstream
        Network over acoustic features of which no frame sees itself, see
        :class:`~s3prl_sb.objectives.base.Objective`.
    temperature : float
        Temperature of the Gumbel soft-max.
    seed : int
        Seed of the random weights of the head.

    Raises
    ------
    UnfitNetwork
        If a frame sees itself, or the network learns frames from the waveform.

    Example
    -------
    >>> from s3prl_sb.lobes.upstreams.npc import Npc
    >>> npc = NPC(Npc(config={"hidden_size": 32}, freeze=False))
    >>> outcome = npc([torch.randn(16000)], Draws(0, epochs=[0], rows=[0]))
    >>> outcome.loss.backward()
    >>> outcome.count.item() == 98 * 80
    True
    """

    trains_quantizer = True

    def __init__(self, network: Any, temperature: float = 1.0, seed: int = 0):
        require("whole", low=0, seed=seed)
        super().__init__(network, temperature=temperature)
        require_features(network, "NPC")
        require_hidden_frame(network)
        self.head = linear_head(network.output_size, network.local_size, seed)

    def forward(
        self,
        wavs: Sequence[torch.Tensor],
        draws: Draws,
        codes: Sequence[torch.Tensor] | None = None,
    ) -> Outcome:
        """See :class:`~s3prl_sb.objectives.base.Objective`."""
        predicted, target, frames, sums = self._predicted(wavs, draws)
        return self.outcome(predicted, target, frames, **sums)

    @torch.no_grad()
    def picture(self, wav: torch.Tensor, draws: Draws) -> Picture:
        """See :class:`~s3prl_sb.objectives.base.Objective`."""
        predicted, target, *_ = self._predicted([wav], draws)
        return Picture(target, target, predicted, unit_of(self.network.features))

    def _predicted(self, wavs, draws):
        """Returns predicted and target frames, the number of them in each utterance,
        and sums."""
        x, frames = self.network.local(wavs)
        state = last_state(self.network, self.network.embed(x), frames)
        generators = [draws.of(i, "code") for i in range(len(frames))]
        predicted, sums = self.decode(state, frames, generators)
        return predicted, x, frames, sums
