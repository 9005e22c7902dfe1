"""The plot of a verification system's errors.

Authors
 * The s3prl_sb developers, 2026
"""

import torch

from s3prl_sb.brains.plots import figure_of_size, save

TICKS = (0.001, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95)


def det_plot(path, false_acceptance, false_rejection, rate):
    """Two axes: DET (rates on a normal deviate scale) and ROC.

    Arguments
    ---------
    path : pathlib.Path
        PNG to write.
    false_acceptance, false_rejection : torch.Tensor
        [points], from :func:`s3prl_sb.metrics.verification.det_curve`.
    rate : float
        The equal error rate, which is marked.
    """
    figure = figure_of_size(9.0, 4.4)
    if figure is None:
        return
    det, roc = figure.subplots(1, 2)
    deviates = [
        torch.special.ndtri(rates.clamp(2e-4, 1 - 2e-4)).numpy()
        for rates in (false_acceptance, false_rejection)
    ]
    det.plot(*deviates, color="#4472a8")
    mark = torch.special.ndtri(torch.tensor([rate]).clamp(2e-4, 1 - 2e-4)).item()
    det.plot([mark], [mark], "o", color="#b04a3a", label=f"equal: {100 * rate:.2f} %")
    ticks = torch.special.ndtri(torch.tensor(TICKS)).tolist()
    names = [f"{100 * tick:g}" for tick in TICKS]
    det.set_xticks(ticks, names)
    det.set_yticks(ticks, names)
    det.set_ylabel("false rejections, %")
    det.legend(frameon=False)
    roc.plot(100 * false_acceptance, 100 - 100 * false_rejection, color="#4472a8")
    roc.set_ylabel("targets accepted, %")
    for axes in (det, roc):
        axes.set_xlabel("false acceptances, %")
        axes.grid(linewidth=0.5, alpha=0.5)
        axes.spines[["top", "right"]].set_visible(False)
    save(figure, path)
