"""HuBERT: masked prediction of the units of a corpus.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Sequence
from typing import Any

import numpy
import torch
import torch.nn.functional as F

from s3prl_sb.errors import UserError
from s3prl_sb.lobes.networks.gradient_scale import scale_gradient
from s3prl_sb.lobes.pretext.arguments import require
from s3prl_sb.lobes.pretext.class_counts import chance, occurrences, perplexity
from s3prl_sb.lobes.pretext.cosine_prediction import cosine_logits
from s3prl_sb.lobes.pretext.draws import Draws
from s3prl_sb.lobes.pretext.ratios import ratio
from s3prl_sb.lobes.pretext.spans import Mask, SpanMask, checked_mask
from s3prl_sb.objectives.base import Objective, Outcome

#: Share of a training after which a healthy network predicts several units. Before it,
#: the most frequent one everywhere is normal.
LEARNED = 0.5


class CodesError(UserError, ValueError):
    """Units that do not fit the audio."""


class HubertObjective(Objective):
    """Prediction of the units of masked frames.

    Spans of frames are replaced by one learned vector before the encoder. Its last
    hidden state is projected, and its cosines with the embeddings of the units are the
    logits of a cross-entropy. The units of a corpus come from k-means: of MFCCs in the
    first iteration, of a layer of the last iteration's network later.

    Paper: Hsu et al., "HuBERT: Self-Supervised Speech Representation Learning by
    Masked Prediction of Hidden Units", https://arxiv.org/abs/2106.07447.

    Arguments
    ---------
    network : s3prl_sb.lobes.upstreams.base.Upstream
        See :class:`~s3prl_sb.objectives.base.Objective`.
    mask : callable, optional
        Maps a number of frames and a generator to a bool array [frames]. None: HuBERT's
        :class:`~s3prl_sb.lobes.pretext.spans.SpanMask`, with the share 0.8.
    final_size : int
        Size of the projection and of the units' embeddings.
    logit_temperature : float
        Divisor of the cosines.
    unmasked_weight : float
        Weight of the loss of frames that are not masked; that of the others is 1.
    penalty_weight : float
        Weight of the mean square of the local frames.
    feature_grad_mult : float
        Factor of the gradient of the local frames.
    seed : int
        Seed of the weights that the network does not have.

    Note
    ----
    As in fairseq, the penalty is multiplied by the number of predicted frames of the
    batch. torchaudio's ``hubert_loss`` leaves this out, so that its penalty disappears
    in large batches. fairseq cuts the waveforms of a batch to the shortest one; here
    each has its length. ``loss`` in the log is the cross-entropy without the penalty,
    so that it compares with ``chance``.

    Example
    -------
    >>> from s3prl_sb.lobes.upstreams.hubert import Hubert
    >>> network = Hubert(freeze=False, config={"hidden_size": 32, "ffn_size": 64,
    ...     "num_layers": 2, "num_heads": 4, "conv_layers": [[16, 10, 5], [16, 8, 64]]})
    >>> objective = HubertObjective(network, final_size=16)
    >>> objective.prepare_codes(classes=5, stride=160)  # samples from unit to unit
    >>> wavs = [torch.randn(8000), torch.randn(6000)]
    >>> codes = [torch.randint(5, (50,)), torch.randint(5, (37,))]
    >>> loss, count, sums = objective(wavs, Draws(0, [1, 1], [0, 1]), codes)
    >>> loss.shape, int(count) == int(sums["units"].sum())
    (torch.Size([]), True)
    """

    needs_codes = True

    def __init__(
        self,
        network: Any,
        mask: Mask | None = None,
        final_size: int = 256,
        logit_temperature: float = 0.1,
        unmasked_weight: float = 0.0,
        penalty_weight: float = 10.0,
        feature_grad_mult: float = 0.1,
        seed: int = 0,
    ):
        require("whole", low=1, final_size=final_size)
        require("whole", low=0, seed=seed)
        require("number", above=0, logit_temperature=logit_temperature)
        weights = {"unmasked_weight": unmasked_weight, "penalty_weight": penalty_weight}
        require("number", low=0, **weights, feature_grad_mult=feature_grad_mult)
        super().__init__(network)
        self.mask = checked_mask(SpanMask(0.8) if mask is None else mask)
        self.logit_temperature, self.unmasked_weight = (
            logit_temperature,
            unmasked_weight,
        )
        self.penalty_weight, self.feature_grad_mult = penalty_weight, feature_grad_mult
        self.seed, self.unit_stride, self.progress = seed, 0, 0.0
        random = torch.Generator().manual_seed(seed)
        vector = torch.rand(network.embedded_size, generator=random)
        self.mask_vector = torch.nn.Parameter(vector)
        size = network.output_sizes[-1]
        self.final_projection = torch.nn.Linear(size, final_size)
        for parameter in self.final_projection.parameters():
            torch.nn.init.uniform_(parameter, -(size**-0.5), size**-0.5, random)
        self.register_parameter("label_embeddings", None)

    def prepare_codes(self, classes: int, stride: int) -> None:
        """See :meth:`~s3prl_sb.objectives.base.Objective.prepare_codes`."""
        if classes < 2:
            raise CodesError(
                f"The units have {classes} classes, so that there is nothing to "
                "predict. Fit at least two: s3prl-sb units fit --clusters 100"
            )
        random = torch.Generator().manual_seed(self.seed + 1)
        shape = (classes, self.final_projection.out_features)
        embeddings = torch.rand(shape, generator=random)
        device = self.mask_vector.device
        self.label_embeddings = torch.nn.Parameter(embeddings.to(device))
        self.unit_stride = stride

    def forward(
        self,
        wavs: Sequence[torch.Tensor],
        draws: Draws,
        codes: Sequence[torch.Tensor] | None = None,
    ) -> Outcome:
        """See :meth:`~s3prl_sb.objectives.base.Objective.forward`."""
        if codes is None or self.label_embeddings is None:
            raise CodesError(
                "HuBERT predicts units, and there are none. Set the key units: to a "
                "folder of 's3prl-sb units apply', or to {upstream: mfcc_hubert, "
                "layer: 0, clusters: 100}."
            )
        local, frames = self.network.local(wavs)
        local = scale_gradient(local, self.feature_grad_mult)
        x, masked = self._masked(self.network.embed(local), frames, draws)
        *_, x = self.network.contextualize(x, frames)
        rows, targets = self._targets(wavs, frames, codes)
        masked = masked[rows]
        loss, sums = self._predicted(x, rows[masked], targets[masked])
        count = sums["units"].sum()
        if self.unmasked_weight or not self.training:
            part, others = self._predicted(x, rows[~masked], targets[~masked])
            sums |= {f"unmasked_{name}": value for name, value in others.items()}
            if self.unmasked_weight:
                loss = loss + self.unmasked_weight * part
                count = count + others["units"].sum()
        penalty = count * local.float().pow(2).mean()
        sums["penalty"] = penalty.detach()
        return Outcome(loss + self.penalty_weight * penalty, count, sums)

    def _masked(self, x, frames, draws):
        """Puts the mask vector in; returns the frames and the mask, which is on the
        CPU."""
        masks = [self.mask(n, draws.of(i, "mask")) for i, n in enumerate(frames)]
        masked = torch.from_numpy(numpy.concatenate(masks))
        vector = self.mask_vector.to(x.dtype)
        return torch.where(masked.to(x.device)[:, None], vector, x), masked

    def _targets(self, wavs, frames, codes):
        """Returns the rows of the packed frames that have a unit, and the units."""
        rows, targets, first = [], [], 0
        slack = self.network.sample_rate // 10 + self.unit_stride
        for i, (wav, n, units) in enumerate(zip(wavs, frames, codes, strict=True)):
            if abs(len(units) * self.unit_stride - len(wav)) > slack:
                raise CodesError(
                    f"Waveform {i} of the batch has {len(wav)} samples, but its "
                    f"{len(units)} units of {self.unit_stride} samples are of "
                    f"{len(units) * self.unit_stride}. Make the units again, from the "
                    "same audio: s3prl-sb units apply"
                )
            places = torch.arange(n) * self.network.stride // self.unit_stride
            places = places[places < len(units)]
            rows.append(torch.arange(first, first + len(places)))
            targets.append(units[places.to(units.device)].long())
            first += n
        return torch.cat(rows), torch.cat(targets)

    def _predicted(self, x, rows, targets):
        """Returns the summed cross-entropy of some rows, and sums for the log."""
        targets, classes = targets.to(x.device), len(self.label_embeddings)
        x = self.final_projection(x[rows.to(x.device)])
        logits = cosine_logits(x, self.label_embeddings, self.logit_temperature)
        loss = F.cross_entropy(logits, targets, reduction="sum")
        guesses = logits.detach().argmax(1)
        sums = {
            "prediction": loss.detach(),
            "correct": (guesses == targets).sum(),
            "units": occurrences(targets, classes),
            "guesses": occurrences(guesses, classes),
        }
        return loss, sums

    def set_step(self, step: int, total: int) -> None:
        """See :meth:`~s3prl_sb.objectives.base.Objective.set_step`."""
        self.progress = step / total

    def measures(self, sums: dict[str, torch.Tensor]) -> dict[str, float]:
        """See :meth:`~s3prl_sb.objectives.base.Objective.measures`.

        ``chance`` is that of the units of masked frames, see
        :func:`~s3prl_sb.lobes.pretext.class_counts.chance`, and ``chance_accuracy`` the
        share of the most frequent one.
        """
        frames = sums["units"].sum()
        result = {
            "loss": ratio(sums["prediction"], frames),
            "chance": chance(sums["units"]),
            "accuracy": ratio(sums["correct"], frames),
            "chance_accuracy": ratio(sums["units"].max(), frames),
            "unit_perplexity": perplexity(sums["units"]),
            "guess_perplexity": perplexity(sums["guesses"]),
            "penalty": ratio(sums["penalty"], sums["count"]),
        }
        if "unmasked_units" in sums:
            frames = sums["unmasked_units"].sum()
            result["unmasked_loss"] = ratio(sums["unmasked_prediction"], frames)
            result["unmasked_accuracy"] = ratio(sums["unmasked_correct"], frames)
        return result

    def codes(self, sums: dict[str, torch.Tensor]) -> dict[str, list[torch.Tensor]]:
        """Returns how often each unit occurs, and is predicted, in masked frames."""
        return {name: [sums[name]] for name in ("units", "guesses")}

    def alarms(self, measures: dict[str, float]) -> list[str]:
        """See :meth:`~s3prl_sb.objectives.base.Objective.alarms`."""
        if measures["unit_perplexity"] < 2:
            return [
                "The units of the masked frames have a perplexity of "
                f"{measures['unit_perplexity']:.1f}: nearly all are the same, and "
                "there is nothing to learn. Look at them with 's3prl-sb units "
                "quality', and fit them again."
            ]
        return []

    def hints(self, measures: dict[str, float]) -> list[str]:
        """See :meth:`~s3prl_sb.objectives.base.Objective.hints`."""
        if self.progress > LEARNED and measures["guess_perplexity"] < 1.01:
            return [
                "The network still predicts the same unit for every masked frame, the "
                "stage in which HuBERT begins. It leaves it with more updates, more "
                "audio an update (batch_seconds), or another lr."
            ]
        return []
