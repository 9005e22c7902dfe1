"""Pre-training of BEST-RQ.

Paper: Chiu et al., "Self-supervised Learning with Random-projection Quantizer for
Speech Recognition", ICML 2022, https://arxiv.org/abs/2202.01855.

Authors
 * The s3prl_sb developers, 2026
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy
import torch
import torch.nn.functional as F

from s3prl_sb.lobes.pretext.arguments import require
from s3prl_sb.lobes.pretext.class_counts import chance, occurrences, perplexity
from s3prl_sb.lobes.pretext.draws import Draws
from s3prl_sb.lobes.pretext.random_projection import RandomProjectionQuantizer
from s3prl_sb.lobes.pretext.ratios import ratio
from s3prl_sb.lobes.pretext.spans import BernoulliSpanMask, Mask, checked_mask
from s3prl_sb.objectives.base import Objective, Outcome
from s3prl_sb.objectives.receptive_field import last_state
from s3prl_sb.objectives.targets import frames_of, stacked

#: Smallest share of the codes that a healthy perplexity is.
USED = 0.01
EPSILON = 1e-5  # of standard deviations


class BestRq(Objective):
    """Predicts random codes of masked frames.

    Spans of a network's acoustic features are replaced by noise, and the last hidden
    state predicts the codes of the true features there. The codes come from a frozen
    :class:`~s3prl_sb.lobes.pretext.random_projection.RandomProjectionQuantizer` over
    features that are normalized in each utterance.

    A network over the waveform needs a ``target`` for the codes; its masked frames are
    replaced by a learned vector at the input of the encoder.

    Arguments
    ---------
    network : s3prl_sb.lobes.upstreams.base.Upstream
        See :class:`~s3prl_sb.objectives.base.Objective`.
    mask : callable, optional
        Mask of the network's frames of an utterance, by default
        :class:`~s3prl_sb.lobes.pretext.spans.BernoulliSpanMask` (0.04, 10): the
        paper's spans of 400 ms where a frame is 40 ms.
    target : s3prl_sb.lobes.upstreams.features.AcousticFeatures, optional
        Features that have the codes; they are stacked to the network's stride. None:
        those that the network sees.
    entries : int
        Number of codewords. With less than an hour of audio 512 to 1024 are better.
    code_size : int
        Size of the projected frames.
    codebook_seed : int
        Seed of projection and codebook.
    noise_std : float
        Standard deviation of the noise, in standard deviations of each feature in the
        utterance.
    seed : int
        Seed of the weights that the network does not have.

    Raises
    ------
    UnfitNetwork
        If ``target`` is missing or has a stride that does not fit.

    Note
    ----
    SpeechBrain's recipe masks a whole batch alike, and normalizes over the batch in its
    first versions. Here a mask depends on the utterance alone. The noise has the
    scale of the features, so that it is the paper's for normalized features.

    Example
    -------
    >>> from s3prl_sb.lobes.upstreams.mockingjay import Mockingjay
    >>> tiny = {"transformer": {"hidden_size": 32, "num_attention_heads": 4}}
    >>> objective = BestRq(Mockingjay(config=tiny, freeze=False), entries=512)
    >>> outcome = objective([torch.randn(16000)], Draws(0, epochs=[1], rows=[0]))
    >>> outcome.loss.shape, outcome.sums["codes"].shape
    (torch.Size([]), torch.Size([512]))
    """

    def __init__(
        self,
        network: Any,
        mask: Mask | None = None,
        target: Any = None,
        entries: int = 8192,
        code_size: int = 16,
        codebook_seed: int = 0,
        noise_std: float = 0.1,
        seed: int = 0,
    ):
        require("whole", low=2, entries=entries)
        require("whole", low=1, code_size=code_size)
        require("whole", low=0, seed=seed, codebook_seed=codebook_seed)
        require("number", low=0, noise_std=noise_std)
        super().__init__(network)
        self.mask = checked_mask(BernoulliSpanMask(0.04, 10) if mask is None else mask)
        self.target, self.noise_std = target, noise_std
        self.stack, size = stacked(network, target, "given random codes")
        self.quantizer = RandomProjectionQuantizer(
            size, entries, code_size, codebook_seed
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.head = torch.nn.Linear(network.output_size, entries)
            if target is not None:
                self.mask_vector = torch.nn.Parameter(torch.rand(network.embedded_size))

    def forward(
        self,
        wavs: Sequence[torch.Tensor],
        draws: Draws,
        codes: Sequence[torch.Tensor] | None = None,
    ) -> Outcome:
        """See :meth:`~s3prl_sb.objectives.base.Objective.forward`."""
        local, frames = self.network.local(wavs)
        masks = [self.mask(n, draws.of(i, "mask")) for i, n in enumerate(frames)]
        masked = torch.from_numpy(numpy.concatenate(masks)).to(local.device)
        if self.target is None:
            pieces = local.split(frames)
            x = self.network.embed(self._altered(pieces, masked, draws))
        else:
            pieces = [self._stacked(wav, n) for wav, n in zip(wavs, frames)]
            x = self.network.embed(local)
            x = torch.where(masked[:, None], self.mask_vector.to(x.dtype), x)
        logits = self.head(last_state(self.network, x, frames)[masked]).float()
        with torch.no_grad():
            targets = torch.cat([_normalized(piece) for piece in pieces])[masked]
            targets = self.quantizer(targets)
        loss = F.cross_entropy(logits, targets, reduction="sum")
        sums = {
            "correct": (logits.argmax(-1) == targets).sum(),
            "codes": occurrences(targets, logits.shape[-1]),
            "frames": torch.tensor(len(masked), device=loss.device),
        }
        return Outcome(loss, masked.sum(), sums)

    def _altered(self, pieces, masked, draws):
        """Returns features whose masked frames are noise."""
        altered = []
        for i, piece in enumerate(pieces):
            shape = tuple(piece.shape)
            noise = draws.of(i, "noise").standard_normal(shape, numpy.float32)
            std, mean = _moments(piece)
            noise = torch.from_numpy(noise).to(piece.device) * self.noise_std
            altered.append((noise * std + mean).to(piece.dtype))
        return torch.where(masked[:, None], torch.cat(altered), torch.cat(pieces))

    def _stacked(self, wav, frames):
        """Returns the features under each frame of the network, [frames, size]."""
        x = frames_of(self.target, wav)
        # The last frame of the network may be the longer one.
        places = torch.arange(frames * self.stack, device=x.device)
        return x[places.clamp_max(len(x) - 1)].view(frames, -1)

    def measures(self, sums: dict[str, torch.Tensor]) -> dict[str, float]:
        """Returns the loss and what shows early how the training goes.

        Arguments
        ---------
        sums : dict
            See :meth:`~s3prl_sb.objectives.base.Objective.measures`.

        Returns
        -------
        dict
            ``loss``, the cross-entropy in nats; ``chance``, that of a model that knows
            no more than how frequent the codes are; ``uniform``, that of guessing among
            all codes; ``accuracy``; ``codes_used``; ``perplexity`` of the codes;
            ``masked``, a share of frames; ``predictions``, their number.
        """
        count = sums["count"]
        return {
            "loss": ratio(sums["loss"], count),
            "chance": chance(sums["codes"]),
            "uniform": math.log(len(sums["codes"])),
            "accuracy": ratio(sums["correct"], count),
            "codes_used": float((sums["codes"] > 0).sum()),
            "perplexity": perplexity(sums["codes"]),
            "masked": ratio(count, sums["frames"]),
            "predictions": float(count),
        }

    def codes(self, sums: dict[str, torch.Tensor]) -> dict[str, list[torch.Tensor]]:
        """Returns how often each code is that of a masked frame, see the base class."""
        return {"codes": [sums["codes"]]}

    def alarms(self, measures: dict[str, float]) -> list[str]:
        """Returns a sentence if nearly all frames have the same few codes."""
        codes, spread = self.head.out_features, measures["perplexity"]
        if measures["predictions"] == 0:
            return [
                "No frame is masked, so that nothing is learned. The utterances are "
                "too short for the mask: raise min_seconds, or its probability."
            ]
        # A few frames cannot have many codes.
        if spread >= min(USED * codes, measures["predictions"] / 10):
            return []
        return [
            f"The frames have few of the {codes} codes (perplexity {spread:.1f}), as "
            "without normalization. Check that the audio is speech and not silence; "
            "with little audio set fewer entries of the objective, such as 512."
        ]


def _moments(x):
    """Returns standard deviation and mean of each feature, in fp32."""
    x = x.float()
    return x.std(0, correction=0).clamp_min(EPSILON), x.mean(0)


def _normalized(x):
    """Returns features with mean 0 and variance 1 in the utterance, in fp32."""
    std, mean = _moments(x)
    return (x.float() - mean) / std
