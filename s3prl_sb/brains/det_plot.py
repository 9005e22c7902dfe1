"""Error plots of a verification system.

Authors
 * The s3prl_sb developers, 2026
"""

import torch

from s3prl_sb.brains.plots import BLUE, GREY, RED, axes_of_size, finish, legend

TICKS = (0.001, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95)
EDGE = 2e-4  # rates closer to 0 or 1 are drawn here


def det_plot(path, false_acceptance, false_rejection, rate, title=""):
    """Plots DET (rates on a normal deviate scale) and ROC curves.

    Arguments
    ---------
    path : pathlib.Path
        PNG file to write.
    false_acceptance, false_rejection : torch.Tensor
        [points], from :func:`s3prl_sb.metrics.verification.det_curve`.
    rate : float
        The equal error rate, which is marked.
    title : str
        Title of the plot.
    """
    axes = axes_of_size(4.0, 4.0, columns=2)
    if axes is None:
        return
    det, roc = axes
    deviates = [
        torch.special.ndtri(rates.double().clamp(EDGE, 1 - EDGE)).numpy()
        for rates in (false_acceptance, false_rejection)
    ]
    ends = torch.special.ndtri(torch.tensor([EDGE, 1 - EDGE])).tolist()
    equal = {"color": GREY, "linewidth": 1.2, "linestyle": ":"}
    det.plot(ends, ends, **equal, label="both errors equal")
    det.plot(*deviates, color=BLUE, linewidth=2, label="this system")
    mark = torch.special.ndtri(torch.tensor([rate]).clamp(EDGE, 1 - EDGE)).item()
    name = f"equal error rate {100 * rate:.2f} %"
    det.plot([mark], [mark], "o", color=RED, label=name, zorder=3)
    ticks = torch.special.ndtri(torch.tensor(TICKS)).tolist()
    names = [f"{100 * tick:g}" for tick in TICKS]
    det.set_xticks(ticks, names)
    det.set_yticks(ticks, names)
    most = torch.special.ndtri(torch.tensor([max(0.6, min(1.5 * rate, 0.99))])).item()
    for set_limits in (det.set_xlim, det.set_ylim):
        set_limits(ends[0] - 0.1, most)
    det.set_ylabel("false rejections, %")
    roc.plot([0, 100], [100, 0], **equal)
    accepted = 100 - 100 * false_rejection
    roc.plot(100 * false_acceptance, accepted, color=BLUE, linewidth=2)
    roc.plot([100 * rate], [100 - 100 * rate], "o", color=RED, zorder=3)
    roc.set_ylabel("targets accepted, %")
    for each in (det, roc):
        each.set_xlabel("false acceptances, %")
        each.grid(linewidth=0.5, alpha=0.5)
    handles, names = det.get_legend_handles_labels()
    legend(roc, handles=handles, labels=names)
    finish(det, path, title)
