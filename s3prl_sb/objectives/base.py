"""The base class of the objectives of pre-training.

An objective is a module over a network: an upstream whose encoding has steps
(:class:`~s3prl_sb.lobes.upstreams.stages.Stages`). It maps waveforms to the sum of a
loss, and to the number of things that the loss is summed over. The division comes
last, once for an update: thus neither the number of processes nor that of batches an
update changes the result.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from s3prl_sb.lobes.pretext.arguments import ArgumentError, require_object
from s3prl_sb.lobes.pretext.draws import Draws
from s3prl_sb.lobes.pretext.ratios import ratio
from s3prl_sb.lobes.upstreams.base import Upstream
from s3prl_sb.lobes.upstreams.stages import Stages


class Outcome(NamedTuple):
    """The outcome of an objective for a batch."""

    loss: torch.Tensor  #: scalar, summed over what is predicted
    #: number of what is predicted, such as frames; a scalar
    count: torch.Tensor  # type: ignore[assignment]  # a method of tuples, not needed
    #: sums, without gradient, of which :meth:`Objective.measures` makes the log:
    #: scalars or vectors; those of several batches and processes are added
    sums: dict[str, torch.Tensor]


class Picture(NamedTuple):
    """An utterance before and after, for people; each [frames, size]."""

    target: torch.Tensor  #: what should be predicted
    altered: torch.Tensor  #: what the network saw
    predicted: torch.Tensor  #: what it predicts
    unit: str = ""  #: unit of the target and of the prediction


class Objective(torch.nn.Module):
    """Base class of all objectives.

    Arguments
    ---------
    network : s3prl_sb.lobes.upstreams.base.Upstream
        Network to pre-train: an unfrozen upstream with
        :class:`~s3prl_sb.lobes.upstreams.stages.Stages`.
    """

    #: whether batches have ``codes``, the units of a corpus
    needs_codes = False
    #: whether predictions go through the network's ``quantizer``; otherwise nothing
    #: depends on it, and it is not trained
    trains_quantizer = False

    def __init__(self, network: Any):
        super().__init__()
        example = "s3prl_sb.lobes.upstreams.hubert.Hubert"
        if isinstance(network, Upstream) and not isinstance(network, Stages):
            raise ArgumentError(
                f"network: {type(network).__name__} cannot be pre-trained: it does not "
                f"offer its encoding in steps. Families that do, such as {example}, "
                "derive from s3prl_sb.lobes.upstreams.stages.Stages."
            )
        require_object(Stages, example, network=network)
        self.network = network
        network.begin_pretraining()
        if network.quantizer is not None:
            network.quantizer.requires_grad_(self.trains_quantizer)

    def forward(
        self,
        wavs: Sequence[torch.Tensor],
        draws: Draws,
        codes: Sequence[torch.Tensor] | None = None,
    ) -> Outcome:
        """Returns the loss of a batch.

        Arguments
        ---------
        wavs : list of torch.Tensor
            Waveforms [samples_i] at the network's ``sample_rate``, without padding,
            none shorter than ``network.min_samples``.
        draws : Draws
            Random numbers of the examples.
        codes : list of torch.Tensor, optional
            Units [units_i] of each waveform, for an objective that ``needs_codes``.

        Returns
        -------
        Outcome
        """
        raise NotImplementedError

    def prepare_codes(self, classes: int, stride: int) -> None:
        """Makes the weights that depend on the units, for an objective that
        ``needs_codes``; called once, before there is an optimizer.

        Arguments
        ---------
        classes : int
            Number of different units.
        stride : int
            Samples from one unit to the next, at the network's ``sample_rate``.
        """

    def set_step(self, step: int, total: int) -> None:
        """Sets what changes over a training, such as a temperature.

        Arguments
        ---------
        step : int
            Updates so far.
        total : int
            Updates of the whole training.
        """

    def measures(self, sums: dict[str, torch.Tensor]) -> dict[str, float]:
        """Returns what is logged, of the sums over one or more batches.

        Arguments
        ---------
        sums : dict
            Sums of :class:`Outcome`; and ``loss`` and ``count``, its two others.

        Returns
        -------
        dict
            Names to numbers; ``loss``, the mean, is the one that chooses the
            checkpoint. ``chance`` is the loss of guessing, where it is known. NaN, a
            :func:`~s3prl_sb.lobes.pretext.ratios.ratio` of nothing, is not logged.
        """
        return {"loss": ratio(sums["loss"], sums["count"])}

    def codes(self, sums: dict[str, torch.Tensor]) -> dict[str, list[torch.Tensor]]:
        """Returns how often each code of the objective is used.

        Arguments
        ---------
        sums : dict
            Sums of :class:`Outcome`; and ``loss`` and ``count``, its two others.

        Returns
        -------
        dict
            Names of kinds of codes to tensors [codes], one for each codebook;
            empty for an objective without codes.
        """
        return {}

    def alarms(self, measures: dict[str, float]) -> list[str]:
        """Returns what is wrong with a training, in sentences with the fix.

        Several validations in a row with an alarm are a collapse, which ends a run.

        Arguments
        ---------
        measures : dict
            Result of :meth:`measures`.

        Returns
        -------
        list of str
            Empty for a training that looks healthy.
        """
        return []

    def hints(self, measures: dict[str, float]) -> list[str]:
        """Returns what could be better, in sentences with the fix; no run ends by it.

        Arguments
        ---------
        measures : dict
            Result of :meth:`measures`.

        Returns
        -------
        list of str
        """
        return []

    def picture(self, wav: torch.Tensor, draws: Draws) -> Picture | None:
        """Returns an utterance before and after, for objectives that reconstruct.

        Arguments
        ---------
        wav : torch.Tensor
            [samples].
        draws : Draws
            Random numbers of this one example.

        Returns
        -------
        Picture or None
        """
        return None
