"""Intervals of the probes of all hidden states, one by one.

The measures of each probe are in ``layers/layer_<number>`` and ``layers/weighted_sum``
of the output folder.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from s3prl_sb.brains import measuring

FOLDER = "layers"


def measures_folder(folder: str | Path, layer: int | None) -> Path:
    """Returns the folder of the measures of a probe.

    Arguments
    ---------
    folder : str or pathlib.Path
        Output folder of the probing.
    layer : int or None
        Hidden state; None: the weighted sum.

    Returns
    -------
    pathlib.Path

    Example
    -------
    >>> measures_folder("out", 5).as_posix()
    'out/layers/layer_5'
    """
    return Path(folder, FOLDER, "weighted_sum" if layer is None else f"layer_{layer}")


def of_probe(
    brain: measuring.Evaluated,
    metrics: Mapping[str, float],
    folder: str | Path,
    layer: int | None,
) -> dict[str, Any] | None:
    """Writes the measures of a probe.

    Arguments
    ---------
    brain : s3prl_sb.brains.base.SSLBrain
        Brain of the probe after its test.
    metrics : dict of str to float
        Metrics of its test.
    folder, layer
        See :func:`measures_folder`.

    Returns
    -------
    dict or None
        ``intervals``, see :func:`s3prl_sb.brains.measuring.publish`.
    """
    place = measures_folder(folder, layer)
    place.mkdir(parents=True, exist_ok=True)
    return measuring.publish(brain, metrics, place)


def of_folds(folders: Mapping[str, Path], layer: int | None) -> dict[str, Any] | None:
    """Returns the intervals of the means of a probe over folds.

    Arguments
    ---------
    folders : dict of str to pathlib.Path
        Names of the folds to the output folders of their probings.
    layer : int or None
        See :func:`measures_folder`.

    Returns
    -------
    dict or None
        See :func:`s3prl_sb.brains.measuring.intervals_of_parts`.
    """
    places = {n: measures_folder(folder, layer) for n, folder in folders.items()}
    return measuring.intervals_of_parts(places, {name: name for name in places})


def limits_of(row: Mapping[str, Any], metric: str) -> list[float] | None:
    """Returns the interval of a metric of a probe.

    Arguments
    ---------
    row : dict
        Row of ``layers.json``; those of older versions have no intervals.
    metric : str
        Name of the metric.

    Returns
    -------
    list of float or None
        Low and high end.

    Example
    -------
    >>> limits_of({"intervals": {"metrics": {"wer": [0.1, 0.3]}}}, "wer")
    [0.1, 0.3]
    """
    return ((row.get("intervals") or {}).get("metrics") or {}).get(metric)
