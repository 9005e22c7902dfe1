"""Reconstruction of altered frames: Mockingjay, TERA, Audio ALBERT, SpecAugment.

Papers: Liu et al., "Mockingjay: Unsupervised Speech Representation Learning with Deep
Bidirectional Transformer Encoders", https://arxiv.org/abs/1910.12638; Liu et al.,
"TERA: Self-Supervised Learning of Transformer Encoder Representation for Speech",
https://arxiv.org/abs/2007.06028; Chi et al., "Audio ALBERT",
https://arxiv.org/abs/2005.08575.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Sequence
from typing import Any

import torch

from s3prl_sb.lobes.pretext.alterations import Alteration, altered, checked_alterations
from s3prl_sb.lobes.pretext.arguments import require
from s3prl_sb.lobes.pretext.draws import Draws
from s3prl_sb.lobes.pretext.prediction_heads import SpecHead
from s3prl_sb.lobes.pretext.ratios import ratio
from s3prl_sb.objectives.base import Outcome, Picture
from s3prl_sb.objectives.receptive_field import last_state, learns_frames
from s3prl_sb.objectives.reconstruction import Reconstruction
from s3prl_sb.objectives.targets import frames_of, stacked, unit_of


class MaskedReconstruction(Reconstruction):
    """Alters frames, and reconstructs them from the last hidden state.

    The frames of a network over acoustic features are altered before the encoder
    embeds them, and are the target. A network over the waveform learns its frames:
    they are altered after the embedding, and the target is another ``target``.

    The frames of a ``target`` are stacked to the stride of the network: if that is k
    times as long, frame t of the network predicts frames k t to k t + k - 1 together.
    An utterance ends with the shorter of the two. Kaldi's frames at 10 ms and the
    convolutions of wav2vec 2.0 begin at the same sample.

    Arguments
    ---------
    network : s3prl_sb.lobes.upstreams.base.Upstream
        See :class:`~s3prl_sb.objectives.base.Objective`.
    alterations : list of Alteration
        Alterations, the first one first. Without any, or with noise alone, everything
        is reconstructed.
    loss : str
        "l1" or "mse", over the elements that the alterations label.
    head_size : int, optional
        Size of the hidden layer of the prediction head. None: that of the last hidden
        state.
    target : s3prl_sb.lobes.upstreams.features.AcousticFeatures, optional
        Features to reconstruct. None: those that the network sees. A frame of another
        target counts as a whole if any element is altered.
    seed : int
        Seed of the random weights of the head.

    Raises
    ------
    UnfitNetwork
        If ``target`` is missing or has a stride that does not fit.

    Note
    ----
    A ``target`` reads the waveform as it is, also where the network scales it to a
    level. Log features with CMVN only differ by their floor of 1e-10.

    Example
    -------
    >>> from s3prl_sb.lobes.pretext.alterations import FrequencyMask, TimeMask
    >>> from s3prl_sb.lobes.upstreams.mockingjay import Tera
    >>> tiny = {"transformer": {"hidden_size": 32, "num_attention_heads": 4}}
    >>> network = Tera(config=tiny, freeze=False)
    >>> tera = MaskedReconstruction(network, [TimeMask(), FrequencyMask()])
    >>> wavs = [torch.randn(16000), torch.randn(8000)]
    >>> outcome = tera(wavs, Draws(0, epochs=[0, 0], rows=[0, 1]))
    >>> outcome.loss.backward()
    >>> sums = {"loss": outcome.loss.detach(), "count": outcome.count, **outcome.sums}
    >>> list(tera.measures(sums))
    ['loss', 'chance', 'loss_all', 'altered']
    """

    def __init__(
        self,
        network: Any,
        alterations: Sequence[Alteration],
        loss: str = "l1",
        head_size: int | None = None,
        target: Any = None,
        seed: int = 0,
    ):
        require("whole", low=0, seed=seed)
        if head_size is not None:
            require("whole", low=1, head_size=head_size)
        super().__init__(network, loss)
        self.alterations, self.target = checked_alterations(alterations), target
        self.learned = learns_frames(network)
        self.stack, size = stacked(network, target, "reconstructed")
        self.head = SpecHead(network.output_size, size, head_size, seed)

    def forward(
        self,
        wavs: Sequence[torch.Tensor],
        draws: Draws,
        codes: Sequence[torch.Tensor] | None = None,
    ) -> Outcome:
        """See :class:`~s3prl_sb.objectives.base.Objective`."""
        _, label, predicted, target, frames = self._reconstructed(wavs, draws)
        return self.outcome(predicted, target, frames, label)

    def measures(self, sums: dict[str, torch.Tensor]) -> dict[str, float]:
        """See :class:`~s3prl_sb.objectives.base.Objective`.

        ``loss_all`` is the loss of all elements, ``altered`` the share of those in
        ``loss``.
        """
        elements = sums["elements"]
        return super().measures(sums) | {
            "loss_all": ratio(sums["all"], elements),
            "altered": ratio(sums["count"], elements),
        }

    def alarms(self, measures: dict[str, float]) -> list[str]:
        """See :class:`~s3prl_sb.objectives.base.Objective`."""
        if measures["altered"] == 0:
            return [
                "No frame is altered, so that nothing is learned. The utterances are "
                "too short for the alterations: raise min_seconds, or their share."
            ]
        return super().alarms(measures)

    @torch.no_grad()
    def picture(self, wav: torch.Tensor, draws: Draws) -> Picture:
        """See :class:`~s3prl_sb.objectives.base.Objective`."""
        x, label, predicted, target, _ = self._reconstructed([wav], draws)
        if self.target is not None:  # the input may have no picture
            x = target.masked_fill(label, 0)
        unit = unit_of(self.network.features if self.target is None else self.target)
        return Picture(target, x, predicted, unit)

    def _reconstructed(self, wavs, draws):
        """Returns altered frames, label, predicted and target frames, and the number
        of frames of each utterance."""
        x, frames = self.network.local(wavs)
        target = x.detach()
        x = self.network.embed(x) if self.learned else x
        pieces = [
            altered(piece, self.alterations, draws.of(i, "alteration"))
            for i, piece in enumerate(x.split(frames))
        ]
        x, label = (torch.cat(part) for part in zip(*pieces))
        embedded = x if self.learned else self.network.embed(x)
        predicted = self.head(last_state(self.network, embedded, frames))
        if self.target is None:
            return x, label, predicted, target, frames
        targets = [self._target_frames(wav) for wav in wavs]
        shorter = [min(n, len(piece)) for n, piece in zip(frames, targets)]
        target = torch.cat([piece[:n] for piece, n in zip(targets, shorter)])
        predicted, label = (
            torch.cat([piece[:n] for piece, n in zip(part.split(frames), shorter)])
            for part in (predicted, label.any(1, keepdim=True))
        )
        return x, label.expand_as(target), predicted, target, shorter

    def _target_frames(self, wav):
        """Returns the target of an utterance, [frames, size], stacked."""
        x = frames_of(self.target, wav)
        whole = len(x) // self.stack
        return x[: whole * self.stack].reshape(whole, self.stack * x.shape[1])
