"""Plots of a pre-training: a reconstruction, and the course of the loss.

Authors
 * The s3prl_sb developers, 2026
"""

from pathlib import Path
from typing import Any

import torch

from s3prl_sb.brains.plots import BLUE, GREY, RED, axes_of_size, finish, legend
from s3prl_sb.objectives.base import Picture

WIDTH, HEIGHT = 4.2, 2.6  # inches of each of the axes


def reconstruction(path: Path, picture: Picture) -> None:
    """Plots target, altered input and prediction side by side.

    Arguments
    ---------
    path : pathlib.Path
        PNG file to write.
    picture : s3prl_sb.objectives.base.Picture
        The three, each [frames, size].
    """
    columns = axes_of_size(WIDTH, HEIGHT, columns=3)
    if columns is None:
        return
    target = picture.target.float()
    # All three have the colours of the target, or an outlier would hide the rest.
    low, high = (float(target.flatten().quantile(q)) for q in (0.01, 0.99))
    titles = ("target", "altered input", "prediction")
    for axes, values, title in zip(columns, picture, titles):
        image = values.detach().float().cpu().t().numpy()
        options: dict[str, Any] = {"aspect": "auto", "origin": "lower"}
        if values.shape[-1] == target.shape[-1]:  # otherwise of another scale
            options.update(vmin=low, vmax=high)
        drawn = axes.imshow(image, cmap="magma", **options)
        axes.set_xlabel("frame")
        axes.set_title(title, loc="left", fontsize=10, fontweight="bold", pad=10)
    columns[0].set_ylabel("feature")
    bar = axes.inset_axes([1 + 0.15 / WIDTH, 0, 0.18 / WIDTH, 1])
    axes.figure.colorbar(drawn, cax=bar, label=picture.unit, extend="both")
    finish(columns[0], path, titles[0], bare=False)


def curves(path: Path, history: list[dict[str, Any]]) -> None:
    """Plots the losses of training and of held-out audio over the updates.

    Arguments
    ---------
    path : pathlib.Path
        PNG file to write.
    history : list of dict
        ``step``, and the measures ``train`` and ``valid``, of each validation.
    """
    axes = axes_of_size(5.0, 3.0)
    if axes is None:
        return
    for split, color, label in (
        ("train", BLUE, "training"),
        ("valid", RED, "held out"),
    ):
        points = [(p["step"], p[split]["loss"]) for p in history if "loss" in p[split]]
        if points:
            axes.plot(*zip(*points), color=color, label=label, marker=".")
    chance = [
        (p["step"], p["valid"]["chance"]) for p in history if "chance" in p["valid"]
    ]
    if chance:
        axes.plot(*zip(*chance), color=GREY, linestyle=":", label="chance (held out)")
    axes.set_xlabel("updates")
    axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    axes.set_ylabel("loss")
    axes.grid(linewidth=0.5, alpha=0.5)
    legend(axes)
    finish(axes, path, "Loss")


def draw(
    folder: Path,
    history: list[dict[str, Any]],
    objective: Any,
    example: tuple | None = None,
) -> None:
    """Draws the curves of the losses, and a reconstruction if there is one.

    Arguments
    ---------
    folder : pathlib.Path
        Folder of the run.
    history : list of dict
        Measures of the validations, see :func:`curves`.
    objective : s3prl_sb.objectives.base.Objective
        Objective that is trained.
    example : tuple, optional
        Waveform and draws of the held-out utterance to reconstruct.
    """
    curves(folder / "training.png", history)
    if example is None:
        return
    with torch.no_grad():
        picture = objective.picture(*example)
    if picture is not None:
        reconstruction(folder / "reconstruction.png", picture)
