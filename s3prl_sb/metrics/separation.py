"""Quality of separated sources: SI-SDR, its improvement, the order of the sources.

Paper: Le Roux et al. 2018, "SDR – half-baked or well done?",
https://arxiv.org/abs/1811.02508.

Authors
 * The s3prl_sb developers, 2026
"""

import torch
from scipy.optimize import linear_sum_assignment

#: Smallest and largest SI-SDR, dB: of a silent estimate, as in S3PRL, and of a perfect
#: one.
LOWEST, HIGHEST = -80.0, 100.0


def si_sdr(
    estimates: torch.Tensor, references: torch.Tensor, zero_mean: bool = True
) -> torch.Tensor:
    """Returns the scale-invariant signal-to-distortion ratio.

    It is computed in float64 over the last dimension; the others are broadcast.

    Note: S3PRL takes SI-SDR from asteroid, which takes it from ``pb_bss_eval``; the
    means are removed there, so they are by default. Those of ``torchmetrics`` stay by
    default. A silent reference has -80 dB in S3PRL.

    Arguments
    ---------
    estimates, references : torch.Tensor
        [..., samples].
    zero_mean : bool
        Whether to remove the mean of each signal first.

    Returns
    -------
    torch.Tensor
        [...], dB, float64, between -80 and 100: -80 for a silent estimate, and NaN
        for a silent reference, whose SI-SDR is undefined.

    Example
    -------
    >>> clean = torch.tensor([1.0, -1.0, 1.0, -1.0])
    >>> noise = torch.tensor([0.1, 0.1, -0.1, -0.1])
    >>> round(si_sdr(7 * (clean + noise) + 1, clean).item(), 3)
    20.0
    >>> si_sdr(torch.stack([clean, 0 * clean]), clean).tolist()
    [100.0, -80.0]
    """
    estimates, references = _pair(estimates, references)
    if zero_mean:
        estimates = estimates - estimates.mean(-1, keepdim=True)
        references = references - references.mean(-1, keepdim=True)
    energy = references.square().sum(-1, keepdim=True)
    scale = (estimates * references).sum(-1, keepdim=True) / energy
    target = scale * references
    distortion = (estimates - target).square().sum(-1)
    level = 10 * torch.log10(target.square().sum(-1) / distortion)
    level = level.clamp(LOWEST, HIGHEST)
    is_silent = estimates.square().sum(-1) == 0
    level = torch.where(is_silent, torch.full_like(level, LOWEST), level)
    undefined = (energy == 0).squeeze(-1)
    return torch.where(undefined, torch.full_like(level, torch.nan), level)


def si_sdr_improvement(
    estimates: torch.Tensor,
    references: torch.Tensor,
    mixture: torch.Tensor,
    zero_mean: bool = True,
) -> torch.Tensor:
    """Returns the SI-SDR of the estimates minus that of the unprocessed mixture.

    Arguments
    ---------
    estimates, references : torch.Tensor
        [..., sources, samples], in the same order.
    mixture : torch.Tensor
        [..., samples].
    zero_mean : bool
        See :func:`si_sdr`.

    Returns
    -------
    torch.Tensor
        [..., sources], dB.

    Example
    -------
    >>> sources = torch.tensor([[1.0, -1.0, 1.0, -1.0], [1.0, 1.0, -1.0, -1.0]])
    >>> si_sdr_improvement(sources + 0.1 * sources.flip(0), sources, sources.sum(0))
    tensor([20.0000, 20.0000], dtype=torch.float64)
    """
    before = si_sdr(mixture.unsqueeze(-2), references, zero_mean)
    return si_sdr(estimates, references, zero_mean) - before


def best_permutation(
    estimates: torch.Tensor, references: torch.Tensor, zero_mean: bool = True
) -> list[int]:
    """Returns the order of the estimates with the largest mean SI-SDR.

    Note: S3PRL chooses the order by the SDR of BSS Eval, which forgives filters of 512
    taps. Here the same measure chooses and is reported, so the result cannot be lower.

    Arguments
    ---------
    estimates, references : torch.Tensor
        [sources, samples]; there may be more estimates than references.
    zero_mean : bool
        See :func:`si_sdr`.

    Returns
    -------
    list of int
        The estimate of each reference: ``estimates[order]`` belongs to
        ``references``.

    Example
    -------
    >>> sources = torch.eye(3)
    >>> best_permutation(sources[[2, 0, 1]], sources)
    [1, 2, 0]
    """
    if len(estimates) < len(references):
        raise ValueError(f"{len(estimates)} estimates of {len(references)} sources")
    levels = si_sdr(estimates, references.unsqueeze(1), zero_mean)
    # A silent reference takes the estimate that is left.
    _, order = linear_sum_assignment(levels.nan_to_num(0.0).cpu().numpy(), True)
    return order.tolist()


def _pair(estimates, references):
    if estimates.shape[-1] != references.shape[-1]:
        raise ValueError(
            f"an estimate of {estimates.shape[-1]} samples, and a reference of "
            f"{references.shape[-1]}: not the same length"
        )
    return torch.broadcast_tensors(estimates.double(), references.double())
