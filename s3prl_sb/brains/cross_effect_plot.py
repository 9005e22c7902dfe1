"""Plot of what speech and sounds cost each other.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.brains import plots
from s3prl_sb.brains.recognition_scores import ERRORS


def cross_effect_plot(path, effects, title=""):
    """Plots the change of each measure, with its interval, over all scenes and by the
    level of the sounds.

    Arguments
    ---------
    path : pathlib.Path
        PNG file to write.
    effects : dict
        See :func:`~s3prl_sb.metrics.cross_effects.cross_effects`.
    title : str
        Title of the plot.
    """
    rows = [
        (f"{named(measure)}{band}, {added(part)}", part["difference"], not band)
        for measure, whole in effects.items()
        for band, part in (("", whole), *bands(whole))
    ]
    axes = plots.axes_of_size(5.0, 0.28 * max(len(rows), 3))
    if axes is None:
        return
    for height, (_, (value, low, high), is_whole) in enumerate(rows):
        color = plots.BLUE if is_whole else plots.GREY
        axes.plot([100 * low, 100 * high], [height, height], color=color, linewidth=1.5)
        axes.plot([100 * value], [height], marker="o", markersize=5, color=color)
    axes.axvline(0.0, color=plots.GREY, linewidth=1, linestyle=":")
    axes.set_yticks(range(len(rows)), [name for name, _, _ in rows], fontsize=8)
    axes.set_ylim(max(len(rows), 1) - 0.5, -0.5)  # the first at the top
    axes.set_xlabel("change in percentage points, 95 % interval; ↑ more is better")
    plots.finish(axes, path, title)


def named(measure):
    """Returns the name of a measure with the direction that is better.

    Arguments
    ---------
    measure : str
        Key of ``cross_effects.json``.

    Returns
    -------
    str

    Example
    -------
    >>> named("der"), named("event_f1")
    ('der ↓', 'event_f1 ↑')
    """
    return f"{measure} {'↓' if measure in ERRORS else '↑'}"


def added(part):
    """Returns what is added to the simpler twin, in words.

    Arguments
    ---------
    part : dict
        An entry with ``against``.

    Returns
    -------
    str

    Example
    -------
    >>> added({"against": "speech"})
    'sounds added'
    """
    return {"speech": "sounds added", "sounds": "speech added"}[part["against"]]


def bands(whole):
    """Yields the name and the entry of each band of levels that has scenes.

    Arguments
    ---------
    whole : dict
        An entry with ``by_snr``, whose parts have ``from`` and ``to``, dB or None.

    Yields
    ------
    (str, dict)

    Example
    -------
    >>> list(bands({"against": "speech", "by_snr": [{"from": None, "to": 0.0}]}))
    [(' below 0 dB', {'against': 'speech', 'from': None, 'to': 0.0})]
    """
    for part in whole.get("by_snr", ()):
        low, high = part["from"], part["to"]
        if low is None:
            name = f" below {high:g} dB"
        elif high is None:
            name = f" from {low:g} dB"
        else:
            name = f" {low:g} to {high:g} dB"
        yield name, {"against": whole["against"], **part}
