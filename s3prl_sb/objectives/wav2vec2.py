"""Pre-training of wav2vec 2.0.

Paper: Baevski et al., "wav2vec 2.0: A Framework for Self-Supervised Learning of Speech
Representations", NeurIPS 2020, https://arxiv.org/abs/2006.11477.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Sequence
from typing import Any

import numpy
import torch
import torch.nn.functional as F

from s3prl_sb.lobes.networks.gradient_scale import scale_gradient
from s3prl_sb.lobes.pretext.arguments import ArgumentError, require
from s3prl_sb.lobes.pretext.contrastive import contrast, draw_negatives
from s3prl_sb.lobes.pretext.draws import Draws
from s3prl_sb.lobes.pretext.gumbel import gumbel_noise
from s3prl_sb.lobes.pretext.gumbel_quantizer import (
    GumbelQuantizer,
    Quantized,
    perplexity,
)
from s3prl_sb.lobes.pretext.ratios import ratio
from s3prl_sb.lobes.pretext.spans import Mask, SpanMask, checked_mask
from s3prl_sb.objectives.base import Objective, Outcome
from s3prl_sb.objectives.receptive_field import last_state

#: Share of the training after which ``temperature_decay: auto`` reaches the end.
COOL = 0.7
#: Shares of predictions without a valid distractor: above, a hint, and an alarm.
ALONE, LOST = 0.01, 0.5


class Wav2Vec2Objective(Objective):
    """Chooses the quantized true frame among distractors, at masked frames.

    Spans of the encoder's input are replaced by a learned vector. The output at each
    masked frame is compared with the quantized local frame there, and with those of
    other frames of the utterance. The loss is the cross-entropy, plus
    ``diversity_weight`` times the share of unused codewords, plus ``penalty_weight``
    times the mean square of the local frames, the two times the number of masked
    frames.

    Arguments
    ---------
    network : s3prl_sb.lobes.upstreams.base.Upstream
        See :class:`~s3prl_sb.objectives.base.Objective`.
    mask : callable, optional
        Mask of an utterance, by default
        :class:`~s3prl_sb.lobes.pretext.spans.SpanMask` (0.65, 10).
    groups, entries : int
        Number of codebooks, and of codewords in each.
    code_size : int
        Size of the codewords of all groups together.
    final_size : int
        Size of the vectors that are compared.
    num_negatives : int
        Distractors of a masked frame.
    negatives : str
        "masked": distractors are other masked frames; "all": any other frames, which
        is more robust, but an easier task.
    logit_temperature : float
        Divisor of the cosines.
    temperature : list of float
        First and last temperature of the Gumbel soft-max.
    temperature_decay : str or float
        Factor of each update, 0.999995 in the paper. "auto": the last temperature is
        reached after 70 % of the training, which is nearly the paper's factor for its
        400,000 updates, and fits shorter trainings.
    diversity_weight, penalty_weight : float
        Weights of the two additional losses.
    feature_grad_mult : float
        Factor of the gradient of the local frames.
    dropout_features : float
        Dropout of the frames that are quantized.
    seed : int
        Seed of the weights that the network does not have.

    Note
    ----
    As in fairseq, the diversity and the penalty are means over the batch. Only the
    masked frames are quantized, unless ``negatives`` is "all", and only they count for
    the perplexity. In evaluation the perplexity is that of the chosen codewords, as in
    transformers; in training that of their probabilities.

    Example
    -------
    >>> from s3prl_sb.lobes.upstreams.wav2vec2 import Wav2Vec2
    >>> tiny = {"hidden_size": 32, "ffn_size": 64, "num_layers": 1, "num_heads": 4,
    ...     "conv_layers": [[16, 10, 5], [16, 8, 64]]}
    >>> objective = Wav2Vec2Objective(Wav2Vec2(config=tiny, freeze=False),
    ...     entries=8, code_size=16, final_size=16, num_negatives=5)
    >>> outcome = objective([torch.randn(9000)], Draws(0, epochs=[1], rows=[0]))
    >>> bool(outcome.loss > 0), 5 <= outcome.count.item() <= 27
    (True, True)
    """

    def __init__(
        self,
        network: Any,
        mask: Mask | None = None,
        groups: int = 2,
        entries: int = 320,
        code_size: int = 256,
        final_size: int = 256,
        num_negatives: int = 100,
        negatives: str = "masked",
        logit_temperature: float = 0.1,
        temperature: Sequence[float] = (2.0, 0.5),
        temperature_decay: str | float = "auto",
        diversity_weight: float = 0.1,
        penalty_weight: float = 10.0,
        feature_grad_mult: float = 0.1,
        dropout_features: float = 0.1,
        seed: int = 0,
    ):
        if negatives not in ("masked", "all"):
            raise ValueError(f"negatives must be masked or all, not '{negatives}'.")
        require("whole", low=2, entries=entries)
        require("whole", low=1, final_size=final_size, num_negatives=num_negatives)
        require("whole", low=0, seed=seed)
        require("number", above=0, logit_temperature=logit_temperature)
        weights = {
            "diversity_weight": diversity_weight,
            "penalty_weight": penalty_weight,
        }
        require("number", low=0, **weights, feature_grad_mult=feature_grad_mult)
        require("number", low=0, high=1, dropout_features=dropout_features)
        _check_cooling(temperature, temperature_decay)
        super().__init__(network)
        self.mask = checked_mask(SpanMask() if mask is None else mask)
        self.num_negatives, self.negatives = num_negatives, negatives
        self.logit_temperature = logit_temperature
        self.temperature, self.temperature_decay = temperature, temperature_decay
        self.diversity_weight, self.penalty_weight = diversity_weight, penalty_weight
        self.feature_grad_mult = feature_grad_mult
        self.dropout_features = dropout_features
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.mask_vector = torch.nn.Parameter(torch.rand(network.embedded_size))
            self.final_projection = torch.nn.Linear(network.output_size, final_size)
            self.quantizer = GumbelQuantizer(
                network.local_size, groups, entries, code_size
            )
            self.quantized_projection = torch.nn.Linear(code_size, final_size)
        self.quantizer.temperature = temperature[0]

    def set_step(self, step: int, total: int) -> None:
        """Sets the temperature of the Gumbel soft-max."""
        start, end = self.temperature
        if self.temperature_decay == "auto":
            decay = (end / start) ** (1 / max(1.0, COOL * total))
        else:
            decay = float(self.temperature_decay)
        self.quantizer.temperature = max(start * decay**step, end)

    def forward(
        self,
        wavs: Sequence[torch.Tensor],
        draws: Draws,
        codes: Sequence[torch.Tensor] | None = None,
    ) -> Outcome:
        """See :meth:`~s3prl_sb.objectives.base.Objective.forward`."""
        local, frames = self.network.local(wavs)
        local = scale_gradient(local, self.feature_grad_mult)
        penalty = local.float().pow(2).mean()
        masks = [self.mask(n, draws.of(i, "mask")) for i, n in enumerate(frames)]
        masked = torch.from_numpy(numpy.concatenate(masks)).to(local.device)

        predictions = self.final_projection(self._context(local, frames, masked))
        kept = masks if self.negatives == "masked" else [m | True for m in masks]
        quantized = self._quantize(local, kept, draws)
        candidates = self.quantized_projection(quantized.vectors)
        loss, correct, alone, guessed = self._contrast(
            predictions, candidates, quantized.codes, masks, kept, draws
        )
        count = masked.sum()
        probabilities = quantized.probabilities
        if self.negatives == "all":
            probabilities = probabilities[masked]
        summed = probabilities.sum(0)
        size = self.quantizer.groups * self.quantizer.entries
        diversity = 1 - perplexity(summed / count.clamp_min(1)) / size
        extra = self.diversity_weight * diversity + self.penalty_weight * penalty
        sums = {
            "contrastive": loss,
            "correct": correct,
            "alone": alone,
            "guessed": guessed,
            "probabilities": summed,
            "penalty": penalty * count,
            "frames": torch.tensor(len(masked)),
        }
        sums = {name: value.detach().to(loss.device) for name, value in sums.items()}
        return Outcome(loss + count * extra, count, sums)

    def _context(self, local, frames, masked):
        """Returns the last hidden state at the masked frames."""
        x = self.network.embed(local)
        x = torch.where(masked[:, None], self.mask_vector.to(x.dtype), x)
        return last_state(self.network, x, frames)[masked]

    def _quantize(self, local, kept, draws) -> Quantized:
        """Returns the quantized frames that are kept."""
        x = self.network.normed(local)
        x = F.dropout(x, self.dropout_features, self.training)
        x = x[torch.from_numpy(numpy.concatenate(kept)).to(x.device)]
        noise = None
        if self.training:
            groups, entries = self.quantizer.groups, self.quantizer.entries
            generators = [draws.of(i, "gumbel") for i in range(len(draws))]
            sizes = [int(k.sum()) for k in kept]
            noise = gumbel_noise(generators, sizes, groups * entries, x.device)
            noise = noise.view(-1, groups, entries)
        return self.quantizer(x, noise)

    def _contrast(self, predictions, candidates, codes, masks, kept, draws):
        """Returns the sums of :class:`Contrast` over the utterances."""
        device, results = predictions.device, []
        counts = [int(mask.sum()) for mask in masks]
        sizes = [int(k.sum()) for k in kept]
        rows = zip(
            predictions.split(counts), candidates.split(sizes), codes.split(sizes)
        )
        for i, (mask, keep, row) in enumerate(zip(masks, kept, rows)):
            positives = numpy.flatnonzero(mask[keep])
            negatives = draw_negatives(
                positives, sizes[i], self.num_negatives, draws.of(i, "negatives")
            )
            places = [torch.from_numpy(a).to(device) for a in (positives, negatives)]
            results.append(contrast(*row, *places, self.logit_temperature))
        return [torch.stack(values).sum() for values in zip(*results)]

    def measures(self, sums: dict[str, torch.Tensor]) -> dict[str, float]:
        """Returns the contrastive loss, which chooses the checkpoint, and what shows
        early how the training goes.

        Arguments
        ---------
        sums : dict
            See :meth:`~s3prl_sb.objectives.base.Objective.measures`.

        Returns
        -------
        dict
            ``loss``, the cross-entropy in nats, and ``chance``, that of guessing among
            the distractors of other codes: log 101 for a hundred of them, and less
            where codes collapse; ``total_loss``, with diversity and penalty;
            ``accuracy``, among predictions with a valid distractor;
            ``perplexity`` of the codewords, summed over the groups; ``alone``, the
            share of predictions without a valid distractor; ``penalty``;
            ``masked``, the share of frames; ``temperature``.
        """
        count = sums["count"]
        return {
            "loss": ratio(sums["contrastive"], count),
            "chance": ratio(sums["guessed"], count),
            "total_loss": ratio(sums["loss"], count),
            "accuracy": ratio(sums["correct"], count - sums["alone"]),
            "perplexity": float(perplexity(sums["probabilities"] / count)),
            "alone": ratio(sums["alone"], count),
            "penalty": ratio(sums["penalty"], count),
            "masked": ratio(count, sums["frames"]),
            "temperature": self.quantizer.temperature,
        }

    def codes(self, sums: dict[str, torch.Tensor]) -> dict[str, list[torch.Tensor]]:
        """Returns the mean probability of each codeword, of each group."""
        return {"codewords": [*(sums["probabilities"] / sums["count"])]}

    def alarms(self, measures: dict[str, float]) -> list[str]:
        """Returns the signs of a collapse of the codes."""
        alarms, groups = [], self.quantizer.groups
        if measures["perplexity"] < 2 * groups:
            alarms.append(
                f"The codes collapse: their perplexity is {measures['perplexity']:.1f} "
                f"of {groups * self.quantizer.entries}. A lower lr, more audio an "
                "update, or a higher diversity_weight of the objective prevents it."
            )
        if measures["alone"] > LOST:
            alarms.append(_alone(measures))
        if measures["accuracy"] > 0.999 and measures["loss"] < 0.001:
            alarms.append(
                "The loss is 0 and the accuracy 1: this is a collapse of the codes, "
                "and no success. Start again with a lower lr or more audio an update."
            )
        return alarms

    def hints(self, measures: dict[str, float]) -> list[str]:
        """Names masked frames that learn nothing, if they are more than a few."""
        is_hint = ALONE < measures["alone"] <= LOST
        return [_alone(measures)] if is_hint else []


def _check_cooling(temperature, decay):
    """Raises ArgumentError for temperatures that do not fall from one to another."""
    if not isinstance(temperature, Sequence) or len(temperature) != 2:
        raise ArgumentError(
            f"temperature is a list of the first and the last one, such as [2.0, 0.5], "
            f"not {temperature!r}."
        )
    first, last = temperature
    require("number", above=0, temperature=last)
    require("number", low=last, temperature=first)
    if decay != "auto":
        require("number", above=0, high=1, temperature_decay=decay)


def _alone(measures):
    """Describes the masked frames without a distractor."""
    return (
        f"{measures['alone']:.1%} of the masked frames have no distractor with "
        "another code, and learn nothing. Longer sequence_seconds, negatives: "
        "all or a higher diversity_weight of the objective gives them one."
    )
