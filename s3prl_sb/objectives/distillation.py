"""DistilHuBERT: prediction of the hidden states of a teacher.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from s3prl_sb.errors import UserError
from s3prl_sb.lobes.cards.initializing import initialize_from
from s3prl_sb.lobes.networks.gradient_scale import scale_gradient
from s3prl_sb.lobes.networks.initialization import initialize
from s3prl_sb.lobes.pretext.arguments import ArgumentError, require, require_object
from s3prl_sb.lobes.pretext.distillation_loss import distances
from s3prl_sb.lobes.pretext.draws import Draws
from s3prl_sb.lobes.pretext.ratios import ratio
from s3prl_sb.lobes.upstreams.base import Upstream
from s3prl_sb.objectives.base import Objective, Outcome


class DistillationError(UserError, ValueError):
    """Teacher that the network cannot learn from."""


class Distillation(Objective):
    """Prediction of some hidden states of a teacher by a smaller network.

    Paper: Chang et al., "DistilHuBERT: Speech Representation Learning by Layer-wise
    Distillation of Hidden-unit BERT", ICASSP 2022, https://arxiv.org/abs/2110.01900.

    The loss of a frame is the mean over the targets of L1 (a mean over dimensions) and
    of -log sigmoid(cosine similarity).

    Arguments
    ---------
    network : s3prl_sb.lobes.upstreams.base.Upstream
        See :class:`~s3prl_sb.objectives.base.Objective`. The last hidden states of a
        network with ``predicted_layers`` are the predictions; any other network gets a
        head per target, on its last hidden state.
    teacher : s3prl_sb.lobes.upstreams.base.Upstream
        Frozen upstream with the stride of the network. It is always in eval mode, and
        it is neither in the state dict nor among the modules, so that checkpoints and
        distributed training do not see it.
    targets : list of int, optional
        Hidden states of the teacher, from 0. None: the network's ``predicted_layers``.
    cosine_weight : float
        Weight of -log sigmoid(cosine similarity).
    penalty_weight : float
        Weight of the mean square of the local frames.
    feature_grad_mult : float
        Factor of the gradient of the local frames.
    init_from_teacher : bool
        Whether the network, of the same architecture, starts as the first layers of
        the teacher, see :func:`~s3prl_sb.lobes.cards.initializing.initialize_from`.
    seed : int
        Seed of the heads.

    Raises
    ------
    DistillationError
        If the teacher is not frozen, has another stride or sample rate, or lacks a
        target.
    s3prl_sb.lobes.cards.initializing.InitError
        If it should start as the teacher's first layers and is of other sizes.

    Note
    ----
    In S3PRL the teacher drops out, because the whole program is in training mode, and
    the loss counts the frames of padding. Here neither happens. S3PRL copies the
    convolutions, the projection, the positions and the first layers; here the norm of
    the encoder's input is copied too.

    Example
    -------
    >>> from s3prl_sb.lobes.upstreams.distilhubert import DistilHubert
    >>> from s3prl_sb.lobes.upstreams.hubert import Hubert
    >>> sizes = {"hidden_size": 32, "ffn_size": 64, "num_heads": 4,
    ...     "conv_layers": [[16, 10, 5], [16, 8, 64]]}
    >>> targets = {"targets": [2, 3], "target_size": 32, "inner_size": 32}
    >>> network = DistilHubert(config={**sizes, **targets}, freeze=False)
    >>> objective = Distillation(network, Hubert(config={**sizes, "num_layers": 3}))
    >>> wavs = [torch.randn(8000), torch.randn(6000)]
    >>> loss, count, sums = objective(wavs, Draws(0, [1, 1], [0, 1]))
    >>> int(count) == network.frames(8000) + network.frames(6000)
    True
    """

    def __init__(
        self,
        network: Any,
        teacher: Any,
        targets: Sequence[int] | None = None,
        cosine_weight: float = 1.0,
        penalty_weight: float = 0.0,
        feature_grad_mult: float = 0.1,
        init_from_teacher: bool = True,
        seed: int = 0,
    ):
        weights = {"cosine_weight": cosine_weight, "penalty_weight": penalty_weight}
        require("number", low=0, **weights, feature_grad_mult=feature_grad_mult)
        require("whole", low=0, seed=seed)
        example = "s3prl_sb.lobes.upstreams.hubert.Hubert"
        require_object(Upstream, example, teacher=teacher)
        if targets is not None and not isinstance(targets, list | tuple):
            raise ArgumentError(
                f"targets is a list of hidden states, such as [4, 8], not {targets!r}."
            )
        for target in targets or ():
            require("whole", low=0, targets=target)
        super().__init__(network)
        self.targets = list(targets or network.predicted_layers)
        self.cosine_weight, self.penalty_weight = cosine_weight, penalty_weight
        self.feature_grad_mult = feature_grad_mult
        self._unregistered = (teacher,)  # a tuple's modules are not submodules
        self._check(network, teacher)
        if init_from_teacher:
            initialize_from(network, teacher)
        self.heads = None
        if not network.predicted_layers:
            size = network.output_sizes[-1]
            self.heads = nn.ModuleList(
                nn.Sequential(
                    nn.Linear(size, size),
                    nn.GELU(),
                    nn.Linear(size, teacher.output_sizes[target]),
                )
                for target in self.targets
            )
            initialize(self.heads, seed)

    @property
    def teacher(self) -> Any:
        """The teacher."""
        return self._unregistered[0]

    def _apply(self, function, recurse=True):
        """Moves the teacher too; ``.to()`` and ``.cuda()`` call this."""
        self.teacher._apply(function, recurse)
        return super()._apply(function, recurse)

    def _check(self, network, teacher):
        """Raises DistillationError unless the network can learn from the teacher."""
        if not teacher.freeze:
            raise DistillationError("The teacher must be frozen: set its freeze: True.")
        for name, unit in (("stride", "samples"), ("sample_rate", "Hz")):
            mine, its = getattr(network, name), getattr(teacher, name)
            if mine != its:
                raise DistillationError(
                    f"The {name} of the network is {mine} {unit}, that of the teacher "
                    f"{its}. Choose a network with the teacher's."
                )
        predicted = list(network.predicted_layers)
        if not self.targets or (predicted and self.targets != predicted):
            raise DistillationError(
                f"targets are {self.targets}; the network predicts the layers "
                f"{predicted}. Name the same layers for both, or, for a network that "
                "predicts none, set targets."
            )
        for i, target in enumerate(self.targets):
            if not 0 <= target < teacher.num_layers:
                raise DistillationError(
                    f"targets has {target}, and the teacher has the hidden states 0 to "
                    f"{teacher.num_layers - 1}."
                )
            its = teacher.output_sizes[target]
            mine = network.output_sizes[i - len(predicted)] if predicted else its
            if mine != its:
                raise DistillationError(
                    f"The network predicts {mine} values for layer {target}, which has "
                    f"{its} in the teacher. Set its target_size: {its}"
                )

    def forward(
        self,
        wavs: Sequence[torch.Tensor],
        draws: Draws,
        codes: Sequence[torch.Tensor] | None = None,
    ) -> Outcome:
        """See :meth:`~s3prl_sb.objectives.base.Objective.forward`."""
        local, frames = self.network.local(wavs)
        local = scale_gradient(local, self.feature_grad_mult)
        states = self.network.contextualize(self.network.embed(local), frames)
        if self.heads is None:
            predictions = list(states)[-len(self.targets) :]
        else:
            *_, last = states
            predictions = [head(last) for head in self.heads]
        targets, its_frames = self._taught(wavs)
        if frames != its_frames:  # kernels of other lengths, at the end
            shared = [min(pair) for pair in zip(frames, its_frames)]
            predictions = [_first(x, frames, shared) for x in predictions]
            targets = [_first(x, its_frames, shared) for x in targets]
        parts = [distances(*pair) for pair in zip(predictions, targets, strict=True)]
        l1, cosines = (torch.stack(part) for part in zip(*parts))  # [targets, frames]
        loss = (l1 - self.cosine_weight * F.logsigmoid(cosines)).mean(0).sum()
        count = torch.tensor(l1.shape[1], device=local.device)
        sums = {"l1": l1.detach().sum(1), "cosine": cosines.detach().sum(1)}
        if self.penalty_weight:
            loss = loss + self.penalty_weight * count * local.float().pow(2).mean()
        return Outcome(loss, count, sums)

    def _taught(self, wavs):
        """Returns the teacher's hidden states, each [total_frames, size], and the
        number of frames of each utterance."""
        teacher, last = self.teacher, max(self.targets)
        missing = [max(0, teacher.min_samples - len(wav)) for wav in wavs]
        wavs = [F.pad(wav, (0, n)) for wav, n in zip(wavs, missing)]
        kept = {target: [] for target in self.targets}
        with torch.no_grad(), torch.autocast(wavs[0].device.type, enabled=False):
            for group in [wavs] if teacher.packed else [[wav] for wav in wavs]:
                for layer, state in enumerate(teacher.encode_packed(group)):
                    if layer in kept:
                        kept[layer].append(state)
                    if layer == last:  # the other layers are not computed
                        break
        frames = [teacher.frames(len(wav)) for wav in wavs]
        return [torch.cat(kept[target]) for target in self.targets], frames

    def measures(self, sums: dict[str, torch.Tensor]) -> dict[str, float]:
        """See :meth:`~s3prl_sb.objectives.base.Objective.measures`."""
        result = super().measures(sums)
        for name in ("l1", "cosine"):
            means = [ratio(total, sums["count"]) for total in sums[name]]
            result |= {f"{name}_{t}": x for t, x in zip(self.targets, means)}
        return result


def _first(x, frames, kept):
    """Returns the first frames of each utterance of packed frames."""
    pieces = zip(x.split(frames), kept)
    return torch.cat([piece[:n] for piece, n in pieces])
